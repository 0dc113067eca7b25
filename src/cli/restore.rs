//! `tallyd restore`: what Supabase has and no log has any more comes back into the ledger.
//!
//! Refuses to send anything. What is not read now stays wanted, and a running tallyd or the next `publish`
//! reads it; until then they send nothing that could lower it.

use super::exit::ExitCode;
use super::publishing::{self, sessions};
use super::{engine, output};
use crate::config::Settings;
use crate::daemon;
use crate::domain::Destination;
use crate::ledger::{LockError, Outbox};
use crate::price::PriceTable;
use crate::publish::Restored;
use clap::Args;
use std::fmt::Write;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  tallyd restore               take back what the logs of this machine do not have
  tallyd restore --dry-run     say what would be taken back; write nothing
  tallyd restore --json        for scripts

For a new container without its volume, a lost ledger whose logs are gone, a new machine. Takes in
what is new in the logs (unless a running tallyd does), reads all of the user's sessions from the
project, and keeps those of which the server has more. Such a session counts by the server's value, whole,
until the logs have as much of it. It is marked in reports, on UTC days, without its project.

Where one user has several machines, the sessions of the others come along: the server does not
know which machine a session is from. Totals of the user are right by that, those of this machine
are not. Nothing is sent and nothing on the server changes.

Exit codes: 0 done, 10 key, user or SQL, 11 not in time (tried again by a running tallyd or the
next `tallyd publish`), 13 the ledger belongs to another user or project, 14 done but for sessions
whose rows on the server do not add up.";

/// Arguments of `tallyd restore`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RestoreArgs {
    /// Say what would be taken back; write nothing, look at no logs
    #[arg(long)]
    pub dry_run: bool,
    /// How long reading is tried again
    #[arg(long, value_name = "SECONDS", default_value_t = 30, conflicts_with = "dry_run",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
}

/// Takes in the logs, takes back what they lack, and prints what was found.
pub fn run(args: &RestoreArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let options = publishing::options(settings, "restore")?;
    let prices = if args.dry_run { engine::prices(settings)? } else { take_in(settings)? };
    let outbox = Outbox::open(settings.state_dir()?)?;
    publishing::refuse_foreign(&outbox, &options)?;
    let mut publisher = publishing::publisher(&prices, options.clone(), outbox);
    let restored = if args.dry_run {
        daemon::block_on(publisher.preview_restore())?
    } else {
        daemon::block_on(publisher.restore(Duration::from_secs(args.timeout)))?
    };
    let restored = restored.map_err(|obstacle| publishing::failure(&obstacle, &options))?;
    output::print(&if args.json {
        json(&restored)
    } else {
        text(&restored, &options.destination, args.dry_run)
    })?;
    Ok(if restored.damaged > 0 { ExitCode::Differs } else { ExitCode::Done })
}

/// What the logs have need not come from the server. A running tallyd takes it in by itself; what it has not
/// taken in yet replaces what is restored, in the end.
fn take_in(settings: &Settings) -> anyhow::Result<PriceTable> {
    match engine::open(settings, "restore") {
        Ok(mut collector) => {
            engine::take_in(&mut collector, &mut |_| {})?;
            collector.ledger().checkpoint()?;
            Ok(collector.pricing().table().clone())
        }
        Err(error) => match error.downcast::<LockError>() {
            Ok(LockError::Held { holder, .. }) if holder.is_daemon() => engine::prices(settings),
            Ok(error) => Err(error.into()),
            Err(error) => Err(error),
        },
    }
}

fn text(restored: &Restored, destination: &Destination, dry_run: bool) -> String {
    let Restored { sessions: all, known, missing, fuller, held, older, damaged, unlogged } = restored;
    let mut text = format!("{} of {destination} compared with the ledger:\n", sessions(*all as u64));
    let (missing_text, fuller_text) = if dry_run {
        (
            "would be taken back: the ledger has nothing of them",
            "would be taken back: the ledger has less of them",
        )
    } else {
        ("taken back: the ledger had nothing of them", "taken back: the ledger had less of them")
    };
    for (number, what) in [
        (known, "the ledger has as much of, or more"),
        (missing, missing_text),
        (fuller, fuller_text),
        (held, "are held for a former owner of the ledger and stay as they are"),
        (older, "are by callers that name no rules of counting; they are left there"),
        (damaged, "do not add up there or break its rules; they are left there"),
        (unlogged, "have unlogged usage there; that stays there, and nothing sent from here replaces it"),
    ] {
        if *number > 0 {
            let _ = writeln!(text, "{number:8} {what}");
        }
    }
    text.push_str(match (restored.taken(), dry_run) {
        (0, _) => "The ledger lacks nothing of what can be taken back.\n",
        (_, true) => "`tallyd restore` takes them back.\n",
        (_, false) => "Reports mark them; a log that turns up again replaces what is here of its session.\n",
    });
    text
}

fn json(restored: &Restored) -> String {
    let object = serde_json::json!({
        "sessions": restored.sessions, "known": restored.known, "missing": restored.missing,
        "fuller": restored.fuller, "held": restored.held, "older": restored.older,
        "damaged": restored.damaged, "unlogged": restored.unlogged,
    });
    format!("{object:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    fn told(restored: &Restored, dry_run: bool) -> String {
        let user = UserId::parse("3dfb3580-b7c4-4da3-8d9e-b9775c216f7e").unwrap();
        text(restored, &Destination { project: "https://abc.supabase.co".to_owned(), user }, dry_run)
    }

    #[test]
    fn what_was_found_is_told_in_sentences() {
        let restored = Restored {
            sessions: 1_203,
            known: 1_198,
            missing: 2,
            fuller: 1,
            damaged: 2,
            ..Restored::default()
        };
        insta::assert_snapshot!(told(&restored, false), @"
        1,203 sessions of user 3dfb3580-b7c4-4da3-8d9e-b9775c216f7e of https://abc.supabase.co compared with the ledger:
            1198 the ledger has as much of, or more
               2 taken back: the ledger had nothing of them
               1 taken back: the ledger had less of them
               2 do not add up there or break its rules; they are left there
        Reports mark them; a log that turns up again replaces what is here of its session.
        ");
        let dry = told(&restored, true);
        assert!(dry.contains("       2 would be taken back: the ledger has nothing of them\n"), "{dry}");
        assert!(dry.ends_with("`tallyd restore` takes them back.\n"), "{dry}");
        let nothing = Restored { sessions: 1, known: 1, ..Restored::default() };
        assert!(told(&nothing, false).ends_with("The ledger lacks nothing of what can be taken back.\n"));
    }
}
