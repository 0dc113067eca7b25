//! From cells to rows: which cells count, which row they belong to, which rows are shown.
//!
//! Owns: filters, grouping, order and the totals of the rows shown. Refuses: layout and number formats.
//! Fails by [`ReportError`] on dates in the wrong order and on projects and sessions that do not exist.

use super::blocks::{Block, Window, windows};
use super::estimate::Estimate;
use super::group::{Group, Models, Row, RowKey, Sums};
use super::project::Directory;
use super::zone::Calendar;
use super::{BlockOptions, Kind, Order, ReportData, ReportError, Request, TokenLimit, Unlogged};
use crate::domain::{Cell, ModelKey, PeriodSums, SessionKey, Totals, UnixMillis};
use crate::ledger::IncompleteCount;
use chrono::{Datelike, Days, NaiveDate, Weekday};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far back recent billing windows begin: three days, as in ccusage.
const RECENT_MS: i64 = 3 * 24 * 60 * 60 * 1000;

/// A report, ready to be rendered.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked.
    pub(super) request: Request,
    /// The answer.
    pub(super) body: Body,
    /// The sums of the rows shown.
    pub(super) totals: Sums,
}

/// What a report lists.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Rows of periods, sessions, projects or models.
    Rows(Vec<Row>),
    /// Daily rows of each project, by its whole path.
    Projects(Vec<(Arc<str>, Vec<Row>)>),
    /// Billing windows and gaps.
    Blocks(Vec<Block>),
}

impl Report {
    /// True when nothing was used in what was asked about.
    pub fn is_empty(&self) -> bool {
        match &self.body {
            Body::Rows(rows) => rows.is_empty(),
            Body::Projects(projects) => projects.is_empty(),
            Body::Blocks(blocks) => blocks.is_empty() && self.totals.unlogged == Totals::default(),
        }
    }
}

/// Makes the report that is asked for.
///
/// Days are local days of the request's zone, and a cell counts to the day its quarter hour begins in.
/// Billing windows are made of everything before the days asked for are picked, by the day they begin
/// on, because what a window is depends on what came before it.
///
/// # Errors
/// [`ReportError`] when the days are in the wrong order, or when no project or session has the name
/// asked for.
pub fn build(data: &ReportData, request: &Request) -> Result<Report, ReportError> {
    request.check()?;
    let directory = Directory::new(&data.sessions);
    let chosen = chosen_sessions(&directory, request)?;
    let builder = Builder { request, directory, models: Models::new(&data.models) };
    let is_chosen = |cell: &Cell| chosen.as_ref().is_none_or(|keys| keys.contains(&cell.session));
    let cells = data.cells.iter().filter(|cell| is_chosen(cell));
    let is_asked = |session: Option<SessionKey>| {
        chosen.as_ref().is_none_or(|keys| session.is_some_and(|session| keys.contains(&session)))
    };
    let beside = Beside {
        unlogged: data.unlogged.iter().filter(|unlogged| is_asked(unlogged.session)).collect(),
        incomplete: data.incomplete.iter().filter(|count| is_asked(Some(count.session))).collect(),
        estimates: data.estimates.iter().filter(|estimate| is_asked(Some(estimate.session))).collect(),
    };
    let (body, totals) = match &request.kind {
        Kind::Blocks(options) => builder.blocks(&data.cells, &beside, is_chosen, options),
        Kind::Daily if request.instances => builder.instances(cells, beside),
        kind => builder.rows(&data.days, cells, &beside, kind),
    };
    Ok(Report { request: request.clone(), body, totals: totals.sums(&builder.models) })
}

/// The sessions that the filters leave; none when there is no filter.
fn chosen_sessions(
    directory: &Directory,
    request: &Request,
) -> Result<Option<FxHashSet<SessionKey>>, ReportError> {
    let project = request.project.as_deref().map(|name| directory.of_project(name)).transpose()?;
    let Kind::Session { id: Some(id) } = &request.kind else { return Ok(project) };
    let session = directory.of_id(id)?;
    let inside = project.is_none_or(|keys| keys.contains(&session));
    Ok(Some(if inside { FxHashSet::from_iter([session]) } else { FxHashSet::default() }))
}

/// What cells are grouped by; cheaper to compare than the row key it becomes.
#[derive(Clone, PartialEq, Eq, Hash)]
enum GroupKey {
    Day(NaiveDate),
    Session(SessionKey),
    Project(Arc<str>),
    Model(ModelKey),
}

/// What stands beside the cells.
#[derive(Default)]
struct Beside<'c> {
    unlogged: Vec<&'c Unlogged>,
    incomplete: Vec<&'c IncompleteCount>,
    estimates: Vec<&'c Estimate>,
}

struct Builder<'a> {
    request: &'a Request,
    directory: Directory,
    models: Models,
}

