//! When a session may be sent, and how many at once: pure, the time is given.
//!
//! A session that grows is sent once in an interval, others at once. Batches shrink where one was too large
//! or took too long and grow again with success. A session that fails on its own in a way that only its
//! call can be blamed for is tried alone, behind all others, so that it holds up nobody.

use super::backoff::Backoff;
use crate::domain::SessionKey;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Sessions in the first batch.
const FIRST_BATCH: usize = 100;
/// Sessions in the largest: half of what the server takes, which keeps it far from its limit of time.
const LARGEST_BATCH: usize = 500;
/// Bytes of a batch: below the limits of gateways, which begin at 1 MiB.
const BATCH_BYTES: usize = 512 * 1024;

/// When a session may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Now, with others.
    Now,
    /// Now, alone, when there is nothing else.
    Alone,
    /// Not before then.
    At(Instant),
}

#[derive(Debug)]
struct Suspect {
    backoff: Backoff,
    not_before: Instant,
}

/// The pace of sending.
#[derive(Debug)]
pub(super) struct Pace {
    batch: usize,
    /// A batch was too much: its size is crept up to.
    is_careful: bool,
    /// Sessions that were sent within the last interval, and when.
    sent: HashMap<SessionKey, Instant>,
    suspects: HashMap<SessionKey, Suspect>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { batch: FIRST_BATCH, is_careful: false, sent: HashMap::new(), suspects: HashMap::new() }
    }

    /// Sessions of the next batch.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// How many of the bodies with these lengths go into one batch: one at least.
    pub(super) fn fitting(lengths: impl Iterator<Item = usize>) -> usize {
        let mut bytes = 0;
        let within = |length: usize| {
            bytes += length;
            bytes <= BATCH_BYTES
        };
        lengths.map(within).take_while(|fits| *fits).count().max(1)
    }

    /// When a session may be sent again.
    pub(super) fn due(&self, key: SessionKey, interval: Duration, now: Instant) -> Due {
        if let Some(suspect) = self.suspects.get(&key) {
            return if suspect.not_before <= now { Due::Alone } else { Due::At(suspect.not_before) };
        }
        match self.sent.get(&key).map(|sent| *sent + interval) {
            Some(then) if then > now => Due::At(then),
            _ => Due::Now,
        }
    }

    /// Sessions were sent and answered.
    pub(super) fn answered(
        &mut self,
        keys: impl Iterator<Item = SessionKey>,
        interval: Duration,
        now: Instant,
    ) {
        self.sent.retain(|_, sent| *sent + interval > now);
        let mut count = 0;
        for key in keys {
            count += 1;
            self.suspects.remove(&key);
            self.sent.insert(key, now);
        }
        if count >= self.batch {
            let more = if self.is_careful { self.batch / 8 + 1 } else { self.batch };
            self.batch = (self.batch + more).min(LARGEST_BATCH);
        }
    }

    /// A batch was too much.
    pub(super) fn shrink(&mut self) {
        self.batch = (self.batch / 2).max(1);
        self.is_careful = true;
    }

    /// Whether a session failed on its own and has not succeeded since.
    pub(super) fn is_suspect(&self, key: SessionKey) -> bool {
        self.suspects.contains_key(&key)
    }

    /// A session failed on its own.
    pub(super) fn suspect(&mut self, key: SessionKey, random: u32, now: Instant) {
        let suspect =
            self.suspects.entry(key).or_insert(Suspect { backoff: Backoff::TRANSIENT, not_before: now });
        suspect.not_before = now + suspect.backoff.after_failure(None, random);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn now() -> Instant {
        // clock: any moment will do, the tests count from it.
        Instant::now()
    }

    fn keys(count: i64) -> impl Iterator<Item = SessionKey> {
        (0..count).map(SessionKey)
    }

    #[test]
    fn a_session_is_due_once_in_an_interval_and_others_at_once() {
        let (mut pace, start) = (Pace::new(), now());
        let [growing, other] = [SessionKey(1), SessionKey(2)];
        assert_eq!(pace.due(growing, 2 * SECOND, start), Due::Now);
        pace.answered([growing].into_iter(), 2 * SECOND, start);
        assert_eq!(pace.due(growing, 2 * SECOND, start + SECOND), Due::At(start + 2 * SECOND));
        assert_eq!(pace.due(other, 2 * SECOND, start + SECOND), Due::Now);
        assert_eq!(pace.due(growing, 2 * SECOND, start + 2 * SECOND), Due::Now);
        pace.answered(std::iter::empty(), 2 * SECOND, start + 2 * SECOND);
        assert!(pace.sent.is_empty(), "what was sent long ago is forgotten");
    }

    #[test]
    fn batches_shrink_to_one_and_grow_with_success_that_fills_them() {
        let (mut pace, start) = (Pace::new(), now());
        pace.answered(keys(99), SECOND, start);
        assert_eq!(pace.batch(), 100);
        for expected in [200, 400, 500, 500] {
            let count = i64::try_from(pace.batch()).unwrap();
            pace.answered(keys(count), SECOND, start);
            assert_eq!(pace.batch(), expected);
        }
        (0..20).for_each(|_| pace.shrink());
        assert_eq!(pace.batch(), 1);
        for expected in [2, 3, 4, 5, 6, 7, 8, 10] {
            let count = i64::try_from(pace.batch()).unwrap();
            pace.answered(keys(count), SECOND, start);
            assert_eq!(pace.batch(), expected, "carefully, from now on");
        }
    }

    #[test]
    fn a_batch_ends_before_its_limit_and_holds_one_body_however_long() {
        assert_eq!(Pace::fitting([BATCH_BYTES / 2, BATCH_BYTES / 2, 1].into_iter()), 2);
        assert_eq!(Pace::fitting([BATCH_BYTES + 1, 1].into_iter()), 1);
    }

    #[test]
    fn a_session_that_fails_on_its_own_comes_last_until_it_succeeds() {
        let (mut pace, start) = (Pace::new(), now());
        let key = SessionKey(1);
        pace.suspect(key, 65_535, start);
        assert_eq!(pace.due(key, SECOND, start), Due::At(start + SECOND));
        assert_eq!(pace.due(key, SECOND, start + SECOND), Due::Alone);
        pace.suspect(key, 65_535, start + SECOND);
        assert_eq!(pace.due(key, SECOND, start + 2 * SECOND), Due::At(start + 3 * SECOND));
        pace.answered([key].into_iter(), SECOND, start + 3 * SECOND);
        assert_eq!(pace.due(key, SECOND, start + 4 * SECOND), Due::Now);
    }
}
