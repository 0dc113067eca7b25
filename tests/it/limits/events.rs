//! File events that the system refuses or drops: tallyd polls meanwhile, says so once, and goes back to events
//! when the limit is raised. Nothing is lost.

use super::namespace::Namespace;
use super::{append, append_and_wait, config, said};
use crate::process::{Daemon, Sandbox, eventually, reply, succeed};
use std::fs;

const FOLDERS: usize = 6;

fn log(folder: usize) -> String {
    format!("-p{folder}/s.jsonl")
}

/// A sandbox with a log in each of a few folders.
fn with_folders() -> Sandbox {
    let sandbox = Sandbox::new();
    for folder in 0..FOLDERS {
        sandbox.write_log(&log(folder), &reply(&format!("first{folder}")));
    }
    sandbox
}

fn is_polling(sandbox: &Sandbox) -> bool {
    let metrics = succeed(&mut sandbox.tallyd("metrics"));
    let check = succeed(sandbox.tallyd("check").arg("--json"));
    let metric = metrics.contains("\ntallyd_daemon_polling 1\n");
    assert_eq!(check.contains("\"events\": false"), metric, "{check}");
    assert_eq!(
        succeed(&mut sandbox.tallyd("check")).contains("refuses the running tallyd file events"),
        metric
    );
    metric
}

/// The limit is lowered before tallyd starts, and raised while it runs.
fn check_that_it_polls_until_there_are_events_again(limit: &str, low: usize, refusal: &str) {
    let lower = format!("echo {low} > /proc/sys/user/{limit}");
    let Some(namespace) = Namespace::new(&lower) else { return };
    let sandbox = with_folders();
    let follow = config(&sandbox, "poll_seconds = 1\nrescan_seconds = 86400");
    let mut daemon = Daemon::start(namespace.tallyd(&sandbox, "run").arg("--config").arg(follow));
    daemon.wait_for("following");
    // A folder that is made now may be the one for which there is no watch left.
    sandbox.write_log("-late/s.jsonl", &reply("late"));
    sandbox.wait_for_responses(FOLDERS as u64 + 1);
    for folder in [0, FOLDERS - 1] {
        append_and_wait(&sandbox, &log(folder), &format!("polled{folder}"), 2);
    }
    eventually("it is told that there are no events", || is_polling(&sandbox));
    namespace.shell(&format!("echo 4096 > /proc/sys/user/{limit}"));
    daemon.wait_for("file events can be had again");
    eventually("it is told that there are events", || !is_polling(&sandbox));
    // From here on nothing but events tells of a line: the next look is a day away.
    for folder in 0..FOLDERS {
        append_and_wait(&sandbox, &log(folder), &format!("told{folder}"), 2);
    }
    append_and_wait(&sandbox, "-late/s.jsonl", "told", 2);
    let told = daemon.stop();
    assert_eq!((said(&told, refusal), said(&told, "WARN folder")), (1, 1), "{told:#?}");
    assert_eq!(said(&told, "file events can be had again"), 1, "{told:#?}");
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), sandbox.responses(), "sums are of what is there");
    assert_eq!(sandbox.responses(), FOLDERS as u64 * 3 + 7);
}

#[test]
fn without_watches_for_all_folders_it_polls_until_there_are_more() {
    check_that_it_polls_until_there_are_events_again("max_inotify_watches", 3, "cannot be watched");
}

#[test]
fn without_a_watch_for_a_new_folder_it_polls_until_there_are_more() {
    // The root and its folders.
    check_that_it_polls_until_there_are_events_again(
        "max_inotify_watches",
        FOLDERS + 1,
        "-late cannot be watched",
    );
}

#[test]
fn without_an_inotify_instance_it_polls_until_there_is_one() {
    check_that_it_polls_until_there_are_events_again("max_inotify_instances", 0, "file events cannot be had");
}

#[test]
fn more_events_than_the_queue_holds_lose_no_line() {
    let sandbox = with_folders();
    let follow = config(&sandbox, "rescan_seconds = 86400");
    let mut daemon = Daemon::start(sandbox.tallyd("run").arg("--config").arg(follow));
    daemon.wait_for("following");
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("Linux tells of it");
    let limit: usize = limit.trim().parse().expect("a figure");
    daemon.signal("STOP");
    // Each append opens, writes and closes, and the queue overflows by far: events that are alike are one only
    // where they follow each other.
    let appends = limit / 2 + 1_000;
    for number in 0..appends {
        append(&sandbox.projects().join(log(number % 2)), &reply(&format!("burst{number}")));
    }
    // The queue is full: nothing tells of these.
    fs::rename(sandbox.projects().join(log(2)), sandbox.projects().join("-p3/moved.jsonl"))
        .expect("is there");
    fs::remove_dir(sandbox.projects().join("-p2")).expect("is empty");
    for name in ["-p2/new.jsonl", "-new/deep/s.jsonl", "-p3/moved.jsonl"] {
        let path = sandbox.projects().join(name);
        let kept = fs::read_to_string(path).unwrap_or_default();
        sandbox.write_log(name, &(kept + &reply(&format!("untold{}", name.len()))));
    }
    daemon.signal("CONT");
    let written = u64::try_from(FOLDERS + appends).expect("fits") + 3;
    sandbox.wait_for_responses(written);
    // Watches are as they should be: events alone tell of these.
    for name in ["-p2/new.jsonl", "-new/deep/s.jsonl", "-p3/moved.jsonl", "-p4/s.jsonl"] {
        append_and_wait(&sandbox, name, &format!("after{}", name.len()), 1);
    }
    daemon.stop();
    assert_eq!(sandbox.account().messages(), written + 4);
    sandbox.check_integrity();
}
