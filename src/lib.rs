//! tallyd meters Claude Code: it follows the session logs, counts every API response exactly once,
//! prices it exactly and keeps it in an embedded ledger. `ARCHITECTURE.md` has the map.

pub mod cli;
pub mod collect;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod http;
pub mod ledger;
pub mod parse;
pub mod price;
pub mod publish;
pub mod reconcile;
pub mod report;
pub mod tail;
pub mod telemetry;
pub mod watch;
