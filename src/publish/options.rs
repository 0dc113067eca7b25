//! To whom, by which right and how often usage is published.
//!
//! Owns: what kinds of key there are and what may be told by looking at one. Refuses keys that cannot do
//! the work, with the reason; never shows a key, not even a part of it. Whether a key is valid only the
//! server knows.

use crate::domain::{Destination, UserId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::time::Duration;

/// How usage is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// The project and the user.
    pub destination: Destination,
    /// The right to write there.
    pub key: KeyChoice,
    /// The setting that the key came from, such as `SUPABASE_SERVICE_KEY`: messages name it.
    pub key_source: String,
    /// A session is sent at most once in this time.
    pub interval: Duration,
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// How long the end of the program may wait for what is still to be sent.
    pub drain: Duration,
    /// The Fly app this runs in: messages then name the command that mends a setting there.
    pub fly_app: Option<String>,
}

impl PublishOptions {
    /// [`PublishOptions::interval`], unless told otherwise.
    pub const INTERVAL: Duration = Duration::from_secs(2);
    /// [`PublishOptions::timeout`], unless told otherwise: longer than Supabase's own limit of 8 s a statement.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// [`PublishOptions::drain`], unless told otherwise: half of the 5 s that Fly waits before it kills.
    pub const DRAIN: Duration = Duration::from_millis(2_500);

    /// The usual times.
    pub fn new(destination: Destination, key: KeyChoice, key_source: &str) -> Self {
        Self {
            destination,
            key,
            key_source: key_source.to_owned(),
            interval: Self::INTERVAL,
            timeout: Self::TIMEOUT,
            drain: Self::DRAIN,
            fly_app: None,
        }
    }

    /// The command or act that gives a setting another value.
    pub fn setting_help(&self, name: &str, value: &str) -> String {
        match &self.fly_app {
            Some(app) => format!("fly secrets set {name}={value} --app {app}"),
            None => format!("set {name}={value} and restart tallyd"),
        }
    }

    /// The same for a key: an argument list, which every process can read, never has one.
    pub fn secret_help(&self, name: &str, value: &str) -> String {
        match &self.fly_app {
            Some(app) => format!("fly secrets import --app {app}, with the line {name}={value} on its stdin"),
            None => self.setting_help(name, value),
        }
    }
}

/// By which right usage is written. `Debug` shows the kind alone.
#[derive(Clone)]
pub enum KeyChoice {
    /// A secret key, `sb_secret_…`: may write for any user of the project.
    Secret(SecretString),
    /// A legacy `service_role` key, a JWT: the same right.
    Service(SecretString),
    /// A user's own access token, beside the project's publishable key: may write for this user alone.
    User {
        /// The publishable key, or the legacy `anon` one.
        publishable: SecretString,
        /// The user's access token.
        token: SecretString,
    },
}

/// Why a key cannot be used. No variant carries any part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It holds what no key holds, such as a line break in the middle.
    #[error("it holds characters that no key holds: was it copied whole, and only it?")]
    Characters,
    /// A key that everybody may know.
    #[error(
        "it is the project's publishable (anon) key, which may write nothing: expected a secret key (sb_secret_…) or the legacy service_role key"
    )]
    Publishable,
    /// A key to the whole project where a public one belongs.
    #[error(
        "it is a key to the whole project: expected the publishable key (sb_publishable_…) or the legacy anon key"
    )]
    TooPowerful,
    /// A user's token where a key belongs.
    #[error(
        "it is the access token of a user, not a key: set it as SUPABASE_ACCESS_TOKEN, beside SUPABASE_PUBLISHABLE_KEY"
    )]
    IsToken,
    /// A key where a user's token belongs.
    #[error("it is no access token of a user: expected a JWT with role authenticated")]
    NoToken,
    /// A token that does not say whose it is.
    #[error("it is an access token whose `sub` is no UUID of a user")]
    NoUser,
    /// Something else.
    #[error(
        "it is no Supabase key: they begin with sb_secret_, sb_publishable_ or, the legacy ones, with eyJ"
    )]
    Unknown,
}

