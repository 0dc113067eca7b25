//! `tallyd publish`: send what waits, now.
//!
//! Where no daemon runs, takes in what is new in the logs and sends it. Beside a daemon it sends what that has
//! taken in, and with `--wait` lets it take in and send first. Whatever is not sent stays in the ledger and is sent
//! another time.

mod alone;
mod beside;
mod dry;

use super::engine;
use super::errors::Unpublished;
use super::exit::ExitCode;
use super::output;
use super::publishing::{self, sessions};
use crate::config::Settings;
use crate::daemon;
use crate::ledger::{LockError, Outbox, Parked};
use crate::price::PriceTable;
use crate::publish::PublishOptions;
use crate::telemetry::shown;
use clap::Args;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  tallyd publish                    send what waits, one try
  tallyd publish --wait             for exit hooks: until all is there, for 30 s at most
  tallyd publish --dry-run          what would be sent, as JSON lines; sends and writes nothing
  tallyd publish --full --wait      send everything once more

Without a running tallyd it first takes in what is new in the logs. Beside one, that one takes them
in; --wait waits until it has taken in what the logs had at the call and all of it is sent.
Sessions that the server refused are tried again.

Exit codes: 0 everything is there, 10 key, user or SQL, 11 not in time (kept and sent later),
12 sessions that the server refuses, 13 the ledger belongs to another user or project.";

/// Arguments of `tallyd publish`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct PublishArgs {
    /// Try again until everything is there
    #[arg(long)]
    pub wait: bool,
    /// How long --wait lasts at most
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "wait",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Send every session again, also what the server has
    #[arg(long)]
    pub full: bool,
    /// Print what would be sent, a JSON object a line; send and write nothing
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
}

impl PublishArgs {
    /// How long it may take; one try where it is `None`.
    fn patience(&self) -> Option<Duration> {
        self.wait.then(|| Duration::from_secs(self.timeout))
    }
}

/// What became of the sessions.
#[derive(Debug, Default)]
struct Sent {
    /// Sessions that arrived during the command, where it sent them itself.
    arrived: Option<u64>,
    /// Sessions that are left to send.
    left: u64,
    /// Sessions that the server refuses.
    parked: Vec<Parked>,
    /// Why not everything was sent.
    obstacle: Option<Unpublished>,
    /// Who sends what waits, where that is somebody else.
    handed_over: Option<String>,
}

/// Sends what waits, or says what would be sent.
pub fn run(args: &PublishArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let options = publishing::options(settings, "publish")?;
    if args.dry_run {
        return dry::run(args.full, settings, &options);
    }
    let sent = match engine::open(settings, "publish") {
        Ok(collector) => alone::run(args, settings, &options, collector)?,
        Err(error) => match error.downcast::<LockError>() {
            Ok(LockError::Held { holder, .. }) if holder.is_daemon() => {
                beside::run(args, settings, &options, &holder)?
            }
            Ok(error) => return Err(error.into()),
            Err(error) => return Err(error),
        },
    };
    conclude(sent, &options)
}

/// The outbox of a ledger that is the configured user's, with everything in it that is to be tried again.
fn outbox(args: &PublishArgs, settings: &Settings, options: &PublishOptions) -> anyhow::Result<Outbox> {
    let mut outbox = Outbox::open(settings.state_dir()?)?;
    publishing::refuse_foreign(&outbox, options)?;
    if args.full {
        outbox.republish()?;
    }
    outbox.release(None)?;
    Ok(outbox)
}

/// Sends what waits from this process.
fn send(
    settings: &Settings,
    prices: &PriceTable,
    options: &PublishOptions,
    outbox: Outbox,
    patience: Option<Duration>,
) -> anyhow::Result<Sent> {
    let mut publisher = publishing::publisher(prices, options.clone(), outbox);
    let drained = daemon::block_on(publisher.drain(patience))?;
    Ok(Sent {
        arrived: Some(drained.sent as u64),
        left: drained.left as u64,
        parked: Outbox::open(settings.state_dir()?)?.parked()?,
        handed_over: None,
        obstacle: drained.obstacle.map(|obstacle| publishing::failure(&obstacle, options)),
    })
}

/// Says what became of the sessions: a good end on stdout, anything else as an error.
fn conclude(sent: Sent, options: &PublishOptions) -> anyhow::Result<ExitCode> {
    let Sent { arrived, left, parked, obstacle, handed_over } = sent;
    let arrived = arrived.filter(|number| *number > 0);
    let arrived = arrived.map(|number| format!("{} sent. ", sessions(number))).unwrap_or_default();
    let failure = if let Some(obstacle) = obstacle {
        let waiting = if left > 0 { format!("{} left to send: ", sessions(left)) } else { String::new() };
        Unpublished { what: format!("{arrived}{waiting}{}", obstacle.what), ..obstacle }
    } else if left > 0 {
        let what = format!("{arrived}{} left to send when the time was over", sessions(left));
        Unpublished { code: ExitCode::Unsent, what, help: None }
    } else if let Some(first) = parked.first() {
        let refused = sessions(parked.len() as u64);
        let what = format!(
            "{arrived}The server refuses {refused}; {}: {} {}",
            publishing::short(&first.session),
            first.code,
            first.message
        );
        Unpublished { code: ExitCode::Parked, what: shown(&what), help: None }
    } else {
        let text =
            handed_over.unwrap_or_else(|| format!("{arrived}Everything is at {}.", options.destination));
        output::print(&format!("{text}\n"))?;
        return Ok(ExitCode::Done);
    };
    Err(failure.into())
}
