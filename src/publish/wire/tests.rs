//! Bodies as they are sent, digests, and rows read back.

use super::rows::{CellRow, SessionRow, Stored, UnloggedRow, cost};
use super::*;
use crate::domain::{TokenCounts, UnixMillis, Usd};
use chrono::NaiveDate;
use proptest::prelude::*;

pub(in crate::publish) fn user() -> UserId {
    UserId::parse("3dfb3580-b7c4-4da3-8d9e-b9775c216f7e").expect("a user")
}

fn totals(seed: u64) -> Totals {
    Totals {
        tokens: TokenCounts::from_array([seed, seed * 2, seed * 3, seed * 4, seed * 5]),
        thinking: seed,
        messages: seed,
        web_searches: 1,
        unpriced: 1,
        unpriced_tokens: seed * 7,
        incomplete: 2,
        cost: Usd(i128::from(seed) * 1_000_000_001),
    }
}

pub(in crate::publish) fn value(session: &str, seed: u64) -> SessionValue {
    let day = |day| NaiveDate::from_ymd_opt(2026, 8, day).expect("a day");
    let cell = |on: u32, model: &str| DayCell { day: day(on), model: model.to_owned(), totals: totals(seed) };
    let mut sum = totals(seed);
    sum += totals(seed);
    SessionValue {
        session: session.to_owned(),
        totals: sum,
        started_at: UnixMillis(1_787_228_502_909),
        last_at: UnixMillis(1_787_228_502_910),
        model: "claude-opus-5".to_owned(),
        cells: vec![cell(20, "claude-haiku-5"), cell(21, "claude-opus-5")],
        unlogged: UnloggedTotals::default(),
        unlogged_days: vec![],
    }
}

/// The same, and of two days what no log has.
pub(in crate::publish) fn with_unlogged(session: &str, seed: u64) -> SessionValue {
    let totals = UnloggedTotals {
        tokens: TokenCounts::from_array([seed, seed * 2, seed * 3, seed * 4, seed * 5]),
        web_searches: seed,
        unpriced_tokens: seed * 15,
        cost: Usd(i128::from(seed) * 1_000_000_007),
    };
    let day = |day, model: &str| UnloggedDay {
        day: NaiveDate::from_ymd_opt(2026, 8, day).expect("a day"),
        model: model.to_owned(),
        totals,
    };
    let mut value = value(session, seed);
    value.unlogged_days = vec![day(21, "claude-opus-5[1m]"), day(22, "claude-haiku-5")];
    value.unlogged = totals;
    value.unlogged += totals;
    value
}

