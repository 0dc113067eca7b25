//! Reading back from the server what no log and no copy of the ledger has any more.
//!
//! Owns: which rows are fit to be taken. All of the user's sessions are read, a page at a time, and the ledger
//! takes those of which it knows less. Refuses values that callers without rules sent, and rows that break a
//! bound of the contract or do not add up: they are counted, and spoil no other. Writes nothing to the server.
//! Fails with an [`Obstacle`]; what was taken by then stays, and as long as the ledger wants the rest, it is
//! read again and nothing is sent that could lower it.

use super::obstacle::Obstacle;
use super::wire::digest;
use super::wire::rows::Stored;
use super::worker::Publisher;
use crate::domain::{LARGEST_COUNT, Revision, SessionValue, Totals, UnixMillis};
use crate::ledger::{Adopted, Found, Losses, Restorable};
use chrono::{Datelike, NaiveDate};
use std::time::Duration;
use tokio::time::{sleep_until, timeout_at};

/// Sessions that are taken together.
const PAGE: usize = 500;
/// How often a page is read that has something damaged in it: a session that another machine changes between its
/// row and its days is right the next time.
const LOOKS: usize = 5;
/// Characters of an id or a model.
const LONGEST_NAME: usize = 200;
/// The largest cost: a billion dollars in picodollars.
const LARGEST_COST: i128 = 1_000_000_000_000_000_000_000;

/// What came of reading back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Sessions of the user on the server.
    pub sessions: usize,
    /// Of these, the ones that the ledger knows as much of, or more.
    pub known: usize,
    /// That the ledger had nothing of.
    pub missing: usize,
    /// That the ledger had less of.
    pub fuller: usize,
    /// That are held for a former owner of the ledger and stay as they are.
    pub held: usize,
    /// That callers without counting rules sent, before tallyd did.
    pub older: usize,
    /// Whose rows break a bound of the contract or do not add up.
    pub damaged: usize,
    /// With unlogged usage on the server: that stays there, whatever became of the rest. Nothing that is sent of the
    /// session replaces it unless it knows more of what was logged.
    pub unlogged: usize,
}

impl Restored {
    /// Sessions that count by the server's value from then on.
    pub fn taken(&self) -> usize {
        self.missing + self.fuller
    }
}

impl Publisher {
    /// Takes into the ledger what the server has more of; what passes by itself is tried again for as long as
    /// `patience` lasts. Until it is done, the ledger wants it and offers nothing.
    pub async fn restore(&mut self, patience: Duration) -> Result<Restored, Obstacle> {
        self.outbox.want_restore()?;
        let deadline = super::worker::monotonic() + patience;
        let mut last = None;
        loop {
            let again = match timeout_at(deadline, self.restore_once()).await {
                Ok(Ok(restored)) => return Ok(restored),
                Ok(Err(obstacle)) => {
                    let again = super::worker::monotonic() + self.pause_after(&obstacle);
                    if matches!(obstacle, Obstacle::Fault(_)) || again >= deadline {
                        return Err(obstacle);
                    }
                    last = Some(obstacle);
                    again
                }
                Err(_) => return Err(last.unwrap_or_else(super::worker::no_answer)),
            };
            sleep_until(again).await;
        }
    }

    /// What [`Publisher::restore`] would find; nothing is written.
    pub async fn preview_restore(&mut self) -> Result<Restored, Obstacle> {
        self.check_once().await?;
        self.read_back(false).await
    }

    /// Takes what the server has more of, where the ledger wants that.
    pub(super) async fn restore_where_wanted(&mut self) -> Result<(), Obstacle> {
        if self.outbox.wants_restore()? {
            tell(&self.restore_once().await?);
        }
        Ok(())
    }

    async fn restore_once(&mut self) -> Result<Restored, Obstacle> {
        self.check_once().await?;
        let restored = self.read_back(true).await?;
        if let Some(losses) = self.outbox.restore_done()? {
            tell_of_rebuilt(losses);
        }
        Ok(restored)
    }

