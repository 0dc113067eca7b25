//! The forms of the public reference, as recorded in `fixtures/reconcile`, and whatever else a server may send.

use super::*;
use crate::reconcile::theirs::Source;
use proptest::prelude::*;

const USAGE: &str = include_str!("../../../../fixtures/reconcile/usage-1.json");
const COST: &str = include_str!("../../../../fixtures/reconcile/cost.json");
const CLAUDE_CODE: &str = include_str!("../../../../fixtures/reconcile/claude-code-1.json");

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn api() -> Reading {
    Reading::new(Source::Api)
}

#[test]
fn a_page_of_usage_is_read() {
    let mut reading = api();
    let page = usage(USAGE, "/usage", &mut reading).unwrap();
    assert_eq!(page.next.as_deref(), Some("page_MjAyNi0xMS0yMVQwMDowMDowMFo="));
    let first = &reading.statements[0];
    assert_eq!(first.scope, Scope::Day(day("2026-11-20")));
    assert_eq!(first.line, Line::Model("claude-opus-5-5".to_owned()));
    let counts: Vec<_> = first.counts.entries().map(|(_, count)| count.unwrap()).collect();
    assert_eq!(counts, [11, 507, 1001, 401, 600, 20100, 0]);
    assert_eq!((first.cost, &reading.not_understood[..]), (None, &[][..]));
}

#[test]
fn a_page_of_cost_is_read_in_cents_with_every_digit() {
    let mut reading = api();
    assert_eq!(cost(COST, "/cost", &[], &mut reading), Ok(Page { next: None }));
    let told: Vec<_> = reading
        .statements
        .iter()
        .map(|statement| format!("{} {}", statement.line, statement.cost.unwrap().usd))
        .collect();
    assert!(told.contains(&"claude-opus-5-5 0.01014".to_owned()), "{told:?}");
    assert!(told.contains(&"web searches 0.02".to_owned()), "{told:?}");
    assert!(told.contains(&"Code Execution Usage 0.5".to_owned()), "{told:?}");
    let mut of_one = api();
    cost(COST, "/cost", &["wrkspc_01Other".to_owned()], &mut of_one).unwrap();
    assert!(of_one.statements.len() < reading.statements.len() && !of_one.statements.is_empty());
}

#[test]
fn claude_codes_analytics_are_read_in_whole_cents() {
    let mut reading = Reading::new(Source::Analytics);
    claude_code(CLAUDE_CODE, "/cc", day("2026-11-20"), &[], &mut reading).unwrap();
    let first = &reading.statements[0];
    let counts: Vec<_> = first.counts.entries().map(|(_, count)| count).collect();
    assert_eq!(counts, [Some(11), Some(507), Some(1001), None, None, Some(20100), None]);
    assert_eq!(first.cost.unwrap().usd.to_string(), "0.02");
    assert_eq!(first.cost.unwrap().slack.to_string(), "0.005");
    let mut of_one = Reading::new(Source::Analytics);
    claude_code(CLAUDE_CODE, "/cc", day("2026-11-20"), &["nobody@example.com".to_owned()], &mut of_one)
        .unwrap();
    assert_eq!(of_one.statements, []);
}

#[test]
fn what_the_reference_does_not_say_is_an_error_or_told() {
    for (body, what) in [
        ("", "EOF"),
        ("[]", "invalid type"),
        ("{}", "no list `data`"),
        (r#"{"data":{},"has_more":false}"#, "data is {}"),
        (r#"{"data":[]}"#, "`has_more`"),
        (r#"{"data":[],"has_more":"no"}"#, "`has_more`"),
        (r#"{"data":[],"has_more":true,"next_page":null}"#, "no `next_page`"),
        (r#"{"data":[1],"has_more":false}"#, "a bucket is 1"),
        (r#"{"data":[{"results":[]}],"has_more":false}"#, "no `starting_at`"),
        (r#"{"data":[{"starting_at":"soon"}],"has_more":false}"#, "`soon` is no day"),
        (
            r#"{"data":[{"starting_at":"2026-11-20T00:00:00Z","results":[{"output_tokens":-1}]}],"has_more":false}"#,
            "2026-11-20: output_tokens is -1",
        ),
        (
            r#"{"data":[{"starting_at":"2026-11-20T00:00:00Z","results":[{"cache_creation":7}]}],"has_more":false}"#,
            "cache_creation is 7",
        ),
    ] {
        let why = usage(body, "/usage", &mut api()).unwrap_err();
        assert!(why.contains(what), "{body}: {why}");
    }
    let mut reading = api();
    let body = USAGE.replace("ephemeral_1h", "ephemeral_24h");
    usage(&body, "/usage", &mut reading).unwrap();
    let [told] = &reading.not_understood[..] else { panic!("{:?}", reading.not_understood) };
    assert_eq!(told.what, "the field `ephemeral_24h_input_tokens` is not known");
    let mut reading = api();
    cost(&COST.replacen("\"USD\"", "\"EUR\"", 1), "/cost", &[], &mut reading).unwrap();
    assert!(reading.not_understood[0].what.contains("an amount in EUR"));
    assert!(
        cost(&COST.replacen("\"1.014\"", "\"much\"", 1), "/cost", &[], &mut api())
            .unwrap_err()
            .contains("`much`")
    );
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in "(?s).{0,300}", at in 0_usize..2_000, with in "(?s).{0,8}") {
        let mangled = |text: &str| {
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            format!("{}{with}{}", &text[..at], &text[at..])
        };
        for text in [body.clone(), mangled(USAGE), mangled(COST), mangled(CLAUDE_CODE)] {
            let _ = usage(&text, "x", &mut api());
            let _ = cost(&text, "x", &[], &mut api());
            let _ = claude_code(&text, "x", day("2026-11-20"), &[], &mut api());
        }
    }
}
