//! What Claude Code tells of its calls by OpenTelemetry, as metrics.

use super::{COUNTER, GAUGE, Live, Page, flag};
use crate::ledger::EventFigures;
use std::collections::BTreeMap;

/// What the ledger has of it.
pub(super) fn events(page: &mut Page, events: EventFigures) {
    let EventFigures { witnessed, confirmed, completing, disagreeing, other_price } = events;
    let name = "tallyd_otel_events";
    page.head(name, GAUGE, "Calls told by OpenTelemetry, by what they say beside the logs.");
    let kinds = [witnessed, confirmed, completing, disagreeing];
    for (kind, count) in ["witnessed", "confirmed", "completing", "disagreeing"].into_iter().zip(kinds) {
        page.line(name, &[("kind", kind)], &count.to_string());
    }
    let help = "Calls told by OpenTelemetry that the client has another price for.";
    page.one("tallyd_otel_other_price_events", help, &other_price.to_string());
}

/// What a running daemon has received.
pub(super) fn live(page: &mut Page, live: &Live) {
    page.one("tallyd_otel_listening", "1 while OpenTelemetry is received.", flag(live.is_receiving));
    let counted = |page: &mut Page, name: &str, help: &str, label: &str, counts: &BTreeMap<String, u64>| {
        page.head(name, COUNTER, help);
        for (value, count) in counts {
            page.line(name, &[(label, value)], &count.to_string());
        }
    };
    let help = "Requests with OpenTelemetry, by HTTP status.";
    counted(page, "tallyd_otel_requests_total", help, "code", &live.received);
    let help = "What was in them: new and repeated calls, other events, unusable ones; bodies of metrics and traces.";
    counted(page, "tallyd_otel_records_total", help, "what", &live.records);
}
