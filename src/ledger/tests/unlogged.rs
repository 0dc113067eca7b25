//! Unlogged usage in the ledger: the same whatever the order of files and reads, and nothing where there are no accounts.

use super::*;
use crate::domain::{ClientAccount, ClientModelAccount, Usd};
use pretty_assertions::assert_eq;
use proptest::prelude::*;
use proptest::sample::select;

pub(super) const SESSIONS: [&str; 3] = ["one", "two", "three"];

/// A line of a log.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Reply(Box<ResponseLine>),
    Account(ClientAccount),
}

pub(super) fn account(
    session: &str,
    started_at: i64,
    duration_ms: u64,
    models: &[(&str, [u64; 5])],
) -> ClientAccount {
    let models = models.iter().map(|(model, tokens)| ClientModelAccount {
        model: ModelName((*model).to_owned()),
        tokens: TokenCounts::from_array(*tokens),
        thinking: 0,
        web_searches: tokens[0] / 10,
        cost: Usd(i128::from(tokens.iter().sum::<u64>()) * 7_000_000),
    });
    let models: Vec<_> = models.collect();
    let cost = Usd(models.iter().map(|model| model.cost.0).sum());
    let started_at = Some(UnixMillis(started_at)).filter(|at| at.0 > 0);
    ClientAccount { session: session.to_owned(), started_at, duration_ms, cost, models }
}

/// What is read of the log of a session, from one item to another.
pub(super) fn read(session: &str, items: &[Item], from: usize, until: usize) -> FileUpdate {
    let path = format!("/logs/-p/{session}.jsonl");
    let mut update = update(&path, 100 * from as u64, vec![]);
    for (item, offset) in items[from..until].iter().zip((100 * from as u64..).step_by(100)) {
        match item {
            Item::Reply(line) => update.seen.add(offset, (**line).clone()),
            Item::Account(account) => {
                let account = account.clone();
                update.accounts.push(SeenAccount { offset, account, seen_at: UnixMillis(0) });
            }
        }
    }
    update
}

fn item() -> impl Strategy<Value = Item> {
    let reply = (0_u8..12, 0_i64..60, 1_u64..5, prop::array::uniform3(any::<bool>()), select(&SESSIONS[..]));
    let reply = reply.prop_map(|(id, at, output, [main_chain, is_final, copied], payer)| {
        let mut line = line(&format!("msg_01{id}"), payer, at * 10, output);
        (line.rank.main_chain, line.is_final) = (main_chain, is_final);
        line.attribution.copied = copied && id % 2 == 0;
        Item::Reply(Box::new(line))
    });
    let models = (prop::array::uniform5(0_u64..300), prop::array::uniform5(0_u64..30));
    let account =
        (select(vec![0_i64, 5, 105]), 0_u64..400, models).prop_map(|(started, duration, (opus, haiku))| {
            let models = [("opus", opus), ("haiku", haiku)];
            Item::Account(account("", started, duration, &models))
        });
    prop_oneof![2 => reply, 1 => account]
}

/// The logs of three sessions.
fn logs() -> impl Strategy<Value = Vec<Vec<Item>>> {
    prop::collection::vec(prop::collection::vec(item(), 0..7), 3..=3).prop_map(|logs| {
        let with_session = |(items, session): (Vec<Item>, &str)| {
            let item = |item| match item {
                Item::Account(account) => {
                    Item::Account(ClientAccount { session: session.to_owned(), ..account })
                }
                reply @ Item::Reply(_) => reply,
            };
            items.into_iter().map(item).collect()
        };
        logs.into_iter().zip(SESSIONS).map(with_session).collect()
    })
}

fn records(sandbox: &Sandbox) -> Vec<UnloggedRecord> {
    sandbox.reader().unlogged().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn neither_the_order_of_files_nor_how_they_are_read_matters(
        logs in logs(),
        steps in prop::collection::vec((0_usize..3, 0_usize..4, 0_u8..8), 0..12),
    ) {
        let mut at_once = Sandbox::new();
        let whole = |(items, session): (&Vec<Item>, _)| read(session, items, 0, items.len());
        at_once.ingest(logs.iter().zip(SESSIONS).map(whole).collect());
        at_once.ledger().audit().unwrap();
        let mut in_pieces = Sandbox::new();
        let mut read_to = [0; 3];
        for (log, length, what) in steps.into_iter().chain((0..3).rev().map(|log| (log, 7, 7))) {
            let (items, from) = (&logs[log], read_to[log]);
            match what {
                0 => in_pieces.reopen(),
                1 => {
                    let again = read(SESSIONS[log], items, 0, from);
                    in_pieces.ingest(vec![FileUpdate { restarted: true, ..again }]);
                }
                _ => {
                    read_to[log] = (from + length).min(items.len());
                    in_pieces.ingest(vec![read(SESSIONS[log], items, from, read_to[log])]);
                }
            }
            in_pieces.ledger().audit().unwrap();
        }
        prop_assert_eq!(records(&in_pieces), records(&at_once));
        let kept = "SELECT session, started_at, duration_ms, after_at FROM account ORDER BY 1, 2, 3, 4";
        prop_assert_eq!(in_pieces.query(kept), at_once.query(kept));
    }
}

pub(super) const HIDDEN: [u64; 5] = [20, 30, 0, 0, 500];

pub(super) fn plus(one: [u64; 5], other: [u64; 5]) -> [u64; 5] {
    std::array::from_fn(|kind| one[kind] + other[kind])
}

/// A reply of 7, 5, 0, 0 and 100 tokens.
pub(super) const REPLY: [u64; 5] = [7, 5, 0, 0, 100];

