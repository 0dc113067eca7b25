//! Ledgers that are damaged: torn, cut, emptied, overwritten, flipped, before the start and under a running
//! daemon, with and without a backup and logs. Totals are the truth or the loss is told with its number;
//! nothing is thrown away, nothing ends in a loop.
#![cfg(test)]

mod running;

use crate::logs::Tree;
use crate::process::{Daemon, Sandbox, eventually, fail, files_below, reply, succeed, text};
use crate::random::Random;
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// A sandbox whose logs have been scanned.
fn scanned(seed: u64) -> (Sandbox, Tree) {
    let (sandbox, tree) = (Sandbox::new(), Tree::generate(seed, 6));
    tree.write(&sandbox.projects());
    sandbox.scan();
    (sandbox, tree)
}

fn file(sandbox: &Sandbox) -> PathBuf {
    sandbox.state().join("ledger.sqlite")
}

/// The damaged databases that were put aside.
fn put_aside(sandbox: &Sandbox) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        name.starts_with("ledger.sqlite.damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    files_below(&sandbox.state()).into_iter().filter(is_one).collect()
}

/// Scans once more; returns what was told on stderr.
fn mend(sandbox: &Sandbox) -> String {
    let output = sandbox.tallyd("scan").output().expect("tallyd runs");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    told
}

/// A time at which nobody has written the file: in a test, damage may come within the same tick of the file
/// system's clock as the last orderly end.
fn touch(path: &Path) {
    let file = fs::File::options().write(true).open(path).expect("a file opens");
    file.set_modified(SystemTime::UNIX_EPOCH).expect("a time can be set");
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file can be written");
    touch(path);
}

/// Changes the closed database as flipped bytes in its records would: no page and no index is wrong.
fn spoil(sandbox: &Sandbox, sql: &str) {
    let database = Connection::open(file(sandbox)).expect("the ledger opens");
    database.execute_batch(sql).expect("a ledger can be damaged");
    drop(database);
    touch(&file(sandbox));
}

/// One sum is one token too high.
fn wrong_sum(sandbox: &Sandbox) {
    spoil(sandbox, "UPDATE cell SET output = output + 1 WHERE quarter = (SELECT min(quarter) FROM cell)");
}

/// `tallyd check --json` as JSON, with its exit code.
fn check(sandbox: &Sandbox) -> (serde_json::Value, Option<i32>) {
    let output = sandbox.tallyd("check").arg("--json").output().expect("tallyd runs");
    let value = serde_json::from_slice(&output.stdout).expect("check prints JSON");
    (value, output.status.code())
}

fn row(check: &serde_json::Value, name: &str) -> serde_json::Value {
    let rows = check["checks"].as_array().expect("check prints rows");
    rows.iter().find(|row| row["check"] == name).cloned().unwrap_or_default()
}

#[test]
fn what_is_no_ledger_any_more_is_put_aside_and_made_anew() {
    for kind in ["text", "empty", "zeros", "half", "head alone", "wrong sum"] {
        let (sandbox, tree) = scanned(61);
        let bytes = fs::read(file(&sandbox)).expect("there is a ledger");
        let damaged = match kind {
            "text" => b"no database\n".repeat(100),
            "empty" => Vec::new(),
            "zeros" => vec![0; bytes.len()],
            "half" => bytes[..bytes.len() / 2].to_vec(),
            "head alone" => bytes[..100].to_vec(),
            _ => {
                wrong_sum(&sandbox);
                fs::read(file(&sandbox)).expect("there is a ledger")
            }
        };
        write(&file(&sandbox), &damaged);
        let (told, code) = check(&sandbox);
        assert_eq!(
            (row(&told, "ledger")["state"].as_str(), code),
            (Some("wrong"), Some(7)),
            "{kind}: {told}"
        );
        let told = mend(&sandbox);
        let aside = put_aside(&sandbox);
        assert_eq!(aside.len(), 1, "{kind}: {told}");
        for word in
            ["the ledger is damaged", &*aside[0].to_string_lossy(), "made from the logs", "tallyd check"]
        {
            assert!(told.contains(word), "{kind}: no `{word}` in {told}");
        }
        assert!(fs::read(&aside[0]).expect("it is there") == damaged, "{kind}: it is kept as it was found");
        let mode = fs::metadata(&aside[0]).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{kind}");
        assert_eq!(sandbox.account(), tree.truth().account(), "{kind}");
        sandbox.check_integrity();
        assert_eq!(mend(&sandbox), "", "{kind}: once is enough");
        let metrics = succeed(&mut sandbox.tallyd("metrics"));
        assert!(metrics.contains("\ntallyd_ledger_rebuilds_total 1\n"), "{metrics}");
        assert!(metrics.contains("\ntallyd_ledger_damaged_files 1\n"), "{metrics}");
    }
}

