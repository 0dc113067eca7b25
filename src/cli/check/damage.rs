//! What became of a ledger that was damaged.
//!
//! Owns: the row of it, which is there as long as a damaged file lies in the state folder or the ledger knows
//! that it was made anew. It is wrong as long as responses are known to be missing, or may be, and the file
//! that had them is there: whoever moves that away has taken note.

use super::row::Row;
use crate::cli::exit::ExitCode;
use crate::cli::publishing::sessions;
use crate::cli::scan::counted;
use crate::config::Settings;
use crate::ledger::{LedgerReader, Losses, RebuildNote, quarantined};
use serde_json::Value;

const KEPT: &str = "nothing is missing: the damaged files may be deleted once you have looked at them";
const LOST: &str = "keep the damaged files where they are safe: they may be the only ones to have it; logs or a ledger that \
    were copied elsewhere can be read with `tallyd scan --claude-dir DIR`; moved away, this is no longer told";

/// The row, where there is anything to tell.
pub(super) fn row(settings: &Settings) -> Option<Row> {
    let folder = settings.state_dir().ok()?;
    let there = quarantined(folder);
    let note = LedgerReader::open(folder).and_then(|ledger| ledger.rebuilt()).ok().flatten();
    if there.is_empty() && note.is_none() {
        return None;
    }
    let losses = note.as_ref().and_then(|note| note.losses);
    let mut lines = Vec::new();
    lines.extend(note.as_ref().map(describe));
    lines.extend(there.iter().map(|one| format!("put aside: {}", one.path.display())));
    let detail = lines.join("\n");
    let is_whole = losses.is_some_and(|losses| losses.responses == 0 && losses.is_all);
    let row = match (there.is_empty(), is_whole) {
        (true, _) => Row::ok("damage", detail),
        (false, true) => Row::ok("damage", detail).help(KEPT),
        (false, false) => Row::wrong("damage", ExitCode::Ledger, detail).help(LOST),
    };
    let number = |of: fn(&Losses) -> u64| losses.map_or(Value::Null, |losses| of(&losses).into());
    let files = there.iter().map(|one| one.path.display().to_string()).collect::<Vec<_>>();
    Some(
        row.fact("rebuiltAt", note.as_ref().map_or(Value::Null, |note| note.at.to_rfc3339().into()))
            .fact("rebuiltFrom", note.as_ref().map_or(Value::Null, |note| note.from.name().into()))
            .fact("rebuilds", note.as_ref().map_or(0, |note| note.count))
            .fact("missingSessions", number(|losses| losses.sessions))
            .fact("missingResponses", number(|losses| losses.responses))
            .fact("damagedFiles", files),
    )
}

fn describe(note: &RebuildNote) -> String {
    let missing = match note.losses {
        None => "the logs have not been read since".to_owned(),
        Some(Losses { responses: 0, is_all: true, .. }) => "it has all that the damaged one had".to_owned(),
        Some(Losses { responses: 0, .. }) => {
            "the damaged one cannot be read to its end: what no log has any more is missing, if there was any"
                .to_owned()
        }
        Some(Losses { sessions: number, responses, is_all }) => format!(
            "{}{} with {} are in no log any more",
            if is_all { "" } else { "at least " },
            sessions(number),
            counted(responses, "response")
        ),
    };
    format!(
        "the ledger was damaged and made anew from the {} {}; {missing}",
        note.from.name(),
        note.at.to_rfc3339()
    )
}
