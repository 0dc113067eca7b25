//! One pass over what waits: take, send, write down what became of it.
//!
//! Owns: the order of these. A value is offered in the ledger before it is sent and acknowledged only by an
//! answer that names it; dropping a pass anywhere loses an answer at most, and sending again is harmless.
//! Refuses to blame a session for what may be the server's doing. Ends with the first [`Obstacle`]; what was
//! acknowledged by then stays so.

use super::answer::passes;
use super::fault::told;
use super::obstacle::Obstacle;
use super::pace::{Due, Pace};
use super::voice::Voice;
use super::worker::{Publisher, monotonic};
use super::{Body, Fault, ItemAnswer, Refusal, Remote, UNLOGGED_CONTRACT};
use crate::domain::{SessionKey, SessionValue, UnixMillis};
use crate::ledger::{Acknowledged, Begun, Offered, Parked, Waiting};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Another version may send, or the server may take, what was refused.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A parked session that has changed is tried again, but not sooner.
const PARKED_FOR_MS: i64 = 15 * 60 * 1_000;
/// How often a project that takes no unlogged usage is asked whether it does by now.
const OLD_CONTRACT_INTERVAL: Duration = Duration::from_mins(10);
/// The digest of a session that nothing is left of.
const NOTHING: &str = "00000000000000000000000000000000";

/// What a pass may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Each session at most once in its interval.
    Paced,
    /// Everything that waits.
    All,
}

/// A value on its way.
struct Sending {
    key: SessionKey,
    stamp: i64,
    body: Body,
}

/// What came of looking for work.
struct Gathered {
    /// Something was due, though it need not have been sent.
    found: bool,
    sending: Vec<Sending>,
}

/// What a pass has dealt with, so that it ends however fast sessions grow.
#[derive(Debug, Default)]
pub(super) struct Handled {
    keys: HashSet<SessionKey>,
    /// Of these, the ones that the server has.
    pub(super) arrived: HashSet<SessionKey>,
    /// How many of these the server refuses.
    refused: usize,
}

impl Publisher {
    /// Sends what waits. Each session is dealt with once in what `handled` lives for.
    pub(super) async fn pass(&mut self, haste: Haste, handled: &mut Handled) -> Result<(), Obstacle> {
        self.begin()?;
        self.check_once().await?;
        self.look_at_contract()?;
        (self.next_due, self.is_put_off) = (None, false);
        loop {
            self.restore_where_wanted().await?;
            let gathered = self.gather(haste, handled)?;
            if !gathered.found {
                return Ok(());
            }
            self.deliver(gathered.sending, handled).await?;
        }
    }

    /// Says in the ledger by which rules values are sent from now on.
    fn begin(&mut self) -> Result<(), Obstacle> {
        if self.is_begun {
            return Ok(());
        }
        let released = self.outbox.release(Some(VERSION))?;
        if released > 0 {
            tracing::info!(sessions = released, "sessions that another version had parked are tried again");
        }
        match self.outbox.begin(self.revision, &self.prices)? {
            Begun::Same => {}
            Begun::Changed => {
                tracing::info!(revision = %self.revision, "rules or prices have changed: everything is published anew");
            }
            Begun::PricesChangedUnderTheSame => Voice::prices_without_revision(),
        }
        self.is_begun = true;
        Ok(())
    }

    /// Asks whether the project is ready, unless it was since the last fault.
    pub(super) async fn check_once(&mut self) -> Result<(), Obstacle> {
        if let Some(owner) = self.outbox.owner()?
            && owner != self.options.destination
        {
            return Err(self.foreign(owner).into());
        }
        let is_due = |next: &Instant| monotonic() >= *next;
        if !self.is_checked || self.next_check.as_ref().is_some_and(is_due) {
            self.check().await?;
        }
        Ok(())
    }

    /// Where the project has a place for unlogged usage that it had not, what was sent without is sent again.
    fn look_at_contract(&mut self) -> Result<(), Obstacle> {
        let contract = self.remote()?.contract();
        let sessions = self.outbox.note_contract(contract, contract >= UNLOGGED_CONTRACT)?;
        if sessions > 0 {
            tracing::info!(sessions, contract, "the project takes unlogged usage now: it is published");
        }
        Ok(())
    }

    pub(super) fn foreign(&self, owner: crate::domain::Destination) -> Fault {
        Fault::ForeignLedger { owner, wanted: self.options.destination.clone() }
    }

    async fn check(&mut self) -> Result<(), Obstacle> {
        let answer = self.remote()?.check().await?;
        if let Some(fault) = answer.fault(&self.options.destination) {
            return Err(fault.into());
        }
        self.voice.clock(answer.server_time, self.clock.now());
        self.is_checked = true;
        // Another may bring the project up to date at any time, which nothing else would show.
        let is_old = answer.contract < UNLOGGED_CONTRACT;
        self.next_check = is_old.then(|| monotonic() + OLD_CONTRACT_INTERVAL);
        Ok(())
    }

