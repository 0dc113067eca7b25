//! Theirs and ours side by side, by day or session and by model.
//!
//! Owns: which figure meets which. What a source does not speak of is compared with nothing; on a day that it has,
//! what it does not name is zero. Ours is what was logged and, beside it, what the clients' own accounts have
//! beyond that. Pure: values in, values out.

use super::book::{Book, Logged, Unlogged};
use super::cause::{self, Cause};
use super::compared::{Comparison, Request, Row, Section, Side, Sums};
use super::context::Context;
use super::count::{Counts, Kind};
use super::difference::{Gap, Theirs};
use super::name::canonical;
use super::theirs::{Line, Reading, Scope, Source, Span, Statement};
use crate::domain::{TokenCounts, Totals, UnixMillis, Usd};
use crate::price::PriceTable;
use chrono::{NaiveDate, NaiveTime};
use std::collections::{BTreeMap, BTreeSet};

/// Compares what sources say with what the ledger has.
pub fn compare(readings: Vec<Reading>, book: &Book, prices: &PriceTable, request: &Request) -> Comparison {
    let section = |reading| Matching { book, prices, request, pairs: BTreeMap::new() }.section(reading);
    Comparison { sections: readings.into_iter().map(section).collect() }
}

/// What meets under one day or session and model.
#[derive(Clone, Debug, Default)]
struct Pair {
    theirs: Theirs,
    logged: Totals,
    /// Without web searches, where those have a line of their own.
    logged_cost: Usd,
    unlogged: Side,
    /// Part of the unlogged has no price.
    unlogged_unpriced: bool,
    days: Option<Span>,
}

impl Pair {
    fn logged_side(&self) -> Side {
        Side {
            counts: Counts::known(&self.logged.tokens, self.logged.web_searches),
            cost: Totals { cost: self.logged_cost, ..self.logged }.known_cost(),
        }
    }

    fn unlogged_side(&self) -> Side {
        let mut counts = Counts::known(&TokenCounts::default(), 0);
        counts += self.unlogged.counts;
        let cost =
            if self.unlogged_unpriced { self.unlogged.cost } else { self.unlogged.cost.or(Some(Usd(0))) };
        Side { counts, cost }
    }

    /// The dollars of both, where both are known.
    fn cost(&self) -> Option<Usd> {
        let (logged, unlogged) = (self.logged_side().cost?, self.unlogged_side().cost?);
        Some(Usd(logged.0.saturating_add(unlogged.0)))
    }
}

struct Matching<'a> {
    book: &'a Book,
    prices: &'a PriceTable,
    request: &'a Request,
    pairs: BTreeMap<(Scope, Line), Pair>,
}

