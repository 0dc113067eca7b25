//! Everything that can be wrong with the settings. Each variant names the place, the key and the value
//! that it stumbled over and says what would have been right.

use super::{Home, Need, Origin, PublishSettingError};
use crate::reconcile::AdminKeyProblem;
use std::io;
use std::path::PathBuf;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A config file was asked for by name and is not there.
    #[error("the config file {} named by {origin} does not exist", path.display())]
    FileMissing {
        /// The file.
        path: PathBuf,
        /// Who asked for it.
        origin: Origin,
    },
    /// A config file is there and cannot be read.
    #[error("the config file {} cannot be read", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A config file is not TOML.
    #[error("the config file {} is not valid TOML", path.display())]
    FileSyntax {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A config file has a key that tallyd does not know.
    #[error("the config file {} has an unknown key `{key}`", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, with its table: `follow.poll_seconds`.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// A config file holds a key or a token itself.
    #[error("the config file {} has `{key}`: keys and tokens do not belong in it", path.display())]
    KeyInFile {
        /// The file.
        path: PathBuf,
        /// The key of the file, with its table.
        key: String,
        /// The key that names a file instead.
        instead: &'static str,
    },
    /// A setting of publishing that cannot be used.
    #[error("{error}")]
    Publish {
        /// What is wrong with it.
        error: Box<PublishSettingError>,
        /// The app on fly.io that this process runs in: what to type depends on it.
        fly_app: Option<String>,
    },
    /// A key of Anthropic's Admin APIs that cannot be sent.
    #[error("{place}: {problem}")]
    AdminKey {
        /// The setting.
        place: String,
        /// What is wrong with it.
        problem: AdminKeyProblem,
    },
    /// A value that is not allowed.
    #[error("{}: expected {allowed}", origin.assignment(key, value))]
    Value {
        /// Where it stands.
        origin: Origin,
        /// Key, variable or flag.
        key: String,
        /// The value as written.
        value: String,
        /// What is allowed, in words.
        allowed: String,
    },
    /// An environment variable that is not UTF-8.
    #[error("the environment variable {variable} is not valid UTF-8")]
    NotUtf8 {
        /// The variable.
        variable: &'static str,
    },
    /// There is no home folder and nothing says where to look instead.
    #[error("{}, so {} no default place", no_home(home), need.subject())]
    NoHome {
        /// What is known of the home.
        home: Home,
        /// What was looked for.
        need: Need,
    },
}

fn no_home(home: &Home) -> String {
    match home {
        Home::Missing(path) => format!("the home folder {} does not exist", path.display()),
        Home::At(_) | Home::Unknown => "there is no home folder (HOME is not set)".to_owned(),
    }
}

impl ConfigError {
    /// What to do about it: one sentence.
    pub fn help(&self) -> String {
        match self {
            Self::FileMissing { origin, .. } => format!("name a file that exists, or leave {origin} out"),
            Self::FileUnreadable { .. } => "make the file readable, or name another with --config".to_owned(),
            Self::FileSyntax { .. } => {
                "mend the line named above; config/tallyd.toml lists every key".to_owned()
            }
            Self::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownKey { nearest: None, .. } => {
                format!("remove it; the keys are {}", super::KEYS.join(", "))
            }
            Self::KeyInFile { instead, .. } => format!(
                "remove it and have it replaced by the project; put the new one into a file that only tallyd may read \
                 and name that with `{instead}`, or set it in the environment"
            ),
            Self::Publish { error, fly_app } => error.help(fly_app.as_deref()),
            Self::AdminKey { place, .. } => format!("see what was put into {place}"),
            Self::Value { origin: Origin::Flag(flag), .. } => format!("give {flag} another value"),
            Self::Value { origin: Origin::Environment(variable), .. } => {
                format!("change or unset {variable}")
            }
            Self::Value { origin: Origin::File(path), key, .. } => {
                format!("change or remove `{key}` in {}", path.display())
            }
            Self::NotUtf8 { variable } => format!("unset {variable} and use the flag, which takes any bytes"),
            Self::NoHome { need, .. } => need.remedy().to_owned(),
        }
    }
}
