//! What the client's account has and no log does: published beside what is logged, by a project that takes it, sent
//! again when a project comes to take it, and left on the server where the ledger was lost.

use super::{Scene, Seen, assert_sent};
use crate::process::reply;
use crate::remote::contract::{first_migration, migration};
use crate::remote::{Database, Stack, Template};
use std::fs;
use std::time::Duration;
use tallyd::publish::{Restored, Verified};

const PATIENCE: Duration = Duration::from_mins(1);

/// The client's account of a session that began a minute before the replies of these tests, and has ended since.
fn account(session: &str, duration_ms: u64, [input, output]: [u64; 2]) -> String {
    format!(
        "{{\"type\":\"cost-state\",\"sessionId\":\"{session}\",\"totalCostUSD\":1,\"startTime\":1788256740000,\
         \"totalDuration\":{duration_ms},\"modelUsage\":{{\"claude-sonnet-4-5-20250929\":{{\"inputTokens\":{input},\
         \"outputTokens\":{output},\"cacheReadInputTokens\":0,\"cacheCreationInputTokens\":0,\
         \"webSearchRequests\":0,\"costUSD\":1}}}}}}\n"
    )
}

impl Scene {
    /// A reply of one token in and two out, and an account of 500 more in and 40 more out.
    fn with_account(&self) {
        self.append("p/s-1.jsonl", &(reply("a") + &account("s-1", 120_000, [501, 42])));
        self.sandbox.scan();
    }

    fn totals(&self, view: &str) -> String {
        let row = "concat_ws(' ', logged_tokens, unlogged_tokens, total_tokens, logged_cost_usd, unlogged_cost_usd)";
        let user = &self.user;
        self.database.text(&format!(
            "select string_agg({row}, ', ' order by {row}) from public.{view} where user_id = '{user}'"
        ))
    }
}

const BOTH: &str = "3 540 543 0.000033000000 0.002100000000";

#[test]
fn unlogged_usage_arrives_beside_what_is_logged_and_compares_as_equal() {
    let scene = Scene::new();
    scene.with_account();
    let mut publisher = scene.publisher();
    assert_sent(&scene.drain(&mut publisher), 1);
    for view in ["token_usage_session_totals", "token_usage_daily_totals", "token_usage_model_totals"] {
        assert_eq!(scene.totals(view), BOTH, "{view}");
    }
    scene.assert_published();
    let equal = Verified { sessions: 1, equal: 1, ..Verified::default() };
    assert_eq!(scene.block_on(publisher.verify(None)).expect("an answer"), equal);
    scene.append("p/s-1.jsonl", &account("s-1", 180_000, [601, 42]));
    scene.sandbox.scan();
    assert_eq!(scene.waiting(), 1, "an account alone makes its session wait");
    assert_sent(&scene.drain(&mut publisher), 1);
    assert_eq!(scene.totals("token_usage_session_totals"), "3 640 643 0.000033000000 0.002400000000");
    assert_eq!(scene.waiting(), 0);
}

#[test]
fn verifying_finds_unlogged_usage_that_the_server_lost_and_sends_it_again() {
    let scene = Scene::new();
    scene.with_account();
    let mut publisher = scene.publisher();
    assert_sent(&scene.drain(&mut publisher), 1);
    let user = &scene.user;
    let lose = format!(
        "delete from public.token_usage_session_unlogged where user_id = '{user}';
         delete from public.token_usage_daily_unlogged where user_id = '{user}';
         update public.token_usage_sessions set unlogged_input_tokens = 0, unlogged_output_tokens = 0,
           unlogged_cost_usd = 0 where user_id = '{user}'"
    );
    scene.database.admin().batch_execute(&lose).expect("rows are deleted");
    let refilled = Verified { sessions: 1, equal: 1, refilled: 1, ..Verified::default() };
    assert_eq!(scene.block_on(publisher.verify(Some(PATIENCE))).expect("an answer"), refilled);
    assert_eq!(scene.totals("token_usage_daily_totals"), BOTH);
    let spoil = format!(
        "update public.token_usage_daily_unlogged set daily_unlogged_input_tokens = 1 where user_id = '{user}'"
    );
    scene.database.admin().batch_execute(&spoil).expect("a row is changed");
    let found = scene.block_on(publisher.verify(Some(PATIENCE))).expect("an answer");
    assert_eq!((found.equal, found.damaged_days.len()), (1, 1), "{found:?}");
}