    /// Reads all of it; takes what the ledger has less of, or only looks.
    async fn read_back(&mut self, take: bool) -> Result<Restored, Obstacle> {
        let (mut restored, mut after): (Restored, Option<String>) = Default::default();
        loop {
            let mut page = self.page(after.as_deref()).await?;
            for _ in 1..LOOKS {
                if !page.values.iter().any(|fit| matches!(fit, Fit::Damaged)) {
                    break;
                }
                page = self.page(after.as_deref()).await?;
            }
            let Some(last) = page.last else { return Ok(restored) };
            after = Some(last);
            restored.sessions += page.values.len();
            let mut values = Vec::with_capacity(page.values.len());
            for fit in page.values {
                restored.unlogged += usize::from(fit.has_unlogged());
                match fit {
                    Fit::Sound(value, _) => values.push(*value),
                    Fit::Unlogged => {}
                    Fit::Older => restored.older += 1,
                    Fit::Damaged => restored.damaged += 1,
                }
            }
            for found in self.found(&values, take)? {
                *match found {
                    Found::Known => &mut restored.known,
                    Found::Missing => &mut restored.missing,
                    Found::Fuller => &mut restored.fuller,
                    Found::Held => &mut restored.held,
                } += 1;
            }
        }
    }

    async fn page(&mut self, after: Option<&str>) -> Result<Page, Obstacle> {
        let rows = self.remote()?.rows_of_sessions(after, PAGE).await?;
        let last = rows.last().map(|(session, _)| session.clone());
        let values = rows.into_iter().map(|(_, stored)| stored.map_or(Fit::Damaged, restorable)).collect();
        Ok(Page { last, values })
    }

    fn found(&mut self, values: &[Restorable], take: bool) -> Result<Vec<Found>, Obstacle> {
        if !take {
            return Ok(self.outbox.preview_adopt(values)?);
        }
        match self.outbox.adopt(&self.options.destination, values, self.clock.now())? {
            Adopted::Values(found) => Ok(found),
            Adopted::Foreign(owner) => Err(self.foreign(owner).into()),
        }
    }
}

fn tell(restored: &Restored) {
    if restored.damaged > 0 {
        tracing::warn!(
            sessions = restored.damaged,
            "rows of these sessions on the server do not add up: they are left there"
        );
    }
    if restored.unlogged > 0 {
        tracing::info!(sessions = restored.unlogged, "unlogged usage of these sessions stays on the server");
    }
    tracing::info!(
        sessions = restored.taken(),
        of = restored.sessions,
        "restored from the server what the logs here do not have"
    );
}

fn tell_of_rebuilt(losses: Losses) {
    if losses.is_nothing() {
        tracing::info!(
            "the ledger is whole again: the server and the logs have all that the damaged one had"
        );
    } else if losses.responses > 0 {
        tracing::error!(
            sessions = losses.sessions,
            responses = losses.responses,
            "the damaged ledger had responses that neither a log nor the server has; keep its files"
        );
    }
}

/// Some sessions of the server, in its order.
struct Page {
    last: Option<String>,
    values: Vec<Fit>,
}

/// Whether a session of the server can be taken.
enum Fit {
    /// True: it has unlogged usage too.
    Sound(Box<Restorable>, bool),
    /// It has nothing else.
    Unlogged,
    Older,
    Damaged,
}

impl Fit {
    fn has_unlogged(&self) -> bool {
        matches!(self, Self::Sound(_, true) | Self::Unlogged)
    }
}

/// What a person with the right to may have written into the tables is not believed: it would be counted.
fn restorable(stored: Stored) -> Fit {
    if stored.revision == 0 {
        return Fit::Older;
    }
    match Revision::of_stored(stored.revision) {
        Some(revision) if is_sound(&stored.value) => {
            let has_unlogged = !stored.value.unlogged.is_zero();
            let Some(value) = stored.value.logged_alone() else { return Fit::Unlogged };
            let digest = digest(&value, revision);
            Fit::Sound(Box::new(Restorable { revision, value, digest }), has_unlogged)
        }
        _ => Fit::Damaged,
    }
}

