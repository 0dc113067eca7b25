//! The publisher: when to look for what is to be sent, and what to do when it cannot be.
//!
//! Owns: the loop, its pauses and its end. What waits is asked of the ledger, so that a lost order loses
//! nothing: an order says when to look, never what at. Everything here may be dropped at any await. Refuses
//! to let anything shorten the pause after a fault but other settings. Never fails: what is in the way is
//! told, and tried again.

use super::backoff::Backoff;
use super::obstacle::Obstacle;
use super::pace::Pace;
use super::pass::{Handled, Haste};
use super::voice::Voice;
use super::{Fault, PublishOptions, Remote};
use crate::domain::{Clock, Revision};
use crate::ledger::{LedgerError, Outbox};
use crate::telemetry::Counts;
use std::sync::Arc;
use std::time::Duration;
use tokio::pin;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until, timeout_at};

/// After the first sign of something new: more of the same moment then goes along.
const GATHERING: Duration = Duration::from_millis(250);
/// The longest time without looking: other processes mark sessions for sending, too.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

/// What the publisher is told.
#[derive(Debug)]
pub enum Order {
    /// The ledger has taken something in.
    Changed,
    /// Settings or prices are others.
    Reload(Box<Reloaded>),
    /// Send what waits within [`PublishOptions::drain`], then end. So does dropping the sender.
    Stop,
    /// End at once: the ledger is made anew.
    Pause,
}

/// Other settings.
#[derive(Debug)]
pub struct Reloaded {
    /// To whom, and by which right.
    pub options: PublishOptions,
    /// The rules that values are counted and priced by.
    pub revision: Revision,
    /// Digest of the prices in force.
    pub prices: String,
}

/// What came of sending everything.
#[derive(Debug)]
pub struct Drained {
    /// Sessions that the server has taken note of.
    pub sent: usize,
    /// Sessions that still wait and are not parked.
    pub left: usize,
    /// Sessions that the server refuses for what is in them.
    pub parked: usize,
    /// Why not everything was sent.
    pub obstacle: Option<Obstacle>,
}

/// Publishes what the ledger holds.
pub struct Publisher {
    pub(super) outbox: Outbox,
    pub(super) options: PublishOptions,
    pub(super) revision: Revision,
    pub(super) prices: String,
    pub(super) clock: Box<dyn Clock>,
    pub(super) remote: Option<Remote>,
    /// What came of its requests.
    pub(super) requests: Arc<Counts>,
    /// The ledger knows by which rules values are sent.
    pub(super) is_begun: bool,
    /// The project was asked and is ready.
    pub(super) is_checked: bool,
    /// The project is of an old contract, and to be asked again then.
    pub(super) next_check: Option<Instant>,
    pub(super) pace: Pace,
    pub(super) voice: Voice,
    /// Sessions that the server has taken note of.
    pub(super) sent: usize,
    /// When a session is due that was not in the last pass.
    pub(super) next_due: Option<Instant>,
    /// A session that failed on its own was left out of the last pass.
    pub(super) is_put_off: bool,
    pub(super) transient: Backoff,
    configuration: Backoff,
    /// No pass before then, whatever is ordered.
    blocked: Option<Instant>,
    /// Who is told that the ledger is damaged.
    on_damage: Option<OnDamage>,
}

/// Takes what was found damaged, in one line.
pub type OnDamage = Box<dyn Fn(String) + Send>;

/// What was ordered while a pass was under way.
#[derive(Default)]
struct Heard {
    changed: bool,
    reload: Option<Box<Reloaded>>,
    /// The end, by then.
    stop: Option<Instant>,
    /// The end, now.
    pause: bool,
}

impl Heard {
    fn take(&mut self, order: Option<Order>, drain: Duration) {
        match order {
            Some(Order::Changed) => self.changed = true,
            Some(Order::Reload(reloaded)) => self.reload = Some(reloaded),
            Some(Order::Pause) => self.pause = true,
            Some(Order::Stop) | None => self.stop = Some(monotonic() + drain),
        }
    }
}

impl Publisher {
    /// A publisher of what is in the outbox, valued by the rules of `revision`; `prices` is the digest of the
    /// prices in force. Does nothing by itself.
    pub fn new(
        outbox: Outbox,
        options: PublishOptions,
        revision: Revision,
        prices: String,
        clock: Box<dyn Clock>,
    ) -> Self {
        Self {
            outbox,
            options,
            revision,
            prices,
            clock,
            remote: None,
            requests: Arc::default(),
            is_begun: false,
            is_checked: false,
            next_check: None,
            pace: Pace::new(),
            voice: Voice::default(),
            sent: 0,
            next_due: None,
            is_put_off: false,
            transient: Backoff::TRANSIENT,
            configuration: Backoff::CONFIGURATION,
            blocked: None,
            on_damage: None,
        }
    }