#[test]
fn a_body_is_as_the_contract_has_it() {
    let body = Body::new(&value("s-1", 10), Revision::new(1, 1, 0), user());
    insta::assert_snapshot!(body.json.replace(",\"", ",\n\""));
    let unlogged = Body::new(&with_unlogged("s-1", 10), Revision::new(1, 1, 0), user());
    insta::assert_snapshot!("with_unlogged", unlogged.json.replace(",\"", ",\n\""));
    assert_eq!(Body::batch(&[body.clone(), body.clone()]), format!(r#"{{"items":[{0},{0}]}}"#, body.json));
}

#[test]
fn the_digest_is_of_the_value_and_the_rules_and_not_of_the_user() {
    let (revision, other_rules) = (Revision::new(1, 1, 0), Revision::new(1, 2, 0));
    let body = Body::new(&value("s-1", 10), revision, user());
    assert_eq!(body.digest.len(), 32);
    let somebody = UserId::parse("11111111-1111-4111-8111-111111111111").expect("a user");
    let theirs = Body::new(&value("s-1", 10), revision, somebody);
    assert!(theirs.digest == body.digest && theirs.json != body.json);
    assert_ne!(digest(&value("s-1", 10), other_rules), body.digest);
    assert_ne!(digest(&value("s-1", 11), revision), body.digest);
    let mut moved = value("s-1", 10);
    moved.cells.swap(0, 1);
    assert_ne!(digest(&moved, revision), body.digest);
    let unlogged = with_unlogged("s-1", 10);
    assert_ne!(digest(&unlogged, revision), body.digest);
    let alone = unlogged.logged_alone().expect("something logged");
    assert_eq!(digest(&alone, revision), body.digest, "what contract 2 takes");
}

#[test]
fn costs_are_read_exactly_or_not_at_all() {
    for (text, pico) in [
        ("0", Some(0)),
        ("0.000000000000", Some(0)),
        ("0.000000000001", Some(1)),
        ("1757225.074070000000", Some(1_757_225_074_070_000_000)),
        ("0.0000000000001", None),
        ("NaN", None),
        ("", None),
    ] {
        assert_eq!(cost(text), pico.map(Usd), "{text}");
    }
}

fn row(totals: &Totals) -> String {
    format!(
        r#""input_tokens":{},"output_tokens":{},"cache_creation_tokens":{},"cache_creation_1h_tokens":{},
           "cache_read_tokens":{},"thinking_tokens":{},"message_count":{},"web_search_requests":{},
           "unpriced_messages":{},"unpriced_tokens":{},"incomplete_messages":{},"cost":"{}""#,
        totals.tokens.input,
        totals.tokens.output,
        totals.tokens.cache_write(),
        totals.tokens.cache_write_1h,
        totals.tokens.cache_read,
        totals.thinking,
        totals.messages,
        totals.web_searches,
        totals.unpriced,
        totals.unpriced_tokens,
        totals.incomplete,
        totals.cost
    )
}

fn unlogged_row(totals: &UnloggedTotals) -> String {
    format!(
        r#""unlogged_input_tokens":{},"unlogged_output_tokens":{},"unlogged_cache_creation_tokens":{},
           "unlogged_cache_creation_1h_tokens":{},"unlogged_cache_read_tokens":{},
           "unlogged_web_search_requests":{},"unlogged_unpriced_tokens":{},"unlogged_cost":"{}""#,
        totals.tokens.input,
        totals.tokens.output,
        totals.tokens.cache_write(),
        totals.tokens.cache_write_1h,
        totals.tokens.cache_read,
        totals.web_searches,
        totals.unpriced_tokens,
        totals.cost
    )
}

proptest! {
    /// What the server has to do with a body, done here: the columns have the body's values.
    #[test]
    fn rows_give_back_the_value(seed in 0_u64..1 << 40, name in "\\PC{1,20}") {
        let sent = with_unlogged(&name, seed);
        let unlogged: Vec<UnloggedRow> = sent.unlogged_days.iter().rev().map(|day| {
            let name = serde_json::to_string(&name).unwrap();
            let text = format!(
                r#"{{"session_id":{name},"usage_date":"{}","model":"{}",{}}}"#,
                day.day, day.model, unlogged_row(&day.totals)
            );
            serde_json::from_str(&text).unwrap()
        }).collect();
        let cells: Vec<CellRow> = sent.cells.iter().rev().map(|cell| {
            let name = serde_json::to_string(&name).unwrap();
            let text = format!(
                r#"{{"session_id":{name},"usage_date":"{}","model":"{}",{}}}"#,
                cell.day, cell.model, row(&cell.totals)
            );
            serde_json::from_str(&text).unwrap()
        }).collect();
        let text = format!(
            r#"{{"session_id":{},"revision":7,"session_started_at":"2026-08-20T10:21:42.909+00:00",
                "last_message_at":"2026-08-20T12:21:42.91+02:00","model_used":"{}",{},{}}}"#,
            serde_json::to_string(&name).unwrap(), sent.model, row(&sent.totals), unlogged_row(&sent.unlogged)
        );
        let session: SessionRow = serde_json::from_str(&text).unwrap();
        let stored = session.with_cells(&cells.iter().collect::<Vec<_>>(), &unlogged.iter().collect::<Vec<_>>()).unwrap();
        let expected = SessionValue {
            started_at: UnixMillis::parse("2026-08-20T10:21:42.909Z").unwrap(),
            last_at: UnixMillis::parse("2026-08-20T10:21:42.910Z").unwrap(),
            ..sent
        };
        prop_assert_eq!(stored, Stored { revision: 7, value: expected });
    }
}
