//! No room and no right to write: under the ledger, under the logs, in the temporary folder. Counting waits
//! where it is, reports go on with what there is, and nothing is lost or doubled when there is room again.

use super::namespace::{Namespace, fill, small};
use super::said;
use crate::process::{Daemon, Sandbox, eventually, fail, files_below, reply, succeed, text};
use rusqlite::Connection;
use std::fs;
use std::process::Command;

/// So many that no room that a ledger keeps for itself is enough.
const MANY: u64 = 6_000;

fn replies(name: &str, count: u64) -> String {
    (0..count).map(|number| reply(&format!("{name}{number}"))).collect()
}

fn check_that_it_is_told(namespace: &Namespace, sandbox: &Sandbox, failing: bool) {
    let metrics = succeed(&mut namespace.tallyd(sandbox, "metrics"));
    assert!(metrics.contains(&format!("\ntallyd_daemon_failing {}\n", u8::from(failing))), "{metrics}");
    let check = namespace.tallyd(sandbox, "check").output().expect("tallyd runs");
    assert_eq!(check.status.code(), Some(if failing { 7 } else { 0 }), "{}", text(&check.stdout));
    assert_eq!(text(&check.stdout).contains("the running tallyd cannot write it"), failing);
}

#[test]
fn a_full_disk_under_the_ledger_holds_counting_up_until_there_is_room() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &replies("early", 10));
    let Some(namespace) = Namespace::new(&small(&sandbox.state(), "16m")) else { return };
    let mut run = namespace.tallyd(&sandbox, "run");
    let mut daemon = Daemon::start(run.env("TALLYD_LOG", "info,tallyd::daemon=debug"));
    daemon.wait_for("following");
    check_that_it_is_told(&namespace, &sandbox, false);
    namespace.shell(&fill(&sandbox.state()));
    sandbox.write_log("-p/many.jsonl", &replies("many", MANY));
    let failed = daemon.wait_for("cannot be written");
    assert!(failed.contains("full"), "{failed}");
    daemon.wait_for("still cannot be written");
    check_that_it_is_told(&namespace, &sandbox, true);
    assert_eq!(namespace.responses(&sandbox), 10, "a pass that fails counts nothing by half");
    let beside = namespace.tallyd(&sandbox, "daily").output().expect("tallyd runs");
    assert!(
        beside.status.success() && text(&beside.stderr).contains("cannot write the ledger at the moment")
    );
    sandbox.write_log("-q/later.jsonl", &replies("later", 5));
    namespace.shell(&format!("rm {}", sandbox.state().join("ballast").display()));
    daemon.wait_for("can be written again");
    eventually("all is counted", || namespace.responses(&sandbox) == MANY + 15);
    check_that_it_is_told(&namespace, &sandbox, false);
    let told = daemon.stop();
    assert_eq!(said(&told, "the ledger cannot be written"), 1, "{told:#?}");
    succeed(&mut namespace.tallyd(&sandbox, "scan"));
    assert_eq!(namespace.responses(&sandbox), MANY + 15, "a scan afterwards finds nothing new");
}

