//! The end in order.
//!
//! Owns: what is still read after the signal, and how long that may take. Fails where the worker is gone.

use super::super::DaemonError;
use super::super::orders::Answer;
use super::vitals::heard;
use super::{Loop, after};
use crate::watch::Hint;
use signal_hook::consts::SIGINT;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// How long the last pass before the end may take; what it leaves is there at the next start.
const LAST_PASS: Duration = Duration::from_secs(2);

impl Loop {
    /// Ends the pass under way with what it has read, looks at all logs once more and ends: a line that was
    /// written just before the signal is in no event yet, and may be the last that this machine ever does.
    /// Where the first pass is not done, or the ledger cannot be written, the next start does it.
    pub(super) async fn end(
        &mut self,
        signal: i32,
        mut answers: UnboundedReceiver<Answer>,
    ) -> Result<(), DaemonError> {
        let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
        tracing::info!(signal = name, "ending");
        self.notify.stopping(name);
        let is_ready = self.on_ready.take().is_none();
        // Where it waits for the logs to be read, it has nothing to send before the next start.
        self.publisher = None;
        self.stop.store(true, Ordering::Relaxed);
        self.wait_until_idle(&mut answers).await?;
        if !is_ready || self.failures > 0 {
            return Ok(());
        }
        self.pending.add(Hint::Everything);
        self.next_pass = after(Duration::ZERO);
        self.stop.store(false, Ordering::Relaxed);
        self.dispatch()?;
        if tokio::time::timeout(LAST_PASS, self.wait_until_idle(&mut answers)).await.is_err() {
            self.stop.store(true, Ordering::Relaxed);
            self.wait_until_idle(&mut answers).await?;
        }
        Ok(())
    }

    async fn wait_until_idle(&mut self, answers: &mut UnboundedReceiver<Answer>) -> Result<(), DaemonError> {
        while self.busy {
            tokio::select! {
                answer = answers.recv() => self.answered(answer.ok_or(DaemonError::WorkerGone)?)?,
                // A client that ends with this container tells of its last calls now.
                Some(heard) = heard(&mut self.serving) => self.heard(heard)?,
            }
        }
        Ok(())
    }
}
