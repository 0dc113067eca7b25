//! Random stories of session logs, machine and tallyd against a toy model: whatever happens, the ledger
//! holds what the union of all lines in all versions of the logs amounts to, nothing lost, nothing twice.
//!
//! `action` says what can happen, `world` does it to real files, `subject` is tallyd in this process,
//! `oracle` is the model, `story` tells the one to the other and compares, `reports` has every ledger read in two ways. What was found this way is in
//! `found`, a test for each; seeds that failed are in `seeds.txt` and run first.
//! Not told here, because the file system of a test does not do it: a file that root cannot open (a folder
//! stands for it), and times of files too coarse to show a change. Nor that a log is rewritten between two
//! reads of it: `tail` has a test of that.
#![cfg(test)]

mod action;
mod found;
mod oracle;
mod record;
mod reports;
mod story;
mod subject;
mod world;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};
use std::cell::RefCell;
use story::{Tally, tell};

/// Stories of an ordinary run, and of a long one.
const CASES: u32 = 300;
const MANY_CASES: u32 = 5_000;

fn cases() -> u32 {
    let given = std::env::var("TALLYD_LOG_STORIES").ok().and_then(|text| text.parse().ok());
    let is_long = std::env::var_os("TALLYD_LONG").is_some();
    given.unwrap_or(if is_long { MANY_CASES } else { CASES })
}

fn add(sum: &mut Tally, more: Tally) {
    for (effect, times) in more {
        *sum.entry(effect).or_default() += times;
    }
}

fn table(tally: &Tally) -> String {
    let rows: Vec<String> = tally.iter().map(|(effect, times)| format!("{times:>7} {effect}")).collect();
    rows.join("\n")
}

/// The story, a step a line.
fn text(actions: &[action::Action]) -> String {
    let steps: Vec<String> = actions.iter().map(|action| format!("  {action:?}")).collect();
    format!("the story:\n{}", steps.join("\n"))
}

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_is_counted_twice() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/model/seeds.txt");
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(seeds))),
        max_shrink_iters: 4_000,
        max_shrink_time: 60_000,
        ..Config::default()
    });
    let tally = RefCell::new(Tally::new());
    let result = runner.run(&action::story(), |actions| {
        let effects = tell(&actions).map_err(TestCaseError::fail)?;
        add(&mut tally.borrow_mut(), effects);
        Ok(())
    });
    println!("{} stories; what took effect how often:\n{}", cases(), table(&tally.borrow()));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, actions)) => panic!("{reason}\n{}", text(&actions)),
        Err(TestError::Abort(reason)) => panic!("given up: {reason}"),
    }
}

/// How anything takes effect.
const EFFECTS: [&str; 41] = [
    "appended",
    "appended to a torn line",
    "changed in place, larger",
    "changed in place, same size",
    "changed in place, smaller",
    "clock jumped",
    "completed",
    "copied",
    "copied with its time",
    "cut behind a line",
    "cut inside a line",
    "deleted",
    "deleted and made again",
    "emptied",
    "folder deleted",
    "forked",
    "forked without a mark",
    "glued",
    "hard-linked",
    "hidden",
    "killed",
    "killed inside of a pass",
    "many appended",
    "middle changed in place",
    "moved",
    "padded",
    "pass",
    "pass on a full disk",
    "pass raced",
    "pass stopped",
    "power cut, commits lost",
    "renamed",
    "renamed over another",
    "replaced by rename",
    "restarted",
    "rotated",
    "shown",
    "sym-linked",
    "torn",
    "whole but for its line end",
    "written anew in place",
];

const SAME_INODE: &str = "made again with the same inode";

#[test]
fn no_action_of_the_stories_is_without_effect() {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let mut tally = Tally::new();
    for _ in 0..80 {
        let actions = action::story().new_tree(&mut runner).expect("a story").current();
        add(&mut tally, tell(&actions).unwrap_or_else(|wrong| panic!("{wrong}\n{}", text(&actions))));
    }
    println!("{}", table(&tally));
    // Not every file system gives an inode number out again at once.
    if tally.contains_key(SAME_INODE) {
        tally.entry("deleted and made again").or_default();
    }
    let vacuous: Vec<_> = EFFECTS.iter().filter(|effect| !tally.contains_key(*effect)).collect();
    assert!(vacuous.is_empty(), "never happened: {vacuous:?}");
    let unknown: Vec<_> = tally.keys().filter(|effect| !EFFECTS.contains(effect)).collect();
    let known = ["blind spot", "pass not raced", "pass not stopped", "power cut", SAME_INODE];
    assert!(unknown.iter().all(|effect| known.contains(effect)), "not in the list: {unknown:?}");
}
