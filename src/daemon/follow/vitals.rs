//! What the loop says of itself when it is asked.
//!
//! Owns: nothing; reads the loop's state. Never fails.

use super::super::DaemonError;
use super::super::orders::Order;
use super::super::serving::Serving;
use super::super::worker::Outcome;
use super::{Loop, after};
use crate::domain::{Clock, SystemClock, UnixMillis};
use crate::http::{Ask, Delivery, State, Vitals};
use std::time::Duration;

/// What the last pass has said of the folders.
#[derive(Debug, Default)]
pub(super) struct Seen {
    folders: usize,
    is_watching: bool,
    last_look: Option<UnixMillis>,
}

/// What comes by the listener.
pub(super) enum Heard {
    /// Somebody wants to know how the loop is.
    Asked(Ask),
    /// Claude Code has told of its calls.
    Told(Delivery),
}

/// What comes next; nothing ever does where nothing is listened on.
pub(super) async fn heard(serving: &mut Option<Serving>) -> Option<Heard> {
    match serving {
        Some(serving) => tokio::select! {
            asked = serving.asked.recv() => asked.map(Heard::Asked),
            told = serving.told.recv() => told.map(Heard::Told),
        },
        None => std::future::pending().await,
    }
}

impl Loop {
    /// Answers, or hands on.
    pub(super) fn heard(&self, heard: Heard) -> Result<(), DaemonError> {
        match heard {
            Heard::Asked(asked) => drop(asked.send(self.vitals())),
            Heard::Told(told) => {
                self.orders.send(Order::Told(told)).map_err(|_| DaemonError::WorkerGone)?;
            }
        }
        Ok(())
    }

    /// Takes note of what a piece of work has said of the folders.
    pub(super) fn note(&mut self, outcome: &Outcome) {
        self.seen.folders = outcome.folders;
        self.seen.is_watching = outcome.watching;
        if outcome.was_everything && outcome.result.is_ok() {
            self.seen.last_look = Some(SystemClock.now());
        }
    }

    /// How it is.
    pub(super) fn vitals(&self) -> Vitals {
        let state = if self.mending || self.damage.is_some() {
            State::Mending
        } else if self.failures > 0 {
            State::Failing(self.failure.clone())
        } else if self.on_ready.is_some() {
            State::Starting
        } else {
            State::Following
        };
        Vitals {
            state,
            lag: self.lag.at(after(Duration::ZERO)),
            folders: self.seen.folders,
            is_watching: self.seen.is_watching,
            last_look: self.seen.last_look,
        }
    }

    /// Has the status told in the log.
    pub(super) fn log_status(&self) {
        if let Some(serving) = &self.serving {
            serving.log(self.vitals());
        }
    }
}
