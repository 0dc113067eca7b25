//! What is sent, and what is made of answers that say nothing of what was sent.

use super::{Scene, assert_sent, obstacle, path};
use crate::remote::Stack;
use crate::remote::faults::{Fault, always, chaos, in_turn};
use crate::remote::keys::Role;
use serde_json::Value;
use std::time::Duration;
use tallyd::publish::{KeyChoice, Obstacle};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn one_session_is_one_call_and_many_are_one_too() {
    let scene = Scene::new();
    let mut publisher = scene.publisher();
    scene.grow("a");
    assert_sent(&scene.drain(&mut publisher), 1);
    let seen = scene.gateway.seen();
    let paths: Vec<&str> = seen.iter().map(path).collect();
    let [check, upsert] =
        ["rpc/token_usage_check", "rpc/upsert_token_usage"].map(|end| format!("/rest/v1/{end}"));
    assert_eq!(paths, [check, upsert]);
    let body = json(&seen[1].request.text());
    assert_eq!(body["session_data"]["user_id"], scene.user.as_str());
    assert_eq!(body["daily_data"][0]["usage_date"], "2026-09-01");

    crate::logs::Tree::generate(7, 20).write(&scene.sandbox.projects());
    scene.sandbox.scan();
    let sessions = scene.waiting();
    assert_sent(&scene.drain(&mut publisher), sessions);
    let batches = scene.calls("rpc/upsert_token_usage_batch");
    assert_eq!(batches.len(), 1);
    assert_eq!(json(&batches[0].request.text())["items"].as_array().map(Vec::len), Some(sessions));
    assert_eq!(scene.calls("rpc/token_usage_check").len(), 1, "asked once a run");
    scene.assert_published();

    assert_sent(&scene.drain(&mut publisher), 0);
    assert_eq!(scene.sent().len(), 2, "nothing has changed");
}

#[test]
fn each_kind_of_key_goes_where_its_gateway_takes_it() {
    let stack = Stack::get();
    let scene = Scene::new();
    let legacy = stack.token(Role::Service, None);
    let token = stack.token(Role::Authenticated, Some(&scene.user));
    let publishable = stack.publishable_key();
    let user = || KeyChoice::user(publishable, &token).expect("a token").0;
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    for (key, apikey, authorization) in [
        (KeyChoice::service(stack.secret_key()).expect("a key"), stack.secret_key(), None),
        (KeyChoice::service(&legacy).expect("a key"), legacy.as_str(), bearer(&legacy)),
        (user(), publishable, bearer(&token)),
    ] {
        scene.grow(key.kind());
        let before = scene.gateway.seen().len();
        assert_sent(&scene.drain(&mut scene.publisher_with(scene.options_with(key.clone()))), 1);
        for seen in &scene.gateway.seen()[before..] {
            assert_eq!(seen.request.header("apikey"), Some(apikey), "{key:?}");
            assert_eq!(seen.request.header("Authorization"), authorization.as_deref(), "{key:?}");
            let agent = seen.request.header("User-Agent").unwrap_or_default();
            assert_eq!(agent, concat!("tallyd/", env!("CARGO_PKG_VERSION")));
            let is_call = seen.request.method == "POST";
            assert_eq!(seen.request.header("Content-Type"), is_call.then_some("application/json"));
        }
    }
    scene.assert_published();
    for secret in [stack.secret_key(), &legacy, &token, publishable] {
        assert!(!scene.log.text().contains(secret), "a key in the log");
    }
}

/// What passes by itself: nothing is acknowledged by it, and nothing is lost by it.
#[track_caller]
fn passes(fault: &Fault) {
    let scene = Scene::new();
    let mut publisher = scene.publisher();
    scene.grow("a");
    scene.gateway.plan(super::only_upserts(always(fault.clone())));
    for _ in 0..2 {
        let drained = scene.drain(&mut publisher);
        let Obstacle::Transient { what, .. } = obstacle(&drained) else { panic!("{fault:?}: {drained:?}") };
        assert!(!what.is_empty());
        assert_eq!((drained.sent, drained.left, drained.parked), (0, 1, 0), "{fault:?}");
    }
    let noted = scene.outbox().noted().expect("the ledger can be read").refusal.expect("it is noted");
    assert_eq!(noted.kind, "unreachable", "{fault:?}");
    scene.gateway.heal();
    assert_sent(&scene.drain(&mut publisher), 1);
    scene.assert_published();
    assert_eq!(scene.outbox().noted().expect("the ledger can be read").refusal, None);
}

#[test]
fn cut_connections_pass() {
    [Fault::CutBefore, Fault::LoseAnswer, Fault::CutAnswer].iter().for_each(passes);
}

