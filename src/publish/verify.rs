//! Whether the server holds what the ledger holds, session by session and day by day, and sending again
//! what it lacks: a project that was restored from a backup, say.
//!
//! Owns: how the two are compared. Reads the tables as a user does and trusts no digest. Refuses to call
//! something damaged that was only read while it changed: what looks wrong is read twice. Repairs by
//! publishing alone, so what the server thinks it has is told and left to a person. Fails with an
//! [`Obstacle`]; what was sent by then is acknowledged.

use super::Remote;
use super::obstacle::Obstacle;
use super::wire::rows::Stored;
use super::worker::Publisher;
use crate::domain::{Revision, SessionKey, SessionValue, Totals, UnloggedTotals, fnv1a_128, rank};
use crate::ledger::Offer;
use chrono::NaiveDate;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Sessions that are looked at together.
const PAGE: usize = 500;

/// What came of comparing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Sessions of the owner in the ledger.
    pub sessions: usize,
    /// Of these, the ones that the server has exactly so.
    pub equal: usize,
    /// That the server lacked, or had an earlier value of, and now has.
    pub refilled: usize,
    /// That the server still lacks, or has an earlier value of.
    pub lacking: usize,
    /// That the server has a better value of, or another that it prefers: from another machine, say.
    pub ahead: usize,
    /// Whose days on the server do not make up the session's totals there.
    pub damaged: usize,
    /// On the server only.
    pub unknown: usize,
    /// Days that the server's daily table does not have the sum of its sessions for.
    pub damaged_days: Vec<NaiveDate>,
}

impl Verified {
    /// Whether something is left that publishing does not mend.
    pub fn differs(&self) -> bool {
        self.lacking > 0 || self.damaged > 0 || !self.damaged_days.is_empty()
    }
}

/// How a session on the server compares with the ledger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Equal,
    /// The ledger's value would replace it.
    Behind,
    /// The ledger's value would not.
    Ahead,
    /// Another value of which the server alone can tell whether it is the better one.
    Tied,
    Damaged,
}

/// What one comparison found.
#[derive(Debug, Default)]
struct Findings {
    sessions: usize,
    equal: usize,
    behind: BTreeSet<String>,
    tied: BTreeSet<String>,
    ahead: BTreeSet<String>,
    damaged: BTreeSet<String>,
    unknown: usize,
    days: BTreeSet<NaiveDate>,
}

impl Publisher {
    /// Compares what the server has with the ledger. With `refill`, what the server lacks is sent, for as
    /// long as that lasts; without, nothing is sent or written.
    pub async fn verify(&mut self, refill: Option<Duration>) -> Result<Verified, Obstacle> {
        self.check_once().await?;
        let first = self.compare().await?;
        if first.is_clean() {
            return Ok(first.settled(&Findings::default(), false));
        }
        let wanting: Vec<String> = first.behind.union(&first.tied).cloned().collect();
        let is_refilled = refill.is_some() && !wanting.is_empty();
        if is_refilled {
            self.outbox.republish_sessions(&wanting)?;
            if let Some(obstacle) = self.drain(refill).await.obstacle {
                return Err(obstacle);
            }
        }
        let mut second = self.compare().await?;
        if is_refilled {
            second.miss(self.outbox.parked()?.into_iter().map(|parked| parked.session));
        }
        Ok(second.settled(&first, is_refilled))
    }

    async fn compare(&mut self) -> Result<Findings, Obstacle> {
        let mut ours = self.sessions()?;
        let mut findings = Findings { sessions: ours.len(), ..Findings::default() };
        let mut days: HashMap<NaiveDate, Totals> = HashMap::new();
        let mut unlogged: HashMap<NaiveDate, UnloggedTotals> = HashMap::new();
        let mut after: Option<String> = None;
        let takes_unlogged = self.remote()?.takes_unlogged();
        loop {
            let page = self.remote()?.stored(after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.value.session.clone());
            for cell in page.iter().flat_map(|stored| &stored.value.cells) {
                *days.entry(cell.day).or_default() += cell.totals;
            }
            for day in page.iter().flat_map(|stored| &stored.value.unlogged_days) {
                *unlogged.entry(day.day).or_default() += day.totals;
            }
            self.compare_page(&page, &mut ours, &mut findings)?;
        }
        let missing: Vec<SessionKey> = ours.into_values().collect();
        for page in missing.chunks(PAGE) {
            let offers = self.outbox.preview(page)?.into_iter();
            let values = offers.filter_map(|offer| what_is_taken(offer.value?, takes_unlogged));
            findings.behind.extend(values.map(|value| value.session));
        }
        findings.days = others(&days, &self.remote()?.daily().await?).collect();
        findings.days.extend(others(&unlogged, &self.remote()?.daily_unlogged().await?));
        Ok(findings)
    }

