//! What can be wrong with a report request. Every variant names the value it refuses.
//!
//! Owns: the module's one error type. Refuses: knowing exit codes. Nothing here fails.

use chrono::NaiveDate;
use thiserror::Error;

/// Why a report cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReportError {
    /// A date in neither accepted form.
    #[error("`{value}` is no date: write it as 20260308 or 2026-03-08")]
    BadDate {
        /// What was given.
        value: String,
    },
    /// A time zone that the IANA database does not list.
    #[error("`{value}` is no time zone: use an IANA name such as Europe/Berlin, or UTC, or local")]
    BadZone {
        /// What was given.
        value: String,
    },
    /// A day of the week that is none.
    #[error("`{value}` is no day of the week: use sunday, monday, tuesday and so on")]
    BadWeekday {
        /// What was given.
        value: String,
    },
    /// A token limit that is neither a number nor `max`.
    #[error("`{value}` is no token limit: use a whole number above zero, or max")]
    BadTokenLimit {
        /// What was given.
        value: String,
    },
    /// A block length out of range.
    #[error("`{value}` is no block length: use whole hours from 1 to 744")]
    BadBlockLength {
        /// What was given.
        value: String,
    },
    /// The first day is after the last.
    #[error("the first day, {since}, is after the last, {until}")]
    DatesReversed {
        /// First day asked for.
        since: NaiveDate,
        /// Last day asked for.
        until: NaiveDate,
    },
    /// No session belongs to a project of that name.
    #[error("no project is named `{name}`; {known}")]
    UnknownProject {
        /// What was given.
        name: String,
        /// A clause that lists the projects there are.
        known: String,
    },
    /// No session has that id.
    #[error("no session has the id `{id}`, or one that begins so")]
    UnknownSession {
        /// What was given.
        id: String,
    },
    /// Several sessions have an id that begins like the one given.
    #[error("`{id}` is the beginning of several session ids: {matches}")]
    AmbiguousSession {
        /// What was given.
        id: String,
        /// The ids it could stand for.
        matches: String,
    },
}
