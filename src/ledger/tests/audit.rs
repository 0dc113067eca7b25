//! What the audit sees, what becomes of a ledger that it finds damaged, and when it is asked at all.

use super::*;
use crate::ledger::quarantine::with;
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// 2026-11-22T10:00:00Z.
pub(super) const NOW: UnixMillis = UnixMillis(1_795_341_600_000);

/// Lines of all kinds: unique ids and others, parts, copies, without a price.
pub(super) fn lines() -> Vec<ResponseLine> {
    (0..240_i64)
        .map(|number| {
            let (session, model) =
                (format!("session-{}", number / 16), if number % 7 == 0 { "new?" } else { "opus" });
            let mut line =
                line(&format!("msg_01{number:020}"), &session, number * 200_000, 3 + number.unsigned_abs());
            line.model = ModelName(model.to_owned());
            line.is_final = number % 11 != 0;
            if number % 5 == 0 {
                let tokens = TokenCounts::from_array([1, 2, 0, 3, 4]);
                line.usage.parts = vec![Part { kind: PartKind::Advisor, model: None, tokens }];
            }
            line
        })
        .collect()
}

/// The state folder of a ledger that was closed in order, and what it says.
pub(super) struct Whole {
    files: Vec<(String, Vec<u8>)>,
    pub(super) cells: Cells,
}

impl Whole {
    pub(super) fn new() -> Self {
        let mut sandbox = Sandbox::new();
        sandbox.ingest_lines(0, lines());
        sandbox.ledger().audit().unwrap();
        let cells = sandbox.cells();
        drop(sandbox.ledger.take());
        let path = sandbox.folder.path().join(LEDGER_FILE);
        Self { files: vec![(LEDGER_FILE.to_owned(), fs::read(path).unwrap())], cells }
    }

    /// A folder with these files, of which nobody knows whether they are whole.
    pub(super) fn folder(&self) -> Sandbox {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &self.files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        Sandbox { folder, ledger: None }
    }

    /// Opens the ledger as tallyd does and reads the logs into it again. What it said before that is a part
    /// of the truth, what it says then is the whole.
    pub(super) fn check(&self, sandbox: &mut Sandbox, what: &str) -> Option<Rebuilt> {
        let rebuilt = sandbox.open_or_rebuild(NOW).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        if rebuilt.is_none() {
            assert_eq!(sandbox.cells(), self.cells, "{what}: it was not noticed, and the totals are others");
        }
        sandbox.ingest_lines(0, lines());
        assert_eq!(sandbox.cells(), self.cells, "{what}: {rebuilt:?}");
        sandbox.ledger().audit().unwrap_or_else(|error| panic!("{what}: {error}"));
        rebuilt
    }
}

impl Sandbox {
    pub(super) fn open_or_rebuild(&mut self, now: UnixMillis) -> Result<Option<Rebuilt>, LedgerError> {
        drop(self.ledger.take());
        let lock = LedgerLock::acquire(self.folder.path(), "test").unwrap();
        let (ledger, rebuilt) = Ledger::open_or_rebuild(self.folder.path(), lock, now)?;
        self.ledger = Some(ledger);
        Ok(rebuilt)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(LEDGER_FILE)
    }

    /// Changes the closed database behind tallyd's back.
    pub(super) fn spoil(&mut self, sql: &str) {
        drop(self.ledger.take());
        let database = Connection::open(self.path()).unwrap();
        database.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        database.execute_batch(sql).unwrap();
        drop(database);
        // In a test this may be within the same tick of the file system's clock as the last orderly end.
        fs::File::options()
            .write(true)
            .open(self.path())
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
    }

    pub(super) fn back_up(&mut self, now: UnixMillis) -> bool {
        let Some((backup, _)) = self.ledger().backup_due(now).unwrap() else { return false };
        backup.make().unwrap()
    }
}

