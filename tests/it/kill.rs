//! `kill -9` at random moments of a scan and of following, over and over on one ledger while the logs
//! grow: the ledger is whole after each, and in the end the totals are exact.
#![cfg(test)]

use crate::logs::Tree;
use crate::process::{Daemon, Sandbox};
use crate::random::Random;
use crate::replay::{Cut, Replay};
use pretty_assertions::assert_eq;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tallyd::ledger::{LedgerReader, UnloggedRecord};

fn kills() -> u64 {
    if std::env::var_os("TALLYD_LONG").is_some() { 100 } else { 20 }
}

/// A tree whose shares keep each of the runs busy.
fn growing_tree(random: &mut Random) -> Tree {
    Tree::generate(random.next(), usize::try_from(kills() * 12).expect("fits"))
}

/// Lets a random part of the time pass: the moment of the kill is what these tests vary.
fn random_moment(random: &mut Random, within: Duration) {
    let micros = u64::try_from(within.as_micros()).expect("fits").max(1);
    sleep(Duration::from_micros(random.range(0, micros)));
}

/// The files of a tree, each with the client's account of its session at its end.
fn with_accounts(tree: &Tree) -> BTreeMap<PathBuf, Vec<u8>> {
    let account = r#"{"type":"cost-state","totalCostUSD":9,"startTime":1,"totalDuration":60000,"modelUsage":{"claude-opus-4-5-20251101":{"inputTokens":900000000,"outputTokens":900000000,"cacheReadInputTokens":90000000000,"cacheCreationInputTokens":900000000,"webSearchRequests":9,"costUSD":9}}}"#;
    let mut files = tree.files();
    for log in files.values_mut() {
        log.extend_from_slice(account.as_bytes());
        log.push(b'\n');
    }
    files
}

/// What the accounts have and no log has.
fn unlogged(sandbox: &Sandbox) -> Vec<UnloggedRecord> {
    let reader = LedgerReader::open(&sandbox.state()).expect("a ledger");
    reader.audit().expect("a sound ledger");
    reader.unlogged().expect("unlogged usage")
}

#[test]
fn totals_are_exact_after_kills_during_scans() {
    let mut random = Random::exploring("kills during scans");
    let tree = growing_tree(&mut random);
    let sandbox = Sandbox::new();
    let mut replay = Replay::new(&sandbox.projects(), with_accounts(&tree), Random::new(random.next()));
    let share = replay.size() / usize::try_from(kills()).expect("fits");
    let (mut killed, mut run, mut span) = (0, 0, Duration::from_millis(50));
    while killed < kills() {
        run += 1;
        assert!(run <= kills() * 20, "{killed} kills in {run} runs: scans end before they can be killed");
        replay.write_bytes(share, Cut::Torn(20_000));
        let begun = Instant::now();
        let process = Daemon::start(&mut sandbox.tallyd("scan"));
        random_moment(&mut random, span);
        if process.kill() {
            killed += 1;
            span = span.mul_f32(1.2);
        } else {
            span = begun.elapsed().mul_f32(0.7);
        }
        sandbox.check_integrity();
    }
    while replay.write_piece(Cut::Lines) {}
    sandbox.scan();
    assert_eq!(sandbox.account(), tree.truth().account());
    let at_once = Sandbox::new();
    let mut replay = Replay::new(&at_once.projects(), with_accounts(&tree), Random::new(random.next()));
    while replay.write_piece(Cut::Lines) {}
    at_once.scan();
    let expected = unlogged(&at_once);
    assert!(!expected.is_empty());
    assert_eq!(unlogged(&sandbox), expected);
}

#[test]
fn totals_are_exact_after_kills_while_following() {
    let mut random = Random::exploring("kills while following");
    let tree = growing_tree(&mut random);
    let sandbox = Sandbox::new();
    let mut replay = Replay::new(&sandbox.projects(), tree.files(), Random::new(random.next()));
    let share = replay.size() / usize::try_from(kills()).expect("fits");
    for _ in 0..kills() {
        let mut daemon = Daemon::start(&mut sandbox.tallyd("run"));
        // Half of the kills fall into the start and its first scan.
        if random.chance(50) {
            daemon.wait_for("following");
        }
        let last = replay.written() + share;
        while replay.written() < last && replay.written() < replay.size() {
            replay.write_bytes(share / 10, Cut::Torn(3_000));
            random_moment(&mut random, Duration::from_millis(8));
        }
        assert!(daemon.kill(), "the daemon ended by itself");
        sandbox.check_integrity();
    }
    let daemon = Daemon::following(&sandbox);
    while replay.write_piece(Cut::Lines) {}
    let truth = tree.truth();
    sandbox.wait_for_responses(truth.messages());
    assert_eq!(sandbox.settled(&truth.account()), truth.account());
    daemon.stop();
}
