//! What may be done to a ledger's files, or to its backup's. Knows nothing of what becomes of it.

use rusqlite::Connection;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tallyd::ledger::LEDGER_FILE;

/// Tables that may be lost.
const TABLES: [&str; 14] = [
    "meta",
    "session",
    "model",
    "file",
    "response",
    "alias",
    "sighting",
    "cell",
    "restored",
    "restored_cell",
    "destination",
    "acknowledgement",
    "parked",
    "part",
];

/// Statements that leave a database which says what was never so.
const LIES: [&str; 8] = [
    "UPDATE cell SET output = output + 1048576",
    "UPDATE cell SET output = output + 1 WHERE quarter = (SELECT max(quarter) FROM cell)",
    "UPDATE response SET input = input + 1 WHERE id = (SELECT max(id) FROM response)",
    "DELETE FROM response WHERE id = (SELECT min(id) FROM response)",
    "DELETE FROM cell WHERE quarter = (SELECT min(quarter) FROM cell)",
    "UPDATE session SET stamp = -1",
    "UPDATE restored_cell SET output = output + 1048576; UPDATE cell SET output = output + 1",
    "DELETE FROM restored_cell; UPDATE cell SET messages = 0",
];

/// What goes wrong with a database.
#[derive(Clone, Copy, Debug)]
pub(super) enum Harm {
    /// Overwritten in place.
    Garbage,
    Empty,
    /// Only so many 256ths of it are left.
    Cut(u8),
    /// One bit of one byte, at so many 65536ths.
    Flip(u16, u8),
    /// One bit of one of the places that have a session's name.
    Name(u8, u8),
    /// A page of zeros.
    Page(u16),
    /// It is a database still, and what it says is wrong.
    Lie(usize),
    /// A table is gone.
    Drop(usize),
}

impl Harm {
    /// Whether the single responses in it can still be read, and are as they were.
    pub(super) fn leaves_responses(self) -> bool {
        match self {
            Self::Lie(number) => !LIES[number % LIES.len()].starts_with("DELETE FROM response"),
            Self::Drop(number) => !["response", "session"].contains(&TABLES[number % TABLES.len()]),
            Self::Garbage | Self::Empty => true,
            Self::Cut(_) | Self::Flip(..) | Self::Name(..) | Self::Page(_) => false,
        }
    }

    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Empty => "emptied",
            Self::Cut(_) => "cut off",
            Self::Flip(..) => "a bit",
            Self::Name(..) => "a bit of a name",
            Self::Page(_) => "a page",
            Self::Lie(_) => "a lie",
            Self::Drop(_) => "a table",
        }
    }

    /// Does it to the file at `path`.
    pub(super) fn befall(self, path: &Path) {
        match self {
            Self::Garbage => overwrite(path, 0, &b"no database\n".repeat(2_000)),
            Self::Empty => length(path, |_| 0),
            Self::Cut(left) => length(path, |length| length * u64::from(left) / 256),
            Self::Flip(at, bit) => {
                let at = fs::metadata(path).expect("it is there").len() * u64::from(at) / 65_536;
                // The version of the tables: a ledger of a newer tallyd is refused.
                if !(60..64).contains(&at) {
                    flip(path, at, bit);
                }
            }
            Self::Name(nth, bit) => {
                let bytes = fs::read(path).expect("it can be read");
                let places: Vec<usize> =
                    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"s-")).collect();
                if !places.is_empty() {
                    flip(path, places[usize::from(nth) % places.len()] as u64 + 2, bit);
                }
            }
            Self::Page(at) => {
                let pages = (fs::metadata(path).expect("it is there").len() / 4096).max(1);
                overwrite(path, u64::from(at) % pages * 4096, &[0; 4096]);
            }
            Self::Lie(number) => execute(path, LIES[number % LIES.len()]),
            Self::Drop(number) => execute(path, &format!("DROP TABLE {}", TABLES[number % TABLES.len()])),
        }
        touch(path);
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).expect("it can be written")
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    open(path).write_all_at(bytes, at).expect("it can be written");
}

fn length(path: &Path, of: impl Fn(u64) -> u64) {
    let file = open(path);
    let length = file.metadata().expect("it is there").len();
    file.set_len(of(length)).expect("it can be cut");
}

fn flip(path: &Path, at: u64, bit: u8) {
    let file = open(path);
    let mut byte = [0];
    if file.read_at(&mut byte, at).expect("it can be read") == 1 {
        file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], at).expect("it can be written");
    }
}

/// What is damaged already may refuse.
fn execute(path: &Path, sql: &str) {
    let database = Connection::open(path).expect("it opens");
    let _ = database.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"));
}

/// It may be the same tick of the file system's clock as the last orderly end, by which a whole ledger is known: no
/// time is given twice.
fn touch(path: &Path) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let then = Duration::from_secs(NEXT.fetch_add(1, Ordering::Relaxed));
    open(path).set_modified(SystemTime::UNIX_EPOCH + then).expect("a time can be set");
}

pub(super) fn ledger(state: &Path) -> PathBuf {
    state.join(LEDGER_FILE)
}

pub(super) fn backup(state: &Path) -> PathBuf {
    state.join(format!("{LEDGER_FILE}.backup"))
}

pub(super) fn with(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

/// Every file of a folder, as it is.
pub(super) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder can be listed") {
        let entry = entry.expect("a folder can be listed");
        let target = to.join(entry.file_name());
        fs::copy(entry.path(), &target).expect("a file can be copied");
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).expect("files have times");
        open(&target).set_modified(modified).expect("a time can be set");
    }
}
