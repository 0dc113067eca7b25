//! `tallyd run`: follow the logs until told to stop.

use super::exit::ExitCode;
use super::report::{self, ReportKind, ReportQuery};
use super::{engine, output, publishing};
use crate::collect::PassSummary;
use crate::config::{ConfigError, Settings};
use crate::daemon::{Daemon, Process, Reloaded};
use crate::ledger::Outbox;
use crate::price::PriceTable;
use crate::publish::{self, PublishOptions, Publisher};
use clap::Args;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::Path;

const AFTER_HELP: &str = "\
Examples:
  tallyd                                  the same as `tallyd run`
  tallyd run --log-format json            one JSON object a line on stderr, for a log collector
  tallyd run --claude-dir /srv/claude     logs of another place
  TOKEN_TRACKING_ENABLED=false tallyd     stay up, read and write nothing

SIGTERM and SIGINT end it in order, with exit code 0. SIGHUP reads config file, files of keys and prices again:
folders, prices, the longest line and where and by which key is published take effect at once, other settings at
the next start.";

/// Rows of the tables that are shown at start.
const ROWS_AT_START: usize = 14;

/// Arguments of `tallyd run`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArgs {}

/// Works out the settings anew, from the same flags.
pub type Reload = Box<dyn Fn() -> Result<Settings, ConfigError> + Send + Sync>;

/// Follows the logs until a signal says to stop.
pub fn run(_args: &RunArgs, settings: &Settings, reload: Reload) -> anyhow::Result<ExitCode> {
    let process = Process::new()?;
    if !settings.enabled {
        tracing::warn!(
            "counting is switched off (TOKEN_TRACKING_ENABLED or `enabled`): nothing is read, nothing is written"
        );
        process.wait_for_end(settings.http, settings.notify.clone())?;
        return Ok(ExitCode::Done);
    }
    let publish = settings.publish()?;
    let mut collector = engine::open(settings, "run")?;
    if settings.http.otel.is_some() {
        collector.expect_events()?;
    }
    for root in collector.roots() {
        let there = if root.is_dir() { "" } else { " (not there yet; waiting for it)" };
        tracing::info!(folder = %root.display(), "watching{there}");
    }
    tracing::info!(file = %collector.ledger().path().display(), "ledger");
    let prices = collector.pricing().table();
    let publisher = publish.map(|options| publisher(settings, prices, options)).transpose()?;
    let is_publishing = publisher.is_some();
    let (at_start, before) = (settings.clone(), settings.clone());
    let daemon = Daemon {
        collector,
        follow: settings.follow,
        reload: Box::new(move || {
            reloaded(&reload, &before, is_publishing).map_err(|error| format!("{error:#}"))
        }),
        on_ready: Box::new(move |summary| greet(&at_start, summary)),
        publisher,
        backup: settings.ledger_backup,
        http: settings.http,
        notify: settings.notify.clone(),
    };
    daemon.run(process)?;
    Ok(ExitCode::Done)
}

/// What sends the usage that is counted. The ledger is open by now, and priced by the prices in force.
fn publisher(settings: &Settings, prices: &PriceTable, options: PublishOptions) -> anyhow::Result<Publisher> {
    let outbox = Outbox::open(settings.state_dir()?)?;
    tracing::info!(user = %options.destination.user, project = options.destination.project, "publishing");
    Ok(publishing::publisher(prices, options, outbox))
}

/// Settings and prices as they are now, where a process that is up can take them over. What was given for
/// publishing before is not looked at: a key's former file may be gone.
fn reloaded(reload: &Reload, before: &Settings, is_publishing: bool) -> anyhow::Result<Reloaded> {
    let settings = reload()?;
    if !settings.enabled || settings.state_dir()? != before.state_dir()? {
        anyhow::bail!("`enabled` and `state_dir` are read at start only: start tallyd anew");
    }
    let options = settings.publish()?;
    if options.is_some() != is_publishing {
        anyhow::bail!("publishing is switched on and off at start only: start tallyd anew");
    }
    let table = engine::prices(&settings)?;
    let publish = options.map(|options| publish::Reloaded {
        options,
        revision: publishing::revision(&table),
        prices: table.digest(),
    });
    let pricing = crate::collect::TablePricing::new(table);
    Ok(Reloaded { pricing, collect: engine::collect_options(&settings)?, publish })
}

/// Says what was found; on a terminal, shows what it has cost.
fn greet(settings: &Settings, summary: &PassSummary) {
    tracing::info!(files = summary.files, new_responses = summary.ingest.new_responses, "session logs found");
    if summary.files == 0 {
        if let Ok(roots) = settings.roots() {
            tracing::warn!("{}", engine::nothing_found(roots));
        }
        return;
    }
    let Ok(folder) = settings.state_dir() else { return };
    if std::io::stdout().is_terminal()
        && let Err(error) = show_tables(settings, folder)
    {
        tracing::warn!(error = %format!("{error:#}"), "the figures cannot be shown");
    }
}

/// The latest rows of three reports.
fn show_tables(settings: &Settings, folder: &Path) -> anyhow::Result<()> {
    let kinds = [ReportKind::Model, ReportKind::Session { id: None }, ReportKind::Daily { instances: false }];
    for kind in kinds {
        let query = ReportQuery { last: NonZeroUsize::new(ROWS_AT_START), ..ReportQuery::plain(kind) };
        let text = report::text(&query, settings, folder)?;
        output::print(&format!("{text}\n"))?;
    }
    output::print(&format!(
        "The latest {ROWS_AT_START} of each; `tallyd model`, `tallyd session` and `tallyd daily` show all.\n"
    ))?;
    Ok(())
}