#[test]
fn a_report_mends_and_one_that_does_not_scan_says_what_does() {
    let (sandbox, tree) = scanned(62);
    write(&file(&sandbox), b"no database");
    for subcommand in ["daily", "metrics", "explain"] {
        let mut command = sandbox.tallyd(subcommand);
        match subcommand {
            "daily" => drop(command.arg("--no-scan")),
            "explain" => drop(command.args(["msg_01x", "--no-scan"])),
            _ => {}
        }
        let told = fail(&mut command, 7);
        assert!(told.contains("`tallyd scan`") && told.contains("SIGHUP"), "{subcommand}: {told}");
    }
    let daily = succeed(sandbox.tallyd("daily").args(["--json", "--timezone", "UTC"]));
    assert_eq!(crate::truth::rows(&daily, "daily"), tree.truth().account().days);
    assert_eq!(put_aside(&sandbox).len(), 1);
}

/// The files of a state folder that a daemon left when it was killed, its last writes in the log alone.
fn torn(seed: u64) -> (Sandbox, Tree, Vec<u8>, Vec<u8>) {
    let (sandbox, tree) = (Sandbox::new(), Tree::generate(seed, 12));
    tree.write(&sandbox.projects());
    let daemon = Daemon::following(&sandbox);
    assert!(daemon.kill());
    let database = fs::read(file(&sandbox)).expect("there is a ledger");
    let log = fs::read(sandbox.state().join("ledger.sqlite-wal")).expect("there is a write-ahead log");
    assert!(log.len() > 32 + 10 * 4120, "{} bytes of log", log.len());
    (sandbox, tree, database, log)
}

#[test]
fn a_torn_log_costs_nothing_but_reading_again() {
    let (sandbox, tree, database, log) = torn(63);
    let mut random = Random::exploring("torn logs");
    let is_long = std::env::var_os("TALLYD_LONG").is_some();
    let frames: Vec<usize> = (0..=(log.len() - 32) / 4120).map(|frame| 32 + frame * 4120).collect();
    let step = if is_long { 1 } else { frames.len().div_ceil(12) };
    let mut damages: Vec<(String, Vec<u8>)> = frames
        .iter()
        .step_by(step)
        .map(|end| (format!("cut at frame end {end}"), log[..*end].to_vec()))
        .collect();
    for _ in 0..if is_long { 100 } else { 12 } {
        let end = random.index(log.len());
        damages.push((format!("cut at {end}"), log[..end].to_vec()));
        let (at, mut flipped) = (random.index(log.len()), log.clone());
        flipped[at] ^= 1 << random.range(0, 7);
        damages.push((format!("flipped at {at}"), flipped));
    }
    for (what, log) in damages {
        let again = Sandbox::new();
        fs::create_dir(again.state()).expect("a folder can be made");
        fs::write(file(&again), &database).expect("a file can be written");
        fs::write(again.state().join("ledger.sqlite-wal"), &log).expect("a file can be written");
        succeed(again.tallyd("scan").arg("--claude-dir").arg(sandbox.claude()));
        assert_eq!(again.account(), tree.truth().account(), "{what}");
        again.check_integrity();
    }
}

#[test]
fn random_damage_makes_no_wrong_total_and_no_panic() {
    let (sandbox, tree) = scanned(64);
    let whole = fs::read(file(&sandbox)).expect("there is a ledger");
    let mut random = Random::exploring("random damage");
    let cases = if std::env::var_os("TALLYD_LONG").is_some() { 300 } else { 16 };
    let (mut mended, truth) = (0, tree.truth().account());
    for _ in 0..cases {
        let mut bytes = whole.clone();
        let page = random.index(bytes.len() / 4096) * 4096;
        let at = page + random.index(4096);
        let what = match random.range(0, 3) {
            0 => {
                bytes[page..page + 4096].fill(0);
                format!("page at {page} zeroed")
            }
            1 => {
                for byte in &mut bytes[page..page + 4096] {
                    *byte = random.next().to_le_bytes()[0];
                }
                format!("page at {page} random")
            }
            _ => {
                bytes[at] ^= 1 << random.range(0, 7);
                format!("flipped at {at}")
            }
        };
        let again = Sandbox::new();
        fs::create_dir(again.state()).expect("a folder can be made");
        fs::write(file(&again), &bytes).expect("a file can be written");
        let output =
            again.tallyd("scan").arg("--claude-dir").arg(sandbox.claude()).output().expect("tallyd runs");
        let told = text(&output.stderr);
        // The number of its schema is the one thing that a ledger is believed: it may be from the future.
        if (60..64).contains(&at) && output.status.code() == Some(6) {
            continue;
        }
        assert!(output.status.success(), "{what}: {}\n{told}", output.status);
        assert_eq!(again.account(), truth, "{what}: {told}");
        mended += put_aside(&again).len();
    }
    println!("{mended} of {cases} were noticed and mended");
    assert!(mended > 0);
}