/// Room runs out when the new ledger has its name and is opened, or when the first is written into it: that one is
/// sound, and nothing that the next try would have to put aside.
#[test]
fn a_disk_that_fills_up_while_a_ledger_is_made_anew_costs_time_alone() {
    let fresh = Sandbox::new();
    fs::create_dir_all(fresh.projects()).expect("a folder can be made");
    fresh.scan();
    let size = fs::metadata(fresh.ledger().expect("a ledger")).expect("it is there").len() / 1024;
    for room in [16, 32] {
        let sandbox = Sandbox::new();
        let state = sandbox.state();
        sandbox.write_log("-p/a.jsonl", &replies("a", 10));
        let Some(namespace) = Namespace::new(&small(&state, "16m")) else { return };
        let mut run = namespace.tallyd(&sandbox, "run");
        let run = run.env("TALLYD_LEDGER_BACKUP", "false").env("TALLYD_LOG", "info,tallyd::daemon=debug");
        let mut daemon = Daemon::start(run);
        daemon.wait_for("following");
        let (ballast, ledger) = (state.join("ballast"), state.join("ledger.sqlite"));
        namespace.shell(&fill(&state));
        namespace.shell(&format!("truncate -s -{}k {}", size + room, ballast.display()));
        namespace.shell(&format!("yes damage | head -c 4096 | dd of={} conv=notrunc", ledger.display()));
        daemon.signal("HUP");
        daemon.wait_for("still cannot be written");
        let aside = format!("ls {}* | grep -c 'damaged-[^-]*$'", ledger.display());
        assert_eq!(namespace.shell(&aside), "1\n", "{room}: it was made, and then there was no room");
        // What is in the way of new prices is in the way of the rest, too, and no reason to forget that.
        daemon.signal("HUP");
        daemon.wait_for("new prices could not be applied");
        namespace.shell(&format!("rm {}", ballast.display()));
        daemon.wait_for("can be written again");
        eventually("all is counted", || namespace.responses(&sandbox) == 10);
        assert_eq!(namespace.shell(&aside), "1\n", "{room}: the new one stays where it is");
        let metrics = succeed(&mut namespace.tallyd(&sandbox, "metrics"));
        assert!(metrics.contains("\ntallyd_ledger_rebuilds_total 1\n"), "{room}: {metrics}");
        let told = daemon.stop();
        assert_eq!((said(&told, "the ledger is damaged"), said(&told, "to its end")), (1, 1), "{told:#?}");
    }
}

#[test]
fn a_full_disk_at_start_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &replies("a", 3));
    let state = sandbox.state();
    let setup = format!("{} && {}", small(&state, "64k"), fill(&state));
    let Some(namespace) = Namespace::new(&setup) else { return };
    for subcommand in ["run", "scan", "daily"] {
        let output = namespace.tallyd(&sandbox, subcommand).output().expect("tallyd runs");
        let told = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(4 | 7)), "{subcommand}: {} {told}", output.status);
        assert!(told.contains("No space left") || told.contains("full"), "{subcommand}: {told}");
    }
    namespace.shell(&format!("mount -o remount,size=16m {}", state.display()));
    namespace.shell(&format!("rm {}", state.join("ballast").display()));
    succeed(&mut namespace.tallyd(&sandbox, "scan"));
    assert_eq!(namespace.responses(&sandbox), 3);
}

#[test]
fn a_line_that_a_full_disk_has_cut_counts_once_it_is_whole() {
    let sandbox = Sandbox::new();
    let projects = sandbox.projects();
    let Some(namespace) = Namespace::new(&small(&projects, "1m")) else { return };
    // More than the rest of a page, so that the last write is cut.
    let (before, width) = (replies("first", 10), reply("a10").len());
    let lines = |name: &str| (10..60).map(|number| reply(&format!("{name}{number}"))).collect::<String>();
    for (name, text) in [("first", before.clone()), ("a", lines("a")), ("b", lines("b")), ("c", reply("c"))] {
        fs::write(sandbox.path(name), text).expect("a file can be written");
    }
    let shell = |script: &str| {
        namespace.shell(&format!(
            "cd {}; log={}/-p; {script}",
            sandbox.path("").display(),
            projects.display()
        ))
    };
    shell("mkdir $log; cat first > $log/a.jsonl; : > $log/b.jsonl; echo >> $log/b.jsonl");
    let mut daemon = Daemon::start(&mut namespace.tallyd(&sandbox, "run"));
    daemon.wait_for("following");
    namespace.shell(&fill(&projects));
    // As much as there is room for in what each file has already; then there is more.
    let sizes = shell(
        "for name in a b; do ! cat $name >> $log/$name.jsonl 2>/dev/null; stat -c %s $log/$name.jsonl; done; rm $log/../ballast",
    );
    let sizes: Vec<usize> = sizes.lines().map(|size| size.parse().expect("a size")).collect();
    let (in_a, in_b) = (sizes[0] - before.len(), sizes[1] - 1);
    assert!(in_a % width > 0 && in_b % width > 0, "lines were cut: {in_a} and {in_b} of {width}");
    // One writer goes on where it was; the other has crashed, and begins a line behind what is left of its last.
    shell(&format!("tail -c +{} a >> $log/a.jsonl; cat c >> $log/b.jsonl", in_a + 1));
    let expected = 10 + 50 + u64::try_from(in_b / width).expect("fits") + 1;
    sandbox.wait_for_responses(expected);
    let told = daemon.stop();
    assert_eq!(said(&told, "WARN"), 1, "what was never whole is told of: {told:#?}");
    succeed(&mut namespace.tallyd(&sandbox, "scan"));
    assert_eq!(sandbox.account().messages(), expected, "nothing twice");
}