    /// What has come of its requests so far, by HTTP status or by what happened instead of an answer.
    pub fn requests(&self) -> Arc<Counts> {
        Arc::clone(&self.requests)
    }

    /// Takes the ledger that is in place now, and forgets what it knows of the former one.
    ///
    /// # Errors
    /// As [`Outbox::open`].
    pub fn reopen(&mut self, on_damage: OnDamage) -> Result<(), LedgerError> {
        self.outbox.reopen()?;
        self.on_damage = Some(on_damage);
        // Its connections live on the runtime that it ran on.
        (self.remote, self.is_begun, self.is_checked, self.blocked) = (None, false, false, None);
        Ok(())
    }

    /// Takes other settings while it does not run.
    pub fn take(&mut self, reloaded: Reloaded) {
        self.reload(reloaded);
    }

    /// Publishes until told to stop, and gives itself back. Reads and writes the ledger between awaits, so give it a
    /// thread of its own.
    pub async fn run(mut self, mut orders: UnboundedReceiver<Order>) -> Self {
        let mut next = monotonic();
        let deadline = loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Changed) => next = self.hinted(next),
                    Some(Order::Reload(reloaded)) => next = self.reload(*reloaded),
                    Some(Order::Pause) => return self,
                    Some(Order::Stop) | None => break monotonic() + self.options.drain,
                },
                () = sleep_until(next) => {
                    let heard = self.work(&mut orders).await;
                    if heard.pause {
                        return self;
                    }
                    if let Some(deadline) = heard.stop {
                        break deadline;
                    }
                    next = self.after(heard);
                }
            }
        };
        self.end(deadline).await;
        self
    }

    /// One pass, listening to orders meanwhile: it goes on through a hint and, until its deadline, through
    /// the order to end; other settings end it at once.
    async fn work(&mut self, orders: &mut UnboundedReceiver<Order>) -> Heard {
        let (mut heard, drain) = (Heard::default(), self.options.drain);
        let mut handled = Handled::default();
        let outcome = {
            let pass = self.pass(Haste::Paced, &mut handled);
            pin!(pass);
            loop {
                let deadline = heard.stop.unwrap_or_else(|| monotonic() + LOOK_INTERVAL);
                tokio::select! {
                    outcome = &mut pass => break Some(outcome),
                    order = orders.recv(), if heard.stop.is_none() => heard.take(order, drain),
                    () = sleep_until(deadline), if heard.stop.is_some() => break None,
                }
                if heard.reload.is_some() || heard.pause {
                    break None;
                }
            }
        };
        match outcome {
            Some(Ok(())) => self.succeeded(),
            Some(Err(obstacle)) => self.met(&obstacle),
            None => {}
        }
        heard
    }

    /// When to look again after a pass.
    fn after(&mut self, heard: Heard) -> Instant {
        if let Some(reloaded) = heard.reload {
            return self.reload(*reloaded);
        }
        let now = monotonic();
        let idle = now + LOOK_INTERVAL;
        let next = match self.blocked {
            Some(blocked) => blocked,
            None => self.next_due.map_or(idle, |due| due.min(idle)),
        };
        if heard.changed { self.hinted(next) } else { next }
    }

    /// When to look after a hint, where it would have been `next` without.
    fn hinted(&self, next: Instant) -> Instant {
        if self.blocked.is_some() { next } else { next.min(monotonic() + GATHERING) }
    }

    /// Takes other settings; looks at once.
    fn reload(&mut self, Reloaded { options, revision, prices }: Reloaded) -> Instant {
        (self.options, self.revision, self.prices) = (options, revision, prices);
        (self.remote, self.is_begun, self.is_checked, self.blocked) = (None, false, false, None);
        self.voice.forget();
        self.transient.reset();
        self.configuration.reset();
        monotonic()
    }

    fn succeeded(&mut self) {
        self.transient.reset();
        self.configuration.reset();
        self.blocked = None;
        self.voice.success(!self.is_put_off, &mut self.outbox, monotonic());
    }

    /// Something was in the way: it is told, and the next pass put off.
    fn met(&mut self, obstacle: &Obstacle) {
        if let (Obstacle::Ledger(error), Some(on_damage)) = (obstacle, &self.on_damage)
            && error.is_damaged()
        {
            on_damage(error.to_string());
        }
        let pause = self.pause_after(obstacle);
        self.blocked = Some(monotonic() + pause);
        self.tell(obstacle);
        tracing::debug!(seconds = pause.as_secs(), "publishing pauses");
    }

    fn tell(&mut self, obstacle: &Obstacle) {
        self.voice.obstacle(obstacle, &self.options, &mut self.outbox, self.clock.as_ref(), monotonic());
    }

    pub(super) fn pause_after(&mut self, obstacle: &Obstacle) -> Duration {
        let backoff = match obstacle {
            // It ends where another process says so in the ledger, which costs nothing to look at.
            Obstacle::Fault(Fault::ForeignLedger { .. }) => return LOOK_INTERVAL,
            Obstacle::Fault(_) => &mut self.configuration,
            Obstacle::Transient { .. } | Obstacle::Ledger(_) => &mut self.transient,
        };
        backoff.after_failure(obstacle.retry_after(), fastrand::u32(..))
    }

    /// The last sending, and a word on what is left.
    async fn end(&mut self, deadline: Instant) {
        if self.outbox.waiting(1).is_ok_and(|waiting| waiting.is_empty()) {
            return;
        }
        let drained = self.drain_until(Some(deadline)).await;
        if let Some(obstacle) = &drained.obstacle {
            tracing::warn!(
                sessions = drained.left,
                problem = %obstacle.what(),
                "not everything is published; it is kept and sent after the next start"
            );
        }
    }

    /// Sends all that waits now, without regard to the interval. What passes by itself is tried again for as
    /// long as `patience` lasts; without it nothing is. A fault ends it. What came of it is in the answer and
    /// in the ledger; it is up to the caller to tell of it.
    pub async fn drain(&mut self, patience: Option<Duration>) -> Drained {
        self.voice.quiet();
        self.drain_until(patience.map(|patience| monotonic() + patience)).await
    }

    async fn drain_until(&mut self, deadline: Option<Instant>) -> Drained {
        let (mut handled, before) = (Handled::default(), self.sent);
        let mut last = None;
        self.transient.reset();
        let obstacle = loop {
            let outcome = match deadline {
                Some(deadline) => timeout_at(deadline, self.pass(Haste::All, &mut handled)).await,
                None => Ok(self.pass(Haste::All, &mut handled).await),
            };
            let obstacle = match outcome {
                Ok(Ok(())) => break None,
                Ok(Err(obstacle)) => obstacle,
                Err(_) => break Some(last.unwrap_or_else(no_answer)),
            };
            let again = monotonic() + self.pause_after(&obstacle);
            if matches!(obstacle, Obstacle::Fault(_)) || deadline.is_none_or(|deadline| again >= deadline) {
                break Some(obstacle);
            }
            tracing::debug!(problem = %obstacle.what(), "trying again");
            last = Some(obstacle);
            sleep_until(again).await;
        };
        match &obstacle {
            Some(obstacle) => self.tell(obstacle),
            None => self.succeeded(),
        }
        self.drained(self.sent - before, obstacle, &handled)
    }

    /// What is left, as far as the ledger can say.
    fn drained(&self, sent: usize, obstacle: Option<Obstacle>, handled: &Handled) -> Drained {
        let waits = |waiting: &crate::ledger::Waiting| {
            waiting.parked.is_none() && !handled.arrived.contains(&waiting.key)
        };
        let waiting = self.outbox.waiting(usize::MAX).and_then(|waiting| {
            Ok((waiting.iter().filter(|one| waits(one)).count(), self.outbox.parked()?.len()))
        });
        match waiting {
            Ok((left, parked)) => Drained { sent, left, parked, obstacle },
            Err(error) => {
                Drained { sent, left: 0, parked: 0, obstacle: Some(obstacle.unwrap_or(error.into())) }
            }
        }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("options", &self.options).finish_non_exhaustive()
    }
}

pub(super) fn no_answer() -> Obstacle {
    Obstacle::Transient { what: "no answer came in time".to_owned(), retry_after: None }
}

/// The present moment for pauses.
pub(super) fn monotonic() -> Instant {
    // clock: pauses are not to jump when somebody sets the machine's clock.
    Instant::now()
}

#[cfg(test)]
mod tests;
