//! Publishing beside a daemon: the daemon takes in, and what it has not sent soon is sent from here. A daemon
//! that pauses after a fault, or was started without settings of publishing, would let it wait.

use super::{PublishArgs, Sent};
use crate::cli::engine;
use crate::cli::errors::Unpublished;
use crate::cli::exit::ExitCode;
use crate::cli::publishing::{self, sessions};
use crate::cli::scan::counted;
use crate::collect::is_taken_in;
use crate::config::Settings;
use crate::domain::Cursor;
use crate::ledger::{Holder, LedgerReader, Outbox};
use crate::publish::PublishOptions;
use crate::tail::{LogFile, file_stat};
use crate::watch::FoundFile;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks at what the daemon has done.
const LOOK: Duration = Duration::from_millis(100);

/// How long the daemon has for sending what it has taken in: longer than its interval.
const DAEMONS_TURN: Duration = Duration::from_secs(3);

/// Sends what waits; with `--wait`, after the daemon has taken in what the logs have now.
pub(super) fn run(
    args: &PublishArgs,
    settings: &Settings,
    options: &PublishOptions,
    daemon: &Holder,
) -> anyhow::Result<Sent> {
    let folder = settings.state_dir()?;
    let outbox = super::outbox(args, settings, options)?;
    let prices = engine::prices(settings)?;
    let is_alike = publishing::is_priced_alike(settings, &prices)?;
    let Some(patience) = args.patience() else {
        return if is_alike {
            super::send(settings, &prices, options, outbox, None)
        } else {
            left_to(daemon, &outbox)
        };
    };
    // clock: how long the person is willing to wait.
    let deadline = Instant::now() + patience;
    let mut missing = readable_logs(settings, daemon)?;
    let mut daemons_turn = None;
    loop {
        keep_missing(&mut missing, folder)?;
        let backlog = outbox.backlog()?;
        if missing.is_empty() && backlog.waiting == 0 {
            return Ok(Sent { parked: outbox.parked()?, ..Sent::default() });
        }
        // clock: as above.
        let now = Instant::now();
        if missing.is_empty() && is_alike && now >= *daemons_turn.get_or_insert(now + DAEMONS_TURN) {
            let left = deadline.saturating_duration_since(now);
            return super::send(settings, &prices, options, outbox, Some(left));
        }
        if now >= deadline {
            let obstacle = why(&outbox, missing.len() as u64)?;
            return Ok(Sent { left: backlog.waiting, obstacle, ..Sent::default() });
        }
        sleep(LOOK);
    }
}

/// What was counted by other prices than ours is the daemon's business.
fn left_to(daemon: &Holder, outbox: &Outbox) -> anyhow::Result<Sent> {
    let waiting = outbox.backlog()?.waiting;
    let who = daemon.pid.map_or(String::new(), |pid| format!(" (process {pid})"));
    let handed_over = (waiting > 0)
        .then(|| format!("The running tallyd{who} sends {}; --wait waits for it.", sessions(waiting)));
    Ok(Sent { handed_over, parked: outbox.parked()?, ..Sent::default() })
}

/// The logs as they are now, without those that nobody could read. None where the daemon follows other
/// folders: it would never take them in.
fn readable_logs(settings: &Settings, daemon: &Holder) -> anyhow::Result<Vec<FoundFile>> {
    let options = engine::collect_options(settings)?;
    if daemon.subject.is_some_and(|subject| subject != options.subject()) {
        tracing::warn!(
            "the running tallyd follows other folders than these; what is new in these is not waited for"
        );
        return Ok(Vec::new());
    }
    let files = engine::find_logs(&options.roots).files;
    Ok(files.into_iter().filter(|file| LogFile::open(&file.path, None).is_ok()).collect())
}

/// Leaves those that the daemon has not taken in yet and that are still what they were.
fn keep_missing(logs: &mut Vec<FoundFile>, folder: &Path) -> anyhow::Result<()> {
    if logs.is_empty() {
        return Ok(());
    }
    let cursors: HashMap<PathBuf, Cursor> = LedgerReader::open(folder)?.cursors()?.into_iter().collect();
    logs.retain(|log| !is_taken_in(log, cursors.get(&log.path)) && is_there(log));
    Ok(())
}

/// False for a log that was deleted or replaced meanwhile: what it had is nowhere to be read.
fn is_there(log: &FoundFile) -> bool {
    let known = file_stat(&log.metadata);
    std::fs::metadata(&log.path).is_ok_and(|now| file_stat(&now).same_file(&known))
}

/// Why not everything was sent in time, where the daemon or the ledger says so.
fn why(outbox: &Outbox, missing: u64) -> anyhow::Result<Option<Unpublished>> {
    if let Some(refusal) = outbox.noted()?.refusal {
        let code = match refusal.kind.as_str() {
            "unreachable" | "ledger" => ExitCode::Unsent,
            "foreign_ledger" => ExitCode::Foreign,
            _ => ExitCode::Refused,
        };
        return Ok(Some(Unpublished { code, what: refusal.message, help: Some(refusal.help) }));
    }
    Ok((missing > 0).then(|| Unpublished {
        code: ExitCode::Unsent,
        what: format!("the running tallyd has not taken in {} in time", counted(missing, "session log")),
        help: None,
    }))
}
