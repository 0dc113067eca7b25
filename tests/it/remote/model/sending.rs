//! A container sends: what goes wrong is set up, what went over the line is gone through call by call, and
//! what tallyd made of it is held against what it had to make of it.

use super::action::Send;
use super::calls::{Call, Messages};
use super::counted::Counted;
use super::lines::{self, session_of};
use super::server::Rows;
use super::trouble::{Meaning, Trouble};
use super::world::{Outcome, World, copy, take_in};
use crate::remote::contract::value::Value;
use crate::remote::faults::{Arrival, Fault};
use crate::remote::gateway::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tallyd::ledger::Outbox;
use tallyd::publish::{Drained, Obstacle};

/// What waits, by session: its stamp, and the stamp that it is parked with.
pub(super) type Waiting = BTreeMap<u8, (i64, Option<i64>)>;

/// What waits in a ledger.
pub(super) fn waiting(state: &Path) -> Waiting {
    let outbox = Outbox::open(state).expect("the ledger is there");
    let waiting = outbox.waiting(usize::MAX).expect("the ledger can be read");
    let keys: Vec<_> = waiting.iter().map(|one| one.key).collect();
    let offers = outbox.preview(&keys).expect("the ledger can be read");
    let name = |key| {
        let offer = offers.iter().find(|offer| offer.key == key)?;
        offer.value.as_ref().map(|value| session_of(&value.session))
    };
    let named = waiting.iter().filter_map(|one| {
        Some((name(one.key)?, (one.stamp, one.parked.as_ref().map(|parked| parked.stamp))))
    });
    named.collect()
}

/// What else there is to know of a sending.
pub(super) struct Seeing<'a> {
    pub(super) noted: Noted,
    pub(super) before: &'a Waiting,
    pub(super) is_failed: bool,
}

/// What the gateway's thread did and saw.
#[derive(Default)]
pub(super) struct Noted {
    /// The trouble that each call of this sending met, by the number of its arrival.
    troubles: BTreeMap<usize, Trouble>,
    checks: usize,
    upserts: usize,
    /// What was wrong with the tables when a call arrived.
    wrong: Option<String>,
    /// What waited when the first call arrived, before anything was written.
    at_first: Option<Waiting>,
}

/// What is to happen while a container sends.
struct Staging {
    send: Send,
    projects: PathBuf,
    state: PathBuf,
    copy: PathBuf,
    revision: u32,
    watch: Arc<Mutex<Rows>>,
    noted: Arc<Mutex<Noted>>,
}

impl Staging {
    /// A call arrives; nothing has been done about it.
    fn meet(&self, arrival: &Arrival) -> Option<Fault> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = self.watch.lock().unwrap_or_else(PoisonError::into_inner).days_are_sums().err();
        noted.wrong = noted.wrong.take().or(wrong);
        let trouble = if is_check(&arrival.request.path) {
            noted.checks += 1;
            self.send.check.filter(|trouble| noted.checks == 1 && trouble.meaning_of_check().is_some())
        } else if is_upsert(&arrival.request.path) {
            let number = noted.upserts;
            noted.upserts += 1;
            self.reached(number, &mut noted);
            self.trouble(number).filter(|trouble| trouble.meaning(&arrival.request).is_some())
        } else {
            None
        };
        trouble.map(|trouble| {
            noted.troubles.insert(arrival.number, trouble);
            trouble.fault(&arrival.request)
        })
    }

    /// What happens when the call of this number is under way.
    fn reached(&self, number: usize, noted: &mut Noted) {
        if self.send.killed_at == Some(number) {
            copy(&self.state, &self.copy);
        }
        if number == 0 {
            noted.at_first = Some(waiting(&self.state));
            if !self.send.meanwhile.is_empty() {
                lines::write(&self.projects, &self.send.meanwhile);
                take_in(&self.projects, &self.state, self.revision);
            }
        }
    }

    fn trouble(&self, number: usize) -> Option<Trouble> {
        // A process that is dead sends nothing.
        if self.send.killed_at.is_some_and(|killed_at| number > killed_at) {
            return Some(Trouble::CutBefore);
        }
        let last = self.send.calls.last().filter(|_| self.send.goes_on);
        *self.send.calls.get(number).or(last).unwrap_or(&None)
    }
}

