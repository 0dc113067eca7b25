//! From logs to rows, with nothing going wrong but what is told: first publication, a lost ledger, a
//! second container, the end of a container's life, a changed owner.
#![cfg(test)]

use super::exact::{every_row, publisher, server_account};
use super::faults::{Fault, in_turn};
use super::gateway::Gateway;
use super::http::Response;
use super::{Database, Stack};
use crate::health::{answering, get, metric, status};
use crate::logs::Tree;
use crate::process::{Daemon, Sandbox, eventually, reply, succeed};
use pretty_assertions::assert_eq;
use std::fs;

struct Scene {
    database: Database,
    gateway: Gateway,
    user: String,
    sandbox: Sandbox,
    tree: Tree,
}

impl Scene {
    /// Logs of a few sessions, a user, and a way to publish for him.
    fn set(seed: u64) -> Self {
        let database = Stack::get().contract();
        let (gateway, user) = (Gateway::start(&database), database.new_user());
        let (sandbox, tree) = (Sandbox::new(), Tree::generate(seed, 8));
        tree.write(&sandbox.projects());
        Self { database, gateway, user, sandbox, tree }
    }

    fn publish(&self, sandbox: &Sandbox) {
        let url = self.gateway.url();
        succeed(publisher(sandbox, "publish", &url, &self.user).arg("--wait"));
    }

    fn run(&self) -> Daemon {
        let mut daemon = Daemon::start(&mut publisher(&self.sandbox, "run", &self.gateway.url(), &self.user));
        daemon.wait_for("following");
        daemon
    }

    fn check(&self) {
        assert_eq!(server_account(&self.database, &self.user), self.tree.truth().account());
    }
}

#[test]
fn a_ledger_that_was_lost_is_rebuilt_and_changes_no_row() {
    let scene = Scene::set(61);
    scene.publish(&scene.sandbox);
    scene.check();
    let rows = every_row(&scene.database, &scene.user);
    fs::remove_dir_all(scene.sandbox.state()).expect("a ledger can be deleted");
    scene.publish(&scene.sandbox);
    assert_eq!(every_row(&scene.database, &scene.user), rows, "not even written again");
}

#[test]
fn metrics_tell_what_waits_and_when_something_last_arrived() {
    let scene = Scene::set(65);
    scene.sandbox.scan();
    let url = scene.gateway.url();
    let metrics = || succeed(&mut publisher(&scene.sandbox, "metrics", &url, &scene.user));
    let sessions = scene.tree.truth().account().sessions.len();
    let before = metrics();
    assert!(before.contains(&format!("\ntallyd_publish_waiting_sessions {sessions}\n")), "{before}");
    assert!(before.contains("\ntallyd_publish_enabled 1\n"), "{before}");
    assert!(!before.contains("last_success"), "{before}");
    scene.publish(&scene.sandbox);
    let after = metrics();
    assert!(after.contains("\ntallyd_publish_waiting_sessions 0\n"), "{after}");
    assert!(after.contains("\ntallyd_publish_last_success_timestamp_seconds 1"), "{after}");
    for sum in scene.tree.truth().account().models.values() {
        assert!(after.contains(&format!("}} {}\n", sum.tokens[1])), "output tokens of a model: {after}");
    }
}

#[test]
fn a_daemon_tells_what_came_of_its_requests_and_that_it_is_refused() {
    let scene = Scene::set(67);
    let url = scene.gateway.url();
    let refused = Response::new(502, "text/plain", "bad gateway");
    scene.gateway.plan(in_turn([Fault::Instead(refused)]));
    let (mut daemon, address) = answering(&mut publisher(&scene.sandbox, "run", &url, &scene.user));
    daemon.has_said("following");
    eventually("all is published", || {
        server_account(&scene.database, &scene.user) == scene.tree.truth().account()
    });
    eventually("it is ready", || get(&address, "/readyz").1.contains("publishing: ok: 0 waiting"));
    let metrics = get(&address, "/metrics").1;
    assert_eq!(metric(&metrics, "tallyd_publish_requests_total{code=\"502\"}"), "1");
    let answered = metric(&metrics, "tallyd_publish_requests_total{code=\"200\"}");
    assert!(
        answered.parse::<usize>().is_ok_and(|count| count + 1 >= scene.gateway.seen().len()),
        "{metrics}"
    );
    daemon.stop();
    // An id that no user has: what the prototype never noticed.
    let nobody = "00000000-0000-4000-8000-000000000000";
    let other = Sandbox::new();
    scene.tree.write(&other.projects());
    let (mut daemon, address) = answering(&mut publisher(&other, "run", &url, nobody));
    daemon.has_said("following");
    eventually("it is refused", || {
        get(&address, "/readyz").1.contains("publishing: not ok: refused (unknown_user)")
    });
    assert_eq!((get(&address, "/readyz").0, get(&address, "/healthz").0), (503, 200));
    assert!(get(&address, "/metrics").1.contains("tallyd_publish_refused{kind=\"unknown_user\"} 1"));
    let told = status(&other);
    assert!(told["published"]["refusalHelp"].as_str().is_some_and(|help| help.contains("USER_ID")), "{told}");
    daemon.stop();
}

/// PostgREST notices a migration a moment after it was applied; a deploy script asks at once.
#[test]
fn sql_that_was_just_applied_is_not_missing() {
    let scene = Scene::set(66);
    let body = r#"{"code":"PGRST202","details":null,"hint":null,"message":"Could not find the function"}"#;
    let unknown = Response::new(404, "application/json", body);
    scene.gateway.plan(in_turn([Fault::Instead(unknown)]));
    succeed(&mut publisher(&scene.sandbox, "check", &scene.gateway.url(), &scene.user));
    assert_eq!(scene.gateway.seen().len(), 2);
}

#[test]
fn a_second_container_with_a_copy_of_the_logs_changes_no_row() {
    let scene = Scene::set(62);
    scene.publish(&scene.sandbox);
    let rows = every_row(&scene.database, &scene.user);
    let second = Sandbox::new();
    scene.tree.write(&second.projects());
    scene.publish(&second);
    assert_eq!(every_row(&scene.database, &scene.user), rows);
    assert!(scene.gateway.seen().len() > 1, "the second one has sent as well");
}

#[test]
fn what_was_written_last_is_there_when_the_container_has_ended() {
    let scene = Scene::set(63);
    let daemon = scene.run();
    let known = scene.tree.truth().messages();
    eventually("the first logs are published", || {
        let account = server_account(&scene.database, &scene.user);
        account.days.values().map(|sum| sum.messages).sum::<u64>() == known
    });
    scene.sandbox.write_log("-last/s-last.jsonl", &reply("lastword"));
    daemon.stop();
    let account = server_account(&scene.database, &scene.user);
    assert_eq!(account.days.values().map(|sum| sum.messages).sum::<u64>(), known + 1);
}

#[test]
fn what_a_daemon_could_not_send_is_sent_by_the_next_one() {
    let mut scene = Scene::set(64);
    scene.gateway.close();
    let daemon = scene.run();
    daemon.stop();
    assert_eq!(server_account(&scene.database, &scene.user).sessions.len(), 0);
    scene.gateway.open();
    let daemon = scene.run();
    eventually("all is published", || {
        server_account(&scene.database, &scene.user) == scene.tree.truth().account()
    });
    daemon.stop();
}
