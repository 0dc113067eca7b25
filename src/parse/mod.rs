//! What one line of a session log says.
//!
//! Owns: the JSON of Claude Code's session logs and the rules of counting it. Pure: bytes in, values
//! out. Refuses to keep message text: what is not named in `records` is skipped unread. Never fails: a
//! line that is not what it should be yields what can be had from it and a [`Notice`] saying what was
//! wrong, so that it harms nothing but itself.

mod account;
mod before;
mod line;
mod plain;
mod raw;
mod records;
mod response;
#[cfg(test)]
mod tests;

pub use before::latest_time;
pub use line::{LineContext, Notice, parse_line, parse_unfinished};

use crate::domain::{ClientAccount, ResponseLine};

/// The version of the rules of counting, here and in `domain::response`. Raised when they give other
/// totals for the same logs, or when values say more: what was published under a smaller one is then published again
/// and replaced, and who counts by smaller ones replaces nothing. 2: with unlogged usage.
pub const RULES_VERSION: u32 = 2;

/// One thing that a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The usage of an API response.
    Response(Box<ResponseLine>),
    /// The client's own cumulative account of a session.
    Account(Box<ClientAccount>),
}
