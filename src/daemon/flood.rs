//! How much is told of what is wrong with logs, where there is a lot of it.
//!
//! Owns: the number of lines in a stretch of time; what is over it is counted, and told as a number. A log with a
//! million bad lines, or one more of them with each append, must fill nobody's journal. Hides nothing from the ledger,
//! which has its faults whatever is told. Values in, values out; cannot fail.

use crate::collect::FileReport;
use crate::domain::UnixMillis;

/// So many lines are told one by one …
const MOST: u64 = 100;
/// … in this time from the first of them on.
const STRETCH_MS: i64 = 10 * 60 * 1000;

/// What has been told lately: of what may have been billed, and of the rest.
#[derive(Debug, Default)]
pub(super) struct Flood {
    losses: Stretch,
    rest: Stretch,
}

/// One stretch of time.
#[derive(Debug, Default)]
struct Stretch {
    begun: Option<UnixMillis>,
    told: u64,
    hidden: u64,
}

impl Flood {
    /// Takes out of the reports of a pass what is too much. Says, once for each stretch, that it does, and at
    /// its end how much that was.
    pub(super) fn hold_back(&mut self, reports: &mut Vec<FileReport>, now: UnixMillis) {
        for (stretch, what) in [(&mut self.losses, "losses"), (&mut self.rest, "oddities")] {
            if let Some(lines) = stretch.over(now) {
                tracing::warn!(
                    lines,
                    what,
                    "more lines of logs were not as they should be than are told one by one"
                );
            }
        }
        reports.retain(|report| match report {
            FileReport::Line { is_loss: false, .. } => self.rest.takes(1, now),
            FileReport::Line { .. } | FileReport::File(_) => self.losses.takes(1, now),
            FileReport::More { lines, .. } => self.losses.takes(*lines, now),
        });
    }
}

impl Stretch {
    /// The end of a stretch: what was hidden in it, where anything was.
    fn over(&mut self, now: UnixMillis) -> Option<u64> {
        let age = now.0.saturating_sub(self.begun?.0);
        // A clock that was set back ends it, too.
        if (0..STRETCH_MS).contains(&age) {
            return None;
        }
        let hidden = std::mem::take(self).hidden;
        (hidden > 0).then_some(hidden)
    }

    /// Whether a report about so many lines is still to be told.
    fn takes(&mut self, lines: u64, now: UnixMillis) -> bool {
        self.begun.get_or_insert(now);
        if self.told < MOST {
            self.told += 1;
            return true;
        }
        if self.hidden == 0 {
            tracing::warn!("what else is wrong with logs is told as a number, in ten minutes");
        }
        self.hidden = self.hidden.saturating_add(lines);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: u64, is_loss: bool) -> Vec<FileReport> {
        let line =
            |offset| FileReport::Line { path: "/log".into(), offset, what: "is odd".to_owned(), is_loss };
        (0..count).map(line).collect()
    }

    /// How many of so many lines are told at this time.
    fn told(flood: &mut Flood, count: u64, is_loss: bool, minutes: i64) -> usize {
        let mut reports = lines(count, is_loss);
        flood.hold_back(&mut reports, UnixMillis(minutes * 60_000));
        reports.len()
    }

    #[test]
    fn a_million_bad_lines_are_a_hundred_and_a_number() {
        let mut flood = Flood::default();
        assert_eq!(told(&mut flood, 60, true, 0), 60);
        // One by one, as a log grows.
        let more: usize = (0..1_000).map(|_| told(&mut flood, 1, true, 5)).sum();
        assert_eq!((more, flood.losses.hidden), (40, 960));
        let mut reports = vec![FileReport::More { path: "/log".into(), lines: 1_000_000 }];
        flood.hold_back(&mut reports, UnixMillis(9 * 60_000));
        assert_eq!((reports.len(), flood.losses.hidden), (0, 1_000_960));
        // What is harmless takes nothing from what is not, nor the other way round.
        assert_eq!(told(&mut flood, 7, false, 9), 7);
        assert_eq!(told(&mut flood, 500, true, 10), 100);
        assert_eq!(flood.losses.hidden, 400);
    }

    #[test]
    fn what_was_hidden_is_told_when_its_time_is_over_and_once() {
        let mut stretch = Stretch::default();
        for _ in 0..MOST + 5 {
            stretch.takes(2, UnixMillis(1_000));
        }
        assert_eq!(stretch.over(UnixMillis(1_000 + STRETCH_MS - 1)), None);
        assert_eq!(stretch.over(UnixMillis(1_000 + STRETCH_MS)), Some(10));
        assert_eq!(stretch.over(UnixMillis(1_000 + STRETCH_MS)), None);
        stretch.takes(1, UnixMillis(5_000));
        assert_eq!(stretch.over(UnixMillis(0)), None, "nothing was hidden");
        assert!(stretch.begun.is_none(), "a clock that was set back ends it");
    }
}
