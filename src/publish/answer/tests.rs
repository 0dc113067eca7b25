//! The table of answers, a row a case, and what holds for any bytes at all.

use super::*;
use crate::publish::fault::tests::options;
use proptest::prelude::*;

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() }
}

fn one(answer: &Answer) -> Result<ItemAnswer, Refusal> {
    answer.to_one("s-1", &options().destination)
}

fn many(answer: &Answer) -> Result<Vec<ItemAnswer>, Refusal> {
    answer.to_many(&["s-1", "s-2"], &options().destination)
}

/// The name of a refusal: a fault's own, or what the publisher does.
fn name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Configuration(fault) => fault.kind(),
        Refusal::Rejected { .. } => "rejected",
        Refusal::TooLarge => "too_large",
        Refusal::Transient { shrink: false, .. } => "transient",
        Refusal::Transient { shrink: true, .. } => "transient, smaller",
    }
}

fn error(code: &str, message: &str) -> String {
    format!(r#"{{"code":"{code}","details":null,"hint":null,"message":"{message}"}}"#)
}

#[test]
fn every_kind_of_answer_has_its_meaning() {
    let portal = "<html><title>Sign in</title></html>";
    let cases = [
        // What the database says, with the status PostgREST gives it.
        (409, error("23503", "violates foreign key"), "unknown_user"),
        (409, error("23505", "duplicate key"), "rejected"),
        (400, error("22023", "session_data.input_tokens is negative"), "rejected"),
        (400, error("22P05", "unsupported Unicode escape sequence"), "rejected"),
        (400, error("P0001", "a trigger says no"), "rejected"),
        (400, error("PGRST102", "Empty or invalid json"), "rejected"),
        (400, error("42703", "column does not exist"), "no_contract"),
        (401, error("42501", "permission denied for function"), "key_refused"),
        (403, error("42501", "permission denied for function"), "forbidden"),
        (405, error("25006", "cannot execute INSERT in a read-only transaction"), "transient"),
        (500, error("57014", "canceling statement due to statement timeout"), "transient, smaller"),
        (500, error("40P01", "deadlock detected"), "transient"),
        (500, error("55P03", "lock timeout"), "transient"),
        (500, error("XX000", "cache lookup failed"), "transient, smaller"),
        (500, error("54001", "stack depth limit exceeded"), "transient, smaller"),
        (503, error("53300", "too many connections"), "transient"),
        // What PostgREST says.
        (404, error("PGRST202", "Could not find the function"), "no_contract"),
        (300, error("PGRST203", "Could not choose the best candidate function"), "no_contract"),
        (404, error("42P01", "relation does not exist"), "no_contract"),
        (406, error("PGRST106", "The schema must be one of the following"), "no_api"),
        (401, error("PGRST301", "JWT expired"), "expired"),
        (401, error("PGRST303", "JWT expired"), "expired"),
        (401, error("PGRST301", "No suitable key or wrong key type"), "key_refused"),
        (503, error("PGRST000", "Could not connect with the database"), "transient"),
        (503, error("PGRST002", "Could not query the schema cache"), "transient"),
        (504, error("PGRST003", "Timed out acquiring connection"), "transient"),
        // What stands before PostgREST says.
        (401, r#"{"message":"Invalid API key","hint":"Double check"}"#.to_owned(), "key_refused"),
        (401, String::new(), "key_refused"),
        (403, r#"{"error":"Forbidden"}"#.to_owned(), "key_refused"),
        (404, r#"{"message":"no Route matched with those values"}"#.to_owned(), "no_api"),
        (402, r#"{"message":"exceed_egress_quota"}"#.to_owned(), "paused"),
        (540, String::new(), "paused"),
        (413, portal.to_owned(), "too_large"),
        (413, r#"{"message":"Request size limit exceeded"}"#.to_owned(), "too_large"),
        (408, String::new(), "transient"),
        (429, r#"{"message":"API rate limit exceeded"}"#.to_owned(), "transient"),
        (502, portal.to_owned(), "transient"),
        (522, "error code: 522".to_owned(), "transient"),
        // What is not the project at all.
        (403, portal.to_owned(), "transient"),
        (401, portal.to_owned(), "transient"),
        (404, portal.to_owned(), "transient"),
        (400, portal.to_owned(), "transient"),
        (407, String::new(), "transient"),
        (302, String::new(), "transient"),
        (200, portal.to_owned(), "transient"),
        (200, String::new(), "transient"),
        (204, String::new(), "transient"),
        (200, r#"{"status":"ok"}"#.to_owned(), "transient, smaller"),
    ];
    for (status, body, expected) in cases {
        let answer = answer(status, &body);
        let refusal = one(&answer).expect_err("no acknowledgement");
        assert_eq!(name(&refusal), expected, "{status} {body}: {refusal:?}");
        assert_eq!(many(&answer).expect_err("no acknowledgement"), refusal);
    }
}

#[test]
fn only_the_session_that_was_sent_is_acknowledged() {
    let says = |body: &str| one(&answer(200, body));
    let same = r#"{"status":"unchanged","session_id":"s-1","more":1}"#;
    assert_eq!(says(r#"{"status":"accepted","session_id":"s-1"}"#), Ok(ItemAnswer::Accepted));
    assert_eq!(says(same), Ok(ItemAnswer::Unchanged));
    for foreign in [
        r#"{"status":"accepted","session_id":"s-2"}"#,
        r#"{"status":"stored","session_id":"s-1"}"#,
        r#"{"status":"accepted"}"#,
        "[]",
        "null",
        same.get(..same.len() - 1).expect("a cut"),
    ] {
        let name = name(&says(foreign).expect_err(foreign));
        assert!(name.starts_with("transient"), "{foreign}: {name}");
    }
}

#[test]
fn each_of_many_is_answered_in_its_place() {
    let says = |items: &str| many(&answer(200, &format!(r#"{{"results":[{items}]}}"#)));
    let first = r#"{"index":0,"session_id":"s-1","status":"accepted"}"#;
    let second = r#"{"index":1,"session_id":"s-2","status":"unchanged"}"#;
    let refused = r#"{"index":1,"session_id":null,"status":"rejected","code":"22023","message":"no\u001b"}"#;
    let rejected = ItemAnswer::Rejected { code: "22023".to_owned(), message: "no\\u{1b}".to_owned() };
    assert_eq!(says(&format!("{first},{second}")), Ok(vec![ItemAnswer::Accepted, ItemAnswer::Unchanged]));
    let cut = refused.replace("null", r#""s-""#);
    for refused in [refused, &cut] {
        let expected = Ok(vec![ItemAnswer::Accepted, rejected.clone()]);
        assert_eq!(says(&format!("{first},{refused}")), expected, "{refused}");
    }
    let third = r#"{"index":2,"session_id":"s-3","status":"accepted"}"#;
    let nameless = r#"{"index":1,"session_id":null,"status":"accepted"}"#;
    for foreign in [
        first.to_owned(),
        format!("{second},{first}"),
        format!("{first},{first}"),
        format!("{first},{second},{third}"),
        format!("{first},{nameless}"),
    ] {
        assert_eq!(name(&says(&foreign).expect_err(&foreign)), "transient, smaller", "{foreign}");
    }
}

#[test]
fn the_check_tells_contract_and_user_apart() {
    let says = |contract: u32, user: bool| {
        let text = format!(
            r#"{{"contract":{contract},"user_exists":{user},"server_time":"2026-08-20T12:21:42.909123Z","role":"service_role"}}"#
        );
        answer(200, &text).body_of_ours::<CheckAnswer>(&options().destination).expect("a check")
    };
    let to = options().destination;
    assert_eq!(says(2, true).server_time, UnixMillis(1_787_228_502_909));
    assert_eq!(says(2, true).fault(&to), None);
    assert_eq!(says(3, true).fault(&to), None, "a later contract keeps what an earlier one promised");
    assert_eq!(says(1, false).fault(&to), Some(Fault::OldContract { found: 1 }));
    assert_eq!(says(2, false).fault(&to), Some(Fault::UnknownUser(to.clone())));
}

#[test]
fn the_role_that_a_server_names_is_short_and_drives_no_terminal() {
    let role = format!("service\\u001b[2J{}", "x".repeat(10_000));
    let text = format!(
        r#"{{"contract":2,"user_exists":true,"server_time":"2026-08-20T12:21:42Z","role":"{role}"}}"#
    );
    let check: CheckAnswer = answer(200, &text).body_of_ours(&options().destination).expect("a check");
    assert!(check.role.starts_with("service\\u{1b}[2Jxxx"), "{}", check.role);
    assert!(check.role.chars().count() < 320, "{} letters", check.role.chars().count());
}

#[test]
fn a_server_may_ask_for_time_in_seconds_or_until_a_date() {
    let wait = |retry_after: &str, date: Option<&str>| {
        let answer = Answer {
            status: 429,
            retry_after: Some(retry_after.to_owned()),
            date: date.map(str::to_owned),
            body: Vec::new(),
        };
        match one(&answer) {
            Err(Refusal::Transient { retry_after, .. }) => retry_after.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(wait("7", None), Some(7));
    assert_eq!(wait("soon", None), None);
    assert_eq!(wait("-7", None), None);
    let until = "Thu, 20 Aug 2026 12:22:42 GMT";
    assert_eq!(wait(until, None), None, "nobody knows what time it is there");
    assert_eq!(wait(until, Some("Thu, 20 Aug 2026 12:20:42 GMT")), Some(120));
    assert_eq!(wait(until, Some("Thu, 20 Aug 2026 12:30:42 GMT")), Some(0), "the past");
}

proptest! {
    /// Whatever comes back, it acknowledges nothing unless it names what was sent.
    #[test]
    fn noise_acknowledges_nothing(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let answer = Answer { status, body, ..Answer::default() };
        prop_assert!(one(&answer).is_err());
        prop_assert!(many(&answer).is_err());
    }

    /// A body of ours that was cut anywhere is none.
    #[test]
    fn a_cut_body_acknowledges_nothing(cut in 0_usize..100) {
        let whole = r#"{"results":[{"index":0,"session_id":"s-1","status":"accepted"},{"index":1,"session_id":"s-2","status":"accepted"}]}"#;
        prop_assert!(many(&answer(200, whole)).is_ok());
        prop_assert!(many(&answer(200, &whole[..cut])).is_err());
    }

    /// Nor does any body with a status that is no success.
    #[test]
    fn a_failure_acknowledges_nothing(status in 300_u16..600) {
        let failed = answer(status, r#"{"status":"accepted","session_id":"s-1"}"#);
        prop_assert!(one(&failed).is_err());
    }
}
