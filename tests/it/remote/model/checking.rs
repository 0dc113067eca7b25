//! What must hold after every action: the tables, what ledgers take for arrived, what is parked, whose what
//! is. And the end of a story, when nothing goes wrong any more: all that was counted is there, once.

use super::action::Send;
use super::lines::session_of;
use super::sending::{Account, is_upsert, waiting};
use super::world::{Outcome, USERS, World};
use crate::remote::contract::value::MESSAGES;
use std::collections::{BTreeMap, BTreeSet};
use tallyd::ledger::Outbox;
use tallyd::publish::Drained;

impl World {
    pub(super) fn after_sending(
        &mut self,
        by: usize,
        send: &Send,
        account: &Account,
        drained: &Drained,
    ) -> Outcome {
        let outbox = Outbox::open(&self.containers[by].state).expect("the ledger is there");
        let noted = outbox.noted().expect("the ledger can be read").refusal.map(|refusal| refusal.kind);
        let met = drained.obstacle.as_ref().map(|obstacle| obstacle.kind().to_owned());
        if noted != met {
            return Err(format!("noted is {noted:?}, in the way was {met:?}"));
        }
        let parked = outbox.parked().expect("the ledger can be read").len();
        if drained.parked != parked {
            return Err(format!("{parked} are parked, told of are {}", drained.parked));
        }
        if drained.obstacle.is_none() && send.meanwhile.is_empty() {
            let left = waiting(&self.containers[by].state);
            if drained.left > 0 || left.values().any(|(_, parked)| parked.is_none()) {
                return Err(format!("nothing is in the way and {left:?} is left, told {drained:?}"));
            }
        }
        self.check_owner(by)?;
        self.check_after(&account.changed)
    }

    /// Nothing on the server may have changed.
    pub(super) fn nothing_was_written(&mut self) -> Outcome {
        self.check_after(&BTreeMap::new())
    }

    pub(super) fn check_after(&mut self, changed: &BTreeMap<(usize, u8), BTreeSet<String>>) -> Outcome {
        self.rows.check(&self.server, changed)?;
        (0..self.containers.len()).try_for_each(|index| {
            if self.containers[index].is_fresh { Ok(()) } else { self.check_container(index) }
        })
    }

    fn check_owner(&self, index: usize) -> Outcome {
        let container = &self.containers[index];
        let outbox = Outbox::open(&container.state).expect("the ledger is there");
        let owner = outbox.owner().expect("the ledger can be read");
        let expected = container.counted.owner.map(|user| self.destination(user));
        if owner == expected { Ok(()) } else { Err(format!("the owner is {owner:?}, not {expected:?}")) }
    }

    fn check_container(&self, index: usize) -> Outcome {
        self.check_owner(index)?;
        let container = &self.containers[index];
        let outbox = Outbox::open(&container.state).expect("the ledger is there");
        for parked in outbox.parked().expect("the ledger can be read") {
            let session = session_of(&parked.session);
            if !container.counted.blamed.contains(&session) {
                return Err(format!("session {session} is parked for nothing: {parked:?}"));
            }
        }
        // Under another revision everything is sent again when sending begins.
        if container.counted.begun != Some(container.revision) || container.has_doubts {
            return Ok(());
        }
        let waiting = waiting(&container.state);
        for session in container.counted.sessions() {
            let Some(value) = container.counted.value(session, container.revision) else { continue };
            if waiting.contains_key(&session) || !container.counted.is_own(session) {
                continue;
            }
            let owner = container.counted.owner.ok_or("it has arrived, and there is no owner")?;
            let best = self.server.best(owner, session);
            if best.is_none_or(|best| best.rank() < value.rank()) {
                return Err(format!(
                    "container {index} takes session {session} for arrived: {value:#?}\n{best:#?}"
                ));
            }
        }
        Ok(())
    }

    /// Nothing goes wrong any more, and everybody sends until nothing waits.
    pub(super) fn settle(&mut self) -> Outcome {
        let counted = || self.containers.iter().map(|container| &container.counted);
        let (kept, moved): (usize, usize) =
            (counted().map(|one| one.kept_in_place).sum(), counted().map(|one| one.moved).sum());
        for (what, count) in [("kept where it was offered", kept), ("moved before it was offered", moved)] {
            *self.met.entry(what.to_owned()).or_default() += count;
        }
        self.wait();
        for index in 0..self.containers.len() {
            self.ready(index);
            let container = &mut self.containers[index];
            if let Some(owner) = container.counted.owner.filter(|owner| *owner != container.user) {
                (container.user, container.publisher) = (owner, None);
            }
            let mut outbox = Outbox::open(&container.state).expect("the ledger is there");
            outbox.release(None).expect("the ledger can be written");
            drop(outbox);
            self.count(index);
            self.send(index, &Send::plainly(index))?;
            if self.containers[index].has_doubts {
                self.verify(index)?;
            }
        }
        for index in 0..self.containers.len() {
            self.check_end_of(index)?;
        }
        (0..=USERS).try_for_each(|user| self.rows.compare(&self.server, user))?;
        self.rows.days_are_sums()?;
        (0..USERS).try_for_each(|user| self.check_nothing_twice(user))
    }

    /// Everything of a ledger is there but what the server cannot take, and a new process sends nothing.
    fn check_end_of(&mut self, index: usize) -> Outcome {
        let calls = self.gateway.seen().len();
        self.restart(index);
        self.send(index, &Send::plainly(index))?;
        if self.gateway.seen()[calls..].iter().any(|seen| is_upsert(&seen.request.path)) {
            return Err(format!("container {index} still sends"));
        }
        let container = &self.containers[index];
        let own: Vec<u8> = container
            .counted
            .sessions()
            .into_iter()
            .filter(|session| container.counted.is_own(*session))
            .collect();
        let parked: BTreeSet<u8> = waiting(&container.state).into_keys().collect();
        let poison: BTreeSet<u8> =
            own.iter().copied().filter(|session| container.counted.is_poison(*session)).collect();
        if parked != poison {
            return Err(format!("container {index} keeps {parked:?}, poison is {poison:?}"));
        }
        for session in own.iter().filter(|session| !poison.contains(session)) {
            let value =
                container.counted.value(*session, container.revision).ok_or("a session has a value")?;
            let best = container.counted.owner.and_then(|owner| self.server.best(owner, *session));
            if best.is_none_or(|best| best.rank() < value.rank()) {
                return Err(format!("container {index}: session {session} is not there"));
            }
        }
        Ok(())
    }

    /// Messages are counted once each. Only a ledger that does not know what another one had offered may say
    /// that a message is elsewhere.
    fn check_nothing_twice(&mut self, user: usize) -> Outcome {
        let messages: i64 =
            self.server.of_user(user).map(|(_, value)| value.totals().counters[MESSAGES]).sum();
        let told: Vec<usize> =
            self.places.iter().filter(|(key, _)| key.0 == user).map(|(_, places)| places.len()).collect();
        let (distinct, places) = (told.len(), told.iter().sum::<usize>());
        if places > distinct {
            let unknowing = ["Add", "Clone", "Lose", "an older ledger"];
            if !unknowing.iter().any(|what| self.met.contains_key(*what)) {
                return Err(format!("one ledger, and messages in two places: {:?}", self.places));
            }
            self.meet("a message in two places");
        }
        let most = i64::try_from(places).expect("small");
        if messages > most {
            return Err(format!(
                "user {user} is billed for {messages} messages of {distinct} in {places} places"
            ));
        }
        Ok(())
    }
}
