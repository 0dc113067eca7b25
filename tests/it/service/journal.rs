//! The log where stderr is the journal: a stream socket that `$JOURNAL_STREAM` names. And how much of it there is.
#![cfg(test)]

use crate::process::{Sandbox, reply, text};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

/// Runs a command to its end with a journal for its stderr, which the variable names as `name` makes it; what arrives
/// there.
fn journal(command: &mut Command, name: impl Fn(u64, u64) -> String) -> String {
    let (mut here, there) = UnixStream::pair().expect("a pair of sockets can be made");
    let there = File::from(OwnedFd::from(there));
    let stream = there.metadata().expect("a socket has an inode");
    command.env("JOURNAL_STREAM", name(stream.dev(), stream.ino()));
    let mut child = command.stderr(OwnedFd::from(there)).spawn().expect("tallyd starts");
    // The command holds the other end, too.
    command.stderr(std::process::Stdio::null());
    let mut told = Vec::new();
    here.read_to_end(&mut told).expect("what is said can be read");
    child.wait().expect("a child can be waited for");
    text(&told)
}

#[test]
fn lines_for_the_journal_have_their_priority_and_no_time() {
    let sandbox = Sandbox::new();
    sandbox.write_log(
        "-p/s.jsonl",
        &(reply("A") + "{\"type\":\"assistant\",\"message\":{\"usage\":{\"input_tokens\":\n"),
    );
    let scan = || {
        let mut command = sandbox.tallyd("scan");
        command.args(["--log-level", "debug"]);
        command
    };
    let told = journal(&mut scan(), |device, inode| format!("{device}:{inode}"));
    assert!(told.lines().any(|line| line.starts_with("<4>WARN ")), "{told}");
    for line in told.lines() {
        assert!(
            ["<4>WARN ", "<6>INFO ", "<7>DEBUG "].iter().any(|start| line.starts_with(start)),
            "{line}\n{told}"
        );
        assert!(!line.contains("Z  WARN") && !line.contains('\u{1b}'), "{line}");
    }
    std::fs::remove_dir_all(sandbox.state()).expect("the ledger can be removed");
    // The variable was inherited, and stderr is another: a plain line.
    let told = journal(&mut scan(), |device, inode| format!("{device}:{}", inode + 1));
    assert!(!told.contains("<4>") && told.contains("Z  WARN "), "{told}");
    std::fs::remove_dir_all(sandbox.state()).expect("the ledger can be removed");
    let told = journal(scan().args(["--log-format", "json"]), |device, inode| format!("{device}:{inode}"));
    assert!(told.lines().all(|line| line.starts_with('{')) && told.contains("\"level\":\"WARN\""), "{told}");
}

#[test]
fn the_error_that_ends_it_is_an_error_in_the_journal() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.tallyd("run");
    command.env("TALLYD_LEDGER_BACKUP", "perhaps");
    let told = journal(&mut command, |device, inode| format!("{device}:{inode}"));
    assert!(told.starts_with("<3>error: ") && told.contains("\n<3>help: "), "{told}");
    assert!(told.lines().all(|line| line.starts_with("<3>")), "{told}");
}

/// Twenty logs with two hundred bad lines each, there from the start.
#[test]
fn a_flood_of_bad_lines_is_told_in_part_and_as_a_number() {
    let sandbox = Sandbox::new();
    for number in 0..20 {
        let bad = "{\"type\":\"assistant\",\"message\":{\"usage\":{\"input_tokens\":\n".repeat(200);
        sandbox.write_log(&format!("-p/{number}.jsonl"), &(bad + &reply(&format!("L{number}"))));
    }
    let mut daemon = crate::process::Daemon::following(&sandbox);
    let told = std::mem::take(&mut daemon.told);
    let warnings = told.iter().filter(|line| line.contains(" WARN ")).count();
    assert!((100..110).contains(&warnings), "{warnings}:\n{}", told.join("\n"));
    assert!(told.iter().any(|line| line.contains("is told as a number")), "{}", told.join("\n"));
    assert_eq!(sandbox.responses(), 20);
    daemon.stop();
}
