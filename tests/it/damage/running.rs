//! Ledgers that are damaged under a running daemon: mended without a restart, whoever meets the damage first.
#![cfg(test)]

use super::{file, mend, put_aside, scanned, write};
use crate::process::{Daemon, eventually, reply};
use pretty_assertions::assert_eq;
use rusqlite::Connection;

#[test]
fn damage_under_a_daemon_is_mended_without_a_restart() {
    let (sandbox, tree) = scanned(65);
    let mut daemon = Daemon::following(&sandbox);
    // In place: the daemon has the file open, and nothing of it in its write-ahead log.
    write(&file(&sandbox), &b"no database\n".repeat(5_000));
    daemon.signal("HUP");
    let told = daemon.wait_for("the ledger is damaged");
    assert!(told.contains("takes its place") || told.contains("made from the logs"), "{told}");
    daemon.wait_for("cannot be read to its end");
    assert_eq!(sandbox.settled(&tree.truth().account()), tree.truth().account());
    // A table begins at a page that is not there, and other connections have to read that anew.
    let ledger = Connection::open(file(&sandbox)).expect("it opens");
    let damage = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 999999 WHERE name = 'response'; \
                  PRAGMA schema_version = 4242";
    ledger.execute_batch(damage).expect("a ledger can be damaged");
    drop(ledger);
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    daemon.wait_for("the ledger is damaged");
    sandbox.wait_for_responses(tree.truth().messages() + 1);
    // Until all logs are read again, a report says that and no less.
    eventually("it is made anew", || {
        sandbox.tallyd("daily").arg("--no-scan").output().is_ok_and(|output| output.status.success())
    });
    assert_eq!(sandbox.account().messages(), tree.truth().messages() + 1);
    assert_eq!(put_aside(&sandbox).len(), 2);
    daemon.stop();
    sandbox.check_integrity();
    assert_eq!(mend(&sandbox), "", "it was left whole");
}

#[test]
fn damage_while_the_ledger_cannot_be_written_is_mended_at_the_next_try() {
    let (sandbox, tree) = scanned(72);
    let mut daemon = Daemon::following(&sandbox);
    let other = Connection::open(file(&sandbox)).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    daemon.wait_for("the ledger cannot be written");
    write(&file(&sandbox), &b"no database\n".repeat(5_000));
    drop(other);
    // The next look at everything that is due by itself is minutes away.
    daemon.wait_for("the ledger is damaged");
    sandbox.wait_for_responses(tree.truth().messages() + 1);
    daemon.stop();
    assert_eq!(sandbox.account().messages(), tree.truth().messages() + 1);
    assert_eq!(put_aside(&sandbox).len(), 1);
}

#[test]
fn damage_that_is_found_at_the_very_end_is_mended_by_the_next_start() {
    let (sandbox, tree) = scanned(75);
    let daemon = Daemon::following(&sandbox);
    let ledger = Connection::open(file(&sandbox)).expect("it opens");
    ledger.execute_batch("UPDATE cell SET output = output + 1").expect("a ledger can be damaged");
    drop(ledger);
    // The one has it looked through at the next look at everything, which the other makes the last; where this test is
    // held up between the two, it is mended before that.
    daemon.signal("HUP");
    let told = daemon.stop().concat() + &mend(&sandbox);
    assert!(told.contains("the ledger is damaged"), "{told}");
    assert_eq!(sandbox.account(), tree.truth().account());
}