/// A small source of random numbers, the same for the same seed.
struct Dice(fastrand::Rng);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// Damages the bytes of a database; says how.
    fn damage(&mut self, bytes: &mut Vec<u8>) -> String {
        let page = self.below(bytes.len() / 4096) * 4096;
        match self.below(8) {
            0 => {
                bytes[page..page + 4096].fill(0);
                format!("page at {page} zeroed")
            }
            1 => {
                bytes[page..page + 4096].fill_with(|| self.0.u8(..));
                format!("page at {page} random")
            }
            2 => {
                let at = self.below(100);
                bytes[at] ^= 1 << self.below(8);
                format!("head flipped at {at}")
            }
            3 => {
                let at = page + self.below(64);
                bytes[at] ^= 1 << self.below(8);
                format!("page head flipped at {at}")
            }
            4 => {
                let length = self.below(bytes.len());
                bytes.truncate(length);
                format!("cut to {length}")
            }
            _ => {
                let at = self.below(bytes.len());
                bytes[at] ^= 1 << self.below(8);
                format!("flipped at {at}")
            }
        }
    }
}

#[test]
fn no_random_damage_makes_a_wrong_total() {
    let whole = Whole::new();
    let (mut noticed, mut unnoticed, mut refused) = (0, 0, 0);
    let cases = if std::env::var_os("TALLYD_LONG").is_some() { 5_000 } else { 300 };
    for seed in 0..cases {
        let mut dice = Dice(fastrand::Rng::with_seed(seed));
        let mut sandbox = whole.folder();
        let mut bytes = whole.files[0].1.clone();
        let what = format!("seed {seed}: {}", dice.damage(&mut bytes));
        fs::write(sandbox.path(), &bytes).unwrap();
        // The number of the schema says of itself whether it is from the future.
        let version = bytes.get(60..64).map_or(0, |four| u32::from_be_bytes(four.try_into().unwrap()));
        if (SCHEMA_VERSION + 1..100_000).contains(&usize::try_from(version).unwrap()) {
            let error = sandbox.open_or_rebuild(NOW).unwrap_err();
            assert!(matches!(error, LedgerError::Newer { .. }), "{what}: {error}");
            refused += 1;
            continue;
        }
        match whole.check(&mut sandbox, &what) {
            Some(rebuilt) => {
                assert!(fs::read(&rebuilt.put_aside).unwrap() == bytes, "{what}: it is kept as it was found");
                noticed += 1;
            }
            None => unnoticed += 1,
        }
    }
    println!("{noticed} noticed and mended, {unnoticed} without effect, {refused} refused as newer");
    assert!(noticed > cases / 2, "{noticed} of {cases} were noticed");
}

#[test]
fn each_kind_of_wrong_record_shows() {
    let whole = Whole::new();
    for sql in [
        "UPDATE response SET output = output + 1 WHERE id = 7",
        "UPDATE response SET cost = cost + 1 WHERE id = 9",
        "UPDATE response SET flags = flags & ~1 WHERE id = 9",
        "UPDATE response SET session = session + 1 WHERE id = 9",
        "UPDATE response SET first_at = first_at + 900000 WHERE id = 9",
        "UPDATE part SET cache_read = 5 WHERE response = 1",
        "UPDATE part SET response = response + 1 WHERE response = 1",
        "DELETE FROM part WHERE response = 1",
        "DELETE FROM response WHERE id = 3",
        "UPDATE cell SET cost_picodollars = cost_picodollars + 1 WHERE quarter = 1",
        "UPDATE cell SET last_at = last_at + 1 WHERE quarter = 1",
        "DELETE FROM cell WHERE quarter = 1",
        "UPDATE session SET published = stamp + 1 WHERE id = 1",
        "UPDATE session SET stamp = 0 WHERE id = 1",
        "DELETE FROM session WHERE id = 2",
        "DELETE FROM model",
        "UPDATE response SET ranked_after = x'01' WHERE id = 9",
        "UPDATE session SET cwd = cast(x'ff41' AS TEXT) WHERE id = 2",
        "INSERT INTO alias VALUES ('nobody', 9999)",
        "ALTER TABLE sighting RENAME COLUMN at TO bt",
        "DROP TABLE fault",
        "DROP INDEX response_by_id_hash",
        "UPDATE response SET message_id = 'msg_01other' WHERE id = 9",
        "UPDATE response SET id_hash = id_hash + 1 WHERE id = 9",
        "UPDATE response SET (message_id, id_hash, flags) = (SELECT message_id, id_hash, flags FROM response \
         WHERE id = 8) WHERE id = 9",
        "PRAGMA application_id = 1",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 2000000000",
        "PRAGMA user_version = -1",
    ] {
        let mut sandbox = whole.folder();
        sandbox.spoil(sql);
        let rebuilt = whole.check(&mut sandbox, sql).unwrap_or_else(|| panic!("{sql}: not noticed"));
        assert_eq!(rebuilt.unusable, None, "{sql}: no backup is no unusable one");
    }
    let mut sandbox = whole.folder();
    sandbox.spoil("UPDATE session SET published = stamp");
    assert_eq!(whole.check(&mut sandbox, "nothing is wrong"), None);
}