/// A daemon that has made a backup of a ledger with all of the tree's logs, and ended.
fn backed_up(seed: u64) -> (Sandbox, Tree) {
    let (sandbox, tree) = scanned(seed);
    let daemon = Daemon::following(&sandbox);
    let backup = sandbox.state().join("ledger.sqlite.backup");
    eventually("a backup is made", || backup.exists());
    daemon.stop();
    assert_eq!(fs::metadata(&backup).expect("it is there").permissions().mode() & 0o777, 0o600);
    (sandbox, tree)
}

#[test]
fn logs_are_gone_and_the_backup_has_them() {
    let (sandbox, tree) = backed_up(66);
    fs::remove_dir_all(sandbox.projects()).expect("a folder can be removed");
    sandbox.write_log("-p/s.jsonl", &reply("later"));
    write(&file(&sandbox), b"no database");
    let told = mend(&sandbox);
    assert!(told.contains("its backup takes its place"), "{told}");
    assert_eq!(
        sandbox.account().messages(),
        tree.truth().messages() + 1,
        "the backup's, and the logs' since"
    );
    let (told, _) = check(&sandbox);
    assert_eq!(row(&told, "damage")["rebuiltFrom"], "backup", "{told}");
}

#[test]
fn a_damaged_backup_is_said_and_not_used() {
    let (sandbox, tree) = backed_up(67);
    let backup = Connection::open(sandbox.state().join("ledger.sqlite.backup")).expect("it opens");
    backup.execute_batch("UPDATE cell SET output = output + 1").expect("a backup can be damaged");
    drop(backup);
    let place = sandbox.state().join("ledger.sqlite.backup");
    let bytes = fs::read(&place).expect("it is there");
    wrong_sum(&sandbox);
    let told = mend(&sandbox);
    assert!(
        told.contains("the backup of the ledger cannot be used") && told.contains("made from the logs"),
        "{told}"
    );
    assert_eq!(sandbox.account(), tree.truth().account());
    // The next one would take its place, and it may be the last to have something.
    let [aside, kept] = &put_aside(&sandbox)[..] else { panic!("{told}") };
    assert_eq!(kept.to_string_lossy(), format!("{}-backup", aside.display()));
    assert!(fs::read(kept).expect("it is there") == bytes && !place.exists());
    let metrics = succeed(&mut sandbox.tallyd("metrics"));
    assert!(metrics.contains("\ntallyd_ledger_damaged_files 1\n"), "{metrics}");
    fs::remove_file(aside).expect("a file can be removed");
    assert_eq!(check(&sandbox).1, Some(0), "nothing is missing");
}

#[test]
fn what_only_a_backup_has_that_cannot_be_used_is_told_as_missing() {
    let (sandbox, tree) = backed_up(74);
    fs::remove_dir_all(sandbox.projects()).expect("a folder can be removed");
    let backup = Connection::open(sandbox.state().join("ledger.sqlite.backup")).expect("it opens");
    backup.execute_batch("UPDATE cell SET output = output + 1").expect("a backup can be damaged");
    drop(backup);
    write(&file(&sandbox), b"no database");
    mend(&sandbox);
    let (told, code) = check(&sandbox);
    let row = row(&told, "damage");
    assert_eq!((code, &row["missingResponses"]), (Some(7), &tree.truth().messages().into()), "{told}");
}

#[test]
fn no_backup_is_made_where_none_is_wanted() {
    let (sandbox, _) = scanned(68);
    let mut daemon = Daemon::start(sandbox.tallyd("run").env("TALLYD_LEDGER_BACKUP", "false"));
    daemon.wait_for("following");
    // Two further passes: one would have begun, the other would have seen its end.
    for name in ["A", "B"] {
        let before = sandbox.responses();
        sandbox.write_log(&format!("-p/{name}.jsonl"), &reply(name));
        sandbox.wait_for_responses(before + 1);
    }
    daemon.stop();
    let names: Vec<_> = files_below(&sandbox.state());
    assert!(!names.iter().any(|path| path.to_string_lossy().contains("backup")), "{names:?}");
}