/// A parent of one reply and an unlogged call, and its fork of one more of each.
pub(super) fn family() -> [(&'static str, Vec<Item>); 2] {
    let copy = |mut line: ResponseLine| {
        line.attribution.copied = true;
        Item::Reply(Box::new(line))
    };
    let of_parent = plus(REPLY, HIDDEN);
    let parent = vec![
        Item::Reply(Box::new(line("msg_01A", "one", 1000, 5))),
        Item::Account(account("one", 500, 600, &[("opus", of_parent)])),
    ];
    let fork = vec![
        copy(line("msg_01A", "one", 1000, 5)),
        Item::Reply(Box::new(line("msg_01B", "two", 90_000_000, 5))),
        Item::Account(account("two", 500, 900, &[("opus", plus(of_parent, of_parent))])),
    ];
    [("one", parent), ("two", fork)]
}

#[test]
fn a_fork_is_told_from_its_parent_whichever_log_is_read_first() {
    let [parent, fork] = family();
    let expected: Vec<_> = [("one", 1000), ("two", 90_000_000)]
        .map(|(session, at)| UnloggedRecord {
            session: session.to_owned(),
            at: UnixMillis(at),
            model: "opus".to_owned(),
            used: Used { tokens: TokenCounts::from_array(HIDDEN), web_searches: 0 },
            surplus: Used::default(),
            incomplete: 0,
            response: None,
            cost: Cost::Known(Picodollars(550 * 5_000_000)),
            client_cost: Usd(662 * 7_000_000),
            logged_cost: Some(Usd(112 * 5_000_000)),
        })
        .into();
    let searched = |mut records: Vec<UnloggedRecord>| {
        // The client says how many searches, in tens of input; none is in the log.
        for record in &mut records {
            record.used.web_searches = 0;
        }
        records
    };
    for logs in [[&parent, &fork], [&fork, &parent]] {
        let mut sandbox = Sandbox::new();
        for (session, items) in logs {
            sandbox.ingest(vec![read(session, items, 0, items.len())]);
        }
        assert_eq!(searched(records(&sandbox)), expected);
        assert_eq!(records(&sandbox)[0].difference(), Some(Usd(662 * 2_000_000)));
    }
}

#[test]
fn a_copy_of_a_log_without_its_beginning_does_not_say_where_an_account_stands() {
    let [(session, items), _] = family();
    let whole = || read(session, &items, 0, items.len());
    let mut expected = Sandbox::new();
    expected.ingest(vec![whole()]);
    let cut = || FileUpdate { path: "/copy/-p/one.jsonl".into(), ..read(session, &items, 1, items.len()) };
    for logs in [[cut(), whole()], [whole(), cut()]] {
        let mut sandbox = Sandbox::new();
        for log in logs {
            sandbox.ingest(vec![log]);
        }
        assert_eq!(records(&sandbox), records(&expected));
        assert_eq!(sandbox.query("SELECT after_at FROM account"), ["1000"]);
    }
}

#[test]
fn other_prices_make_unlogged_usage_cost_something_else() {
    let mut sandbox = Sandbox::new();
    for (session, items) in family() {
        sandbox.ingest(vec![read(session, &items, 0, items.len())]);
    }
    sandbox.ledger().reprice(&Rates::default()).unwrap();
    let before = records(&sandbox);
    let dear = Rates { picodollars: 9_000_000, digest: "nine", ..Rates::default() };
    sandbox.ledger().reprice(&dear).unwrap();
    let after = records(&sandbox);
    assert_eq!(before[0].cost, Cost::Known(Picodollars(550 * 5_000_000)));
    assert_eq!(after[0].cost, Cost::Known(Picodollars(550 * 9_000_000)));
    assert_eq!(after[0].logged_cost, Some(Usd(112 * 9_000_000)));
    sandbox.ledger().reprice(&Rates { unpriced: "opus", digest: "none", ..dear }).unwrap();
    let unpriced = &records(&sandbox)[0];
    assert_eq!((unpriced.cost, unpriced.logged_cost, unpriced.difference()), (Cost::Unpriced, None, None));
    sandbox.ledger().audit().unwrap();
}

#[test]
fn an_older_ledger_has_it_after_the_upgrade() {
    let mut sandbox = Sandbox::new();
    for (session, items) in family() {
        sandbox.ingest(vec![read(session, &items, 0, items.len())]);
    }
    sandbox.ledger().reprice(&Rates::default()).unwrap();
    let expected = records(&sandbox);
    for version in 1..7 {
        let mut older = super::migration::older(&sandbox, version);
        older.reopen();
        older.ledger().audit().unwrap();
        let unpriced: Vec<_> =
            expected.iter().map(|record| UnloggedRecord { cost: Cost::Unpriced, ..record.clone() }).collect();
        assert_eq!(records(&older), unpriced, "version {version}: prices come with the next table");
        assert!(older.ledger().reprice(&Rates::default()).unwrap().is_some(), "version {version}");
        assert_eq!(records(&older), expected, "version {version}");
    }
}

#[test]
fn the_audit_sees_unlogged_usage_that_accounts_and_responses_do_not_make() {
    for damage in [
        "UPDATE unlogged SET output = output + 1",
        "DELETE FROM unlogged WHERE account = 1",
        "UPDATE unlogged SET account = 99 WHERE account = 1",
        "UPDATE account SET after_at = 0",
        "UPDATE account_model SET input = input + 1",
        "DELETE FROM copied_history",
    ] {
        let mut sandbox = Sandbox::new();
        for (session, items) in family() {
            sandbox.ingest(vec![read(session, &items, 0, items.len())]);
        }
        sandbox.ledger().audit().unwrap();
        sandbox.ledger().connection.execute(damage, []).unwrap();
        let error = sandbox.ledger().audit().expect_err(damage);
        assert!(error.is_damaged(), "{damage}: {error}");
    }
}
