//! The system's limits, lowered for one process for real: file events, room on the disk, open files, and
//! files that are many, long or deep. tallyd says once what it lacks, loses and doubles nothing, keeps its
//! memory bounded, and goes on by itself when there is room again.
#![cfg(test)]

mod descriptors;
mod events;
mod long;
mod many;
mod names;
mod namespace;
mod room;

use crate::process::{Daemon, Sandbox, reply};
use std::fs;
use std::io::Write;
use std::path::Path;

fn is_long() -> bool {
    std::env::var_os("TALLYD_LONG").is_some()
}

/// A config with these keys under `[follow]`.
fn config(sandbox: &Sandbox, follow: &str) -> std::path::PathBuf {
    let path = sandbox.path("tallyd.toml");
    fs::write(&path, format!("[follow]\n{follow}\n")).expect("a config can be written");
    path
}

fn append(log: &Path, text: &str) {
    let mut log = fs::File::options().append(true).open(log).expect("the log is there");
    log.write_all(text.as_bytes()).expect("a line can be written");
}

/// A figure of `/proc/PID/status` in kB.
fn status(daemon: &Daemon, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("the daemon runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("Linux tells of it");
    line.split_whitespace().nth(1).and_then(|figure| figure.parse().ok()).expect("a figure")
}

fn open_files(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.id())).expect("the daemon runs").count()
}

/// How many of the lines hold this.
fn said(told: &[String], what: &str) -> usize {
    told.iter().filter(|line| line.contains(what)).count()
}

/// Replies of a session of their own, one after the other counted before the next is written: what is not told
/// of by an event waits for the next look at everything.
fn append_and_wait(sandbox: &Sandbox, log: &str, name: &str, count: u64) {
    let before = sandbox.responses();
    for number in 1..=count {
        append(&sandbox.projects().join(log), &reply(&format!("{name}{number}")));
        sandbox.wait_for_responses(before + number);
    }
}
