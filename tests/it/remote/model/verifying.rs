//! A container holds the server against its ledger: what it finds is what there is to find, and what was
//! missing is there afterwards.

use super::action::Send;
use super::sending::{Noted, Seeing, is_upsert, waiting};
use super::world::{Outcome, World};
use crate::remote::contract::value::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tallyd::publish::{Obstacle, Verified};

impl World {
    pub(super) fn verify(&mut self, number: usize) -> Outcome {
        let by = self.ready(number);
        let (calls, before) = (self.gateway.seen().len(), waiting(&self.containers[by].state));
        let lacking = self.lacking(by);
        let mut publisher = self.take_publisher(by, true);
        let verified = self.log.block_on(publisher.verify(Some(Duration::from_mins(2))));
        self.containers[by].publisher = Some(publisher);
        let seen = self.settled(calls);
        let verified = match verified {
            Ok(verified) => verified,
            Err(Obstacle::Fault(fault)) if fault.kind() == "foreign_ledger" && seen.is_empty() => {
                self.meet("a foreign ledger");
                return self.nothing_was_written();
            }
            Err(obstacle) => return Err(format!("{obstacle:?}")),
        };
        if seen.iter().any(|(_, seen)| is_upsert(&seen.request.path)) {
            self.containers[by].counted.begun = Some(self.containers[by].revision);
        }
        let seeing = Seeing { noted: Noted::default(), before: &before, is_failed: false };
        let changed = self.go_through(by, &Send::plainly(by), &seen, &seeing)?.changed;
        self.containers[by].has_doubts = false;
        self.check_verified(by, &verified, &lacking)?;
        self.check_after(&changed)
    }

    /// The container's own sessions that the server lacks or has a lesser value of.
    fn lacking(&self, by: usize) -> BTreeSet<u8> {
        let container = &self.containers[by];
        let lacks = |session: &u8| {
            let value = container.counted.value(*session, container.revision);
            let best = self.server.best(container.user, *session);
            container.counted.is_own(*session) && best.map(Value::rank) < value.as_ref().map(Value::rank)
        };
        container.counted.sessions().into_iter().filter(lacks).collect()
    }

    /// The server has another value of which the digest alone says whether it is the greater one. Of what was
    /// not taken tallyd does not know that.
    fn is_tied(&self, by: usize, session: u8) -> bool {
        let container = &self.containers[by];
        let ours = container.counted.value(session, container.revision).map(|value| value.rank());
        let theirs = self.server.best(container.user, session).map(Value::rank);
        ours.zip(theirs).is_some_and(|(ours, theirs)| {
            let is_same = (ours.0, ours.1) == (theirs.0, theirs.1);
            container.counted.is_own(session) && is_same && ours != theirs
        })
    }

    fn check_verified(&mut self, by: usize, verified: &Verified, lacking: &BTreeSet<u8>) -> Outcome {
        let parked = waiting(&self.containers[by].state);
        let (container, mut still) = (&self.containers[by], self.lacking(by));
        still.extend(parked.keys().filter(|session| self.is_tied(by, **session)));
        let counted = &container.counted;
        let own: BTreeSet<u8> =
            counted.sessions().into_iter().filter(|session| counted.is_own(*session)).collect();
        let is_equal = |session: &&u8| {
            let value = counted.value(**session, container.revision);
            value.as_ref() == self.server.best(container.user, **session)
        };
        let equal = own.iter().filter(is_equal).count();
        let theirs = self.server.of_user(container.user);
        let expected = Verified {
            sessions: own.len(),
            equal,
            refilled: lacking.difference(&still).count(),
            lacking: still.len(),
            ahead: own.len() - equal - still.len(),
            damaged: 0,
            unknown: theirs.filter(|(session, _)| !own.contains(session)).count(),
            damaged_days: Vec::new(),
        };
        if *verified != expected || !still.iter().all(|session| parked.contains_key(session)) {
            return Err(format!("verified {verified:?}, expected {expected:?}, {still:?} of {parked:?}"));
        }
        if expected.refilled > 0 {
            self.meet("a server refilled");
        }
        if expected.ahead > 0 {
            self.meet("a server ahead");
        }
        Ok(())
    }
}
