//! Other prices for what is there already.

use super::properties::{any_line, take_in};
use super::*;
use pretty_assertions::assert_eq;
use proptest::prelude::*;

fn key() -> impl Strategy<Value = MessageKey> {
    (0_u8..5).prop_map(|number| MessageKey::Global(format!("msg_01{number}")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn repricing_comes_to_the_same_as_prices_that_were_always_so(
        lines in prop::collection::vec(any_line(key()), 1..8),
        unpriced in prop::sample::select(vec!["?", "opus", "haiku", "no model"]),
    ) {
        let other = Rates { picodollars: 3, digest: "three", unpriced };
        let mut repriced = take_in(&lines, &[2, 2]);
        repriced.ledger().reprice(&other).unwrap();
        prop_assert_eq!(repriced.cells(), repriced.sums());
        let mut always = Sandbox::new();
        always.ledger().ingest(vec![update("a.jsonl", 0, lines)], &other).unwrap();
        prop_assert_eq!(&repriced.contents(), &always.contents());
        repriced.reopen();
        prop_assert_eq!(repriced.ledger().reprice(&other).unwrap(), None);
    }
}

#[test]
fn only_what_has_another_cost_is_counted() {
    let mut sandbox = Sandbox::new();
    let unknown = ResponseLine { model: ModelName("new?".into()), ..line("msg_01B", "one", 0, 1) };
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 1), unknown]);
    let mut reprice =
        |digest, unpriced| sandbox.ledger().reprice(&Rates { digest, unpriced, ..Rates::default() }).unwrap();
    assert_eq!(reprice("first", "?"), Some(0), "the same prices under another name");
    assert_eq!(reprice("first", "none"), None, "the name is known");
    assert_eq!(reprice("second", "none"), Some(1), "the unknown model has a price now");
    assert_eq!(reprice("third", "?"), Some(1), "and has none again");
}

#[test]
fn sums_beyond_what_picodollars_hold_are_exact() {
    let mut sandbox = Sandbox::new();
    let mut lines: Vec<_> = (0..3).map(|n| line(&format!("msg_01{n}"), "one", 0, 1)).collect();
    for line in &mut lines {
        line.usage.tokens.input = 90_000_000;
    }
    let dear = Rates { picodollars: 100_000_000_000, ..Rates::default() };
    sandbox.ledger().ingest(vec![update("a.jsonl", 0, lines)], &dear).unwrap();
    let (totals, ..) = sandbox.cells().into_values().next().unwrap();
    assert_eq!(totals.cost.0, 3 * 90_000_101 * 100_000_000_000_i128);
}

#[test]
fn dollars_and_the_rest_go_there_and_back() {
    use crate::ledger::cells::{PICODOLLARS, join_cost, split_cost};
    let cases = [0, 1, -1, PICODOLLARS - 1, PICODOLLARS, -PICODOLLARS, 12_345_678_901_234_567_890_123];
    for amount in cases {
        let (dollars, rest) = split_cost(amount);
        assert!((0..1_000_000_000_000).contains(&rest), "{amount}: {rest}");
        assert_eq!(join_cost(dollars, rest), amount);
    }
}
