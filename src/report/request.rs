//! What a user can ask of a report, parsed into types.
//!
//! Owns: the forms of dates, week days, token limits and block lengths on the command line, and the
//! defaults. Refuses: reading the environment or the clock; `now` is handed in. Fails by
//! [`ReportError`] that names the refused value.

use super::{ReportError, Zone};
use crate::domain::{Quarter, UnixMillis};
use chrono::{Days, NaiveDate, NaiveTime, Weekday};

/// What the rows of a report are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A row a day.
    Daily,
    /// A row a week, named by its first day.
    Weekly {
        /// The day that weeks begin with; ccusage 20 takes Sunday unless told otherwise.
        start_of_week: Weekday,
    },
    /// A row a month.
    Monthly,
    /// A row a session.
    Session {
        /// Only this session: its id, or the unambiguous beginning of it.
        id: Option<String>,
    },
    /// A row a project.
    Project,
    /// A row a model.
    Model,
    /// A row a billing window.
    Blocks(BlockOptions),
}

/// What can be asked of the report of billing windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockOptions {
    /// Only the window that is open now.
    pub active: bool,
    /// Only windows that began in the last three days.
    pub recent: bool,
    /// The limit that usage is measured against.
    pub token_limit: Option<TokenLimit>,
    /// Length of a window.
    pub length: BlockLength,
}

/// The limit that the use of a billing window is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLimit {
    /// So many tokens.
    Tokens(u64),
    /// As many as the fullest window before.
    Max,
}

impl TokenLimit {
    /// Reads a number above zero, or `max`.
    ///
    /// # Errors
    /// [`ReportError::BadTokenLimit`] for every other text.
    pub fn parse(value: &str) -> Result<Self, ReportError> {
        let bad = || ReportError::BadTokenLimit { value: value.to_owned() };
        if value.eq_ignore_ascii_case("max") {
            return Ok(Self::Max);
        }
        value.parse().ok().filter(|limit| *limit > 0).map(Self::Tokens).ok_or_else(bad)
    }
}

/// Length of a billing window in whole hours, 1 to 744: up to a month of 31 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLength(i64);

impl BlockLength {
    const MAX_HOURS: i64 = 744;

    /// Reads whole hours.
    ///
    /// # Errors
    /// [`ReportError::BadBlockLength`] for everything that is not a whole number from 1 to 744.
    pub fn parse(value: &str) -> Result<Self, ReportError> {
        let hours = value.parse().ok().filter(|hours| (1..=Self::MAX_HOURS).contains(hours));
        hours.map(Self).ok_or_else(|| ReportError::BadBlockLength { value: value.to_owned() })
    }

    /// The length in milliseconds.
    pub fn milliseconds(self) -> i64 {
        self.0 * 60 * 60 * 1000
    }
}

/// Five hours, the window that subscriptions are limited by.
impl Default for BlockLength {
    fn default() -> Self {
        Self(5)
    }
}

/// The order of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first; sessions, projects and models by their last activity.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// What of the ledger a report is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What all sessions together used on each day of [`Request::day_of`], and the cells of those that no log here
    /// has.
    Days,
    /// The cells of so many sessions, those that were active last on the days of [`Request::day_of`].
    LatestSessions(usize),
    /// All cells.
    Cells,
}

/// Everything that shapes a report.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line, free of the others")]
pub struct Request {
    /// What the rows are.
    pub kind: Kind,
    /// First local day counted.
    pub since: Option<NaiveDate>,
    /// Last local day counted.
    pub until: Option<NaiveDate>,
    /// The zone whose days are meant.
    pub zone: Zone,
    /// The order of rows.
    pub order: Order,
    /// Show each model of a row on a line of its own (table and CSV; JSON always has them).
    pub breakdown: bool,
    /// Only the project of this name: the whole path, its last component, or the log folder's name.
    pub project: Option<String>,
    /// Daily rows for each project apart.
    pub instances: bool,
    /// The table with few columns, whatever the width.
    pub compact: bool,
    /// Leave costs out.
    pub no_cost: bool,
    /// Show what replies without a final count most likely had.
    pub estimate: bool,
    /// Only the latest so many rows; gaps between billing windows are no rows here.
    pub last: Option<usize>,
    /// The present moment: which billing window is open.
    pub now: UnixMillis,
}

impl Request {
    /// A request with the defaults: everything, oldest first.
    pub fn new(kind: Kind, zone: Zone, now: UnixMillis) -> Self {
        Self {
            kind,
            since: None,
            until: None,
            zone,
            order: Order::Ascending,
            breakdown: false,
            project: None,
            instances: false,
            compact: false,
            no_cost: false,
            estimate: false,
            last: None,
            now,
        }
    }

