//! What a pass has found, as log lines: owns their words. Values in, lines out; never fails.

use crate::collect::{FileReport, PassSummary};
use crate::domain::Usd;
use crate::ledger::Change;
use crate::telemetry::{Chain, shown};

/// Says what a pass has found, a line each.
pub(super) fn pass(summary: &PassSummary) {
    for report in &summary.reports {
        self::report(report);
    }
    let ingest = &summary.ingest;
    let changed = ingest.new_responses + ingest.raised_responses;
    if changed > 0 && changed <= ingest.changes.len() as u64 && changed <= 8 {
        ingest.changes.iter().for_each(change);
    } else if changed > 0 {
        tracing::info!(
            responses = ingest.new_responses,
            corrected = ingest.raised_responses,
            bytes = summary.bytes,
            files = summary.files_read,
            "taken in"
        );
    }
}

/// Says what was wrong with a file or a line.
pub(crate) fn report(report: &FileReport) {
    match report {
        FileReport::Line { path, offset, what, is_loss: true } => {
            tracing::warn!(file = %shown(&path.to_string_lossy()), offset, "{what}");
        }
        FileReport::Line { path, offset, what, is_loss: false } => {
            tracing::info!(file = %shown(&path.to_string_lossy()), offset, "{what}");
        }
        FileReport::More { path, lines } => {
            tracing::warn!(file = %shown(&path.to_string_lossy()), lines, "further lines that are not as they should be");
        }
        FileReport::File(error) => tracing::warn!(error = %Chain(error), "session log"),
    }
}

fn change(change: &Change) {
    let cost = change.cost.known().map_or_else(|| "unpriced".to_owned(), |c| format!("${}", Usd::from(c)));
    let tokens = change.tokens;
    tracing::info!(
        model = change.model,
        input = tokens.input,
        output = tokens.output,
        cache_write = tokens.cache_write(),
        cache_read = tokens.cache_read,
        cost,
        session = change.session,
        project = change.cwd.as_deref().unwrap_or("unknown"),
        "{}",
        if change.is_new { "response" } else { "response corrected" }
    );
}
