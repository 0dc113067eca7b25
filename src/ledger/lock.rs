//! One writer per ledger, by a lock on a file beside it.
//!
//! The lock is the operating system's and ends with the process that holds it, however that ends. What
//! is written in the file (who holds it) is for people and for readers that want to know whether the
//! ledger is being kept up to date; it is never trusted for exclusion.

use super::place;
use crate::domain::{FileStat, UnixMillis};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// File name of the lock inside the state folder.
const LOCK_FILE: &str = "lock";

/// Length of what a holder writes of itself: always the same, so that a reader never sees half of it.
const NOTE_BYTES: usize = 80;

/// The word for a holder that the system refuses file events.
const NO_EVENTS: &str = "polling";
/// Length of what is written behind that of the last audit.
const AUDIT_BYTES: usize = 120;

/// A database file that was whole, and has not been written since then as long as it is still like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Audited {
    /// When it was looked through.
    pub(super) at: UnixMillis,
    /// The file as its last writer left it.
    pub(super) file: FileStat,
}

impl Audited {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        if words.next() != Some("audited") {
            return None;
        }
        let at = UnixMillis(words.next()?.parse().ok()?);
        let mut number = || words.next()?.parse().ok();
        let (device, inode, size) = (number()?, number()?, number()?);
        let modified_ns = words.next()?.parse().ok()?;
        Some(Self { at, file: FileStat { device, inode, size, modified_ns } })
    }

    fn line(&self) -> String {
        let FileStat { device, inode, size, modified_ns } = self.file;
        format!("audited {} {device} {inode} {size} {modified_ns}", self.at.0)
    }
}

/// How far a daemon has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It is taking in what was in the logs when it started.
    Starting,
    /// Everything is in the ledger.
    Following,
    /// The ledger cannot be written at the moment.
    Failing,
}

impl Activity {
    const ALL: [Self; 3] = [Self::Starting, Self::Following, Self::Failing];

    /// A word for people and for the note in the lock file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Following => "following",
            Self::Failing => "failing",
        }
    }
}

/// Who holds the lock, in its own words: `run 4711 following 9f86d081884c7d65`, or the same with `polling`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The command: `run`, `scan` or a report.
    pub command: String,
    /// Its process id.
    pub pid: Option<u32>,
    /// How far it has come.
    pub activity: Option<Activity>,
    /// Names the folders that it collects from.
    pub subject: Option<u64>,
    /// The system refuses it file events: it looks at all folders every few seconds instead.
    pub no_events: bool,
}

impl Holder {
    /// True for a daemon, which keeps the lock for as long as it lives.
    pub fn is_daemon(&self) -> bool {
        self.command == "run"
    }

    fn parse(note: &str) -> Self {
        let mut words = note.lines().next().unwrap_or_default().split_whitespace();
        let command = words.next().unwrap_or("unknown").to_owned();
        let pid = words.next().and_then(|pid| pid.parse().ok());
        let word = words.next();
        let activity = Activity::ALL.into_iter().find(|activity| word == Some(activity.name()));
        let subject = words.next().and_then(|subject| u64::from_str_radix(subject, 16).ok());
        let no_events = words.next() == Some(NO_EVENTS);
        Self { command, pid, activity, subject, no_events }
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
    file: File,
    command: String,
}

impl LedgerLock {
    /// Takes the lock of the ledger in `folder`, or says who holds it.
    pub fn acquire(folder: &Path, command: &str) -> Result<Self, LockError> {
        let path = folder.join(LOCK_FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut file =
            place::open(&path, OpenOptions::new().read(true).write(true).create(true).truncate(false))
                .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Shared is what `holder` asks for, for a moment. The note is then that of a former holder.
                let is_looked_at = file.try_lock_shared().is_ok();
                let holder = if is_looked_at { Holder::parse("") } else { read_holder(&mut file) };
                return Err(LockError::Held { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let lock = Self { file, command: command.to_owned() };
        lock.write_note("").map_err(failed)?;
        Ok(lock)
    }

    /// Who holds the lock of the ledger in `folder`, if anybody does; unlike taking it, leaves no trace.
    pub fn holder(folder: &Path) -> Result<Option<Holder>, LockError> {
        let path = folder.join(LOCK_FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut file = match place::open(&path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(read_holder(&mut file))),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Tells readers how far the holder has come with what. It only advises them, so that a note which
    /// cannot be written (a full disk) is no failure.
    pub fn announce(&self, activity: Activity, subject: u64, no_events: bool) {
        let events = if no_events { NO_EVENTS } else { "" };
        let _ = self.write_note(&format!("{} {subject:016x} {events}", activity.name()));
    }

    /// The last audit of the ledger, where its outcome was written down.
    pub(super) fn audited(&self) -> Option<Audited> {
        let mut line = [0; AUDIT_BYTES];
        self.file.read_exact_at(&mut line, NOTE_BYTES as u64).ok()?;
        Audited::parse(std::str::from_utf8(&line).ok()?)
    }

    /// Writes down that the ledger is whole; with `None`, that nobody knows. Costs an audit where it fails.
    pub(super) fn note_audit(&self, audited: Option<Audited>) {
        let line = audited.map_or(String::new(), |audited| audited.line());
        let line = format!("{line:<width$}\n", width = AUDIT_BYTES - 1);
        let _ = self.file.write_all_at(line.as_bytes(), NOTE_BYTES as u64);
    }

    /// Takes back what is known of the ledger: the next to open it looks it through.
    pub fn doubt(&self) {
        self.note_audit(None);
    }

    fn write_note(&self, state: &str) -> std::io::Result<()> {
        let note = format!("{} {} {state}", self.command, std::process::id());
        self.file.write_all_at(format!("{note:<width$}\n", width = NOTE_BYTES - 1).as_bytes(), 0)
    }
}

/// What the holder wrote of itself; unknown where it has not yet.
fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    if read.is_ok() { Holder::parse(&text) } else { Holder::parse("") }
}
