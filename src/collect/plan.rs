//! Which files have something new, and what is known of them.

use crate::domain::{Cursor, FileStat};
use crate::tail::{LogFile, file_stat};
use crate::watch::FoundFile;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A file to be read.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) path: PathBuf,
    /// Where it was when it was last read.
    pub(super) moved_from: Option<PathBuf>,
    /// Where reading goes on.
    pub(super) cursor: Option<Cursor>,
    /// The folder below its root.
    pub(super) folder: String,
    /// How many bytes are new, as far as its size tells.
    pub(super) bytes: u64,
}

/// Cursors of all files ever read, by path and by what the file system calls the file.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    by_path: HashMap<PathBuf, Cursor>,
    by_file: HashMap<(u64, u64), PathBuf>,
}

impl Cursors {
    pub(super) fn new(cursors: Vec<(PathBuf, Cursor)>) -> Self {
        let mut all = Self::default();
        for (path, cursor) in cursors {
            all.set(path, None, cursor);
        }
        all
    }

    /// Remembers where reading goes on, once it is durable.
    pub(super) fn set(&mut self, path: PathBuf, moved_from: Option<&Path>, cursor: Cursor) {
        if let Some(from) = moved_from {
            self.by_path.remove(from);
        }
        self.by_file.insert((cursor.stat.device, cursor.stat.inode), path.clone());
        self.by_path.insert(path, cursor);
    }

    /// What is to be done about a file; `None` where nothing can be new.
    pub(super) fn job(&self, roots: &[PathBuf], found: &FoundFile) -> Option<Job> {
        let stat = file_stat(&found.metadata);
        let job = |moved_from, cursor: Option<&Cursor>| Job {
            path: found.path.clone(),
            moved_from,
            cursor: cursor.copied(),
            folder: folder_below(roots, &found.path),
            bytes: stat.size.saturating_sub(cursor.map_or(0, |cursor| cursor.offset)),
        };
        if let Some(known) = self.by_path.get(&found.path) {
            return (!LogFile::is_unchanged(known, &stat)).then(|| job(None, Some(known)));
        }
        match self.moved(&stat) {
            Some((from, cursor)) => Some(job(Some(from.to_owned()), Some(cursor))),
            None => Some(job(None, None)),
        }
    }

    /// The file under the name that it had before, if nothing has that name now. Where another file has it,
    /// what the ledger knows under that name will be the other's: this one is read from its beginning.
    fn moved(&self, stat: &FileStat) -> Option<(&Path, &Cursor)> {
        let from = self.by_file.get(&(stat.device, stat.inode))?;
        let cursor = self.by_path.get(from).filter(|cursor| cursor.stat.same_file(stat))?;
        std::fs::metadata(from).is_err().then_some((from.as_path(), cursor))
    }
}

/// True where everything that `found` held when it was found has been read: `cursor` is that of the file
/// under its name, if any.
pub fn is_taken_in(found: &FoundFile, cursor: Option<&Cursor>) -> bool {
    let stat = file_stat(&found.metadata);
    cursor.is_some_and(|cursor| {
        cursor.stat.same_file(&stat)
            && cursor.stat.size >= stat.size
            && cursor.stat.modified_ns >= stat.modified_ns
    })
}

/// The first folder below the root that the file is in: the project's, in Claude Code's spelling.
fn folder_below(roots: &[PathBuf], path: &Path) -> String {
    let below = roots.iter().find_map(|root| path.strip_prefix(root).ok()).unwrap_or(path);
    let mut parts = below.components();
    match (parts.next(), parts.next()) {
        (Some(folder), Some(_)) => folder.as_os_str().to_string_lossy().into_owned(),
        _ => String::new(),
    }
}

/// The session that a path names: the parent of `subagents`, else the file's own name.
pub(super) fn session_of(path: &Path) -> String {
    let parts = path.components().map(|part| part.as_os_str().to_string_lossy());
    let mut before = None;
    for part in parts {
        if part == "subagents"
            && let Some(session) = before
        {
            return session;
        }
        before = Some(part.into_owned());
    }
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// True where the file's name says that it belongs to a sub-agent.
pub(super) fn is_agent_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("agent-"))
}
