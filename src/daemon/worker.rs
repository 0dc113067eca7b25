//! The thread that owns the pipeline and the watches.

#[cfg(test)]
mod tests;

use super::backup::Backups;
use super::manager::Pulse;
use super::testimony::Testimonies;
use crate::collect::{CollectError, CollectOptions, Collector, PassSummary, TablePricing};
use crate::domain::{Clock, SystemClock};
use crate::http::Delivery;
use crate::ledger::{Activity, LedgerError, Rebuilt};
use crate::watch::{FollowOptions, FoundFile, Hint, WatchError, Watcher, log_at};
use std::collections::HashSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file gets of a pass, in bytes: what is written to others meanwhile waits no longer than for this.
const SHARE: u64 = 64 << 20;

/// A piece of work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Walk all roots.
    Everything,
    /// Walk these folders and look at these files.
    Paths { folders: Vec<PathBuf>, files: Vec<PathBuf> },
}

/// What a piece of work came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) result: Result<PassSummary, CollectError>,
    pub(super) problems: Vec<WatchError>,
    /// Every folder is watched; else the caller has to poll.
    pub(super) watching: bool,
    /// The system refuses file events that it is asked for.
    pub(super) refused: bool,
    /// Folders that are watched.
    pub(super) folders: usize,
    /// It was a look at everything.
    pub(super) was_everything: bool,
}

/// The pipeline and its watches.
#[derive(Debug)]
pub(super) struct Worker {
    collector: Collector<TablePricing>,
    watcher: Watcher,
    /// Shows the loop that a long pass gets on.
    pulse: Arc<Pulse>,
    /// Folders that could not be walked, said once.
    complained: HashSet<PathBuf>,
    /// Some session log is a link: no event tells of what is written to its target.
    has_links: bool,
    /// What readers of the ledger were told last.
    announced: Option<(Activity, bool)>,
    backups: Backups,
    /// What was said of events.
    testimonies: Testimonies,
    /// The ledger is to be looked through before the next pass over everything.
    is_doubted: bool,
    /// The last look at everything has left parts of long files to be read.
    is_unsettled: bool,
}

impl Worker {
    pub(super) fn new(
        mut collector: Collector<TablePricing>,
        follow: FollowOptions,
        backup: bool,
        pulse: Arc<Pulse>,
        sink: impl Fn(Hint) + Send + Sync + 'static,
    ) -> Self {
        collector.announce(Activity::Starting, false);
        collector.read_in_turns(SHARE);
        Self {
            collector,
            pulse,
            watcher: Watcher::new(follow.force_polling, sink),
            complained: HashSet::new(),
            has_links: false,
            announced: Some((Activity::Starting, false)),
            backups: Backups::new(backup),
            testimonies: Testimonies::default(),
            is_doubted: false,
            is_unsettled: false,
        }
    }

    /// Does a piece of work.
    pub(super) fn work(&mut self, work: &Work) -> Outcome {
        let mut problems = Vec::new();
        let result = match work {
            Work::Everything => self.everything(&mut problems),
            Work::Paths { folders, files } => self.paths(folders, files, &mut problems),
        };
        let result = result.and_then(|summary| {
            self.backups.look_after(self.collector.ledger())?;
            Ok(summary)
        });
        if result.as_ref().is_err_and(|error| error.damage().is_some()) {
            // This process may end before it has mended it.
            self.collector.doubt();
        }
        let refused = self.watcher.is_refused();
        self.announce(
            match &result {
                Ok(summary) if summary.unfinished.is_empty() => Activity::Following,
                Ok(_) => Activity::Starting,
                Err(_) => Activity::Failing,
            },
            refused,
        );
        problems.retain(|problem| self.is_news(problem));
        let watching = self.watcher.is_complete() && !self.has_links;
        let (folders, was_everything) = (self.watcher.watched(), *work == Work::Everything);
        Outcome { result, problems, watching, refused, folders, was_everything }
    }

    /// True where nobody was told of it yet. The watcher itself says what it has to say once.
    fn is_news(&mut self, problem: &WatchError) -> bool {
        match problem {
            WatchError::List { path, .. } | WatchError::NoLog { path } => {
                self.complained.insert(path.clone())
            }
            WatchError::Watch { .. } | WatchError::NoEvents { .. } => true,
        }
    }

    /// Tells readers of the ledger how far this daemon has come, where that has changed.
    fn announce(&mut self, activity: Activity, refused: bool) {
        if self.announced.replace((activity, refused)) != Some((activity, refused)) {
            self.collector.announce(activity, refused);
        }
    }

    /// Takes other settings and prices; returns how many responses have another cost now.
    pub(super) fn reload(
        &mut self,
        pricing: TablePricing,
        options: CollectOptions,
    ) -> Result<Option<u64>, CollectError> {
        self.announced = None;
        self.is_doubted = true;
        self.collector.reload(pricing, options)
    }

    /// Makes the ledger anew.
    pub(super) fn mend(&mut self, found: &LedgerError) -> Result<Rebuilt, CollectError> {
        self.backups.end();
        self.announce(Activity::Starting, self.watcher.is_refused());
        self.collector.rebuild(found, SystemClock.now())
    }

    /// Writes down what was told by OpenTelemetry, and says so to who has told it.
    pub(super) fn witness(&mut self, told: Delivery) -> Result<(), CollectError> {
        let Delivery { events, done } = told;
        let taken = self.collector.take_events(&events);
        // Who has gone meanwhile tells it again.
        drop(done.send(taken.as_ref().map(|summary| summary.new).map_err(ToString::to_string)));
        self.testimonies.tell(&taken?.news);
        Ok(())
    }