impl Builder<'_> {
    fn rows<'c>(
        &self,
        sums: &[PeriodSums<NaiveDate>],
        cells: impl Iterator<Item = &'c Cell>,
        beside: &Beside<'_>,
        kind: &Kind,
    ) -> (Body, Group) {
        let mut calendar = Calendar::new(&self.request.zone);
        let mut days: FxHashMap<NaiveDate, NaiveDate> = FxHashMap::default();
        let mut groups: FxHashMap<GroupKey, Group> = FxHashMap::default();
        for sum in sums.iter().filter(|sum| self.request.covers(sum.period)) {
            groups.entry(GroupKey::Day(first_day(kind, sum.period))).or_default().add_period(sum);
        }
        let mut key_of = |session: Option<SessionKey>, model, day| {
            Some(match kind {
                Kind::Session { .. } => GroupKey::Session(session?),
                Kind::Project => GroupKey::Project(self.directory.project(session?)),
                Kind::Model => GroupKey::Model(model),
                _ => GroupKey::Day(*days.entry(day).or_insert_with(|| first_day(kind, day))),
            })
        };
        for cell in cells {
            let day = calendar.day(cell.quarter);
            if self.request.covers(day)
                && let Some(key) = key_of(Some(cell.session), cell.model, day)
            {
                groups.entry(key).or_default().add(cell);
            }
        }
        for unlogged in &beside.unlogged {
            let day = calendar.day(unlogged.at.quarter());
            if self.request.covers(day)
                && let Some(key) = key_of(unlogged.session, unlogged.model, day)
            {
                groups.entry(key).or_default().add_unlogged(unlogged);
            }
        }
        // The cells have these replies, too: there is a row for each.
        for count in &beside.incomplete {
            let day = calendar.day(count.quarter);
            if self.request.covers(day)
                && let Some(group) =
                    key_of(Some(count.session), count.model, day).and_then(|key| groups.get_mut(&key))
            {
                group.add_incomplete(count);
            }
        }
        for estimate in &beside.estimates {
            let day = calendar.day(estimate.at.quarter());
            if self.request.covers(day)
                && let Some(group) =
                    key_of(Some(estimate.session), estimate.model, day).and_then(|key| groups.get_mut(&key))
            {
                group.add_estimate(estimate);
            }
        }
        let mut rows: Vec<(RowKey, Group)> =
            groups.into_iter().map(|(key, group)| (self.row_key(kind, key), group)).collect();
        sort(&mut rows);
        self.keep_last(&mut rows);
        let totals = total(rows.iter().map(|(_, group)| group));
        (Body::Rows(rows.into_iter().map(|(key, group)| self.row(key, &group)).collect()), totals)
    }

    /// Daily rows of each project apart. The last N days are the last N of each project.
    fn instances<'c>(&self, cells: impl Iterator<Item = &'c Cell>, beside: Beside<'c>) -> (Body, Group) {
        let mut by_project: BTreeMap<Arc<str>, (Vec<&'c Cell>, Beside<'c>)> = BTreeMap::new();
        for cell in cells {
            by_project.entry(self.directory.project(cell.session)).or_default().0.push(cell);
        }
        for unlogged in beside.unlogged {
            let Some(session) = unlogged.session else { continue };
            by_project.entry(self.directory.project(session)).or_default().1.unlogged.push(unlogged);
        }
        for count in beside.incomplete {
            by_project.entry(self.directory.project(count.session)).or_default().1.incomplete.push(count);
        }
        for estimate in beside.estimates {
            by_project
                .entry(self.directory.project(estimate.session))
                .or_default()
                .1
                .estimates
                .push(estimate);
        }
        let mut totals = Group::default();
        let mut projects = Vec::with_capacity(by_project.len());
        for (project, (cells, beside)) in by_project {
            let (body, sum) = self.rows(&[], cells.into_iter(), &beside, &Kind::Daily);
            if let Body::Rows(rows) = body
                && !rows.is_empty()
            {
                totals.merge(&sum);
                projects.push((project, rows));
            }
        }
        (Body::Projects(projects), totals)
    }

    fn blocks(
        &self,
        cells: &[Cell],
        beside: &Beside<'_>,
        is_chosen: impl Fn(&Cell) -> bool,
        options: &BlockOptions,
    ) -> (Body, Group) {
        let mut blocks: Vec<(Block, Group)> = Vec::new();
        let mut before: Option<Window> = None;
        let mut stray = beside.unlogged.clone();
        for (window, mut group) in windows(cells.iter().collect(), options.length, is_chosen) {
            beside.add_to(&window, &mut group);
            stray.retain(|unlogged| !window.holds(unlogged.at));
            let gap = before.and_then(|before| Block::gap(&before, &window, options.length));
            blocks.extend(gap.map(|gap| (gap, Group::default())));
            blocks.push((Block::new(&window, group.sums(&self.models), self.request.now), group));
            before = Some(window);
        }
        measure(&mut blocks, options.token_limit);
        self.keep_blocks(&mut blocks, options);
        let mut totals = total(blocks.iter().map(|(_, group)| group));
        // What was used while nothing was logged is in no window; a list of all windows has it in its sum.
        let is_whole = !options.active && !options.recent && self.request.last.is_none();
        stray.retain(|unlogged| is_whole && self.request.covers(self.request.zone.date(unlogged.at)));
        for unlogged in stray {
            totals.add_unlogged_alone(unlogged);
        }
        (Body::Blocks(blocks.into_iter().map(|(block, _)| block).collect()), totals)
    }

    fn keep_blocks(&self, blocks: &mut Vec<(Block, Group)>, options: &BlockOptions) {
        let recent = UnixMillis(self.request.now.0.saturating_sub(RECENT_MS));
        blocks.retain(|(block, _)| {
            self.request.covers(self.request.zone.date(block.start))
                && (!options.active || block.is_active)
                && (!options.recent || block.start >= recent || block.is_active)
        });
        if let Some(count) = self.request.last {
            let windows = blocks.iter().enumerate().rev().filter(|(_, (block, _))| !block.is_gap);
            let first_kept = windows.take(count).last().map_or(blocks.len(), |(at, _)| at);
            blocks.drain(..first_kept);
        }
        if self.request.order == Order::Descending {
            blocks.reverse();
        }
    }

    fn keep_last(&self, rows: &mut Vec<(RowKey, Group)>) {
        if let Some(count) = self.request.last {
            rows.drain(..rows.len().saturating_sub(count));
        }
        if self.request.order == Order::Descending {
            rows.reverse();
        }
    }

    fn row_key(&self, kind: &Kind, key: GroupKey) -> RowKey {
        match (key, kind) {
            (GroupKey::Day(day), Kind::Weekly { .. }) => RowKey::Week(day),
            (GroupKey::Day(day), Kind::Monthly) => RowKey::Month(day),
            (GroupKey::Day(day), _) => RowKey::Day(day),
            (GroupKey::Session(key), _) => RowKey::Session(self.directory.session(key).into()),
            (GroupKey::Project(path), _) => RowKey::Project(path),
            (GroupKey::Model(key), _) => RowKey::Model(self.models.name(key)),
        }
    }

    fn row(&self, key: RowKey, group: &Group) -> Row {
        Row { key, sums: group.sums(&self.models), first: group.first, last: group.last }
    }
}

