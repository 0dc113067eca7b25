//! Which files have something new, and what is known of them.

use crate::domain::{Cursor, FileStat};
use crate::ledger::{Ledger, LedgerError};
use crate::tail::{LogFile, file_stat};
use crate::watch::FoundFile;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use std::os::unix::ffi::OsStrExt;
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

impl Job {
    /// Reads the file from its beginning, as one that nothing is known of.
    pub(super) fn begin_anew(&mut self) {
        self.moved_from = None;
        self.bytes += self.cursor.take().map_or(0, |cursor| cursor.offset);
    }
}

/// What is known of all files that were ever read, in a few bytes each: there may be a hundred thousand.
/// It only says which files are as they were; the ledger has their cursors, and is asked for those of the
/// others. Files are known by a hash of their path: two that share one look changed to each other, and the
/// ledger knows better.
#[derive(Debug, Default)]
pub(super) struct Known {
    by_path: FxHashMap<u64, FileStat>,
    /// The ledger's number of a file, by device and inode: a file that was moved is found by it.
    by_file: FxHashMap<(u64, u64), i64>,
}

/// A file's place in [`Known`], while its path is on its way into the ledger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    to: u64,
    from: Option<u64>,
    stat: FileStat,
}

impl Moved {
    pub(super) fn new(path: &Path, from: Option<&Path>, cursor: &Cursor) -> Self {
        Self { to: hash(path), from: from.map(hash), stat: cursor.stat }
    }
}

impl Known {
    pub(super) fn new(ledger: &Ledger) -> Result<Self, LedgerError> {
        let mut all = Self::default();
        let files = ledger.file_count()?;
        all.by_path.reserve(files);
        all.by_file.reserve(files);
        ledger.each_file(&mut |number, path, stat| {
            all.set(Moved { to: hash(path), from: None, stat }, number);
        })?;
        Ok(all)
    }

    /// Remembers a file as it is in the ledger, once that is durable.
    pub(super) fn set(&mut self, file: Moved, number: i64) {
        if let Some(from) = file.from {
            self.by_path.remove(&from);
        }
        let key = |stat: &FileStat| (stat.device, stat.inode);
        let before = self.by_path.insert(file.to, file.stat);
        // Replaced by another file: nothing is to be found by the old one's inode any more.
        if let Some(before) = before.filter(|before| !before.same_file(&file.stat))
            && self.by_file.get(&key(&before)) == Some(&number)
        {
            self.by_file.remove(&key(&before));
        }
        self.by_file.insert(key(&file.stat), number);
    }

    /// What is to be done about a file; `None` where nothing can be new.
    pub(super) fn job(
        &self,
        ledger: &Ledger,
        roots: &[PathBuf],
        found: &FoundFile,
    ) -> Result<Option<Job>, LedgerError> {
        let stat = file_stat(&found.metadata);
        let job = |moved_from, cursor: Option<Cursor>| Job {
            path: found.path.clone(),
            moved_from,
            folder: folder_below(roots, &found.path),
            bytes: stat.size.saturating_sub(cursor.map_or(0, |cursor| cursor.offset)),
            cursor,
        };
        if let Some(known) = self.by_path.get(&hash(&found.path)) {
            if *known == stat {
                return Ok(None);
            }
            if let Some(cursor) = ledger.cursor_of(&found.path)? {
                return Ok((!LogFile::is_unchanged(&cursor, &stat)).then(|| job(None, Some(cursor))));
            }
        }
        Ok(Some(match self.moved(ledger, &stat)? {
            Some((from, cursor)) => job(Some(from), Some(cursor)),
            None => job(None, None),
        }))
    }

    /// The file under the name that it had before, if nothing has that name now. Where another file has it,
    /// what the ledger knows under that name will be the other's: this one is read from its beginning.
    fn moved(&self, ledger: &Ledger, stat: &FileStat) -> Result<Option<(PathBuf, Cursor)>, LedgerError> {
        let Some(number) = self.by_file.get(&(stat.device, stat.inode)) else { return Ok(None) };
        let known = ledger.file_of(*number)?;
        Ok(known.filter(|(from, cursor)| cursor.stat.same_file(stat) && std::fs::metadata(from).is_err()))
    }
}

fn hash(path: &Path) -> u64 {
    FxBuildHasher.hash_one(path.as_os_str().as_bytes())
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

/// True where the file's name says that it belongs to a sub-agent.
pub(super) fn is_agent_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("agent-"))
}
