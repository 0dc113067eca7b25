//! What the daemon's loop knows of itself at a moment, and how it is asked.
//!
//! Owns: values alone.

use crate::domain::UnixMillis;
use std::time::Duration;
use tokio::sync::oneshot;

/// Asks the loop; it answers between two pieces of work of its own, which take no time.
pub type Ask = oneshot::Sender<Vitals>;

/// What tallyd is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Counting is switched off: nothing is read, nothing is written.
    Off,
    /// It is taking in what was in the logs when it started.
    Starting,
    /// Everything that was written is counted as it comes.
    Following,
    /// The ledger cannot be written; with the reason.
    Failing(String),
    /// The ledger was damaged and is being made anew.
    Mending,
}

impl State {
    /// A word for it, the same in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Following => "following",
            Self::Failing(_) => "failing",
            Self::Mending => "mending",
        }
    }
}

/// What the loop knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// What it is at.
    pub state: State,
    /// For how long something is known to have been written that is not in the ledger yet; zero where nothing is.
    pub lag: Duration,
    /// Folders that the system tells of changes in.
    pub folders: usize,
    /// All of them are: else it looks at all logs every few seconds.
    pub is_watching: bool,
    /// When all logs were last looked at with success; `None` before the first time.
    pub last_look: Option<UnixMillis>,
}

impl Vitals {
    /// Those of a tallyd that counts nothing.
    pub fn off() -> Self {
        Self { state: State::Off, lag: Duration::ZERO, folders: 0, is_watching: true, last_look: None }
    }
}