impl Beside<'_> {
    /// Adds what is in a billing window.
    fn add_to(&self, window: &Window, group: &mut Group) {
        self.unlogged
            .iter()
            .filter(|unlogged| window.holds(unlogged.at))
            .for_each(|unlogged| group.add_unlogged_alone(unlogged));
        self.incomplete
            .iter()
            .filter(|count| window.holds(count.quarter.start()))
            .for_each(|count| group.add_incomplete(count));
        self.estimates
            .iter()
            .filter(|estimate| window.holds(estimate.at))
            .for_each(|estimate| group.add_estimate(estimate));
    }
}

/// The day that names the period a day is in.
fn first_day(kind: &Kind, day: NaiveDate) -> NaiveDate {
    let first = match kind {
        Kind::Weekly { start_of_week } => day.checked_sub_days(days_into_week(day, *start_of_week)),
        Kind::Monthly => day.with_day(1),
        _ => None,
    };
    first.unwrap_or(day)
}

fn days_into_week(day: NaiveDate, start_of_week: Weekday) -> Days {
    Days::new(day.weekday().days_since(start_of_week).into())
}

/// Periods by date, everything else by its last activity, then by name.
fn sort(rows: &mut [(RowKey, Group)]) {
    let when = |(key, group): &(RowKey, Group)| match key {
        RowKey::Day(_) | RowKey::Week(_) | RowKey::Month(_) => None,
        _ => Some(group.last),
    };
    rows.sort_by(|a, b| when(a).cmp(&when(b)).then_with(|| a.0.cmp(&b.0)));
}

fn total<'a>(groups: impl Iterator<Item = &'a Group>) -> Group {
    groups.fold(Group::default(), |mut sum, group| {
        sum.merge(group);
        sum
    })
}

/// Measures the open window against the limit; `max` is the fullest window that is over.
fn measure(blocks: &mut [(Block, Group)], limit: Option<TokenLimit>) {
    let over = blocks.iter().filter(|(block, _)| !block.is_active && !block.is_gap);
    let fullest = over.map(|(block, _)| block.sums.totals.tokens.total()).max();
    let limit = match limit {
        Some(TokenLimit::Tokens(tokens)) => Some(tokens),
        Some(TokenLimit::Max) => fullest.filter(|tokens| *tokens > 0),
        None => None,
    };
    for (block, _) in blocks {
        if let Some(limit) = limit {
            block.measure(limit);
        }
    }
}
