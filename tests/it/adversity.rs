//! What may go wrong around a scan or a daemon: no room for the ledger, a ledger that is damaged or taken
//! away, hostile names. Nothing is counted by half, exit codes keep their promise, nothing forges the log.
#![cfg(test)]

use crate::logs::Tree;
use crate::process::{Daemon, Sandbox, fail, reply, succeed, text};
use pretty_assertions::assert_eq;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

#[test]
fn a_ledger_without_room_ends_a_scan_with_its_code_and_counts_nothing_by_half() {
    let (sandbox, tree) = (Sandbox::new(), Tree::generate(51, 20));
    tree.write(&sandbox.projects());
    sandbox.scan();
    let before = tree.truth();
    let more: String = (0..20_000).map(|number| reply(&format!("more{number}"))).collect();
    sandbox.write_log("-p/more.jsonl", &more);
    let mut counted = Vec::new();
    // Files of so many times 512 bytes; a write beyond that fails as on a full disk.
    for blocks in [300, 1_500, 2_500] {
        let setting = format!("trap '' XFSZ; ulimit -f {blocks}");
        let told = fail(&mut sandbox.tallyd_after(&setting, "scan"), 7);
        assert!(told.contains("space left"), "{told}");
        sandbox.check_integrity();
        let responses = sandbox.responses();
        assert_eq!(sandbox.account().messages(), responses, "sums are of what is there");
        counted.push(responses - before.messages());
    }
    // The first ends before anything is written, the last between two transactions.
    assert!(counted.is_sorted() && counted[0] == 0, "{counted:?}");
    assert!((1..20_000).contains(&counted[2]), "{counted:?}");
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), before.messages() + 20_000);
    let fresh = Sandbox::new();
    fs::create_dir(fresh.claude()).expect("a folder can be made");
    std::os::unix::fs::symlink(sandbox.projects(), fresh.projects()).expect("a link can be made");
    fresh.scan();
    assert_eq!(sandbox.account(), fresh.account());
}

#[test]
fn a_ledger_that_is_deleted_ends_the_daemon() {
    for whole_folder in [false, true] {
        let (sandbox, tree) = (Sandbox::new(), Tree::generate(52, 2));
        tree.write(&sandbox.projects());
        let config = sandbox.path("tallyd.toml");
        fs::write(&config, "[follow]\nrescan_seconds = 1\n").expect("a config can be written");
        let mut daemon = Daemon::start(sandbox.tallyd("run").arg("--config").arg(&config));
        daemon.wait_for("following");
        if whole_folder {
            // The daemon may be putting a file into it at this moment.
            while sandbox.state().exists() {
                let _ = fs::remove_dir_all(sandbox.state());
            }
        } else {
            fs::remove_file(sandbox.ledger().expect("there is a ledger")).expect("a file can be removed");
        }
        assert_eq!(daemon.exit_code(), Some(7), "{}", daemon.told.join("\n"));
        let told = daemon.told.join("\n");
        assert!(told.contains("was deleted or replaced") && told.contains("start tallyd again"), "{told}");
        sandbox.scan();
        assert_eq!(sandbox.account(), tree.truth().account(), "and the next one begins anew");
    }
}

/// Colours the terminal and begins a line that looks like one of the log.
const HOSTILE: &str = "a\u{1b}[31mred\n2026-01-01T00:00:00.000Z  INFO forged";

#[test]
fn names_from_logs_forge_no_line_and_drive_no_terminal() {
    let sandbox = Sandbox::new();
    let folder = sandbox.projects().join("-p");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let written = serde_json::to_string(HOSTILE).expect("a text is JSON");
    let reply = reply("A").replace("\"/home/dev/p\"", &written);
    assert!(reply.contains("forged"), "the reply has a working folder");
    let mut name = HOSTILE.as_bytes().to_vec();
    name.extend_from_slice(b"\xff.jsonl");
    fs::write(folder.join(OsStr::from_bytes(&name)), format!("oops\n{reply}")).expect("a log");
    let told = Daemon::following(&sandbox).stop();
    assert!(told.iter().any(|line| line.contains("INFO response") && line.contains("forged")), "{told:#?}");
    let scan = {
        fs::remove_dir_all(sandbox.state()).expect("a folder can be removed");
        sandbox.tallyd("scan").output().expect("tallyd runs")
    };
    let scanned = text(&scan.stderr);
    assert_eq!(scanned.lines().count(), 1, "one bad line: {scanned:?}");
    assert!(scanned.contains("forged"), "{scanned:?}");
    for line in told.iter().map(String::as_str).chain(scanned.lines()) {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(!line.starts_with("2026-01-01T00:00:00"), "{line:?}");
    }
    for kind in ["session", "project"] {
        let table = succeed(sandbox.tallyd(kind).arg("--no-scan"));
        assert!(!table.contains('\u{1b}') && !table.contains("\n2026-01-01T"), "{table:?}");
    }
}
