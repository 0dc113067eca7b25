//! Instants and the quarter hours that totals are kept by.

use chrono::{DateTime, TimeZone, Utc};
use std::time::{SystemTime, UNIX_EPOCH};

/// Length of a quarter hour in milliseconds.
const QUARTER_MS: i64 = 15 * 60 * 1000;

/// An instant, in milliseconds since 1970-01-01T00:00:00Z; session logs resolve no finer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Parses an RFC 3339 timestamp as session logs carry it (`2026-08-20T12:21:42.909Z`).
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|instant| Self(instant.timestamp_millis()))
    }

    /// The instant as a date and time in UTC; instants outside of chrono's range clamp to its ends.
    pub fn to_utc(self) -> DateTime<Utc> {
        Utc.timestamp_millis_opt(self.0).single().unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }

    /// The instant as RFC 3339 in UTC with milliseconds.
    pub fn to_rfc3339(self) -> String {
        self.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }

    /// The quarter hour that holds the instant.
    pub fn quarter(self) -> Quarter {
        Quarter(self.0.div_euclid(QUARTER_MS))
    }
}

impl From<SystemTime> for UnixMillis {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => Self(i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms)),
        }
    }
}

/// A quarter hour of UTC, numbered from 1970. Every time zone of this century is a whole number of
/// quarter hours off UTC, so that totals by quarter hour add up to exact days of any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quarter(pub i64);

impl Quarter {
    /// The instant at which it begins.
    pub fn start(self) -> UnixMillis {
        UnixMillis(self.0.saturating_mul(QUARTER_MS))
    }
}

/// Where the present moment comes from; tests inject their own.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> UnixMillis;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        SystemTime::now().into()
    }
}
