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