    /// The connection; made anew where it could not be made before.
    pub(super) fn remote(&mut self) -> Result<&Remote, Obstacle> {
        if self.remote.is_none() {
            let made = Remote::counting(&self.options, Arc::clone(&self.requests));
            self.remote = Some(made.map_err(|error| Fault::NoClient { message: error.reason })?);
        }
        Ok(self.remote.as_ref().expect("it was made above"))
    }

    /// Takes the next values for sending. What the server has already is acknowledged here.
    fn gather(&mut self, haste: Haste, handled: &mut Handled) -> Result<Gathered, Obstacle> {
        let takes_unlogged = self.remote()?.takes_unlogged();
        let due = self.due(haste, handled)?;
        let keys: Vec<SessionKey> = due.iter().map(|waiting| waiting.key).collect();
        let acknowledged: HashMap<SessionKey, Option<String>> =
            due.into_iter().map(|waiting| (waiting.key, waiting.acknowledged)).collect();
        let mut sending = Vec::with_capacity(keys.len());
        let mut done = Vec::new();
        if keys.is_empty() {
            return Ok(Gathered { found: false, sending });
        }
        let offers = match self.outbox.offer(&self.options.destination, &keys)? {
            Offered::Values(offers) => offers,
            Offered::Foreign(owner) => return Err(self.foreign(owner).into()),
            // Wanted since this pass has begun: its next round does it.
            Offered::RestoreFirst => return Ok(Gathered { found: true, sending }),
        };
        for offer in offers {
            let (revision, user) = (offer.revision.unwrap_or(self.revision), self.options.destination.user);
            let value =
                if takes_unlogged { offer.value } else { offer.value.and_then(SessionValue::logged_alone) };
            let body = value.map(|value| Body::new(&value, revision, user));
            let digest = body.as_ref().map_or(NOTHING, |body| body.digest.as_str());
            let is_known = acknowledged.get(&offer.key).is_some_and(|known| known.as_deref() == Some(digest));
            match body {
                Some(body) if !is_known => sending.push(Sending { key: offer.key, stamp: offer.stamp, body }),
                _ => {
                    done.push(Acknowledged { key: offer.key, stamp: offer.stamp, digest: digest.to_owned() });
                }
            }
        }
        self.acknowledge(&done)?;
        // The rest of a batch that is too long goes on waiting.
        let left = sending
            .split_off(Pace::fitting(sending.iter().map(|one| one.body.json.len())).min(sending.len()));
        let open: HashSet<SessionKey> = sending.iter().chain(&left).map(|one| one.key).collect();
        handled.keys.extend(keys.into_iter().filter(|key| !open.contains(key)));
        handled.arrived.extend(done.iter().map(|done| done.key));
        Ok(Gathered { found: true, sending })
    }

    /// The sessions of the next batch. Where there are none now, `next_due` says when there will be.
    fn due(&mut self, haste: Haste, handled: &Handled) -> Result<Vec<Waiting>, Obstacle> {
        let size = self.pace.batch();
        let mut limit = size;
        loop {
            let waiting = self.outbox.waiting(limit)?;
            let is_all = waiting.len() < limit;
            let (due, alone) = self.sort_out(waiting, haste, handled);
            if !due.is_empty() && (due.len() >= size || is_all) {
                return Ok(due.into_iter().take(size).collect());
            }
            if is_all {
                return Ok(alone.into_iter().take(1).collect());
            }
            limit = limit.saturating_mul(4);
        }
    }

    /// What of the waiting sessions may be sent now: together, and those that go alone.
    fn sort_out(
        &mut self,
        waiting: Vec<Waiting>,
        haste: Haste,
        handled: &Handled,
    ) -> (Vec<Waiting>, Vec<Waiting>) {
        let (now, today) = (monotonic(), self.clock.now());
        let interval = if haste == Haste::All { Duration::ZERO } else { self.options.interval };
        let (mut due, mut alone) = (Vec::new(), Vec::new());
        for one in waiting {
            if handled.keys.contains(&one.key)
                || one.parked.as_ref().is_some_and(|parked| stays(parked, one.stamp, today))
            {
                continue;
            }
            match (self.pace.due(one.key, interval, now), haste) {
                (Due::Now, _) => due.push(one),
                (Due::Alone, _) | (Due::At(_), Haste::All) => alone.push(one),
                (Due::At(then), Haste::Paced) => {
                    self.is_put_off |= self.pace.is_suspect(one.key);
                    self.look_at(then);
                }
            }
        }
        (due, alone)
    }

    /// The next pass is due then, or before.
    fn look_at(&mut self, then: Instant) {
        self.next_due = Some(self.next_due.map_or(then, |next| next.min(then)));
    }

