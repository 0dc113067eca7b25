//! What keeps a pass from sending everything: a fault, something that passes, or the ledger itself.

use super::{Fault, PublishOptions, Refusal};
use crate::ledger::LedgerError;
use crate::telemetry::Chain;
use std::time::Duration;

/// Why not everything was sent.
#[derive(Debug)]
pub enum Obstacle {
    /// A person has to mend something.
    Fault(Fault),
    /// It passes by itself.
    Transient {
        /// What happened, in one line.
        what: String,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The ledger cannot be read or written just now.
    Ledger(LedgerError),
}

impl Obstacle {
    /// A short stable name: a fault's own, or `unreachable`, or `ledger`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.kind(),
            Self::Transient { .. } => "unreachable",
            Self::Ledger(_) => "ledger",
        }
    }

    /// What is wrong, in one line.
    pub fn what(&self) -> String {
        match self {
            Self::Fault(fault) => fault.what(),
            Self::Transient { what, .. } => what.clone(),
            Self::Ledger(error) => Chain(error).to_string(),
        }
    }

    /// What mends it.
    pub fn help(&self, options: &PublishOptions) -> String {
        match self {
            Self::Fault(fault) => fault.help(options),
            Self::Transient { .. } => "nothing has to be done: it is tried again".to_owned(),
            Self::Ledger(error) if error.is_damaged() => {
                "a running tallyd makes the ledger anew by itself, after a SIGHUP at the latest; without one, \
                 `tallyd scan` does"
                    .to_owned()
            }
            Self::Ledger(_) => "see that the state folder can be written and its disk is not full".to_owned(),
        }
    }

    /// How long the server asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<LedgerError> for Obstacle {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<Fault> for Obstacle {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Of a call that sent nothing of its own, whose refusal can only be the server's doing.
impl From<Refusal> for Obstacle {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Configuration(fault) => Self::Fault(fault),
            Refusal::Transient { what, retry_after, .. } => Self::Transient { what, retry_after },
            Refusal::Rejected { code, message } => {
                Self::Fault(Fault::NoContract { message: format!("{code}: {message}") })
            }
            Refusal::TooLarge => {
                Self::Transient { what: "the server answered 413".to_owned(), retry_after: None }
            }
        }
    }
}
