//! Tokens as a project signs them: legacy API keys and users' access tokens are the same kind of JWT.
//! Signs for tests only; verifies nothing, PostgREST does.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The roles that PostgREST lets a token take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Anon,
    Authenticated,
    Service,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anon => "anon",
            Self::Authenticated => "authenticated",
            Self::Service => "service_role",
        }
    }
}

/// Seconds since 1970 at the beginning of the year 2100: keys last longer than any test.
const FOREVER: i64 = 4_102_444_800;

/// A token that does not expire.
pub(crate) fn token(secret: &str, role: Role, user: Option<&str>) -> String {
    token_until(secret, role, user, FOREVER)
}

/// A token that expires at this second since 1970.
pub(crate) fn token_until(secret: &str, role: Role, user: Option<&str>, expires: i64) -> String {
    let user = user.map_or(String::new(), |user| format!(r#","sub":"{user}""#));
    let claims = format!(r#"{{"iss":"supabase","role":"{}","exp":{expires}{user}}}"#, role.name());
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}
