//! `tallyd prices`: the prices in force, and a check of a file of prices.

mod render;

use super::exit::ExitCode;
use super::{engine, output};
use crate::config::Settings;
use crate::domain::{Clock, SystemClock};
use crate::price::PriceTable;
use clap::{Args, ValueHint};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  tallyd prices                              the prices in force today
  tallyd prices --all                        past and future prices too
  tallyd prices --json                       for scripts
  tallyd prices --check my-prices.toml       what the file would add or override

A file of prices has one table for each model, in USD per million tokens as quoted decimals:
  [[models]]
  id = \"house-model-7b\"
  input = \"0.40\"
  output = \"1.60\"
  cache_write_5m = \"0.50\"
  cache_write_1h = \"0.80\"
  cache_read = \"0.04\"
Name it with --prices FILE, or as `prices` in tallyd.toml. The head of config/prices.toml explains
dates, long prompts, multipliers and searches.

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
pub fn run(args: &PricesArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.check {
        let text = engine::read_price_file(path)?;
        let own = PriceTable::parse(&text, &path.display().to_string())?;
        output::print_lines(&render::describe_override(&PriceTable::shipped(), &own))?;
        return Ok(ExitCode::Done);
    }
    let (table, now) = (engine::prices(settings)?, SystemClock.now());
    if args.json {
        output::print(&render::render_json(&table, now, args.all))?;
    } else {
        output::print_lines(&render::render_table(&table, now, args.all, output::terminal_width()))?;
    }
    Ok(ExitCode::Done)
}
