//! Any story of damage: a ledger, its backup and its write-ahead log that are overwritten, cut off, flipped and lied
//! to; logs that are deleted and come back; a server that fails while it is asked for what it has; processes that end
//! in the middle of making a ledger anew. After each thing that happens tallyd is held against a model that knows
//! every line that was ever written: the server never has less than it had, nor more than there is; what the ledger
//! counts and what it says is missing make up for what was there; and in the end ledger and server agree. A story
//! that fails is shrunk and its seed kept in `seeds.txt`, from where it is tried first.

mod action;
mod checking;
mod counted;
mod harm;
mod harming;
mod lines;
mod sending;
mod world;

use action::{Action, story};
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use tallyd::collect::TablePricing;
use tallyd::price::PriceTable;
use world::World;

/// What thirty stories have at least of each thing.
const EXPECTED: [(&str, usize); 20] = [
    ("Write", 20),
    ("Delete", 10),
    ("BringBack", 1),
    ("BackUp", 6),
    ("HarmUnder", 6),
    ("Raise", 2),
    ("Restore", 1),
    ("a lie", 5),
    ("a bit", 3),
    ("a bit of a name", 1),
    ("a table", 3),
    ("faults of the server", 6),
    ("publishing met an obstacle", 5),
    ("nothing to send from", 1),
    ("rebuilt", 15),
    ("rebuilt from the backup", 3),
    ("rebuilt under a process", 4),
    ("something is lost", 8),
    ("and known by number", 4),
    ("whole", 30),
];

/// Tells a story to its end; what happened in it, and how often, or what is wrong.
fn tell(story: &[Action], pricing: &TablePricing) -> Result<BTreeMap<String, usize>, String> {
    let mut world = World::new(pricing.clone());
    let told = |number: usize, what: String, world: &World| {
        let text = world.log.text();
        let log: Vec<&str> = text.lines().filter(|line| line.contains(" tallyd::")).collect();
        format!("after action {number}: {what}\nlog:\n{}", log.join("\n"))
    };
    (0..2).for_each(|session| world.logs.write(session, 3, false));
    world.scan().map(drop).map_err(|what| told(0, what, &world))?;
    for (number, action) in story.iter().enumerate() {
        world.act(action).map_err(|what| told(number, what, &world))?;
    }
    world.settle().map_err(|what| told(story.len(), what, &world))?;
    Ok(world.met)
}

fn config(cases: u32) -> Config {
    let seeds = FileFailurePersistence::Direct("tests/it/remote/damaged/seeds.txt");
    let failure_persistence = Some(Box::new(seeds) as Box<_>);
    Config { cases, failure_persistence, max_shrink_iters: 400, ..Config::default() }
}

/// How many stories of chance are told.
fn cases() -> u32 {
    let given = std::env::var("TALLYD_DAMAGE_STORIES").ok();
    let given = given.map(|text| text.parse().expect("a number of cases"));
    given.unwrap_or(if std::env::var_os("TALLYD_LONG").is_some() { 1_000 } else { 30 })
}

/// Tells stories of chance, and what happened in all of them together.
fn tell_some(runner: &mut TestRunner) -> BTreeMap<String, usize> {
    let pricing = TablePricing::new(PriceTable::shipped());
    let met = RefCell::new(BTreeMap::<String, usize>::new());
    let outcome = runner.run(&story(), |story| {
        for (what, count) in tell(&story, &pricing).map_err(TestCaseError::fail)? {
            *met.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{:#?}", met.borrow());
    met.into_inner()
}

#[test]
fn any_story_of_damage_ends_with_nothing_lost_unsaid() {
    tell_some(&mut TestRunner::new(config(cases())));
}

/// The same stories each time; what they are about has to happen in them.
#[test]
fn stories_of_damage_meet_what_they_are_about() {
    let config = Config { failure_persistence: None, ..config(30) };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let met = tell_some(&mut TestRunner::new_with_rng(config, rng));
    for (what, least) in EXPECTED {
        let count = met.get(what).copied().unwrap_or_default();
        assert!(count >= least, "{what}: {count}, at least {least} were expected");
    }
}
