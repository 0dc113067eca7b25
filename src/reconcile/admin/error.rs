//! Why the Admin APIs gave no answer that can be compared with. What a server says is shortened, and nothing in it
//! drives a terminal; no key is in it.

use crate::domain::{beginning, shown};

/// Letters of a server's message that are shown.
const MESSAGE_LIMIT: usize = 300;

/// The Admin APIs cannot be compared with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No connection can be made from this machine.
    #[error("no connection to {url} can be made: {why}")]
    NoClient {
        /// The server.
        url: String,
        /// Why.
        why: String,
    },
    /// The key is refused.
    #[error("{path} refuses the key: {status} {message}")]
    Refused {
        /// What was asked for.
        path: &'static str,
        /// 401 or 403.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// The request is refused.
    #[error("{path} refuses the request: {status} {message}")]
    Rejected {
        /// What was asked for.
        path: &'static str,
        /// The status.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// No answer came, however often it was tried.
    #[error("{path} gives no answer after {tries} tries: {why}")]
    Unanswered {
        /// What was asked for.
        path: &'static str,
        /// How often.
        tries: u32,
        /// What came of the last.
        why: String,
    },
    /// The server wants a longer pause than a command can wait for.
    #[error("{path} is to be asked again in {seconds} seconds: {why}")]
    Later {
        /// What was asked for.
        path: &'static str,
        /// The pause.
        seconds: u64,
        /// What came of the last.
        why: String,
    },
    /// An answer without end.
    #[error("{path} gives an answer of more than {limit} bytes")]
    TooLong {
        /// What was asked for.
        path: &'static str,
        /// The most that is read.
        limit: usize,
    },
    /// An answer that is not what the reference says.
    #[error("{path} gives an answer that cannot be read: {why}")]
    Unreadable {
        /// What was asked for.
        path: &'static str,
        /// Why.
        why: String,
    },
    /// Pages that lead nowhere.
    #[error("{path} has pages without end: one is named twice, or there are too many")]
    Endless {
        /// What was asked for.
        path: &'static str,
    },
}

/// What a server says, as far as it is shown.
pub(super) fn told(message: &str) -> String {
    shown(&beginning(message.trim(), MESSAGE_LIMIT))
}
