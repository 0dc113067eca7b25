//! What several commands need: the prices in force, the ledger opened for writing, the logs taken in.

use super::errors::{PriceFileUnreadable, UsageError};
use crate::collect::{CollectError, CollectOptions, Collector, PassSummary, Progress, TablePricing};
use crate::config::{Settings, read_text};
use crate::daemon;
use crate::domain::{Clock, SystemClock};
use crate::ledger::{Activity, Holder, Ledger, LedgerError, LedgerLock, LockError};
use crate::price::PriceTable;
use crate::tail::TailOptions;
use crate::telemetry::{Chain, shown};
use crate::watch::{Tree, walk};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a lock that will be given back soon is tried again, 50 ms apart.
const LOCK_TRIES: u32 = 200;

/// The shipped prices are a thousandth of it; a name may lead to something that has no end.
const MAX_PRICE_BYTES: u64 = 16 << 20;

/// A price file as text.
pub(super) fn read_price_file(path: &Path) -> Result<String, PriceFileUnreadable> {
    read_text(path, MAX_PRICE_BYTES).map_err(|source| PriceFileUnreadable { path: path.to_owned(), source })
}

/// The shipped prices, with those of the settings' file over them.
pub(super) fn prices(settings: &Settings) -> anyhow::Result<PriceTable> {
    let shipped = PriceTable::shipped();
    let Some(path) = &settings.prices else { return Ok(shipped) };
    let own = PriceTable::parse(&read_price_file(path)?, &path.display().to_string())?;
    Ok(shipped.overridden_by(own))
}

/// What the settings say of collecting.
pub(super) fn collect_options(settings: &Settings) -> anyhow::Result<CollectOptions> {
    Ok(CollectOptions {
        roots: settings.roots()?.to_vec(),
        tail: TailOptions { max_line_bytes: settings.max_line_bytes },
    })
}

/// Opens the ledger for writing, on behalf of a command. A lock that another command holds only for a
/// moment is waited for; one that a daemon holds is not.
pub(super) fn open(settings: &Settings, command: &str) -> anyhow::Result<Collector<TablePricing>> {
    let folder = settings.state_dir()?;
    let options = collect_options(settings)?;
    let pricing = TablePricing::new(prices(settings)?);
    Ledger::make_folder(folder)?;
    let lock = acquire(folder, command)?;
    let opened = collector(folder, lock, pricing.clone(), options.clone());
    match opened {
        Err(error) if damage(&error) => {
            // It was left whole, and nobody looked: this time it is looked through.
            let lock = acquire(folder, command)?;
            lock.doubt();
            collector(folder, lock, pricing, options)
        }
        opened => opened,
    }
}

/// The pipeline over the ledger in `folder`, which is made anew where it is damaged.
fn collector(
    folder: &Path,
    lock: LedgerLock,
    pricing: TablePricing,
    options: CollectOptions,
) -> anyhow::Result<Collector<TablePricing>> {
    let (ledger, rebuilt) = Ledger::open_or_rebuild(folder, lock, SystemClock.now())?;
    if let Some(rebuilt) = &rebuilt {
        daemon::tell_rebuilt(rebuilt);
    }
    let (collector, repriced) = Collector::new(ledger, pricing, options)?;
    if let Some(repriced) = repriced.filter(|repriced| *repriced > 0 && rebuilt.is_none()) {
        tracing::info!(responses = repriced, "prices have changed; costs were worked out anew");
    }
    Ok(collector)
}

fn damage(error: &anyhow::Error) -> bool {
    let by_collecting = error.downcast_ref::<CollectError>().and_then(CollectError::damage);
    by_collecting.or_else(|| error.downcast_ref()).is_some_and(LedgerError::is_damaged)
}

fn acquire(folder: &Path, command: &str) -> Result<LedgerLock, LockError> {
    for _ in 1..LOCK_TRIES {
        match LedgerLock::acquire(folder, command) {
            Err(LockError::Held { holder, .. }) if !holder.is_daemon() => {
                std::thread::sleep(Duration::from_millis(50));
            }
            result => return result,
        }
    }
    LedgerLock::acquire(folder, command)
}

/// Walks all roots; folders that cannot be listed are told of.
pub(super) fn find_logs(roots: &[PathBuf]) -> Tree {
    let mut all = Tree::default();
    for root in roots {
        let tree = walk(root, &mut |_, _| {});
        tell_problems(&tree);
        all.files.extend(tree.files);
        all.folders += tree.folders;
    }
    all
}

