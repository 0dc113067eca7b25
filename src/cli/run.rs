//! `tallyd run`: follow the logs until told to stop.

use super::exit::ExitCode;
use crate::config::{ConfigError, Settings};
use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  tallyd                                  the same as `tallyd run`
  tallyd run --log-format json            one JSON object a line on stderr, for a log collector
  tallyd run --claude-dir /srv/claude     logs of another place
  TOKEN_TRACKING_ENABLED=false tallyd     stay up, read and write nothing

SIGTERM and SIGINT end it in order, with exit code 0. SIGHUP reads config file and prices again.";

/// Arguments of `tallyd run`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArgs {}

/// Works out the settings anew, from the same flags.
pub type Reload = Box<dyn Fn() -> Result<Settings, ConfigError> + Send + Sync>;

/// Follows the logs until a signal says to stop.
pub fn run(_args: &RunArgs, _settings: &Settings, _reload: Reload) -> anyhow::Result<ExitCode> {
    Err(anyhow::anyhow!("this build has no engine for `tallyd run`"))
}
