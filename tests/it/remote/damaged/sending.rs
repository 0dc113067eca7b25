//! Sending and taking back: what the two sides have to come to, and what they may come to where something goes wrong
//! on the way.

use super::counted::{Counted, Server, arrive, greater};
use super::world::{Outcome, State, World};
use std::time::Duration;
use tallyd::ledger::Outbox;

/// As long as a server that fails is tried again.
const SHORT: Duration = Duration::from_millis(100);

impl World {
    /// Sends what waits, trying once.
    pub(super) fn publish(&mut self, meets_faults: bool) -> Outcome {
        let (before, wanted) = (self.counted.clone(), self.is_wanted());
        let mut publisher = match self.publisher() {
            Ok(publisher) => publisher,
            Err(_) if self.state != State::Whole => {
                self.nothing_to_send_from();
                return Ok(());
            }
            Err(error) => return Err(format!("nothing to publish from: {error}")),
        };
        let drained = self.log.block_on(publisher.drain(None));
        drop(publisher);
        self.gateway.wait_until_idle();
        self.gateway.heal();
        if drained.obstacle.is_some() && !meets_faults && self.state == State::Whole {
            return Err(format!("nothing is in the way: {drained:?}"));
        }
        self.meet(if drained.obstacle.is_some() { "publishing met an obstacle" } else { "published" });
        if drained.obstacle.is_none() && self.state == State::Whole {
            if wanted == Some(true) {
                self.counted.adopt(&self.server);
            }
            arrive(&mut self.server, &self.counted.values(self.revision));
            return Ok(());
        }
        self.either(&before)
    }

    /// Takes back what the server has more of.
    pub(super) fn restore(&mut self, meets_faults: bool) -> Outcome {
        let before = self.counted.clone();
        let mut publisher = match self.publisher() {
            Ok(publisher) => publisher,
            Err(_) if self.state != State::Whole => {
                self.nothing_to_send_from();
                return Ok(());
            }
            Err(error) => return Err(format!("nothing to restore into: {error}")),
        };
        let patience = if meets_faults { SHORT } else { Duration::from_mins(1) };
        // What is damaged is not worth trying again.
        let patience = if self.state == State::Whole { patience } else { SHORT };
        let restored = self.log.block_on(publisher.restore(patience));
        drop(publisher);
        self.gateway.wait_until_idle();
        self.gateway.heal();
        match restored {
            Ok(_) if self.state == State::Whole => {
                self.meet("restored");
                self.counted.adopt(&self.server);
                Ok(())
            }
            Err(obstacle) if !meets_faults && self.state == State::Whole => {
                Err(format!("nothing is in the way of a restore: {obstacle:?}"))
            }
            _ => self.either(&before),
        }
    }

    fn nothing_to_send_from(&mut self) {
        self.gateway.heal();
        self.meet("nothing to send from");
    }

    /// Whether what the server has is still to be read, where the ledger can say.
    pub(super) fn is_wanted(&self) -> Option<bool> {
        Outbox::open(&self.state_folder()).ok()?.wants_restore().ok()
    }

    /// Something was in the way: what was taken back was taken as a whole, and of each session the server has what it
    /// had, or what was sent.
    fn either(&mut self, before: &Counted) -> Outcome {
        let mut after = before.clone();
        after.adopt(&self.server);
        let values = [before.values(self.revision), after.values(self.revision)];
        let found = self.rows()?;
        let mut now = Server::new();
        for (session, row) in &found {
            let known = self.server.get(session);
            let sent = values.iter().filter_map(|values| values.get(session));
            let mut possible =
                known.cloned().into_iter().chain(sent.map(|sent| greater(*session, known, sent)));
            match possible.find(|value| super::checking::is_row(*session, value, row)) {
                Some(value) => now.insert(*session, value),
                None => return Err(format!("session {session} on the server is {row:?}, which nobody sent")),
            };
        }
        if now.len() < self.server.len() {
            return Err(format!("a session is on the server no more: {found:?}"));
        }
        self.server = now;
        if *before != after {
            // What is damaged may have taken it and not say so.
            self.is_exact &= self.state == State::Whole;
            let says = self.ledger_says();
            if says.is_ok_and(|says| says == super::lines::account(&after.counts())) {
                self.counted = after;
            }
        }
        Ok(())
    }
}
