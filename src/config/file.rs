//! `tallyd.toml`: where it is looked for, its keys, and their values as types.
//!
//! Owns: TOML. Refuses every key it does not know, so that a slip of the pen is never a silent default.
//! Fails with the file, the key and the value named. Paths in the file are relative to its folder.

use super::publish::FilePublish;
use super::value::{self, Listen, ZoneName};
use super::{ConfigError, Environment, Origin};
use crate::telemetry::{Filter, LogFormat};
use chrono::Weekday;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// Every key of the file, with its table.
pub const KEYS: [&str; 25] = [
    "claude_dirs",
    "state_dir",
    "ledger_backup",
    "prices",
    "timezone",
    "start_of_week",
    "enabled",
    "report.estimate",
    "log.level",
    "log.format",
    "follow.rescan_seconds",
    "follow.poll_seconds",
    "follow.force_polling",
    "tail.max_line_bytes",
    "http.listen",
    "http.max_backlog_seconds",
    "otel.listen",
    "publish.enabled",
    "publish.url",
    "publish.user_id",
    "publish.key_file",
    "publish.publishable_key_file",
    "publish.access_token_file",
    "publish.interval_seconds",
    "publish.timeout_seconds",
];

/// What people would call a key or token in `[publish]`, and the key that names a file of it. A config file
/// is shown to others and kept in repositories; a key must not be in one.
const SECRETS: [(&str, &str); 8] = [
    ("publish.key", "publish.key_file"),
    ("publish.service_key", "publish.key_file"),
    ("publish.secret_key", "publish.key_file"),
    ("publish.service_role_key", "publish.key_file"),
    ("publish.publishable_key", "publish.publishable_key_file"),
    ("publish.anon_key", "publish.publishable_key_file"),
    ("publish.access_token", "publish.access_token_file"),
    ("publish.token", "publish.access_token_file"),
];

/// What the file says; `None` and empty lists where it says nothing. An empty text or list in the file
/// says nothing either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileSettings {
    pub(super) path: Option<PathBuf>,
    pub(super) claude_dirs: Vec<PathBuf>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) ledger_backup: Option<bool>,
    pub(super) prices: Option<PathBuf>,
    pub(super) timezone: Option<ZoneName>,
    pub(super) start_of_week: Option<Weekday>,
    pub(super) enabled: Option<bool>,
    pub(super) estimate: Option<bool>,
    pub(super) log_filter: Option<Filter>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) rescan_every: Option<Duration>,
    pub(super) poll_every: Option<Duration>,
    pub(super) force_polling: Option<bool>,
    pub(super) max_line_bytes: Option<usize>,
    pub(super) listen: Option<Listen>,
    pub(super) max_backlog: Option<Duration>,
    pub(super) otel_listen: Option<Listen>,
    pub(super) publish: FilePublish,
}

/// Finds and reads the file. One that is named, by flag or environment, must exist.
pub(super) fn load(flag: Option<&Path>, environment: &Environment) -> Result<FileSettings, ConfigError> {
    let named = match flag {
        Some(path) => Some((path.to_owned(), Origin::Flag("--config"))),
        None => environment
            .text("TALLYD_CONFIG")?
            .map(|path| (PathBuf::from(path), Origin::Environment("TALLYD_CONFIG"))),
    };
    let Some((path, origin)) = named else {
        let Some(folder) = environment.config_folder()? else { return Ok(FileSettings::default()) };
        let path = folder.join("tallyd.toml");
        return match read(&path)? {
            None => Ok(FileSettings::default()),
            Some(text) => parse(&text, &path, environment),
        };
    };
    let path = absolute(environment.expand(&path).unwrap_or(path));
    match read(&path)? {
        None => Err(ConfigError::FileMissing { path, origin }),
        Some(text) => parse(&text, &path, environment),
    }
}

/// No config file is a thousandth of it; a name may lead to something that has no end.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a file that a person writes, if it has at most so many bytes.
///
/// # Errors
/// What the system says, and where there is more.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(most.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= most) {
        Ok(text)
    } else {
        Err(io::Error::other(format!("it is larger than {most} bytes")))
    }
}

/// The file's text, or `None` where there is no such file.
fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    match read_text(path, MAX_BYTES) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(ConfigError::FileUnreadable { path: path.to_owned(), source }),
    }
}

/// A path that stays right when the working folder changes, without a slash at its end.
pub(super) fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path).components().collect()
}

