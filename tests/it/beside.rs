//! Reports that may not be up to date, or not by the prices asked for: beside a daemon, from a folder that
//! cannot be written, without a look at the logs. They answer, and say on stderr what they are by.
#![cfg(test)]

use crate::logs::Tree;
use crate::process::{Daemon, Sandbox, eventually, fail, reply, text};
use crate::truth::{Sum, rows};
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// A sandbox with a few sessions in it.
fn with_logs(seed: u64) -> (Sandbox, Tree) {
    let (sandbox, tree) = (Sandbox::new(), Tree::generate(seed, 3));
    tree.write(&sandbox.projects());
    (sandbox, tree)
}

/// The days that a report shows, and what it says beside them.
fn asked(command: &mut Command) -> (BTreeMap<String, Sum>, String) {
    let output = command.args(["--json", "--timezone", "UTC"]).output().expect("tallyd runs");
    let told = text(&output.stderr);
    assert!(output.status.success(), "{}: {told}", output.status);
    (rows(&text(&output.stdout), "daily"), told)
}

/// A row that makes Sonnet cost a dollar a token of any kind.
const DEAR: &str = "[[models]]\nid = \"claude-sonnet-4-5-20250929\"\ninput = \"1000000\"\noutput = \"1000000\"\n\
                    cache_write_5m = \"1000000\"\ncache_write_1h = \"1000000\"\ncache_read = \"1000000\"\n\
                    source = \"a test\"\n";

#[test]
fn a_report_warns_where_the_costs_are_by_other_prices() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    sandbox.scan();
    let prices = sandbox.path("prices.toml");
    fs::write(&prices, DEAR).expect("prices can be written");
    let daily = |more: &[&str]| asked(sandbox.tallyd("daily").args(more));
    let with_prices = |more: &[&str]| asked(sandbox.tallyd("daily").args(more).arg("--prices").arg(&prices));
    let (shipped, told) = daily(&["--no-scan"]);
    assert_eq!(told, "");
    let (same, told) = with_prices(&["--no-scan"]);
    assert_eq!(same, shipped, "costs are stored");
    assert!(told.contains("WARN") && told.contains("other prices"), "{told}");
    let (dearer, told) = with_prices(&[]);
    assert_eq!((dearer["2026-09-01"].cost, told.as_str()), (3_000_000_000_000, ""), "three tokens");
    let (_, told) = daily(&["--no-scan"]);
    assert!(told.contains("other prices"), "{told}");
    assert_eq!(daily(&[]), (shipped, String::new()), "a look at the logs applies the prices in force");
}

#[test]
fn a_report_beside_a_daemon_warns_unless_the_daemon_follows_the_same_folders() {
    let (sandbox, tree) = with_logs(41);
    let daemon = Daemon::following(&sandbox);
    let days = tree.truth().account().days;
    assert_eq!(asked(&mut sandbox.tallyd("daily")), (days.clone(), String::new()));
    let lock = fs::read_to_string(sandbox.state().join("lock")).expect("a daemon holds the lock");
    let words: Vec<&str> = lock.split_whitespace().collect();
    let pid = daemon.id().to_string();
    assert_eq!(words[..3], ["run", pid.as_str(), "following"], "{lock}");
    let other = sandbox.path("other");
    let (shown, told) = asked(sandbox.bare().arg("daily").arg("--state-dir").arg(sandbox.state()).args([
        "--claude-dir",
        &*sandbox.claude().to_string_lossy(),
        "--claude-dir",
        &*{
            fs::create_dir(&other).expect("a folder can be made");
            other.to_string_lossy()
        },
    ]));
    assert_eq!(shown, days);
    assert!(told.contains("WARN") && told.contains("other folders") && told.contains(&pid), "{told}");
    daemon.stop();
    let (_, told) = asked(&mut sandbox.tallyd("daily"));
    assert_eq!(told, "", "what stands in a lock that nobody holds says nothing");
}

#[test]
fn a_report_beside_a_daemon_that_cannot_write_says_so() {
    let (sandbox, tree) = with_logs(42);
    let mut daemon = Daemon::following(&sandbox);
    let ledger = Connection::open(sandbox.ledger().expect("a daemon makes a ledger")).expect("it opens");
    let trigger =
        "CREATE TRIGGER refuse BEFORE INSERT ON response BEGIN SELECT RAISE (ABORT, 'refused'); END";
    ledger.execute_batch(trigger).expect("a trigger can be made");
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    daemon.wait_for("cannot be written");
    let (shown, told) = asked(&mut sandbox.tallyd("daily"));
    assert_eq!(shown, tree.truth().account().days, "what the ledger has");
    assert!(told.contains("WARN") && told.contains("cannot write"), "{told}");
    ledger.execute_batch("DROP TRIGGER refuse").expect("a trigger can be taken away");
    daemon.wait_for("can be written again");
    eventually("the reply is counted", || sandbox.responses() == tree.truth().messages() + 1);
    assert_eq!(asked(&mut sandbox.tallyd("daily")).1, "");
    daemon.stop();
}

#[test]
fn a_report_from_a_folder_that_cannot_be_written_says_so_and_shows_what_is_there() {
    let (sandbox, tree) = with_logs(43);
    sandbox.scan();
    // A lock that nobody can make, not even root.
    let lock = sandbox.state().join("lock");
    fs::remove_file(&lock).expect("a scan leaves its lock file");
    fs::create_dir(&lock).expect("a folder can be made");
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    let (shown, told) = asked(&mut sandbox.tallyd("daily"));
    assert_eq!(shown, tree.truth().account().days);
    assert!(told.contains("WARN") && told.contains("cannot be taken in"), "{told}");
    fail(&mut sandbox.tallyd("scan"), 4);
}