/// Takes in what is new in the logs.
pub(super) fn take_in(
    collector: &mut Collector<TablePricing>,
    progress: &mut dyn FnMut(Progress),
) -> anyhow::Result<PassSummary> {
    let summary = match take_in_below(collector, progress) {
        Err(CollectError::Ledger(found)) if found.is_damaged() => {
            daemon::tell_rebuilt(&collector.rebuild(&found, SystemClock.now())?);
            take_in_below(collector, progress)
        }
        taken_in => taken_in,
    };
    let summary = summary.context("the logs cannot be taken in")?;
    summary.reports.iter().for_each(daemon::tell_report);
    daemon::tell_losses(summary.lost);
    Ok(summary)
}

fn take_in_below(
    collector: &mut Collector<TablePricing>,
    progress: &mut dyn FnMut(Progress),
) -> Result<PassSummary, CollectError> {
    let roots = collector.roots().to_vec();
    let mut pass = collector.begin(progress);
    for root in roots {
        tell_problems(&pass.offer_all_below(&root)?);
    }
    let summary = pass.finish()?;
    collector.settle(summary)
}

fn tell_problems(tree: &Tree) {
    for problem in &tree.problems {
        tracing::warn!(error = %Chain(problem), "folder");
    }
}

/// Brings the ledger up to date before it is read, unless a daemon does so already. Where that cannot be,
/// says why, and the report is of what the ledger has: `false`, also where a daemon does it, by prices of its own.
pub(super) fn refresh(settings: &Settings, command: &str) -> anyhow::Result<bool> {
    let Err(error) = take_in_new(settings, command) else { return Ok(true) };
    let stale = match error.downcast_ref::<LockError>() {
        Some(LockError::Held { holder, .. }) => stale_beside(holder, settings)?,
        _ if cannot_write_now(&error) => Some(format!("newer lines cannot be taken in ({error:#})")),
        _ => return Err(error),
    };
    if let Some(reason) = stale {
        tracing::warn!("{}; this is what the ledger has", shown(&reason));
    }
    Ok(false)
}

fn take_in_new(settings: &Settings, command: &str) -> anyhow::Result<()> {
    let mut collector = open(settings, command)?;
    let summary = take_in(&mut collector, &mut |_| {})?;
    // A ledger that has read logs before is worth a report without them.
    if summary.files == 0 && collector.ledger().cursors()?.is_empty() {
        tracing::warn!("{}", shown(&nothing_found(collector.roots())));
    }
    Ok(())
}

/// True where the state folder can be read and, for now, not written: a full disk, a read-only mount.
fn cannot_write_now(error: &anyhow::Error) -> bool {
    let ledger = match error.downcast_ref::<CollectError>() {
        Some(CollectError::Ledger(ledger)) => Some(ledger),
        None => error.downcast_ref::<LedgerError>(),
    };
    // A link in its place is none: it is not followed.
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let has_ledger = !matches!(ledger, Some(LedgerError::Folder { path, .. }) if !is_file(path));
    error.is::<LockError>() || (has_ledger && ledger.is_some_and(LedgerError::is_transient))
}

/// Why the ledger of another process may lack what is in the logs; `None` where it does not.
fn stale_beside(holder: &Holder, settings: &Settings) -> anyhow::Result<Option<String>> {
    let who =
        format!("`tallyd {}`{}", holder.command, holder.pid.map_or(String::new(), |pid| format!(" ({pid})")));
    let wanted = collect_options(settings)?.subject();
    Ok(match holder.activity {
        _ if !holder.is_daemon() => Some(format!("{who} is still taking in the logs")),
        Some(Activity::Following) if holder.subject == Some(wanted) => None,
        Some(Activity::Following) => Some(format!("{who} follows other folders than the ones asked for")),
        Some(Activity::Failing) => Some(format!("{who} cannot write the ledger at the moment, see its log")),
        Some(Activity::Starting) | None => Some(format!("{who} is still taking in the logs")),
    })
}

/// Counting is switched off: nothing is read and nothing is written.
pub(super) fn refuse_when_disabled(settings: &Settings, command: &str) -> Result<(), UsageError> {
    if settings.enabled {
        return Ok(());
    }
    Err(UsageError {
        what: format!("`tallyd {command}` has nothing to do: counting is switched off"),
        help: "set TOKEN_TRACKING_ENABLED=true, or `enabled = true` in tallyd.toml".to_owned(),
    })
}

/// Where logs were looked for in vain, for people: one line, without its end.
pub(super) fn nothing_found(roots: &[PathBuf]) -> String {
    let places: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    format!(
        "No session logs below {}. Claude Code writes them there once it is used; \
         --claude-dir DIR or CLAUDE_CONFIG_DIR names another place.",
        places.join(" or ")
    )
}
