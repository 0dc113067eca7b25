//! What a ledger should hold after what it has read and offered: the rules of counting and of ownership on a
//! handful of numbers. A value that is copied when the ledger's folder is. Reads no ledger.

use super::lines::{LONG, Line, Logs, SPOILING, model, usage};
use crate::remote::contract::value::{Usage, Value};
use crate::truth::timestamp;
use std::collections::{BTreeMap, BTreeSet};
use tallyd::domain::Revision;

/// Which session paid: the least of all lines wins.
type Payer = (bool, i64, u8);

/// What all lines so far say of a message.
#[derive(Clone, Debug)]
struct Response {
    step: u8,
    is_final: bool,
    first_at: i64,
    payer: Payer,
    /// The pass that saw it first.
    since: u64,
}

/// Whom a session belongs to that does not simply follow the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    User(usize),
}

/// What a ledger should hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    responses: BTreeMap<u8, Response>,
    /// Lines that were read, by file.
    cursors: BTreeMap<u8, usize>,
    passes: u64,
    /// The last pass before a session was last about to be sent.
    offered: BTreeMap<u8, u64>,
    /// Sessions that ever had usage.
    known: BTreeSet<u8>,
    pub(super) owner: Option<usize>,
    holders: BTreeMap<u8, Holder>,
    /// Sessions that were refused for what is in them, or seemed to be.
    pub(super) blamed: BTreeSet<u8>,
    /// The revision under which sending last began.
    pub(super) begun: Option<u32>,
    /// What offering kept where it was against what a line said.
    pub(super) kept_in_place: usize,
    /// Responses that a line moved to another session or day.
    pub(super) moved: usize,
}

impl Counted {
    /// One pass over everything that is new in the logs.
    pub(super) fn read(&mut self, logs: &Logs) {
        self.passes += 1;
        let before = self.responses.clone();
        let mut touched = BTreeSet::new();
        for (file, lines) in logs.files() {
            let cursor = self.cursors.entry(file).or_default();
            for line in &lines[*cursor..] {
                touched.insert(line.message);
                merge(&mut self.responses, *line, self.passes);
            }
            *cursor = lines.len();
        }
        for message in touched {
            let (Some(old), Some(new)) = (before.get(&message), self.responses.get_mut(&message)) else {
                continue;
            };
            let is_elsewhere = (old.first_at, old.payer.2) != (new.first_at, new.payer.2);
            if self.offered.get(&old.payer.2).is_some_and(|pass| old.since <= *pass) {
                (new.first_at, new.payer) = (old.first_at, old.payer);
                self.kept_in_place += usize::from(is_elsewhere);
            } else {
                self.moved += usize::from(is_elsewhere);
            }
        }
        self.known.extend(self.responses.values().map(|response| response.payer.2));
    }

    /// A session is about to be sent: what is in it stays in it.
    pub(super) fn offer(&mut self, session: u8) {
        self.offered.insert(session, self.passes);
    }

    /// A session's value has arrived at a user.
    pub(super) fn arrived(&mut self, session: u8, user: usize) {
        let owner = *self.owner.get_or_insert(user);
        if self.holders.get(&session).is_none_or(|holder| *holder == Holder::User(owner)) {
            self.holders.insert(session, Holder::User(user));
        }
    }

    pub(super) fn is_own(&self, session: u8) -> bool {
        let holder = self.holders.get(&session);
        holder.is_none_or(|holder| self.owner.map(Holder::User) == Some(*holder))
    }

    /// Everything goes to a user; how many sessions that is.
    pub(super) fn give_everything(&mut self, user: usize) -> usize {
        self.owner = Some(user);
        self.holders.extend(self.known.iter().map(|session| (*session, Holder::User(user))));
        self.known.len()
    }

    /// What begins from now on goes to a user; how many sessions stay behind.
    pub(super) fn give_from_now_on(&mut self, user: usize) -> usize {
        if self.owner != Some(user) {
            let former = self.owner.map_or(Holder::Nobody, Holder::User);
            for session in &self.known {
                self.holders.entry(*session).or_insert(former);
            }
            self.owner = Some(user);
        }
        self.holders.values().filter(|holder| **holder != Holder::User(user)).count()
    }

    pub(super) fn sessions(&self) -> BTreeSet<u8> {
        self.responses.values().map(|response| response.payer.2).collect()
    }

    /// The messages in a session, with the day of each.
    pub(super) fn places(&self, session: u8) -> impl Iterator<Item = (u8, String)> {
        let inside = self.responses.iter().filter(move |(_, response)| response.payer.2 == session);
        inside.map(|(message, response)| (*message, day(response.first_at)))
    }

    /// Whether the server can never take what the session is now.
    pub(super) fn is_poison(&self, session: u8) -> bool {
        session == LONG || self.places(session).any(|(message, _)| message == SPOILING)
    }

    /// The value of a session under the prices of a revision.
    pub(super) fn value(&self, session: u8, revision: u32) -> Option<Value> {
        let inside = self.responses.iter().filter(|(_, response)| response.payer.2 == session);
        let inside: Vec<(&u8, &Response)> = inside.collect();
        let times = || inside.iter().map(|(_, response)| response.first_at);
        let latest = inside.iter().map(|(message, response)| (response.first_at, model(**message))).max()?;
        let mut cells: BTreeMap<(String, String), Usage> = BTreeMap::new();
        for (message, response) in &inside {
            let cell = cells.entry((day(response.first_at), model(**message).to_owned())).or_default();
            *cell += usage(**message, response.step, response.is_final, revision);
        }
        Some(Value {
            revision: number(revision),
            started: times().min()?,
            latest: latest.0,
            model: latest.1.to_owned(),
            cells,
            unlogged: BTreeMap::new(),
        })
    }
}

/// The number that a revision is sent as.
pub(super) fn number(revision: u32) -> i64 {
    i64::try_from(Revision::new(1, revision, 0).number()).expect("small")
}

fn merge(responses: &mut BTreeMap<u8, Response>, line: Line, pass: u64) {
    let (at, is_final) = (line.at(), line.step > 0);
    let payer = match line.forked_from {
        Some(from) => (true, at, from),
        None => (false, at, line.session),
    };
    let new = Response { step: line.step, is_final, first_at: at, payer, since: pass };
    let known = responses.entry(line.message).or_insert(new);
    known.step = known.step.max(line.step);
    known.is_final |= is_final;
    known.first_at = known.first_at.min(at);
    known.payer = known.payer.min(payer);
}

fn day(at: i64) -> String {
    timestamp(at)[..10].to_owned()
}
