//! Walking a root to the session logs below it.
//!
//! Owns: listing folders. A walk hands on one file after the other and keeps none: its memory goes by the
//! number of folders. Refuses: to open a log. What cannot be listed is named; what is gone is not.

use super::WatchError;
use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A session log.
#[derive(Clone, Debug)]
pub struct FoundFile {
    /// Where it is.
    pub path: PathBuf,
    /// What the file system says of it.
    pub metadata: Metadata,
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Tree {
    /// Session logs, in order of path; none where each was handed on.
    pub files: Vec<FoundFile>,
    /// How many folders were entered.
    pub folders: usize,
    /// Some session log is a symbolic link: what is written to its target happens elsewhere.
    pub has_links: bool,
    /// What could not be walked.
    pub problems: Vec<WatchError>,
}

/// Walks everything below `start`, at any depth, and gathers what it finds. `enter` is called with each
/// folder before it is listed: a folder that is watched from then on can lose nothing between the listing
/// and the watch. Symbolic links are followed; a folder is entered once, however many links lead to it.
pub fn walk(start: &Path, enter: &mut dyn FnMut(&Path, &Metadata)) -> Tree {
    let mut files = Vec::new();
    let mut tree = walk_each(start, enter, &mut |file| {
        files.push(file);
        ControlFlow::Continue(())
    });
    files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    tree.files = files;
    tree
}

/// The same, but hands each session log to `visit`, in no order, which may end the walk there.
pub fn walk_each(
    start: &Path,
    enter: &mut dyn FnMut(&Path, &Metadata),
    visit: &mut dyn FnMut(FoundFile) -> ControlFlow<()>,
) -> Tree {
    let mut walk = Walk::new(start);
    walk.go_on(|_| true, enter, visit);
    walk.tree
}

/// A folder to be listed.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    metadata: Metadata,
}

/// A walk under way.
pub(super) struct Walk {
    pub(super) tree: Tree,
    waiting: Vec<PathBuf>,
    /// Devices of which nothing is read.
    pub(super) made_up: Vec<u64>,
    entered: HashSet<(u64, u64)>,
}

impl Walk {
    pub(super) fn new(start: &Path) -> Self {
        Self {
            tree: Tree::default(),
            waiting: vec![start.to_owned()],
            made_up: made_up_devices(),
            entered: HashSet::new(),
        }
    }

    /// Walks as long as there are folders and `is_due` says so of how many wait; `false` where the walk is over.
    pub(super) fn go_on(
        &mut self,
        is_due: impl Fn(usize) -> bool,
        enter: &mut dyn FnMut(&Path, &Metadata),
        visit: &mut dyn FnMut(FoundFile) -> ControlFlow<()>,
    ) -> bool {
        while is_due(self.waiting.len()) {
            let Some(folder) = self.next() else { return false };
            enter(&folder.path, &folder.metadata);
            let (listing, flow) = list(&folder.path, &self.made_up, visit);
            self.take(listing);
            if flow.is_break() {
                return false;
            }
        }
        true
    }

    /// The next folder that waits and was not entered yet, which it is now.
    pub(super) fn next(&mut self) -> Option<Folder> {
        while let Some(path) = self.waiting.pop() {
            match fs::metadata(&path) {
                Ok(metadata) => {
                    if metadata.is_dir()
                        && !self.made_up.contains(&metadata.dev())
                        && self.entered.insert((metadata.dev(), metadata.ino()))
                    {
                        self.tree.folders += 1;
                        return Some(Folder { path, metadata });
                    }
                }
                Err(source) => self.tree.refused(path, source),
            }
        }
        None
    }

    /// Goes on with what was found in a folder.
    pub(super) fn take(&mut self, found: Listing) {
        self.waiting.extend(found.folders);
        self.tree.has_links |= found.has_links;
        self.tree.problems.extend(found.problems);
        if let Some((path, source)) = found.refused {
            self.tree.refused(path, source);
        }
    }
}

impl Tree {
    /// Takes note of a folder that cannot be looked into. One that is gone since it was listed is none:
    /// deleted folders subtract nothing, so there is nothing to say.
    fn refused(&mut self, path: PathBuf, source: io::Error) {
        if source.kind() != io::ErrorKind::NotFound {
            self.problems.push(WatchError::List { path, source });
        }
    }
}

/// What a name that looks like a session log's leads to; `None` where there is nothing, or a folder. A link is
/// followed: a person may keep logs elsewhere.
///
/// # Errors
/// [`WatchError::NoLog`] for what is no file on a disk: reading it could wait, or go on, for ever.
pub fn log_at(path: &Path) -> Result<Option<FoundFile>, WatchError> {
    look(path, &made_up_devices())
}

fn look(path: &Path, made_up: &[u64]) -> Result<Option<FoundFile>, WatchError> {
    judge(path.to_owned(), fs::metadata(path), made_up)
}

/// What is at a path that looks like a session log's, by what the file system says of what it leads to.
fn judge(
    path: PathBuf,
    metadata: io::Result<Metadata>,
    made_up: &[u64],
) -> Result<Option<FoundFile>, WatchError> {
    match metadata {
        Ok(metadata) if metadata.is_file() && !made_up.contains(&metadata.dev()) => {
            Ok(Some(FoundFile { path, metadata }))
        }
        Ok(metadata) if !metadata.is_dir() => Err(WatchError::NoLog { path }),
        _ => Ok(None),
    }
}

/// Devices of the file systems whose files the kernel makes up as they are read: some wait, and some have no
/// end. Where they are not mounted, an ordinary folder may have their name.
fn made_up_devices() -> Vec<u64> {
    let device = |folder| fs::metadata(folder).map(|metadata| metadata.dev()).ok();
    let disk = device("/");
    ["/proc", "/sys"].into_iter().filter_map(device).filter(|made_up| Some(*made_up) != disk).collect()
}

/// What is in a folder beside session logs.
#[derive(Default)]
pub(super) struct Listing {
    folders: Vec<PathBuf>,
    has_links: bool,
    problems: Vec<WatchError>,
    refused: Option<(PathBuf, io::Error)>,
}

/// Lists a folder and hands each session log in it to `visit`, which may end that.
pub(super) fn list(
    folder: &Path,
    made_up: &[u64],
    visit: &mut dyn FnMut(FoundFile) -> ControlFlow<()>,
) -> (Listing, ControlFlow<()>) {
    let mut listing = Listing::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) => {
            listing.refused = Some((folder.to_owned(), source));
            return (listing, ControlFlow::Continue(()));
        }
    };
    for entry in entries.filter_map(Result::ok) {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() || (kind.is_symlink() && path.is_dir()) {
            listing.folders.push(path);
        } else if is_session_log(&path) {
            // Of a file itself it is asked beside its folder, which saves looking for that by its path.
            let metadata = if kind.is_file() { entry.metadata() } else { fs::metadata(&path) };
            match judge(path, metadata, made_up) {
                Ok(Some(found)) => {
                    listing.has_links |= kind.is_symlink();
                    if visit(found).is_break() {
                        return (listing, ControlFlow::Break(()));
                    }
                }
                Ok(None) => {}
                Err(problem) => listing.problems.push(problem),
            }
        }
    }
    (listing, ControlFlow::Continue(()))
}

/// True for every `*.jsonl` but the journal of a workflow, which holds no usage.
pub(super) fn is_session_log(path: &Path) -> bool {
    let in_subagents = || path.components().any(|part| part.as_os_str() == "subagents");
    path.extension().is_some_and(|extension| extension == "jsonl")
        && !(path.file_name().is_some_and(|name| name == "journal.jsonl") && in_subagents())
}
