//! Figures for a monitoring system, in the text format of Prometheus.
//!
//! Owns: names and help texts of metrics; README.md lists them. Values in, text out. A session or a user is
//! never a label: their number has no bound. Costs are written with every digit, not as binary fractions.

mod otel;
mod unlogged;

pub use unlogged::{Unlogged, by_model as unlogged_by_model};

use crate::domain::{Totals, UnixMillis, shown};
use crate::ledger::{
    Activity, Backlog, EventFigures, Holder, LogFigures, PublishNote, RebuildNote, Restoration,
};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// What is known at one moment.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Everything that was ever counted, by model.
    pub models: BTreeMap<String, Totals>,
    /// What the client's own accounts have and no log does, by the client's name of the model.
    pub unlogged: BTreeMap<String, Unlogged>,
    /// Replies without a final output count, by reason.
    pub incomplete: BTreeMap<&'static str, u64>,
    /// The daemon that keeps the ledger, where one does.
    pub daemon: Option<Holder>,
    /// Session logs that could not be read when they were last looked at.
    pub unreadable_logs: u64,
    /// How much was read of how many logs.
    pub logs: LogFigures,
    /// Lines that were not as they should be, by what was wrong with them.
    pub faults: BTreeMap<String, u64>,
    /// What Claude Code has told of its calls by OpenTelemetry.
    pub events: EventFigures,
    /// The ledger's bytes on disk, where there is one.
    pub ledger_bytes: Option<u64>,
    /// When and how often the ledger was made anew.
    pub rebuilt: Option<RebuildNote>,
    /// Damaged ledgers that lie beside it.
    pub damaged: usize,
    /// Usage is to be published.
    pub publishing: bool,
    /// What waits.
    pub backlog: Backlog,
    /// What the publisher saw last.
    pub note: PublishNote,
    /// What was read back from the server.
    pub restoration: Restoration,
    /// What a running daemon knows of itself; `None` where it was not asked.
    pub live: Option<Live>,
}

/// What a running daemon knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// When it was started.
    pub started: UnixMillis,
    /// It follows, can write, and nothing has waited for too long.
    pub is_ready: bool,
    /// The ledger could be read for what stands here.
    pub is_readable: bool,
    /// For how long something is known to be written that is not counted yet.
    pub lag: Duration,
    /// Folders that the system tells of changes in.
    pub folders: usize,
    /// Requests to the server, by what came of them.
    pub requests: BTreeMap<String, u64>,
    /// OpenTelemetry is received.
    pub is_receiving: bool,
    /// Requests with it, by HTTP status.
    pub received: BTreeMap<String, u64>,
    /// What was in them, by what it was.
    pub records: BTreeMap<String, u64>,
    /// Warnings in its log.
    pub warnings: u64,
    /// Errors in its log.
    pub errors: u64,
}

mod usage;

/// Kind of a metric.
const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// The text, a metric after the other.
pub fn text(metrics: &Metrics) -> String {
    let mut page = Page::default();
    page.head("tallyd_build_info", GAUGE, "1, with the version of tallyd.");
    page.line("tallyd_build_info", &[("version", env!("CARGO_PKG_VERSION"))], "1");
    daemon(&mut page, metrics.daemon.as_ref());
    if let Some(live) = &metrics.live {
        self::live(&mut page, live);
        if !live.is_readable {
            // What stands in the ledger is unknown, not nothing.
            return page.0;
        }
    }
    usage::write(&mut page, metrics);
    unlogged::write(&mut page, &metrics.unlogged);
    logs(&mut page, metrics);
    otel::events(&mut page, metrics.events);
    ledger(&mut page, metrics);
    publishing(&mut page, metrics);
    restoration(&mut page, metrics.restoration);
    page.0
}

fn daemon(page: &mut Page, holder: Option<&Holder>) {
    let is = |fact: fn(&Holder) -> bool| flag(holder.is_some_and(fact));
    page.one("tallyd_daemon_running", "1 while a daemon keeps the ledger.", flag(holder.is_some()));
    page.one(
        "tallyd_daemon_failing",
        "1 while the daemon cannot write the ledger: counting waits, nothing is lost.",
        is(|holder| holder.activity == Some(Activity::Failing)),
    );
    page.one(
        "tallyd_daemon_polling",
        "1 while the system refuses the daemon file events: it looks at all folders every few seconds.",
        is(|holder| holder.no_events),
    );
}

