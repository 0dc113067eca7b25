//! Merging what lines say of a response: neither order nor repetition matters.

use super::*;
use crate::domain::Quarter;
use pretty_assertions::assert_eq;
use proptest::prelude::*;
use proptest::sample::select;

/// Lines from few values, so that ties of every length are common.
fn line() -> impl Strategy<Value = ResponseLine> {
    let small = 0_u64..3;
    let usage =
        (small.clone(), small, any::<bool>(), any::<bool>()).prop_map(|(input, output, fast, advised)| {
            let tokens = TokenCounts { input, output, ..TokenCounts::default() };
            let part = Part { kind: PartKind::Advisor, model: None, tokens };
            Usage {
                tokens,
                speed: if fast { Speed::Fast } else { Speed::Standard },
                parts: if advised { vec![part] } else { Vec::new() },
                ..Usage::default()
            }
        });
    let rank = (any::<bool>(), any::<bool>(), (0_i64..3).prop_map(UnixMillis));
    let paid = (any::<bool>(), select(vec!["one", "two", "three"]));
    let written_by = (select(vec!["opus", "haiku"]), select(vec![None, Some("2.1.330")]));
    (usage, rank, paid, written_by, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(
            usage,
            (main_chain, stopped, at),
            (copied, session),
            (model, version),
            is_final,
            guessed,
            is_aborted,
        )| {
            ResponseLine {
                key: MessageKey::Global("msg_01".to_owned()),
                rank: Rank { output: usage.tokens.output, main_chain, stopped, at },
                attribution: Attribution { copied, at, session: session.to_owned() },
                model: ModelName(model.to_owned()),
                usage,
                is_final,
                is_aborted,
                time_is_guessed: guessed,
                request: None,
                version: version.map(str::to_owned),
                cwd: None,
            }
        },
    )
}

/// A line, and the time of the one before it.
fn response() -> impl Strategy<Value = Response> {
    (line(), prop::option::of((-1_i64..4).prop_map(UnixMillis))).prop_map(|(line, before)| {
        let (at, guessed) = (line.rank.at, line.time_is_guessed);
        let mut response = Response::new(line);
        if let Some(before) = before.filter(|_| !guessed) {
            response.see_asked(before, at);
        }
        response
    })
}

fn merged(one: &Response, other: &Response) -> Response {
    let mut merged = one.clone();
    merged.merge(other.clone());
    merged
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(a in response(), b in response(), c in response()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert_eq!(merged(&merged(&a, &b), &a), merged(&a, &b));
    }

    #[test]
    fn the_winner_is_one_line_whole_and_the_rest_is_of_all_lines(
        lines in prop::collection::vec(line(), 1..6),
    ) {
        let responses = lines.iter().cloned().map(Response::new);
        let all = responses.reduce(|one, other| merged(&one, &other)).unwrap();
        let won = |line: &&ResponseLine| {
            (line.rank, &line.usage, &line.model, &line.version)
                == (all.rank, &all.usage, &all.model, &all.version)
        };
        prop_assert!(lines.iter().any(|line| won(&line)), "no line says {:?}", all);
        prop_assert_eq!(all.rank, lines.iter().map(|line| line.rank).max().unwrap());
        prop_assert_eq!(all.is_final, lines.iter().any(|line| line.is_final));
        prop_assert_eq!(all.is_aborted, lines.iter().any(|line| line.is_aborted));
        prop_assert_eq!(all.incompleteness().is_none(), all.is_final);
        let told = |line: &&ResponseLine| !all.is_final && !line.time_is_guessed;
        prop_assert_eq!(all.span.last_at, lines.iter().filter(told).map(|line| line.rank.at).max());
        prop_assert_eq!(all.time_is_guessed, lines.iter().all(|line| line.time_is_guessed));
        let timed: Vec<_> =
            lines.iter().filter(|line| line.time_is_guessed == all.time_is_guessed).collect();
        prop_assert_eq!(all.first_at, timed.iter().map(|line| line.rank.at).min().unwrap());
        let attribution = timed.iter().map(|line| &line.attribution).min().unwrap();
        prop_assert_eq!(&all.attribution, attribution);
    }
}

#[test]
fn the_rank_goes_output_then_main_chain_then_stop_reason_then_newest() {
    let rank = |output, main_chain, stopped, at| Rank { output, main_chain, stopped, at: UnixMillis(at) };
    let rising = [
        rank(1, false, false, 9),
        rank(1, false, true, 1),
        rank(1, true, false, 0),
        rank(1, true, true, 0),
        rank(1, true, true, 1),
        rank(2, false, false, 0),
    ];
    assert!(rising.is_sorted_by(|one, other| one < other));
}

#[test]
fn an_original_line_pays_however_late_and_of_copies_the_earliest() {
    let paid =
        |copied, at, session: &str| Attribution { copied, at: UnixMillis(at), session: session.into() };
    let best_first = [paid(false, 9, "z"), paid(true, 1, "b"), paid(true, 1, "c"), paid(true, 2, "a")];
    assert!(best_first.is_sorted_by(|one, other| one < other));
}

#[test]
fn quarters_before_1970_are_quarters_too() {
    let quarter = |at| UnixMillis(at).quarter();
    assert_eq!(
        [quarter(-1), quarter(0), quarter(899_999), quarter(900_000)].map(|q: Quarter| q.0),
        [-1, 0, 0, 1]
    );
}

#[test]
fn a_reply_was_asked_for_at_the_earliest_line_before_one_of_its_lines() {
    let at = UnixMillis;
    let seen = |is_final, before: &[(i64, i64)]| {
        let line = ResponseLine {
            key: MessageKey::Global("msg_01".to_owned()),
            rank: Rank { output: 1, main_chain: true, stopped: false, at: at(9) },
            attribution: Attribution { copied: false, at: at(9), session: "s".to_owned() },
            model: ModelName("opus".to_owned()),
            usage: Usage::default(),
            is_final,
            request: None,
            is_aborted: false,
            time_is_guessed: false,
            version: None,
            cwd: None,
        };
        let mut response = Response::new(line);
        for (before, line) in before {
            response.see_asked(at(*before), at(*line));
        }
        (response.span.asked_at, response.span.last_at)
    };
    assert_eq!(seen(false, &[(5, 9), (3, 7), (4, 8)]), (Some(at(3)), Some(at(9))));
    assert_eq!(seen(false, &[(8, 7)]), (None, Some(at(9))), "the line before is later");
    assert_eq!(seen(true, &[(5, 9)]), (None, None), "the count is known");
}