    /// Sends values, in smaller and smaller parts where the whole is refused.
    async fn deliver(&mut self, sending: Vec<Sending>, handled: &mut Handled) -> Result<(), Obstacle> {
        let mut parts = vec![sending];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let bodies: Vec<Body> = part.iter().map(|one| one.body.clone()).collect();
            let refusal = match self.remote()?.upsert(&bodies).await {
                Ok(answers) => {
                    handled.keys.extend(part.iter().map(|one| one.key));
                    self.transient.reset();
                    self.write_down(&part, answers, handled)?;
                    continue;
                }
                Err(refusal) => refusal,
            };
            if matches!(refusal, Refusal::TooLarge | Refusal::Transient { shrink: true, .. }) {
                self.pace.shrink();
            }
            match refusal {
                Refusal::Rejected { .. } | Refusal::TooLarge if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Refusal::Rejected { code, message } => self.blame(&part, &code, &message, handled).await?,
                Refusal::TooLarge => {
                    self.blame(&part, "413", "the value alone is too large to be sent", handled).await?;
                }
                other => return Err(self.failed(&part, other)),
            }
        }
        Ok(())
    }

    /// Nothing of a call was answered.
    fn failed(&mut self, part: &[Sending], refusal: Refusal) -> Obstacle {
        match (&refusal, part) {
            (Refusal::Transient { shrink: true, .. }, [one]) => {
                self.pace.suspect(one.key, fastrand::u32(..), monotonic());
            }
            // The next call is a smaller one: whether that goes through is not known yet.
            (Refusal::Transient { shrink: true, retry_after: None, .. }, _) => self.transient.reset(),
            (Refusal::Configuration(_), _) => self.is_checked = false,
            _ => {}
        }
        refusal.into()
    }

    /// One session was refused alone. A server without the contract refuses everything: that is asked first.
    async fn blame(
        &mut self,
        part: &[Sending],
        code: &str,
        message: &str,
        handled: &mut Handled,
    ) -> Result<(), Obstacle> {
        self.is_checked = false;
        self.check().await?;
        for one in part {
            self.park(one, code, message, handled)?;
            handled.keys.insert(one.key);
        }
        Ok(())
    }

    fn park(
        &mut self,
        one: &Sending,
        code: &str,
        message: &str,
        handled: &mut Handled,
    ) -> Result<(), Obstacle> {
        self.outbox.park(one.key, one.stamp, code, message, VERSION, self.clock.now())?;
        handled.refused += 1;
        self.voice.parked(handled.refused, &one.body.session, code, message);
        Ok(())
    }

    /// Writes down what became of the values of a call.
    fn write_down(
        &mut self,
        part: &[Sending],
        answers: Vec<ItemAnswer>,
        handled: &mut Handled,
    ) -> Result<(), Obstacle> {
        let mut done = Vec::with_capacity(part.len());
        let mut passing = None;
        for (one, answer) in part.iter().zip(answers) {
            match answer {
                ItemAnswer::Accepted | ItemAnswer::Unchanged => done.push(Acknowledged {
                    key: one.key,
                    stamp: one.stamp,
                    digest: one.body.digest.clone(),
                }),
                ItemAnswer::Rejected { code, message } if passes(&code) => {
                    passing =
                        Some(format!("the server could not take a session just now: {code}: {message}"));
                }
                ItemAnswer::Rejected { code, message } => self.park(one, &code, &message, handled)?,
            }
        }
        self.acknowledge(&done)?;
        self.sent += done.len();
        if !done.is_empty() {
            self.voice.arrived(self.clock.as_ref());
        }
        handled.arrived.extend(done.iter().map(|done| done.key));
        self.pace.answered(part.iter().map(|one| one.key), self.options.interval, monotonic());
        tracing::debug!(sessions = done.len(), "published");
        passing.map_or(Ok(()), |what| Err(Obstacle::Transient { what: told(&what), retry_after: None }))
    }

    fn acknowledge(&mut self, done: &[Acknowledged]) -> Result<(), Obstacle> {
        if !done.is_empty() {
            self.outbox.acknowledge(&self.options.destination, done, self.clock.now())?;
        }
        Ok(())
    }
}

/// Whether a parked session stays so: it is what was refused, or was refused a moment ago. A clock that was
/// set back does not keep it parked.
fn stays(parked: &Parked, stamp: i64, now: UnixMillis) -> bool {
    let for_ms = now.0.saturating_sub(parked.at.0);
    parked.stamp == stamp || (0..PARKED_FOR_MS).contains(&for_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SessionKey;

    #[test]
    fn a_parked_session_that_has_changed_is_tried_again_after_a_quarter_of_an_hour() {
        let parked = Parked {
            key: SessionKey(1),
            session: "one".to_owned(),
            stamp: 7,
            code: "22023".to_owned(),
            message: "as asked".to_owned(),
            version: VERSION.to_owned(),
            at: UnixMillis(1_000),
        };
        let after = |stamp, ms| stays(&parked, stamp, UnixMillis(1_000 + ms));
        assert!(after(7, 900_000) && after(7, i64::MAX - 1_000), "the same stays refused");
        assert!(after(8, 0) && after(8, 899_999));
        assert!(!after(8, 900_000) && !after(8, -1), "nor does a clock that was set back keep it");
    }
}
