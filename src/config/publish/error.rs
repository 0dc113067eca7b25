//! What can be wrong with the settings of publishing. Each variant names the place and says what would be
//! right; none shows a value, since any of them may be a key that was pasted into the wrong place.

use super::Place;
use crate::domain::UserId;
use crate::publish::{KeyProblem, UrlProblem};
use std::io;

const URL: &str = "SUPABASE_URL=https://….supabase.co";
const USER: &str = "USER_ID=…";
const KEYS: &str = "the project's dashboard lists its keys under Project Settings, API Keys";
const USERS: &str = "the project's dashboard lists its users under Authentication, Users";

/// A piece that is needed and was not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The project's URL.
    Url,
    /// A key of any kind.
    Key,
    /// The user beside a service key.
    User,
    /// The publishable key beside a token.
    PublishableKey,
    /// The token beside a publishable key.
    AccessToken,
}

impl Missing {
    fn what(self) -> &'static str {
        match self {
            Self::Url => "URL of the project (SUPABASE_URL)",
            Self::Key => "key (SUPABASE_SERVICE_KEY)",
            Self::User => "user that the usage is billed to (USER_ID)",
            Self::PublishableKey => "publishable key (SUPABASE_PUBLISHABLE_KEY)",
            Self::AccessToken => {
                "user's access token (SUPABASE_ACCESS_TOKEN), and a publishable key alone may write nothing"
            }
        }
    }

    /// Where a person finds it.
    fn place(self) -> Option<&'static str> {
        match self {
            Self::User => Some(USERS),
            Self::Key | Self::PublishableKey => Some(KEYS),
            Self::Url | Self::AccessToken => None,
        }
    }

    /// What to set.
    fn assignment(self) -> &'static str {
        match self {
            Self::Url => URL,
            Self::Key | Self::AccessToken => "SUPABASE_SERVICE_KEY=sb_secret_…",
            Self::User => USER,
            Self::PublishableKey => "SUPABASE_PUBLISHABLE_KEY=sb_publishable_…",
        }
    }
}

/// The settings of publishing cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PublishSettingError {
    /// Something is missing beside what was given.
    #[error("publishing is configured by {given}, but there is no {}", missing.what())]
    Missing {
        /// What.
        missing: Missing,
        /// What says that publishing is wanted.
        given: String,
    },
    /// A variable and the variable that names a file are both set.
    #[error("{place} and {other} are both set")]
    TwoForms {
        /// The variable.
        place: Place,
        /// The variable that names a file.
        other: &'static str,
    },
    /// What should be the path of a file is a key or token itself.
    #[error("{place} is a key or token itself: expected the path of a file that holds it")]
    KeyForPath {
        /// Where.
        place: Place,
    },
    /// Two names of one thing that say different things.
    #[error("{one} and {other} are both set and differ")]
    Differ {
        /// One.
        one: Place,
        /// The other.
        other: Place,
    },
    /// A file that cannot be read.
    #[error("{place} cannot be read: {source}")]
    Unreadable {
        /// The file and who named it.
        place: Place,
        /// Why.
        source: io::Error,
    },
    /// Nothing but blanks.
    #[error("{place} is empty")]
    Empty {
        /// Where.
        place: Place,
    },
    /// Not UTF-8.
    #[error("{place} is not valid UTF-8")]
    NotText {
        /// Where.
        place: Place,
    },
    /// Longer than any key.
    #[error("{place} is longer than any key or token: more than 64 KiB")]
    TooLong {
        /// Where.
        place: Place,
    },
    /// No UUID.
    #[error(
        "{place} is {looks}: expected the id of a user, a UUID such as 3dfb3580-b7c4-4da3-8d9e-b9775c216f7e"
    )]
    User {
        /// Where.
        place: Place,
        /// What it looks like.
        looks: String,
    },
    /// No URL of a project.
    #[error("{place}: {problem}")]
    Url {
        /// Where.
        place: Place,
        /// What is wrong with it.
        problem: UrlProblem,
    },
    /// No key of the kind that is needed.
    #[error("{place}: {problem}")]
    Key {
        /// Where.
        place: Place,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// The token is another user's.
    #[error("{place} is {configured}, but {token} is a token of the user {user}")]
    OtherUser {
        /// Where the user was said.
        place: String,
        /// The user that was said.
        configured: UserId,
        /// Where the token was said.
        token: String,
        /// Its user.
        user: UserId,
    },
}

