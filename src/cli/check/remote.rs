//! What the project says: one answer, spread over the things it tells of. Pure.

use super::row::Row;
use crate::cli::exit::ExitCode;
use crate::domain::UnixMillis;
use crate::publish::{CONTRACT, CheckAnswer, Fault, PublishOptions, Refusal, UNLOGGED_CONTRACT};

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
        contract(answer.contract),
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

/// An older contract is no fault: what it lacks is said, and with what it comes.
fn contract(version: u32) -> Row {
    let mut text = format!("version {version}");
    if version < UNLOGGED_CONTRACT {
        text.push_str("; unlogged usage stays here until `tallyd schema | psql \"$DATABASE_URL\"` was run");
    }
    Row::ok("contract", text).fact("version", version)
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
            .help("set this machine's clock (timedatectl set-ntp true); a container has that of its host")
    } else {
        Row::ok("clock", detail)
    };
    row.fact("aheadMilliseconds", ahead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::render;
    use crate::domain::{Destination, UserId};
    use crate::publish::KeyChoice;

    const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

    fn options() -> PublishOptions {
        let user = UserId::parse("3dfb3580-b7c4-4da3-8d9e-b9775c216f7e").unwrap();
        let destination = Destination { project: "https://abc.supabase.co".to_owned(), user };
        let key = KeyChoice::service("sb_secret_CANARY").unwrap();
        PublishOptions::new(destination, key, "SUPABASE_SERVICE_KEY")
    }

    fn told(answer: Result<Result<CheckAnswer, Refusal>, String>) -> String {
        let rows = rows(&options(), answer, NOW);
        assert_eq!(rows.iter().map(|row| row.name).collect::<Vec<_>>(), NAMES);
        let text = render::text(&rows);
        assert!(
            !text.contains("CANARY") && !render::json(&rows, ExitCode::Done).contains("CANARY"),
            "{text}"
        );
        text
    }

    fn answer(contract: u32, user_exists: bool, behind: i64) -> CheckAnswer {
        let server_time = UnixMillis(NOW.0 + behind);
        CheckAnswer { contract, user_exists, server_time, role: "service_role".to_owned() }
    }

    #[test]
    fn an_answer_is_spread_over_what_it_tells_of() {
        insta::assert_snapshot!(told(Ok(Ok(answer(UNLOGGED_CONTRACT, true, 1_234)))), @"
        ok       url         https://abc.supabase.co
        ok       key         secret key from SUPABASE_SERVICE_KEY, accepted as service_role
        ok       server      answers
        ok       contract    version 3
        ok       user        3dfb3580-b7c4-4da3-8d9e-b9775c216f7e exists
        ok       clock       1.2 s behind the server's
        Everything is as it should be.
        ");
        insta::assert_snapshot!(told(Ok(Ok(answer(CONTRACT, false, -300_001)))), @r#"
        ok       url         https://abc.supabase.co
        ok       key         secret key from SUPABASE_SERVICE_KEY, accepted as service_role
        ok       server      answers
        ok       contract    version 2; unlogged usage stays here until `tallyd schema | psql "$DATABASE_URL"` was run
        wrong    user        https://abc.supabase.co has no user 3dfb3580-b7c4-4da3-8d9e-b9775c216f7e
                             help: set USER_ID=<the user's UUID> and restart tallyd  (the dashboard lists users under Authentication)
        wrong    clock       300.0 s ahead of the server's
                             help: set this machine's clock (timedatectl set-ntp true); a container has that of its host
        2 things are wrong.
        "#);
        insta::assert_snapshot!(told(Ok(Ok(answer(1, true, 0)))), @r#"
        ok       url         https://abc.supabase.co
        ok       key         secret key from SUPABASE_SERVICE_KEY, accepted as service_role
        ok       server      answers
        wrong    contract    the project's database has contract 1 of token usage, tallyd needs 2
                             help: tallyd schema | psql "$DATABASE_URL"  (or put its output below supabase/migrations and run `supabase db push`)
        unknown  user        3dfb3580-b7c4-4da3-8d9e-b9775c216f7e; the server has not said whether it exists
        ok       clock       0.0 s ahead of the server's
        1 thing is wrong.
        "#);
    }

    #[test]
    fn a_fault_is_told_of_the_thing_that_is_to_blame() {
        let message = || "as the server says".to_owned();
        insta::assert_snapshot!(told(Ok(Err(Refusal::Configuration(Fault::NoContract { message: message() })))), @r#"
        ok       url         https://abc.supabase.co
        unknown  key         secret key from SUPABASE_SERVICE_KEY; the server has not said whether it is right
        ok       server      answers
        wrong    contract    the project's database lacks what tallyd publishes to: as the server says
                             help: tallyd schema | psql "$DATABASE_URL"  (or put its output below supabase/migrations and run `supabase db push`)
        unknown  user        3dfb3580-b7c4-4da3-8d9e-b9775c216f7e; the server has not said whether it exists
        unknown  clock       the server has not said
        1 thing is wrong.
        "#);
        for (blamed, of) in [
            (Fault::KeyRefused { message: message() }, "key"),
            (Fault::Expired, "key"),
            (Fault::Forbidden { message: message() }, "key"),
            (Fault::UnknownUser(options().destination), "user"),
            (Fault::OldContract { found: 1 }, "contract"),
            (Fault::NoApi { message: message() }, "server"),
            (Fault::Paused { status: 540 }, "server"),
            (Fault::NoClient { message: message() }, "server"),
        ] {
            let rows = rows(&options(), Ok(Err(Refusal::Configuration(blamed.clone()))), NOW);
            let wrong: Vec<_> = rows.iter().filter(|row| row.failure().is_some()).collect();
            assert_eq!(wrong.iter().map(|row| row.name).collect::<Vec<_>>(), [of], "{blamed:?}");
            assert_eq!(wrong[0].failure(), Some(ExitCode::Refused));
            assert!(wrong[0].help.is_some(), "{blamed:?}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_no_ones_fault() {
        let what = "connection refused".to_owned();
        let refusal = Refusal::Transient { what, retry_after: None, shrink: false };
        let rows = rows(&options(), Ok(Err(refusal)), NOW);
        assert_eq!(rows.iter().find_map(Row::failure), Some(ExitCode::Unsent));
        assert!(told(Err("no runtime".to_owned())).contains("wrong    server      no runtime"));
    }
}
