//! Any lines, prices, sends and lost answers, in any order: what waits is what has changed, values are the
//! sums of responses, and what was offered stays where it is.

use super::outbox::{acknowledged, digest, user, values};
use super::properties::any_line;
use super::*;
use crate::domain::{DayCell, Revision, SessionKey, SessionValue, UnloggedTotals};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What may happen.
#[derive(Clone, Debug)]
enum Act {
    /// Lines are taken in.
    Ingest(Vec<ResponseLine>),
    /// So many of the sessions that wait are sent; as many of them arrive as the second number says.
    Send(usize, usize),
    /// Other prices.
    Reprice(i64),
    /// Everything is to be sent anew.
    Republish,
    /// Other rules.
    Begin(u32),
    /// The first session that waits is refused.
    Park,
    /// The process ends.
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let key = (0_u8..6).prop_map(|number| MessageKey::Global(format!("msg_01{number}")));
    prop_oneof![
        6 => prop::collection::vec(any_line(key), 1..4).prop_map(Act::Ingest),
        6 => (0_usize..4, 0_usize..4).prop_map(|(sent, arrived)| Act::Send(sent, arrived)),
        1 => (1_i64..4).prop_map(Act::Reprice),
        1 => Just(Act::Republish),
        1 => (0_u32..3).prop_map(Act::Begin),
        1 => Just(Act::Park),
        1 => Just(Act::Reopen),
    ]
}

/// What should be the case.
#[derive(Default)]
struct Model {
    /// Sessions with something to send.
    dirty: BTreeSet<String>,
    /// What has arrived.
    arrived: BTreeMap<String, SessionValue>,
    /// Where what was offered is: session and time, by message.
    places: BTreeMap<String, (String, UnixMillis)>,
    revision: Option<u32>,
}

/// The cells of each session.
fn by_session(cells: &Cells) -> BTreeMap<String, Cells> {
    let mut sessions: BTreeMap<String, Cells> = BTreeMap::new();
    for (key, cell) in cells {
        sessions.entry(key.0.clone()).or_default().insert(key.clone(), *cell);
    }
    sessions
}

/// The values that the responses in the ledger add up to, one response at a time.
fn expected_values(sandbox: &Sandbox) -> BTreeMap<String, SessionValue> {
    let responses = sandbox.responses();
    let mut sessions: BTreeMap<String, SessionValue> = BTreeMap::new();
    for known in &responses {
        let (at, session) = (known.response.first_at, &known.response.attribution.session);
        let value = sessions.entry(session.clone()).or_insert_with(|| SessionValue {
            session: session.clone(),
            totals: Totals::default(),
            started_at: at,
            last_at: at,
            model: String::new(),
            cells: Vec::new(),
            unlogged: UnloggedTotals::default(),
            unlogged_days: Vec::new(),
        });
        value.started_at = value.started_at.min(at);
        value.last_at = value.last_at.max(at);
        for (model, totals) in contributions(known) {
            value.totals += totals;
            let day = at.to_utc().date_naive();
            match value.cells.iter_mut().find(|cell| (cell.day, &cell.model) == (day, &model)) {
                Some(cell) => cell.totals += totals,
                None => value.cells.push(DayCell { day, model, totals }),
            }
        }
        value.cells.sort_by(|one, other| (one.day, &one.model).cmp(&(other.day, &other.model)));
    }
    // The model of the latest quarter hour with a response in it. A call inside another response counts
    // towards how late that is.
    let mut latest: BTreeMap<String, (UnixMillis, String)> = BTreeMap::new();
    for ((session, _, model), (totals, _, last)) in sandbox.sums() {
        if totals.messages > 0 {
            let known = latest.entry(session).or_insert_with(|| (last, model.clone()));
            *known = known.clone().max((last, model));
        }
    }
    for (session, (_, model)) in latest {
        sessions.get_mut(&session).unwrap().model = model;
    }
    sessions
}

fn names(sandbox: &Sandbox) -> BTreeMap<SessionKey, String> {
    sandbox.reader().sessions().unwrap().into_iter().map(|one| (one.key, one.id)).collect()
}

/// Some of what waits is sent, some of that arrives.
fn send(sandbox: &Sandbox, model: &mut Model, sent: usize, arrived: usize) {
    let mut outbox = sandbox.outbox();
    let keys: Vec<_> = outbox.waiting(sent).unwrap().into_iter().map(|one| one.key).collect();
    let names = names(sandbox);
    let offers = values(outbox.offer(&user(1), &keys).unwrap());
    assert_eq!(outbox.preview(&keys).unwrap(), offers);
    for known in sandbox.responses() {
        let session = known.response.attribution.session;
        if offers.iter().any(|offer| names[&offer.key] == session) {
            model.places.insert(known.message_id, (session, known.response.first_at));
        }
    }
    // A connection that ends between offer and answer.
    drop(outbox);
    let done: Vec<_> = offers.iter().take(arrived).map(acknowledged).collect();
    sandbox.outbox().acknowledge(&user(1), &done, UnixMillis(1)).unwrap();
    for offer in offers.iter().take(arrived) {
        let session = &names[&offer.key];
        model.dirty.remove(session);
        let value = offer.value.clone().expect("of what has arrived something is left: nothing is absorbed");
        model.arrived.insert(session.clone(), value);
    }
    for key in keys.iter().filter(|key| !offers.iter().any(|offer| offer.key == **key)) {
        assert!(!expected_values(sandbox).contains_key(&names[key]));
        model.dirty.remove(&names[key]);
    }
}

