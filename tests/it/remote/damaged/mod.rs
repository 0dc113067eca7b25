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

use super::telling::{Met, Stories, wrong};
use action::{Action, story};
use proptest::strategy::Strategy;
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
fn tell(story: &[Action], pricing: &TablePricing) -> Result<Met, String> {
    let mut world = World::new(pricing.clone());
    (0..2).for_each(|session| world.logs.write(session, 3, false));
    world.scan().map(drop).map_err(|what| wrong(0, &what, &world.log))?;
    for (number, action) in story.iter().enumerate() {
        world.act(action).map_err(|what| wrong(number, &what, &world.log))?;
    }
    world.settle().map_err(|what| wrong(story.len(), &what, &world.log))?;
    Ok(world.met)
}

fn stories() -> Stories<impl Strategy<Value = Vec<Action>>> {
    Stories {
        strategy: story(),
        seeds: "tests/it/remote/damaged/seeds.txt",
        variable: "TALLYD_DAMAGE_STORIES",
        usual: 30,
    }
}

#[test]
fn any_story_of_damage_ends_with_nothing_lost_unsaid() {
    let pricing = TablePricing::new(PriceTable::shipped());
    stories().tell_any(|story| tell(story, &pricing));
}

#[test]
fn stories_of_damage_meet_what_they_are_about() {
    let pricing = TablePricing::new(PriceTable::shipped());
    stories().tell_the_same(&EXPECTED, |story| tell(story, &pricing));
}