/// Mounts a folder, or a file, over itself so that nobody can write it.
fn read_only(path: &std::path::Path) -> String {
    let path = path.display();
    format!("mount --bind {path} {path} && mount -o remount,bind,ro {path}")
}

#[test]
fn a_state_folder_or_ledger_that_is_read_only_is_named_and_reports_go_on() {
    for name in ["state", "state/ledger.sqlite"] {
        let sandbox = Sandbox::new();
        sandbox.write_log("-p/a.jsonl", &replies("a", 3));
        sandbox.scan();
        let Some(namespace) = Namespace::new(&read_only(&sandbox.path(name))) else { return };
        sandbox.write_log("-p/b.jsonl", &replies("b", 4));
        for subcommand in ["run", "scan"] {
            let output = namespace.tallyd(&sandbox, subcommand).output().expect("tallyd runs");
            let told = text(&output.stderr);
            assert!(
                matches!(output.status.code(), Some(4 | 7)),
                "{name} {subcommand}: {} {told}",
                output.status
            );
            assert!(told.to_lowercase().contains("read-only"), "{name} {subcommand}: {told}");
        }
        let report = namespace.tallyd(&sandbox, "daily").output().expect("tallyd runs");
        let told = text(&report.stderr);
        assert!(report.status.success() && told.contains("this is what the ledger has"), "{name}: {told}");
        assert_eq!(namespace.responses(&sandbox), 3);
        let check = fail_in(&namespace, &sandbox, "check", 7);
        assert!(check.to_lowercase().contains("read-only"), "{name}: {check}");
        let metrics = succeed(&mut namespace.tallyd(&sandbox, "metrics"));
        assert!(metrics.contains("\ntallyd_daemon_running 0\n"), "{name}: {metrics}");
        sandbox.scan();
        assert_eq!(sandbox.responses(), 7, "{name}: as soon as it can be written");
    }
}

/// Expects this exit code, and returns stdout.
fn fail_in(namespace: &Namespace, sandbox: &Sandbox, subcommand: &str, code: i32) -> String {
    let output = namespace.tallyd(sandbox, subcommand).output().expect("tallyd runs");
    let told = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{subcommand}: {told}");
    told
}

#[test]
fn logs_that_are_read_only_are_read() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &replies("a", 3));
    let Some(namespace) = Namespace::new(&read_only(&sandbox.claude())) else { return };
    succeed(&mut namespace.tallyd(&sandbox, "scan"));
    let mut daemon = Daemon::start(&mut namespace.tallyd(&sandbox, "run"));
    daemon.wait_for("following");
    // Whoever writes them sees the folder as it is.
    super::append_and_wait(&sandbox, "-p/a.jsonl", "later", 3);
    let told = daemon.stop();
    assert_eq!((said(&told, "WARN"), sandbox.responses()), (0, 6), "{told:#?}");
}