fn live(page: &mut Page, live: &Live) {
    page.one("tallyd_ready", "1 where /readyz says so.", flag(live.is_ready));
    page.one("tallyd_ledger_readable", "1 where the ledger can be read.", flag(live.is_readable));
    page.one("tallyd_start_timestamp_seconds", "When the daemon was started.", &seconds(live.started));
    let help = "For how long something is known to be written that is not counted yet; 0 where nothing is.";
    page.one("tallyd_tail_lag_seconds", help, &length(live.lag));
    let help = "Folders that the system tells the daemon of changes in.";
    page.one("tallyd_watched_folders", help, &live.folders.to_string());
    let name = "tallyd_log_lines_total";
    page.head(name, COUNTER, "Warnings and errors in the daemon's own log, by level.");
    for (level, lines) in [("warn", live.warnings), ("error", live.errors)] {
        page.line(name, &[("level", level)], &lines.to_string());
    }
    let name = "tallyd_publish_requests_total";
    page.head(
        name,
        COUNTER,
        "Requests to the server, by HTTP status or by what happened instead of an answer.",
    );
    for (code, requests) in &live.requests {
        page.line(name, &[("code", code)], &requests.to_string());
    }
    otel::live(page, live);
}

fn logs(page: &mut Page, metrics: &Metrics) {
    let help = "Session logs that were ever read, those that are gone included.";
    page.one("tallyd_logs", help, &metrics.logs.files.to_string());
    for (name, help, bytes) in [
        ("tallyd_log_read_bytes", "Bytes of session logs that are counted.", metrics.logs.read_bytes),
        (
            "tallyd_log_unread_bytes",
            "Bytes behind, when the logs were last read: lines without their end.",
            metrics.logs.unread_bytes,
        ),
    ] {
        page.one(name, help, &bytes.to_string());
    }
    page.one(
        "tallyd_unreadable_logs",
        "Session logs that could not be read when they were last looked at.",
        &metrics.unreadable_logs.to_string(),
    );
    let name = "tallyd_parse_errors_total";
    page.head(name, COUNTER, "Lines that were not as they should be, by kind.");
    for (kind, lines) in &metrics.faults {
        page.line(name, &[("kind", kind)], &lines.to_string());
    }
}

fn flag(set: bool) -> &'static str {
    if set { "1" } else { "0" }
}

fn ledger(page: &mut Page, metrics: &Metrics) {
    if let Some(bytes) = metrics.ledger_bytes {
        let help = "Bytes of the ledger on disk, with its write-ahead log, without its backup.";
        page.one("tallyd_ledger_bytes", help, &bytes.to_string());
    }
    let rebuilt = metrics.rebuilt.as_ref();
    page.head("tallyd_ledger_rebuilds_total", COUNTER, "How often the ledger was damaged and made anew.");
    let count = rebuilt.map_or(0, |rebuilt| rebuilt.count);
    page.write(format_args!("tallyd_ledger_rebuilds_total {count}\n"));
    if let Some(rebuilt) = rebuilt {
        let help = "When the ledger was last made anew; absent where it never was.";
        page.one("tallyd_ledger_rebuilt_timestamp_seconds", help, &seconds(rebuilt.at));
    }
    let help = "Damaged ledgers that were put aside in the state folder.";
    page.one("tallyd_ledger_damaged_files", help, &metrics.damaged.to_string());
}

fn publishing(page: &mut Page, metrics: &Metrics) {
    let Metrics { backlog, note, .. } = metrics;
    page.one("tallyd_publish_enabled", "1 where usage is to be published.", flag(metrics.publishing));
    for (name, help, count) in [
        ("tallyd_publish_waiting_sessions", "Sessions with something to send.", backlog.waiting),
        ("tallyd_publish_parked_sessions", "Sessions that the server refuses.", backlog.parked),
        ("tallyd_publish_held_sessions", "Sessions held for a former owner of the ledger.", backlog.held),
    ] {
        page.one(name, help, &count.to_string());
    }
    for (name, help, time) in [
        (
            "tallyd_publish_oldest_waiting_timestamp_seconds",
            "Time of the usage that has waited longest; absent where none waits.",
            backlog.oldest,
        ),
        (
            "tallyd_publish_last_success_timestamp_seconds",
            "When something last arrived; absent where nothing ever did.",
            note.last_success,
        ),
    ] {
        if let Some(time) = time {
            page.one(name, help, &seconds(time));
        }
    }
    page.head("tallyd_publish_refused", GAUGE, "1 while nothing is sent, with the kind of what is wrong.");
    if let Some(refusal) = &note.refusal {
        page.line("tallyd_publish_refused", &[("kind", &refusal.kind)], "1");
    }
}

fn restoration(page: &mut Page, restoration: Restoration) {
    let Restoration { sessions, is_wanted } = restoration;
    let help = "Sessions that count by what the server has of them: no log here does.";
    page.one("tallyd_restored_sessions", help, &sessions.to_string());
    let help = "1 while that is still to be looked for on the server, and nothing is sent.";
    page.one("tallyd_restore_wanted", help, if is_wanted { "1" } else { "0" });
}