    /// What of the ledger this report is made from: as little as tells it.
    pub fn source(&self) -> Source {
        match (&self.kind, self.last) {
            _ if self.project.is_some() || self.instances => Source::Cells,
            (Kind::Daily | Kind::Weekly { .. } | Kind::Monthly, _) => Source::Days,
            (Kind::Session { id: None }, Some(count)) => Source::LatestSessions(count),
            _ => Source::Cells,
        }
    }

    /// The local day of a quarter hour, where it is asked for: that of its beginning.
    pub fn day_of(&self, quarter: Quarter) -> Option<NaiveDate> {
        Some(self.zone.date(quarter.start())).filter(|day| self.covers(*day))
    }

    /// The moments that may be on the days asked for: where it is which day is at most a day off UTC.
    pub fn span(&self) -> (Option<UnixMillis>, Option<UnixMillis>) {
        let start = |day: NaiveDate| UnixMillis(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
        let since = self.since.and_then(|day| day.pred_opt());
        let until = self.until.and_then(|day| day.checked_add_days(Days::new(2)));
        (since.map(start), until.map(start))
    }

    /// True when a local day is asked for.
    pub(super) fn covers(&self, day: NaiveDate) -> bool {
        self.since.is_none_or(|since| day >= since) && self.until.is_none_or(|until| day <= until)
    }

    /// Refuses days in the wrong order, which would give an empty report without a word.
    pub(super) fn check(&self) -> Result<(), ReportError> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since > until => Err(ReportError::DatesReversed { since, until }),
            _ => Ok(()),
        }
    }
}

/// Reads a day as `20260308` or `2026-03-08`.
///
/// # Errors
/// [`ReportError::BadDate`] for every other text and for days that no calendar has.
pub fn parse_date(value: &str) -> Result<NaiveDate, ReportError> {
    let bad = || ReportError::BadDate { value: value.to_owned() };
    let form = match value.len() {
        8 => "%Y%m%d",
        10 => "%Y-%m-%d",
        _ => return Err(bad()),
    };
    // chrono reads signs and blanks inside numbers too, which no date is written with.
    if !value
        .bytes()
        .enumerate()
        .all(|(at, byte)| byte.is_ascii_digit() || (byte == b'-' && (at == 4 || at == 7)))
    {
        return Err(bad());
    }
    NaiveDate::parse_from_str(value, form).map_err(|_| bad())
}

/// Reads the English name of a day of the week, whole or its first three letters.
///
/// # Errors
/// [`ReportError::BadWeekday`] for every other text.
pub fn parse_weekday(value: &str) -> Result<Weekday, ReportError> {
    value.trim().parse().map_err(|_| ReportError::BadWeekday { value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_date_are_read_and_no_other() {
        let expected = NaiveDate::from_ymd_opt(2026, 3, 8);
        assert_eq!(parse_date("20260308").ok(), expected);
        assert_eq!(parse_date("2026-03-08").ok(), expected);
        for value in [
            "",
            "2026-3-8",
            "20260230",
            "2026-02-30",
            "08.03.2026",
            "+2026308",
            "2026 0308",
            "yesterday",
            "2026-0308",
        ] {
            assert_eq!(parse_date(value), Err(ReportError::BadDate { value: value.into() }));
        }
    }

    #[test]
    fn days_of_the_week_limits_and_lengths_are_read() {
        assert_eq!(parse_weekday("Sunday").ok(), Some(Weekday::Sun));
        assert_eq!(parse_weekday("mon").ok(), Some(Weekday::Mon));
        assert!(matches!(parse_weekday("someday"), Err(ReportError::BadWeekday { .. })));
        assert_eq!(TokenLimit::parse("MAX").ok(), Some(TokenLimit::Max));
        assert_eq!(TokenLimit::parse("500000").ok(), Some(TokenLimit::Tokens(500_000)));
        assert!(matches!(TokenLimit::parse("0"), Err(ReportError::BadTokenLimit { .. })));
        assert_eq!(BlockLength::parse("5").ok(), Some(BlockLength::default()));
        assert!(BlockLength::parse("744").is_ok(), "a month, as the command line allows");
        for value in ["0", "745", "2.5", "-1"] {
            assert_eq!(BlockLength::parse(value), Err(ReportError::BadBlockLength { value: value.into() }));
        }
    }
}
