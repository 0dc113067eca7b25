//! Options that every command takes, before or after its name.
//!
//! Holds what was typed and nothing else: `config` knows what it beats and what is the default.

use crate::config::Overrides;
use crate::telemetry::{ColorChoice, Level, LogFormat};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use std::path::PathBuf;
use std::str::FromStr;

/// Options of every command.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalArgs {
    /// Folder with Claude Code's logs; may be given more than once
    ///
    /// Claude Code's own folder (its `projects` is read), a `projects` folder, or any folder that session
    /// logs were copied to. Beats `CLAUDE_CONFIG_DIR` (a comma list) and `claude_dirs` in tallyd.toml.
    /// [default: `~/.claude` and `$XDG_CONFIG_HOME/claude`]
    #[arg(long, value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub claude_dir: Vec<PathBuf>,

    /// Folder of the ledger
    ///
    /// Beats `TALLYD_STATE_DIR`, `state_dir` in tallyd.toml and systemd's `STATE_DIRECTORY`.
    /// [default: the platform's own; on Linux ~/.local/state/tallyd]
    #[arg(long, value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,

    /// Config file, which must exist
    ///
    /// Beats `TALLYD_CONFIG`. [default: tallyd.toml in the config folder, on Linux ~/.config/tallyd, where
    /// there is one]
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// File of prices that add to or override the shipped ones
    ///
    /// Beats `TALLYD_PRICES` and `prices` in tallyd.toml. [default: none]
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub prices: Option<PathBuf>,

    /// How much is logged to stderr
    ///
    /// Beats `TALLYD_LOG`, which also takes filter directives, and `log.level` in tallyd.toml.
    /// [default: info for `run`, else warn]
    #[arg(long, value_name = "LEVEL", global = true, value_parser = one_of::<Level>(&Level::NAMES))]
    pub log_level: Option<Level>,

    /// Shape of the log lines
    ///
    /// Beats `TALLYD_LOG_FORMAT` and `log.format` in tallyd.toml. [default: text]
    #[arg(long, value_name = "FORMAT", global = true, value_parser = one_of::<LogFormat>(&LogFormat::NAMES))]
    pub log_format: Option<LogFormat>,

    /// When to colour output
    ///
    /// Beats `NO_COLOR`. [default: auto]
    #[arg(long, value_name = "WHEN", global = true, value_parser = one_of::<ColorChoice>(&ColorChoice::NAMES))]
    pub color: Option<ColorChoice>,

    /// The same as --color never
    #[arg(long, global = true, conflicts_with = "color")]
    pub no_color: bool,
}

impl GlobalArgs {
    /// The options as `config` takes them.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            claude_dirs: self.claude_dir.clone(),
            state_dir: self.state_dir.clone(),
            config: self.config.clone(),
            prices: self.prices.clone(),
            log_level: self.log_level,
            log_format: self.log_format,
            color: if self.no_color { Some(ColorChoice::Never) } else { self.color },
        }
    }
}

/// A parser for a type that reads itself from one of the names: clap shows the names in help and errors.
pub(super) fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr + Clone + Send + Sync + 'static,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    PossibleValuesParser::new(names.iter().copied()).try_map(|text| text.parse::<T>())
}