/// Seconds with three digits after the point.
fn seconds(time: UnixMillis) -> String {
    format!("{}.{:03}", time.0.div_euclid(1000), time.0.rem_euclid(1000))
}

/// The same of a length of time.
fn length(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// The text as it grows.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        let labels: Vec<String> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        self.write(format_args!("{name}{{{}}} {value}\n", labels.join(",")));
    }

    /// A gauge without labels.
    fn one(&mut self, name: &str, help: &str, value: &str) {
        self.head(name, GAUGE, help);
        self.write(format_args!("{name} {value}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing to a String cannot fail");
    }
}

/// A label's value as the format wants it, with nothing in it that drives a terminal.
fn escaped(text: &str) -> String {
    shown(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{TokenCounts, Usd};
    use crate::ledger::{NotedRefusal, RebuiltFrom};

    fn live() -> Live {
        Live {
            started: UnixMillis(1_788_220_800_008),
            is_ready: false,
            is_readable: true,
            lag: Duration::from_millis(2_500),
            folders: 16,
            requests: BTreeMap::from([("200".to_owned(), 17), ("timeout".to_owned(), 18)]),
            is_receiving: true,
            received: BTreeMap::from([("503".to_owned(), 21)]),
            records: BTreeMap::from([("repeated".to_owned(), 22)]),
            warnings: 19,
            errors: 20,
        }
    }

    #[test]
    fn what_could_not_be_read_is_absent_and_not_zero() {
        let live = Live { is_readable: false, ..live() };
        let text = text(&Metrics { live: Some(live), ..Metrics::default() });
        assert!(text.contains("tallyd_ledger_readable 0"));
        for name in ["tallyd_logs ", "tallyd_publish_waiting_sessions", "tallyd_unreadable_logs"] {
            assert!(!text.contains(name), "{name}");
        }
    }

    #[test]
    fn every_metric_has_its_help_and_its_exact_value() {
        let totals = Totals {
            tokens: TokenCounts::from_array([1, 2, 3, 4, 5]),
            messages: 6,
            incomplete: 1,
            unpriced: 2,
            unpriced_tokens: 7,
            cost: Usd(36_400_000_001),
            ..Totals::default()
        };
        let refusal = NotedRefusal {
            at: UnixMillis(0),
            kind: "unknown_user".to_owned(),
            message: "no such user".to_owned(),
            help: "set USER_ID".to_owned(),
        };
        let unlogged = Unlogged {
            tokens: TokenCounts::from_array([21, 22, 23, 24, 25]),
            unpriced_tokens: 26,
            web_searches: 27,
            cost: Some(Usd(28_000_000_000_001)),
            difference: Some(Usd(-29_000_000_000)),
        };
        let metrics = Metrics {
            daemon: Some(Holder { activity: Some(Activity::Failing), no_events: true, ..Holder::default() }),
            models: BTreeMap::from([("a \"model\"\n".to_owned(), totals)]),
            unlogged: BTreeMap::from([("opus[1m]".to_owned(), unlogged)]),
            incomplete: BTreeMap::from([("aborted", 5), ("error", 0)]),
            unreadable_logs: 4,
            logs: LogFigures { files: 11, read_bytes: 12, unread_bytes: 13 },
            faults: BTreeMap::from([("torn".to_owned(), 14)]),
            events: EventFigures {
                witnessed: 23,
                confirmed: 24,
                completing: 25,
                disagreeing: 26,
                other_price: 27,
            },
            ledger_bytes: Some(15),
            rebuilt: Some(RebuildNote {
                at: UnixMillis(1_788_220_800_000),
                from: RebuiltFrom::Backup,
                count: 2,
                losses: None,
            }),
            damaged: 3,
            publishing: true,
            backlog: Backlog { waiting: 3, parked: 2, held: 1, oldest: Some(UnixMillis(1_788_220_800_007)) },
            note: PublishNote { last_success: Some(UnixMillis(1_788_220_800_006)), refusal: Some(refusal) },
            restoration: Restoration { sessions: 4, is_wanted: true },
            live: Some(live()),
        };
        insta::assert_snapshot!(text(&metrics));
        assert!(!text(&Metrics::default()).contains("refused{"));
    }

    #[test]
    fn a_cost_that_is_unknown_is_not_zero() {
        let unpriced = Totals { messages: 1, unpriced: 1, unpriced_tokens: 9, ..Totals::default() };
        let models = BTreeMap::from([("m".to_owned(), unpriced)]);
        let text = text(&Metrics { models, ..Metrics::default() });
        assert!(!text.contains("cost_usd_total{") && text.contains("unpriced_tokens_total{model=\"m\"} 9"));
    }
}
