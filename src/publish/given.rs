//! What a server says, given as text instead of over a connection, to what is made of it.
//!
//! Owns: nothing; it opens the pure parts of `publish` for `fuzz/` and the tests of its corpus, which know a
//! server's words and have no server. Not for programs: anything here may change. Fails with a [`Refusal`],
//! as the parts that it opens do.

use super::answer::{Answer, CheckAnswer, ItemAnswer, Refusal};
use super::remote::unreadable;
use super::wire::rows::{self, CellRow, DayRow, Lenient, SessionRow, Stored};
use super::{Obstacle, verify};
use crate::domain::{Destination, Revision, SessionValue, Totals};
use chrono::NaiveDate;

/// An answer as it may come.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The header `Date`.
    pub date: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Given {
    fn answer(&self) -> Answer {
        let Self { status, retry_after, date, body } = self.clone();
        Answer { status, retry_after, date, body }
    }

    /// As the answer to one session's value.
    pub fn to_one(&self, session: &str, to: &Destination) -> Result<ItemAnswer, Refusal> {
        self.answer().to_one(session, to)
    }

    /// As the answer to the values of sessions.
    pub fn to_many(&self, sessions: &[&str], to: &Destination) -> Result<Vec<ItemAnswer>, Refusal> {
        self.answer().to_many(sessions, to)
    }

    /// As the answer to a check.
    pub fn to_check(&self, to: &Destination) -> Result<CheckAnswer, Refusal> {
        self.answer().body_of_ours(to)
    }

    /// As a page of sessions, `cells` being that of their cells.
    pub fn to_page(&self, cells: &Self, to: &Destination) -> Result<Vec<Stored>, Refusal> {
        let sessions: Vec<Lenient<SessionRow>> = self.answer().body_of_ours(to)?;
        let cells: Vec<Lenient<CellRow>> = cells.answer().body_of_ours(to)?;
        let page = rows::stored(sessions, &cells, &[]);
        page.into_iter().map(|(_, stored)| stored.ok_or_else(unreadable)).collect()
    }

    /// As a page of days.
    pub fn to_days(&self, to: &Destination) -> Result<Vec<(NaiveDate, Totals)>, Refusal> {
        let days: Vec<DayRow> = self.answer().body_of_ours(to)?;
        days.iter().map(DayRow::totals).collect::<Option<_>>().ok_or_else(unreadable)
    }
}

/// How a session of the ledger compares with what is stored: the name of its standing.
pub fn standing(ours: &SessionValue, revision: Revision, theirs: &Stored) -> String {
    format!("{:?}", verify::standing(ours, revision, theirs))
}

/// What a refusal of a call that sent nothing of its own is told as.
pub fn told(refusal: Refusal) -> String {
    Obstacle::from(refusal).what()
}
