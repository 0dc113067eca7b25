//! The server held against the ledger: what it lost is sent again, what it made wrong is told of.

use super::{Scene, assert_sent};
use crate::process::reply;
use std::time::Duration;
use tallyd::publish::{Publisher, Verified};

const PATIENCE: Option<Duration> = Some(Duration::from_mins(1));

/// A published ledger, and its publisher.
fn published(sessions: usize) -> (Scene, Publisher, usize) {
    let scene = Scene::with_sessions(sessions);
    let sessions = scene.waiting();
    let mut publisher = scene.publisher();
    assert_sent(&scene.drain(&mut publisher), sessions);
    (scene, publisher, sessions)
}

impl Scene {
    fn verify(&self, publisher: &mut Publisher, refill: Option<Duration>) -> Verified {
        self.block_on(publisher.verify(refill)).expect("the server answers")
    }

    /// Does something to this user's rows that no API can.
    fn tamper(&self, sql: &str) {
        let sql = sql.replace("$user", &format!("user_id = '{}'", self.user));
        self.database.admin().batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

#[test]
fn what_was_published_is_equal() {
    let (scene, mut publisher, sessions) = published(30);
    let before = scene.sent().len();
    let all = Verified { sessions, equal: sessions, ..Verified::default() };
    assert_eq!(scene.verify(&mut publisher, PATIENCE), all);
    assert_eq!(scene.sent().len(), before, "there was nothing to send");
}

#[test]
fn a_server_that_was_restored_from_a_backup_is_refilled() {
    let (scene, mut publisher, sessions) = published(20);
    scene.grow("a");
    scene.drain(&mut publisher);
    let lost = "select session_id from public.token_usage_sessions where $user order by 1 limit 5";
    scene.tamper(&format!(
        "create temp table lost as {lost};
         delete from public.token_usage_session_days where $user and session_id in (table lost);
         delete from public.token_usage_sessions where $user and session_id in (table lost);
         delete from public.token_usage_daily where $user;
         insert into public.token_usage_daily (user_id, usage_date, daily_session_count, daily_message_count,
           daily_input_tokens, daily_output_tokens, daily_cache_creation_tokens, daily_cache_creation_1h_tokens,
           daily_cache_read_tokens, daily_thinking_tokens, daily_web_search_requests, daily_unpriced_messages,
           daily_unpriced_tokens, daily_incomplete_messages, daily_cost_usd)
         select user_id, usage_date, count(distinct session_id), sum(message_count), sum(input_tokens),
           sum(output_tokens), sum(cache_creation_tokens), sum(cache_creation_1h_tokens), sum(cache_read_tokens),
           sum(thinking_tokens), sum(web_search_requests), sum(unpriced_messages), sum(unpriced_tokens),
           sum(incomplete_messages), sum(estimated_cost_usd)
         from public.token_usage_session_days where $user group by 1, 2"
    ));
    let sessions = sessions + 1;
    let looked = scene.verify(&mut publisher, None);
    let lacking = Verified { sessions, equal: sessions - 5, lacking: 5, ..Verified::default() };
    assert_eq!(looked, lacking);
    assert_eq!(scene.waiting(), 0, "looking changes nothing");
    let refilled = Verified { sessions, equal: sessions, refilled: 5, ..Verified::default() };
    assert_eq!(scene.verify(&mut publisher, PATIENCE), refilled);
    assert!(looked.differs() && !refilled.differs());
    scene.assert_published();
}

#[test]
fn rows_that_do_not_add_up_are_told_of_and_left_alone() {
    let (scene, mut publisher, sessions) = published(10);
    let first = "session_id = (select min(session_id) from public.token_usage_sessions where $user)";
    scene.tamper(&format!(
        "update public.token_usage_session_days set input_tokens = input_tokens + 1 where $user and {first}"
    ));
    let found = scene.verify(&mut publisher, PATIENCE);
    assert_eq!((found.damaged, found.equal, found.refilled), (1, sessions - 1, 0));
    assert!(!found.damaged_days.is_empty() && found.differs(), "{found:?}");
}

#[test]
fn sessions_of_another_machine_are_no_difference() {
    let (scene, mut publisher, sessions) = published(3);
    let other = Scene::new();
    other.grow("elsewhere");
    let mut options = scene.options();
    options.key_source = "of the other machine".to_owned();
    assert_sent(&scene.drain(&mut other.publisher_with(options)), 1);
    let found = scene.verify(&mut publisher, PATIENCE);
    assert_eq!(found, Verified { sessions, equal: sessions, unknown: 1, ..Verified::default() });
    assert!(!found.differs());
}

#[test]
fn what_the_other_machine_knows_better_is_left_alone() {
    let scene = Scene::new();
    scene.grow("a");
    let mut publisher = scene.publisher();
    assert_sent(&scene.drain(&mut publisher), 1);
    let other = Scene::new();
    other.grow("a");
    other.grow("b");
    assert_sent(&scene.drain(&mut other.publisher_with(scene.options())), 1);
    let found = scene.verify(&mut publisher, PATIENCE);
    assert_eq!(found, Verified { sessions: 1, ahead: 1, ..Verified::default() });
}

/// More sessions, and more of their days, than the server gives at once.
#[test]
fn all_pages_are_read() {
    let (scene, sessions) = (Scene::new(), 510);
    for session in 0..sessions {
        let day = |day: u32| {
            let line = reply(&format!("{session}x{day}")).replace("\"s-1\"", &format!("\"many-{session}\""));
            line.replace("2026-09-01T", &format!("2026-09-0{day}T"))
        };
        scene.append(&format!("p/many-{session}.jsonl"), &(1..=3).map(day).collect::<String>());
    }
    scene.sandbox.scan();
    let mut publisher = scene.publisher();
    assert_sent(&scene.drain(&mut publisher), sessions);
    assert_eq!(scene.database.count("token_usage_session_days", &scene.user), 3 * 510);
    let all = Verified { sessions, equal: sessions, ..Verified::default() };
    assert_eq!(scene.verify(&mut publisher, None), all);
}
