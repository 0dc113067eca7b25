//! Unlogged usage on its way out: what waits with it, what its value is, and that leaving out what cannot have changed
//! leaves the same.

use super::outbox::{publish, user, waiting};
use super::unlogged::{HIDDEN, Item, REPLY, SESSIONS, account, family, plus, read};
use super::*;
use crate::domain::Usd;
use pretty_assertions::assert_eq;
use proptest::prelude::*;

/// Times of this test: the contract has no days before 2020.
const BEGAN: i64 = 1_788_220_800_000;

/// What was unlogged of a session is in its log now, and nothing else of it has changed but this.
#[test]
fn a_session_waits_when_what_no_log_has_of_it_has_changed() {
    let mut sandbox = Sandbox::new();
    let reply = |id: &str| Item::Reply(Box::new(line(id, "one", BEGAN + 1_000, 5)));
    let items = [
        reply("msg_01A"),
        Item::Account(account("one", BEGAN, 2_000, &[("opus", plus(REPLY, HIDDEN))])),
        Item::Account(account("one", BEGAN, 9_000, &[("opus", plus(plus(REPLY, HIDDEN), HIDDEN))])),
    ];
    let unlogged = |offers: &[Offer]| {
        let value = offers[0].value.clone().unwrap();
        assert!(value.adds_up(), "{value:?}");
        let days = value.unlogged_days.iter().map(|day| (day.day.to_string(), day.model.clone()));
        (value.unlogged.tokens.total(), value.unlogged.cost, days.collect::<Vec<_>>())
    };
    let day = || vec![("2026-09-01".to_owned(), "opus".to_owned())];
    sandbox.ingest(vec![read("one", &items, 0, 1)]);
    assert_eq!(unlogged(&publish(&sandbox, &user(1))), (0, Usd(0), vec![]));
    sandbox.ingest(vec![read("one", &items, 1, 2)]);
    assert_eq!(waiting(&sandbox), ["one"]);
    assert_eq!(unlogged(&publish(&sandbox, &user(1))), (550, Usd(550 * 5_000_000), day()));
    sandbox.ingest(vec![read("one", &items, 2, 3)]);
    assert_eq!(unlogged(&publish(&sandbox, &user(1))), (1_100, Usd(1_100 * 5_000_000), day()));
    assert_eq!(waiting(&sandbox), [""; 0]);
    let dear = Rates { picodollars: 9_000_000, digest: "nine", ..Rates::default() };
    sandbox.ledger().reprice(&dear).unwrap();
    assert_eq!(unlogged(&publish(&sandbox, &user(1))), (1_100, Usd(1_100 * 9_000_000), day()));
    sandbox.ledger().audit().unwrap();
}

#[test]
fn a_session_without_a_reply_has_a_value_and_one_without_anything_has_none() {
    let mut sandbox = Sandbox::new();
    let of = |session: &str, tokens| [Item::Account(account(session, BEGAN, 2_000, &[("opus", tokens)]))];
    sandbox.ingest(vec![read("one", &of("one", HIDDEN), 0, 1), read("two", &of("two", [0; 5]), 0, 1)]);
    let offers = publish(&sandbox, &user(1));
    let value = offers[0].value.clone().unwrap();
    assert_eq!((offers.len(), value.session.as_str(), value.model.as_str()), (1, "one", "opus"));
    assert_eq!((value.totals, value.cells.len(), value.unlogged.tokens.total()), (Totals::default(), 0, 550));
    assert_eq!(value.last_at, UnixMillis(BEGAN + 2_000));
    assert_eq!(value.logged_alone(), None);
    assert_eq!(sandbox.outbox().values(None, 9).unwrap().len(), 1);
    assert_eq!(waiting(&sandbox), [""; 0]);
}

#[test]
fn what_is_about_to_be_sent_is_audited_with_what_no_log_has() {
    let mut sandbox = Sandbox::new();
    for (session, items) in family() {
        sandbox.ingest(vec![read(session, &items, 0, items.len())]);
    }
    sandbox.ledger().connection.execute("UPDATE unlogged SET output = output + 1", []).unwrap();
    let mut outbox = sandbox.outbox();
    let keys: Vec<_> = outbox.waiting(9).unwrap().into_iter().map(|one| one.key).collect();
    let error = outbox.offer(&user(1), &keys).unwrap_err();
    assert!(error.is_damaged(), "{error}");
}

#[test]
fn a_project_that_comes_to_take_unlogged_usage_is_sent_it_once() {
    let mut sandbox = Sandbox::new();
    for (session, items) in family() {
        sandbox.ingest(vec![read(session, &items, 0, items.len())]);
    }
    sandbox.ingest_lines(0, vec![line("msg_01Z", "three", 0, 1)]);
    publish(&sandbox, &user(1));
    let waits = |contract, takes| {
        let count = sandbox.outbox().note_contract(contract, takes).unwrap();
        let names = waiting(&sandbox);
        publish(&sandbox, &user(1));
        (count, names.join(" "))
    };
    assert_eq!(waits(2, false), (0, String::new()));
    assert_eq!(waits(3, true), (2, "one two".to_owned()));
    assert_eq!(waits(3, true), (0, String::new()), "once");
    assert_eq!((waits(2, false).0, waits(3, true).0), (0, 2), "another project, or one that was put back");
}

/// A log as a client writes it: times go on, sub-agents say something between, accounts come now and then.
fn growing() -> impl Strategy<Value = Vec<(usize, Item)>> {
    let step = (0_usize..3, 0_i64..3, 0_u8..12, 0_u64..200, any::<bool>());
    prop::collection::vec(step, 1..40).prop_map(|steps| {
        let (mut at, mut replies) = (1_000, 0);
        let item = |(log, later, kind, amount, is_final): (usize, i64, u8, u64, bool)| {
            at += 10 * later;
            let session = SESSIONS[log];
            if kind < 2 {
                let models = [("opus", [amount, amount, 0, 0, 100 * amount])];
                return (log, Item::Account(account(session, 5, at.unsigned_abs(), &models)));
            }
            // Now and then one that was seen before has grown, or is a copy of another session's.
            replies += i64::from(kind > 2);
            let mut line = line(&format!("msg_01{}", replies / 2), session, at, 1 + amount);
            (line.rank.main_chain, line.is_final) = (kind > 5, is_final || kind > 8);
            line.attribution.copied = kind == 3;
            (log, Item::Reply(Box::new(line)))
        };
        steps.into_iter().map(item).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The audit makes everything anew and compares: what was left out as later than every account changes no row.
    /// And what does not wait has arrived.
    #[test]
    fn what_is_not_made_anew_would_be_the_same(steps in growing()) {
        let mut sandbox = Sandbox::new();
        let mut logs: [Vec<Item>; 3] = Default::default();
        let mut arrived = BTreeMap::new();
        for (log, item) in steps {
            let items = &mut logs[log];
            items.push(item);
            sandbox.ingest(vec![read(SESSIONS[log], items, items.len() - 1, items.len())]);
            sandbox.ledger().audit().unwrap();
            let values = sandbox.outbox().values(None, usize::MAX).unwrap();
            let waiting: Vec<_> = sandbox.outbox().waiting(9).unwrap().into_iter().map(|one| one.key).collect();
            for offer in values.iter().filter(|offer| !waiting.contains(&offer.key)) {
                prop_assert_eq!(arrived.get(&offer.key), Some(&offer.value), "it does not wait");
            }
            if log == 0 {
                arrived.extend(publish(&sandbox, &user(1)).into_iter().map(|offer| (offer.key, offer.value)));
            }
        }
    }
}
