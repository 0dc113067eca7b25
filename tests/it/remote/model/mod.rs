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

use super::telling::{Met, Stories, wrong};
use action::{Action, story};
use proptest::strategy::Strategy;
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
fn tell(story: &[Action]) -> Result<Met, String> {
    let mut world = World::new();
    for (number, action) in story.iter().enumerate() {
        world.act(action).map_err(|what| wrong(number, &what, &world.log))?;
    }
    world.settle().map_err(|what| wrong(story.len(), &what, &world.log))?;
    Ok(world.met)
}

fn stories() -> Stories<impl Strategy<Value = Vec<Action>>> {
    Stories {
        strategy: story(),
        seeds: "tests/it/remote/model/seeds.txt",
        variable: "TALLYD_PUBLISH_STORIES",
        usual: 40,
    }
}

#[test]
fn any_story_ends_with_everything_there_once() {
    stories().tell_any(tell);
}

#[test]
fn stories_of_chance_meet_what_they_are_about() {
    stories().tell_the_same(&EXPECTED, tell);
}
