//! What may happen in a story of damage, and how stories are drawn.

use super::harm::Harm;
use super::lines::SESSIONS;
use crate::remote::faults::Fault;
use crate::remote::http::Response;
use proptest::prelude::*;

/// What a write-ahead log of a killed process comes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wal {
    Kept,
    /// Only so many 256ths of it are left.
    Cut(u8),
    Flip(u16, u8),
    /// The log is there, and the database is not.
    Alone,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// A session has so many more responses, and its last one may go on.
    Write { session: u8, news: u8, grows: bool },
    /// Its logs are deleted.
    Delete(u8),
    /// They are there again.
    BringBack(u8),
    /// The logs are taken in.
    Scan,
    /// The ledger is opened, and the process ends before it has read a log.
    Open,
    /// The logs are taken in; the process is killed before it has closed the ledger.
    Kill(Wal),
    /// What waits is sent, as the first requests meet these faults; the logs are taken in before, or nothing is.
    Publish { scans: bool, faults: Vec<Option<u8>>, goes_on: bool },
    /// What the server has more of is taken.
    Restore { faults: Vec<Option<u8>>, goes_on: bool },
    /// A backup of the ledger is made.
    BackUp,
    /// The backup is damaged.
    HarmBackup(Harm),
    /// The backup is deleted.
    LoseBackup,
    /// The ledger is damaged between two processes.
    Harm(Harm),
    /// It is damaged under a process that has it open, which sends or makes a backup before it looks.
    HarmUnder { harm: Harm, sends: bool, backs_up: bool },
    /// It is damaged, and the process that makes it anew is killed at this step.
    Torn { harm: Harm, step: u8 },
    /// New prices or rules: everything is sent again and replaces what it was.
    Raise,
}

/// The number of a lost answer.
const LOST: u8 = 10;

/// What a request meets, by number.
pub(super) fn fault(number: u8) -> Fault {
    let page = || Response::new(200, "text/html", "<html>Welcome</html>");
    match number % 11 {
        0 => Fault::CutBefore,
        1 => Fault::CutAnswer,
        2 => Fault::unavailable(),
        3 => Fault::too_many(""),
        4 => Fault::captive_portal(),
        5 => Fault::empty(),
        6 => Fault::foreign_json(),
        7 => Fault::truncated_json(),
        8 => Fault::database_error("57014"),
        9 => Fault::Afterwards(page()),
        _ => Fault::LoseAnswer,
    }
}

fn faults() -> impl Strategy<Value = (Vec<Option<u8>>, bool)> {
    let one = prop::option::weighted(0.6, 0_u8..11);
    prop_oneof![
        3 => Just((Vec::new(), false)),
        // The first call that sends something arrives, and its answer is lost.
        1 => Just((vec![None, Some(LOST)], false)),
        2 => (prop::collection::vec(one, 1..6), prop::bool::weighted(0.3)),
    ]
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        2 => Just(Harm::Garbage),
        1 => Just(Harm::Empty),
        2 => any::<u8>().prop_map(Harm::Cut),
        4 => (any::<u16>(), 0_u8..8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        2 => (any::<u8>(), 0_u8..8).prop_map(|(nth, bit)| Harm::Name(nth, bit)),
        2 => any::<u16>().prop_map(Harm::Page),
        6 => (0_usize..8).prop_map(Harm::Lie),
        3 => (0_usize..14).prop_map(Harm::Drop),
    ]
}

fn wal() -> impl Strategy<Value = Wal> {
    prop_oneof![
        2 => Just(Wal::Kept),
        2 => any::<u8>().prop_map(Wal::Cut),
        2 => (any::<u16>(), 0_u8..8).prop_map(|(at, bit)| Wal::Flip(at, bit)),
        1 => Just(Wal::Alone),
    ]
}

pub(super) fn action() -> impl Strategy<Value = Action> {
    let session = || 0..SESSIONS;
    let under = (harm(), any::<bool>(), prop::bool::weighted(0.3));
    let publish = (prop::bool::weighted(0.7), faults());
    prop_oneof![
        6 => (session(), 1_u8..5, any::<bool>()).prop_map(|(session, news, grows)| Action::Write { session, news, grows }),
        3 => session().prop_map(Action::Delete),
        1 => session().prop_map(Action::BringBack),
        3 => Just(Action::Scan),
        1 => Just(Action::Open),
        2 => wal().prop_map(Action::Kill),
        6 => publish.prop_map(|(scans, (faults, goes_on))| Action::Publish { scans, faults, goes_on }),
        1 => faults().prop_map(|(faults, goes_on)| Action::Restore { faults, goes_on }),
        2 => Just(Action::BackUp),
        1 => harm().prop_map(Action::HarmBackup),
        1 => Just(Action::LoseBackup),
        4 => harm().prop_map(Action::Harm),
        2 => under.prop_map(|(harm, sends, backs_up)| Action::HarmUnder { harm, sends, backs_up }),
        2 => (harm(), 0_u8..5).prop_map(|(harm, step)| Action::Torn { harm, step }),
        1 => Just(Action::Raise),
    ]
}

pub(super) fn story() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 3..13)
}