#[test]
fn a_ledger_that_may_not_be_written_any_more_holds_counting_up_until_it_may() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &replies("a", 3));
    let mut daemon = Daemon::following(&sandbox);
    // Not its shared memory: a process that writes there is ended by a signal, which no disk ever sends.
    let mut ledger_files = files_below(&sandbox.state());
    ledger_files.retain(|file| !file.ends_with("lock") && !file.to_string_lossy().ends_with("-shm"));
    let chattr = |how: &str| {
        Command::new("chattr")
            .arg(how)
            .args(&ledger_files)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !chattr("+i") {
        println!("skipped: files cannot be made immutable here");
        return;
    }
    sandbox.write_log("-p/b.jsonl", &replies("b", MANY));
    daemon.wait_for("cannot be written");
    let told = {
        let output = sandbox.tallyd("check").output().expect("tallyd runs");
        (output.status.code(), text(&output.stdout))
    };
    assert!(chattr("-i"), "what can be set can be taken back");
    assert_eq!(told.0, Some(7), "{}", told.1);
    daemon.wait_for("can be written again");
    sandbox.wait_for_responses(MANY + 3);
    assert_eq!(said(&daemon.stop(), "the ledger cannot be written"), 1);
    sandbox.check_integrity();
}

#[test]
fn a_full_temporary_folder_is_not_missed() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &replies("a", MANY));
    let temporary = sandbox.path("temporary");
    let setup = format!("{} && {}", small(&temporary, "64k"), fill(&temporary));
    let Some(namespace) = Namespace::new(&setup) else { return };
    let in_it = |subcommand: &str| {
        let mut command = namespace.tallyd(&sandbox, subcommand);
        command.env("TMPDIR", &temporary).env("SQLITE_TMPDIR", &temporary);
        command
    };
    succeed(&mut in_it("scan"));
    succeed(in_it("session").arg("--no-scan"));
    succeed(&mut in_it("metrics"));
    assert_eq!(sandbox.responses(), MANY);
}

#[test]
fn the_write_ahead_log_shrinks_when_a_reader_that_stayed_long_is_gone() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &replies("a", 10));
    let daemon = Daemon::following(&sandbox);
    let ledger = sandbox.ledger().expect("the daemon has made it");
    let log = || fs::metadata(format!("{}-wal", ledger.display())).map_or(0, |log| log.len());
    let reader = Connection::open(&ledger).expect("the ledger opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM response").expect("the ledger can be read");
    let mut written = 10;
    while log() < 10 << 20 {
        written += MANY;
        sandbox.write_log(&format!("-p/{written}.jsonl"), &replies(&format!("{written}x"), MANY));
        sandbox.wait_for_responses(written);
    }
    drop(reader);
    let mut number = 0;
    eventually("the log is small again", || {
        number += 1;
        sandbox.write_log(&format!("-q/{number}.jsonl"), &reply(&format!("late{number}")));
        sandbox.wait_for_responses(written + number);
        log() <= 8 << 20
    });
    daemon.stop();
    assert_eq!(sandbox.account().messages(), written + number);
}

#[test]
fn what_a_disk_has_no_room_for_ends_a_scan_that_goes_on_where_it_was() {
    let sandbox = Sandbox::new();
    let Some(namespace) = Namespace::new(&small(&sandbox.state(), "6m")) else { return };
    sandbox.write_log("-p/a.jsonl", &replies("a", 60_000));
    let told = fail(&mut namespace.tallyd(&sandbox, "scan"), 7);
    assert!(told.contains("full"), "{told}");
    let before = namespace.responses(&sandbox);
    assert!((1..60_000).contains(&before), "{before} responses");
    namespace.shell(&format!("mount -o remount,size=128m {}", sandbox.state().display()));
    let summary = succeed(&mut namespace.tallyd(&sandbox, "scan"));
    assert_eq!(namespace.responses(&sandbox), 60_000, "{summary}");
}