impl PublishSettingError {
    /// What to do about it: one sentence. `fly_app` is the app on fly.io that this process runs in.
    pub(crate) fn help(&self, fly_app: Option<&str>) -> String {
        let set = |assignment: &str| correct(&Place::Variable(""), assignment, fly_app);
        match self {
            Self::Missing { missing: missing @ Missing::AccessToken, .. } => format!(
                "{}, or SUPABASE_ACCESS_TOKEN to the user's own token; TALLYD_PUBLISH=false switches publishing off",
                set(missing.assignment())
            ),
            Self::Missing { missing, .. } => {
                let place = missing.place().map_or(String::new(), |place| format!("; {place}"));
                format!("{}{place}; TALLYD_PUBLISH=false switches publishing off", set(missing.assignment()))
            }
            Self::TwoForms { place, other } => format!("unset {place} or {other}"),
            Self::KeyForPath { place: Place::Variable(name) } => {
                format!("use {} instead", name.trim_end_matches("_FILE"))
            }
            Self::KeyForPath { .. } => {
                "put it into a file that only tallyd may read, and name that".to_owned()
            }
            Self::Differ { one, other } => format!("unset {one} or {other}: they mean the same"),
            Self::Unreadable { .. } => {
                "make the file readable for the user that tallyd runs as, or name another".to_owned()
            }
            Self::Empty { place } | Self::NotText { place } | Self::TooLong { place } => {
                format!("see what was put into {place}")
            }
            Self::User { place, .. } => format!("{}; {USERS}", correct(place, USER, fly_app)),
            Self::Url { place, .. } => correct(place, URL, fly_app),
            Self::Key { place, .. } => {
                let assignment =
                    if let Place::Variable(name) = place { format!("{name}=…") } else { String::new() };
                format!("{}; {KEYS}", correct(place, &assignment, fly_app))
            }
            Self::OtherUser { place, .. } => format!("unset {place}, or use a token of that user"),
        }
    }
}

/// How to correct what was said in `place`. A key goes into no argument list, which every process can read.
fn correct(place: &Place, assignment: &str, fly_app: Option<&str>) -> String {
    let is_key = assignment.contains("_KEY=") || assignment.contains("_TOKEN=");
    match (place, fly_app) {
        (Place::Variable(_), Some(app)) if is_key => {
            format!("give `fly secrets import --app {app}` the line {assignment} on its stdin")
        }
        (Place::Variable(_), Some(app)) => format!("run `fly secrets set {assignment} --app {app}`"),
        (Place::Variable(_), None) => format!("set {assignment}"),
        _ => format!("correct {place}"),
    }
}

/// What a text that is no user's id looks like, without a letter of it.
pub(super) fn looks_like(text: &str) -> String {
    let trimmed = text.trim();
    let is_placeholder = |c| matches!(c, '<' | '>' | '$' | '{' | '}' | '…');
    if trimmed.starts_with("sb_") || trimmed.starts_with("eyJ") {
        "a key, not a user".to_owned()
    } else if trimmed.contains('@') {
        "an e-mail address".to_owned()
    } else if trimmed.starts_with(['"', '\'']) || trimmed.ends_with(['"', '\'']) {
        "in quotes".to_owned()
    } else if trimmed.contains(is_placeholder) {
        "a placeholder that was not filled in".to_owned()
    } else if trimmed.chars().all(|c| matches!(c, '0' | '-')) {
        "all zeros, which is nobody's id".to_owned()
    } else {
        format!("{} characters long and no UUID with hyphens", trimmed.chars().count())
    }
}
