//! What writers, trouble and samples of one soak share: the sandbox, the truth as far as it is written, and how far
//! things are. Asks the ledger what is counted; decides nothing.
#![cfg(test)]

use crate::process::Sandbox;
use crate::truth::{Said, Truth};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks at the ledger.
const LOOK: Duration = Duration::from_millis(20);

/// How long a log may wait to be counted: beyond the full look every five minutes, and any spell of trouble.
const DEADLINE: Duration = Duration::from_mins(10);

pub(super) struct Scene {
    pub(super) sandbox: Sandbox,
    pub(super) begun: Instant,
    truth: Mutex<Truth>,
    tally: Mutex<BTreeMap<String, u64>>,
    is_over: AtomicBool,
    is_quiet: AtomicBool,
    /// The daemon's process, 0 while there is none.
    pub(super) daemon: AtomicU32,
    /// How many daemons there have been.
    pub(super) daemons: AtomicU64,
}

/// Ends the soak for all when one of its threads panics.
pub(super) struct OnPanic<'a>(pub(super) &'a Scene);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

impl Scene {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        fs::create_dir_all(sandbox.projects()).expect("a folder can be made");
        Self {
            sandbox,
            // clock: what samples and pauses are measured from.
            begun: Instant::now(),
            truth: Mutex::default(),
            tally: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_quiet: AtomicBool::new(false),
            daemon: AtomicU32::new(0),
            daemons: AtomicU64::new(0),
        }
    }

    /// No more traffic, no more trouble.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// While it is quiet nobody writes.
    pub(super) fn set_quiet(&self, is_quiet: bool) {
        self.is_quiet.store(is_quiet, Ordering::SeqCst);
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.is_quiet.load(Ordering::SeqCst)
    }

    /// Lets a time pass, unless the soak ends.
    pub(super) fn pause(&self, time: Duration) {
        // clock: the time that trouble and writers take.
        let begun = Instant::now();
        while let Some(left) = time.checked_sub(begun.elapsed()).filter(|_| !self.is_over()) {
            sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// One of these has happened.
    pub(super) fn count(&self, what: &str) {
        self.add(what, 1);
    }

    pub(super) fn add(&self, what: &str, number: u64) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        *tally.entry(what.to_owned()).or_default() += number;
    }

    /// The greatest of these.
    pub(super) fn raise(&self, what: &str, to: u64) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tally.entry(what.to_owned()).or_default();
        *known = to.max(*known);
    }

    pub(super) fn tally(&self) -> BTreeMap<String, u64> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This is about to be written: told before, so that a ledger never has more than the truth.
    pub(super) fn hear(&self, says: &[Said]) {
        self.truth().hear(says);
    }

    /// Waits until the ledger says that a log is counted as it stands; false where the soak ends before. What is
    /// destroyed sooner nobody could count.
    pub(super) fn is_counted_in_time(&self, log: &Path) -> bool {
        // clock: a deadline for another process, and a figure.
        let begun = Instant::now();
        while !self.is_counted(log) {
            if self.is_over() {
                return false;
            }
            assert!(begun.elapsed() < DEADLINE, "{} is not counted", log.display());
            sleep(LOOK);
        }
        let waited = u64::try_from(begun.elapsed().as_millis()).expect("fits");
        self.count("waits until a log was counted");
        self.raise("longest wait until a log was counted, ms", waited);
        true
    }

    /// Whether the cursor stands at the end of the file that is there.
    fn is_counted(&self, log: &Path) -> bool {
        let Ok(there) = fs::metadata(log) else { return false };
        let path = self.sandbox.state().join("ledger.sqlite");
        // None yet, or one that a daemon is opening.
        let Ok(ledger) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
            return false;
        };
        let sql = "SELECT inode, size, modified_ns, offset FROM file WHERE path = ?1";
        let row = ledger.query_row(sql, [log.as_os_str().as_bytes()], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        });
        let modified = there.mtime() * 1_000_000_000 + there.mtime_nsec();
        let size = there.len().cast_signed();
        let whole: [i64; 4] = [there.ino().cast_signed(), size, modified, size];
        row.optional().is_ok_and(|row| row == Some(whole))
    }
}
