//! Adding cells up: by day, session, project or model, and inside each by model.
//!
//! Owns: the sums of a report. Refuses: knowing what the groups mean or how they are shown; thinking
//! tokens stay beside the output they are part of. Cannot fail.

use super::Unlogged;
use super::estimate::{Estimate, Incomplete};
use super::project::Session;
use crate::domain::{Cell, ModelKey, PeriodSums, SessionKey, Totals, UnixMillis};
use crate::ledger::IncompleteCount;
use chrono::NaiveDate;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// What a row of a report adds up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowKey {
    /// A day.
    Day(NaiveDate),
    /// The first day of a week.
    Week(NaiveDate),
    /// The first day of a month.
    Month(NaiveDate),
    /// A session.
    Session(SessionRow),
    /// A project's whole path.
    Project(Arc<str>),
    /// A model.
    Model(Arc<str>),
}

/// The session of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionRow {
    /// Claude Code's id.
    pub(super) id: Arc<str>,
    /// The whole path of its project.
    pub(super) project: Arc<str>,
    /// Its log folder.
    pub(super) folder: Arc<str>,
}

impl From<Session> for SessionRow {
    fn from(session: Session) -> Self {
        Self { id: session.id, project: session.project, folder: session.folder }
    }
}

/// One row of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// What it adds up.
    pub(super) key: RowKey,
    /// The sums.
    pub(super) sums: Sums,
    /// Its earliest response.
    pub(super) first: UnixMillis,
    /// Its latest response.
    pub(super) last: UnixMillis,
}

/// The sums of a row, a billing window or a whole report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Everything together.
    pub(super) totals: Totals,
    /// Sessions that took part.
    pub(super) sessions: u64,
    /// By model, dearest first, then by tokens and name; models without a price last.
    pub(super) models: Vec<ModelSums>,
    /// Of the sessions, those that come from the server.
    pub(super) restored_sessions: u64,
    /// Of everything, what comes from there.
    pub(super) restored: Totals,
    /// Beside everything, what no log has.
    pub(super) unlogged: Totals,
    /// Of everything, the replies without a final count.
    pub(super) incomplete: Incomplete,
}

impl Sums {
    /// What is logged and what is not, together.
    pub(super) fn all(&self) -> Totals {
        let mut all = self.totals;
        all += self.unlogged;
        all
    }

    /// The models that have calls without a price, logged or not.
    pub(super) fn unpriced(&self) -> impl Iterator<Item = &ModelSums> {
        self.models.iter().filter(|model| model.totals.unpriced > 0 || model.unlogged.unpriced > 0)
    }
}

/// What one model has of a sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelSums {
    /// Its whole name.
    pub(super) name: Arc<str>,
    /// Its share.
    pub(super) totals: Totals,
    /// Beside it, what no log has.
    pub(super) unlogged: Totals,
}

/// Names of models by the ledger's number.
#[derive(Debug, Default)]
pub(super) struct Models {
    names: FxHashMap<ModelKey, Arc<str>>,
}

impl Models {
    /// The names, made harmless.
    pub(super) fn new(models: &[(ModelKey, String)]) -> Self {
        let named = |(key, name): &(ModelKey, String)| (*key, Arc::from(super::text::clean(name)));
        Self { names: models.iter().map(named).collect() }
    }

    /// The name of a model; one that the ledger does not name goes by its number.
    pub(super) fn name(&self, key: ModelKey) -> Arc<str> {
        self.names.get(&key).cloned().unwrap_or_else(|| format!("model {}", key.0).into())
    }
}

/// A sum that cells are still being added to.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// What was logged of each model, and what was not.
    models: Vec<(ModelKey, Totals, Totals)>,
    sessions: FxHashSet<SessionKey>,
    /// Of these, the ones that were read from the server, and what they have.
    restored: (FxHashSet<SessionKey>, Totals),
    incomplete: Incomplete,
    /// Earliest response so far.
    pub(super) first: UnixMillis,
    /// Latest response so far.
    pub(super) last: UnixMillis,
}