    /// The owner's sessions, by a hash of their ids: there may be many.
    fn sessions(&self) -> Result<HashMap<u128, SessionKey>, Obstacle> {
        let (mut sessions, mut after) = (HashMap::new(), None);
        loop {
            let page = self.outbox.values(after, PAGE)?;
            let Some(last) = page.last() else { return Ok(sessions) };
            after = Some(last.key);
            let ids = page.iter().filter_map(|offer| Some((offer.value.as_ref()?, offer.key)));
            sessions.extend(ids.map(|(value, key)| (fnv1a_128(value.session.as_bytes()), key)));
        }
    }

    /// Compares a page, and takes what is on it out of `ours`.
    fn compare_page(
        &self,
        page: &[Stored],
        ours: &mut HashMap<u128, SessionKey>,
        findings: &mut Findings,
    ) -> Result<(), Obstacle> {
        let key_of = |stored: &Stored| ours.remove(&fnv1a_128(stored.value.session.as_bytes()));
        let keys: Vec<SessionKey> = page.iter().filter_map(key_of).collect();
        let takes_unlogged = self.remote.as_ref().is_some_and(Remote::takes_unlogged);
        let offers = self.outbox.preview(&keys)?.into_iter();
        let taken = |offer: Offer| {
            let value = what_is_taken(offer.value?, takes_unlogged)?;
            Some((value, offer.revision.unwrap_or(self.revision)))
        };
        let values: HashMap<String, (SessionValue, Revision)> = offers
            .filter_map(taken)
            .map(|(value, revision)| (value.session.clone(), (value, revision)))
            .collect();
        for stored in page {
            let session = stored.value.session.clone();
            let Some((value, revision)) = values.get(&session) else {
                findings.unknown += 1;
                continue;
            };
            let set = match standing(value, *revision, stored) {
                Standing::Equal => {
                    findings.equal += 1;
                    continue;
                }
                Standing::Behind => &mut findings.behind,
                Standing::Ahead => &mut findings.ahead,
                Standing::Tied => &mut findings.tied,
                Standing::Damaged => &mut findings.damaged,
            };
            set.insert(session);
        }
        Ok(())
    }
}

impl Findings {
    /// Nothing that another look, or sending, could change.
    fn is_clean(&self) -> bool {
        self.behind.is_empty() && self.tied.is_empty() && self.damaged.is_empty() && self.days.is_empty()
    }

    /// These were not taken when they were sent, if they were: that the server prefers what it has is not
    /// known.
    fn miss(&mut self, refused: impl Iterator<Item = String>) {
        self.behind.extend(refused.filter_map(|session| self.tied.take(&session)));
    }

    /// What is so after a second look, the first one's findings being at hand.
    fn settled(&self, first: &Self, is_refilled: bool) -> Verified {
        let wanted: BTreeSet<&String> = first.behind.union(&first.tied).collect();
        let still: BTreeSet<&String> = self.behind.union(&self.tied).collect();
        // What the server was sent and did not take is not lacking: it prefers what it has.
        let (lacking, preferred) =
            if is_refilled { (self.behind.len(), self.tied.len()) } else { (still.len(), 0) };
        Verified {
            sessions: self.sessions,
            equal: self.equal,
            refilled: if is_refilled { wanted.difference(&still).count() } else { 0 },
            lacking,
            ahead: self.ahead.len() + preferred,
            damaged: self.damaged.intersection(&first.damaged).count(),
            unknown: self.unknown,
            damaged_days: self.days.intersection(&first.days).copied().collect(),
        }
    }
}

/// What a project keeps of a value; `None` where that is nothing.
fn what_is_taken(value: SessionValue, takes_unlogged: bool) -> Option<SessionValue> {
    if takes_unlogged { Some(value) } else { value.logged_alone() }
}

/// Days of which two tables have something else.
fn others<'a, T: PartialEq>(
    one: &'a HashMap<NaiveDate, T>,
    other: &'a HashMap<NaiveDate, T>,
) -> impl Iterator<Item = NaiveDate> + 'a {
    let all = one.keys().chain(other.keys());
    all.filter(|day| one.get(day) != other.get(day)).copied()
}

