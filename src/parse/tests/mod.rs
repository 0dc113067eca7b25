//! What lines say, rule by rule. A case is a plain record with a few edits.

mod account;
mod before;
mod broken;
mod counts;
mod identity;
mod plain;
mod properties;

use super::*;
use crate::domain::{
    Attribution, Chain, Geo, MessageKey, ModelName, Part, PartKind, Rank, ResponseLine, Speed, Tier,
    TokenCounts, UnixMillis, Usage, fnv1a,
};
use serde_json::{Value, json};

/// 2026-08-20T12:21:42.909Z.
const AT: UnixMillis = UnixMillis(1_787_228_502_909);

const CONTEXT: LineContext<'static> =
    LineContext { session: "file-session", agent_file: false, fallback_time: UnixMillis(42) };

/// What to do to the value at a path: `Some` sets it, `None` takes it away.
type Edit<'a> = (&'a str, Option<Value>);

/// A record as client 2.1.330 writes it.
fn plain() -> Value {
    json!({
        "type": "assistant", "uuid": "uuid-1", "parentUuid": "uuid-0", "isSidechain": false,
        "timestamp": "2026-08-20T12:21:42.909Z", "sessionId": "session-1", "version": "2.1.330",
        "cwd": "/home/dev/project", "requestId": "req_011", "gitBranch": "main",
        "message": {
            "id": "msg_01AbC", "type": "message", "role": "assistant", "model": "claude-opus-5-5",
            "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn", "stop_details": null,
            "usage": {
                "input_tokens": 3, "output_tokens": 50, "cache_read_input_tokens": 1000,
                "cache_creation_input_tokens": 70,
                "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 50},
                "service_tier": "standard"
            }
        }
    })
}

fn edited(mut record: Value, edits: &[Edit<'_>]) -> Value {
    for (path, value) in edits {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = record.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => drop(parent.insert(key.to_owned(), value.clone())),
            None => drop(parent.remove(key)),
        }
    }
    record
}

/// Everything that a line says, and what was wrong with it.
fn read(line: &[u8]) -> (Vec<Statement>, Option<Notice>) {
    let mut said = Vec::new();
    let notice = parse_line(line, CONTEXT, &mut |statement| said.push(statement));
    (said, notice)
}

