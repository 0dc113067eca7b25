//! `tallyd metrics`: the ledger's figures for a monitoring system.

use super::exit::ExitCode;
use super::output;
use crate::config::Settings;
use crate::http::gather;
use crate::report::metrics;
use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  tallyd metrics                                      what the ledger has, as Prometheus text
  tallyd metrics > tallyd.prom.new && mv tallyd.prom.new /var/lib/node_exporter/tallyd.prom

Reads the ledger alone: it asks no server and takes in no logs. README.md lists the metrics.";

/// Arguments of `tallyd metrics`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct MetricsArgs {}

/// Prints the figures.
pub fn run(_args: &MetricsArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let folder = settings.state_dir()?;
    let publishing = settings.enabled && settings.publish().is_ok_and(|options| options.is_some());
    output::print(&metrics::text(&gather(folder, publishing)?))?;
    Ok(ExitCode::Done)
}
