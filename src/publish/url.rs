//! The project's URL as people write it, to the one form that is kept and compared.
//!
//! Refuses what would send a key in the clear, or to somewhere other than a project's root. No message
//! shows a text that may be a key: one in the wrong place must not end up in a log.

use crate::domain::is_loopback;
use reqwest::Url;

/// Why a text is no URL of a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// It cannot be read as a URL.
    #[error("it is no URL: expected one like https://abcdefghijklmnopqrst.supabase.co")]
    NoUrl,
    /// Another scheme: often the URL of the database.
    #[error("it begins with {0}: expected the project's https:// URL, as in the dashboard under Data API")]
    Scheme(String),
    /// A key would be sent in the clear.
    #[error("http:// sends the key in the clear to {0}: use https://, http:// is for this machine alone")]
    Plain(String),
    /// A user name or password in it.
    #[error("it has a user name or password in it: the key has a setting of its own")]
    Credentials,
    /// A path other than that of the API.
    #[error("it has a path, {0}: expected the project's root, like https://abcdefghijklmnopqrst.supabase.co")]
    Path(String),
    /// A query or a fragment.
    #[error("it has a `?` or `#` in it: expected the project's root alone")]
    Query,
}

/// Paths that lead to a project's API and are cut, the slash at the end as well.
const API_PATHS: [&str; 3] = ["", "/rest", "/rest/v1"];

/// The project's origin: `https://host`, with a port where it is not the usual one. `http://` is accepted
/// for the machine itself.
pub fn project_url(text: &str) -> Result<String, UrlProblem> {
    let text = text.trim();
    if !text.contains("://") {
        return Err(UrlProblem::NoUrl);
    }
    let url = Url::parse(text).map_err(|_| UrlProblem::NoUrl)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlProblem::Credentials);
    }
    let host = url.host_str().filter(|host| !host.is_empty() && !is_key(host)).ok_or(UrlProblem::NoUrl)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(host) => {}
        "http" => return Err(UrlProblem::Plain(without_key(host))),
        other => return Err(UrlProblem::Scheme(format!("{}://", without_key(other)))),
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(UrlProblem::Query);
    }
    if !API_PATHS.contains(&url.path().trim_end_matches('/')) {
        return Err(UrlProblem::Path(without_key(url.path())));
    }
    Ok(url.origin().ascii_serialization())
}

/// A part of the text for a message, unless a key may be in it.
fn without_key(part: &str) -> String {
    let may_be = ["sb_", "sbp_", "eyj"].iter().any(|start| part.to_ascii_lowercase().contains(start));
    if may_be { "…".to_owned() } else { part.to_owned() }
}

/// A key behind `https://`: it would be shown as the project, and asked for in the network's name service.
/// Hosts of projects have no underscore; the parts of a JWT begin alike.
fn is_key(host: &str) -> bool {
    let of_jwt = host.split('.').filter(|label| label.starts_with("eyj")).count();
    host.split('.').any(|label| label.starts_with("sb_") || label.starts_with("sbp_")) || of_jwt > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(text: &str, origin: &str) {
        assert_eq!(project_url(text).as_deref(), Ok(origin));
    }

    #[test]
    fn an_origin_is_what_is_left() {
        for written in [
            "https://abc.supabase.co",
            " https://abc.supabase.co/\n",
            "https://ABC.supabase.co:443//",
            "https://abc.supabase.co/rest/v1",
            "https://abc.supabase.co/rest/v1/",
        ] {
            is(written, "https://abc.supabase.co");
        }
        is("https://supabase.example.org:8443", "https://supabase.example.org:8443");
        is("http://localhost:54321/rest/v1", "http://localhost:54321");
        is("http://127.0.0.1:54321", "http://127.0.0.1:54321");
        is("http://[::1]:54321", "http://[::1]:54321");
    }

    #[test]
    fn what_is_no_project_is_refused_with_the_reason() {
        let refused = |text: &str| project_url(text).unwrap_err();
        for text in ["", "abc.supabase.co", "sb_secret_CANARY", "https://", "https:// x"] {
            assert_eq!(refused(text), UrlProblem::NoUrl, "{text}");
        }
        assert_eq!(refused("http://abc.supabase.co"), UrlProblem::Plain("abc.supabase.co".to_owned()));
        assert_eq!(refused("http://127.0.0.1.evil.org"), UrlProblem::Plain("127.0.0.1.evil.org".to_owned()));
        assert_eq!(refused("http://a.localhost"), UrlProblem::Plain("a.localhost".to_owned()));
        assert_eq!(
            refused("postgresql://db.abc.supabase.co"),
            UrlProblem::Scheme("postgresql://".to_owned())
        );
        assert_eq!(refused("postgresql://u:CANARY@db.abc.supabase.co"), UrlProblem::Credentials);
        assert_eq!(refused("https://key@abc.supabase.co"), UrlProblem::Credentials);
        assert_eq!(refused("https://abc.supabase.co?apikey=CANARY"), UrlProblem::Query);
        let dashboard = "https://supabase.com/dashboard/project/abc";
        assert_eq!(refused(dashboard), UrlProblem::Path("/dashboard/project/abc".to_owned()));
    }

    #[test]
    fn no_message_shows_what_could_be_a_key() {
        for text in [
            "sb_secret_CANARY",
            "https://CANARY@x",
            "https://u:CANARY@x",
            "https://x/#CANARY",
            "https://x/sb_secret_CANARY",
            "https://x/rest/v1/eyJhbGci.CANARY",
            "http://sb_secret_CANARY",
            "eyJhbGci.CANARY://x",
            "https://sb_secret_CANARY",
            "https://sbp_CANARY.supabase.co",
            "https://eyJhbGci.eyJCANARY.x",
        ] {
            let problem = project_url(text).unwrap_err();
            let shown = format!("{problem} {problem:?}").to_uppercase();
            assert!(!shown.contains("CANARY"), "{problem}");
        }
    }
}