impl Matching<'_> {
    fn section(mut self, reading: Reading) -> Section {
        for statement in &reading.statements {
            self.take(statement);
        }
        self.take_ours(&reading);
        let pairs = std::mem::take(&mut self.pairs);
        let mut rows: Vec<Row> =
            pairs.iter().filter_map(|((scope, line), pair)| self.row(scope, line, pair, &reading)).collect();
        tell_other_names(&mut rows);
        Section {
            source: reading.source,
            total: total(&rows),
            rows,
            not_understood: reading.not_understood,
            notes: reading.notes,
        }
    }

    fn asked(&self, day: NaiveDate) -> bool {
        self.request.since.is_none_or(|since| day >= since)
            && self.request.until.is_none_or(|until| day <= until)
    }

    fn line(&self, line: &Line) -> Line {
        match line {
            Line::Model(name) => Line::Model(canonical(name, self.prices)),
            other => other.clone(),
        }
    }

    fn take(&mut self, statement: &Statement) {
        if matches!(statement.scope, Scope::Day(day) if !self.asked(day)) {
            return;
        }
        let key = (statement.scope.clone(), self.line(&statement.line));
        let theirs = &mut self.pairs.entry(key).or_default().theirs;
        theirs.counts += statement.counts;
        if let Some(cost) = statement.cost {
            *theirs.cost.get_or_insert_default() += cost.usd;
            theirs.slack += cost.slack;
        }
    }

    /// Ours of the days or sessions that the source has.
    fn take_ours(&mut self, reading: &Reading) {
        let apart = reading.source.bills_searches_apart();
        let whole: BTreeSet<String> = self.pairs.keys().filter_map(session_without_models).collect();
        let sessions: BTreeSet<String> = self.pairs.keys().filter_map(session_of).collect();
        let book = self.book;
        for logged in &book.logged {
            let Some(scope) = self.scope(reading, &sessions, &logged.session, logged.day) else { continue };
            let is_apart = apart && reading.billed.is_some();
            self.take_logged(scope, logged, whole.contains(&logged.session), is_apart);
        }
        for unlogged in &book.unlogged {
            let Some(scope) = self.scope(reading, &sessions, &unlogged.session, unlogged.day) else {
                continue;
            };
            let is_apart = apart && reading.billed.is_some();
            self.take_unlogged(scope, unlogged, whole.contains(&unlogged.session), is_apart);
        }
    }

    /// What ours is compared under; `None` where the source does not speak of it.
    fn scope(
        &self,
        reading: &Reading,
        sessions: &BTreeSet<String>,
        session: &str,
        day: NaiveDate,
    ) -> Option<Scope> {
        if reading.source == Source::Client {
            return sessions.contains(session).then(|| Scope::Session(session.to_owned()));
        }
        let spans = [reading.counted, reading.billed];
        let has = spans.into_iter().flatten().any(|span| span.has(day));
        (has && self.asked(day)).then_some(Scope::Day(day))
    }

    fn take_logged(&mut self, scope: Scope, logged: &Logged, whole: bool, apart: bool) {
        let line = if whole { Line::All } else { Line::Model(canonical(&logged.model, self.prices)) };
        let pair = self.pairs.entry((scope.clone(), line)).or_default();
        let today = Span { first: logged.day, last: logged.day };
        pair.days = Some(pair.days.map_or(today, |days| days.joined(today)));
        pair.logged += logged.totals;
        pair.logged_cost += logged.totals.cost;
        if apart && logged.searches_cost.0 != 0 {
            pair.logged_cost += Usd(-logged.searches_cost.0);
            self.pairs.entry((scope, Line::WebSearch)).or_default().logged_cost += logged.searches_cost;
        }
    }

    fn take_unlogged(&mut self, scope: Scope, unlogged: &Unlogged, whole: bool, apart: bool) {
        let line = if whole { Line::All } else { Line::Model(canonical(&unlogged.model, self.prices)) };
        let pair = self.pairs.entry((scope.clone(), line)).or_default();
        pair.unlogged.counts += Counts::known(&unlogged.tokens, unlogged.web_searches);
        pair.unlogged_unpriced |= unlogged.cost.is_none();
        let searches = if apart { unlogged.searches_cost } else { Usd(0) };
        if let Some(cost) = unlogged.cost {
            *pair.unlogged.cost.get_or_insert_default() += Usd(cost.0.saturating_sub(searches.0));
        }
        if searches.0 != 0 {
            let pair = self.pairs.entry((scope, Line::WebSearch)).or_default();
            *pair.unlogged.cost.get_or_insert_default() += searches;
        }
    }

    /// The row of a pair; `None` where both sides have nothing.
    fn row(&self, scope: &Scope, line: &Line, pair: &Pair, reading: &Reading) -> Option<Row> {
        let theirs = completed(pair.theirs, scope, line, reading);
        let (logged, unlogged) = (pair.logged_side(), pair.unlogged_side());
        let is_empty = |side: &Side| side.counts.is_nothing() && side.cost.is_none_or(|cost| cost.0 == 0);
        let their_side = Side { counts: theirs.counts, cost: theirs.cost };
        if is_empty(&their_side) && is_empty(&logged) && is_empty(&unlogged) && pair.logged.messages == 0 {
            return None;
        }
        let gap = gap(&theirs, pair);
        let context = self.context((scope, line), pair, reading, &theirs, &gap);
        let differs = context.differs(&self.request.tolerance);
        Some(Row {
            scope: scope.clone(),
            days: pair.days.filter(|_| matches!(scope, Scope::Session(_))),
            line: line.clone(),
            theirs: their_side,
            logged,
            unlogged,
            totals: pair.logged,
            difference: gap.counts,
            cost_difference: gap.cost,
            differs,
            causes: if differs { cause::of(&context) } else { Vec::new() },
        })
    }

    /// What the rules look at.
    fn context<'a>(
        &'a self,
        (scope, line): (&'a Scope, &'a Line),
        pair: &'a Pair,
        reading: &Reading,
        theirs: &'a Theirs,
        gap: &'a Gap,
    ) -> Context<'a> {
        let day = match scope {
            Scope::Day(day) => Some(*day),
            Scope::Session(_) => pair.days.map(|days| days.first),
        };
        let name = if let Line::Model(name) = line { Some(name) } else { None };
        let mut ours = pair.logged_side().counts;
        ours += pair.unlogged_side().counts;
        Context {
            source: reading.source,
            scope,
            line,
            logged: &pair.logged,
            theirs,
            gap,
            ours,
            ours_cost: pair.cost(),
            has_unlogged: !pair.unlogged.counts.is_nothing(),
            inherited: self.inherited(scope, line),
            session_is_known: self.is_known(scope),
            model: name.and_then(|name| self.prices.find(name)),
            noon: day.map(noon),
            seen: reading.as_of.map_or(self.request.now, |at| at.min(self.request.now)),
        }
    }

    /// What a session's files repeat of other sessions' responses of the model.
    fn inherited(&self, scope: &Scope, line: &Line) -> Option<Counts> {
        let Scope::Session(session) = scope else { return None };
        let copies = self.book.inherited.iter().filter(|copy| {
            let of_line = Line::Model(canonical(&copy.model, self.prices)) == *line || *line == Line::All;
            copy.session == *session && of_line
        });
        copies.map(|copy| Counts::known(&copy.tokens, copy.web_searches)).reduce(|mut all, copy| {
            all += copy;
            all
        })
    }

    fn is_known(&self, scope: &Scope) -> bool {
        let Scope::Session(session) = scope else { return true };
        self.book.clients.contains_key(session)
    }
}

