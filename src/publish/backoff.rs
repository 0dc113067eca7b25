//! How long to wait after a failure: pure, the randomness is given.
//!
//! Each failure doubles the pause up to a limit; the upper half of it is random, so that many programs that
//! a fault stopped at the same moment do not come back at the same moment.

use std::time::Duration;

/// A pause that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backoff {
    first: Duration,
    limit: Duration,
    failures: u32,
}

impl Backoff {
    /// For what passes by itself: 1 s to a minute.
    pub(super) const TRANSIENT: Self = Self::new(Duration::from_secs(1), Duration::from_mins(1));
    /// For what a person has to mend: 1 to 15 minutes.
    pub(super) const CONFIGURATION: Self = Self::new(Duration::from_mins(1), Duration::from_mins(15));
    /// A server's wish beyond this is shortened to it.
    const LONGEST_WISH: Duration = Duration::from_mins(15);

    const fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, failures: 0 }
    }

    /// Counts a failure and returns how long to wait: at least half of what the number of failures asks
    /// for, at most all of it, by `random`; and not less than the server wishes.
    pub(super) fn after_failure(&mut self, wish: Option<Duration>, random: u32) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.limit);
        self.failures = self.failures.saturating_add(1);
        let half = doubled / 2;
        // A share of the other half, in 65,536ths.
        let share = half.saturating_mul(random % 65_536) / 65_535;
        (half + share).max(wish.unwrap_or_default().min(Self::LONGEST_WISH))
    }

    /// Something went well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_success() {
        let mut backoff = Backoff::TRANSIENT;
        let pauses: Vec<u64> = (0..9).map(|_| backoff.after_failure(None, 65_535).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.after_failure(None, 0), Duration::from_millis(500));
    }

    #[test]
    fn a_server_is_given_the_time_it_asks_for_within_reason() {
        let after = |wish| Backoff::TRANSIENT.clone().after_failure(Some(Duration::from_secs(wish)), 65_535);
        assert_eq!(after(0), Duration::from_secs(1));
        assert_eq!(after(30), Duration::from_secs(30));
        assert_eq!(after(1_000_000), Duration::from_mins(15));
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_limits(failures in 0_u32..200, random: u32, configuration: bool) {
            let mut backoff = if configuration { Backoff::CONFIGURATION } else { Backoff::TRANSIENT };
            for _ in 0..failures {
                backoff.after_failure(None, random);
            }
            let pause = backoff.after_failure(None, random);
            prop_assert!(pause >= backoff.first / 2 && pause <= backoff.limit, "{pause:?}");
            if failures > 10 {
                prop_assert!(pause >= backoff.limit / 2);
            }
        }
    }
}
