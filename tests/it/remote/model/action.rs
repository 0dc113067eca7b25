//! What may happen in a story, and how stories are drawn: weights that let few things meet often.

use super::lines::{LONG, Line, MESSAGES, SESSIONS, SPOILING};
use super::trouble::{NUMBER, Trouble};
use proptest::prelude::*;

/// One thing that happens. A container is meant by its number, modulo how many there are.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Lines are written to the logs that all containers read; this one takes them in.
    Write { by: usize, lines: Vec<Line> },
    /// A container sends what waits.
    Send(Send),
    /// A container takes in what is new.
    Count(usize),
    /// Its process ends and begins anew.
    Restart(usize),
    /// Its ledger is put aside as it is.
    Save(usize),
    /// What was put aside takes the place of its ledger.
    Return(usize),
    /// Another container begins with a copy of its ledger.
    Clone(usize),
    /// Another container begins with nothing.
    Add,
    /// Its ledger is lost.
    Lose(usize),
    /// Its `USER_ID` is set.
    SetUser { of: usize, user: usize },
    /// Its ledger is given to its `USER_ID`.
    Reassign { of: usize, is_everything: bool },
    /// The server's rows are put aside.
    BackUp,
    /// What was put aside takes their place.
    Restore,
    /// A container holds the server against its ledger and sends what is missing.
    Verify(usize),
    /// A parked session that has changed is left alone for a while: this is longer.
    Wait,
    /// A container gets other prices and the next revision.
    Raise(usize),
}

/// How a container sends.
#[derive(Clone, Debug)]
pub(super) struct Send {
    pub(super) by: usize,
    /// Lines that are written and taken in before.
    pub(super) lines: Vec<Line>,
    /// What the first question whether the project is ready meets.
    pub(super) check: Option<Trouble>,
    /// What the calls meet, one after another.
    pub(super) calls: Vec<Option<Trouble>>,
    /// All further calls meet what the last of these met.
    pub(super) goes_on: bool,
    /// Lines that are written and taken in while the first call is under way.
    pub(super) meanwhile: Vec<Line>,
    /// The process is killed when the server is about to hear of the call of this number: it does hear of
    /// it, unless the call's trouble keeps it from that, and the container goes on from what was on disk.
    pub(super) killed_at: Option<usize>,
}

impl Send {
    /// With nothing going wrong.
    pub(super) fn plainly(by: usize) -> Self {
        let calls = Vec::new();
        let lines = Vec::new();
        Self { by, lines, check: None, calls, goes_on: false, meanwhile: Vec::new(), killed_at: None }
    }
}

fn line() -> impl Strategy<Value = Line> {
    let message = prop_oneof![12 => 0..SPOILING, 1 => Just(SPOILING)];
    let session = prop_oneof![9 => 0..LONG, 1 => Just(LONG)];
    let forked_from = prop_oneof![5 => Just(None), 1 => (0..SESSIONS - 1).prop_map(Some)];
    (message, session, 0_u8..3, 0_u8..3, forked_from).prop_map(
        |(message, session, step, day, forked_from)| {
            debug_assert!(message < MESSAGES);
            Line { message, session, step, day, forked_from }
        },
    )
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        2 => Just(Trouble::CutBefore),
        4 => Just(Trouble::LoseAnswer),
        1 => Just(Trouble::CutAnswer),
        1 => Just(Trouble::Drip),
        12 => (0..NUMBER, any::<bool>()).prop_map(|(number, done)| Trouble::Answer { number, done }),
    ]
}

fn send() -> impl Strategy<Value = Send> {
    let lines = prop::collection::vec(line(), 0..4);
    let check = prop::option::weighted(0.15, trouble());
    let calls = prop::collection::vec(prop::option::weighted(0.75, trouble()), 0..4);
    let meanwhile = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(line(), 1..3)];
    let killed_at = prop::option::weighted(0.3, prop_oneof![3 => Just(0_usize), 1 => Just(1)]);
    (0_usize..3, lines, check, calls, prop::bool::weighted(0.2), meanwhile, killed_at).prop_map(
        |(by, lines, check, calls, goes_on, meanwhile, killed_at)| Send {
            by,
            lines,
            check,
            calls,
            goes_on,
            meanwhile,
            killed_at,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let one = || prop_oneof![3 => Just(0_usize), 2 => 1_usize..3];
    let written = (one(), prop::collection::vec(line(), 1..5));
    prop_oneof![
        4 => written.prop_map(|(by, lines)| Action::Write { by, lines }),
        10 => send().prop_map(Action::Send),
        1 => one().prop_map(Action::Count),
        1 => one().prop_map(Action::Restart),
        1 => one().prop_map(Action::Save),
        1 => one().prop_map(Action::Return),
        1 => one().prop_map(Action::Clone),
        1 => Just(Action::Wait),
        1 => Just(Action::Add),
        1 => one().prop_map(Action::Lose),
        2 => (one(), 0_usize..2).prop_map(|(of, user)| Action::SetUser { of, user }),
        2 => (one(), any::<bool>()).prop_map(|(of, is_everything)| Action::Reassign { of, is_everything }),
        1 => Just(Action::BackUp),
        1 => Just(Action::Restore),
        2 => one().prop_map(Action::Verify),
        1 => one().prop_map(Action::Raise),
    ]
}

pub(super) fn story() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..16)
}