#[test]
fn a_session_of_which_nothing_was_logged_is_published() {
    let scene = Scene::new();
    scene.append("p/s-1.jsonl", &account("s-1", 120_000, [500, 40]));
    scene.sandbox.scan();
    let mut publisher = scene.publisher();
    assert_sent(&scene.drain(&mut publisher), 1);
    assert_eq!(scene.totals("token_usage_session_totals"), "0 540 540 0.000000000000 0.002100000000");
    assert_eq!(scene.totals("token_usage_daily_totals"), "0 540 540 0 0.002100000000");
    // A reply behind the account is in no account: the session has both.
    scene.grow("a");
    assert_sent(&scene.drain(&mut publisher), 1);
    assert_eq!(scene.totals("token_usage_session_totals"), BOTH);
}

fn body(seen: &Seen) -> String {
    String::from_utf8_lossy(&seen.request.body).into_owned()
}

/// A project of contract 2 alone.
fn older() -> Database {
    let database = Stack::get().unserved(Template::Blank);
    database.execute(&first_migration());
    database.served()
}

#[test]
fn a_project_that_comes_to_take_unlogged_usage_is_sent_what_has_any_once() {
    let scene = Scene::on(older());
    scene.with_account();
    let elsewhere = |text: String| text.replace("\"s-1\"", "\"s-2\"");
    scene.append("p/s-2.jsonl", &elsewhere(reply("b")));
    scene.append("p/s-3.jsonl", &account("s-3", 120_000, [500, 40]));
    scene.sandbox.scan();
    let mut publisher = scene.publisher();
    assert_sent(&scene.drain(&mut publisher), 2);
    assert!(scene.sent().iter().all(|seen| !body(seen).contains("unlogged")));
    assert_eq!(scene.waiting(), 0, "of a session that has nothing else there is nothing to send");
    let equal = Verified { sessions: 3, equal: 2, ..Verified::default() };
    assert_eq!(scene.block_on(publisher.verify(Some(PATIENCE))).expect("an answer"), equal);

    scene.database.execute(&migration());
    let before = scene.sent().len();
    let mut publisher = scene.publisher();
    assert_sent(&scene.drain_patiently(&mut publisher), 2);
    let again = scene.sent();
    let sent: String = again[before..].iter().map(body).collect();
    assert!(sent.contains("\"s-1\"") && sent.contains("\"s-3\"") && !sent.contains("\"s-2\""), "{sent}");
    assert_eq!(
        scene.totals("token_usage_session_totals"),
        "0 540 540 0.000000000000 0.002100000000, 3 0 3 0.000033000000 0.000000000000, \
         3 540 543 0.000033000000 0.002100000000"
    );
    assert_sent(&scene.drain(&mut scene.publisher()), 0);
}

#[test]
fn what_is_restored_leaves_unlogged_usage_on_the_server_and_never_replaces_it() {
    let scene = Scene::new();
    scene.with_account();
    scene.append("p/s-3.jsonl", &account("s-3", 120_000, [500, 40]));
    scene.sandbox.scan();
    assert_sent(&scene.drain(&mut scene.publisher()), 2);
    let before = scene.totals("token_usage_session_totals");
    for folder in [scene.sandbox.state(), scene.sandbox.projects()] {
        fs::remove_dir_all(&folder).expect("a folder is lost");
    }
    fs::create_dir_all(scene.sandbox.projects()).expect("a folder can be made");
    scene.sandbox.scan();
    let mut publisher = scene.publisher();
    let restored = scene.block_on(publisher.restore(PATIENCE)).expect("an answer");
    let expected = Restored { sessions: 2, missing: 1, unlogged: 2, ..Restored::default() };
    assert_eq!(restored, expected);
    let again = scene.block_on(publisher.restore(PATIENCE)).expect("an answer");
    assert_eq!(again, Restored { sessions: 2, known: 1, unlogged: 2, ..Restored::default() });
    scene.outbox().republish().expect("everything waits");
    assert_eq!(scene.waiting(), 1);
    assert_sent(&scene.drain(&mut publisher), 1);
    assert_eq!(scene.totals("token_usage_session_totals"), before, "what it lacks replaced nothing");
    let found = scene.block_on(publisher.verify(Some(PATIENCE))).expect("an answer");
    assert_eq!((found.ahead, found.unknown, found.differs()), (1, 1, false), "{found:?}");
}