#[test]
fn a_count_that_cannot_be_is_damage_though_all_sums_agree() {
    let whole = Whole::new();
    let cell = "WHERE (session, quarter, model) = \
        (SELECT session, first_at / 900000, model FROM response WHERE id = 9)";
    for (column, in_cell, more) in [
        ("output", "output", "+ (1 << 53)"),
        ("output", "output", "- 1000"),
        ("web_searches", "web_searches", "+ (1 << 53)"),
        ("cost", "cost_picodollars", "- 1000000000000"),
    ] {
        let sql = format!(
            "UPDATE response SET {column} = {column} {more} WHERE id = 9; \
             UPDATE cell SET {in_cell} = {in_cell} {more} {cell}"
        );
        let mut sandbox = whole.folder();
        sandbox.spoil(&sql);
        let rebuilt = whole.check(&mut sandbox, &sql).expect(&sql);
        assert!(rebuilt.found.contains("is no count"), "{sql}: {}", rebuilt.found);
    }
}

#[test]
fn a_log_without_its_database_is_put_aside_and_not_written_into_the_next() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    sandbox.open_or_rebuild(NOW).unwrap();
    sandbox.ingest_lines(24_000, vec![line("msg_01Z", "session-0", 0, 1)]);
    let log = with(&sandbox.path(), "-wal");
    let bytes = fs::read(&log).unwrap();
    drop(sandbox.ledger.take());
    fs::remove_file(sandbox.path()).unwrap();
    fs::write(&log, &bytes).unwrap();
    let rebuilt = whole.check(&mut sandbox, "a log alone").unwrap();
    assert!(fs::read(with(&rebuilt.put_aside, "-wal")).unwrap() == bytes);
}

#[test]
fn a_ledger_that_was_left_whole_is_not_looked_through_within_a_day() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    let later = |hours: i64| UnixMillis(NOW.0 + hours * 3_600_000);
    assert_eq!(sandbox.open_or_rebuild(NOW).unwrap(), None);
    // Wrong, and left as if nobody had written since: what an audit would see.
    let spoil_unseen = |sandbox: &mut Sandbox| {
        sandbox.ingest_lines(0, lines());
        drop(sandbox.ledger.take());
        let before = fs::metadata(sandbox.path()).unwrap().modified().unwrap();
        sandbox.spoil("UPDATE cell SET output = output + 1 WHERE quarter = 1");
        fs::File::options().write(true).open(sandbox.path()).unwrap().set_modified(before).unwrap();
    };
    spoil_unseen(&mut sandbox);
    assert_eq!(sandbox.open_or_rebuild(later(1)).unwrap(), None, "it is taken for whole");
    assert!(sandbox.open_or_rebuild(later(25)).unwrap().is_some(), "the day is over");
    spoil_unseen(&mut sandbox);
    drop(sandbox.ledger.take());
    LedgerLock::acquire(sandbox.folder.path(), "test").unwrap().doubt();
    assert!(sandbox.open_or_rebuild(later(27)).unwrap().is_some(), "it was doubted");
    // A process that does not end in order leaves nothing that could be trusted.
    spoil_unseen(&mut sandbox);
    let note = fs::read(sandbox.folder.path().join("lock")).unwrap();
    assert!(String::from_utf8(note).unwrap().contains("audited"), "closed in order, it says so");
    drop(sandbox.open_or_rebuild(later(28)));
    let note = fs::read(sandbox.folder.path().join("lock")).unwrap();
    assert!(!String::from_utf8(note).unwrap().contains("audited"), "while it is open, it does not");
}