/// What a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Secret,
    Publishable,
    Service,
    Anon,
    Token { user: Option<UserId> },
    Unknown,
}

/// What tallyd reads of a JWT. The server verifies it; here it only tells kinds apart.
#[derive(Deserialize)]
struct Claims {
    role: Option<String>,
    sub: Option<String>,
}

impl KeyChoice {
    /// The right of a service, from a secret key or a legacy `service_role` key. Blanks around it are cut.
    pub fn service(key: &str) -> Result<Self, KeyProblem> {
        let key = readable(key)?;
        match kind_of(key) {
            Kind::Secret => Ok(Self::Secret(key.into())),
            Kind::Service => Ok(Self::Service(key.into())),
            Kind::Publishable | Kind::Anon => Err(KeyProblem::Publishable),
            Kind::Token { .. } => Err(KeyProblem::IsToken),
            Kind::Unknown => Err(KeyProblem::Unknown),
        }
    }

    /// The right of a user, and who it is.
    pub fn user(publishable: &str, token: &str) -> Result<(Self, UserId), KeyProblem> {
        let (publishable, token) = (Self::publishable(publishable)?, readable(token)?);
        match kind_of(token) {
            Kind::Token { user: Some(user) } => Ok((Self::User { publishable, token: token.into() }, user)),
            Kind::Token { user: None } => Err(KeyProblem::NoUser),
            _ => Err(KeyProblem::NoToken),
        }
    }

    /// A publishable key alone, so that a setting can be told which of the two is wrong.
    pub fn publishable(key: &str) -> Result<SecretString, KeyProblem> {
        let key = readable(key)?;
        match kind_of(key) {
            Kind::Publishable | Kind::Anon => Ok(key.into()),
            Kind::Secret | Kind::Service => Err(KeyProblem::TooPowerful),
            Kind::Token { .. } => Err(KeyProblem::IsToken),
            Kind::Unknown => Err(KeyProblem::Unknown),
        }
    }

    /// What kind of key it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret key",
            Self::Service(_) => "legacy service_role key",
            Self::User { .. } => "access token of a user",
        }
    }

    /// What goes into the header `apikey`.
    pub(super) fn apikey(&self) -> &str {
        match self {
            Self::Secret(key) | Self::Service(key) => key.expose_secret(),
            Self::User { publishable, .. } => publishable.expose_secret(),
        }
    }

    /// What goes into `Authorization` as a bearer, if anything: the gateway refuses what is no JWT there.
    pub(super) fn bearer(&self) -> Option<&str> {
        match self {
            Self::Secret(_) => None,
            Self::Service(key) => Some(key.expose_secret()),
            Self::User { token, .. } => Some(token.expose_secret()),
        }
    }
}

impl std::fmt::Debug for KeyChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

/// For telling whether settings have changed; nobody measures its time.
impl PartialEq for KeyChoice {
    fn eq(&self, other: &Self) -> bool {
        (self.kind(), self.apikey(), self.bearer()) == (other.kind(), other.apikey(), other.bearer())
    }
}

impl Eq for KeyChoice {}

/// The text without blanks around it, if a header can carry it.
fn readable(key: &str) -> Result<&str, KeyProblem> {
    let key = key.trim();
    if key.is_empty() {
        Err(KeyProblem::Empty)
    } else if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(key)
    } else {
        Err(KeyProblem::Characters)
    }
}

/// Prefixes as in <https://supabase.com/docs/guides/getting-started/api-keys>; roles as in the claims that
/// Supabase signs.
fn kind_of(key: &str) -> Kind {
    if key.starts_with("sb_secret_") {
        return Kind::Secret;
    }
    if key.starts_with("sb_publishable_") {
        return Kind::Publishable;
    }
    let Some(claims) = claims(key) else { return Kind::Unknown };
    match claims.role.as_deref() {
        Some("service_role") => Kind::Service,
        Some("anon") => Kind::Anon,
        Some("authenticated") => Kind::Token { user: claims.sub.as_deref().and_then(UserId::parse) },
        _ => Kind::Unknown,
    }
}

