//! What `tallyd status` shows, as the daemon says it over the Unix socket.
//!
//! Owns: the JSON of it, which scripts read: keys stay. Counts, times, paths of this machine and lines of the log; no
//! key, no text of a conversation.

use super::ready::Check;
use super::vitals::{State, Vitals};
use crate::domain::UnixMillis;
use crate::ledger::EventFigures;
use crate::report::metrics::{Live, Metrics};
use crate::telemetry::Told;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A running tallyd at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process id, as it sees itself.
    pub pid: u32,
    /// When it was started, RFC 3339.
    pub started_at: String,
    /// `off`, `starting`, `following`, `failing` or `mending`.
    pub state: String,
    /// Why the ledger cannot be written, where it cannot.
    pub failure: Option<String>,
    /// It is as ready as a load balancer wants to know.
    pub ready: bool,
    /// Why, or why not.
    pub checks: Vec<StatusCheck>,
    /// What it counts.
    pub counted: Counted,
    /// What it sends.
    pub published: Published,
    /// The TCP address that answers, where one does.
    pub listening: Option<String>,
    /// Why the configured one does not.
    pub listen_error: Option<String>,
    /// What Claude Code tells by OpenTelemetry.
    pub otel: Witness,
    /// Warnings since the start.
    pub warnings: u64,
    /// Errors since the start.
    pub errors: u64,
    /// The latest of both, oldest first.
    pub recent: Vec<Recent>,
}

/// One thing that has to be so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusCheck {
    /// What.
    pub name: String,
    /// It is.
    pub ok: bool,
    /// What there is to say of it.
    pub what: String,
}

/// What is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counted {
    /// Logs that were ever read.
    pub files: u64,
    /// Bytes of them that are counted.
    pub read_bytes: u64,
    /// Bytes behind, when they were last looked at: lines that are not ended.
    pub unread_bytes: u64,
    /// Logs that could not be read when they were last looked at.
    pub unreadable_files: u64,
    /// Lines that were not as they should be.
    pub faults: u64,
    /// Responses.
    pub responses: u64,
    /// Tokens that the client's own accounts have and no log does.
    #[serde(default)]
    pub unlogged_tokens: u64,
    /// Milliseconds for which something has been known to be written that is not counted yet.
    pub lag_ms: u64,
    /// Folders that the system tells of changes in.
    pub folders_watched: u64,
    /// Some are not: all logs are looked at every few seconds.
    pub polling: bool,
    /// When all logs were last looked at, RFC 3339.
    pub last_look_at: Option<String>,
    /// The ledger's bytes on disk.
    pub ledger_bytes: u64,
}

/// What is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Published {
    /// Publishing is on.
    pub enabled: bool,
    /// Sessions with something to send.
    pub waiting: u64,
    /// Sessions that the server refuses.
    pub parked: u64,
    /// Sessions of a former owner of the ledger.
    pub held: u64,
    /// Of those that wait, the one that has been still for the longest, RFC 3339.
    pub oldest_waiting_at: Option<String>,
    /// When something last arrived, RFC 3339.
    pub last_success_at: Option<String>,
    /// Why nothing is sent.
    pub refusal: Option<String>,
    /// What mends it.
    pub refusal_help: Option<String>,
    /// Requests since the start, by what came of them: an HTTP status, or a word.
    pub requests: BTreeMap<String, u64>,
}

/// What Claude Code tells of its calls by OpenTelemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Witness {
    /// The address that receives it, where one does.
    pub listening: Option<String>,
    /// Why the configured one does not.
    pub listen_error: Option<String>,
    /// Calls that no log has.
    pub witnessed: u64,
    /// Calls that a log has, too.
    pub confirmed: u64,
    /// Calls that a log has without their final output.
    pub completing: u64,
    /// Calls that a log has with other counts.
    pub disagreeing: u64,
    /// Of all these, those that the client has another price for.
    pub other_price: u64,
    /// Requests since the start, by HTTP status.
    pub requests: BTreeMap<String, u64>,
    /// What was in them, by what it was.
    pub records: BTreeMap<String, u64>,
}

