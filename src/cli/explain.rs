//! `tallyd explain`: how one response or session came to its figures.

use super::exit::ExitCode;
use crate::config::Settings;
use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  tallyd explain msg_01XFDUDYJgAACzvnptvVoYEL
  tallyd explain 8f2c1e3a-5b7d-4e6f-9a0b-1c2d3e4f5a6b
  tallyd session --json                      lists the ids of sessions

Exit code 9 where nothing is known of the id.";

/// Arguments of `tallyd explain`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ExplainArgs {
    /// Id of a response (`message.id`) or of a session
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub id: String,
}

/// Prints which lines were seen, which won and why, and the sum of the price.
pub fn run(_args: &ExplainArgs, _settings: &Settings) -> anyhow::Result<ExitCode> {
    Err(anyhow::anyhow!("this build has no engine for `tallyd explain`"))
}
