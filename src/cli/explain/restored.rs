//! What can be told of a session that counts by what the server has of it: its days, and where they come from.

use crate::domain::grouped;
use crate::domain::shown;
use crate::domain::{Totals, UserId};
use crate::ledger::{LedgerError, LedgerReader, ResponseRecord, RestoredRecord};
use std::collections::BTreeSet;
use std::fmt::Write;

/// In place of the head of a session whose lines are all there.
pub(super) fn session_head(restored: &RestoredRecord, responses: &[ResponseRecord]) -> String {
    let RestoredRecord { value, user, project, read_at } = restored;
    let mut text = format!("session {}: {}\n", shown(&value.session), figures(&value.totals));
    let of =
        UserId::parse(user).map_or_else(String::new, |user| format!(" of user {user} of {}", shown(project)));
    let _ = writeln!(
        text,
        "  from the server{of}, read {}; no log here has all of it, so that its lines cannot be shown",
        read_at.to_rfc3339()
    );
    let _ = writeln!(text, "  first    {}", value.started_at.to_rfc3339());
    let _ = writeln!(text, "  last     {}, {}", value.last_at.to_rfc3339(), shown(&value.model));
    for cell in &value.cells {
        let _ = writeln!(text, "  {}  {}: {}", cell.day, shown(&cell.model), figures(&cell.totals));
    }
    if !responses.is_empty() {
        let _ = writeln!(
            text,
            "  the logs have {} responses of it, which are a part of that and are not counted beside it:",
            grouped(responses.len() as u64)
        );
    }
    text.push('\n');
    text
}

/// A word on sessions of these responses that count by what the server has; nothing where none does.
pub(super) fn note(ledger: &LedgerReader, responses: &[ResponseRecord]) -> Result<String, LedgerError> {
    let sessions: BTreeSet<&str> =
        responses.iter().map(|known| known.response.attribution.session.as_str()).collect();
    let mut text = String::new();
    for session in sessions {
        if ledger.restored(session)?.is_some() {
            let _ = writeln!(
                text,
                "session {} counts by what the server has of it, of which this is a part\n",
                shown(session)
            );
        }
    }
    Ok(text)
}

fn figures(totals: &Totals) -> String {
    let mut text = format!(
        "{} responses, {} tokens, ${}",
        grouped(totals.messages),
        grouped(totals.tokens.total()),
        totals.cost
    );
    if totals.unpriced > 0 {
        let _ = write!(text, " and {} calls without a price", grouped(totals.unpriced));
    }
    text
}
