//! What the reader of plain lines says of a line is what `serde_json` says of it.

use super::super::line::{read_any_values, read_values};
use super::super::plain;
use super::properties::{damage, damaged, rich};
use super::*;
use pretty_assertions::assert_eq;
use proptest::prelude::*;
use serde::de::IgnoredAny;

/// Compares both ways of reading; returns whether the line was plain.
fn both(bytes: &[u8]) -> bool {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let ending = read_values(bytes, CONTEXT, &mut |statement| one.push(statement));
    assert_eq!(ending, read_any_values(bytes, CONTEXT, &mut |statement| other.push(statement)));
    assert_eq!(one, other);
    plain::read::<Value>(bytes).is_some()
}

/// The same of a value of any shape, once read and once skipped.
fn both_of_a_value(bytes: &[u8]) -> (bool, bool) {
    let (read, skipped) = (plain::read::<Value>(bytes), plain::read::<IgnoredAny>(bytes));
    if let Some(read) = &read {
        assert_eq!(Some(read), serde_json::from_slice(bytes).ok().as_ref(), "read");
        assert!(skipped.is_some(), "what can be read can be skipped");
    }
    if skipped.is_some() {
        assert!(serde_json::from_slice::<IgnoredAny>(bytes).is_ok(), "skipped");
    }
    (read.is_some(), skipped.is_some())
}

/// Text of the pieces that JSON is made of, most of it no JSON.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"{"[..],
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b" ",
        b"\"a\"",
        b"\"b\":",
        b"1",
        b"0",
        b"-",
        b".5",
        b"e",
        b"E+3",
        b"true",
        b"false",
        b"null",
        b"\\",
        b"\\n",
        b"\\u00e9",
        b"\\u",
        b"\xc3\xa9",
        b"\xc3",
        b"\t",
        b"{}",
        b"[]",
        b"12",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// JSON of any shape, as compact as Claude Code's or spaced.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0_u64..100).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9_f64..1e9).prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-z\\\\\"]{0,5}", inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

#[test]
fn lines_of_the_client_are_plain() {
    for line in [rich(false), progress(&[]).to_string().into_bytes()] {
        assert!(both(&line), "{}", String::from_utf8_lossy(&line));
    }
}

#[test]
fn what_only_looks_like_json_is_not_plain() {
    for text in [
        "",
        " ",
        "{",
        "{}}",
        "{} {}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\"}",
        "{\"a\" 1}",
        "{a:1}",
        "[1 2]",
        "{]",
        "[}",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e",
        "1e+",
        "-01",
        "tru",
        "nul",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a\u{1}b\"",
        "{\"a\":1}\u{0}",
        "{\"a\":[{\"b\":}]}",
        "[[1]",
        "[1]]",
        "\"a\" \"b\"",
        "[\"a\"\"b\"]",
        "[1,,2]",
    ] {
        assert_eq!(both_of_a_value(text.as_bytes()), (false, false), "{text}");
        let nested = format!("{{\"type\":\"user\",\"x\":{text}}}");
        assert_eq!(both_of_a_value(nested.as_bytes()), (false, false), "{nested}");
        both(nested.as_bytes());
    }
}

#[test]
fn what_is_left_to_the_other_reader_is_skipped_where_nobody_wants_it() {
    for text in
        ["-1", "1.5", "1e3", "0.0", "-0", "12345678901234567890", "\"\\n\"", "\"\\ud83d\"", "{\"\\u0061\":1}"]
    {
        assert_eq!(both_of_a_value(text.as_bytes()), (false, true), "{text}");
    }
    for text in
        ["0", "123456789012345678", "\"größer\"", "[]", "{}", "[{},[]]", "{ \"a\" : [ 1 , true ] }", " null"]
    {
        assert_eq!(both_of_a_value(text.as_bytes()), (true, true), "{text}");
    }
    let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    for (depth, is_plain) in [(64, true), (65, false)] {
        assert_eq!(plain::read::<IgnoredAny>(nested(depth).as_bytes()).is_some(), is_plain, "{depth} deep");
    }
}

#[test]
fn who_takes_less_than_there_is_gets_nothing() {
    assert_eq!(plain::read::<Vec<u64>>(b"[1,2]"), Some(vec![1, 2]));
    assert_eq!(plain::read::<(u64,)>(b"[1,2]"), None);
    assert_eq!(
        plain::read::<Vec<(u64,)>>(b"[[1,[2]"),
        None,
        "what is left is not taken for what is around it"
    );
}

#[test]
fn bytes_that_are_no_text_are_not_plain() {
    assert!(!both(b"{\"type\":\"\xff\"}"));
    assert!(!both(b"{\"\xff\":1}"));
    assert_eq!(both_of_a_value(b"[\"\xff\"]"), (false, false));
    assert!(!both(b"{\"version\":{\"\xff\":1}}"));
}

#[test]
fn the_text_of_a_number_is_never_taken_from_a_record_that_spells_how_it_is_asked_for() {
    let key = "$serde_json::private::RawValue";
    both(format!("{{\"type\":\"cost-state\",\"totalCostUSD\":{{\"{key}\":\"5\"}}}}").as_bytes());
    both(b"{\"type\":\"cost-state\",\"totalCostUSD\":5.25}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn damaged_lines_are_read_the_same_either_way(
        glued in any::<bool>(),
        all in prop::collection::vec(damage(), 0..4),
    ) {
        both(&damaged(rich(glued), &all));
    }

    #[test]
    fn pieces_are_read_the_same_either_way(bytes in pieces()) {
        both_of_a_value(&bytes);
        let mut nested = b"{\"type\":".to_vec();
        nested.extend(&bytes);
        nested.push(b'}');
        both(&nested);
        both_of_a_value(&nested);
    }

    #[test]
    fn whatever_is_json_can_be_skipped(value in value(), spaced in any::<bool>()) {
        let text = if spaced { format!("{value:#}").replace('\n', " ") } else { value.to_string() };
        let (_, skipped) = both_of_a_value(text.as_bytes());
        prop_assert!(skipped);
    }
}
