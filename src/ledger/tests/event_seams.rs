//! Events where they meet what else a ledger does: publishing, prices that are not known, being made anew.

use super::audit::NOW;
use super::outbox::{publish, user, waiting};
use super::unlogged::{Item, account, read};
use super::*;
use crate::domain::{CallEvent, Usd};
use pretty_assertions::assert_eq;

const BEGAN: i64 = 1_788_220_800_000;

fn event(request: &str, at: i64, model: &str, output: u64) -> CallEvent {
    let tokens = TokenCounts { input: 7, output, cache_read: 100, ..TokenCounts::default() };
    CallEvent {
        request_id: Some(request.to_owned()),
        session: "one".to_owned(),
        at: UnixMillis(at),
        duration_ms: 40,
        sequence: 0,
        model: ModelName(model.to_owned()),
        used: Used { tokens, web_searches: 0 },
        has_split: true,
        is_fast: false,
        client_cost: Some(Usd(0)),
    }
}

fn reply(id: &str, at: i64, model: &str, output: u64, is_final: bool, request: Option<&str>) -> ResponseLine {
    let mut line = line(id, "one", at, output);
    line.model = ModelName(model.to_owned());
    line.is_final = is_final;
    line.request = request.map(|request| crate::domain::fnv1a(request.as_bytes()));
    line
}

fn listening() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.ledger().expect_events().unwrap();
    sandbox
}

impl Sandbox {
    fn told(&mut self, event: CallEvent) {
        self.ledger().take_events(&[event], &Rates::default()).unwrap();
    }

    fn unlogged_tokens(&self) -> u64 {
        self.reader().unlogged().unwrap().iter().map(|record| record.used.tokens.total()).sum()
    }
}

#[test]
fn the_rest_of_a_reply_without_a_price_may_change() {
    let mut sandbox = listening();
    let model = "opus?";
    let item = |line| Item::Reply(Box::new(line));
    let items = [
        item(reply("msg_01A", BEGAN + 1_000, model, 5, true, Some("a"))),
        Item::Account(account("one", BEGAN, 50_000, &[(model, [20, 300, 0, 0, 500])])),
        item(reply("msg_01B", BEGAN + 60_000, model, 5, true, Some("b"))),
        item(reply("msg_01C", BEGAN + 61_000, model, 2, false, Some("c"))),
        item(reply("msg_01C", BEGAN + 61_500, model, 50, false, Some("c"))),
    ];
    sandbox.ingest(vec![read("one", &items, 0, 4)]);
    sandbox.told(event("c", BEGAN + 62_000, model, 100));
    sandbox.ledger().audit().unwrap();
    sandbox.ingest(vec![read("one", &items, 4, 5)]);
    sandbox.ledger().audit().unwrap();
}

#[test]
fn an_event_that_is_told_again_with_more_output_makes_its_session_wait() {
    let mut sandbox = listening();
    sandbox.ingest_lines(0, vec![reply("msg_01A", BEGAN + 1_000, "opus", 100, true, None)]);
    sandbox.told(event("a", BEGAN + 2_000, "opus", 5));
    publish(&sandbox, &user(1));
    assert_eq!(waiting(&sandbox).len(), 0);
    sandbox.told(event("a", BEGAN + 2_000, "opus", 100));
    assert_eq!(waiting(&sandbox).len(), 1, "what was in no log is in it now");
}

#[test]
fn a_ledger_that_is_made_anew_takes_over_what_was_told() {
    let mut sandbox = listening();
    let logged = || reply("msg_01A", BEGAN + 1_000, "opus", 100, true, Some("a"));
    sandbox.ingest_lines(0, vec![logged()]);
    sandbox.told(event("x", BEGAN + 9_000_000, "opus", 55));
    sandbox.told(event("a", BEGAN + 1_050, "opus", 100));
    assert_eq!(sandbox.unlogged_tokens(), 162);
    sandbox.spoil("UPDATE cell SET output = 0");
    sandbox.open_or_rebuild(NOW).unwrap();
    // Before the logs have been read the other call is in none that the ledger knows.
    assert_eq!(sandbox.unlogged_tokens(), 162 + 207);
    sandbox.ingest_lines(0, vec![logged()]);
    sandbox.ledger().audit().unwrap();
    assert_eq!(sandbox.unlogged_tokens(), 162);
    assert_eq!(sandbox.reader().events().unwrap().confirmed, 1);
}
