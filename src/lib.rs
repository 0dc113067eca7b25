//! tallyd meters Claude Code: it follows the session logs, counts every API response exactly once,
//! prices it exactly and keeps it in an embedded ledger. `ARCHITECTURE.md` has the map.

pub mod domain;
pub mod report;
