//! What a person and other processes are told of publishing: one loud line for a fault, few for what passes
//! by itself, one when it is over; and the same in the ledger, for `tallyd check`.
//!
//! Never says a key, a body or a token; what a server said comes here shortened and safe to show. Cannot
//! fail: a note that cannot be written is missing.

use super::PublishOptions;
use super::obstacle::Obstacle;
use crate::domain::{Clock, UnixMillis};
use crate::ledger::{NotedRefusal, Outbox, PublishNote};
use crate::telemetry::{Chain, shown};
use std::time::Duration;
use tokio::time::Instant;

/// Between the first line about what passes by itself and the second; doubles with each.
const FIRST_SILENCE: Duration = Duration::from_mins(5);
/// No silence about it is longer.
const LONGEST_SILENCE: Duration = Duration::from_hours(6);
/// Success is noted at most this often while it lasts.
const NOTE_INTERVAL: Duration = Duration::from_secs(10);
/// Clocks that differ by more are told of: days, and the order of files, come from them.
const SKEW_LIMIT_MS: u64 = 5 * 60 * 1_000;

/// A trouble that has been told of.
#[derive(Debug)]
struct Told {
    kind: &'static str,
    since: Instant,
    again: Instant,
    silence: Duration,
}

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Voice {
    told: Option<Told>,
    noted: Option<Instant>,
    /// The server's clock was found to differ, and that was said.
    skew_told: bool,
    /// Whoever asked is told what came of it, and tells it on.
    is_quiet: bool,
}

impl Voice {
    /// Settings are others: what is said next is news.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// From now on nothing is said of what an answer to the caller holds; the ledger is told.
    pub(super) fn quiet(&mut self) {
        self.is_quiet = true;
    }

    /// Something is in the way.
    pub(super) fn obstacle(
        &mut self,
        met: &Obstacle,
        options: &PublishOptions,
        outbox: &mut Outbox,
        clock: &dyn Clock,
        now: Instant,
    ) {
        let is_news = self.is_news(met.kind(), matches!(met, Obstacle::Fault(_)), now);
        if !is_news {
            tracing::debug!(problem = %met.what(), "still not published");
            return;
        }
        let refusal = NotedRefusal {
            at: clock.now(),
            kind: met.kind().to_owned(),
            message: met.what(),
            help: met.help(options),
        };
        if self.is_quiet {
            tracing::debug!(problem = %refusal.message, "not published");
        } else if let Obstacle::Fault(_) = met {
            tracing::error!(
                problem = %refusal.message,
                help = %refusal.help,
                "nothing can be published; all of it is kept and sent once this is mended"
            );
        } else {
            tracing::warn!(problem = %refusal.message, "not published yet; trying again by itself");
        }
        let last_success = outbox.noted().map(|note| note.last_success).unwrap_or_default();
        note(outbox, &PublishNote { last_success, refusal: Some(refusal) });
    }

    /// Whether a trouble of this kind is to be told of now. A fault is told of once; what passes by itself
    /// at growing intervals.
    fn is_news(&mut self, kind: &'static str, is_fault: bool, now: Instant) -> bool {
        match &mut self.told {
            Some(told) if told.kind == kind => {
                let is_due = !is_fault && told.again <= now;
                if is_due {
                    told.silence = (told.silence * 2).min(LONGEST_SILENCE);
                    told.again = now + told.silence;
                }
                is_due
            }
            told => {
                let since = told.as_ref().map_or(now, |told| told.since);
                *told = Some(Told { kind, since, again: now + FIRST_SILENCE, silence: FIRST_SILENCE });
                true
            }
        }
    }

    /// What is in the ledger was sent, or there was nothing to send and the server is there.
    pub(super) fn success(&mut self, outbox: &mut Outbox, clock: &dyn Clock, now: Instant) {
        let over = self.told.take();
        if let Some(told) = &over {
            let seconds = now.duration_since(told.since).as_secs();
            tracing::info!(after_seconds = seconds, "publishing goes on; what was kept has been sent");
        }
        if over.is_some() || self.noted.is_none_or(|noted| noted + NOTE_INTERVAL <= now) {
            self.noted = Some(now);
            note(outbox, &PublishNote { last_success: Some(clock.now()), refusal: None });
        }
    }

    /// The server's clock, as it was a moment ago.
    pub(super) fn clock(&mut self, server: UnixMillis, here: UnixMillis) {
        let skew = here.0.saturating_sub(server.0);
        if skew.unsigned_abs() > SKEW_LIMIT_MS && !self.skew_told {
            self.skew_told = true;
            let minutes = skew / 60_000;
            tracing::warn!(
                minutes,
                "this machine's clock differs from the server's: usage may be counted on another day"
            );
        }
    }

    /// The server refuses one session.
    pub(super) fn parked(&self, session: &str, code: &str, message: &str) {
        let session = shown(session);
        if self.is_quiet {
            tracing::debug!(session, code, message, "the server refuses a session");
            return;
        }
        tracing::warn!(
            session,
            code,
            message,
            "the server refuses a session; it is kept, and tried again when it changes or tallyd is upgraded"
        );
    }

    /// Prices were changed without saying so.
    pub(super) fn prices_without_revision() {
        tracing::warn!(
            help = "raise `version` in your price file",
            "prices have changed under the same version: the server cannot tell which cost is the newer one"
        );
    }
}

fn note(outbox: &mut Outbox, note: &PublishNote) {
    if let Err(error) = outbox.note(note) {
        tracing::debug!(error = %Chain(&error), "the state of publishing could not be noted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// At which of these hours something is said of a trouble that lasts.
    fn told_at(is_fault: bool, hours: std::ops::Range<u32>) -> Vec<u32> {
        let (mut voice, start) = (Voice::default(), super::super::worker::monotonic());
        hours.filter(|hour| voice.is_news("kind", is_fault, start + HOUR * *hour)).collect()
    }

    #[test]
    fn a_fault_is_told_once_and_what_passes_at_growing_intervals() {
        assert_eq!(told_at(true, 0..100), [0]);
        let told = told_at(false, 0..40);
        assert_eq!(told.first(), Some(&0));
        let gaps: Vec<u32> = told.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.is_sorted() && gaps.last() == Some(&6), "{gaps:?}");
    }

    #[test]
    fn another_trouble_is_news() {
        let (mut voice, now) = (Voice::default(), super::super::worker::monotonic());
        assert!(voice.is_news("unreachable", false, now) && !voice.is_news("unreachable", false, now));
        assert!(voice.is_news("unknown_user", true, now) && !voice.is_news("unknown_user", true, now));
        voice.forget();
        assert!(voice.is_news("unknown_user", true, now), "settings are others");
    }

    #[test]
    fn clocks_that_differ_are_told_of_once() {
        let (mut voice, server) = (Voice::default(), UnixMillis(1_787_228_502_909));
        voice.clock(server, UnixMillis(server.0 + 5 * 60_000));
        assert!(!voice.skew_told, "five minutes are nothing");
        voice.clock(server, UnixMillis(server.0 - 5 * 60_000 - 1));
        assert!(voice.skew_told);
    }
}