impl Default for Group {
    fn default() -> Self {
        let (first, last) = (UnixMillis(i64::MAX), UnixMillis(i64::MIN));
        let (models, sessions) = (Vec::new(), FxHashSet::default());
        Self {
            models,
            sessions,
            restored: Default::default(),
            incomplete: Incomplete::default(),
            first,
            last,
        }
    }
}

impl Group {
    /// True before anything was added.
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Adds a cell.
    pub(super) fn add(&mut self, cell: &Cell) {
        self.sessions.insert(cell.session);
        if cell.restored {
            self.restored.0.insert(cell.session);
            self.restored.1 += cell.totals;
        }
        self.first = self.first.min(cell.first);
        self.last = self.last.max(cell.last);
        self.add_model(cell.model, cell.totals, Totals::default());
    }

    /// Adds what no log has.
    pub(super) fn add_unlogged(&mut self, unlogged: &Unlogged) {
        self.first = self.first.min(unlogged.at);
        self.last = self.last.max(unlogged.at);
        self.add_unlogged_alone(unlogged);
    }

    /// The same without the time: a billing window is from its first reply to its last.
    pub(super) fn add_unlogged_alone(&mut self, unlogged: &Unlogged) {
        self.add_model(unlogged.model, Totals::default(), unlogged.totals);
    }

    /// Adds replies without a final count, which the cells have, too.
    pub(super) fn add_incomplete(&mut self, count: &IncompleteCount) {
        self.incomplete.add_count(count);
    }

    /// Adds what is known of the output of one of them.
    pub(super) fn add_estimate(&mut self, estimate: &Estimate) {
        self.incomplete.add_estimate(estimate);
    }

    /// Adds what all sessions used in a period. When in the period that was, nobody can say.
    pub(super) fn add_period<P>(&mut self, period: &PeriodSums<P>) {
        self.sessions.extend(&period.sessions);
        for (model, totals) in &period.models {
            self.add_model(*model, *totals, Totals::default());
        }
    }

    /// Adds another sum; a session in both counts once.
    pub(super) fn merge(&mut self, other: &Self) {
        self.sessions.extend(&other.sessions);
        self.restored.0.extend(&other.restored.0);
        self.restored.1 += other.restored.1;
        self.incomplete.merge(&other.incomplete);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        for (model, totals, unlogged) in &other.models {
            self.add_model(*model, *totals, *unlogged);
        }
    }

    /// A session uses few models, a month hardly more: a list is searched faster than a map.
    fn add_model(&mut self, model: ModelKey, totals: Totals, unlogged: Totals) {
        if let Some((_, sum, beside)) = self.models.iter_mut().find(|(key, ..)| *key == model) {
            *sum += totals;
            *beside += unlogged;
        } else {
            self.models.push((model, totals, unlogged));
        }
    }

    /// The sums under the models' names.
    pub(super) fn sums(&self, names: &Models) -> Sums {
        let (mut totals, mut unlogged) = (Totals::default(), Totals::default());
        let mut models = Vec::with_capacity(self.models.len());
        for (key, sum, beside) in &self.models {
            totals += *sum;
            unlogged += *beside;
            models.push(ModelSums { name: names.name(*key), totals: *sum, unlogged: *beside });
        }
        models.sort_by(|a, b| {
            let rank = |model: &ModelSums| (model.totals.known_cost(), model.totals.tokens.total());
            rank(b).cmp(&rank(a)).then_with(|| a.name.cmp(&b.name))
        });
        let number = |sessions: &FxHashSet<SessionKey>| u64::try_from(sessions.len()).unwrap_or(u64::MAX);
        Sums {
            totals,
            sessions: number(&self.sessions),
            models,
            restored_sessions: number(&self.restored.0),
            restored: self.restored.1,
            unlogged,
            incomplete: self.incomplete.of_all(totals.incomplete),
        }
    }
}
