//! Counters, cache writes, iterations and what is beyond belief.

use super::*;
use pretty_assertions::assert_eq;

const USAGE: &str = "/message/usage";

fn usage(usage: Value) -> Usage {
    counted(&[(USAGE, Some(usage))]).usage
}

#[test]
fn usage_under_a_key_that_the_prefilter_does_not_know_is_not_counted() {
    let escaped = plain().to_string().replace("\"usage\"", r#""\u0075sage""#);
    assert_eq!(read(escaped.as_bytes()), (vec![], None), "no writer spells it so");
    let others = plain().to_string().replace("\"message\"", r#""mess\u0061ge""#);
    assert_eq!(read(others.as_bytes()), read(plain().to_string().as_bytes()), "other keys may be spelled so");
}

#[test]
fn cache_writes_are_the_larger_of_total_and_break_down() {
    // Total, 5 minutes, 1 hour: what counts as 5 minutes and as 1 hour.
    let cases = [
        ((Some(70), Some(20), Some(50)), (20, 50)),
        ((Some(70), Some(0), Some(0)), (70, 0)),
        ((Some(0), Some(20), Some(50)), (20, 50)),
        ((None, Some(20), Some(50)), (20, 50)),
        ((Some(70), None, None), (70, 0)),
        ((Some(70), None, Some(50)), (20, 50)),
        ((Some(100), Some(20), Some(50)), (50, 50)),
        ((Some(10), None, Some(50)), (0, 50)),
        ((None, None, None), (0, 0)),
    ];
    for ((total, five_minutes, one_hour), expected) in cases {
        let split = json!({"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": one_hour});
        let tokens = usage(json!({"cache_creation_input_tokens": total, "cache_creation": split})).tokens;
        assert_eq!((tokens.cache_write_5m, tokens.cache_write_1h), expected, "{total:?} {split}");
    }
    let tokens = usage(json!({"cache_creation_input_tokens": 5, "cache_creation": null})).tokens;
    assert_eq!(tokens.cache_write_5m, 5);
}

#[test]
fn a_count_is_a_whole_number_or_nothing() {
    let cases = [
        (json!(7), 7),
        (json!(7.0), 7),
        (json!(7.9), 7),
        (json!(1e3), 1_000),
        (json!(-7), 0),
        (json!(-7.5), 0),
        (json!(null), 0),
        (json!("7"), 0),
        (json!(true), 0),
        (json!([7]), 0),
        (json!({"a": 7}), 0),
        (json!(100_000_000), 100_000_000),
    ];
    for (value, expected) in cases {
        assert_eq!(usage(json!({"input_tokens": value})).tokens.input, expected, "{value}");
    }
    assert_eq!(usage(json!({})), Usage::default());
}

#[test]
fn a_key_that_occurs_twice_has_its_last_value() {
    let twice =
        plain().to_string().replace("\"output_tokens\":50", "\"output_tokens\":1,\"output_tokens\":50");
    assert_eq!(read(twice.as_bytes()), read(plain().to_string().as_bytes()));
}

#[test]
fn thinking_is_a_part_of_the_output_and_never_more() {
    for (thinking, expected) in [(json!(30), 30), (json!(51), 50), (json!(null), 0)] {
        let details = json!({"thinking_tokens": thinking});
        let line = counted(&[("/message/usage/output_tokens_details", Some(details))]);
        assert_eq!((line.usage.thinking, line.usage.tokens.output), (expected, 50), "{thinking}");
    }
}

#[test]
fn searches_speed_place_and_tier_are_read_and_other_values_are_the_default() {
    let edit = |key: &str, value: Value| counted(&[(&format!("{USAGE}/{key}"), Some(value))]).usage;
    assert_eq!(
        edit("server_tool_use", json!({"web_search_requests": 3, "web_fetch_requests": 9})).web_searches,
        3
    );
    assert_eq!(edit("server_tool_use", json!(null)).web_searches, 0);
    for (value, expected) in [("fast", Speed::Fast), ("standard", Speed::Standard), ("FAST", Speed::Standard)]
    {
        assert_eq!(edit("speed", json!(value)).speed, expected, "{value}");
    }
    for (value, expected) in
        [("us", Geo::Us), ("global", Geo::Global), ("not_available", Geo::Global), ("", Geo::Global)]
    {
        assert_eq!(edit("inference_geo", json!(value)).geo, expected, "{value}");
    }
    for (value, expected) in [
        ("batch", Tier::Batch),
        ("priority", Tier::Priority),
        ("standard", Tier::Standard),
        ("default", Tier::Standard),
    ] {
        assert_eq!(edit("service_tier", json!(value)).tier, expected, "{value}");
    }
    let nulls = json!({"speed": null, "inference_geo": null, "service_tier": null, "server_tool_use": null});
    assert_eq!(usage(nulls), Usage::default());
}

/// Iterations, each a kind, a model and the output tokens, and what comes of them.
fn check_iterations(
    output: u64,
    entries: &[(&str, Option<&str>, u64)],
    expected: &[(PartKind, Option<&str>, u64)],
) {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(kind, model, output)| json!({"type": kind, "model": model, "output_tokens": output}))
        .collect();
    let parts = usage(json!({"output_tokens": output, "iterations": entries})).parts;
    let expected: Vec<Part> = expected
        .iter()
        .map(|(kind, model, output)| Part {
            kind: *kind,
            model: model.map(|name| ModelName(name.to_owned())),
            tokens: tokens(0, *output, 0, 0, 0),
        })
        .collect();
    assert_eq!(parts, expected, "{entries:?}");
}

#[test]
fn iterations_outside_of_the_counters_are_calls_of_their_own() {
    use PartKind::{AbandonedAttempt, Advisor, Compaction, Step};
    check_iterations(5, &[], &[]);
    check_iterations(5, &[("message", None, 5)], &[]);
    check_iterations(
        5,
        &[("message", None, 5), ("advisor_message", Some("fable"), 9)],
        &[(Advisor, Some("fable"), 9)],
    );
    check_iterations(5, &[("compaction", None, 7), ("message", None, 5)], &[(Compaction, None, 7)]);
    check_iterations(
        5,
        &[("message", Some("fable"), 3), ("fallback_message", Some("opus"), 5)],
        &[(AbandonedAttempt, Some("fable"), 3)],
    );
    check_iterations(
        5,
        &[
            ("message", Some("a"), 3),
            ("fallback_message", Some("b"), 4),
            ("message", Some("b"), 1),
            ("fallback_message", Some("c"), 5),
            ("message", Some("c"), 2),
        ],
        &[(AbandonedAttempt, Some("a"), 3), (AbandonedAttempt, Some("b"), 1)],
    );
    check_iterations(5, &[("message", None, 3), ("message", None, 2)], &[(Step, None, 3), (Step, None, 2)]);
    check_iterations(6, &[("message", None, 3), ("message", None, 2)], &[]);
    check_iterations(5, &[("something new", None, 3), ("message", None, 5)], &[]);
    check_iterations(
        5,
        &[("message", None, 3), ("advisor_message", None, 1), ("message", None, 2)],
        &[(Advisor, None, 1), (Step, None, 3), (Step, None, 2)],
    );
}

#[test]
fn steps_without_a_break_down_are_written_for_as_long_as_the_whole() {
    // Cache writes of each step; 5 minutes and 1 hour of the whole; what the steps' come to.
    let check = |writes: [u64; 2], whole: (u64, u64), expected: Option<[(u64, u64); 2]>| {
        let entries = writes.map(|write| {
            json!({"type": "message", "input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": write})
        });
        let split = json!({"ephemeral_5m_input_tokens": whole.0, "ephemeral_1h_input_tokens": whole.1});
        let parts = usage(json!({
            "input_tokens": 2, "output_tokens": 4, "cache_creation_input_tokens": whole.0 + whole.1,
            "cache_creation": split, "iterations": entries,
        }))
        .parts;
        let steps = expected.map(|steps| steps.map(|(short, long)| tokens(1, 2, short, long, 0)).to_vec());
        let read: Vec<_> = parts.iter().map(|part| (part.kind, part.tokens)).collect();
        let expected: Vec<_> =
            steps.unwrap_or_default().into_iter().map(|tokens| (PartKind::Step, tokens)).collect();
        assert_eq!(read, expected, "{writes:?} of {whole:?}");
    };
    check([30, 40], (0, 70), Some([(0, 30), (0, 40)]));
    check([30, 40], (70, 0), Some([(30, 0), (40, 0)]));
    check([0, 70], (0, 70), Some([(0, 0), (0, 70)]));
    // Nobody knows which step wrote for how long; and what does not add up is no list of steps.
    check([30, 40], (20, 50), None);
    check([30, 41], (0, 70), None);
}

#[test]
fn iterations_of_any_shape_harm_nothing() {
    for iterations in [json!(null), json!("x"), json!({}), json!([1, null, "x", [], {}])] {
        assert_eq!(usage(json!({"input_tokens": 1, "iterations": iterations})).parts, [], "{iterations}");
    }
    let nested = json!({"type": "compaction", "input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 4}});
    let parts = usage(json!({"iterations": [nested]})).parts;
    assert_eq!(parts[0].tokens, tokens(1, 2, 5, 4, 3), "an iteration has counters like a response");
}

#[test]
fn a_count_beyond_belief_is_a_loss_that_is_reported() {
    let huge = [json!(100_000_001), json!(u64::MAX), json!(1e30)];
    let places = [
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation/ephemeral_5m_input_tokens",
        "cache_creation/ephemeral_1h_input_tokens",
    ];
    for (place, value) in places.iter().flat_map(|place| huge.iter().map(move |value| (place, value))) {
        let record = edited(plain(), &[(&format!("{USAGE}/{place}"), Some(value.clone()))]);
        assert_eq!(
            read(record.to_string().as_bytes()),
            (vec![], Some(Notice::Implausible)),
            "{place} {value}"
        );
    }
    for usage in [
        json!({"server_tool_use": {"web_search_requests": 100_000_001}}),
        json!({"iterations": [{"type": "advisor_message", "output_tokens": 100_000_001}]}),
    ] {
        let record = edited(plain(), &[(USAGE, Some(usage.clone()))]);
        assert_eq!(read(record.to_string().as_bytes()), (vec![], Some(Notice::Implausible)), "{usage}");
    }
}