/// What an edited record says of a response; there must be nothing wrong with it.
fn response(edits: &[Edit<'_>]) -> Option<ResponseLine> {
    let (said, notice) = read(edited(plain(), edits).to_string().as_bytes());
    assert_eq!(notice, None, "{edits:?}");
    assert!(said.len() <= 1, "{edits:?}: {said:?}");
    match said.into_iter().next() {
        Some(Statement::Response(line)) => Some(*line),
        Some(Statement::Account(account)) => panic!("{edits:?}: {account:?}"),
        None => None,
    }
}

/// The same, for a record that must be counted.
fn counted(edits: &[Edit<'_>]) -> ResponseLine {
    response(edits).unwrap_or_else(|| panic!("not counted: {edits:?}"))
}

fn tokens(input: u64, output: u64, five_minutes: u64, one_hour: u64, read: u64) -> TokenCounts {
    TokenCounts { input, output, cache_write_5m: five_minutes, cache_write_1h: one_hour, cache_read: read }
}

#[test]
fn a_plain_record_says_all_of_this_and_no_more() {
    let expected = ResponseLine {
        key: MessageKey::Global("msg_01AbC".to_owned()),
        rank: Rank { output: 50, main_chain: true, stopped: true, at: AT },
        attribution: Attribution { copied: false, at: AT, session: "session-1".to_owned() },
        model: ModelName("claude-opus-5-5".to_owned()),
        usage: Usage { tokens: tokens(3, 50, 20, 50, 1_000), ..Usage::default() },
        is_final: true,
        is_aborted: false,
        time_is_guessed: false,
        request: Some(fnv1a(b"req_011")),
        version: Some("2.1.330".to_owned()),
        cwd: Some("/home/dev/project".to_owned()),
    };
    assert_eq!(counted(&[]), expected);
}

#[test]
fn only_assistant_records_with_usage_are_responses() {
    let no_responses: [&[Edit<'_>]; 12] = [
        &[("/type", Some(json!("user")))],
        &[("/type", Some(json!("system")))],
        &[("/type", Some(json!("something new")))],
        &[("/type", Some(json!(7)))],
        &[("/type", None)],
        &[("/message", Some(json!("text")))],
        &[("/message", Some(json!(null)))],
        &[("/message", None)],
        &[("/message/usage", None)],
        &[("/message/usage", Some(json!(null)))],
        &[("/message/usage", Some(json!([1])))],
        &[("/message/model", Some(json!("<synthetic>")))],
    ];
    for edits in no_responses {
        assert_eq!(response(edits), None, "{edits:?}");
    }
    let result = json!({"usage": {"input_tokens": 9, "output_tokens": 9}, "totalTokens": 18});
    let user = [("/type", Some(json!("user"))), ("/toolUseResult", Some(result))];
    assert_eq!(response(&user), None, "the sum of a sub-agent is not a response");
}

#[test]
fn a_record_without_a_model_counts_as_unknown() {
    for model in [None, Some(json!(null)), Some(json!("")), Some(json!(5))] {
        assert_eq!(counted(&[("/message/model", model)]).model.0, "unknown");
    }
}

#[test]
fn what_a_line_does_not_say_is_where_it_stands() {
    let line = counted(&[("/sessionId", None), ("/timestamp", None), ("/version", None), ("/cwd", None)]);
    assert_eq!(line.attribution.session, "file-session");
    assert_eq!((line.rank.at, line.time_is_guessed), (UnixMillis(42), true));
    assert_eq!((line.version, line.cwd), (None, None));
    for timestamp in [json!("yesterday"), json!(""), json!(1_787_228_502), json!(null)] {
        let line = counted(&[("/timestamp", Some(timestamp.clone()))]);
        assert_eq!((line.rank.at, line.time_is_guessed), (UnixMillis(42), true), "{timestamp}");
    }
    let line = counted(&[("/timestamp", Some(json!("2026-08-20T14:21:42.909+02:00")))]);
    assert_eq!((line.rank.at, line.time_is_guessed), (AT, false));
}

/// A progress record with a sub-agent's record in it.
fn progress(edits: &[Edit<'_>]) -> Value {
    let mut nested = plain();
    for key in ["sessionId", "version", "cwd", "isSidechain"] {
        nested.as_object_mut().unwrap().remove(key);
    }
    let record = json!({
        "type": "progress", "uuid": "uuid-9", "timestamp": "2026-08-20T12:21:43.000Z",
        "sessionId": "session-1", "version": "2.1.7", "cwd": "/home/dev/project",
        "data": {"type": "agent_progress", "message": nested, "normalizedMessages": [plain()]},
    });
    edited(record, edits)
}

#[test]
fn a_progress_record_carries_a_sub_agents_response() {
    let (said, notice) = read(progress(&[]).to_string().as_bytes());
    assert_eq!(notice, None);
    let [Statement::Response(line)] = &said[..] else { panic!("{said:?}") };
    let expected = ResponseLine {
        rank: Rank { main_chain: false, ..counted(&[]).rank },
        version: Some("2.1.7".to_owned()),
        ..counted(&[])
    };
    assert_eq!(**line, expected);
    let without_time = progress(&[("/data/message/timestamp", None)]).to_string();
    let (said, _) = read(without_time.as_bytes());
    let [Statement::Response(line)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((line.rank.at, line.time_is_guessed), (UnixMillis(AT.0 + 91), false), "the record's own time");
    let nothing: [Edit<'_>; 4] = [
        ("/data/type", Some(json!("bash_progress"))),
        ("/data/message/type", Some(json!("user"))),
        ("/data/message", None),
        ("/data", Some(json!("text"))),
    ];
    for edit in nothing {
        let record = progress(std::slice::from_ref(&edit));
        assert_eq!(read(record.to_string().as_bytes()), (vec![], None), "{edit:?}");
    }
}
