//! Following live: while `tallyd run` follows, logs grow line by line and in torn pieces over many
//! files at once, in folders made on the way; all along and at the end the ledger is exact.
#![cfg(test)]

use crate::logs::Tree;
use crate::process::{Daemon, Sandbox, eventually, files_below, reply, succeed};
use crate::random::Random;
use crate::replay::{Cut, Replay};
use pretty_assertions::assert_eq;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How often the writer stops until the ledger has all that was written.
const STOPS: usize = 25;

/// The part of the recorded logs that the shorter run replays.
const SHORT_BYTES: u64 = 20_000_000;

fn is_long() -> bool {
    std::env::var_os("TALLYD_LONG").is_some()
}

fn follow_a_generated_tree(what: &str, cut: Cut) {
    let mut random = Random::exploring(what);
    let tree = Tree::generate(random.next(), if is_long() { 400 } else { 60 });
    let sandbox = Sandbox::new();
    let mut replay = Replay::new(&sandbox.projects(), tree.files(), random);
    let share = replay.size() / STOPS + 1;
    // The first share is there before the daemon is.
    replay.write_bytes(share, cut);
    let daemon = Daemon::following(&sandbox);
    while replay.written() < replay.size() {
        replay.write_bytes(share, cut);
        sandbox.wait_for_responses(replay.responses(&tree));
    }
    let truth = tree.truth().account();
    assert_eq!(sandbox.settled(&truth), truth);
    daemon.stop();
    sandbox.scan();
    assert_eq!(sandbox.account(), truth, "a scan after following changes nothing");
}

#[test]
fn logs_that_grow_line_by_line_are_counted_exactly() {
    follow_a_generated_tree("line by line", Cut::Lines);
}

#[test]
fn logs_that_grow_in_torn_pieces_are_counted_exactly() {
    follow_a_generated_tree("torn pieces", Cut::Torn(900));
}

#[test]
fn recorded_logs_replayed_give_what_a_scan_gives() {
    let recorded = tempfile::tempdir().expect("a temporary folder can be made");
    let files = recorded_files(recorded.path());
    assert!(!files.is_empty(), "neither an archive of real logs nor fixtures/ has a log");
    let mut random = Random::exploring("recorded logs");
    let (live, scanned) = (Sandbox::new(), Sandbox::new());
    let daemon = Daemon::following(&live);
    let mut replay = Replay::new(&live.projects(), files, Random::new(random.next()));
    while replay.write_piece(if random.chance(50) { Cut::Lines } else { Cut::Torn(60_000) }) {}
    fs::create_dir_all(scanned.claude()).expect("a folder can be made");
    std::os::unix::fs::symlink(live.projects(), scanned.projects()).expect("a link can be made");
    scanned.scan();
    live.wait_for_responses(scanned.responses());
    for kind in ["daily", "session", "model"] {
        let expected = scanned.report(kind);
        eventually(&format!("{kind} as scanned"), || live.report(kind) == expected);
    }
    daemon.stop();
}

#[test]
fn what_lies_beside_a_folder_that_is_waited_for_is_not_counted() {
    let sandbox = Sandbox::new();
    let waiting = sandbox.path("waiting");
    fs::create_dir(&waiting).expect("a folder can be made");
    fs::create_dir_all(sandbox.projects()).expect("a folder can be made");
    let mut daemon = Daemon::start(sandbox.tallyd("run").arg("--claude-dir").arg(&waiting));
    daemon.wait_for("not there yet");
    daemon.wait_for("following");
    // The folder above the missing one is watched. What happens later is told of later, so that the
    // stranger has been looked at when the replies after it are counted.
    for number in 0..5 {
        fs::write(waiting.join(format!("{number}.jsonl")), reply(&format!("stranger{number}")))
            .expect("a log");
        sandbox.write_log(&format!("-p/{number}.jsonl"), &reply(&format!("own{number}")));
        eventually("the reply is counted", || sandbox.responses() > number);
    }
    assert_eq!(sandbox.responses(), 5, "strangers are counted");
    fs::create_dir(waiting.join("projects")).expect("a folder can be made");
    fs::write(waiting.join("projects/s.jsonl"), reply("late")).expect("a log");
    eventually("the folder waited for is read", || sandbox.responses() > 5);
    daemon.stop();
    assert_eq!(sandbox.responses(), 6);
}

#[test]
fn what_is_written_to_the_target_of_a_link_is_counted() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/plain.jsonl", &reply("A"));
    let target = sandbox.path("target.jsonl");
    fs::write(&target, reply("B")).expect("a log");
    std::os::unix::fs::symlink(&target, sandbox.projects().join("-p/link.jsonl")).expect("a link");
    let config = sandbox.path("tallyd.toml");
    fs::write(&config, "[follow]\npoll_seconds = 1\n").expect("a config can be written");
    let mut daemon = Daemon::start(sandbox.tallyd("run").arg("--config").arg(&config));
    daemon.wait_for("following");
    assert_eq!(sandbox.responses(), 2);
    for number in 0..2 {
        let mut log = fs::File::options().append(true).open(&target).expect("the target is there");
        log.write_all(reply(&format!("later{number}")).as_bytes()).expect("a line can be written");
        sandbox.wait_for_responses(3 + number);
    }
    daemon.stop();
}

/// The real logs where their archive is at hand, else the project's own fixtures.
fn recorded_files(unpacked: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let archive = corpora().join("real-logs.tar.xz");
    if archive.is_file() {
        succeed(Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(unpacked));
        return logs_below(unpacked, if is_long() { u64::MAX } else { SHORT_BYTES });
    }
    println!("no {}: the project's fixtures are replayed instead", archive.display());
    logs_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"), u64::MAX)
}

/// `$TALLYD_CORPORA`, else a folder beside the checkout.
fn corpora() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join("corpora");
    std::env::var_os("TALLYD_CORPORA").map_or_else(beside, PathBuf::from)
}

/// Logs from all over the tree, up to about this many bytes.
fn logs_below(folder: &Path, most: u64) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut paths = files_below(folder);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    // Spread over all folders, the same ones each time.
    paths.sort_by_key(|path| path.file_name().map(std::ffi::OsStr::to_owned));
    let (mut files, mut bytes) = (BTreeMap::new(), 0);
    for path in paths {
        let content = fs::read(&path).expect("a log can be read");
        bytes += u64::try_from(content.len()).expect("a length fits");
        files.insert(path.strip_prefix(folder).expect("was found there").to_owned(), content);
        if bytes >= most {
            break;
        }
    }
    files
}