/// The claims of a JWT: the middle one of three parts.
fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    parts.next().is_none().then(|| serde_json::from_slice(&bytes).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e";

    fn jwt(claims: &str) -> String {
        format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn token() -> String {
        jwt(&format!(r#"{{"role":"authenticated","sub":"{USER}","exp":1}}"#))
    }

    fn service(key: &str) -> Result<&'static str, KeyProblem> {
        KeyChoice::service(key).map(|key| key.kind())
    }

    #[test]
    fn a_service_key_is_told_from_what_is_none() {
        assert_eq!(service(" sb_secret_abc_12\n"), Ok("secret key"));
        assert_eq!(service(&jwt(r#"{"role":"service_role"}"#)), Ok("legacy service_role key"));
        assert_eq!(service("sb_publishable_abc"), Err(KeyProblem::Publishable));
        assert_eq!(service(&jwt(r#"{"role":"anon"}"#)), Err(KeyProblem::Publishable));
        assert_eq!(service(&token()), Err(KeyProblem::IsToken));
        assert_eq!(service(" \n"), Err(KeyProblem::Empty));
        assert_eq!(service("sb_secret_a\nb"), Err(KeyProblem::Characters));
        assert_eq!(service("sb_secret_ä"), Err(KeyProblem::Characters));
        let signed_twice = format!("{}.x", jwt(r#"{"role":"service_role"}"#));
        for unknown in ["password", "a.b.c", "eyJ.e30.x", "sb_other_abc", signed_twice.as_str()] {
            assert_eq!(service(unknown), Err(KeyProblem::Unknown), "{unknown}");
        }
    }

    #[test]
    fn a_users_token_says_whose_it_is() {
        let (key, user) = KeyChoice::user("sb_publishable_abc", &token()).unwrap();
        assert_eq!((key.kind(), user.to_string().as_str()), ("access token of a user", USER));
        assert_eq!((key.apikey(), key.bearer()), ("sb_publishable_abc", Some(token().as_str())));
        let refused = |publishable: &str, token: &str| KeyChoice::user(publishable, token).unwrap_err();
        assert_eq!(refused("sb_secret_abc", &token()), KeyProblem::TooPowerful);
        assert_eq!(refused("sb_publishable_abc", "sb_secret_abc"), KeyProblem::NoToken);
        assert_eq!(refused(&jwt(r#"{"role":"anon"}"#), ""), KeyProblem::Empty);
        let nobody = jwt(r#"{"role":"authenticated","sub":"me"}"#);
        assert_eq!(refused("sb_publishable_abc", &nobody), KeyProblem::NoUser);
    }

    #[test]
    fn a_secret_key_is_no_bearer_and_a_legacy_one_is_both() {
        let legacy = jwt(r#"{"role":"service_role"}"#);
        let key = KeyChoice::service(&legacy).unwrap();
        assert_eq!((key.apikey(), key.bearer()), (legacy.as_str(), Some(legacy.as_str())));
        let key = KeyChoice::service("sb_secret_abc").unwrap();
        assert_eq!((key.apikey(), key.bearer()), ("sb_secret_abc", None));
    }

    #[test]
    fn keys_differ_by_text_and_never_show() {
        let [one, same, other] = ["sb_secret_a", "sb_secret_a", "sb_secret_b"]
            .map(|key| KeyChoice::service(key).expect("a secret key"));
        assert!(one == same && one != other);
        let destination = Destination {
            project: "https://a.supabase.co".to_owned(),
            user: UserId::parse(USER).expect("a user"),
        };
        let mut options = PublishOptions::new(destination, one, "SUPABASE_SECRET_KEY");
        assert!(!format!("{options:?}").contains("sb_secret"), "{options:?}");
        assert_eq!(options.setting_help("USER_ID", "…"), "set USER_ID=… and restart tallyd");
        options.fly_app = Some("meter".to_owned());
        assert_eq!(options.setting_help("USER_ID", "…"), "fly secrets set USER_ID=… --app meter");
    }
}
