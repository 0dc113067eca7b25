//! What the loop and the worker's thread say to each other.
//!
//! Owns: the orders, the answers, and the thread's work: one order after the other, and how much of what it finds wrong
//! is told. Fails only by answers.

use super::flood::Flood;
use super::manager::Pulse;
use super::worker::{Outcome, Work, Worker};
use crate::collect::{CollectError, CollectOptions, TablePricing};
use crate::domain::{Clock, SystemClock};
use crate::http::Delivery;
use crate::ledger::{LedgerError, Rebuilt};
use crate::publish;
use std::sync::mpsc::Receiver;
use tokio::sync::mpsc::UnboundedSender;

/// Settings and prices as they are after a SIGHUP.
pub struct Reloaded {
    /// The prices.
    pub pricing: TablePricing,
    /// Settings of collecting.
    pub collect: CollectOptions,
    /// Settings of publishing, where it is on.
    pub publish: Option<publish::Reloaded>,
}

/// Reads settings and prices again; the error is told, and the old ones stay in force.
pub type Reload = Box<dyn Fn() -> Result<Reloaded, String> + Send>;

/// What the loop sends to the worker.
pub(super) enum Order {
    Work(Work),
    Reload(Box<Reloaded>),
    /// Write down what was told by OpenTelemetry.
    Told(Delivery),
    /// Make the ledger anew: this error says that it is damaged.
    Mend(LedgerError),
}

/// What the worker sends back.
pub(super) enum Answer {
    Worked(Outcome),
    /// With the settings of publishing that belong to the prices: none may go out under a revision that is
    /// not theirs.
    Reloaded(Result<Option<u64>, CollectError>, Option<publish::Reloaded>),
    /// What was told is written down, or the ledger is damaged.
    Witnessed(Result<(), CollectError>),
    /// With what is damaged, where it could not be mended.
    Mended(Result<Rebuilt, (CollectError, LedgerError)>),
}

/// The worker's thread: one order after the other, until there are no more.
pub(super) fn serve(
    mut worker: Worker,
    orders: &Receiver<Order>,
    answers: &UnboundedSender<Answer>,
    pulse: &Pulse,
) {
    let mut flood = Flood::default();
    for order in orders {
        pulse.beat();
        let answer = match order {
            Order::Work(work) => {
                let mut outcome = worker.work(&work);
                if let Ok(summary) = &mut outcome.result {
                    flood.hold_back(&mut summary.reports, SystemClock.now());
                    if work == Work::Everything {
                        pulse.found(summary.files);
                    }
                }
                Answer::Worked(outcome)
            }
            Order::Reload(new) => {
                let Reloaded { pricing, collect, publish } = *new;
                Answer::Reloaded(worker.reload(pricing, collect), publish)
            }
            Order::Told(told) => Answer::Witnessed(worker.witness(told)),
            Order::Mend(found) => Answer::Mended(worker.mend(&found).map_err(|error| (error, found))),
        };
        pulse.rest();
        if answers.send(answer).is_err() {
            break;
        }
    }
    if let Err(error) = worker.finish() {
        tracing::warn!(error = %error, "the ledger could not be folded into one file; the next start does it");
    }
}