/// How a session of the ledger, counted by the rules of `revision`, compares with what is stored.
pub(super) fn standing(ours: &SessionValue, revision: Revision, theirs: &Stored) -> Standing {
    let stored = &theirs.value;
    let is_same_row = theirs.revision == revision.number()
        && (stored.totals, stored.unlogged) == (ours.totals, ours.unlogged)
        && (stored.started_at, stored.last_at) == (ours.started_at, ours.last_at)
        && stored.model == ours.model;
    let is_same_spread = stored.cells == ours.cells && stored.unlogged_days == ours.unlogged_days;
    let order = rank(revision.number(), ours).cmp(&rank(theirs.revision, stored));
    match order {
        Ordering::Greater => Standing::Behind,
        _ if is_same_row && is_same_spread => Standing::Equal,
        // One that adds up may be another ledger's, which was told of a response on another day.
        _ if !stored.adds_up() => Standing::Damaged,
        Ordering::Less => Standing::Ahead,
        Ordering::Equal => Standing::Tied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::wire::tests::value;

    #[test]
    fn a_stored_session_stands_as_the_server_would_rank_it() {
        let revision = Revision::new(1, 2, 0);
        let ours = value("s-1", 10);
        let stored = |revision: Revision, value: SessionValue| Stored { revision: revision.number(), value };
        let stands = |theirs: &Stored| standing(&ours, revision, theirs);
        assert_eq!(stands(&stored(revision, ours.clone())), Standing::Equal);
        assert_eq!(stands(&stored(Revision::new(1, 1, 0), value("s-1", 99))), Standing::Behind);
        assert_eq!(stands(&stored(Revision::new(1, 3, 0), value("s-1", 1))), Standing::Ahead);
        assert_eq!(stands(&stored(revision, value("s-1", 9))), Standing::Behind);
        assert_eq!(stands(&stored(revision, value("s-1", 11))), Standing::Ahead);
        let mut dearer = ours.clone();
        dearer.totals.cost.0 += 2;
        dearer.cells[0].totals.cost.0 += 2;
        assert_eq!(stands(&stored(revision, dearer.clone())), Standing::Tied);
        dearer.cells[0].totals.cost.0 += 1;
        assert_eq!(stands(&stored(revision, dearer)), Standing::Damaged, "it does not add up");
        let mut short = ours.clone();
        short.cells.pop();
        assert_eq!(stands(&stored(revision, short)), Standing::Damaged, "the row is the same");
    }

    /// Two ledgers may each have frozen a response on another day, in the midst of the same others.
    #[test]
    fn the_same_totals_on_another_day_are_another_value_and_no_damage() {
        let revision = Revision::new(1, 2, 0);
        let ours = value("s-1", 10);
        let mut theirs = ours.clone();
        let moved = theirs.cells.last_mut().expect("a cell");
        moved.day = moved.day.succ_opt().expect("a day");
        let theirs = Stored { revision: revision.number(), value: theirs };
        assert_eq!(standing(&ours, revision, &theirs), Standing::Tied);
    }

    #[test]
    fn rows_whose_sum_no_counter_holds_are_damaged_and_end_nothing() {
        let revision = Revision::new(1, 2, 0);
        let mut theirs = value("s-1", 10);
        theirs.totals.messages += 1;
        for cell in &mut theirs.cells {
            cell.totals.tokens.input = u64::MAX;
            cell.totals.messages = u64::MAX;
            cell.totals.cost.0 = i128::MAX;
        }
        assert!(theirs.cells.len() > 1);
        let stored = Stored { revision: revision.number(), value: theirs };
        assert_eq!(standing(&value("s-1", 10), revision, &stored), Standing::Damaged);
    }

    #[test]
    fn what_looks_wrong_once_and_is_right_the_second_time_is_right() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let first = Findings {
            behind: names(&["a", "b"]),
            tied: names(&["c"]),
            damaged: names(&["d", "e"]),
            ..Findings::default()
        };
        let second = Findings {
            behind: names(&["b"]),
            tied: names(&["c"]),
            damaged: names(&["e", "f"]),
            ..Findings::default()
        };
        let refilled = second.settled(&first, true);
        assert_eq!((refilled.refilled, refilled.lacking, refilled.ahead, refilled.damaged), (1, 1, 1, 1));
        let looked = second.settled(&first, false);
        assert_eq!((looked.refilled, looked.lacking, looked.ahead), (0, 2, 0));
        assert!(looked.differs() && !Verified { ahead: 1, unknown: 1, ..Verified::default() }.differs());
    }
}