#[test]
fn damage_without_end_is_mended_three_times_an_hour() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    let later = |minutes: i64| UnixMillis(NOW.0 + minutes * 60_000);
    for minute in [0, 0, 10] {
        fs::write(sandbox.path(), "no database").unwrap();
        assert!(sandbox.open_or_rebuild(later(minute)).unwrap().is_some());
        drop(sandbox.ledger.take());
    }
    let names: Vec<_> = quarantined(sandbox.folder.path())
        .iter()
        .map(|one| one.path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let [first, second, third] = ["20261122T100000Z", "20261122T100000Z-2", "20261122T101000Z"]
        .map(|moment| format!("ledger.sqlite.damaged-{moment}"));
    assert_eq!(names, [first, second, third]);
    fs::write(sandbox.path(), "no database").unwrap();
    let error = sandbox.open_or_rebuild(later(20)).unwrap_err();
    assert!(matches!(&error, LedgerError::Unmendable { why, .. } if why.contains("3 times")), "{error}");
    assert!(!error.is_transient());
    assert_eq!(fs::read(sandbox.path()).unwrap(), b"no database", "it stays where it is");
    assert!(sandbox.open_or_rebuild(later(75)).unwrap().is_some(), "an hour later it is tried again");
}

#[test]
fn a_rebuild_that_was_cut_off_is_finished_by_the_next_start() {
    let whole = Whole::new();
    let mut sandbox = whole.folder();
    sandbox.open_or_rebuild(NOW).unwrap();
    assert!(sandbox.back_up(NOW));
    sandbox.spoil("UPDATE cell SET output = 0");
    // The damaged one is out of the way, the new one has not got its name yet.
    sandbox.open_or_rebuild(NOW).unwrap();
    drop(sandbox.ledger.take());
    fs::rename(sandbox.path(), with(&sandbox.path(), ".rebuilt")).unwrap();
    assert_eq!(sandbox.open_or_rebuild(NOW).unwrap(), None);
    assert_eq!(sandbox.cells(), whole.cells);
    assert!(sandbox.ledger().settle_rebuild().unwrap().is_some(), "and it says what it is");
    // Finished, but the damaged one turned out to be whole: no later start may take the copy for the ledger.
    let stale = with(&sandbox.path(), ".rebuilt");
    fs::write(&stale, "stale").unwrap();
    sandbox.reopen();
    assert!(!stale.exists());
}

/// The server would have the session twice, under both names.
#[test]
fn no_name_is_sent_that_a_flipped_bit_has_made() {
    for name in ["session-3", "opus"] {
        let mut sandbox = Sandbox::new();
        sandbox.ingest_lines(0, lines());
        sandbox.ledger().checkpoint().unwrap();
        let keys: Vec<_> = sandbox.outbox().waiting(99).unwrap().iter().map(|one| one.key).collect();
        let bytes = fs::read(sandbox.path()).unwrap();
        let found: Vec<usize> =
            (0..bytes.len()).filter(|at| bytes[*at..].starts_with(name.as_bytes())).collect();
        drop(sandbox.ledger.take());
        assert!(found.len() > 1, "{name} is in a table and in its index");
        for at in found {
            let mut spoiled = bytes.clone();
            spoiled[at + name.len() - 1] ^= 4;
            fs::write(sandbox.path(), spoiled).unwrap();
            let to = super::outbox::user(1);
            let refused = sandbox.outbox().offer(&to, &keys).expect_err("it was offered");
            assert!(refused.is_damaged(), "{name} at {at}: {refused:?}");
        }
    }
}
