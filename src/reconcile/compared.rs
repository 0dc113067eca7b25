//! A comparison as it is shown: rows of theirs, ours and the difference between them.
//!
//! Values alone, and the question that they answer.

use super::cause::Cause;
use super::count::Counts;
use super::difference::Tolerance;
use super::theirs::{Line, NotUnderstood, Scope, Source, Span};
use crate::domain::{Totals, UnixMillis, Usd};
use chrono::NaiveDate;

/// What is compared, and how strictly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// The first day; sessions have none and are not cut.
    pub since: Option<NaiveDate>,
    /// The last day.
    pub until: Option<NaiveDate>,
    /// What is no difference.
    pub tolerance: Tolerance,
    /// The present moment: which days are still open.
    pub now: UnixMillis,
}

/// Counts and cost of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Tokens and searches.
    pub counts: Counts,
    /// Dollars, where they are known.
    pub cost: Option<Usd>,
}

/// One day or session and one model.
#[derive(Clone, Debug)]
pub struct Row {
    /// Of what.
    pub scope: Scope,
    /// The days of a session, as far as it was logged.
    pub days: Option<Span>,
    /// Of which model, by the name that all names of it have in common.
    pub line: Line,
    /// What they say.
    pub theirs: Side,
    /// What was logged.
    pub logged: Side,
    /// What the clients' own accounts have beyond that.
    pub unlogged: Side,
    /// Responses, replies without a final count and calls without a price among what was logged.
    pub totals: Totals,
    /// Theirs less logged less unlogged, of what they speak of.
    pub difference: Counts<i128>,
    /// The same of the dollars.
    pub cost_difference: Option<Usd>,
    /// They differ by more than is tolerated.
    pub differs: bool,
    /// Why; none where they do not differ.
    pub causes: Vec<Cause>,
}

/// What one source says against the ledger.
#[derive(Clone, Debug)]
pub struct Section {
    /// Who says it.
    pub source: Source,
    /// By day or session, and model.
    pub rows: Vec<Row>,
    /// All rows together.
    pub total: Sums,
    /// What of it was not understood.
    pub not_understood: Vec<NotUnderstood>,
    /// What a reader should know of it.
    pub notes: Vec<String>,
}

/// All rows of a section together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// What they say.
    pub theirs: Side,
    /// What was logged.
    pub logged: Side,
    /// What the clients' own accounts have beyond that.
    pub unlogged: Side,
    /// The sum of the rows' differences in dollars, where there is any.
    pub cost_difference: Option<Usd>,
}

/// All sources against the ledger.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// One section a source.
    pub sections: Vec<Section>,
}

impl Comparison {
    /// True where a difference is left, or something was not understood that may hide one.
    pub fn differs(&self) -> bool {
        self.sections
            .iter()
            .any(|section| !section.not_understood.is_empty() || section.rows.iter().any(|row| row.differs))
    }
}
