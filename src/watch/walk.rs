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
    let mut tree = Tree::default();
    let made_up = made_up_devices();
    let mut entered = HashSet::new();
    let mut waiting = vec![start.to_owned()];
    while let Some(folder) = waiting.pop() {
        let metadata = match fs::metadata(&folder) {
            Ok(metadata) => metadata,
            Err(source) => {
                tree.refused(folder, source);
                continue;
            }
        };
        if !metadata.is_dir()
            || made_up.contains(&metadata.dev())
            || !entered.insert((metadata.dev(), metadata.ino()))
        {
            continue;
        }
        enter(&folder, &metadata);
        tree.folders += 1;
        if list(&folder, &made_up, &mut tree, &mut waiting, visit).is_break() {
            break;
        }
    }
    tree
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

fn list(
    folder: &Path,
    made_up: &[u64],
    tree: &mut Tree,
    waiting: &mut Vec<PathBuf>,
    visit: &mut dyn FnMut(FoundFile) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) => {
            tree.refused(folder.to_owned(), source);
            return ControlFlow::Continue(());
        }
    };
    for entry in entries.filter_map(Result::ok) {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() || (kind.is_symlink() && path.is_dir()) {
            waiting.push(path);
        } else if is_session_log(&path) {
            // Of a file itself it is asked beside its folder, which saves looking for that by its path.
            let metadata = if kind.is_file() { entry.metadata() } else { fs::metadata(&path) };
            match judge(path, metadata, made_up) {
                Ok(Some(found)) => {
                    tree.has_links |= kind.is_symlink();
                    visit(found)?;
                }
                Ok(None) => {}
                Err(problem) => tree.problems.push(problem),
            }
        }
    }
    ControlFlow::Continue(())
}

/// True for every `*.jsonl` but the journal of a workflow, which holds no usage.
pub(super) fn is_session_log(path: &Path) -> bool {
    let in_subagents = || path.components().any(|part| part.as_os_str() == "subagents");
    path.extension().is_some_and(|extension| extension == "jsonl")
        && !(path.file_name().is_some_and(|name| name == "journal.jsonl") && in_subagents())
}
