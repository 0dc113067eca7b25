//! What the project says: one answer, spread over the things it tells of. Pure.

use super::row::Row;
use crate::cli::exit::ExitCode;
use crate::domain::UnixMillis;
use crate::publish::{CONTRACT, CheckAnswer, Fault, PublishOptions, Refusal};

/// Clocks that differ by more than this give days and times that mislead.
const MAX_SKEW_MS: u64 = 5 * 60 * 1000;

/// The things that one answer tells of, in the order in which they are shown.
const NAMES: [&str; 6] = ["url", "key", "server", "contract", "user", "clock"];

/// A row for each of them. `answer` is the server's, or why it could not be asked at all.
pub(super) fn rows(
    options: &PublishOptions,
    answer: Result<Result<CheckAnswer, Refusal>, String>,
    now: UnixMillis,
) -> Vec<Row> {
    let told = match answer {
        Ok(Ok(answer)) => of_answer(options, &answer, now),
        Ok(Err(refusal)) => of_refusal(options, refusal),
        Err(what) => vec![Row::wrong("server", ExitCode::Failure, what)],
    };
    let row =
        |name| told.iter().find(|row| row.name == name).cloned().unwrap_or_else(|| untold(name, options));
    let rows = NAMES.map(row);
    let destination = &options.destination;
    rows.map(|row| match row.name {
        "url" => row.fact("url", destination.project.as_str()),
        "user" => row.fact("user", destination.user.to_string()),
        "key" => row.fact("kind", options.key.kind()).fact("source", options.key_source.as_str()),
        _ => row,
    })
    .into()
}

/// What is known of a thing that the answer does not tell of.
fn untold(name: &'static str, options: &PublishOptions) -> Row {
    let (kind, source) = (options.key.kind(), &options.key_source);
    match name {
        "url" => Row::ok(name, options.destination.project.as_str()),
        "key" => {
            Row::unknown(name, format!("{kind} from {source}; the server has not said whether it is right"))
        }
        "user" => Row::unknown(
            name,
            format!("{}; the server has not said whether it exists", options.destination.user),
        ),
        _ => Row::unknown(name, "the server has not said"),
    }
}

fn of_answer(options: &PublishOptions, answer: &CheckAnswer, now: UnixMillis) -> Vec<Row> {
    let (kind, source) = (options.key.kind(), &options.key_source);
    let mut rows = vec![
        Row::ok("key", format!("{kind} from {source}, accepted as {}", answer.role))
            .fact("role", answer.role.as_str()),
        Row::ok("server", "answers"),
        Row::ok("contract", format!("version {}", answer.contract)).fact("version", answer.contract),
        Row::ok("user", format!("{} exists", options.destination.user)),
        clock(answer.server_time, now),
    ];
    if let Some(fault) = answer.fault(&options.destination) {
        let wrong = of_fault(options, &fault);
        // A server of another contract may not know what it says of the user.
        rows.retain(|row| row.name != wrong.name && (wrong.name != "contract" || row.name != "user"));
        rows.push(wrong);
    }
    rows
}

fn of_refusal(options: &PublishOptions, refusal: Refusal) -> Vec<Row> {
    let row = match refusal {
        Refusal::Configuration(fault) => of_fault(options, &fault),
        Refusal::Transient { what, .. } => Row::wrong("server", ExitCode::Unsent, what)
            .help("see that the URL is right and that this machine reaches it; nothing is lost meanwhile, a running tallyd tries again"),
        Refusal::Rejected { code, message } => {
            Row::wrong("server", ExitCode::Refused, format!("it refuses the check: {code} {message}"))
        }
        Refusal::TooLarge => Row::wrong("server", ExitCode::Refused, "it refuses the check as too large"),
    };
    // Whoever finds fault with something else has answered.
    let answered = (row.name != "server").then(|| Row::ok("server", "answers"));
    answered.into_iter().chain([row]).collect()
}

/// The row of what is to blame.
fn of_fault(options: &PublishOptions, fault: &Fault) -> Row {
    let name = match fault {
        Fault::UnknownUser(_) => "user",
        Fault::NoContract { .. } | Fault::OldContract { .. } => "contract",
        Fault::KeyRefused { .. } | Fault::Expired | Fault::Forbidden { .. } => "key",
        Fault::NoApi { .. } | Fault::Paused { .. } | Fault::NoClient { .. } | Fault::ForeignLedger { .. } => {
            "server"
        }
    };
    let row = Row::wrong(name, ExitCode::Refused, fault.what())
        .help(fault.help(options))
        .fact("fault", fault.kind());
    match fault {
        Fault::OldContract { found } => row.fact("version", *found).fact("needed", CONTRACT),
        _ => row,
    }
}

fn clock(server: UnixMillis, now: UnixMillis) -> Row {
    let ahead = now.0.saturating_sub(server.0);
    let apart = ahead.unsigned_abs();
    let side = if ahead >= 0 { "ahead of" } else { "behind" };
    let detail = format!("{}.{} s {side} the server's", apart / 1000, apart % 1000 / 100);
    let row = if apart > MAX_SKEW_MS {
        Row::wrong("clock", ExitCode::Failure, detail)
            .help("set this machine's clock: for instance timedatectl set-ntp true")
    } else {
        Row::ok("clock", detail)
    };
    row.fact("aheadMilliseconds", ahead)
}