    /// Leaves one small file behind.
    pub(super) fn finish(&mut self) -> Result<(), crate::ledger::LedgerError> {
        self.backups.end();
        self.collector.ledger().checkpoint()
    }

    fn everything(&mut self, problems: &mut Vec<WatchError>) -> Result<PassSummary, CollectError> {
        self.collector.ledger().check_in_place()?;
        if self.is_doubted {
            self.collector.ledger().audit()?;
            // Not before: an audit that could not be made has found nothing out.
            self.is_doubted = false;
        }
        // Before folders are asked for one by one.
        problems.extend(self.watcher.ask().err());
        // All that is there is looked at below, whether it was forgotten or not.
        let _ = self.watcher.forget_missing();
        self.has_links = false;
        let roots = self.collector.roots().to_vec();
        self.watch_ways_to(&roots, problems);
        let summary = self.take_in(&roots, &[], problems)?;
        self.is_unsettled = !summary.unfinished.is_empty();
        let summary = self.collector.settle(summary)?;
        self.collector.ledger().release_memory()?;
        let (files, read, watched) = (summary.files, summary.files_read, self.watcher.watched());
        tracing::debug!(files, read, folders_watched = watched, "looked at everything");
        Ok(summary)
    }

    fn paths(
        &mut self,
        folders: &[PathBuf],
        files: &[PathBuf],
        problems: &mut Vec<WatchError>,
    ) -> Result<PassSummary, CollectError> {
        let mut folders = folders.to_vec();
        if !folders.is_empty() {
            // A folder above may be gone as well, a root even: its event is not read yet, and never will be.
            folders.extend(self.watcher.forget_missing());
        }
        if folders.iter().any(|folder| self.leads_to_a_root(folder)) {
            return self.everything(problems);
        }
        let mut folders = outermost(folders);
        folders.retain(|folder| self.is_below_a_root(folder));
        // A folder above a missing root may be watched for its sake: its own files are nobody's logs.
        let mut found = Vec::new();
        for path in files.iter().filter(|file| self.is_below_a_root(file)) {
            // Gone, or a folder: nothing to read, and nothing is taken back.
            match log_at(path) {
                Ok(log) => found.extend(log),
                Err(problem) => problems.push(problem),
            }
        }
        let mut summary = self.take_in(&folders, &found, problems)?;
        if self.is_unsettled && summary.unfinished.is_empty() {
            summary = self.collector.settle(summary)?;
            self.is_unsettled = false;
        }
        Ok(summary)
    }

    /// Takes in what is new below folders, each of which is watched before it is listed, and in files.
    fn take_in(
        &mut self,
        folders: &[PathBuf],
        files: &[FoundFile],
        problems: &mut Vec<WatchError>,
    ) -> Result<PassSummary, CollectError> {
        let (watcher, pulse) = (&mut self.watcher, &self.pulse);
        let mut progress = |_| pulse.beat();
        let mut pass = self.collector.begin(&mut progress);
        for folder in folders {
            let mut enter = |folder: &Path, metadata: &Metadata| {
                problems.extend(watcher.watch(folder, metadata).err());
            };
            let (tree, flow) = pass.offer_below(folder, &mut enter)?;
            self.has_links |= tree.has_links;
            problems.extend(tree.problems);
            if flow.is_break() {
                return pass.finish();
            }
        }
        for found in files {
            if pass.offer(found)?.is_break() {
                break;
            }
        }
        pass.finish()
    }

    /// True for a root itself and for the folders that lead to one.
    fn leads_to_a_root(&self, folder: &Path) -> bool {
        self.collector.roots().iter().any(|root| root.starts_with(folder))
    }

    /// True for what lies below a root, and for a root itself.
    fn is_below_a_root(&self, path: &Path) -> bool {
        self.collector.roots().iter().any(|root| path.starts_with(root))
    }

    /// Watches what tells of each root, and lets go of what lies above: a folder above one root may be the
    /// one that another appears in.
    fn watch_ways_to(&mut self, roots: &[PathBuf], problems: &mut Vec<WatchError>) {
        let ways: HashSet<_> = roots.iter().filter_map(|root| self.watch_way_to(root, problems)).collect();
        for above in roots.iter().flat_map(|root| root.ancestors().skip(1)) {
            if !ways.contains(above) && !self.is_below_a_root(above) {
                self.watcher.unwatch(above);
            }
        }
    }

    /// Watches a root or, where it does not exist yet, the nearest folder above it that does: it appears in
    /// there. Returns what is watched. What is made or removed between looking and watching is told of by
    /// nobody: looked at once more, until a look finds what is watched. The root itself is watched here, not
    /// only when it is walked: it may be gone by then, and nothing above it watched any more.
    fn watch_way_to<'a>(&mut self, root: &'a Path, problems: &mut Vec<WatchError>) -> Option<&'a Path> {
        let mut watched = None;
        loop {
            let (nearest, metadata) = nearest_folder(root)?;
            if watched == Some(nearest) {
                return watched;
            }
            problems.extend(self.watcher.watch(nearest, &metadata).err());
            watched = Some(nearest);
        }
    }
}

/// The folders that lie in no other of them: a walk of one finds what is below it.
fn outermost(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort_unstable();
    folders.dedup_by(|folder, kept| folder.starts_with(kept));
    folders
}

/// The folder itself or the nearest above it that exists.
fn nearest_folder(folder: &Path) -> Option<(&Path, std::fs::Metadata)> {
    folder.ancestors().find_map(|folder| {
        let metadata = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
        Some((folder, metadata))
    })
}
