//! Lines and times as no client writes them, told as stories: a line that is whole only after a restart, a log
//! whose time jumps, a file that comes back again and again under one name, a machine that changes its zone.
#![cfg(test)]

use crate::process::{Daemon, Sandbox, reply, succeed};
use crate::truth::rows;
use chrono::{DateTime, TimeDelta, Utc};
use pretty_assertions::assert_eq;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, SystemTime};

fn append(sandbox: &Sandbox, bytes: &[u8]) {
    let path = sandbox.projects().join("-p/s.jsonl");
    fs::create_dir_all(path.parent().expect("is in a folder")).expect("a folder can be made");
    let mut log = File::options().append(true).create(true).open(path).expect("a log can be opened");
    log.write_all(bytes).expect("a log can be written");
}

#[test]
fn a_line_that_is_completed_after_a_restart_counts_once() {
    let line = reply("é-in-UTF-8");
    let within_a_letter = line.find('é').expect("is there") + 1;
    for cut in [1, within_a_letter, line.find("usage").expect("is there") + 3, line.len() - 4, line.len() - 1]
    {
        for killed in [false, true] {
            let sandbox = Sandbox::new();
            append(&sandbox, reply("A").as_bytes());
            let daemon = Daemon::following(&sandbox);
            append(&sandbox, &line.as_bytes()[..cut]);
            // A later log that is counted shows that the torn line has been seen.
            sandbox.write_log("-p/later.jsonl", &reply("B"));
            sandbox.wait_for_responses(2);
            if killed {
                daemon.kill();
            } else {
                daemon.stop();
            }
            append(&sandbox, &line.as_bytes()[cut..]);
            let daemon = Daemon::following(&sandbox);
            sandbox.wait_for_responses(3);
            append(&sandbox, reply("C").as_bytes());
            sandbox.wait_for_responses(4);
            daemon.stop();
            sandbox.scan();
            assert_eq!(sandbox.account().messages(), 4, "cut at {cut}, killed: {killed}");
            assert_eq!(sandbox.account().days["2026-09-01"].tokens[..2], [4, 8], "each whole");
        }
    }
}

#[test]
fn a_crashed_line_before_a_whole_one_costs_itself_alone_and_is_told_of_once() {
    let whole = reply("B");
    for crashed in [&b"{\"type\":\"assistant\",\"message\":{\"usa"[..], &[0; 4096], b"\xff\xfe{\"usage\""] {
        for glued in [false, true] {
            let sandbox = Sandbox::new();
            append(&sandbox, reply("A").as_bytes());
            append(&sandbox, crashed);
            append(&sandbox, if glued { b"" } else { b"\n" });
            append(&sandbox, whole.as_bytes());
            let mut daemon = Daemon::following(&sandbox);
            daemon.signal("HUP");
            daemon.wait_for("reloaded");
            append(&sandbox, reply("C").as_bytes());
            sandbox.wait_for_responses(3);
            let told = daemon.stop();
            assert_eq!(sandbox.account().messages(), 3);
            let warned = told.iter().filter(|line| line.contains("s.jsonl")).count();
            // What a full disk leaves before a record is no line of its own, and nothing was in it.
            let least = usize::from(crashed.first() != Some(&0));
            assert!((least..=1).contains(&warned), "{told:#?}");
        }
    }
}

#[test]
fn a_log_that_is_deleted_and_made_again_and_again_counts_every_line_once() {
    let sandbox = Sandbox::new();
    let daemon = Daemon::following(&sandbox);
    let path = sandbox.projects().join("-p/s.jsonl");
    for number in 0..12_u64 {
        // Always the same size, and on most file systems the same inode.
        append(&sandbox, reply(&format!("{number:04}")).as_bytes());
        sandbox.wait_for_responses(number + 1);
        fs::remove_file(&path).expect("a log can be deleted");
    }
    daemon.stop();
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), 12);
}

#[test]
fn a_log_whose_file_time_jumps_counts_on() {
    let sandbox = Sandbox::new();
    append(&sandbox, reply("0").as_bytes());
    let daemon = Daemon::following(&sandbox);
    let path = sandbox.projects().join("-p/s.jsonl");
    let day = Duration::from_hours(24);
    let now = SystemTime::UNIX_EPOCH + day * 20_000;
    let times = [
        SystemTime::UNIX_EPOCH,
        now,
        now - day / 24,
        now + day / 24,
        now + day * 365,
        now - day * 365,
        now + day * 20_000,
    ];
    for (number, time) in (1..).zip(times) {
        append(&sandbox, reply(&format!("{number}")).as_bytes());
        let log = File::options().append(true).open(&path).expect("a log can be opened");
        log.set_modified(time).expect("a time can be set");
        sandbox.wait_for_responses(number + 1);
    }
    daemon.stop();
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), 8);
    assert_eq!(
        sandbox.account().days.into_keys().collect::<Vec<_>>(),
        ["2026-09-01"],
        "the lines have a time"
    );
}

/// A reply of this instant.
fn reply_at(number: usize, at: DateTime<Utc>) -> String {
    let time = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    reply(&format!("{number:06}")).replace("2026-09-01T10:00:00.000Z", &time)
}

#[test]
fn a_machine_that_changes_its_zone_moves_days_and_no_total() {
    let sandbox = Sandbox::new();
    // Every 25 minutes around the days on which clocks change in one place or another.
    let days = ["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-25", "2026-11-01"];
    let begin = |day: &str| format!("{day}T00:00:00Z").parse::<DateTime<Utc>>().expect("an instant");
    let times: Vec<DateTime<Utc>> = days
        .iter()
        .flat_map(|day| (-80..140).map(|step| begin(day) + TimeDelta::minutes(25 * step)))
        .collect();
    let log: String = times.iter().enumerate().map(|(number, at)| reply_at(number, *at)).collect();
    append(&sandbox, log.as_bytes());
    sandbox.scan();
    for zone in [
        chrono_tz::UTC,
        chrono_tz::America::New_York,
        chrono_tz::America::St_Johns,
        chrono_tz::Europe::Berlin,
        chrono_tz::Asia::Kathmandu,
        chrono_tz::Australia::Lord_Howe,
        chrono_tz::Pacific::Kiritimati,
    ] {
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for at in &times {
            *expected.entry(at.with_timezone(&zone).date_naive().to_string()).or_default() += 1;
        }
        // Once as the machine's own zone, once as the one that is asked for.
        let asked = succeed(sandbox.tallyd("daily").args(["--json", "--no-scan", "--timezone", zone.name()]));
        let own = succeed(sandbox.tallyd("daily").args(["--json", "--no-scan"]).env("TZ", zone.name()));
        for report in [asked, own] {
            let counted: BTreeMap<String, u64> =
                rows(&report, "daily").into_iter().map(|(day, sum)| (day, sum.messages)).collect();
            assert_eq!(counted, expected, "{zone}");
        }
    }
}
