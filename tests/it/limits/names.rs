//! Deep folders, long names, paths that are too long for the system, names that are no text.

use super::{append, append_and_wait, said};
use crate::process::{Daemon, Sandbox, reply, succeed};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn logs_in_deep_folders_and_with_long_names_are_followed() {
    let sandbox = Sandbox::new();
    let longest = "n".repeat(255 - ".jsonl".len()) + ".jsonl";
    let nested = |name: &str, depth| vec![name; depth].join("/");
    let logs = [
        nested("ten", 10) + "/s.jsonl",
        nested("d", 200) + "/s.jsonl",
        format!("-p/{longest}"),
        // 14 of the longest names: within what a path may have, and no further one would be.
        nested(&"f".repeat(255), 14) + "/s.jsonl",
    ];
    for (number, log) in logs.iter().enumerate() {
        sandbox.write_log(log, &reply(&format!("first{number}")));
    }
    let daemon = Daemon::following(&sandbox);
    assert_eq!(sandbox.responses(), 4);
    for (number, log) in logs.iter().enumerate() {
        append_and_wait(&sandbox, log, &format!("more{number}x"), 2);
    }
    let told = daemon.stop();
    assert_eq!((said(&told, "WARN"), sandbox.account().messages()), (0, 12), "{told:#?}");
}

#[test]
fn a_path_longer_than_the_system_takes_is_told_of_once_and_harms_no_other() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("first"));
    fs::write(sandbox.path("line"), reply("deep")).expect("a file can be written");
    // Step by step, since no call takes the whole path.
    let script = "line=$PWD/line; cd claude/projects; name=$(printf '%0255d' 0); \
        for step in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do mkdir $name; cd -P $name 2>/dev/null || cd ./$name; done; \
        cp $line ./s.jsonl";
    let made =
        Command::new("bash").args(["-c", script]).current_dir(sandbox.path("")).output().expect("bash runs");
    if !made.status.success() {
        println!("skipped: a path of 17 times 255 bytes cannot be made here");
        return;
    }
    let daemon = Daemon::following(&sandbox);
    append_and_wait(&sandbox, "-p/s.jsonl", "more", 2);
    let told = daemon.stop();
    assert_eq!((said(&told, "cannot be listed"), said(&told, "too long")), (1, 1), "{told:#?}");
    assert_eq!(sandbox.responses(), 3);
    succeed(Command::new("rm").arg("-rf").arg(sandbox.projects()));
}

#[test]
fn names_that_are_no_text_are_followed_like_others() {
    let sandbox = Sandbox::new();
    let named = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let logs = [
        named(b"-p\xff/s.jsonl"),
        named(b"-p\xfe/s.jsonl"),
        named(b"-p/\x80\xff.jsonl"),
        named(b"-p/new\nline and \x1b[31m.jsonl"),
    ];
    for (number, log) in logs.iter().enumerate() {
        let path = sandbox.projects().join(log);
        fs::create_dir_all(path.parent().expect("is in a folder")).expect("a folder can be made");
        fs::write(path, reply(&format!("first{number}"))).expect("a log can be written");
    }
    let daemon = Daemon::following(&sandbox);
    assert_eq!(sandbox.responses(), 4);
    for (number, log) in logs.iter().enumerate() {
        append(&sandbox.projects().join(log), &reply(&format!("more{number}")));
        sandbox.wait_for_responses(5 + number as u64);
    }
    daemon.stop();
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), 8);
}