fn session_of((scope, _): &(Scope, Line)) -> Option<String> {
    if let Scope::Session(session) = scope { Some(session.clone()) } else { None }
}

/// The session of a total that names no model.
fn session_without_models(key: &(Scope, Line)) -> Option<String> {
    session_of(key).filter(|_| key.1 == Line::All)
}

fn noon(day: NaiveDate) -> UnixMillis {
    let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default();
    UnixMillis(day.and_time(noon).and_utc().timestamp_millis())
}

/// What is not named where everything would be is zero.
fn completed(theirs: Theirs, scope: &Scope, line: &Line, reading: &Reading) -> Theirs {
    const OF_A_CLIENT: [Kind; 5] =
        [Kind::Input, Kind::Output, Kind::CacheWrite, Kind::CacheRead, Kind::WebSearches];
    let has = |span: Option<Span>, day: NaiveDate| span.is_some_and(|span| span.has(day));
    let (counted, billed, kinds) = match scope {
        Scope::Session(_) => (true, true, &OF_A_CLIENT[..]),
        Scope::Day(day) => (has(reading.counted, *day), has(reading.billed, *day), &reading.kinds[..]),
    };
    let is_model = matches!(line, Line::Model(_));
    Theirs {
        counts: if counted && is_model { theirs.counts.or_zero(kinds) } else { theirs.counts },
        cost: if billed && *line != Line::All { theirs.cost.or(Some(Usd(0))) } else { theirs.cost },
        slack: theirs.slack,
    }
}

fn gap(theirs: &Theirs, pair: &Pair) -> Gap {
    let mut ours = pair.logged_side().counts;
    ours += pair.unlogged_side().counts;
    let counts = theirs
        .counts
        .map(|kind, theirs| ours.get(kind).map(|ours| i128::from(theirs).saturating_sub(i128::from(ours))));
    let cost = theirs.cost.zip(pair.cost()).map(|(theirs, ours)| Usd(theirs.0.saturating_sub(ours.0)));
    Gap { counts, cost }
}

/// Two rows of one day or session of which one side each is nothing and the others are the same: one usage under two
/// names.
fn tell_other_names(rows: &mut [Row]) {
    let ours = |row: &Row| {
        let mut ours = row.logged.counts;
        ours += row.unlogged.counts;
        ours
    };
    let mut names: Vec<(usize, Cause)> = Vec::new();
    for (at, theirs_alone) in rows.iter().enumerate() {
        if !theirs_alone.differs
            || !ours(theirs_alone).is_nothing()
            || theirs_alone.theirs.counts.is_nothing()
        {
            continue;
        }
        let twin = rows.iter().enumerate().find(|(_, row)| {
            let same = theirs_alone
                .theirs
                .counts
                .entries()
                .all(|(kind, count)| count.is_none() || count == ours(row).get(kind));
            row.differs && row.scope == theirs_alone.scope && row.theirs.counts.is_nothing() && same
        });
        if let Some((other, ours_alone)) = twin {
            names.push((at, Cause::OtherName(ours_alone.line.to_string())));
            names.push((other, Cause::OtherName(theirs_alone.line.to_string())));
        }
    }
    for (at, cause) in names {
        if let Some(row) = rows.get_mut(at) {
            row.causes = vec![cause];
        }
    }
}

fn total(rows: &[Row]) -> Sums {
    let mut sums = Sums::default();
    for row in rows {
        add(&mut sums.theirs, &row.theirs);
        add(&mut sums.logged, &row.logged);
        add(&mut sums.unlogged, &row.unlogged);
        if let Some(cost) = row.cost_difference {
            *sums.cost_difference.get_or_insert_default() += cost;
        }
    }
    sums
}

fn add(sum: &mut Side, side: &Side) {
    sum.counts += side.counts;
    if let Some(cost) = side.cost {
        *sum.cost.get_or_insert_default() += cost;
    }
}