/// A line of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Recent {
    /// When, RFC 3339.
    pub at: String,
    /// `error` or `warn`.
    pub level: String,
    /// The text with its fields.
    pub text: String,
}

/// Everything that a status is made of.
pub(super) struct Known<'a> {
    pub(super) vitals: &'a Vitals,
    pub(super) metrics: &'a Metrics,
    pub(super) live: Live,
    pub(super) checks: &'a [Check],
    pub(super) told: Told,
    pub(super) listening: Option<String>,
    pub(super) listen_error: Option<String>,
    pub(super) witness: (Option<String>, Option<String>),
}

/// The status.
pub(super) fn status(known: Known<'_>) -> Status {
    let Known { vitals, metrics, live, checks, told, listening, listen_error, witness } = known;
    let failure = match &vitals.state {
        State::Failing(reason) => Some(reason.clone()),
        _ => None,
    };
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: live.started.to_rfc3339(),
        state: vitals.state.name().to_owned(),
        failure,
        ready: live.is_ready,
        checks: checks.iter().map(shown_check).collect(),
        counted: counted(vitals, metrics),
        otel: otel(metrics, witness, &live),
        published: published(metrics, live.requests),
        listening,
        listen_error,
        warnings: told.warnings,
        errors: told.errors,
        recent: told.latest.into_iter().map(recent).collect(),
    }
}

fn otel(
    metrics: &Metrics,
    (listening, listen_error): (Option<String>, Option<String>),
    live: &Live,
) -> Witness {
    let EventFigures { witnessed, confirmed, completing, disagreeing, other_price } = metrics.events;
    let (requests, records) = (live.received.clone(), live.records.clone());
    Witness {
        listening,
        listen_error,
        witnessed,
        confirmed,
        completing,
        disagreeing,
        other_price,
        requests,
        records,
    }
}

fn shown_check(check: &Check) -> StatusCheck {
    StatusCheck { name: check.name.to_owned(), ok: check.is_ok, what: check.what.clone() }
}

fn counted(vitals: &Vitals, metrics: &Metrics) -> Counted {
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Counted {
        files: metrics.logs.files,
        read_bytes: metrics.logs.read_bytes,
        unread_bytes: metrics.logs.unread_bytes,
        unreadable_files: metrics.unreadable_logs,
        faults: metrics.faults.values().sum(),
        responses: metrics.models.values().map(|totals| totals.messages).sum(),
        unlogged_tokens: metrics.unlogged.values().map(|unlogged| unlogged.tokens.total()).sum(),
        lag_ms: u64::try_from(vitals.lag.as_millis()).unwrap_or(u64::MAX),
        folders_watched: number(vitals.folders),
        polling: !vitals.is_watching,
        last_look_at: vitals.last_look.map(UnixMillis::to_rfc3339),
        ledger_bytes: metrics.ledger_bytes.unwrap_or_default(),
    }
}

fn published(metrics: &Metrics, requests: BTreeMap<String, u64>) -> Published {
    let Metrics { backlog, note, .. } = metrics;
    Published {
        enabled: metrics.publishing,
        waiting: backlog.waiting,
        parked: backlog.parked,
        held: backlog.held,
        oldest_waiting_at: backlog.oldest.map(UnixMillis::to_rfc3339),
        last_success_at: note.last_success.map(UnixMillis::to_rfc3339),
        refusal: note.refusal.as_ref().map(|refusal| refusal.message.clone()),
        refusal_help: note.refusal.as_ref().map(|refusal| refusal.help.clone()),
        requests,
    }
}

fn recent(line: crate::telemetry::RecentLine) -> Recent {
    let level = if line.is_error { "error" } else { "warn" };
    Recent { at: line.at.to_rfc3339(), level: level.to_owned(), text: line.text }
}
