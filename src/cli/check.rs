//! `tallyd check`: everything that publishing depends on, looked at once and said in one place.
//!
//! Refuses to change anything: neither the ledger nor the server. What cannot be found out is `unknown`, which
//! is no failure; the first thing that is wrong gives the exit code.

mod damage;
mod http;
mod local;
mod remote;
mod render;
mod restored;
mod row;

use super::exit::ExitCode;
use super::output;
use crate::config::Settings;
use crate::daemon;
use crate::domain::{Clock, SystemClock};
use crate::ledger::Outbox;
use crate::publish::{PublishOptions, Remote};
use clap::Args;
use row::{Row, State};

const AFTER_HELP: &str = "\
Examples:
  tallyd check             what is right, what is wrong, and what mends it
  tallyd check --json      for scripts and health checks

Looks at the log folders, the ledger, the prices, the settings of publishing, the Supabase project
(key, SQL, user, clock), the owner of the ledger and what waits to be sent. Changes nothing.
Without Supabase it says how to switch publishing on.

The exit code is that of the first thing that is wrong: 1 the clock or a folder, 3 a setting,
4 no state folder, 6 or 7 the ledger, 8 prices, 10 key, user or SQL, 11 no answer, 12 sessions
that the server refuses, 13 the owner.";

/// Arguments of `tallyd check`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct CheckArgs {
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
}

/// Prints a row for each thing.
pub fn run(args: &CheckArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let rows = rows(settings);
    let code = rows.iter().find_map(Row::failure).unwrap_or(ExitCode::Done);
    output::print(&if args.json { render::json(&rows, code) } else { render::text(&rows) })?;
    Ok(code)
}

fn rows(settings: &Settings) -> Vec<Row> {
    let mut rows = vec![local::roots(settings)];
    rows.extend(local::unreadable(settings));
    rows.extend([local::ledger(settings), local::prices(settings)]);
    rows.extend(damage::row(settings));
    rows.extend(http::rows(settings));
    let (row, options) = local::publishing(settings);
    rows.push(row);
    if let Some(options) = &options {
        rows.extend(asked(options));
    }
    // Where publishing is off, a ledger that never was anybody's has nothing to tell.
    let is_off = options.is_none() && rows.iter().all(|row| row.failure().is_none());
    match settings.state_dir().map(Outbox::look) {
        Ok(Ok(outbox)) if !is_off || outbox.owner().is_ok_and(|owner| owner.is_some()) => {
            rows.extend(local::owner(&outbox, options.as_ref()));
            rows.push(local::backlog(&outbox, local::has_daemon(settings)));
            rows.extend(restored::row(&outbox, options.is_some()));
        }
        Ok(Ok(outbox)) => rows.extend(restored::row(&outbox, false)),
        Ok(Err(_)) | Err(_) if !is_off => {
            // The row of the ledger says why; it knows of one that is not there yet.
            let is_missing = rows.iter().any(|row| row.name == "ledger" && row.state == State::Unknown);
            rows.extend(["owner", "backlog"].map(|name| Row::without_ledger(name, is_missing)));
        }
        _ => {}
    }
    rows
}

/// Asks the project, once.
fn asked(options: &PublishOptions) -> Vec<Row> {
    let answer = Remote::new(options)
        .map_err(|error| format!("{:#}", anyhow::Error::new(error)))
        .and_then(|remote| daemon::block_on(remote.check()).map_err(|error| error.to_string()));
    remote::rows(options, answer, SystemClock.now())
}
