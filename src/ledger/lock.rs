//! One writer per ledger, by a lock on a file beside it.
//!
//! The lock is the operating system's and ends with the process that holds it, however that ends. What
//! is written in the file (who holds it) is for people and for readers that want to know whether the
//! ledger is being kept up to date; it is never trusted for exclusion.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// File name of the lock inside the state folder.
const LOCK_FILE: &str = "lock";

/// Who holds the lock, in its own words: `run 4711`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The command: `run`, `scan` or a report.
    pub command: String,
    /// Its process id.
    pub pid: Option<u32>,
}

impl Holder {
    /// True where it follows the logs, so that a reader need not.
    pub fn follows(&self) -> bool {
        self.command == "run"
    }
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process writes this ledger.
    #[error("the ledger in {folder} is in use by another tallyd ({}{})", .holder.command,
        .holder.pid.map_or(String::new(), |pid| format!(", process {pid}")))]
    Held {
        /// The state folder.
        folder: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// The lock file cannot be made.
    #[error("{path} cannot be made or locked")]
    File {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The right to write a ledger; given back when dropped.
#[derive(Debug)]
pub struct LedgerLock {
    _file: File,
}

impl LedgerLock {
    /// Takes the lock of the ledger in `folder`, or says who holds it.
    pub fn acquire(folder: &Path, command: &str) -> Result<Self, LockError> {
        let path = folder.join(LOCK_FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { folder: folder.to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{command} {}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// What the holder wrote of itself; unknown where it has not yet.
fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    let mut words = text.split_whitespace();
    match (read, words.next()) {
        (Ok(_), Some(command)) => {
            Holder { command: command.to_owned(), pid: words.next().and_then(|pid| pid.parse().ok()) }
        }
        _ => Holder { command: "unknown".to_owned(), pid: None },
    }
}
