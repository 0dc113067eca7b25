//! Responses of gateways, which go by several names: lines that share one are of one response.

use super::properties::{any_line, take_in};
use super::*;
use pretty_assertions::assert_eq;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::BTreeSet;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Names of its own, and perhaps a line that it continues, by the rule for gateways.
fn aliases() -> impl Strategy<Value = MessageKey> {
    let lines = select(&NAMES[..]);
    (subsequence(NAMES.to_vec(), 1..3), prop::option::of((lines.clone(), lines))).prop_map(
        |(names, continues)| MessageKey::Aliases {
            id: "ocgo".to_owned(),
            names: names.into_iter().map(str::to_owned).collect(),
            chain: continues.map(|(line, parent)| chain(line, parent)),
        },
    )
}

fn chain(line: &str, parent: &str) -> Chain {
    Chain {
        looks_for: vec![parent.to_owned(), format!("await {line}")],
        awaits: Some(format!("await {parent}")),
    }
}

/// A response as the model has it: its names, its lines' offsets and what they merge to.
type Group = (BTreeSet<String>, BTreeSet<u64>, Response);

/// Groups of lines that share names, made one line at a time.
fn groups(lines: &[ResponseLine]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (line, offset) in lines.iter().zip((0..).step_by(100)) {
        let MessageKey::Aliases { names, chain, .. } = &line.key else { unreachable!("only aliases") };
        let looks_for = chain.iter().flat_map(|chain| &chain.looks_for);
        let wanted: BTreeSet<String> = names.iter().chain(looks_for).cloned().collect();
        let awaits = chain.iter().filter_map(|chain| chain.awaits.as_ref());
        let mine: BTreeSet<String> = names.iter().chain(awaits).cloned().collect();
        let (joined, others): (Vec<Group>, Vec<Group>) =
            groups.into_iter().partition(|(names, ..)| !names.is_disjoint(&wanted));
        groups = others;
        let mut group = (mine, BTreeSet::from([offset]), Response::new(line.clone()));
        for (names, offsets, response) in joined {
            group.0.extend(names);
            group.1.extend(offsets);
            group.2.merge(response);
        }
        // Of several that await the same line, the last one does.
        for (names, ..) in &mut groups {
            names.retain(|name| !group.0.contains(name));
        }
        groups.push(group);
    }
    groups
}

/// What [`groups`] makes, as the ledger has it.
fn stored(sandbox: &mut Sandbox) -> Vec<Group> {
    let known = sandbox.responses();
    known
        .into_iter()
        .map(|known| {
            let number = known.number;
            let names = sandbox.query(&format!("SELECT name FROM alias WHERE response = {number}"));
            let known = [known];
            let seen = sandbox.reader().sightings(&known).unwrap().remove(&number).unwrap();
            let offsets = seen.into_iter().map(|sighting| sighting.offset).collect();
            let [known] = known;
            (names.into_iter().collect(), offsets, known.response)
        })
        .collect()
}

fn sorted(mut groups: Vec<Group>) -> Vec<Group> {
    groups.sort_by(|one, other| one.1.cmp(&other.1));
    groups
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn lines_that_share_a_name_are_one_response_in_any_transactions(
        lines in prop::collection::vec(any_line(aliases()), 1..9),
        sizes in prop::collection::vec(0_usize..4, 0..6),
    ) {
        let mut sandbox = take_in(&lines, &sizes);
        prop_assert_eq!(sorted(stored(&mut sandbox)), sorted(groups(&lines)));
        prop_assert_eq!(sandbox.cells(), sandbox.sums());
        prop_assert_eq!(sandbox.query("SELECT name FROM alias WHERE response NOT IN (SELECT id FROM response)"),
            Vec::<String>::new());
        prop_assert_eq!(sandbox.query("SELECT response FROM part WHERE response NOT IN (SELECT id FROM response)"),
            Vec::<String>::new());
    }
}

fn aliased(names: &[&str], chain: Option<Chain>, output: u64) -> ResponseLine {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    let key = MessageKey::Aliases { id: "ocgo".to_owned(), names, chain };
    ResponseLine { key, ..line("", "one", i64::try_from(output).unwrap(), output) }
}

