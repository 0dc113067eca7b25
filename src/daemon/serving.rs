//! The thread that answers over HTTP, beside those that collect and publish.
//!
//! Owns: its life: started before the first log is read, ended last. It asks the loop and reads the ledger for itself,
//! so that no client holds up counting. Fails only where the system refuses a thread.

use super::DaemonError;
use crate::http::{Ask, Delivery, HttpOptions, Server, Vitals, Ways};
use crate::telemetry::Counts;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// The listener under way.
#[derive(Debug)]
pub(super) struct Serving {
    /// Clients that want to know how the loop is.
    pub(super) asked: UnboundedReceiver<Ask>,
    /// What was told by OpenTelemetry, to be written down.
    pub(super) told: UnboundedReceiver<Delivery>,
    to_log: UnboundedSender<Vitals>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Serving {
    /// Starts it, where there is anything to listen on.
    pub(super) fn start(
        options: HttpOptions,
        folder: Option<PathBuf>,
        requests: Option<Arc<Counts>>,
    ) -> Result<Option<Self>, DaemonError> {
        let what = "the thread that answers over HTTP";
        let (asks, asked) = unbounded_channel();
        let publishing = requests.is_some();
        let (deliveries, told) = unbounded_channel();
        let ways = Ways { asks, deliveries };
        let server = Server::new(options, folder, publishing, requests.unwrap_or_default(), ways);
        if server.is_idle() {
            return Ok(None);
        }
        let runtime = super::runtime(what)?;
        let (to_log, logged) = unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || runtime.block_on(server.run(stopped, logged)))
            .map_err(|source| DaemonError::SetUp { what, source })?;
        Ok(Some(Self { asked, told, to_log, stop, thread }))
    }

    /// Has the status told in the log.
    pub(super) fn log(&self, vitals: Vitals) {
        drop(self.to_log.send(vitals));
    }

    /// Ends it, clients or not.
    pub(super) fn end(self) -> Result<(), DaemonError> {
        let Self { asked, told, to_log, stop, thread } = self;
        drop((asked, told, to_log));
        let _ = stop.send(());
        thread.join().map_err(|_| DaemonError::WorkerGone)
    }
}
