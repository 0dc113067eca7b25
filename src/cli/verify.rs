//! `tallyd verify`: whether the server holds what the ledger holds, and sending again what it lacks.

use super::engine;
use super::exit::ExitCode;
use super::output;
use super::publishing::{self, sessions};
use crate::config::Settings;
use crate::daemon;
use crate::domain::Destination;
use crate::ledger::Outbox;
use crate::publish::Verified;
use clap::Args;
use std::fmt::Write;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  tallyd verify                compare, and send again what the server lacks
  tallyd verify --dry-run      compare and say
  tallyd verify --json         for scripts

Compares every session and every day on the server with the ledger, as after a restore of the
project's database from a backup. Only what is missing or older there is sent; nothing on the
server is lowered or deleted. Works beside a running tallyd.

Exit code 14 where a difference is left.";

/// Arguments of `tallyd verify`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct VerifyArgs {
    /// Compare and say; send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How long sending is tried again
    #[arg(long, value_name = "SECONDS", default_value_t = 30, conflicts_with = "dry_run",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
}

/// Compares, refills, and prints what was found.
pub fn run(args: &VerifyArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let options = publishing::options(settings, "verify")?;
    let outbox = Outbox::open(settings.state_dir()?)?;
    publishing::refuse_foreign(&outbox, &options)?;
    let prices = engine::prices(settings)?;
    publishing::refuse_other_prices(settings, &prices)?;
    let mut publisher = publishing::publisher(&prices, options.clone(), outbox);
    let refill = (!args.dry_run).then(|| Duration::from_secs(args.timeout));
    let verified = daemon::block_on(publisher.verify(refill))?
        .map_err(|obstacle| publishing::failure(&obstacle, &options))?;
    output::print(&if args.json {
        json(&verified)
    } else {
        text(&verified, &options.destination, args.dry_run)
    })?;
    Ok(if verified.differs() { ExitCode::Differs } else { ExitCode::Done })
}

fn text(verified: &Verified, destination: &Destination, dry_run: bool) -> String {
    let Verified { sessions: all, equal, refilled, lacking, ahead, damaged, unknown, damaged_days } =
        verified;
    let mut text = format!("{} of the ledger compared with {destination}:\n", sessions(*all as u64));
    for (number, what) in [
        (equal, "the same on both sides"),
        (refilled, "of these were missing or older there until now"),
        (lacking, "are missing or older there"),
        (ahead, "have a better value there, from another machine or an earlier ledger"),
        (damaged, "do not add up there: their days are not their totals"),
        (unknown, "are there alone, from another machine or an earlier ledger"),
    ] {
        if *number > 0 {
            let _ = writeln!(text, "{number:8} {what}");
        }
    }
    if !damaged_days.is_empty() {
        let days: Vec<String> = damaged_days.iter().map(ToString::to_string).collect();
        let _ =
            writeln!(text, "The daily table there is not the sum of the sessions on {}.", days.join(", "));
    }
    if *damaged > 0 || !damaged_days.is_empty() {
        text.push_str(
            "Something else than tallyd's functions has changed rows there. They are left alone.\n",
        );
    }
    text.push_str(match (*lacking, dry_run) {
        (0, _) => "Nothing is missing there.\n",
        (_, true) => "`tallyd verify` sends what is missing.\n",
        (_, false) => {
            "What is still missing was refused or has changed meanwhile; `tallyd check` says more.\n"
        }
    });
    text
}

fn json(verified: &Verified) -> String {
    let days: Vec<String> = verified.damaged_days.iter().map(ToString::to_string).collect();
    let object = serde_json::json!({
        "sessions": verified.sessions, "equal": verified.equal, "refilled": verified.refilled,
        "lacking": verified.lacking, "ahead": verified.ahead, "damaged": verified.damaged,
        "unknown": verified.unknown, "damagedDays": days, "differs": verified.differs(),
    });
    format!("{object:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    fn told(verified: &Verified, dry_run: bool) -> String {
        let user = UserId::parse("3dfb3580-b7c4-4da3-8d9e-b9775c216f7e").unwrap();
        text(verified, &Destination { project: "https://abc.supabase.co".to_owned(), user }, dry_run)
    }

    #[test]
    fn what_was_found_is_told_in_sentences() {
        let refilled = Verified {
            sessions: 1_200,
            equal: 1_199,
            refilled: 2,
            ahead: 1,
            unknown: 3,
            ..Verified::default()
        };
        insta::assert_snapshot!(told(&refilled, false), @"
        1,200 sessions of the ledger compared with user 3dfb3580-b7c4-4da3-8d9e-b9775c216f7e of https://abc.supabase.co:
            1199 the same on both sides
               2 of these were missing or older there until now
               1 have a better value there, from another machine or an earlier ledger
               3 are there alone, from another machine or an earlier ledger
        Nothing is missing there.
        ");
        let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
        let damaged =
            Verified { sessions: 2, damaged: 1, lacking: 1, damaged_days: vec![day], ..Verified::default() };
        insta::assert_snapshot!(told(&damaged, true), @"
        2 sessions of the ledger compared with user 3dfb3580-b7c4-4da3-8d9e-b9775c216f7e of https://abc.supabase.co:
               1 are missing or older there
               1 do not add up there: their days are not their totals
        The daily table there is not the sum of the sessions on 2026-11-22.
        Something else than tallyd's functions has changed rows there. They are left alone.
        `tallyd verify` sends what is missing.
        ");
        assert!(told(&damaged, false).contains("`tallyd check` says more"));
    }
}
