//! The model of a ledger and its server: which responses a session counts by, on either side. A session counts by
//! its responses, or by what the server had of it as long as that is more.

use super::lines::{Known, Sessions, fullness, merge, sum};
use std::collections::BTreeMap;

/// The rules that a value was counted by, and what is in it.
pub(super) type Value = (u32, Known);

/// What a server keeps: of each session the greatest value.
pub(super) type Server = BTreeMap<u8, Value>;

/// What a ledger has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counted {
    pub(super) facts: Sessions,
    pub(super) restored: Server,
}

fn fullness_of(session: u8, known: &Known) -> (u64, u64, u64) {
    fullness(&sum(session, known))
}

fn rank(session: u8, (revision, known): &Value) -> (u32, (u64, u64, u64)) {
    (*revision, fullness_of(session, known))
}

impl Counted {
    /// What each session counts by.
    pub(super) fn counts(&self) -> Sessions {
        let mut all = self.facts.clone();
        all.extend(self.restored.iter().map(|(session, (_, known))| (*session, known.clone())));
        all
    }

    /// Responses that it has of a session, in one way or the other.
    pub(super) fn held(&self) -> BTreeMap<u8, usize> {
        let lengths = |session| {
            let facts = self.facts.get(&session).map_or(0, Known::len);
            facts.max(self.restored.get(&session).map_or(0, |(_, known)| known.len()))
        };
        self.counts().into_keys().map(|session| (session, lengths(session))).collect()
    }

    pub(super) fn read(&mut self, logs: &Sessions) {
        for (session, known) in logs {
            let facts = self.facts.entry(*session).or_default();
            merge(facts, known);
            let has_caught_up = self
                .restored
                .get(session)
                .is_some_and(|(_, known)| fullness_of(*session, facts) >= fullness_of(*session, known));
            if has_caught_up {
                self.restored.remove(session);
            }
        }
    }

    /// Takes what the server has more of.
    pub(super) fn adopt(&mut self, server: &Server) {
        for (session, theirs) in server {
            let restored = self.restored.get(session);
            if restored.is_some_and(|ours| rank(*session, theirs) <= rank(*session, ours)) {
                continue;
            }
            let ours = self.facts.get(session).map(|known| fullness_of(*session, known));
            if ours.is_none_or(|ours| fullness_of(*session, &theirs.1) > ours) {
                self.restored.insert(*session, theirs.clone());
            } else {
                self.restored.remove(session);
            }
        }
    }

    /// What it sends of each session by rules of its own.
    pub(super) fn values(&self, revision: u32) -> Server {
        let mut all: Server =
            self.facts.iter().map(|(session, known)| (*session, (revision, known.clone()))).collect();
        all.extend(self.restored.clone());
        all
    }
}

/// The value that the server keeps when this one arrives.
pub(super) fn greater(session: u8, known: Option<&Value>, sent: &Value) -> Value {
    known.filter(|known| rank(session, known) >= rank(session, sent)).unwrap_or(sent).clone()
}

pub(super) fn arrive(server: &mut Server, values: &Server) {
    for (session, value) in values {
        let kept = greater(*session, server.get(session), value);
        server.insert(*session, kept);
    }
}
