//! Long lines and huge files: memory is bounded by the longest line that is allowed, the next lines count, other
//! files are not held up, and a pass that ends in the middle goes on there.

use super::{append, append_and_wait, config, is_long, status};
use crate::process::{Daemon, Sandbox, eventually, reply};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Peak of resident memory in kB while a line of any length is read.
const MEMORY: u64 = 96 << 10;

const HUNDRED_MEGABYTES: usize = 100_000_000;

/// A line of about this length which holds usage, so that something may be lost with it.
fn long_line(id: &str, bytes: usize) -> String {
    reply(id).replace("\"role\"", &format!("\"content\":\"{}\",\"role\"", "x".repeat(bytes)))
}

#[test]
fn a_line_longer_than_allowed_is_told_of_and_harms_nothing_but_itself() {
    let sandbox = Sandbox::new();
    let line = long_line("long", HUNDRED_MEGABYTES);
    sandbox.write_log("-p/long.jsonl", &(reply("before") + &line + &reply("behind")));
    sandbox.write_log("-p/other.jsonl", &reply("other"));
    let mut daemon = Daemon::following(&sandbox);
    assert_eq!(sandbox.responses(), 3);
    append_and_wait(&sandbox, "-p/long.jsonl", "later", 2);
    let peak = status(&daemon, "VmHWM");
    println!("a line of {} bytes: {peak} kB at most", line.len());
    assert!(peak <= MEMORY, "{peak} kB");
    daemon.signal("TERM");
    assert_eq!(daemon.exit_code(), Some(0));
    let offset = format!("offset={}", reply("before").len());
    let warned: Vec<_> = daemon.told.iter().filter(|line| line.contains("longer than allowed")).collect();
    assert!(warned.len() == 1 && warned[0].contains(&offset), "{:#?}", daemon.told);
}

#[test]
fn lines_as_long_as_allowed_count() {
    let sandbox = Sandbox::new();
    let limit = 16 << 20;
    let longest = limit - (long_line("A", 0).len() - 1);
    for (name, length) in [("A", longest), ("B", longest + 1)] {
        sandbox.write_log(
            &format!("-p/{name}.jsonl"),
            &(long_line(name, length) + &reply(&format!("behind{name}"))),
        );
    }
    let daemon = Daemon::following(&sandbox);
    assert_eq!(sandbox.responses(), 3, "A, and what is behind both");
    let peak = status(&daemon, "VmHWM");
    assert!(peak <= MEMORY, "{peak} kB");
    daemon.stop();
}

#[test]
fn a_line_that_goes_on_without_an_end_holds_nothing_up_and_is_skipped_when_it_ends() {
    let sandbox = Sandbox::new();
    let log = sandbox.projects().join("-p/long.jsonl");
    sandbox.write_log("-p/long.jsonl", &reply("before"));
    sandbox.write_log("-p/other.jsonl", &reply("other"));
    let mut daemon = Daemon::following(&sandbox);
    let line = long_line("long", HUNDRED_MEGABYTES);
    let (first, rest) = line.split_at(line.len() - 30);
    append(&log, first);
    append_and_wait(&sandbox, "-p/other.jsonl", "meanwhile", 3);
    assert_eq!(sandbox.responses(), 5);
    append(&log, rest);
    append_and_wait(&sandbox, "-p/long.jsonl", "behind", 2);
    daemon.wait_for("longer than allowed");
    let peak = status(&daemon, "VmHWM");
    println!("a line of {} bytes that grows: {peak} kB at most", line.len());
    assert!(peak <= MEMORY, "{peak} kB");
    daemon.stop();
    assert_eq!(sandbox.account().messages(), 7);
}

/// Bytes that a huge file has left at least when its reading begins: as many as a recording of months has,
/// and in a short run a few shares of a pass.
fn huge() -> u64 {
    if is_long() { 2 << 30 } else { 192 << 20 }
}

/// A log that grows by a reply every so often among tool results.
struct Huge {
    log: PathBuf,
    /// What the ids of its replies begin with.
    name: String,
    size: u64,
    replies: u64,
}

impl Huge {
    fn new(log: PathBuf, name: &str) -> Self {
        fs::create_dir_all(log.parent().expect("is in a folder")).expect("a folder can be made");
        fs::write(&log, "").expect("a log can be written");
        Self { log, name: name.to_owned(), size: 0, replies: 0 }
    }

