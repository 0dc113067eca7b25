//! Sessions that the server refuses for what is in them: found, set aside with the reason, told of, kept,
//! and no hindrance to others.

use super::following::Running;
use super::{Scene, assert_sent, obstacle};
use crate::logs::Tree;
use crate::process::{eventually, reply};
use crate::remote::faults::Fault;
use std::collections::BTreeSet;
use tallyd::publish::Obstacle;

/// The server takes ids of up to 200 characters.
const LONG: usize = 201;

impl Scene {
    /// A session whose id the server refuses, in its answer to this item alone.
    fn add_refused(&self) {
        let id = "x".repeat(LONG);
        let line = reply("refused").replace("\"s-1\"", &format!("\"{id}\""));
        self.append("p/refused.jsonl", &line);
        self.sandbox.scan();
    }

    /// A session with a zero byte in its model's name, which fails the call it is in.
    fn add_spoiling(&self, name: &str) {
        let line = reply(name).replace("\"s-1\"", &format!("\"{name}\""));
        let line = line.replace("claude-sonnet-4-5-20250929", "odd\\u0000name");
        self.append(&format!("p/{name}.jsonl"), &line);
        self.sandbox.scan();
    }

    fn parked(&self) -> Vec<(String, String)> {
        let parked = self.outbox().parked().expect("the ledger can be read");
        parked.into_iter().map(|parked| (parked.session, parked.code)).collect()
    }
}

#[test]
fn a_session_that_is_refused_is_parked_and_told_of() {
    let scene = Scene::with_sessions(5);
    let good = scene.waiting();
    scene.add_refused();
    let mut publisher = scene.publisher();
    let drained = scene.drain(&mut publisher);
    assert!(drained.obstacle.is_none(), "{drained:?}");
    assert_eq!((drained.sent, drained.left, drained.parked), (good, 0, 1));
    let parked = scene.outbox().parked().expect("the ledger can be read").pop().expect("one is parked");
    assert_eq!((parked.session.len(), parked.code.as_str()), (LONG, "22023"));
    assert!(parked.message.contains("session_id"), "{}", parked.message);
    assert_eq!(parked.version, env!("CARGO_PKG_VERSION"));
    assert!(scene.log.lines("WARN").is_empty(), "who asks finds it in the ledger");

    let before = scene.sent().len();
    scene.drain(&mut publisher);
    scene.drain(&mut scene.publisher());
    assert_eq!(scene.sent().len(), before, "it is left alone");
    scene.outbox().release(None).expect("the ledger can be written");
    assert_eq!(scene.drain(&mut publisher).parked, 1);
    assert_eq!(scene.sent().len(), before + 1, "on demand it is tried again");
}

#[test]
fn a_running_tallyd_tells_of_it() {
    let scene = Scene::new();
    scene.add_refused();
    let running = Running::start(&scene, scene.publisher());
    eventually("it is parked", || !scene.parked().is_empty());
    running.stop();
    let warnings = scene.log.lines("WARN");
    assert!(matches!(warnings.as_slice(), [one] if one.contains("session_id")), "{warnings:#?}");
}

#[test]
fn sessions_that_spoil_their_call_are_found_by_halving() {
    let scene = Scene::with_sessions(30);
    let good = scene.waiting();
    let spoiling = ["spoils-a", "spoils-b"];
    for name in spoiling {
        scene.add_spoiling(name);
    }
    let drained = scene.drain(&mut scene.publisher());
    assert!(drained.obstacle.is_none(), "{drained:?}\n{}", scene.log.text());
    assert_eq!((drained.sent, drained.left, drained.parked), (good, 0, 2));
    let parked: BTreeSet<(String, String)> = scene.parked().into_iter().collect();
    assert_eq!(parked, spoiling.map(|name| (name.to_owned(), "22P05".to_owned())).into());
    assert_eq!(scene.database.count("token_usage_sessions", &scene.user), i64::try_from(good).unwrap());
}

#[test]
fn a_parked_session_is_tried_again_by_another_version() {
    let scene = Scene::with_sessions(1);
    let mut outbox = scene.outbox();
    let waiting = outbox.waiting(1).expect("the ledger can be read").pop().expect("one waits");
    let at = tallyd::domain::UnixMillis(0);
    outbox.park(waiting.key, waiting.stamp, "22023", "as asked", "0.0.1", at).expect("it can be parked");
    assert_sent(&scene.drain(&mut scene.publisher()), 1);
    scene.assert_published();
}

#[test]
fn a_value_that_is_too_large_alone_is_parked() {
    let scene = Scene::new();
    scene.grow("a");
    scene.gateway.plan(Box::new(|arrival| arrival.request.path.contains("upsert").then(Fault::too_large)));
    let drained = scene.drain(&mut scene.publisher());
    assert!(drained.obstacle.is_none(), "{drained:?}");
    assert_eq!(scene.parked(), [("s-1".to_owned(), "413".to_owned())]);
}

/// Nobody knows what a session has to do with a failure of the server: it is kept waiting, behind others.
#[test]
fn a_session_that_the_server_fails_at_holds_up_nobody() {
    let scene = Scene::new();
    // The first to wait: it would be the first of every batch.
    scene.grow("culprit");
    Tree::generate(7, 10).write(&scene.sandbox.projects());
    scene.sandbox.scan();
    let sessions = scene.waiting();
    let is_met = |body: &str| body.contains("\"session_id\":\"s-1\"");
    scene.gateway.plan(Box::new(move |arrival| {
        is_met(&arrival.request.text()).then(|| Fault::database_error("XX000"))
    }));
    let mut publisher = scene.publisher();
    let mut sent = 0;
    // Each try halves the batch that fails; as many as halve the first to one are enough.
    for _ in 0..12 {
        let drained = scene.drain(&mut publisher);
        assert!(matches!(obstacle(&drained), Obstacle::Transient { .. }), "{drained:?}");
        assert_eq!(drained.parked, 0);
        sent += drained.sent;
    }
    assert_eq!((sent, scene.waiting()), (sessions - 1, 1));
    scene.gateway.heal();
    assert_sent(&scene.drain(&mut publisher), 1);
    scene.assert_published();
}
