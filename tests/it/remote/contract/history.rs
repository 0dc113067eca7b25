//! Random histories: what several callers, old and new, send of a user's sessions, many times over, in any
//! order and grouping. Small numbers, so that values meet in every part of their rank.

use super::value::{
    CREATION, CREATION_1H, INCOMPLETE, Item, MESSAGES, OLD_COUNTERS, Running, Sent, UNLOGGED, Usage, Value,
    day, minute,
};
use crate::random::Random;
use std::collections::BTreeMap;

const SESSIONS: u64 = 12;
const MODELS: [&str; 4] = ["claude-opus-5", "claude-haiku-4-5", "é|1|", "-"];

/// One statement as PostgREST runs it: a transaction of its own, committed or rolled back.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Which of the users.
    pub(super) user: usize,
    /// Indexes into what is sent of that user.
    pub(super) items: Vec<usize>,
    /// Else one item by the single function.
    pub(super) is_batch: bool,
    pub(super) is_rolled_back: bool,
}

fn usage(random: &mut Random) -> Usage {
    let mut usage =
        Usage { cost: i64::try_from(random.range(0, 3)).expect("small") * 1_000_000_001, ..Usage::default() };
    for counter in &mut usage.counters {
        *counter = i64::try_from(random.range(0, 2)).expect("small");
    }
    usage.counters[CREATION_1H] = usage.counters[CREATION_1H].min(usage.counters[CREATION]);
    usage
}

fn value(random: &mut Random) -> Value {
    let mut cells = BTreeMap::new();
    for _ in 0..random.range(0, 6) {
        cells.insert((day(random.range(1, 8)), (*random.pick(&MODELS)).to_owned()), usage(random));
    }
    let (started, latest) = (minute(random.range(0, 9)), minute(random.range(10, 19)));
    let model = (*random.pick(&MODELS)).to_owned();
    let revision = i64::try_from(random.range(1, 2)).expect("small");
    Value { revision, started, latest, model, cells, unlogged: unlogged(random) }
}

/// What no log has, of a session in two, on days and of models that the log may not have.
fn unlogged(random: &mut Random) -> BTreeMap<(String, String), Usage> {
    let mut unlogged = BTreeMap::new();
    if random.chance(50) {
        for _ in 0..random.range(1, 3) {
            let all = usage(random);
            let mut told = Usage { cost: all.cost, ..Usage::default() };
            for index in UNLOGGED {
                told.counters[index] = all.counters[index];
            }
            let key = (day(random.range(1, 8)), (*random.pick(&MODELS)).to_owned());
            if told != Usage::default() {
                unlogged.insert(key, told);
            }
        }
    }
    unlogged
}

/// The same usage told otherwise: equal or nearly equal in rank.
fn variant(random: &mut Random, of: &Value) -> Value {
    let mut value = of.clone();
    match random.range(0, 6) {
        5 => value.unlogged = unlogged(random),
        6 => {
            if let Some(usage) = value.unlogged.values_mut().next() {
                usage.counters[0] += 1;
            }
        }
        0 => value.latest += 60_000,
        1 => value.revision = 3 - value.revision,
        2 => {
            if let Some(cell) = value.cells.values_mut().next() {
                cell.counters[INCOMPLETE] += 1;
            }
        }
        3 => {
            // A response that is told of another model: a cell shrinks, the session does not.
            if let Some((key, usage)) = value.cells.pop_last() {
                *value.cells.entry((key.0, "moved".to_owned())).or_default() += usage;
            }
        }
        _ => value.cells.values_mut().for_each(|cell| cell.cost += 1),
    }
    value
}

fn running(random: &mut Random) -> Running {
    let mut totals =
        Usage { cost: i64::try_from(random.range(0, 5)).expect("small") * 7, ..Usage::default() };
    for index in OLD_COUNTERS {
        totals.counters[index] = i64::try_from(random.range(0, 6)).expect("small");
    }
    totals.counters[MESSAGES] = totals.counters[MESSAGES].min(3);
    let model = (*random.pick(&MODELS)).to_owned();
    Running { day: day(random.range(1, 8)), totals, started: random.range(0, 9), model }
}

/// All that is ever said of a user's sessions.
pub(super) fn history(random: &mut Random) -> Vec<Sent> {
    let mut sent = Vec::new();
    for number in 0..SESSIONS {
        let session = format!("session-{number}");
        let mut values: Vec<Value> = Vec::new();
        // Some sessions have old callers only, some new ones only, some both.
        let kind = random.range(0, 2);
        for _ in 0..random.range(1, 5) {
            let item = if kind == 0 || (kind == 1 && random.chance(50)) {
                Item::Old(running(random))
            } else {
                let again = !values.is_empty() && random.chance(60);
                let value = if again {
                    let of = random.pick(&values).clone();
                    variant(random, &of)
                } else {
                    value(random)
                };
                values.push(value.clone());
                Item::New(value)
            };
            sent.push(Sent { session: session.clone(), item });
        }
    }
    sent
}

/// Each item of each user, in some histories once and in others up to ten times (a loss is mended by a call that
/// comes again), in any order, single and in batches.
pub(super) fn transactions(random: &mut Random, histories: &[Vec<Sent>]) -> Vec<Transaction> {
    let mut all = Vec::new();
    let most = *random.pick(&[1, 10]);
    for (user, sent) in histories.iter().enumerate() {
        let mut items: Vec<usize> = Vec::new();
        for index in 0..sent.len() {
            items.extend(std::iter::repeat_n(index, usize::try_from(random.range(1, most)).expect("small")));
        }
        shuffle(random, &mut items);
        while !items.is_empty() {
            let is_batch = random.chance(60);
            let most = if is_batch { random.range(1, 12) } else { 1 };
            let count = items.len().min(usize::try_from(most).expect("small"));
            let items = items.split_off(items.len() - count);
            all.push(Transaction { user, items, is_batch, is_rolled_back: random.chance(10) });
        }
    }
    shuffle(random, &mut all);
    all
}

fn shuffle<T>(random: &mut Random, items: &mut [T]) {
    for index in (1..items.len()).rev() {
        items.swap(index, random.index(index + 1));
    }
}
