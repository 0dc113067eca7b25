//! `tallyd scan`: one pass over the logs.

use super::exit::ExitCode;
use crate::config::Settings;
use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  tallyd scan                                       take in what is new since the last time
  tallyd scan --claude-dir ~/old-logs               logs that were copied from elsewhere
  tallyd scan --claude-dir a --claude-dir b --state-dir /tmp/ledger

A second scan of the same logs changes nothing. The progress is shown on stderr when that is a terminal.";

/// Arguments of `tallyd scan`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ScanArgs {}

/// Takes in what is new and prints a summary.
pub fn run(_args: &ScanArgs, _settings: &Settings) -> anyhow::Result<ExitCode> {
    Err(anyhow::anyhow!("this build has no engine for `tallyd scan`"))
}
