//! The ledger against what others say was used and billed: the client's printed totals, Anthropic's Admin APIs,
//! the Console's exports.
//!
//! Owns: reading those (from text that is handed in, or over HTTPS with a key of its own), matching them with the
//! ledger's sums by day or session and by model, what each difference is likely to come from, and how all of it
//! is written down. Refuses: guessing at what it does not understand (it is said instead), floats, following
//! redirects, showing a key. Knows no ledger: sums come in as values. Fails with [`ReadError`] where a text is
//! none of the three kinds, and with [`ApiError`] where an API gives no answer.

mod admin;
mod amount;
mod book;
mod cause;
mod compare;
mod compared;
mod context;
mod count;
mod difference;
mod export;
mod json;
mod name;
mod options;
mod printed;
mod read;
mod render;
#[cfg(test)]
mod tests;
mod theirs;

pub use admin::{Admin, ApiError, Days, Only};
pub use amount::Amount;
pub use book::{Book, Inherited, Logged, Unlogged};
pub use cause::Cause;
pub use compare::compare;
pub use compared::{Comparison, Request, Row, Section, Side, Sums};
pub use count::{Counts, Kind};
pub use difference::{Tolerance, ToleranceProblem};
pub use options::{AdminKeyProblem, AdminOptions, AdminUrlProblem, admin_url};
pub use read::{ReadError, Texts, read};
pub use render::render;
pub use theirs::{Line, NotUnderstood, Reading, Scope, Source, Span, Statement};
