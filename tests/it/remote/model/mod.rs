//! Any story of ledgers and one server: usage that is written, copied and repriced; calls that fail in every
//! way; processes that are killed, ledgers that are lost, copied and brought back; users that change; a server
//! that is restored. After each thing that happens tallyd and the tables are held against a model that knows
//! the lines, the calls and the answers, and in the end everything is there, once. A story that fails is
//! shrunk and its seed kept in `seeds.txt`, from where it is tried first.

mod action;
mod calls;
mod checking;
mod counted;
mod lines;
mod sending;
mod server;
mod stories;
mod trouble;
mod verifying;
mod world;

use action::{Action, story};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use world::World;

/// What forty stories have at least of each thing.
const EXPECTED: [(&str, usize); 30] = [
    ("Write", 20),
    ("Send", 60),
    ("Count", 2),
    ("Restart", 2),
    ("Save", 2),
    ("Return", 2),
    ("Clone", 2),
    ("Add", 2),
    ("Lose", 2),
    ("SetUser", 5),
    ("Reassign", 5),
    ("BackUp", 2),
    ("Restore", 2),
    ("Verify", 5),
    ("Raise", 2),
    ("Wait", 2),
    ("a trouble", 40),
    ("CutBefore", 2),
    ("LoseAnswer", 5),
    ("CutAnswer", 1),
    ("Drip", 1),
    ("killed while sending", 5),
    ("taken in while sending", 5),
    ("kept where it was offered", 5),
    ("moved before it was offered", 5),
    ("nothing better", 20),
    ("an item refused", 5),
    ("an older ledger", 1),
    ("a server refilled", 2),
    ("a foreign ledger", 2),
];

/// Tells a story to its end; what happened in it, and how often, or what is wrong.
fn tell(story: &[Action]) -> Result<BTreeMap<String, usize>, String> {
    let mut world = World::new();
    let told = |number: usize, what: String, world: &World| {
        let text = world.log.text();
        let log: Vec<&str> = text.lines().filter(|line| line.contains(" tallyd::")).collect();
        format!("after action {number}: {what}\nlog:\n{}", log.join("\n"))
    };
    for (number, action) in story.iter().enumerate() {
        world.act(action).map_err(|what| told(number, what, &world))?;
    }
    world.settle().map_err(|what| told(story.len(), what, &world))?;
    Ok(world.met)
}

fn config(cases: u32) -> Config {
    let seeds = FileFailurePersistence::Direct("tests/it/remote/model/seeds.txt");
    let failure_persistence = Some(Box::new(seeds) as Box<_>);
    Config { cases, failure_persistence, max_shrink_iters: 400, ..Config::default() }
}

/// How many stories of chance are told.
fn cases() -> u32 {
    let given = std::env::var("TALLYD_PUBLISH_STORIES").ok();
    let given = given.map(|text| text.parse().expect("a number of cases"));
    given.unwrap_or(if std::env::var_os("TALLYD_LONG").is_some() { 1_000 } else { 40 })
}

/// Tells stories of chance, and what happened in all of them together.
fn tell_some(runner: &mut TestRunner) -> BTreeMap<String, usize> {
    let met = RefCell::new(BTreeMap::<String, usize>::new());
    let outcome = runner.run(&story(), |story| {
        for (what, count) in tell(&story).map_err(TestCaseError::fail)? {
            *met.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{:#?}", met.borrow());
    met.into_inner()
}

#[test]
fn any_story_ends_with_everything_there_once() {
    tell_some(&mut TestRunner::new(config(cases())));
}

/// The same stories each time; what they are about has to happen in them.
#[test]
fn stories_of_chance_meet_what_they_are_about() {
    let config = Config { failure_persistence: None, ..config(40) };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let met = tell_some(&mut TestRunner::new_with_rng(config, rng));
    for (what, least) in EXPECTED {
        let count = met.get(what).copied().unwrap_or_default();
        assert!(count >= least, "{what}: {count}, at least {least} were expected");
    }
}
