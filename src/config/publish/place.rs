//! Where a piece was said, and how its text is had from there.
//!
//! Owns: reading files of keys, at most 64 KiB of each. Shows no text. Fails with the place named.

use super::error::PublishSettingError;
use super::{FilePublish, Name, Piece};
use crate::config::{Environment, value};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No key and no token is longer.
const MAX_BYTES: u64 = 64 * 1024;

/// How strong a place is: the first that says anything counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Environment,
    Credential,
    Config,
}

impl Level {
    pub(super) const ALL: [Self; 3] = [Self::Environment, Self::Credential, Self::Config];
}

/// Where something was said.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// In this environment variable.
    Variable(&'static str),
    /// In the file that this environment variable names.
    FileOfVariable(&'static str, PathBuf),
    /// In this systemd credential.
    Credential(PathBuf),
    /// Under a key of a config file.
    Key(&'static str, PathBuf),
    /// In the file that a key of a config file names.
    FileOfKey(&'static str, PathBuf),
}

/// What stands where a path is expected may be a key, or an assignment of one.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| value::hide_keys(&path.to_string_lossy());
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::FileOfVariable(name, path) => write!(f, "{name} ({})", shown(path)),
            Self::Credential(path) => write!(f, "the credential {}", shown(path)),
            Self::Key(key, config) => write!(f, "`{key}` in {}", shown(config)),
            Self::FileOfKey(key, path) => write!(f, "`{key}` ({})", shown(path)),
        }
    }
}

/// As it is told: the derived one would show a key that stands for a path.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that no one shows.
#[derive(Clone)]
pub(super) struct Hidden(SecretString);

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Hidden {}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// How a piece was said.
#[derive(Clone, PartialEq, Eq)]
enum Said {
    Text(Hidden),
    NotText,
    /// In this file; whether it counts as said where there is no such file.
    File {
        path: PathBuf,
        must_exist: bool,
    },
    /// Twice over, also by this variable.
    AlsoBy(&'static str),
    /// What should be the path of a file is a key.
    KeyForPath,
}

/// The place says enough, and hides what may be a key.
impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[said]")
    }
}

/// A piece as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) piece: Piece,
    pub(super) level: Level,
    pub(super) place: Place,
    said: Said,
}

/// A piece with its text.
pub(super) struct Found {
    pub(super) level: Level,
    pub(super) place: Place,
    text: Hidden,
}

impl Found {
    pub(super) fn text(&self) -> &str {
        self.text.0.expose_secret()
    }
}

impl Given {
    /// By a variable, or by one that names a file.
    pub(super) fn by_variable(name: &Name, environment: &Environment) -> Option<Self> {
        let given = |place, said| Some(Self { piece: name.piece, level: Level::Environment, place, said });
        let plain = Place::Variable(name.variable);
        match (environment.text(name.variable), environment.text(name.file_variable)) {
            (Ok(None), Ok(None)) => None,
            (Err(_), _) => given(plain, Said::NotText),
            (Ok(Some(_)), Ok(Some(_))) => given(plain, Said::AlsoBy(name.file_variable)),
            (Ok(Some(text)), _) if is_of_another_program(name, &text) => None,
            (Ok(Some(text)), _) => given(plain, Said::Text(text.into())),
            (Ok(None), Err(_)) => given(Place::Variable(name.file_variable), Said::NotText),
            (Ok(None), Ok(Some(path))) if value::looks_like_key(path.trim()) => {
                given(Place::Variable(name.file_variable), Said::KeyForPath)
            }
            (Ok(None), Ok(Some(path))) => {
                let path = environment.expand(Path::new(&path)).unwrap_or_else(|| path.into());
                let place = Place::FileOfVariable(name.file_variable, path.clone());
                given(place, Said::File { path, must_exist: true })
            }
        }
    }

    /// By a credential, which need not be there.
    pub(super) fn by_credential(name: &Name, folder: &Path) -> Self {
        let path = folder.join(name.credential);
        Self {
            piece: name.piece,
            level: Level::Credential,
            place: Place::Credential(path.clone()),
            said: Said::File { path, must_exist: false },
        }
    }

    /// By the config file at `config`.
    pub(super) fn by_config(file: &FilePublish, config: &Path) -> Vec<Self> {
        let given = |piece, place, said| Self { piece, level: Level::Config, place, said };
        let texts = [(Piece::Url, "publish.url", &file.url), (Piece::User, "publish.user_id", &file.user_id)];
        let files = [
            (Piece::Service, "publish.key_file", &file.key_file),
            (Piece::Publishable, "publish.publishable_key_file", &file.publishable_key_file),
            (Piece::Token, "publish.access_token_file", &file.access_token_file),
        ];
        let texts = texts.into_iter().filter_map(|(piece, key, text)| {
            let text = text.clone()?;
            Some(given(piece, Place::Key(key, config.to_owned()), Said::Text(text.into())))
        });
        let files = files.into_iter().filter_map(|(piece, key, path)| {
            let path = path.clone()?;
            if path.file_name().is_some_and(|name| value::looks_like_key(&name.to_string_lossy())) {
                return Some(given(piece, Place::Key(key, config.to_owned()), Said::KeyForPath));
            }
            Some(given(piece, Place::FileOfKey(key, path.clone()), Said::File { path, must_exist: true }))
        });
        texts.chain(files).collect()
    }

    /// False for a credential that is not there.
    pub(super) fn is_there(&self) -> bool {
        match &self.said {
            Said::File { path, must_exist: false } => path.exists(),
            _ => true,
        }
    }

    /// The text, without a newline at its end; `None` for a credential that is not there.
    pub(super) fn read(&self) -> Result<Option<Found>, PublishSettingError> {
        let place = || self.place.clone();
        let text = match &self.said {
            _ if !self.is_there() => return Ok(None),
            Said::Text(text) => text.clone(),
            Said::NotText => return Err(PublishSettingError::NotText { place: place() }),
            Said::KeyForPath => return Err(PublishSettingError::KeyForPath { place: place() }),
            Said::AlsoBy(other) => return Err(PublishSettingError::TwoForms { place: place(), other }),
            Said::File { path, .. } => read_file(path, &self.place)?,
        };
        let text = Hidden(without_newline(text.0.expose_secret()).into());
        if text.0.expose_secret().trim().is_empty() {
            return Err(PublishSettingError::Empty { place: place() });
        }
        Ok(Some(Found { level: self.level, place: place(), text }))
    }
}

/// The Supabase CLI logs in with a variable of the same name; its tokens are for another API.
fn is_of_another_program(name: &Name, text: &str) -> bool {
    name.piece == Piece::Token && text.trim_start().starts_with("sbp_")
}

fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn read_file(path: &Path, place: &Place) -> Result<Hidden, PublishSettingError> {
    let unreadable = |source| PublishSettingError::Unreadable { place: place.clone(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(count) if u64::try_from(count).is_ok_and(|count| count > MAX_BYTES) => {
            Err(PublishSettingError::TooLong { place: place.clone() })
        }
        Ok(_) => Ok(text.into()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(PublishSettingError::NotText { place: place.clone() })
        }
        Err(source) => Err(unreadable(source)),
    }
}
