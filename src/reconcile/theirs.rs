//! What a source says, in one form for all of them.
//!
//! Values alone: a statement is of a day or of a session, and of a model or of something else that is billed.

use super::amount::Amount;
use super::count::{Counts, Kind};
use crate::domain::UnixMillis;
use chrono::NaiveDate;
use std::fmt;

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The client's printed totals: `claude -p --output-format json`.
    Client,
    /// Anthropic's Usage & Cost Admin API.
    Api,
    /// Anthropic's Claude Code Analytics Admin API.
    Analytics,
    /// CSV files that the Console exports.
    Export,
}

impl Source {
    /// Every source, in the order of their sections.
    pub const ALL: [Self; 4] = [Self::Client, Self::Api, Self::Analytics, Self::Export];

    /// The name in JSON and CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Api => "api",
            Self::Analytics => "analytics",
            Self::Export => "export",
        }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "the client's printed totals",
            Self::Api => "Anthropic's Usage & Cost API",
            Self::Analytics => "Anthropic's Claude Code Analytics API",
            Self::Export => "the Console's export",
        }
    }

    /// How long after a day its last usage may still come in, in milliseconds: five minutes is documented of the
    /// Usage & Cost API, with exceptions, and an hour of the Analytics API. An hour for all is the safe side.
    pub(super) const DELAY_MS: i64 = 60 * 60 * 1000;

    /// True where web searches are billed on a line of their own rather than under the model.
    pub(super) fn bills_searches_apart(self) -> bool {
        matches!(self, Self::Api | Self::Export)
    }
}

/// What a statement is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A day of UTC.
    Day(NaiveDate),
    /// A session, over all its days.
    Session(String),
}

/// What was billed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// A model, by the name that the source gives it.
    Model(String),
    /// Web searches, where they are no part of a model's line.
    WebSearch,
    /// Something that Claude Code's logs know nothing of, by the source's name for it.
    Other(String),
    /// All models of a session together.
    All,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(name) | Self::Other(name) => f.write_str(name),
            Self::WebSearch => f.write_str("web searches"),
            Self::All => f.write_str("all models"),
        }
    }
}

/// One thing that a source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Of what.
    pub scope: Scope,
    /// Of which model.
    pub line: Line,
    /// How many tokens and searches.
    pub counts: Counts,
    /// How many dollars.
    pub cost: Option<Amount>,
}

/// Something that was there and could not be made sense of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUnderstood {
    /// The file and line, or the API's path.
    pub place: String,
    /// What it was, in words.
    pub what: String,
}

/// Days of UTC, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: NaiveDate,
    /// The last.
    pub last: NaiveDate,
}

impl Span {
    /// True for a day between the ends.
    pub fn has(&self, day: NaiveDate) -> bool {
        (self.first..=self.last).contains(&day)
    }

    /// The days of both and between.
    pub(super) fn joined(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// All that was read of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Who says it.
    pub source: Source,
    /// What it says.
    pub statements: Vec<Statement>,
    /// The kinds that it speaks of: on a day below, what it does not name is zero.
    pub kinds: Vec<Kind>,
    /// The days whose counts it has; `None` where it counts by session or not at all.
    pub counted: Option<Span>,
    /// The days whose costs it has.
    pub billed: Option<Span>,
    /// When it was made, where that is known: later usage is not in it.
    pub as_of: Option<UnixMillis>,
    /// What of it was not understood.
    pub not_understood: Vec<NotUnderstood>,
    /// What a reader should know of it.
    pub notes: Vec<String>,
}

impl Reading {
    /// One that says nothing yet.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            statements: Vec::new(),
            kinds: Vec::new(),
            counted: None,
            billed: None,
            as_of: None,
            not_understood: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes in another reading of the same source.
    pub fn merge(&mut self, other: Self) {
        let joined = |one: Option<Span>, other: Option<Span>| match (one, other) {
            (Some(one), Some(other)) => Some(one.joined(other)),
            (one, other) => one.or(other),
        };
        self.statements.extend(other.statements);
        self.kinds.extend(other.kinds);
        self.kinds.sort_unstable();
        self.kinds.dedup();
        self.counted = joined(self.counted, other.counted);
        self.billed = joined(self.billed, other.billed);
        // Of two files that were made at different times, what the older lacks may be missing.
        self.as_of = match (self.as_of, other.as_of) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.not_understood.extend(other.not_understood);
        self.notes.extend(other.notes);
    }

    /// Widens the days that are counted, billed or both.
    pub(super) fn covers(&mut self, day: NaiveDate, counted: bool, billed: bool) {
        let widen = |span: &mut Option<Span>| {
            let today = Span { first: day, last: day };
            *span = Some(span.map_or(today, |span| span.joined(today)));
        };
        if counted {
            widen(&mut self.counted);
        }
        if billed {
            widen(&mut self.billed);
        }
    }

    pub(super) fn not_understood(&mut self, place: &str, what: String) {
        self.not_understood.push(NotUnderstood { place: place.to_owned(), what });
    }
}