pub(super) fn is_upsert(path: &str) -> bool {
    path.starts_with("/rest/v1/rpc/upsert_token_usage")
}

fn is_check(path: &str) -> bool {
    path.starts_with("/rest/v1/rpc/token_usage_check")
}

/// Going through what went over the line.
pub(super) struct Account {
    /// What was on disk when the process was killed.
    at_death: Option<Counted>,
    /// What the last call has to be taken for.
    pub(super) last: Option<Meaning>,
    /// Rows that had to be written, with their days.
    pub(super) changed: BTreeMap<(usize, u8), BTreeSet<String>>,
    /// What was sent: the value of each session, and the messages in it with their days.
    pub(super) sent: BTreeMap<u8, (Option<Value>, Messages)>,
}

impl World {
    pub(super) fn send(&mut self, by: usize, send: &Send) -> Outcome {
        self.ready(by);
        if !send.lines.is_empty() {
            self.write(&send.lines);
            self.count(by);
        }
        let container = &self.containers[by];
        let (user, state, revision) = (container.user, container.state.clone(), container.revision);
        let is_foreign = container.counted.owner.is_some_and(|owner| owner != user);
        let (before, calls) = (waiting(&state), self.gateway.seen().len());
        let noted = Arc::new(Mutex::new(Noted::default()));
        let staging = Staging {
            send: send.clone(),
            projects: self.projects(),
            state,
            copy: self.folder.path().join("copy"),
            revision,
            watch: Arc::clone(&self.watch),
            noted: Arc::clone(&noted),
        };
        self.gateway.plan(Box::new(move |arrival| staging.meet(arrival)));
        let is_patient =
            !send.check.iter().chain(send.calls.iter().flatten()).any(|trouble| trouble.is_slow());
        let mut publisher = self.take_publisher(by, is_patient);
        let at_start = self.containers[by].counted.clone();
        // Under another revision everything has changed.
        let has_begun = self.containers[by].counted.begun.replace(revision) == Some(revision);
        let drained = self.log.block_on(publisher.drain(None));
        self.containers[by].publisher = Some(publisher);
        let seen = self.settled(calls);
        let noted = std::mem::take(&mut *noted.lock().unwrap_or_else(PoisonError::into_inner));
        if noted.upserts == 0 && !send.meanwhile.is_empty() {
            lines::write(&self.projects(), &send.meanwhile);
        }
        noted.wrong.clone().map_or(Ok(()), Err)?;
        if is_foreign {
            self.logs.add(&send.meanwhile);
            self.meet("a foreign ledger");
            return foreign_is_refused(&drained, &seen).and_then(|()| self.check_after(&BTreeMap::new()));
        }
        let account = self.go_through(
            by,
            send,
            &seen,
            &Seeing { noted, before: &before, is_failed: drained.obstacle.is_some() },
        )?;
        told(&drained, account.last, is_patient)?;
        if has_begun {
            let value = |session: u8| at_start.value(session, revision);
            check_left_alone(&before, &account, value)?;
        }
        self.after_sending(by, send, &account, &drained)?;
        if let Some(at_death) = account.at_death {
            let state = self.new_folder();
            copy(&self.folder.path().join("copy"), &state);
            self.containers[by].counted = at_death;
            self.go_on_with(by, state);
            self.meet("killed while sending");
        }
        Ok(())
    }

    /// The requests since so many, all of them over.
    pub(super) fn settled(&self, since: usize) -> Vec<(usize, Seen)> {
        // With the publisher's runtime its connections have ended.
        let seen = self.gateway.wait_until_idle();
        self.gateway.heal();
        seen.into_iter().enumerate().skip(since).collect()
    }

