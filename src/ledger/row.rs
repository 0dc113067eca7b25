//! A response as a row, and what a row adds to the cells.

use super::names::Names;
use super::{LedgerError, Pricing, incomplete};
use crate::domain::{
    Attribution, Cost, Geo, ModelName, Part, PartKind, Rank, ReplySpan, Response, Speed, Tier, TokenCounts,
    UnixMillis, Usage, fnv1a,
};
use rusqlite::{Connection, Row as SqlRow};

/// Bits of the `flags` columns of `response` and `sighting`; values never change their meaning.
pub(super) mod flag {
    /// The final output count was seen.
    pub(in crate::ledger) const FINAL: i64 = 1;
    /// No line had a usable timestamp.
    pub(in crate::ledger) const TIME_GUESSED: i64 = 2;
    /// The winning line is of the main chain.
    pub(in crate::ledger) const MAIN_CHAIN: i64 = 4;
    /// The winning line has a stop reason.
    pub(in crate::ledger) const STOPPED: i64 = 8;
    /// Fast mode.
    pub(in crate::ledger) const FAST: i64 = 16;
    /// US inference.
    pub(in crate::ledger) const US: i64 = 32;
    /// Batch tier.
    pub(in crate::ledger) const BATCH: i64 = 64;
    /// Priority tier.
    pub(in crate::ledger) const PRIORITY: i64 = 128;
    /// The session that paid is known from a copy of the line only.
    pub(in crate::ledger) const COPIED: i64 = 256;
    /// There are rows in `part`.
    pub(in crate::ledger) const PARTS: i64 = 512;
    /// `message_id` is unique over all files for ever.
    pub(in crate::ledger) const GLOBAL: i64 = 1024;
    /// Some line says that the user stopped it.
    pub(in crate::ledger) const ABORTED: i64 = 2048;

    /// The bits of what is so.
    pub(in crate::ledger) fn of<const N: usize>(all: [(bool, i64); N]) -> i64 {
        all.into_iter().filter(|(is_so, _)| *is_so).fold(0, |flags, (_, bit)| flags | bit)
    }
}

/// The columns of `response` in the order of [`Row`].
pub(super) const COLUMNS: &str = "id, message_id, session, model, version, first_at, ranked_after, paid_after, \
     input, output, cache_write_5m, cache_write_1h, cache_read, thinking, web_searches, flags, cost";

/// The column `id_hash`: 32 bits of a hash of `message_id`.
pub(super) fn id_hash(message_id: &str) -> i64 {
    i64::try_from(fnv1a(message_id.as_bytes()) >> 32).unwrap_or_default()
}

/// One row of `response` with its rows of `part`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) message_id: String,
    pub(super) session: i64,
    pub(super) model: i64,
    pub(super) version: Option<i64>,
    pub(super) first_at: i64,
    pub(super) ranked_after: i64,
    pub(super) paid_after: i64,
    pub(super) tokens: TokenCounts,
    pub(super) thinking: u64,
    pub(super) web_searches: u64,
    pub(super) flags: i64,
    pub(super) cost: Option<i64>,
    pub(super) parts: Vec<PartRow>,
    /// The row of `incomplete`.
    pub(super) span: ReplySpan,
}

/// One row of `part`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartRow {
    pub(super) kind: PartKind,
    pub(super) model: Option<i64>,
    pub(super) tokens: TokenCounts,
    pub(super) cost: Option<i64>,
}

impl Row {
    /// The row of a response; costs are left unknown.
    pub(super) fn unpriced(
        sql: &Connection,
        names: &mut Names,
        id: i64,
        message_id: String,
        is_global: bool,
        response: &Response,
    ) -> Result<Self, LedgerError> {
        let first_at = response.first_at.0;
        let usage = &response.usage;
        let mut parts = Vec::with_capacity(usage.parts.len());
        for part in &usage.parts {
            let model = part.model.as_ref().map(|model| names.model(sql, &model.0)).transpose()?;
            parts.push(PartRow { kind: part.kind, model, tokens: part.tokens, cost: None });
        }
        Ok(Self {
            id,
            message_id,
            session: names.session(sql, &response.attribution.session)?,
            model: names.model(sql, &response.model.0)?,
            version: response.version.as_ref().map(|version| names.version(sql, version)).transpose()?,
            first_at,
            ranked_after: response.rank.at.0.saturating_sub(first_at),
            paid_after: response.attribution.at.0.saturating_sub(first_at),
            tokens: usage.tokens,
            thinking: usage.thinking,
            web_searches: usage.web_searches,
            flags: flags(response, is_global),
            cost: None,
            parts,
            span: response.span,
        })
    }

    /// Fills in the costs.
    pub(super) fn price(&mut self, response: &Response, pricing: &dyn Pricing) {
        let (own, parts) = pricing.price(&response.model, &response.usage, response.first_at);
        let amount = |cost: Cost| cost.known().map(|picodollars| picodollars.0);
        self.cost = amount(own);
        for (row, cost) in self.parts.iter_mut().zip(parts) {
            row.cost = amount(cost);
        }
    }

    /// True where both say the same of the response, costs aside.
    pub(super) fn same_facts(&self, other: &Self) -> bool {
        let mut priced = self.clone();
        priced.cost = other.cost;
        for (mine, theirs) in priced.parts.iter_mut().zip(&other.parts) {
            mine.cost = theirs.cost;
        }
        priced == *other
    }

