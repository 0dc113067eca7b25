//! Which response a line is of, how good it is, and who paid.

use super::*;
use pretty_assertions::assert_eq;

fn aliases(id: &str, names: &[&str], chain: Option<Chain>) -> MessageKey {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    MessageKey::Aliases { id: id.to_owned(), names, chain }
}

#[test]
fn first_party_ids_are_unique_for_ever() {
    for id in ["msg_01AbC", "msg_bdrk_1", "msg_vrtx_1"] {
        for request in [None, Some(json!("req_1"))] {
            let line = counted(&[("/message/id", Some(json!(id))), ("/requestId", request)]);
            assert_eq!(line.key, MessageKey::Global(id.to_owned()));
        }
    }
}

#[test]
fn other_ids_go_by_session_request_or_what_they_follow() {
    // A made-up id of 16 characters with a digit; one that every answer of a relay carries.
    let (unique, same) = ("a234567890abcdef", "ocgo");
    let (request, uuid, parent) = (Some("req"), Some("u1"), Some("u0"));
    let follows = Chain {
        looks_for: vec!["v:ocgo:u0".to_owned(), "w:ocgo:u1".to_owned()],
        awaits: Some("w:ocgo:u0".to_owned()),
    };
    let first = Chain { looks_for: vec!["w:ocgo:u1".to_owned()], awaits: None };
    let by_session = "s:a234567890abcdef:session-1";
    let cases = [
        (
            (unique, request, uuid, parent),
            aliases(unique, &[by_session, "r:a234567890abcdef:req", "v:a234567890abcdef:u1"], None),
        ),
        ((unique, None, uuid, parent), aliases(unique, &[by_session, "v:a234567890abcdef:u1"], None)),
        ((unique, None, None, None), aliases(unique, &[by_session], None)),
        ((same, request, uuid, parent), aliases(same, &["r:ocgo:req", "v:ocgo:u1"], None)),
        ((same, request, None, None), aliases(same, &["r:ocgo:req"], None)),
        ((same, None, uuid, parent), aliases(same, &["v:ocgo:u1"], Some(follows))),
        ((same, None, uuid, None), aliases(same, &["v:ocgo:u1"], Some(first))),
        ((same, None, None, None), aliases(same, &["s:ocgo:session-1"], None)),
    ];
    for ((id, request, uuid, parent), expected) in cases {
        let text = |value: Option<&str>| value.map(|text| json!(text));
        let edits = [
            ("/message/id", Some(json!(id))),
            ("/requestId", text(request)),
            ("/uuid", text(uuid)),
            ("/parentUuid", text(parent)),
        ];
        assert_eq!(counted(&edits).key, expected);
    }
}

#[test]
fn an_id_is_taken_for_unique_by_its_length_and_a_digit() {
    let cases = [
        ("a23456789012345", false),
        ("a234567890123456", true),
        ("abcdefghijklmnopqrst", false),
        ("msg_02AbCdEfGhIj", true),
        ("msg_", false),
    ];
    for (id, unique) in cases {
        let MessageKey::Aliases { names, .. } = counted(&[("/message/id", Some(json!(id)))]).key else {
            panic!("{id} is taken for a first-party id")
        };
        assert_eq!(names.iter().any(|name| name.starts_with("s:")), unique, "{id}");
    }
}

#[test]
fn a_record_without_an_id_goes_by_its_uuid_and_without_that_by_its_bytes() {
    for id in [None, Some(json!(null)), Some(json!("")), Some(json!(7))] {
        assert_eq!(counted(&[("/message/id", id)]).key, aliases("", &["u:uuid-1"], None));
    }
    let nameless = |output: u64| {
        edited(
            plain(),
            &[("/message/id", None), ("/uuid", None), ("/message/usage/output_tokens", Some(json!(output)))],
        )
        .to_string()
    };
    let key = |line: &str| {
        let (said, _) = read(line.as_bytes());
        let [Statement::Response(line)] = &said[..] else { panic!("{said:?}") };
        line.key.clone()
    };
    let (one, other) = (nameless(1), nameless(2));
    assert_eq!(key(&one), key(&format!("  {one}\r")), "wherever it stands");
    assert_ne!(key(&one), key(&other));
    let MessageKey::Aliases { names, .. } = key(&one) else { panic!("a global id from nowhere") };
    assert!(names.len() == 1 && names[0].starts_with("x:"), "{names:?}");
}

