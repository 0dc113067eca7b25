//! The thread that owns the pipeline and the watches.

use crate::collect::{CollectError, CollectOptions, Collector, PassSummary, TablePricing};
use crate::ledger::Activity;
use crate::watch::{FollowOptions, FoundFile, Hint, Tree, WatchError, Watcher, walk};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

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
}

/// The pipeline and its watches.
#[derive(Debug)]
pub(super) struct Worker {
    collector: Collector<TablePricing>,
    watcher: Watcher,
    /// Folders that could not be walked, said once.
    complained: HashSet<PathBuf>,
    /// Some session log is a link: no event tells of what is written to its target.
    has_links: bool,
    /// What readers of the ledger were told last.
    announced: Option<Activity>,
}

impl Worker {
    pub(super) fn new(
        collector: Collector<TablePricing>,
        follow: FollowOptions,
        sink: impl Fn(Hint) + Send + Sync + 'static,
    ) -> Self {
        collector.announce(Activity::Starting);
        Self {
            collector,
            watcher: Watcher::new(follow.force_polling, sink),
            complained: HashSet::new(),
            has_links: false,
            announced: Some(Activity::Starting),
        }
    }

    /// Does a piece of work.
    pub(super) fn work(&mut self, work: &Work) -> Outcome {
        let mut problems = Vec::new();
        let result = match work {
            Work::Everything => self.everything(&mut problems),
            Work::Paths { folders, files } => self.paths(folders, files, &mut problems),
        };
        self.announce(if result.is_ok() { Activity::Following } else { Activity::Failing });
        problems.extend(self.watcher.refusal());
        problems.retain(|problem| self.complained.insert(path_of(problem).to_owned()));
        Outcome { result, problems, watching: self.watcher.is_complete() && !self.has_links }
    }

    /// Tells readers of the ledger how far this daemon has come, where that has changed.
    fn announce(&mut self, activity: Activity) {
        if self.announced.replace(activity) != Some(activity) {
            self.collector.announce(activity);
        }
    }

    /// Takes other settings and prices; returns how many responses have another cost now.
    pub(super) fn reload(
        &mut self,
        pricing: TablePricing,
        options: CollectOptions,
    ) -> Result<Option<u64>, CollectError> {
        self.announced = None;
        self.collector.reload(pricing, options)
    }

    /// Leaves one small file behind.
    pub(super) fn finish(&self) -> Result<(), crate::ledger::LedgerError> {
        self.collector.ledger().checkpoint()
    }

    fn everything(&mut self, problems: &mut Vec<WatchError>) -> Result<PassSummary, CollectError> {
        self.collector.ledger().check_in_place()?;
        self.watcher.forget_missing();
        self.has_links = false;
        let mut all = Tree::default();
        for root in self.collector.roots().to_vec() {
            self.watch_way_to(&root, problems);
            let tree = self.walk(&root, problems);
            all.files.extend(tree.files);
            all.folders += tree.folders;
        }
        self.collector.take_in_tree(&all, &mut |_| {})
    }

    fn paths(
        &mut self,
        folders: &[PathBuf],
        files: &[PathBuf],
        problems: &mut Vec<WatchError>,
    ) -> Result<PassSummary, CollectError> {
        if folders.iter().any(|folder| self.leads_to_a_root(folder)) {
            return self.everything(problems);
        }
        let mut found = Vec::new();
        if !folders.is_empty() {
            self.watcher.forget_missing();
        }
        for folder in folders {
            if self.is_below_a_root(folder) {
                found.extend(self.walk(folder, problems).files);
            }
        }
        // A folder above a missing root may be watched for its sake: its own files are nobody's logs.
        let wanted = files.iter().filter(|file| self.is_below_a_root(file));
        found.extend(wanted.filter_map(|path| {
            // Gone, or no file: nothing to read, and nothing is taken back.
            let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
            Some(FoundFile { path: path.clone(), metadata })
        }));
        self.collector.take_in(&found, &mut |_| {})
    }

    /// True for a root itself and for the folders that lead to one.
    fn leads_to_a_root(&self, folder: &Path) -> bool {
        self.collector.roots().iter().any(|root| root.starts_with(folder))
    }

    /// True for what lies below a root, and for a root itself.
    fn is_below_a_root(&self, path: &Path) -> bool {
        self.collector.roots().iter().any(|root| path.starts_with(root))
    }

    /// Walks a folder, watching every folder before it is listed.
    fn walk(&mut self, folder: &Path, problems: &mut Vec<WatchError>) -> Tree {
        let watcher = &mut self.watcher;
        let mut refused = Vec::new();
        let mut tree =
            walk(folder, &mut |folder, metadata| refused.extend(watcher.watch(folder, metadata).err()));
        self.has_links |= tree.has_links;
        problems.append(&mut tree.problems);
        problems.append(&mut refused);
        tree
    }

    /// A root that does not exist yet appears in the nearest folder above it that does: that is watched
    /// until then. A folder that was made between looking and watching told nobody: looked at once more.
    fn watch_way_to(&mut self, root: &Path, problems: &mut Vec<WatchError>) {
        let mut watched = None;
        for _ in root.ancestors() {
            let Some((nearest, metadata)) = nearest_folder(root) else { return };
            if watched == Some(nearest) {
                return;
            }
            for above in root.ancestors().skip(1).filter(|above| *above != nearest) {
                if !self.is_below_a_root(above) {
                    self.watcher.unwatch(above);
                }
            }
            if nearest == root {
                return;
            }
            problems.extend(self.watcher.watch(nearest, &metadata).err());
            watched = Some(nearest);
        }
    }
}

/// The folder itself or the nearest above it that exists.
fn nearest_folder(folder: &Path) -> Option<(&Path, std::fs::Metadata)> {
    folder.ancestors().find_map(|folder| {
        let metadata = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
        Some((folder, metadata))
    })
}

fn path_of(problem: &WatchError) -> &Path {
    match problem {
        WatchError::List { path, .. } | WatchError::Watch { path, .. } => path,
        WatchError::NoEvents { .. } => Path::new(""),
    }
}
