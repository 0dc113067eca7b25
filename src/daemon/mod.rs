//! The process that follows the logs.
//!
//! Owns: the tokio runtime, signals, the order of starting and ending. One thread owns the pipeline and
//! the watches and does one piece of work at a time; the loop beside it gathers hints meanwhile, so that
//! a burst of events becomes one pass. A third publishes, where that is on. A pass that fails (a full disk) is
//! repeated with growing pauses; nothing is lost, since cursors only move with facts. A ledger that is damaged is
//! made anew and read into again, the publisher waiting meanwhile. Fails at start; once it follows, it follows until
//! its ledger is deleted or cannot be made anew.

mod backup;
mod flood;
mod follow;
mod lag;
mod manager;
mod once;
mod orders;
mod pending;
mod process;
mod publishing;
mod serving;
mod tell;
mod testimony;
mod worker;

pub use follow::{Daemon, OnReady};
pub use manager::NotifyOptions;
pub use once::block_on;
pub use orders::{Reload, Reloaded};
pub use process::Process;
pub(crate) use tell::{losses as tell_losses, rebuilt as tell_rebuilt, report as tell_report};

/// A runtime for one thread; `what` is set up with it.
fn runtime(what: &'static str) -> Result<tokio::runtime::Runtime, DaemonError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|source| DaemonError::SetUp { what, source })
}

/// Why the daemon could not start, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The runtime or the signal handlers could not be set up.
    #[error("{what} cannot be set up")]
    SetUp {
        /// What.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The ledger is gone, or damaged and not to be mended; trying again would not help.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
    /// A thread ended before it was told to.
    #[error("the thread that writes the ledger, or the one that publishes, is gone")]
    WorkerGone,
}
