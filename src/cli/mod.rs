//! The command line: one file a subcommand.

/// `tallyd prices`.
pub mod prices;
