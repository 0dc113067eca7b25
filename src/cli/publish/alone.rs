//! Publishing where no daemon runs: one pass over the logs, then everything is sent from here.

use super::{PublishArgs, Sent};
use crate::cli::engine;
use crate::collect::{Collector, TablePricing};
use crate::config::Settings;
use crate::publish::PublishOptions;

/// Takes in what is new and sends what waits.
pub(super) fn run(
    args: &PublishArgs,
    settings: &Settings,
    options: &PublishOptions,
    mut collector: Collector<TablePricing>,
) -> anyhow::Result<Sent> {
    engine::take_in(&mut collector, &mut |_| {})?;
    collector.ledger().checkpoint()?;
    let prices = collector.pricing().table().clone();
    // The lock is given back before anything is sent: a daemon that starts meanwhile does not wait for the
    // server, and may send the same, which changes nothing.
    drop(collector);
    let outbox = super::outbox(args, settings, options)?;
    super::send(settings, &prices, options, outbox, args.patience())
}
