//! What comes from the server because no log has it, and what is still to be looked for there.

use super::row::Row;
use crate::cli::publishing::{HOW_TO_SWITCH_ON, sessions};
use crate::ledger::Outbox;

/// A row where there is something to tell. It is no failure: nothing of the ledger's own is wrong by it.
pub(super) fn row(outbox: &Outbox, is_publishing: bool) -> Option<Row> {
    let restoration = match outbox.restoration() {
        Ok(restoration) => restoration,
        Err(error) => return Some(Row::failed("restored", error)),
    };
    let number = sessions(restoration.sessions);
    let row = match (restoration.is_wanted, restoration.sessions) {
        (false, 0) => return None,
        // Nobody who does not publish has anything there.
        (true, 0) if !is_publishing => return None,
        (false, _) => Row::ok("restored", format!("{number} from the server; no log here has them")),
        (true, _) => {
            let detail = format!(
                "{number} from the server; more may be there, and nothing is sent before it was read"
            );
            let help = if is_publishing {
                "`tallyd restore` reads it, and so does a running tallyd".to_owned()
            } else {
                format!("it can be read once publishing is on: {HOW_TO_SWITCH_ON}")
            };
            Row::unknown("restored", detail).help(help)
        }
    };
    Some(row.fact("sessions", restoration.sessions).fact("wanted", restoration.is_wanted))
}