/// Text to typed settings. `path` is named in errors and is what relative paths are relative to.
pub(super) fn parse(text: &str, path: &Path, environment: &Environment) -> Result<FileSettings, ConfigError> {
    let table: Table = text.parse().map_err(|error| ConfigError::FileSyntax {
        path: path.to_owned(),
        source: Box::new(without_keys(error, text)),
    })?;
    let mut leaves = BTreeMap::new();
    flatten("", table, &mut leaves);
    let reader = Reader { path, environment, leaves };
    reader.refuse_unknown_keys()?;
    Ok(FileSettings {
        path: Some(path.to_owned()),
        claude_dirs: reader.paths("claude_dirs")?,
        state_dir: reader.path("state_dir")?,
        ledger_backup: reader.switch("ledger_backup")?,
        prices: reader.path("prices")?,
        timezone: reader.text("timezone", value::TIME_ZONE, value::time_zone)?,
        start_of_week: reader.text("start_of_week", value::WEEKDAY, value::weekday)?,
        enabled: reader.switch("enabled")?,
        estimate: reader.switch("report.estimate")?,
        log_filter: reader.text("log.level", Filter::ALLOWED, |text| text.parse().ok())?,
        log_format: reader.text("log.format", "text or json", |text| text.parse().ok())?,
        rescan_every: reader.seconds("follow.rescan_seconds")?,
        poll_every: reader.seconds("follow.poll_seconds")?,
        force_polling: reader.switch("follow.force_polling")?,
        max_line_bytes: reader.line_bytes("tail.max_line_bytes")?,
        listen: reader.text("http.listen", value::LISTEN, value::listen)?,
        max_backlog: reader.seconds("http.max_backlog_seconds")?,
        otel_listen: reader.text("otel.listen", value::LISTEN_LOOPBACK, value::listen_loopback)?,
        publish: FilePublish {
            enabled: reader.switch("publish.enabled")?,
            url: reader.any_text("publish.url")?,
            user_id: reader.any_text("publish.user_id")?,
            key_file: reader.path("publish.key_file")?,
            publishable_key_file: reader.path("publish.publishable_key_file")?,
            access_token_file: reader.path("publish.access_token_file")?,
            interval: reader.seconds("publish.interval_seconds")?,
            timeout: reader.seconds("publish.timeout_seconds")?,
        },
    })
}

/// The parser's own words quote a line of the file; a key that stands there is not shown.
fn without_keys(mut error: toml::de::Error, text: &str) -> toml::de::Error {
    error.set_input(Some(&value::hide_keys(text)));
    error
}

/// True for the name of a table such as `log`.
fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// Spreads the known tables out to dotted keys; an unknown table stays one leaf, to be refused.
fn flatten(prefix: &str, table: Table, leaves: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) if is_section(&key) => flatten(&key, inner, leaves),
            other => {
                leaves.insert(key, other);
            }
        }
    }
}

/// Takes typed values out of the file, with errors that name file, key and value.
struct Reader<'a> {
    path: &'a Path,
    environment: &'a Environment,
    leaves: BTreeMap<String, Value>,
}

impl Reader<'_> {
    fn refuse_unknown_keys(&self) -> Result<(), ConfigError> {
        let unknown = |(key, _): &(&String, &Value)| !KEYS.contains(&key.as_str());
        match self.leaves.iter().find(unknown) {
            None => Ok(()),
            Some((key, value)) if is_section(key) => {
                Err(self.refused(key, value, &format!("a table, written as [{key}]")))
            }
            Some((key, _)) => Err(self.unknown(key)),
        }
    }

    fn unknown(&self, key: &str) -> ConfigError {
        let (path, key) = (self.path.to_owned(), value::hide_keys(key));
        match SECRETS.iter().find(|(secret, _)| *secret == key) {
            Some((_, instead)) => ConfigError::KeyInFile { path, key, instead },
            None => ConfigError::UnknownKey { path, nearest: value::nearest(&key, &KEYS), key },
        }
    }

    fn refused(&self, key: &str, value: &Value, allowed: &str) -> ConfigError {
        ConfigError::Value {
            origin: Origin::File(self.path.to_owned()),
            key: key.to_owned(),
            value: value::hide_keys(&value.to_string()),
            allowed: allowed.to_owned(),
        }
    }

    /// The value of `key` as `convert` takes it; an error where it takes nothing.
    fn get<T>(
        &self,
        key: &str,
        allowed: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.leaves.get(key) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| self.refused(key, value, allowed))
    }

    fn text<T>(
        &self,
        key: &str,
        allowed: &str,
        convert: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.get(key, &format!("{allowed}, in quotes"), |value| value.as_str().and_then(&convert))
    }

    /// A text that is looked at later; an empty one says nothing.
    fn any_text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        let text = self.text(key, "a text", |text| Some(text.to_owned()))?;
        Ok(text.filter(|text| !text.trim().is_empty()))
    }

    fn switch(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.get(key, "true or false", Value::as_bool)
    }

    fn seconds(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        let allowed = format!("whole seconds from 1 to {}", value::MAX_SECONDS);
        self.get(key, &allowed, |value| value.as_integer().and_then(value::seconds))
    }

    fn line_bytes(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        let (least, most) = value::LINE_BYTES;
        let allowed = format!("a number of bytes from {least} (64 KiB) to {most} (256 MiB)");
        self.get(key, &allowed, |value| value.as_integer().and_then(value::line_bytes))
    }

    /// An empty text is no path: it stands for the default.
    fn path(&self, key: &str) -> Result<Option<PathBuf>, ConfigError> {
        let found = self.get(key, "a path in quotes (`~` needs a home folder)", |value| {
            let text = value.as_str()?;
            if text.trim().is_empty() { Some(None) } else { self.resolve(text).map(Some) }
        })?;
        Ok(found.flatten())
    }

    fn paths(&self, key: &str) -> Result<Vec<PathBuf>, ConfigError> {
        let found = self.get(key, "a list of folders in quotes (`~` needs a home folder)", |value| {
            let texts = value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
            texts.into_iter().filter(|text| !text.trim().is_empty()).map(|text| self.resolve(text)).collect()
        })?;
        Ok(found.unwrap_or_default())
    }

    /// `~` is the home; every other relative path starts at the file's folder.
    fn resolve(&self, text: &str) -> Option<PathBuf> {
        let path = self.environment.expand(Path::new(text.trim()))?;
        Some(absolute(self.path.parent().map_or_else(|| path.clone(), |folder| folder.join(&path))))
    }
}
