//! What was offered keeps its session and its day; it still grows.

use super::outbox::{offer, publish, user, waiting};
use super::*;
use pretty_assertions::assert_eq;

/// Where a response is: session, time, whether the time is guessed, whether only copies are known.
fn places(sandbox: &mut Sandbox) -> Vec<String> {
    let places = sandbox.query(
        "SELECT message_id, name, first_at, flags & 2 <> 0, flags & 256 <> 0, output \
         FROM response JOIN session ON session.id = session ORDER BY message_id, response.id",
    );
    assert_eq!(sandbox.cells(), sandbox.sums());
    places
}

fn copied(id: &str, session: &str, at: i64, output: u64) -> ResponseLine {
    let mut line = line(id, session, at, output);
    line.attribution.copied = true;
    line
}

#[test]
fn an_earlier_line_moves_only_what_was_not_offered() {
    let mut sandbox = Sandbox::new();
    let day = 24 * 3_600_000;
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", day + 5, 1)]);
    offer(&mut sandbox.outbox(), &user(1));
    sandbox.ingest_lines(100, vec![line("msg_01B", "one", day + 6, 1)]);
    let earlier = [line("msg_01A", "one", day - 5, 9), line("msg_01B", "one", day - 4, 9)];
    sandbox.ingest_lines(200, earlier.to_vec());
    let expected = [format!("msg_01A one {} 0 0 9", day + 5), format!("msg_01B one {} 0 0 9", day - 4)];
    assert_eq!(places(&mut sandbox), expected);
    publish(&sandbox, &user(1));
    sandbox.ingest_lines(400, vec![line("msg_01B", "one", 0, 9)]);
    assert_eq!(places(&mut sandbox), expected, "both were offered now");
    assert_eq!(waiting(&sandbox), [""; 0]);
}

#[test]
fn an_original_after_its_copy_does_not_take_what_was_offered() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![copied("msg_01A", "fork", 50, 1), copied("msg_01B", "late fork", 50, 1)]);
    let fork = sandbox.reader().sessions().unwrap().into_iter().find(|one| one.id == "fork").unwrap();
    sandbox.outbox().offer(&user(1), &[fork.key]).unwrap();
    let originals = [line("msg_01A", "one", 40, 3), line("msg_01B", "one", 40, 3)];
    sandbox.ingest_lines(200, originals.to_vec());
    assert_eq!(places(&mut sandbox), ["msg_01A fork 50 0 1 3", "msg_01B one 40 0 0 3"]);
    assert_eq!(waiting(&sandbox), ["fork", "late fork", "one"]);
}

#[test]
fn a_time_of_its_own_does_not_replace_a_stand_in_that_was_offered() {
    let mut sandbox = Sandbox::new();
    let guessed = |id| ResponseLine { time_is_guessed: true, ..line(id, "one", 70, 1) };
    sandbox.ingest_lines(0, vec![guessed("msg_01A")]);
    offer(&mut sandbox.outbox(), &user(1));
    sandbox.ingest_lines(100, vec![guessed("msg_01B")]);
    sandbox.ingest_lines(200, vec![line("msg_01A", "two", 60, 2), line("msg_01B", "two", 60, 2)]);
    assert_eq!(places(&mut sandbox), ["msg_01A one 70 1 0 2", "msg_01B two 60 0 0 2"]);
}

#[test]
fn model_usage_version_and_being_final_still_change() {
    let mut sandbox = Sandbox::new();
    let partial = ResponseLine { is_final: false, ..line("msg_01A", "one", 50, 1) };
    sandbox.ingest_lines(0, vec![partial]);
    publish(&sandbox, &user(1));
    let whole = ResponseLine {
        model: ModelName("haiku".to_owned()),
        version: Some("3".to_owned()),
        ..line("msg_01A", "one", 60, 9)
    };
    let summary = sandbox.ingest_lines(100, vec![whole]);
    assert_eq!(summary.raised_responses, 1);
    let known = sandbox.responses().pop().unwrap().response;
    assert_eq!((known.model.0.as_str(), known.usage.tokens.output, known.is_final), ("haiku", 9, true));
    assert_eq!((known.version.as_deref(), known.first_at), (Some("3"), UnixMillis(50)));
    assert_eq!(known.rank.at, UnixMillis(60));
    let offers = publish(&sandbox, &user(1));
    let value = offers[0].value.as_ref().unwrap();
    assert_eq!((value.model.as_str(), value.cells.len()), ("haiku", 1), "no trace of the other model");
}

/// A line of a response that goes by these names.
fn named(names: &[&str], session: &str, at: i64, output: u64) -> ResponseLine {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    ResponseLine {
        key: MessageKey::Aliases { id: "ocgo".to_owned(), names, chain: None },
        ..line("", session, at, output)
    }
}

#[test]
fn what_absorbs_an_offered_response_takes_its_place() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![named(&["a"], "one", 30, 1)]);
    sandbox.ingest_lines(100, vec![named(&["b"], "two", 20, 2)]);
    let two = sandbox.reader().sessions().unwrap().into_iter().find(|one| one.id == "two").unwrap();
    sandbox.outbox().offer(&user(1), &[two.key]).unwrap();
    sandbox.ingest_lines(200, vec![named(&["a", "b"], "zero", 10, 3)]);
    assert_eq!(places(&mut sandbox), ["ocgo two 20 0 0 3"]);
    assert_eq!(sandbox.query("SELECT id FROM response"), ["1"], "the older number stays");
    sandbox.ingest_lines(300, vec![named(&["a"], "zero", 5, 3)]);
    assert_eq!(places(&mut sandbox), ["ocgo two 20 0 0 3"], "and keeps the place");
}

#[test]
fn of_two_offered_responses_that_are_one_the_older_keeps_its_place() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![named(&["a"], "one", 30, 1), named(&["b"], "two", 20, 2)]);
    publish(&sandbox, &user(1));
    sandbox.ingest_lines(200, vec![named(&["b", "a"], "zero", 10, 3)]);
    assert_eq!(places(&mut sandbox), ["ocgo one 30 0 0 3"]);
    assert_eq!(waiting(&sandbox), ["one", "two"]);
    let offers = offer(&mut sandbox.outbox(), &user(1));
    let left: Vec<_> = offers.iter().map(|offer| offer.value.is_some()).collect();
    assert_eq!(left, [true, false], "it was acknowledged once and nothing is left of it");
    publish(&sandbox, &user(1));
    assert_eq!(waiting(&sandbox), [""; 0]);
}

#[test]
fn a_number_that_was_offered_and_absorbed_is_not_given_to_a_newcomer() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![named(&["a"], "one", 30, 1), named(&["b"], "one", 20, 2)]);
    offer(&mut sandbox.outbox(), &user(1));
    sandbox.ingest_lines(200, vec![named(&["a", "b"], "one", 30, 3)]);
    sandbox.ingest_lines(300, vec![line("msg_01A", "one", 50, 1)]);
    sandbox.ingest_lines(400, vec![line("msg_01A", "one", 40, 1)]);
    assert_eq!(places(&mut sandbox), ["msg_01A one 40 0 0 1", "ocgo one 30 0 0 3"]);
}