    /// True where both bill the same: what differs is at most which of several equal lines counts.
    pub(super) fn bills_the_same(&self, other: &Self) -> bool {
        let (ranked_after, version, span) = (other.ranked_after, other.version, other.span);
        let same_line = Self { version, ranked_after, span, ..self.clone() };
        same_line.same_facts(other)
    }

    /// The response that the row is of.
    pub(super) fn response(&self, sql: &Connection, names: &mut Names) -> Result<Response, LedgerError> {
        let at = |after: i64| UnixMillis(self.first_at.saturating_add(after));
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let model = part.model.map(|id| names.model_name(sql, id).map(ModelName)).transpose()?;
            parts.push(Part { kind: part.kind, model, tokens: part.tokens });
        }
        Ok(Response {
            rank: Rank {
                output: self.tokens.output,
                main_chain: self.has(flag::MAIN_CHAIN),
                stopped: self.has(flag::STOPPED),
                at: at(self.ranked_after),
            },
            model: ModelName(names.model_name(sql, self.model)?),
            usage: self.usage(parts),
            version: self.version.map(|id| names.version_name(sql, id)).transpose()?,
            first_at: UnixMillis(self.first_at),
            attribution: Attribution {
                copied: self.has(flag::COPIED),
                at: at(self.paid_after),
                session: names.session_name(sql, self.session)?,
            },
            is_final: self.has(flag::FINAL),
            is_aborted: self.has(flag::ABORTED),
            span: self.span,
            time_is_guessed: self.has(flag::TIME_GUESSED),
        })
    }

    fn usage(&self, parts: Vec<Part>) -> Usage {
        Usage {
            tokens: self.tokens,
            thinking: self.thinking,
            web_searches: self.web_searches,
            speed: if self.has(flag::FAST) { Speed::Fast } else { Speed::Standard },
            geo: if self.has(flag::US) { Geo::Us } else { Geo::Global },
            tier: match (self.has(flag::BATCH), self.has(flag::PRIORITY)) {
                (true, _) => Tier::Batch,
                (false, true) => Tier::Priority,
                (false, false) => Tier::Standard,
            },
            parts,
        }
    }

    pub(super) fn has(&self, bit: i64) -> bool {
        self.flags & bit != 0
    }

    /// Reads a row selected by [`COLUMNS`], with its parts.
    pub(super) fn read(sql: &Connection, row: &SqlRow<'_>) -> Result<Self, LedgerError> {
        let mut read = Self {
            id: row.get(0)?,
            message_id: row.get(1)?,
            session: row.get(2)?,
            model: row.get(3)?,
            version: row.get(4)?,
            first_at: row.get(5)?,
            ranked_after: row.get(6)?,
            paid_after: row.get(7)?,
            tokens: read_tokens(row, 8)?,
            thinking: count(row.get(13)?),
            web_searches: count(row.get(14)?),
            flags: row.get(15)?,
            cost: row.get(16)?,
            parts: Vec::new(),
            span: ReplySpan::default(),
        };
        if !read.has(flag::FINAL) {
            read.span = incomplete::span(sql, read.id)?;
        }
        if read.has(flag::PARTS) {
            read.parts = read_parts(sql, read.id)?;
        }
        Ok(read)
    }
}

fn read_parts(sql: &Connection, response: i64) -> Result<Vec<PartRow>, LedgerError> {
    let mut statement = sql.prepare_cached(
        "SELECT kind, model, input, output, cache_write_5m, cache_write_1h, cache_read, cost \
         FROM part WHERE response = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([response], |row| {
        Ok(PartRow {
            kind: part_kind(row.get(0)?),
            model: row.get(1)?,
            tokens: read_tokens(row, 2)?,
            cost: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Five adjacent token columns.
pub(super) fn read_tokens(row: &SqlRow<'_>, first: usize) -> rusqlite::Result<TokenCounts> {
    Ok(TokenCounts::from_array([
        count(row.get(first)?),
        count(row.get(first + 1)?),
        count(row.get(first + 2)?),
        count(row.get(first + 3)?),
        count(row.get(first + 4)?),
    ]))
}

/// A count as SQLite has it; counts are never negative.
pub(super) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A count for SQLite; the parser caps counts far below the limit.
pub(super) fn sql_count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn flags(response: &Response, is_global: bool) -> i64 {
    let usage = &response.usage;
    flag::of([
        (response.is_final, flag::FINAL),
        (response.time_is_guessed, flag::TIME_GUESSED),
        (response.rank.main_chain, flag::MAIN_CHAIN),
        (response.rank.stopped, flag::STOPPED),
        (usage.speed == Speed::Fast, flag::FAST),
        (usage.geo == Geo::Us, flag::US),
        (usage.tier == Tier::Batch, flag::BATCH),
        (usage.tier == Tier::Priority, flag::PRIORITY),
        (response.attribution.copied, flag::COPIED),
        (!usage.parts.is_empty(), flag::PARTS),
        (is_global, flag::GLOBAL),
        (response.is_aborted, flag::ABORTED),
    ])
}

/// The number of a part's kind in the `kind` column.
pub(super) fn part_kind_number(kind: PartKind) -> i64 {
    match kind {
        PartKind::Advisor => 0,
        PartKind::Compaction => 1,
        PartKind::AbandonedAttempt => 2,
        PartKind::Step => 3,
    }
}

fn part_kind(number: i64) -> PartKind {
    match number {
        0 => PartKind::Advisor,
        1 => PartKind::Compaction,
        2 => PartKind::AbandonedAttempt,
        _ => PartKind::Step,
    }
}
