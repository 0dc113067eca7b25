//! Settings: the config file, the environment and the flags, in rising precedence, to typed values.
//!
//! Owns: `std::env`, the platform's folders and the TOML of `tallyd.toml`, which nothing else reads.
//! Refuses to guess: an unknown key, an unknown value or a missing file that was named is an error that
//! says file, key, value and what is allowed. A missing home is one only for what needs it. Reads the
//! disk only for the config file and to tell what kind of folder a root is; writes nothing.

mod environment;
mod error;
mod file;
mod folders;
mod publish;
mod service;
mod value;
mod variables;

#[cfg(test)]
mod folder_tests;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;

pub use environment::{Environment, Home, PlatformFolders};
pub use error::ConfigError;
pub use file::{KEYS, read_text};
pub use publish::{Missing, Place, PublishSettingError};
pub use value::weekday;
pub use variables::set_variables;

use crate::daemon::NotifyOptions;
use crate::http::HttpOptions;
use crate::publish::PublishOptions;
use crate::reconcile::AdminOptions;
use crate::telemetry::{ColorChoice, Filter, Level, LogFormat, LogOptions};
use crate::watch::FollowOptions;
use chrono::Weekday;
use file::FileSettings;
use publish::{AdminSettings, PublishSettings};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What the flags say: the strongest voice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--claude-dir`, as often as it was given.
    pub claude_dirs: Vec<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--prices`.
    pub prices: Option<PathBuf>,
    /// `--log-level`.
    pub log_level: Option<Level>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
    /// `--color`, `--no-color`.
    pub color: Option<ColorChoice>,
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line, with this flag.
    Flag(&'static str),
    /// In the environment, as this variable.
    Environment(&'static str),
    /// In this config file.
    File(PathBuf),
}

impl Origin {
    /// A key and its value as they are written there.
    fn assignment(&self, key: &str, value: &str) -> String {
        match self {
            Self::Flag(flag) => format!("`{flag} {value}` on the command line"),
            Self::Environment(variable) => format!("`{variable}={value}` in the environment"),
            Self::File(path) => format!("`{key} = {value}` in {}", path.display()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Environment(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Who named the folders that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootsSource {
    /// `--claude-dir`.
    Flag,
    /// `CLAUDE_CONFIG_DIR`.
    Environment,
    /// `claude_dirs` in the config file.
    ConfigFile,
    /// Nobody: they are Claude Code's own defaults.
    Default,
}

/// What a home folder was needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A place to keep the ledger.
    StateFolder,
    /// The folders of Claude Code.
    Logs,
    /// Both.
    Both,
}

impl Need {
    fn subject(self) -> &'static str {
        match self {
            Self::StateFolder => "the ledger has",
            Self::Logs => "Claude Code's logs have",
            Self::Both => "the ledger and Claude Code's logs have",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::StateFolder => "say where to keep the ledger with --state-dir DIR or TALLYD_STATE_DIR",
            Self::Both => {
                "say where to keep the ledger with --state-dir DIR or TALLYD_STATE_DIR, \
                 and where Claude Code's logs are with --claude-dir DIR or CLAUDE_CONFIG_DIR"
            }
            Self::Logs => "say where Claude Code's logs are with --claude-dir DIR or CLAUDE_CONFIG_DIR",
        }
    }
}

/// The longest line that is read unless told otherwise, in bytes: 16 MiB. The longest seen in practice
/// has 4.5 MB.
pub const DEFAULT_MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Everything that can be set, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// False switches counting off: nothing is read and nothing is written.
    pub enabled: bool,
    /// Who named the roots.
    pub roots_source: RootsSource,
    /// A file of prices that adds to or overrides the shipped ones. Not looked at yet.
    pub prices: Option<PathBuf>,
    /// Time zone of the days in reports: an IANA name. `None` is the machine's own zone.
    pub timezone: Option<String>,
    /// The value of `TZ`: where set, it names the machine's own zone and beats the system's setting.
    pub machine_timezone: Option<String>,
    /// First day of a week in reports; Sunday unless told otherwise.
    pub start_of_week: Weekday,
    /// Reports show what replies without a final output count most likely had.
    pub estimate: bool,
    /// Logs and colours.
    pub log: LogOptions,
    /// Following.
    pub follow: FollowOptions,
    /// The longest line that is read, in bytes; longer ones are skipped and reported.
    pub max_line_bytes: usize,
    /// What a running tallyd says of itself over HTTP.
    pub http: HttpOptions,
    /// A running tallyd keeps a backup of the ledger beside it.
    pub ledger_backup: bool,
    /// The service manager that wants to be told how a running tallyd is.
    pub notify: Option<NotifyOptions>,
    /// The config file that was read.
    pub config_file: Option<PathBuf>,
    roots: Vec<PathBuf>,
    state_dir: Option<PathBuf>,
    home: Home,
    publish: PublishSettings,
    admin: AdminSettings,
}

impl Settings {
    /// The folders below which session logs lie, absolute, each once, never none. They need not exist.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`] where nothing names a folder and there is no home.
    pub fn roots(&self) -> Result<&[PathBuf], ConfigError> {
        if self.roots.is_empty() { Err(self.no_home()) } else { Ok(&self.roots) }
    }

    /// The folder of the ledger, absolute. It need not exist.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`] where nothing names a folder and there is no home.
    pub fn state_dir(&self) -> Result<&Path, ConfigError> {
        self.state_dir.as_deref().ok_or_else(|| self.no_home())
    }

    /// To whom and how usage is published; `None` where publishing is switched off or not configured.
    /// Made sense of, and files of keys read, at each call: only commands that publish fail for it.
    ///
    /// # Errors
    /// [`ConfigError::Publish`] and [`ConfigError::Value`], which never show a key.
    pub fn publish(&self) -> Result<Option<PublishOptions>, ConfigError> {
        self.publish.resolve()
    }

    /// With which key Anthropic's Admin APIs are asked, and where; `None` where no key was given. Made sense of, and
    /// the key's file read, at each call: only a command that asks fails for it.
    ///
    /// # Errors
    /// [`ConfigError::Publish`], [`ConfigError::AdminKey`] and [`ConfigError::Value`], which never show a key.
    pub fn admin(&self) -> Result<Option<AdminOptions>, ConfigError> {
        self.admin.resolve()
    }

    /// True where publishing is switched off by name: `TALLYD_PUBLISH`, `publish.enabled`.
    ///
    /// # Errors
    /// [`ConfigError::Value`] where `TALLYD_PUBLISH` is no switch.
    pub fn publishing_is_switched_off(&self) -> Result<bool, ConfigError> {
        self.publish.is_switched_off()
    }

    /// Names all that is missing at once, so that a person mends it in one go.
    fn no_home(&self) -> ConfigError {
        let need = match (&self.state_dir, self.roots.is_empty()) {
            (None, true) => Need::Both,
            (None, false) => Need::StateFolder,
            (Some(_), _) => Need::Logs,
        };
        ConfigError::NoHome { home: self.home.clone(), need }
    }
}

/// Works out the settings from flags, environment and config file.
pub fn load(overrides: &Overrides, environment: &Environment) -> Result<Settings, ConfigError> {
    let file = file::load(overrides.config.as_deref(), environment)?;
    let (roots, roots_source) = folders::roots(overrides, environment, &file)?;
    let by_switch = variable(environment, "TOKEN_TRACKING_ENABLED", value::SWITCH, value::switch)?;
    let by_backup = variable(environment, "TALLYD_LEDGER_BACKUP", value::SWITCH, value::switch)?;
    let by_zone = variable(environment, "TALLYD_TIMEZONE", value::TIME_ZONE, value::time_zone)?;
    let by_estimate = variable(environment, "TALLYD_ESTIMATE", value::SWITCH, value::switch)?;
    let prices = folders::chosen(overrides.prices.as_deref(), "--prices", "TALLYD_PRICES", environment)?;
    let by_listen = variable(environment, "TALLYD_LISTEN", value::LISTEN, value::listen)?;
    let by_otel =
        variable(environment, "TALLYD_OTEL_LISTEN", value::LISTEN_LOOPBACK, value::listen_loopback)?;
    let (follow, http) = (FollowOptions::default(), HttpOptions::default());
    let publish = PublishSettings::gather(environment, &file.publish, file.path.as_deref());
    Ok(Settings {
        publish,
        admin: AdminSettings::gather(environment),
        notify: service::notify_options(environment),
        enabled: by_switch.or(file.enabled).unwrap_or(true),
        ledger_backup: by_backup.or(file.ledger_backup).unwrap_or(true),
        roots_source,
        prices: prices.or_else(|| file.prices.clone()),
        timezone: by_zone.or_else(|| file.timezone.clone()).and_then(value::ZoneName::iana),
        machine_timezone: environment.text("TZ")?,
        start_of_week: file.start_of_week.unwrap_or(Weekday::Sun),
        estimate: by_estimate.or(file.estimate).unwrap_or(false),
        log: log_options(overrides, environment, &file)?,
        follow: FollowOptions {
            rescan: file.rescan_every.unwrap_or(follow.rescan),
            poll: file.poll_every.unwrap_or(follow.poll),
            force_polling: file.force_polling.unwrap_or(follow.force_polling),
        },
        max_line_bytes: file.max_line_bytes.unwrap_or(DEFAULT_MAX_LINE_BYTES),
        http: HttpOptions {
            listen: by_listen.or(file.listen).map_or(http.listen, value::Listen::address),
            max_backlog: file.max_backlog.unwrap_or(http.max_backlog),
            otel: by_otel.or(file.otel_listen).map_or(http.otel, value::Listen::address),
        },
        roots,
        state_dir: folders::state_dir(overrides, environment, &file)?,
        home: environment.home().clone(),
        config_file: file.path,
    })
}

/// `NO_COLOR` set to anything but nothing asks for no colours (no-color.org); a flag beats it.
fn log_options(
    overrides: &Overrides,
    environment: &Environment,
    file: &FileSettings,
) -> Result<LogOptions, ConfigError> {
    let by_filter = variable(environment, "TALLYD_LOG", Filter::ALLOWED, parsed::<Filter>)?;
    let by_format = variable(environment, "TALLYD_LOG_FORMAT", "text or json", parsed::<LogFormat>)?;
    let by_color = environment.text("NO_COLOR")?.map(|_| ColorChoice::Never);
    Ok(LogOptions {
        filter: overrides
            .log_level
            .map(Filter::from)
            .or(by_filter)
            .or_else(|| file.log_filter.clone())
            .unwrap_or_default(),
        format: overrides.log_format.or(by_format).or(file.log_format).unwrap_or_default(),
        color: overrides.color.or(by_color).unwrap_or_default(),
    })
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

/// The value of an environment variable as `convert` takes it; an error where it takes nothing.
fn variable<T>(
    environment: &Environment,
    name: &'static str,
    allowed: &str,
    convert: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = environment.text(name)? else { return Ok(None) };
    convert(&text).map(Some).ok_or_else(|| not_allowed(name, &text, allowed))
}

/// The value of a variable is not allowed.
fn not_allowed(name: &'static str, text: &str, allowed: &str) -> ConfigError {
    ConfigError::Value {
        origin: Origin::Environment(name),
        key: name.to_owned(),
        value: value::hide_keys(text),
        allowed: allowed.to_owned(),
    }
}