/// Whether a value keeps the contract's bounds and is the sum of its cells.
fn is_sound(value: &SessionValue) -> bool {
    let is_name = |name: &str| (1..=LONGEST_NAME).contains(&name.chars().count());
    let is_time = |at: UnixMillis| is_day(at.to_utc().date_naive());
    let are_cells = value.cells.iter().all(|cell| {
        is_day(cell.day) && cell.day.year() >= 2020 && is_name(&cell.model) && is_bounded(&cell.totals)
    });
    is_name(&value.session)
        && is_name(&value.model)
        && is_time(value.started_at)
        && is_time(value.last_at)
        && is_bounded(&value.totals)
        && are_cells
        && (!value.cells.is_empty() || !value.unlogged.is_zero())
        && value.adds_up()
}

/// Of the years that the contract and a calendar of four digits have.
fn is_day(day: NaiveDate) -> bool {
    (1000..=9999).contains(&day.year())
}

fn is_bounded(totals: &Totals) -> bool {
    let counts = [
        totals.thinking,
        totals.messages,
        totals.web_searches,
        totals.unpriced,
        totals.unpriced_tokens,
        totals.incomplete,
    ];
    let mut counts = counts.into_iter().chain(totals.tokens.as_array());
    counts.all(|count| count <= LARGEST_COUNT) && (0..=LARGEST_COST).contains(&totals.cost.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Usd;
    use crate::publish::wire::tests::value;

    type Break = fn(&mut SessionValue);

    #[test]
    fn what_breaks_a_bound_or_does_not_add_up_is_not_taken() {
        assert!(is_sound(&value("s-1", 10)));
        let day = |year| NaiveDate::from_ymd_opt(year, 1, 1).expect("a day");
        let broken: [(&str, Break); 10] = [
            ("no id", |value| value.session.clear()),
            ("a long id", |value| value.session = "é".repeat(201)),
            ("no model", |value| value.model.clear()),
            ("no model of a day", |value| value.cells[0].model.clear()),
            ("no days", |value| value.cells.clear()),
            ("a day twice", |value| value.cells.push(value.cells[0].clone())),
            ("a response more", |value| value.totals.messages += 1),
            ("a count beyond all", |value| value.totals.thinking = u64::MAX),
            ("a negative cost", |value| value.totals.cost = Usd(-1)),
            ("a time beyond the calendar", |value| value.last_at = UnixMillis(i64::MAX)),
        ];
        for (what, breaks) in broken {
            let mut value = value("s-1", 10);
            breaks(&mut value);
            assert!(!is_sound(&value), "{what}");
        }
        for year in [-5, 999, 2019, 10_000, 262_000] {
            let mut value = value("s-1", 10);
            value.cells[0].day = day(year);
            assert!(!is_sound(&value), "{year}");
        }
    }

    #[test]
    fn sums_beyond_all_numbers_end_nothing() {
        let mut value = value("s-1", 10);
        for cell in &mut value.cells {
            cell.totals.tokens.input = u64::MAX;
            cell.totals.messages = u64::MAX;
            cell.totals.cost = Usd(i128::MAX);
        }
        assert!(!value.adds_up() && !is_sound(&value));
    }

    #[test]
    fn values_without_rules_are_another_callers() {
        let stored = |revision| Stored { revision, value: value("s-1", 10) };
        assert!(matches!(restorable(stored(0)), Fit::Older));
        assert!(matches!(restorable(stored(1)), Fit::Sound(_, false)));
        assert!(matches!(restorable(stored(LARGEST_COUNT + 1)), Fit::Damaged));
    }
}
