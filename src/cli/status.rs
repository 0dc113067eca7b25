//! `tallyd status`: how the running tallyd is, in its own words.
//!
//! Asks over the socket in the state folder, reads nothing else and changes nothing. Fails with
//! [`ExitCode::NotRunning`] where none answers.

use super::errors::Unpublished;
use super::exit::ExitCode;
use super::output;
use super::scan::{bytes, counted};
use crate::config::Settings;
use crate::http::{self, Counted, Published, Status, Witness};
use crate::telemetry::shown;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

const AFTER_HELP: &str = "\
Examples:
  tallyd status            what the running tallyd is at, what waits, what went wrong last
  tallyd status --json     the same for scripts
  tallyd status --ready    for health checks: code 15 unless it follows, can write and sends

Exit codes: 0 a tallyd runs and answers (or counting is switched off), 15 none does; with --ready also
15 where it is not ready.";

/// Arguments of `tallyd status`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct StatusArgs {
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
    /// Fail where it is not ready, too
    #[arg(long)]
    pub ready: bool,
}

/// Prints how the running tallyd is.
pub fn run(args: &StatusArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    if !settings.enabled {
        let text = "counting is switched off (TOKEN_TRACKING_ENABLED or `enabled`): nothing is read, nothing is written\n";
        output::print(if args.json { "{\"running\": false, \"state\": \"off\"}\n" } else { text })?;
        return Ok(ExitCode::Done);
    }
    let folder = settings.state_dir()?;
    let status = match http::ask(folder) {
        Ok(status) => status,
        Err(error) => {
            if args.json {
                output::print("{\"running\": false}\n")?;
            }
            return Err(unanswered(folder, &error).into());
        }
    };
    output::print(&if args.json { as_json(&status)? } else { text(&status) })?;
    let is_well = status.ready || !args.ready;
    Ok(if is_well { ExitCode::Done } else { ExitCode::NotRunning })
}

fn unanswered(folder: &Path, error: &std::io::Error) -> Unpublished {
    let place = folder.display();
    let (what, help) = match http::daemon(folder) {
        None => (
            format!("no tallyd is running on the ledger in {place}"),
            "start it with `tallyd`, or name the folder of the one that runs with --state-dir DIR",
        ),
        Some(holder) => (
            format!(
                "a tallyd runs{} on the ledger in {place} and does not answer: {error}",
                holder.pid.map_or(String::new(), |pid| format!(" (process {pid})"))
            ),
            "it may be just starting or ending; its own log says more",
        ),
    };
    Unpublished { code: ExitCode::NotRunning, what, help: Some(help.to_owned()) }
}

fn as_json(status: &Status) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(status)?;
    if let Value::Object(object) = &mut value {
        object.insert("running".to_owned(), json!(true));
    }
    Ok(format!("{value:#}\n"))
}

fn text(status: &Status) -> String {
    let mut text = String::new();
    let Status { version, pid, state, started_at, .. } = status;
    let _ = writeln!(text, "tallyd {version}, process {pid}: {state}, up since {started_at}");
    if let Some(failure) = &status.failure {
        line(&mut text, "failing", failure);
    }
    let wrong: Vec<_> = status.checks.iter().filter(|check| !check.ok).collect();
    line(&mut text, "ready", if status.ready { "yes" } else { "no" });
    for check in wrong {
        line(&mut text, "", &format!("{}: {}", check.name, check.what));
    }
    logs(&mut text, &status.counted);
    line(&mut text, "publishing", &publishing(&status.published));
    if let Some(help) = &status.published.refusal_help {
        line(&mut text, "", &format!("help: {help}"));
    }
    let listening = match (&status.listening, &status.listen_error) {
        (Some(address), _) => format!("{address}: /healthz, /readyz, /metrics"),
        (None, Some(error)) => format!("cannot listen on {error}"),
        (None, None) => "off".to_owned(),
    };
    line(&mut text, "http", &listening);
    line(&mut text, "otel", &otel(&status.otel));
    let told = format!("{}, {}", counted(status.warnings, "warning"), counted(status.errors, "error"));
    line(&mut text, "log", &told);
    for recent in &status.recent {
        line(&mut text, "", &format!("{} {:5} {}", recent.at, recent.level, recent.text));
    }
    text
}

