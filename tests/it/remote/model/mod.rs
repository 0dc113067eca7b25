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
mod trouble;
mod verifying;
mod world;

use action::{Action, story};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRng, TestRunner};
use std::collections::BTreeMap;
use world::World;

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

#[test]
fn any_story_ends_with_everything_there_once() {
    let cases = if std::env::var_os("TALLYD_LONG").is_some() { 1_000 } else { 30 };
    let mut runner = TestRunner::new(config(cases));
    let outcome = runner.run(&story(), |story| tell(&story).map(drop).map_err(TestCaseError::fail));
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// The same stories each time, and what has to happen in them.
#[test]
fn stories_meet_what_they_are_about() {
    let config = config(40);
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let met = std::cell::RefCell::new(BTreeMap::<String, usize>::new());
    let outcome = runner.run(&story(), |story| {
        for (what, count) in tell(&story).map_err(TestCaseError::fail)? {
            *met.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{:#?}", met.borrow());
}