#[test]
fn what_is_in_no_log_any_more_is_told_with_its_number() {
    let (sandbox, tree) = scanned(69);
    let before = sandbox.account();
    let gone = tree.files().into_keys().next().expect("there are files");
    fs::remove_file(sandbox.projects().join(&gone)).expect("a log can be removed");
    wrong_sum(&sandbox);
    let told = mend(&sandbox);
    assert!(told.contains("in no log any more"), "{told}");
    let after = sandbox.account();
    let lost = before.messages() - after.messages();
    assert!(lost > 0, "the log that is gone had responses of its own");
    let sessions = before
        .sessions
        .iter()
        .filter(|(name, sum)| after.sessions.get(*name).is_none_or(|now| now.messages < sum.messages));
    let (told, code) = check(&sandbox);
    let row = row(&told, "damage");
    assert_eq!(code, Some(7), "{told}");
    assert_eq!(row["missingResponses"], lost, "{told}");
    assert_eq!(row["missingSessions"], sessions.count(), "{told}");
    // Whoever has moved the damaged files away has taken note.
    for path in files_below(&sandbox.state()) {
        if path.to_string_lossy().contains(".damaged-") {
            fs::remove_file(path).expect("a file can be removed");
        }
    }
    assert_eq!(check(&sandbox).1, Some(0));
}

#[test]
fn nothing_left_anywhere_is_an_empty_ledger_and_no_silence() {
    let (sandbox, tree) = scanned(70);
    fs::remove_dir_all(sandbox.projects()).expect("a folder can be removed");
    write(&file(&sandbox), &b"no database\n".repeat(1_000));
    let told = mend(&sandbox);
    assert!(told.contains("the ledger is damaged") && told.contains("cannot be read to its end"), "{told}");
    assert_eq!(sandbox.account().messages(), 0);
    let (told, code) = check(&sandbox);
    assert_eq!((row(&told, "damage")["state"].as_str(), code), (Some("wrong"), Some(7)), "{told}");
    tree.write(&sandbox.projects());
    sandbox.scan();
    assert_eq!(sandbox.account(), tree.truth().account(), "logs that come back are counted");
}

#[test]
fn a_disk_that_spoils_everything_makes_no_loop() {
    let (sandbox, tree) = scanned(71);
    let mut aside = 0;
    for subcommand in ["scan", "run", "scan", "run", "scan"] {
        write(&file(&sandbox), b"no database");
        if aside < 3 {
            mend(&sandbox);
            aside += 1;
            assert_eq!(sandbox.account(), tree.truth().account());
            continue;
        }
        let told = fail(&mut sandbox.tallyd(subcommand), 7);
        assert!(told.contains("3 times within an hour") && told.contains("disk"), "{told}");
    }
    assert_eq!(put_aside(&sandbox).len(), 3);
}

#[test]
fn a_folder_in_its_place_is_not_touched() {
    let (sandbox, _) = scanned(72);
    fs::remove_file(file(&sandbox)).expect("a file can be removed");
    fs::create_dir(file(&sandbox)).expect("a folder can be made");
    for subcommand in ["scan", "run", "daily"] {
        let told = fail(&mut sandbox.tallyd(subcommand), 4);
        assert!(told.contains("it is no file"), "{subcommand}: {told}");
    }
    assert!(file(&sandbox).is_dir() && put_aside(&sandbox).is_empty());
}

/// The same command where the state folder is mounted read-only; `None` where the system refuses that.
fn read_only(sandbox: &Sandbox, subcommand: &str) -> Option<std::process::Output> {
    let state = sandbox.state();
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let wrapped = |rest: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "--user", "sh", "-c", mount]).arg(&state).args(rest);
        command
    };
    if !wrapped(&["true"]).output().is_ok_and(|output| output.status.success()) {
        println!("skipped: this system lets nobody mount");
        return None;
    }
    let plain = sandbox.tallyd(subcommand);
    let mut command = wrapped(&[env!("CARGO_BIN_EXE_tallyd")]);
    command.args(plain.get_args()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", sandbox.path("home")).env("TZ", "UTC");
    Some(command.output().expect("unshare runs"))
}

#[test]
fn a_damaged_ledger_that_cannot_be_written_is_refused_in_words() {
    let (sandbox, tree) = scanned(73);
    write(&file(&sandbox), b"no database");
    let before = files_below(&sandbox.state());
    for (subcommand, code) in [("scan", 4), ("run", 4), ("daily", 7)] {
        let Some(output) = read_only(&sandbox, subcommand) else { return };
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{subcommand}: {told}");
        assert!(told.contains("help: "), "{subcommand}: {told}");
    }
    assert_eq!(files_below(&sandbox.state()), before);
    mend(&sandbox);
    assert_eq!(sandbox.account(), tree.truth().account(), "once it can be written, it is mended");
}
