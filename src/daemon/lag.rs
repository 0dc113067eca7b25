//! For how long something has been known to be written that is not in the ledger yet. Pure but for the moments it is
//! given.

use super::follow::Moment;
use std::time::Duration;

/// What waits to be counted, since when.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// The oldest hint that nobody works at.
    waiting: Option<Moment>,
    /// The oldest hint of what is being worked at, or was without success.
    working: Option<Moment>,
}

impl Lag {
    /// A change was told of.
    pub(super) fn hinted(&mut self, now: impl FnOnce() -> Moment) {
        if self.waiting.is_none() {
            self.waiting = Some(now());
        }
    }

    /// What waited is being worked at.
    pub(super) fn taken(&mut self) {
        let waiting = self.waiting.take();
        self.working = self.working.or(waiting);
    }

    /// All that was worked at is in the ledger.
    pub(super) fn counted(&mut self) {
        self.working = None;
    }

    /// For how long the oldest waits.
    pub(super) fn at(&self, now: Moment) -> Duration {
        let oldest = self.working.or(self.waiting);
        oldest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_or_is_unfinished_goes_on_waiting() {
        // clock: a beginning to count from.
        let start = Moment::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lag = Lag::default();
        assert_eq!(lag.at(at(9)), Duration::ZERO);
        lag.hinted(|| at(1));
        lag.hinted(|| at(2));
        assert_eq!(lag.at(at(3)), Duration::from_secs(2));
        lag.taken();
        lag.hinted(|| at(4));
        assert_eq!(lag.at(at(5)), Duration::from_secs(4));
        // The first try fails; the second takes what came meanwhile along.
        lag.taken();
        assert_eq!(lag.at(at(6)), Duration::from_secs(5));
        lag.hinted(|| at(6));
        lag.counted();
        assert_eq!(lag.at(at(8)), Duration::from_secs(2));
        lag.taken();
        lag.counted();
        assert_eq!(lag.at(at(9)), Duration::ZERO);
    }
}