#[test]
fn nameless_records_are_known_again_when_their_line_is_whole() {
    let nameless = edited(plain(), &[("/message/id", None), ("/uuid", None)]).to_string();
    let mut early = Vec::new();
    let unfinished = format!("{nameless}{{\"type\":\"assis");
    parse_unfinished(unfinished.as_bytes(), CONTEXT, &mut |statement| early.push(statement));
    assert_eq!(early, read(nameless.as_bytes()).0);
    assert_eq!(early, read(format!("{nameless}{{\"type\":\"assistant\"}}").as_bytes()).0);
}

#[test]
fn a_line_of_a_side_chain_ranks_below() {
    let side = [counted(&[("/isSidechain", Some(json!(true)))]), {
        let mut said = Vec::new();
        let context = LineContext { agent_file: true, ..CONTEXT };
        parse_line(plain().to_string().as_bytes(), context, &mut |statement| said.push(statement));
        let [Statement::Response(line)] = &said[..] else { panic!("{said:?}") };
        (**line).clone()
    }];
    assert!(side.iter().all(|line| !line.rank.main_chain), "{side:?}");
    for flag in [None, Some(json!(false)), Some(json!("true")), Some(json!(1)), Some(json!(null))] {
        assert!(counted(&[("/isSidechain", flag.clone())]).rank.main_chain, "{flag:?}");
    }
}

#[test]
fn a_count_is_final_with_a_stop_reason_and_the_marks_that_the_client_writes() {
    let (stop, mark, steps) = (json!("end_turn"), json!(null), json!([{"type": "message"}]));
    let cases = [
        // Stop reason, `stop_details`, iterations, version: final?
        (Some(&stop), Some(&mark), None, Some("2.1.330"), true),
        (Some(&stop), None, None, Some("2.1.330"), false),
        (Some(&stop), None, Some(&steps), Some("2.1.330"), true),
        (Some(&stop), None, Some(&json!([])), Some("2.1.330"), false),
        (Some(&stop), None, None, Some("2.1.200"), false),
        (Some(&stop), None, None, Some("2.2.0"), false),
        (Some(&stop), None, None, Some("2.1.199"), true),
        (Some(&stop), None, None, Some("1.9.999"), true),
        (Some(&stop), None, None, Some("2.1.330-beta.1"), false),
        (Some(&stop), None, None, Some("2.1"), true),
        (Some(&stop), None, None, None, true),
        (None, Some(&mark), Some(&steps), Some("2.1.330"), false),
        (Some(&json!(null)), Some(&mark), None, Some("2.1.330"), false),
        (Some(&json!("")), Some(&mark), None, Some("2.1.96"), false),
    ];
    for (stop_reason, details, iterations, version, expected) in cases {
        let edits = [
            ("/message/stop_reason", stop_reason.cloned()),
            ("/message/stop_details", details.cloned()),
            ("/message/usage/iterations", iterations.cloned()),
            ("/version", version.map(|version| json!(version))),
        ];
        assert_eq!(counted(&edits).is_final, expected, "{edits:?}");
    }
}

#[test]
fn a_copy_of_history_is_paid_by_the_session_it_came_from() {
    let forked = json!({"sessionId": "origin", "messageUuid": "u"});
    let cases: [(&[Edit<'_>], &str, bool); 7] = [
        (&[], "session-1", false),
        (&[("/session_id", Some(json!("session-1")))], "session-1", false),
        (&[("/session_id", Some(json!("origin")))], "origin", true),
        (&[("/forkedFrom", Some(forked.clone()))], "origin", true),
        (&[("/forkedFrom", Some(json!({})))], "session-1", true),
        (
            &[("/requestSessionId", Some(json!("asker"))), ("/session_id", Some(json!("origin")))],
            "asker",
            true,
        ),
        (
            &[("/forkedFrom", Some(forked)), ("/requestSessionId", Some(json!("session-1")))],
            "session-1",
            true,
        ),
    ];
    for (edits, session, copied) in cases {
        let expected = Attribution { copied, at: AT, session: session.to_owned() };
        assert_eq!(counted(edits).attribution, expected, "{edits:?}");
    }
}
