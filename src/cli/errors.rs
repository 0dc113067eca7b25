//! Errors of the command line's own; those of the modules below have their own places.

use super::exit::ExitCode;
use std::path::PathBuf;

/// Something typed that parses but cannot be meant: found when flags are looked at together or against
/// the ledger, where clap is long done.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct UsageError {
    /// What is wrong, with the flag and its value.
    pub(super) what: String,
    /// What to type instead.
    pub(super) help: String,
}

/// A file of prices that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("the price file {path} cannot be read")]
pub(super) struct PriceFileUnreadable {
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: std::io::Error,
}

/// Nothing is known of an id.
#[derive(Debug, thiserror::Error)]
#[error("no response and no session has the id `{id}`, and no session one that begins so")]
pub(super) struct UnknownId {
    pub(super) id: String,
}

/// What the ledger was to be compared with cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct NotCompared {
    /// What ends the command.
    pub(super) code: ExitCode,
    /// What is wrong.
    pub(super) what: String,
    /// What mends it.
    pub(super) help: String,
}

/// `tallyd service` cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    /// Nobody is here to run a service.
    #[error("no service manager can be asked: {why}")]
    NoManager {
        /// What was seen.
        why: String,
        /// What to do instead.
        help: &'static str,
    },
    /// The service manager's own program has said no; why, it has said itself.
    #[error("`{line}` has failed ({status})")]
    Refused {
        /// What was run.
        line: String,
        /// How it has ended.
        status: std::process::ExitStatus,
    },
    /// A program cannot be run.
    #[error("`{program}` cannot be run")]
    Program {
        /// Its name.
        program: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file stands where ours belongs.
    #[error("{path} was not written by `tallyd service install`")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What can be done.
        help: &'static str,
    },
    /// A file cannot be written, read or removed.
    #[error("{path} cannot be {done}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was to be done to it.
        done: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A path that no unit can hold.
    #[error("the path {path:?} cannot stand in a file of the service manager")]
    Path {
        /// The path.
        path: PathBuf,
    },
}

/// Something keeps usage from being published, or the server from being what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Unpublished {
    /// What ends the command.
    pub(super) code: ExitCode,
    /// What is wrong.
    pub(super) what: String,
    /// What mends it; the code's own advice where it is `None`.
    pub(super) help: Option<String>,
}
