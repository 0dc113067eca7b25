//! A ledger that is damaged or deleted while it publishes: what becomes of it takes its totals from backup, logs
//! and server together, and the server keeps every row.
#![cfg(test)]

use super::exact::{publishing, server_account};
use super::restored::Scene;
use crate::process::{Daemon, eventually, fail, files_below, reply, succeed, text};
use pretty_assertions::assert_eq;
use std::fs;
use std::path::PathBuf;

fn ledger(scene: &Scene) -> PathBuf {
    scene.sandbox.state().join("ledger.sqlite")
}

/// Overwrites it in place, as a disk does.
fn spoil(scene: &Scene) {
    fs::write(ledger(scene), b"no database\n".repeat(5_000)).expect("a file can be written");
}

fn lose_every_second_log(scene: &Scene) {
    for file in files_below(&scene.sandbox.projects()).into_iter().step_by(2) {
        fs::remove_file(file).expect("a log can be deleted");
    }
}

fn damage_row(scene: &Scene) -> serde_json::Value {
    let checked = scene.json("check --json");
    let rows = checked["checks"].as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["check"] == "damage").unwrap_or_else(|| panic!("no row: {checked}"))
}

/// The damaged ledger can be read, so that what is missing is known by number.
#[test]
fn what_the_server_gives_back_is_missing_no_more() {
    let scene = Scene::published(103);
    let rows = scene.rows();
    lose_every_second_log(&scene);
    let ledger = rusqlite::Connection::open(ledger(&scene)).expect("it opens");
    let wrong = "UPDATE cell SET output = output + 1 WHERE quarter = (SELECT min(quarter) FROM cell)";
    ledger.execute(wrong, []).expect("a ledger can be damaged");
    drop(ledger);
    // It may be the same tick of the file system's clock as the last orderly end.
    let file = fs::File::options().write(true).open(self::ledger(&scene)).expect("a file opens");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("a time can be set");
    let told = text(&scene.sandbox.tallyd("scan").output().expect("tallyd runs").stderr);
    assert!(told.contains("in no log any more"), "{told}");
    let row = damage_row(&scene);
    assert_eq!(row["state"], "wrong", "{row}");
    assert!(row["missingResponses"].as_u64() > Some(0), "{row}");
    // The owner was handed on: nobody else's rows come, and nothing goes to anybody else.
    let mut as_stranger = scene.tallyd("publish");
    publishing(&mut as_stranger, &scene.gateway.url(), &scene.database.new_user());
    assert!(fail(&mut as_stranger, 13).contains("the ledger belongs to user"));
    succeed(&mut scene.tallyd("publish --wait"));
    scene.assert_whole();
    assert_eq!((scene.rows(), scene.is_wanted()), (rows, false));
    let row = damage_row(&scene);
    assert_eq!((&row["state"], &row["missingResponses"]), (&"ok".into(), &0.into()), "{row}");
}

/// As long as not all of the logs are read again, a report of a ledger that was made anew is an error.
#[test]
fn a_reader_beside_a_killed_rebuild_is_told_and_never_shown_less() {
    let scene = Scene::published(105);
    let daily = |what: &[&str]| {
        let mut command = scene.sandbox.tallyd("daily");
        command.args(["--json", "--timezone", "UTC"]).args(what);
        command
    };
    spoil(&scene);
    succeed(&mut scene.tallyd("scan"));
    let database = rusqlite::Connection::open(ledger(&scene)).expect("it opens");
    let unread = "PRAGMA foreign_keys = OFF; DELETE FROM meta WHERE key = 'rebuilt_lost'; DELETE FROM response; DELETE FROM cell; \
        DELETE FROM part; DELETE FROM alias; DELETE FROM file; DELETE FROM sighting";
    database.execute_batch(unread).expect("a state can be made");
    drop(database);
    let told = fail(&mut daily(&["--no-scan"]), 7);
    assert!(told.contains("is being made anew") && told.contains("`tallyd scan`"), "{told}");
    let finished = scene.sandbox.state().join("ledger.sqlite.rebuilt");
    fs::rename(ledger(&scene), &finished).expect("a file can be renamed");
    let told = fail(&mut daily(&["--no-scan"]), 7);
    assert!(told.contains("there is no ledger"), "{told}");
    let report = succeed(&mut daily(&[]));
    assert_eq!(crate::truth::rows(&report, "daily"), scene.tree.truth().account().days);
    assert!(!finished.exists());
}

/// Waits until a daemon has made the ledger anew and read back what the server has.
fn mended(scene: &Scene, daemon: &mut Daemon) {
    daemon.signal("HUP");
    daemon.wait_for("the ledger is damaged");
    daemon.wait_for("restored from the server");
    daemon.eventually("nothing is wanted any more", || !scene.is_wanted());
}

#[test]
fn a_daemon_whose_ledger_and_logs_are_damaged_has_it_all_again_and_sends_nothing_lower() {
    for has_backup in [true, false] {
        let scene = Scene::published(if has_backup { 101 } else { 102 });
        let rows = scene.rows();
        let backup = scene.sandbox.state().join("ledger.sqlite.backup");
        let mut command = scene.tallyd("run");
        command.env("TALLYD_LEDGER_BACKUP", has_backup.to_string());
        let mut daemon = Daemon::start(&mut command);
        daemon.wait_for("following");
        if has_backup {
            eventually("a backup is made", || backup.exists());
            lose_every_second_log(&scene);
        } else {
            scene.lose_logs();
        }
        spoil(&scene);
        mended(&scene, &mut daemon);
        scene.assert_whole();
        assert_eq!(scene.rows(), rows, "backup {has_backup}: no row was written again");
        assert_eq!(scene.restored(), if has_backup { 0 } else { scene.sessions() });
        assert_eq!(damage_row(&scene)["rebuiltFrom"], if has_backup { "backup" } else { "logs" });
        assert_eq!(scene.metric("tallyd_ledger_rebuilds_total"), "1");
        // What comes later is published as ever.
        scene.sandbox.write_log("-p/later.jsonl", &reply("later").replace("\"s-1\"", "\"s-later\""));
        eventually("the next reply is there", || {
            server_account(&scene.database, &scene.user).sessions.contains_key("s-later")
        });
        daemon.stop();
        assert_eq!(scene.sandbox.account(), server_account(&scene.database, &scene.user));
    }
}

/// The server would keep the greater value for good, and give it back when the ledger is made anew.
#[test]
fn a_sum_that_is_wrong_under_a_daemon_reaches_no_server() {
    let scene = Scene::published(104);
    let mut daemon = scene.run();
    let session = scene.tree.truth().account().sessions.into_keys().next().expect("a session");
    let database = rusqlite::Connection::open(ledger(&scene)).expect("it opens");
    let wrong =
        "UPDATE cell SET output = output + 1048576 WHERE session = (SELECT id FROM session WHERE name = ?1)";
    assert!(database.execute(wrong, [&session]).expect("a ledger can be damaged") > 0);
    let later = reply("later").replace("\"s-1\"", &format!("\"{session}\""));
    scene.sandbox.write_log("-p/later.jsonl", &later);
    daemon.wait_for("the ledger is damaged");
    let messages = scene.tree.truth().messages() + 1;
    eventually("the reply is sent", || server_account(&scene.database, &scene.user).messages() == messages);
    daemon.stop();
    let account = scene.sandbox.account();
    assert_eq!(account, server_account(&scene.database, &scene.user));
    let [now, truth] =
        [&account, &scene.tree.truth().account()].map(|account| account.sessions[&session].tokens[1]);
    assert_eq!(now, truth + 2, "and what it has is right");
}
