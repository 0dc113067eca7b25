//! Any lines, in any order, in any transactions: the same responses, and cells that are their sums.

use super::*;
use pretty_assertions::assert_eq;
use proptest::prelude::*;
use proptest::sample::select;

const MODELS: [&str; 3] = ["opus", "haiku", "brand-new?"];

fn tokens() -> impl Strategy<Value = TokenCounts> {
    prop_oneof![
        1 => Just(TokenCounts::default()),
        3 => prop::array::uniform5(0_u64..4).prop_map(TokenCounts::from_array),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    let kinds = [PartKind::Advisor, PartKind::Compaction, PartKind::AbandonedAttempt, PartKind::Step];
    let model = prop::option::of(select(&MODELS[..]));
    (select(kinds.to_vec()), model, tokens()).prop_map(|(kind, model, tokens)| Part {
        kind,
        model: model.map(|name| ModelName(name.to_owned())),
        tokens,
    })
}

fn usage() -> impl Strategy<Value = Usage> {
    let speed = select(vec![Speed::Standard, Speed::Fast]);
    let geo = select(vec![Geo::Global, Geo::Us]);
    let tier = select(vec![Tier::Standard, Tier::Batch, Tier::Priority]);
    let parts = prop::collection::vec(part(), 0..3);
    (tokens(), 0_u64..3, 0_u64..2, speed, geo, tier, parts).prop_map(
        |(tokens, thinking, web_searches, speed, geo, tier, parts)| Usage {
            tokens,
            thinking,
            web_searches,
            speed,
            geo,
            tier,
            parts,
        },
    )
}

/// Lines from few values, near the borders of quarter hours.
pub(super) fn any_line(key: impl Strategy<Value = MessageKey>) -> impl Strategy<Value = ResponseLine> {
    let at = (-1_i64..3, -2_i64..3).prop_map(|(quarter, step)| UnixMillis(quarter * 900_000 + step));
    let paid = (any::<bool>(), select(vec!["one", "two", "three"]));
    let flags = prop::array::uniform5(any::<bool>());
    let version = prop::option::of(select(vec!["2.1.96", "2.1.330"]));
    let cwd = prop::option::of(select(vec!["/a", "/b"]));
    (key, usage(), at, paid, select(&MODELS[..]), flags, version, cwd).prop_map(
        |(key, usage, at, (copied, session), model, flags, version, cwd)| {
            let [main_chain, stopped, is_final, time_is_guessed, is_aborted] = flags;
            ResponseLine {
                key,
                rank: Rank { output: usage.tokens.output, main_chain, stopped, at },
                attribution: Attribution { copied, at, session: session.to_owned() },
                model: ModelName(model.to_owned()),
                usage,
                is_final,
                is_aborted,
                time_is_guessed,
                request: None,
                version: version.map(str::to_owned),
                cwd: cwd.map(str::to_owned),
            }
        },
    )
}

fn global() -> impl Strategy<Value = MessageKey> {
    select(vec!["msg_01A", "msg_01B", "msg_01C", "msg_01D"]).prop_map(|id| MessageKey::Global(id.to_owned()))
}

/// Takes lines in, as many a transaction as `sizes` say, over and over; 0 opens the ledger anew.
pub(super) fn take_in(lines: &[ResponseLine], sizes: &[usize]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let (mut rest, mut offset) = (lines, 0);
    for size in sizes.iter().chain([&usize::MAX]) {
        let (now, later) = rest.split_at((*size).min(rest.len()));
        if *size == 0 {
            sandbox.reopen();
        }
        sandbox.ingest_lines(offset, now.to_vec());
        offset += 100 * now.len() as u64;
        rest = later;
    }
    sandbox.ledger().audit().expect("what was written by tallyd alone is whole");
    sandbox
}

fn shuffled() -> impl Strategy<Value = (Vec<ResponseLine>, Vec<ResponseLine>)> {
    prop::collection::vec(any_line(global()), 1..10)
        .prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn neither_order_nor_transactions_matter_and_cells_are_sums(
        (lines, shuffled) in shuffled(),
        sizes in prop::collection::vec(0_usize..4, 0..6),
    ) {
        let at_once = take_in(&lines, &[]);
        let contents = at_once.contents();
        prop_assert_eq!(&contents.cells, &at_once.sums());
        let in_pieces = take_in(&shuffled, &sizes);
        prop_assert_eq!(&contents, &in_pieces.contents());
    }

    #[test]
    fn reading_again_changes_nothing(lines in prop::collection::vec(any_line(global()), 1..8)) {
        let mut sandbox = take_in(&lines, &[]);
        let contents = sandbox.contents();
        let again = sandbox.ingest_lines(0, lines.clone());
        prop_assert_eq!((again.new_responses, again.raised_responses, again.changes.len()), (0, 0, 0));
        prop_assert_eq!(sandbox.contents(), contents);
    }

    #[test]
    fn what_the_ledger_has_of_a_response_is_what_its_lines_merge_to(
        lines in prop::collection::vec(any_line(global()), 1..8),
        sizes in prop::collection::vec(0_usize..3, 0..4),
    ) {
        let mut merged: BTreeMap<String, Response> = BTreeMap::new();
        for line in &lines {
            let MessageKey::Global(id) = &line.key else { unreachable!("only global ids are made") };
            let response = Response::new(line.clone());
            match merged.get_mut(id) {
                Some(known) => known.merge(response),
                None => drop(merged.insert(id.clone(), response)),
            }
        }
        let known = take_in(&lines, &sizes).responses();
        let known: BTreeMap<_, _> = known.into_iter().map(|one| (one.message_id, one.response)).collect();
        prop_assert_eq!(known, merged);
    }
}

#[test]
fn a_call_inside_that_used_nothing_leaves_no_trace_whatever_the_order() {
    let advised = |id: &str, at, input| {
        let tokens = TokenCounts { input, ..TokenCounts::default() };
        let part = Part { kind: PartKind::Advisor, model: Some(ModelName("haiku".to_owned())), tokens };
        let mut line = line(id, "one", at, 1);
        line.usage.parts.push(part);
        line
    };
    let lines = [advised("msg_01A", 10, 0), advised("msg_01B", 20, 5), advised("msg_01C", 30, 0)];
    let cells = take_in(&lines, &[1, 1]).cells();
    assert_eq!(cells, take_in(&lines, &[]).cells());
    let (_, first, last) = cells[&("one".to_owned(), 0, "haiku".to_owned())];
    assert_eq!((first, last), (UnixMillis(20), UnixMillis(20)));
}

#[test]
fn a_step_is_no_call_of_its_own_when_a_span_is_found_anew() {
    let haiku = |id: &str, session: &str, at| ResponseLine {
        model: ModelName("haiku".to_owned()),
        ..line(id, session, at, 1)
    };
    let mut stepped = line("msg_01A", "one", 10, 1);
    let tokens = TokenCounts { input: 1, ..TokenCounts::default() };
    stepped.usage.parts.push(Part {
        kind: PartKind::Step,
        model: Some(ModelName("haiku".to_owned())),
        tokens,
    });
    let mut moves = haiku("msg_01C", "one", 5);
    moves.attribution.copied = true;
    let original = haiku("msg_01C", "two", 5);
    let sandbox = take_in(&[stepped, haiku("msg_01B", "one", 20), moves, original], &[3]);
    let (_, first, last) = sandbox.cells()[&("one".to_owned(), 0, "haiku".to_owned())];
    assert_eq!((first, last), (UnixMillis(20), UnixMillis(20)));
    assert_eq!(sandbox.cells(), sandbox.sums());
}

#[test]
fn a_summary_tells_new_from_corrected_and_lists_so_many() {
    let mut sandbox = Sandbox::new();
    let first = sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 1), line("msg_01B", "one", 0, 1)]);
    assert_eq!((first.lines, first.new_responses, first.raised_responses), (2, 2, 0));
    let raised = sandbox.ingest_lines(200, vec![line("msg_01A", "one", 5, 9), line("msg_01B", "one", 0, 1)]);
    assert_eq!((raised.lines, raised.new_responses, raised.raised_responses), (2, 0, 1));
    let change = &raised.changes[0];
    assert_eq!((change.is_new, change.tokens.output, change.session.as_str()), (false, 9, "one"));
    assert_eq!(change.cost, Cost::Known(Picodollars(116 * 5_000_000)));
    assert_eq!(change.cwd.as_deref(), Some("/project"));
    let by_another = ResponseLine { version: Some("9.0.0".to_owned()), ..line("msg_01B", "one", 0, 1) };
    let same_bill = sandbox.ingest_lines(300, vec![by_another]);
    assert_eq!(
        (same_bill.raised_responses, same_bill.changes.len()),
        (0, 0),
        "another client, the same bill"
    );
    let kept = "SELECT count(*) FROM response WHERE version = (SELECT id FROM version WHERE name = '9.0.0')";
    assert_eq!(sandbox.query(kept), ["1"], "and its version is kept");
    let many: Vec<_> = (0..100).map(|number| line(&format!("msg_01C{number}"), "one", 0, 1)).collect();
    let mut all = sandbox.ingest_lines(400, many);
    assert_eq!((all.new_responses, all.changes.len()), (100, 64));
    all.add(raised);
    assert_eq!((all.lines, all.raised_responses, all.changes.len()), (102, 1, 64));
}
