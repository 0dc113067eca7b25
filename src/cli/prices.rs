//! `tallyd prices`: the prices in force, and a check of a file of prices.

use super::exit::ExitCode;
use crate::config::Settings;
use clap::{Args, ValueHint};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  tallyd prices                              the prices in force today
  tallyd prices --all                        past and future prices too
  tallyd prices --json                       for scripts
  tallyd prices --check my-prices.toml       what the file would add or override

Exit code 8 where the file is wrong.";

/// Arguments of `tallyd prices`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct PricesArgs {
    /// Check a file of prices and say what it adds or overrides
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["all", "json"])]
    pub check: Option<PathBuf>,
    /// Show the prices of all times, not only today's
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
}

/// Prints the prices in force, or what a file of prices would change.
pub fn run(_args: &PricesArgs, _settings: &Settings) -> anyhow::Result<ExitCode> {
    Err(anyhow::anyhow!("this build has no engine for `tallyd prices`"))
}
