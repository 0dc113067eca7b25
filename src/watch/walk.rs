//! Walking a root to the session logs below it.

use super::WatchError;
use std::collections::HashSet;
use std::fs::{self, Metadata};
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
    /// Session logs, in order of path.
    pub files: Vec<FoundFile>,
    /// How many folders were entered.
    pub folders: usize,
    /// Some session log is a symbolic link: what is written to its target happens elsewhere.
    pub has_links: bool,
    /// What could not be walked.
    pub problems: Vec<WatchError>,
}

/// Walks everything below `start`, at any depth. `enter` is called with each folder before it is
/// listed: a folder that is watched from then on can lose nothing between the listing and the watch.
/// Symbolic links are followed; a folder is entered once, however many links lead to it.
pub fn walk(start: &Path, enter: &mut dyn FnMut(&Path, &Metadata)) -> Tree {
    let mut tree = Tree::default();
    let mut entered = HashSet::new();
    let mut waiting = vec![start.to_owned()];
    while let Some(folder) = waiting.pop() {
        // Gone since it was listed: deleted folders subtract nothing, so there is nothing to say.
        let Ok(metadata) = fs::metadata(&folder) else { continue };
        if !metadata.is_dir() || !entered.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        enter(&folder, &metadata);
        tree.folders += 1;
        list(&folder, &mut tree, &mut waiting);
    }
    tree.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    tree
}

fn list(folder: &Path, tree: &mut Tree, waiting: &mut Vec<PathBuf>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) => {
            if source.kind() != std::io::ErrorKind::NotFound {
                tree.problems.push(WatchError::List { path: folder.to_owned(), source });
            }
            return;
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
                    tree.files.push(FoundFile { path, metadata });
                }
                _ => {}
            }
        } else if kind.is_file()
            && is_session_log(&path)
            && let Ok(metadata) = entry.metadata()
        {
            tree.files.push(FoundFile { path, metadata });
        }
    }
}

/// True for every `*.jsonl` but the journal of a workflow, which holds no usage.
pub(super) fn is_session_log(path: &Path) -> bool {
    let in_subagents = || path.components().any(|part| part.as_os_str() == "subagents");
    path.extension().is_some_and(|extension| extension == "jsonl")
        && !(path.file_name().is_some_and(|name| name == "journal.jsonl") && in_subagents())
}
