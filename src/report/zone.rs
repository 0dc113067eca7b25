//! Time zones: which calendar day an instant belongs to, and how an instant reads on the wall.
//!
//! Owns: the rules of IANA zones, by jiff, and the machine's own zone, by chrono. Refuses: finding
//! out the name of the machine's zone; the caller reads the environment. Fails only in parsing a name.

use super::ReportError;
use crate::domain::{Quarter, UnixMillis, iana_zone};
use chrono::{FixedOffset, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc};
use jiff::{Timestamp, tz};
use rustc_hash::FxHashMap;
use std::fmt;

/// The zone whose days a report counts by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// A zone of the IANA database.
    Named(NamedZone),
    /// The machine's zone, where it has no name that the database knows (a POSIX rule in `TZ`, a
    /// local time file of its own).
    Machine,
}

/// A zone of the IANA database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedZone {
    name: &'static str,
    rules: tz::TimeZone,
}

impl NamedZone {
    /// The zone of a name, written as the database writes it.
    fn find(name: &str) -> Option<Self> {
        let (name, rules) = iana_zone(name)?;
        tz::TimeZone::tzif(name, rules).ok().map(|rules| Self { name, rules })
    }

    /// How far its clocks are ahead of UTC.
    fn offset(&self, utc: &NaiveDateTime) -> FixedOffset {
        let second = utc.and_utc().timestamp();
        // jiff's calendar is shorter than chrono's: beyond its ends the rules stay what they are there.
        let beyond = if second < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let instant = Timestamp::from_second(second).unwrap_or(beyond);
        let ahead = FixedOffset::east_opt(self.rules.to_offset(instant).seconds());
        // A day ahead or behind is in no rules.
        ahead.unwrap_or_else(|| Utc.fix())
    }
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self::Named(NamedZone { name: "UTC", rules: tz::TimeZone::UTC });

    /// The zone that a user names: an IANA name, `UTC`, or `local`, which stands for `local`.
    ///
    /// # Errors
    /// [`ReportError::BadZone`] with the name, for every other text.
    pub fn parse(name: &str, local: Self) -> Result<Self, ReportError> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("local") {
            return Ok(local);
        }
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Self::UTC);
        }
        let zone = NamedZone::find(name).ok_or_else(|| ReportError::BadZone { value: name.to_owned() })?;
        Ok(Self::Named(zone))
    }

    /// The machine's zone, given the name that the environment has for it (`TZ` may begin with a colon).
    pub fn of_machine(name: Option<&str>) -> Self {
        match name.map(|name| name.trim().trim_start_matches(':')) {
            // The second is Debian's name for it.
            Some("UTC" | "Etc/UTC") => Self::UTC,
            name => name.and_then(NamedZone::find).map_or(Self::Machine, Self::Named),
        }
    }

    /// The calendar day of an instant.
    pub fn date(&self, at: UnixMillis) -> NaiveDate {
        self.wall(at).date()
    }

    /// The wall clock at an instant.
    pub fn wall(&self, at: UnixMillis) -> NaiveDateTime {
        let utc = at.to_utc().naive_utc();
        // At the ends of chrono's calendar the offset leads out of it; no log is from there.
        utc.checked_add_offset(self.offset(&utc)).unwrap_or(utc)
    }

    fn offset(&self, utc: &NaiveDateTime) -> FixedOffset {
        match self {
            Self::Named(zone) => zone.offset(utc),
            Self::Machine => chrono::Local.offset_from_utc_datetime(utc),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(zone) => f.write_str(zone.name),
            Self::Machine => f.write_str("local time"),
        }
    }
}

/// Days of quarter hours, looked up in the zone once each: a ledger has many cells in each quarter hour.
#[derive(Debug)]
pub(super) struct Calendar<'a> {
    zone: &'a Zone,
    days: FxHashMap<Quarter, NaiveDate>,
    /// The latest answer: a ledger lists its cells by time, or nearly so.
    latest: Option<(Quarter, NaiveDate)>,
}

impl<'a> Calendar<'a> {
    /// An empty calendar of a zone.
    pub(super) fn new(zone: &'a Zone) -> Self {
        Self { zone, days: FxHashMap::default(), latest: None }
    }

    /// The day of a quarter hour: the day of its beginning.
    pub(super) fn day(&mut self, quarter: Quarter) -> NaiveDate {
        if let Some((_, day)) = self.latest.filter(|(latest, _)| *latest == quarter) {
            return day;
        }
        let day = *self.days.entry(quarter).or_insert_with(|| self.zone.date(quarter.start()));
        self.latest = Some((quarter, day));
        day
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(zone: &str, instant: &str) -> String {
        let zone = Zone::parse(zone, Zone::UTC).expect("zone");
        let quarter = UnixMillis::parse(instant).expect("instant").quarter();
        Calendar::new(&zone).day(quarter).to_string()
    }

    #[test]
    fn days_follow_summer_time_and_quarter_hour_offsets() {
        for (zone, instant, expected) in [
            // New York is five hours behind until 02:00 on 8 March 2026, then four.
            ("America/New_York", "2026-03-08T04:59:59.999Z", "2026-03-07"),
            ("America/New_York", "2026-03-08T05:00:00.000Z", "2026-03-08"),
            ("America/New_York", "2026-03-09T03:59:59.999Z", "2026-03-08"),
            ("America/New_York", "2026-03-09T04:00:00.000Z", "2026-03-09"),
            // And five again from 02:00 on 1 November 2026: that day has 25 hours.
            ("America/New_York", "2026-11-01T04:00:00.000Z", "2026-11-01"),
            ("America/New_York", "2026-11-02T04:59:59.999Z", "2026-11-01"),
            ("America/New_York", "2026-11-02T05:00:00.000Z", "2026-11-02"),
            // Kathmandu is 5:45 ahead.
            ("Asia/Kathmandu", "2026-06-30T18:14:59.999Z", "2026-06-30"),
            ("Asia/Kathmandu", "2026-06-30T18:15:00.000Z", "2026-07-01"),
            ("utc", "2026-06-30T23:59:59.999Z", "2026-06-30"),
            ("local", "2026-06-30T23:59:59.999Z", "2026-06-30"),
        ] {
            assert_eq!(day(zone, instant), expected, "{zone} {instant}");
        }
    }

    #[test]
    fn an_unknown_zone_is_named() {
        for name in ["Mars/Olympus", "", "+02:00"] {
            let error = Zone::parse(name, Zone::UTC).expect_err("no zone");
            assert_eq!(error, ReportError::BadZone { value: name.into() });
        }
    }

    #[test]
    fn the_machine_has_a_zone_with_or_without_a_name() {
        assert_eq!(
            Zone::of_machine(Some(":Asia/Tokyo")),
            Zone::parse("Asia/Tokyo", Zone::UTC).expect("a zone")
        );
        assert_eq!([Some("UTC"), Some("Etc/UTC")].map(Zone::of_machine), [Zone::UTC, Zone::UTC]);
        assert_eq!(Zone::of_machine(Some("EST5EDT,M3.2.0,M11.1.0")), Zone::Machine);
        assert_eq!(Zone::of_machine(None), Zone::Machine);
    }

    #[test]
    fn the_ends_of_time_have_a_day() {
        for at in [i64::MIN, i64::MAX] {
            let date = |name| Zone::parse(name, Zone::UTC).expect("a zone").date(UnixMillis(at));
            assert!(date("Asia/Tokyo") >= date("Pacific/Honolulu"));
        }
    }
}
