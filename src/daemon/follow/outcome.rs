//! What a piece of work came to, and when the next is due.
//!
//! Owns: the pauses after a burst, between looks without file events and after the ledger could not be written; the
//! moment from which tallyd follows. Fails only where the ledger is gone or cannot be made anew.

use super::super::DaemonError;
use super::super::publishing::Publishing;
use super::super::tell;
use super::super::worker::Outcome;
use super::{Loop, after};
use crate::collect::{CollectError, PassSummary};
use crate::ledger::LedgerError;
use crate::publish::Order as PublishOrder;
use crate::telemetry::Chain;
use crate::watch::Hint;
use std::time::Duration;

/// The longest pause between two tries at a ledger that cannot be written.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A pass over so many logs with something new is part of a burst, and the next waits: that halves the CPU it takes.
const BURST_FILES: usize = 16;
const BURST_PAUSE: Duration = Duration::from_millis(20);

/// Without file events, this many times as long as a look at everything takes passes before the next.
const POLLING_RATIO: u32 = 10;

impl Loop {
    pub(super) fn worked(&mut self, outcome: Outcome) -> Result<(), DaemonError> {
        self.note(&outcome);
        for problem in &outcome.problems {
            tracing::warn!(error = %Chain(problem), "folder");
        }
        if std::mem::replace(&mut self.refused, outcome.refused) && !outcome.refused {
            tracing::info!("file events can be had again: every folder is watched");
        }
        self.interval = if outcome.watching { self.follow.rescan } else { self.polling(&outcome) };
        self.next_walk = self.next_walk.min(after(self.interval));
        match outcome.result {
            Ok(summary) => self.succeeded(summary)?,
            Err(CollectError::Ledger(error)) if error.is_damaged() => self.damage = Some(error),
            // Trying again would not help.
            Err(CollectError::Ledger(error))
                if matches!(error, LedgerError::Gone { .. } | LedgerError::Unmendable { .. }) =>
            {
                return Err(error.into());
            }
            Err(CollectError::Ledger(error)) => self.failed(&error),
        }
        Ok(())
    }

    /// The time between two looks at everything where nothing else tells of changes: a look at a hundred
    /// thousand files takes its time, and is not to be all that this machine does.
    fn polling(&self, outcome: &Outcome) -> Duration {
        let is_idle = outcome.result.as_ref().is_ok_and(|summary| summary.files_read == 0);
        let look = if is_idle { self.begun.elapsed() } else { Duration::ZERO };
        self.follow.poll.max(look.saturating_mul(POLLING_RATIO)).min(self.follow.rescan.max(self.follow.poll))
    }

    fn succeeded(&mut self, mut summary: PassSummary) -> Result<(), DaemonError> {
        if std::mem::take(&mut self.failures) > 0 {
            self.failure.clear();
            self.notify.trouble(None);
            tracing::info!("the ledger can be written again");
        }
        tell::pass(&summary);
        if summary.files_read >= BURST_FILES {
            self.next_pass = after(BURST_PAUSE);
        }
        let is_whole = summary.unfinished.is_empty();
        if is_whole {
            self.lag.counted();
        }
        // What is left of long files comes with what was written to others meanwhile.
        std::mem::take(&mut summary.unfinished)
            .into_iter()
            .map(Hint::File)
            .for_each(|hint| self.pending.add(hint));
        if self.on_ready.is_some() {
            self.found.files = self.found.files.max(summary.files);
            self.found.ingest.add(summary.ingest);
        } else if summary.ingest.new_responses + summary.ingest.raised_responses > 0 {
            self.tell_publisher(PublishOrder::Changed);
        }
        if is_whole && let Some(on_ready) = self.on_ready.take() {
            on_ready(&self.found);
            tracing::info!("following");
            self.notify.ready(after(Duration::ZERO));
        }
        // At the end of the first pass over all logs, and of the first after the ledger was made anew.
        if is_whole { self.publish() } else { Ok(()) }
    }

    /// Starts publishing, where it is on and not yet under way, over the ledger that is in place now. What is
    /// wrong with that is the worker's to judge: it looks again, and ends this process where nothing else helps.
    fn publish(&mut self) -> Result<(), DaemonError> {
        let Some(mut publisher) = self.publisher.take() else { return Ok(()) };
        let damages = self.damages.0.clone();
        match publisher.reopen(Box::new(move |what| drop(damages.send(what)))) {
            Ok(()) => {
                self.publishing = Some(Publishing::start(publisher)?);
                return Ok(());
            }
            Err(error) if error.is_damaged() => self.damage = Some(error),
            Err(error) => self.failed(&error),
        }
        self.publisher = Some(publisher);
        Ok(())
    }

    /// The ledger could not be written: it is tried again, and said once for each reason.
    pub(super) fn failed(&mut self, error: &LedgerError) {
        self.failures = self.failures.saturating_add(1);
        let pause = Duration::from_secs(1 << self.failures.min(6)).min(LONGEST_PAUSE);
        let (retry_seconds, reason) = (pause.as_secs(), Chain(error).to_string());
        if reason == self.failure {
            tracing::debug!(error = reason, retry_seconds, "the ledger still cannot be written");
        } else {
            tracing::error!(
                error = reason,
                retry_seconds,
                "the ledger cannot be written; nothing is lost: the logs are read again until it can be"
            );
            self.notify.trouble(Some(&reason));
            self.failure = reason;
        }
        self.next_try = after(pause);
        self.next_walk = self.next_try;
        self.pending.add(Hint::Everything);
    }
}
