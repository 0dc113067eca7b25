//! Files without number: each is counted and followed, memory goes by a few bytes a file, and a look at all of
//! them reads none again.

use super::{append_and_wait, config, is_long, open_files, status};
use crate::process::{Daemon, Sandbox, eventually, reply, succeed};
use std::fs;
use std::path::Path;

/// Folders, and logs in each of them.
fn size() -> (u64, u64) {
    if is_long() { (10_000, 10) } else { (500, 10) }
}

/// The most that may be resident, in kB, however many files there are.
const MEMORY: u64 = 64 << 10;

fn log(folder: u64, file: u64) -> String {
    let session = format!("{folder:08x}-0000-4000-8000-{file:012x}");
    format!("-home-dev-projects-number-{folder:05}/{session}.jsonl")
}

/// A reply of a session of the file's own.
fn own_reply(folder: u64, file: u64, number: u64) -> String {
    let session = format!("\"sessionId\":\"{folder}-{file}\"");
    reply(&format!("{folder}x{file}x{number}")).replace("\"sessionId\":\"s-1\"", &session)
}

fn write(projects: &Path) -> u64 {
    let (folders, files) = size();
    for folder in 0..folders {
        fs::create_dir_all(projects.join(log(folder, 0)).parent().expect("is in a folder"))
            .expect("a folder");
        for file in 0..files {
            let text = own_reply(folder, file, 0) + &own_reply(folder, file, 1);
            fs::write(projects.join(log(folder, file)), text).expect("a log can be written");
        }
    }
    folders * files
}

fn check_memory(daemon: &Daemon, when: &str) {
    let (peak, now) = (status(daemon, "VmHWM"), status(daemon, "VmRSS"));
    println!("{when}: {now} kB resident, {peak} kB at most, {} open files", open_files(daemon));
    assert!(peak <= MEMORY, "{when}: {peak} kB");
}

/// How often the daemon has looked at everything, by what it says of it.
fn wait_for_looks(daemon: &mut Daemon, looks: usize) {
    for _ in 0..looks {
        daemon.wait_for("looked at everything");
    }
}

#[test]
fn files_without_number_are_counted_and_followed_in_bounded_memory() {
    let sandbox = Sandbox::new();
    let files = write(&sandbox.projects());
    let follow = config(&sandbox, "rescan_seconds = 1");
    let run = || {
        let mut command = sandbox.tallyd("run");
        command.arg("--config").arg(&follow).env("TALLYD_LOG", "info,tallyd::daemon=debug");
        let mut daemon = Daemon::start(&mut command);
        // As long as it takes, if only it goes on.
        while sandbox.responses() < files * 2 {
            let seen = sandbox.responses();
            eventually("more is counted", || sandbox.responses() > seen);
        }
        daemon.wait_for("following");
        daemon
    };
    let mut daemon = run();
    assert_eq!(sandbox.responses(), files * 2);
    check_memory(&daemon, "after the first pass");
    wait_for_looks(&mut daemon, 3);
    check_memory(&daemon, "after looks at everything");
    let (folders, per_folder) = size();
    for (folder, file) in [(0, 0), (folders / 2, 1), (folders - 1, per_folder - 1)] {
        append_and_wait(&sandbox, &log(folder, file), &format!("more{folder}x"), 2);
    }
    // A whole project is moved: its files are known again and nothing of them is read twice.
    let folder_of =
        |number| sandbox.projects().join(log(number, 0)).parent().expect("is in a folder").to_owned();
    fs::rename(folder_of(1), sandbox.projects().join("-moved")).expect("is there");
    let moved = log(1, 3);
    let (_, name) = moved.split_once('/').expect("is in a folder");
    append_and_wait(&sandbox, &format!("-moved/{name}"), "moved", 1);
    assert!(open_files(&daemon) < 32, "{} open files", open_files(&daemon));
    daemon.stop();
    // A new process knows every file: nothing is read again.
    let mut daemon = run();
    wait_for_looks(&mut daemon, 2);
    check_memory(&daemon, "after a restart");
    let told = daemon.stop();
    let looks = told.iter().filter(|line| line.contains("looked at everything"));
    assert!(looks.clone().count() > 2 && looks.clone().all(|line| line.contains(" read=0 ")), "{told:#?}");
    let summary = succeed(&mut sandbox.tallyd("scan"));
    assert!(summary.contains(", 0 with something new"), "{summary}");
    check_each_file(&sandbox);
    sandbox.check_integrity();
}

/// Every file has its two replies, and those that were written to have theirs.
fn check_each_file(sandbox: &Sandbox) {
    let account = sandbox.account();
    let (folders, files) = size();
    for folder in 0..folders {
        for file in 0..files {
            let session = format!("{folder}-{file}");
            let sum = account.sessions.get(&session).unwrap_or_else(|| panic!("{session} is missing"));
            assert_eq!((sum.messages, sum.tokens), (2, [2, 4, 0, 0, 0]), "{session}");
        }
    }
    assert_eq!(account.messages(), folders * files * 2 + 7);
}
