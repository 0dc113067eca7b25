//! What a person and other processes are told of publishing: one loud line for a fault, few for what passes
//! by itself, one when it is over; and the same in the ledger, for `tallyd check`.
//!
//! Never says a key, a body or a token; what a server said comes here shortened and safe to show. Cannot
//! fail: a note that cannot be written is missing.

use super::PublishOptions;
use super::obstacle::Obstacle;
use crate::domain::{Clock, UnixMillis};
use crate::ledger::{NotedRefusal, Outbox, PublishNote};
use crate::telemetry::Chain;
use std::time::Duration;
use tokio::time::Instant;

/// Between the first line about what passes by itself and the second; doubles with each.
const FIRST_SILENCE: Duration = Duration::from_mins(5);
/// No silence about it is longer.
const LONGEST_SILENCE: Duration = Duration::from_hours(6);
/// Success is noted at most this often.
const NOTE_INTERVAL: Duration = Duration::from_secs(10);
/// Refused sessions of one pass that are told of one by one.
const TOLD_PARKED: usize = 5;
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
    /// When something arrived last.
    arrived: Option<UnixMillis>,
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
        let noted = outbox.noted().map(|note| note.last_success).unwrap_or_default();
        let last_success = self.arrived.max(noted);
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

    /// Something has arrived.
    pub(super) fn arrived(&mut self, clock: &dyn Clock) {
        self.arrived = Some(clock.now());
    }

    /// All that could be sent was; with `is_all`, nothing is put off because it failed before. Writes where
    /// there is news alone: a daemon with nothing to do leaves the disk at rest.
    pub(super) fn success(&mut self, is_all: bool, outbox: &mut Outbox, now: Instant) {
        let over = if is_all { self.told.take() } else { None };
        if let Some(told) = &over {
            let seconds = now.duration_since(told.since).as_secs();
            tracing::info!(after_seconds = seconds, "publishing goes on; what was kept has been sent");
        }
        if over.is_none() && self.noted.is_some_and(|noted| now < noted + NOTE_INTERVAL) {
            return;
        }
        let Ok(before) = outbox.noted() else { return };
        let refusal = before.refusal.clone().filter(|_| !is_all);
        let after = PublishNote { last_success: self.arrived.max(before.last_success), refusal };
        if after != before {
            self.noted = Some(now);
            note(outbox, &after);
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

    /// The server refuses one session, the so manieth of a pass. Where it refuses all there are, that is not
    /// told thousands of times.
    pub(super) fn parked(&self, number: usize, session: &str, code: &str, message: &str) {
        let session = super::fault::told(session);
        if self.is_quiet {
            tracing::debug!(session, code, message, "the server refuses a session");
            return;
        }
        if number > TOLD_PARKED {
            if number == TOLD_PARKED + 1 {
                tracing::warn!("the server refuses further sessions; `tallyd check --json` lists them all");
            }
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
    use crate::ledger::{Ledger, LedgerLock};
    use crate::publish::fault::tests::options;
    use std::sync::atomic::{AtomicI64, Ordering};

    struct Time(AtomicI64);

    impl Clock for Time {
        fn now(&self) -> UnixMillis {
            UnixMillis(self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    /// A voice beside an empty ledger, and a moment to count from.
    struct Scene {
        _folder: tempfile::TempDir,
        outbox: Outbox,
        voice: Voice,
        clock: Time,
        start: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let lock = LedgerLock::acquire(folder.path(), "test").unwrap();
            drop(Ledger::open(folder.path(), lock).unwrap());
            let outbox = Outbox::open(folder.path()).unwrap();
            let (voice, clock) = (Voice::default(), Time(AtomicI64::new(1)));
            // clock: any moment will do, the tests count from it.
            Self { _folder: folder, outbox, voice, clock, start: Instant::now() }
        }

        fn fails(&mut self, seconds: u64) {
            let met = Obstacle::Transient { what: "it took too long".to_owned(), retry_after: None };
            let now = self.start + Duration::from_secs(seconds);
            self.voice.obstacle(&met, &options(), &mut self.outbox, &self.clock, now);
        }

        fn arrives(&mut self, seconds: u64, is_all: bool) {
            self.voice.arrived(&self.clock);
            self.looks(seconds, is_all);
        }

        fn looks(&mut self, seconds: u64, is_all: bool) {
            self.voice.success(is_all, &mut self.outbox, self.start + Duration::from_secs(seconds));
        }

        /// Last success, and since when nothing is sent.
        fn noted(&self) -> (Option<i64>, Option<i64>) {
            let PublishNote { last_success, refusal } = self.outbox.noted().unwrap();
            (last_success.map(|at| at.0), refusal.map(|refusal| refusal.at.0))
        }
    }

    #[test]
    fn only_what_arrived_is_a_success() {
        let mut scene = Scene::new();
        scene.looks(0, true);
        assert_eq!(scene.noted(), (None, None));
        scene.arrives(1, true);
        assert_eq!(scene.noted(), (Some(1), None));
        scene.arrives(2, true);
        assert_eq!(scene.noted(), (Some(1), None), "not each one is noted");
        scene.looks(60, true);
        assert_eq!(scene.noted(), (Some(2), None), "the last one is");
        scene.looks(120, true);
        assert_eq!(scene.noted(), (Some(2), None), "nothing happened since");
    }

    #[test]
    fn trouble_with_one_session_is_over_when_that_one_arrives() {
        let mut scene = Scene::new();
        scene.fails(0);
        assert_eq!(scene.noted(), (None, Some(1)));
        scene.arrives(20, false);
        assert_eq!(scene.noted(), (Some(2), Some(1)));
        scene.fails(40);
        assert_eq!(scene.noted(), (Some(2), Some(1)), "it is no news");
        scene.arrives(41, true);
        assert_eq!(scene.noted(), (Some(3), None));
    }

    #[test]
    fn what_another_process_met_is_taken_back() {
        let mut scene = Scene::new();
        scene.fails(0);
        scene.voice = Voice::default();
        scene.looks(30, true);
        assert_eq!(scene.noted(), (None, None));
    }

    const HOUR: Duration = Duration::from_hours(1);

    /// At which of these hours something is said of a trouble that lasts.
    fn told_at(is_fault: bool, hours: std::ops::Range<u32>) -> Vec<u32> {
        let (mut voice, start) = (Voice::default(), crate::publish::worker::monotonic());
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
        let (mut voice, now) = (Voice::default(), crate::publish::worker::monotonic());
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
