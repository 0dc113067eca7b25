//! `tallyd metrics`: the ledger's figures for a monitoring system.

use super::exit::ExitCode;
use super::output;
use super::publishing::daemon;
use crate::config::Settings;
use crate::domain::{Totals, shown};
use crate::ledger::{LedgerReader, Outbox, quarantined};
use crate::report::metrics::{self, Metrics};
use clap::Args;
use std::collections::BTreeMap;

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
    let reader = LedgerReader::open(folder)?;
    let outbox = Outbox::look(folder)?;
    let publishing = settings.enabled && settings.publish().is_ok_and(|options| options.is_some());
    let known = Metrics {
        daemon: daemon(settings)?,
        models: by_model(&reader)?,
        unreadable_logs: reader.unreadable_logs()?,
        rebuilt: reader.rebuilt()?,
        damaged: quarantined(folder).len(),
        publishing,
        backlog: outbox.backlog()?,
        note: outbox.noted()?,
        restoration: outbox.restoration()?,
    };
    output::print(&metrics::text(&known))?;
    Ok(ExitCode::Done)
}

fn by_model(reader: &LedgerReader) -> anyhow::Result<BTreeMap<String, Totals>> {
    let names: BTreeMap<_, _> = reader.models()?.into_iter().collect();
    let mut models: BTreeMap<String, Totals> = BTreeMap::new();
    let sums = reader.sums((None, None), |_| Some(()))?.into_iter().flat_map(|all| all.models);
    let restored = reader.restored_cells()?.into_iter().map(|cell| (cell.model, cell.totals));
    for (model, totals) in sums.chain(restored) {
        let name = names.get(&model).cloned().unwrap_or_default();
        // As it is shown: two names that look alike would be one series twice, which no scraper takes.
        *models.entry(shown(&name)).or_default() += totals;
    }
    Ok(models)
}
