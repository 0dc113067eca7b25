//! The process: its runtime and its signals, taken in hand before anything is opened.
//!
//! Owns: SIGTERM, SIGINT, SIGHUP and SIGUSR1. Fails with [`DaemonError`] where the system gives none of them.

use super::DaemonError;
use super::manager::{self, NotifyOptions};
use super::serving::Serving;
use crate::http::{HttpOptions, Vitals};
use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::Signals;

/// A process that has taken its signals in hand: from here on none ends it out of order.
pub struct Process {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) signals: Signals,
}

impl Process {
    /// Sets up the runtime and takes its signals. To be called before anything is opened.
    pub fn new() -> Result<Self, DaemonError> {
        let runtime = super::runtime("the runtime")?;
        let inside = runtime.enter();
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])
            .map_err(|source| DaemonError::SetUp { what: "signal handling", source })?;
        drop(inside);
        Ok(Self { runtime, signals })
    }

    /// Waits for SIGTERM or SIGINT, answers over HTTP, tells the service manager that it is well and does nothing
    /// else: counting is switched off.
    pub fn wait_for_end(
        mut self,
        http: HttpOptions,
        notify: Option<NotifyOptions>,
    ) -> Result<(), DaemonError> {
        let mut serving = Serving::start(http, None, None)?;
        let mut idle = std::pin::pin!(manager::idle(notify));
        self.runtime.block_on(async {
            loop {
                let asked = async {
                    match &mut serving {
                        Some(serving) => serving.asked.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    signal = self.signals.next() => match signal {
                        Some(SIGHUP) => tracing::info!(
                            "counting stays switched off; to reload that setting, start tallyd anew"
                        ),
                        Some(SIGUSR1) => tracing::info!(state = "off", "status"),
                        _ => break,
                    },
                    Some(asked) = asked => drop(asked.send(Vitals::off())),
                    () = &mut idle => {}
                }
            }
        });
        serving.map_or(Ok(()), Serving::end)
    }
}