    /// Call by call, in the order of arrival.
    pub(super) fn go_through(
        &mut self,
        by: usize,
        send: &Send,
        seen: &[(usize, Seen)],
        seeing: &Seeing,
    ) -> Result<Account, String> {
        let mut account =
            Account { at_death: None, last: None, changed: BTreeMap::new(), sent: BTreeMap::new() };
        let mut upserts = 0;
        for (position, (number, one)) in seen.iter().enumerate() {
            if account.last.is_some_and(|last| last != Meaning::Refused) {
                return Err(format!("tallyd goes on after {:?}: {}", account.last, one.request.path));
            }
            let trouble = seeing.noted.troubles.get(number).copied();
            if let Some(trouble) = trouble {
                self.meet(&trouble.name());
                self.meet("a trouble");
            }
            if is_check(&one.request.path) {
                account.last = trouble.and_then(Trouble::meaning_of_check);
                continue;
            }
            if !is_upsert(&one.request.path) {
                continue;
            }
            let is_failed_last = position + 1 == seen.len() && seeing.is_failed;
            let is_answered = trouble.is_none() && !is_failed_last;
            let call = Call { one, trouble, is_answered };
            let said = self.what_is_sent(by, &call, &mut account)?;
            if upserts == 0 {
                self.freeze_the_known(by, seeing, &account);
            }
            if send.killed_at == Some(upserts) {
                account.at_death = Some(self.containers[by].counted.clone());
            }
            self.go_through_answer(by, &call, &said, &mut account)?;
            if upserts == 0 && !send.meanwhile.is_empty() {
                self.logs.add(&send.meanwhile);
                self.containers[by].counted.read(&self.logs);
                self.meet("taken in while sending");
            }
            upserts += 1;
        }
        if upserts == 0 {
            self.freeze_the_known(by, seeing, &account);
            self.logs.add(&send.meanwhile);
        }
        Ok(account)
    }

    /// What waited, was not sent and waits no more was known to have arrived. It was about to be sent all the
    /// same.
    fn freeze_the_known(&mut self, by: usize, seeing: &Seeing, account: &Account) {
        let container = &mut self.containers[by];
        let now = seeing.noted.at_first.clone().unwrap_or_else(|| waiting(&container.state));
        for session in seeing.before.keys().filter(|session| !account.sent.contains_key(session)) {
            if !now.contains_key(session) {
                container.counted.offer(*session);
            }
        }
    }
}

/// What was not sent again although it was parked and has not changed.
fn check_left_alone(before: &Waiting, account: &Account, value: impl Fn(u8) -> Option<Value>) -> Outcome {
    let is_parked =
        |session: &&u8| before.get(session).is_some_and(|(stamp, parked)| *parked == Some(*stamp));
    let is_same =
        |session: &&u8| account.sent.get(session).is_some_and(|(sent, _)| *sent == value(**session));
    match account.sent.keys().filter(is_same).find(is_parked) {
        Some(session) => Err(format!("session {session} was parked, has not changed and was sent")),
        None => Ok(()),
    }
}

/// What is sent where the ledger is another's: nothing.
fn foreign_is_refused(drained: &Drained, seen: &[(usize, Seen)]) -> Outcome {
    match &drained.obstacle {
        Some(Obstacle::Fault(fault)) if fault.kind() == "foreign_ledger" && seen.is_empty() => Ok(()),
        other => Err(format!("a foreign ledger: {other:?}, {} calls", seen.len())),
    }
}

/// What is in the way is told, and nothing else is.
fn told(drained: &Drained, last: Option<Meaning>, is_patient: bool) -> Outcome {
    let is_right = match (&drained.obstacle, last) {
        (None, None) => true,
        (Some(Obstacle::Transient { retry_after, .. }), Some(Meaning::Passes(seconds))) => {
            *retry_after == seconds.map(Duration::from_secs)
        }
        (Some(Obstacle::Fault(fault)), Some(Meaning::Mend(kind))) => fault.kind() == kind,
        _ => false,
    };
    // A busy machine may take too long for anything where little time is given.
    let is_late = !is_patient && matches!(drained.obstacle, Some(Obstacle::Transient { .. }));
    if is_right || is_late { Ok(()) } else { Err(format!("{last:?} was taken for {drained:?}")) }
}