#[test]
fn a_server_that_cannot_just_now_passes() {
    let refusals = [Fault::too_many("0"), Fault::too_many("soon"), Fault::unavailable()];
    refusals.iter().for_each(passes);
    ["57014", "40P01", "55P03", "53300", "XX000"].map(Fault::database_error).iter().for_each(passes);
}

#[test]
fn an_answer_of_somebody_else_is_no_acknowledgement() {
    let elsewhere = Fault::redirect("https://login.example.com/");
    [Fault::captive_portal(), Fault::empty(), elsewhere, Fault::foreign_json(), Fault::truncated_json()]
        .iter()
        .for_each(passes);
}

#[test]
fn a_redirect_is_not_followed() {
    let scene = Scene::new();
    scene.grow("a");
    let elsewhere = format!("{}/elsewhere", scene.gateway.url());
    scene.gateway.plan(always(Fault::redirect(&elsewhere)));
    assert!(matches!(obstacle(&scene.drain(&mut scene.publisher())), Obstacle::Transient { .. }));
    assert_eq!(scene.gateway.seen().len(), 1, "the key goes nowhere else");
}

#[test]
fn an_answer_that_never_ends_is_given_up() {
    let scene = Scene::new();
    scene.grow("a");
    let mut options = scene.options();
    options.timeout = Duration::from_millis(200);
    scene.gateway.plan(super::only_upserts(always(Fault::Drip)));
    let mut publisher = scene.publisher_with(options.clone());
    // A busy machine may need longer for the check; it passes as well.
    assert!(matches!(obstacle(&scene.drain(&mut publisher)), Obstacle::Transient { .. }));
    scene.gateway.heal();
    assert!(scene.drain_patiently(&mut scene.publisher()).obstacle.is_none());
    scene.assert_published();
}

#[test]
fn a_server_that_is_gone_passes() {
    let mut scene = Scene::new();
    scene.grow("a");
    let mut publisher = scene.publisher();
    scene.gateway.close();
    let drained = scene.drain(&mut publisher);
    assert!(matches!(obstacle(&drained), Obstacle::Transient { .. }), "{drained:?}");
    scene.gateway.open();
    assert_sent(&scene.drain(&mut publisher), 1);
    scene.assert_published();
}

#[test]
fn patience_outlasts_what_passes() {
    let scene = Scene::with_sessions(30);
    let faults = [Fault::unavailable(), Fault::LoseAnswer];
    scene.gateway.plan(in_turn(faults));
    let sessions = scene.waiting();
    let drained = scene.drain_patiently(&mut scene.publisher());
    assert_sent(&drained, sessions);
    scene.assert_published();
}

#[test]
fn a_batch_that_is_too_large_or_too_slow_is_halved() {
    let scene = Scene::with_sessions(60);
    let sessions = scene.waiting();
    scene.gateway.plan(Box::new(|arrival| (arrival.request.body.len() > 20_000).then(Fault::too_large)));
    assert_sent(&scene.drain(&mut scene.publisher()), sessions);
    scene.assert_published();

    scene.outbox().republish().expect("the ledger can be written");
    let slow = |arrival: &crate::remote::faults::Arrival| arrival.request.body.len() > 20_000;
    scene.gateway.plan(Box::new(move |arrival| slow(arrival).then(|| Fault::database_error("57014"))));
    let mut publisher = scene.publisher();
    let (mut sent, mut failures) = (0, 0);
    while sent < sessions {
        let drained = scene.drain(&mut publisher);
        sent += drained.sent;
        failures += usize::from(drained.obstacle.is_some());
        assert!(failures < 30, "{drained:?}");
    }
    let largest = |seen: Vec<super::Seen>| seen.iter().map(|seen| seen.request.body.len()).max();
    assert!(largest(scene.sent()) > Some(20_000), "there was something to halve");
    scene.assert_published();
}

#[test]
fn chaos_leaves_the_server_with_exactly_what_the_ledger_has() {
    let scene = Scene::with_sessions(40);
    let faults = vec![(20, Fault::LoseAnswer), (10, Fault::unavailable()), (10, Fault::CutAnswer)];
    scene.gateway.plan(chaos(11, faults));
    for round in 0..6 {
        for reply in 0..4 {
            scene.append("p/s-1.jsonl", &crate::process::reply(&format!("{round}x{reply}")));
        }
        scene.sandbox.scan();
        // Each round begins as after a crash: nothing but the ledger is known.
        let drained = scene.drain_patiently(&mut scene.publisher());
        assert!(drained.obstacle.is_none(), "{drained:?}");
    }
    scene.assert_published();
}