#[test]
fn a_line_that_links_two_stored_responses_makes_one_of_them() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![aliased(&["a"], None, 3), aliased(&["b"], None, 2)]);
    assert_eq!(sandbox.query("SELECT id, output FROM response"), ["1 3", "2 2"]);
    let summary = sandbox.ingest_lines(200, vec![aliased(&["a", "b"], None, 1)]);
    assert_eq!((summary.new_responses, summary.lines), (0, 1));
    assert_eq!(sandbox.query("SELECT id, output FROM response"), ["1 3"]);
    assert_eq!(sandbox.query("SELECT offset, response FROM sighting"), ["0 1", "100 1", "200 1"]);
    assert_eq!(sandbox.query("SELECT messages, output, first_at, last_at FROM cell"), ["1 3 1 1"]);
}

#[test]
fn the_older_response_stays_whichever_is_named_first() {
    for link in [["a", "b"], ["b", "a"]] {
        let mut sandbox = Sandbox::new();
        sandbox.ingest_lines(0, vec![aliased(&["a"], None, 1), aliased(&["b"], None, 2)]);
        sandbox.ingest_lines(200, vec![aliased(&link, None, 3)]);
        assert_eq!(sandbox.query("SELECT id, output FROM response"), ["1 3"], "{link:?}");
    }
}

#[test]
fn a_chain_of_links_in_one_transaction_ends_at_the_oldest() {
    let mut sandbox = Sandbox::new();
    let names = ["a", "b", "c", "d"];
    sandbox.ingest_lines(0, names.iter().map(|&name| aliased(&[name], None, 1)).collect());
    let links = [["c", "d"], ["b", "c"], ["a", "d"]];
    sandbox.ingest_lines(400, links.iter().map(|link| aliased(link, None, 2)).collect());
    assert_eq!(sandbox.query("SELECT id, output FROM response"), ["1 2"]);
    assert_eq!(sandbox.query("SELECT DISTINCT response FROM alias"), ["1"]);
    assert_eq!(sandbox.query("SELECT COUNT(*) FROM sighting WHERE response = 1"), ["7"]);
    assert_eq!(sandbox.query("SELECT messages, output FROM cell"), ["1 2"]);
}

#[test]
fn the_number_of_an_absorbed_response_may_be_given_out_again() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![aliased(&["a"], None, 1), aliased(&["b"], None, 1)]);
    sandbox.ingest_lines(200, vec![aliased(&["a", "b"], None, 1)]);
    sandbox.ingest_lines(300, vec![aliased(&["c"], None, 5)]);
    sandbox.ingest_lines(400, vec![aliased(&["b"], None, 2)]);
    assert_eq!(sandbox.query("SELECT id, output FROM response ORDER BY id"), ["1 2", "2 5"]);
    let sightings = sandbox.query("SELECT offset, response FROM sighting");
    assert_eq!(sightings, ["0 1", "100 1", "200 1", "300 2", "400 1"]);
}

#[test]
fn lines_that_follow_each_other_are_one_response_in_any_order_and_transactions() {
    let lines = [
        aliased(&["a"], Some(chain("a", "a user's line")), 1),
        aliased(&["b"], Some(chain("b", "a")), 2),
        aliased(&["c"], Some(chain("c", "b")), 3),
    ];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (order, size) in orders.into_iter().flat_map(|order| [(order, 1), (order, 2), (order, 3)]) {
        let mut sandbox = take_in(&order.map(|index| lines[index].clone()), &[size, size, size]);
        assert_eq!(sandbox.query("SELECT output FROM response"), ["3"], "{order:?}, {size} at a time");
        assert_eq!(sandbox.cells(), sandbox.sums(), "{order:?}, {size} at a time");
        sandbox.ingest_lines(300, vec![aliased(&["x"], Some(chain("x", "a tool's line")), 9)]);
        assert_eq!(sandbox.query("SELECT output FROM response ORDER BY output"), ["3", "9"], "{order:?}");
    }
}

#[test]
fn a_gateways_id_is_not_a_first_party_id() {
    let mut sandbox = Sandbox::new();
    let key = MessageKey::Aliases { id: "msg_01A".into(), names: vec!["x".into()], chain: None };
    let alias = ResponseLine { key, ..line("", "one", 0, 5) };
    sandbox.ingest_lines(0, vec![alias.clone(), line("msg_01A", "one", 0, 1)]);
    sandbox.ingest_lines(200, vec![line("msg_01A", "one", 0, 2), alias]);
    assert_eq!(sandbox.query("SELECT output FROM response ORDER BY output"), ["2", "5"]);
    assert_eq!(sandbox.reader().responses_by_message("msg_01A").unwrap().len(), 2);
}