    fn grow_to(&mut self, size: u64) {
        let file = fs::File::options().append(true).open(&self.log).expect("the log is there");
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let result =
            format!("{{\"type\":\"user\",\"toolUseResult\":{{\"stdout\":\"{}\"}}}}\n", "y".repeat(60_000));
        while self.size < size {
            let lines = result.clone() + &reply(&format!("{}{}", self.name, self.replies));
            file.write_all(lines.as_bytes()).expect("there is room");
            self.size += lines.len() as u64;
            self.replies += 1;
        }
        file.flush().expect("there is room");
    }
}

/// One number from the ledger; 0 where there is none yet.
fn number(sandbox: &Sandbox, query: &str, value: &str) -> u64 {
    let Some(ledger) = sandbox.ledger() else { return 0 };
    let Ok(ledger) = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_ONLY) else { return 0 };
    let found = ledger.query_row(query, [value], |row| row.get(0));
    found.map_or(0, |number: i64| u64::try_from(number).expect("is not negative"))
}

/// Up to where a log was read.
fn offset(sandbox: &Sandbox, log: &Path) -> u64 {
    number(sandbox, "SELECT offset FROM file WHERE CAST(path AS TEXT) = ?1", &log.to_string_lossy())
}

/// How often a daemon is given the chance to be ended, or looked at, in the middle of a huge file: on a machine
/// that is busy, it may have come to the end by the time that anybody looks.
const CHANCES: usize = 8;

#[test]
fn a_huge_file_is_read_in_bounded_memory_and_goes_on_where_it_was_ended() {
    let sandbox = Sandbox::new();
    let mut file = Huge::new(sandbox.projects().join("-p/huge.jsonl"), "huge");
    let mut reached = 0;
    // Ended in order, and then not, in the middle of the file.
    for in_order in [true, false] {
        let in_the_middle = (0..CHANCES).any(|_| {
            file.grow_to(reached + huge());
            let mut daemon = Daemon::start(&mut sandbox.tallyd("run"));
            eventually("some of it is counted", || offset(&sandbox, &file.log) > reached);
            if in_order {
                daemon.signal("TERM");
                assert_eq!(daemon.exit_code(), Some(0));
            } else {
                daemon.kill();
            }
            reached = offset(&sandbox, &file.log);
            println!("read up to {reached} of {} bytes", file.size);
            reached < file.size
        });
        assert!(in_the_middle, "always at the end");
    }
    file.grow_to(reached + huge());
    let mut daemon = Daemon::start(&mut sandbox.tallyd("run"));
    daemon.wait_for("following");
    assert_eq!(sandbox.responses(), file.replies, "it follows when all is counted");
    let peak = status(&daemon, "VmHWM");
    println!("{} bytes: {peak} kB at most", file.size);
    assert!(peak <= MEMORY, "{peak} kB");
    let told = daemon.stop();
    let bytes = |line: &String| line.split("bytes=").nth(1)?.split(' ').next()?.parse::<u64>().ok();
    let read: u64 = told.iter().filter_map(bytes).sum();
    assert_eq!(read, file.size - reached, "nothing is read twice: {told:#?}");
    assert_eq!(sandbox.account().messages(), file.replies);
}

#[test]
fn what_is_written_while_a_huge_file_is_read_is_counted_before_that_is_done() {
    let sandbox = Sandbox::new();
    let small = sandbox.projects().join("-p/small.jsonl");
    sandbox.write_log("-p/small.jsonl", &reply("first"));
    let follow = config(&sandbox, "rescan_seconds = 86400");
    let mut daemon = Daemon::start(sandbox.tallyd("run").arg("--config").arg(follow));
    daemon.wait_for("following");
    let mut written = 1;
    let before_the_end = (0..CHANCES).any(|chance| {
        // It appears whole, so that one look finds all of it.
        let mut file = Huge::new(sandbox.path("beside/huge.jsonl"), &format!("huge{chance}x"));
        file.grow_to(huge());
        let log = sandbox.projects().join(format!("-p/huge{chance}.jsonl"));
        fs::rename(&file.log, &log).expect("is there");
        eventually("some of it is counted", || offset(&sandbox, &log) > 0);
        append(&small, &reply(&format!("meanwhile{chance}")));
        written += file.replies + 1;
        sandbox.wait_for_responses(written);
        // Responses are numbered as they are counted.
        let numbered = |id: &str| number(&sandbox, "SELECT id FROM response WHERE message_id = ?1", id);
        let last = format!("msg_01huge{chance}x{}", file.replies - 1);
        fs::remove_file(&log).expect("is there");
        numbered(&format!("msg_01meanwhile{chance}")) < numbered(&last)
    });
    assert!(before_the_end, "always when the huge one was done");
    daemon.stop();
}
