//! The write pipeline: files to lines to statements to facts.
//!
//! Owns: the order of things. `watch` says which files there are, `tail` reads what is new in them,
//! `parse` says what it means, `price` what it costs, `ledger` keeps it, and the cursor moves with the
//! facts. Reading is spread over threads, a file at a time; the ledger has one writer. A file that
//! cannot be read is reported and harms no other; a ledger that cannot be written ends the pass, and
//! the next one begins where the last commit left off. Refuses: to remember anything that matters.

mod bundles;
mod intake;
mod pass;
mod plan;
mod pricing;
mod reading;
#[cfg(test)]
mod tests;

pub use intake::{Intake, PassSummary, Progress};
pub use pass::Collector;
pub use plan::is_taken_in;
pub use pricing::TablePricing;
pub use reading::FileReport;

use crate::domain::fnv1a;
use crate::ledger::LedgerError;
use crate::tail::TailOptions;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Settings of collecting.
#[derive(Clone, Debug, Default)]
pub struct CollectOptions {
    /// The folders that hold session logs at any depth.
    pub roots: Vec<PathBuf>,
    /// Settings of reading.
    pub tail: TailOptions,
}

impl CollectOptions {
    /// Names the set of roots: the same for the same folders, in any order.
    pub fn subject(&self) -> u64 {
        let mut roots: Vec<&[u8]> = self.roots.iter().map(|root| root.as_os_str().as_bytes()).collect();
        roots.sort_unstable();
        fnv1a(&roots.join(&0))
    }
}

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The ledger could not be written; the pass can be repeated.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl CollectError {
    /// The ledger's error, where it says that the ledger is damaged.
    pub fn damage(&self) -> Option<&LedgerError> {
        let Self::Ledger(error) = self;
        error.is_damaged().then_some(error)
    }
}