/// What Claude Code tells of its calls by OpenTelemetry.
fn otel(known: &Witness) -> String {
    let mut text = match (&known.listening, &known.listen_error) {
        (Some(address), _) => format!("{address}: /v1/logs"),
        (None, Some(error)) => format!("cannot listen on {error}"),
        (None, None) => "off".to_owned(),
    };
    for (number, what) in [
        (known.confirmed, "confirmed by a log"),
        (known.witnessed, "in no log"),
        (known.completing, "whole where the log is not"),
        (known.disagreeing, "with other counts than the log"),
        (known.other_price, "priced otherwise by the client"),
    ] {
        if number > 0 {
            let _ = write!(text, "; {} {what}", counted(number, "call"));
        }
    }
    for (name, counts) in [("requests by answer", &known.requests), ("records", &known.records)] {
        if !counts.is_empty() {
            let counts: Vec<_> = counts.iter().map(|(label, count)| format!("{label}: {count}")).collect();
            let _ = write!(text, "; {name} {}", counts.join(", "));
        }
    }
    text
}

fn logs(text: &mut String, known: &Counted) {
    let folders = counted(known.folders_watched, "watched folder");
    let mut files =
        format!("{} in {folders}, {} counted", counted(known.files, "file"), bytes(known.read_bytes));
    if known.unread_bytes > 0 {
        let _ = write!(files, ", {} of unfinished lines", bytes(known.unread_bytes));
    }
    if known.polling {
        files.push_str("; not all can be watched: looked at every few seconds");
    }
    line(text, "logs", &files);
    if known.unreadable_files > 0 {
        line(
            text,
            "",
            &format!(
                "{} could not be read; `tallyd check` says more",
                counted(known.unreadable_files, "file")
            ),
        );
    }
    let lag = match known.lag_ms {
        0 => "nothing waits to be counted".to_owned(),
        ms => format!("something has waited {}.{:03} s to be counted", ms / 1_000, ms % 1_000),
    };
    line(text, "lag", &lag);
    let mut ledger = format!("{}, {}", counted(known.responses, "response"), bytes(known.ledger_bytes));
    if known.unlogged_tokens > 0 {
        let _ = write!(ledger, "; {} in no log", counted(known.unlogged_tokens, "token"));
    }
    if known.faults > 0 {
        let _ = write!(ledger, "; {} not as they should be", counted(known.faults, "line"));
    }
    line(text, "ledger", &ledger);
}

fn publishing(known: &Published) -> String {
    if !known.enabled {
        return "off".to_owned();
    }
    let mut text = match known.waiting {
        0 => "nothing waits".to_owned(),
        waiting => format!("{} waiting", counted(waiting, "session")),
    };
    for (number, what) in [(known.parked, "refused by the server"), (known.held, "held for a former owner")] {
        if number > 0 {
            let _ = write!(text, ", {} {what}", counted(number, "session"));
        }
    }
    let _ = write!(text, "; last arrived {}", known.last_success_at.as_deref().unwrap_or("never"));
    if !known.requests.is_empty() {
        let requests: Vec<_> =
            known.requests.iter().map(|(code, count)| format!("{code}: {count}")).collect();
        let _ = write!(text, "; requests by answer {}", requests.join(", "));
    }
    if let Some(refusal) = &known.refusal {
        let _ = write!(text, "; refused: {refusal}");
    }
    text
}

/// A line with its heading. What is in it came from a process: nothing in it drives a terminal.
fn line(text: &mut String, heading: &str, what: &str) {
    let _ = writeln!(text, "  {heading:10} {}", shown(what));
}
