//! The receiver of OpenTelemetry: what Claude Code tells of its API calls, as OTLP over HTTP.
//!
//! Owns: prost and flate2, the two formats of OTLP, and which few attributes of which one event are read. Of everything
//! else, texts of prompts above all, nothing is kept, shown or told: what is not named in `read` is skipped. Answers
//! 200 when what was told is on the disk, 503 where it cannot be written, so that the client tries again. Bodies are
//! bounded, and few are in memory at once. Never fails.

mod json;
mod protobuf;
mod read;
mod routes;

pub(super) use routes::router;

use crate::domain::CallEvent;
use crate::telemetry::Counts;
use std::sync::atomic::AtomicBool;
use tokio::sync::{Semaphore, oneshot};

/// Bodies that are read or written down at once; more clients wait.
const MOST_BODIES: usize = 2;

/// What was told, on its way to whoever writes the ledger.
#[derive(Debug)]
pub struct Delivery {
    /// The calls, oldest first.
    pub events: Vec<CallEvent>,
    /// Told when they are on the disk: how many of them were new, or why they cannot be written.
    pub done: oneshot::Sender<Result<u64, String>>,
}

/// What the receiver counts of its own, since the start.
#[derive(Debug)]
pub(super) struct Receiver {
    /// Requests, by HTTP status.
    pub(super) requests: Counts,
    /// What was in them: see README.md.
    pub(super) records: Counts,
    bodies: Semaphore,
    /// It was said that there are unusable ones.
    has_complained: AtomicBool,
}

impl Default for Receiver {
    fn default() -> Self {
        let (requests, records) = (Counts::default(), Counts::default());
        let has_complained = AtomicBool::new(false);
        Self { requests, records, bodies: Semaphore::new(MOST_BODIES), has_complained }
    }
}