fn apply(sandbox: &mut Sandbox, model: &mut Model, act: &Act, offset: u64) {
    let before = by_session(&sandbox.cells());
    match act {
        Act::Ingest(lines) => drop(sandbox.ingest_lines(offset, lines.clone())),
        Act::Send(sent, arrived) => send(sandbox, model, *sent, *arrived),
        Act::Reprice(picodollars) => {
            let digest = ["", "one", "two", "three"][usize::try_from(*picodollars).unwrap()];
            let rates = Rates { picodollars: *picodollars, digest, unpriced: "?" };
            sandbox.ledger().reprice(&rates).unwrap();
        }
        Act::Republish => {
            sandbox.outbox().republish().unwrap();
            model.dirty.extend(once_counted(sandbox));
        }
        Act::Begin(own) => {
            let begun = sandbox.outbox().begin(Revision::new(1, 1, *own), "table").unwrap();
            sandbox.outbox().restore_done().unwrap();
            let changed = model.revision.is_some_and(|last| last != *own);
            assert_eq!(begun, if changed { Begun::Changed } else { Begun::Same });
            model.revision = Some(*own);
            if changed {
                model.dirty.extend(once_counted(sandbox));
            }
        }
        Act::Park => {
            let mut outbox = sandbox.outbox();
            if let Some(one) = outbox.waiting(1).unwrap().first() {
                outbox.park(one.key, one.stamp, "22023", "bad", "0.1.0", UnixMillis(1)).unwrap();
            }
        }
        Act::Reopen => sandbox.reopen(),
    }
    let after = by_session(&sandbox.cells());
    let touched = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name));
    model.dirty.extend(touched.cloned());
}

/// Sessions that ever had usage.
fn once_counted(sandbox: &mut Sandbox) -> Vec<String> {
    sandbox.query("SELECT name FROM session WHERE stamp > 0")
}

fn check(sandbox: &Sandbox, model: &Model) {
    let outbox = sandbox.outbox();
    let names = names(sandbox);
    let expected = expected_values(sandbox);
    let known = outbox.values(None, usize::MAX).unwrap().into_iter().filter_map(|offer| offer.value);
    let known: BTreeMap<_, _> = known.map(|value| (value.session.clone(), value)).collect();
    assert_eq!(known, expected);
    let waiting = outbox.waiting(usize::MAX).unwrap();
    let waiting: BTreeMap<_, _> = waiting.into_iter().map(|one| (names[&one.key].clone(), one)).collect();
    assert_eq!(waiting.keys().cloned().collect::<BTreeSet<_>>(), model.dirty);
    for (session, value) in &expected {
        if !waiting.contains_key(session) {
            assert_eq!(model.arrived.get(session), Some(value), "what does not wait is there");
        }
    }
    for (session, one) in &waiting {
        if let Some(acknowledged) = &one.acknowledged {
            assert_eq!(*acknowledged, digest(model.arrived.get(session)));
        }
    }
    let backlog = outbox.backlog().unwrap();
    assert_eq!(backlog.waiting + backlog.parked, waiting.len() as u64);
    assert_eq!(backlog.held, 0);
    for known in sandbox.responses() {
        let place = (known.response.attribution.session, known.response.first_at);
        assert_eq!(model.places.get(&known.message_id).unwrap_or(&place), &place, "{}", known.message_id);
    }
    assert_eq!(sandbox.cells(), sandbox.sums());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_waits_is_what_has_changed(acts in prop::collection::vec(act(), 1..14)) {
        let mut sandbox = Sandbox::new();
        let mut model = Model::default();
        for (act, offset) in acts.iter().zip((0..).step_by(1_000)) {
            apply(&mut sandbox, &mut model, act, offset);
            check(&sandbox, &model);
        }
        // In the end everything arrives, and what has arrived is what there is.
        send(&sandbox, &mut model, usize::MAX, usize::MAX);
        check(&sandbox, &model);
        prop_assert!(model.dirty.is_empty());
        let expected = expected_values(&sandbox);
        model.arrived.retain(|session, _| expected.contains_key(session));
        prop_assert_eq!(model.arrived, expected);
    }
}
