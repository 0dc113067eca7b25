//! The process: its runtime and its signals, taken in hand before anything is opened.
//!
//! Owns: SIGTERM, SIGINT and SIGHUP. Fails with [`DaemonError`] where the system gives none of them.

use super::DaemonError;
use super::manager::{self, NotifyOptions};
use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;

/// A process that has taken its signals in hand: from here on none ends it out of order.
pub struct Process {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) signals: Signals,
}

impl Process {
    /// Sets up the runtime and takes SIGTERM, SIGINT and SIGHUP. To be called before anything is opened.
    pub fn new() -> Result<Self, DaemonError> {
        let runtime = super::runtime("the runtime")?;
        let inside = runtime.enter();
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
            .map_err(|source| DaemonError::SetUp { what: "signal handling", source })?;
        drop(inside);
        Ok(Self { runtime, signals })
    }

    /// Waits for SIGTERM or SIGINT and does nothing else, but for telling the service manager that it is well:
    /// counting is switched off.
    pub fn wait_for_end(mut self, notify: Option<NotifyOptions>) {
        let signals = async {
            while let Some(SIGHUP) = self.signals.next().await {
                tracing::info!("counting stays switched off; to reload that setting, start tallyd anew");
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                () = signals => {}
                () = manager::idle(notify) => {}
            }
        });
    }
}
