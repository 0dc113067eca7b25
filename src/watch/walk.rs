//! Walking a root to the session logs below it.
//!
//! Owns: listing folders. A walk hands on one file after the other and keeps none: its memory goes by the
//! number of folders. Refuses: to open a log. What cannot be listed is named; what is gone is not.

use super::WatchError;
use std::collections::HashSet;
use std::fs::{self, Metadata};
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
        if !metadata.is_dir() || !entered.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        enter(&folder, &metadata);
        tree.folders += 1;
        if list(&folder, &mut tree, &mut waiting, visit).is_break() {
            break;
        }
    }
    tree
}

impl Tree {
    /// Takes note of a folder that cannot be looked into. One that is gone since it was listed is none:
    /// deleted folders subtract nothing, so there is nothing to say.
    fn refused(&mut self, path: PathBuf, source: std::io::Error) {
        if source.kind() != std::io::ErrorKind::NotFound {
            self.problems.push(WatchError::List { path, source });
        }
    }
}

fn list(
    folder: &Path,
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
        if kind.is_dir() {
            waiting.push(path);
        } else if kind.is_symlink() {
            match fs::metadata(&path) {
                Ok(target) if target.is_dir() => waiting.push(path),
                Ok(metadata) if metadata.is_file() && is_session_log(&path) => {
                    tree.has_links = true;
                    visit(FoundFile { path, metadata })?;
                }
                _ => {}
            }
        } else if kind.is_file()
            && is_session_log(&path)
            && let Ok(metadata) = entry.metadata()
        {
            visit(FoundFile { path, metadata })?;
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
