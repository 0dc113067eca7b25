//! What an operator does to a tallyd that is running: another key, another version of the project's SQL. Nothing is
//! lost and nothing waits for ever, in whichever order it is done.
#![cfg(test)]

use super::exact::publisher;
use super::faults::Fault;
use super::gateway::Gateway;
use super::http::Response;
use super::keys::Role;
use super::{Database, Stack, Template};
use crate::process::{Daemon, Sandbox, eventually, reply, succeed, text};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// A tallyd whose key is in a file.
struct Scene {
    database: Database,
    gateway: Gateway,
    user: String,
    sandbox: Sandbox,
    key: PathBuf,
}

impl Scene {
    fn on(database: Database) -> Self {
        let (gateway, user, sandbox) = (Gateway::start(&database), database.new_user(), Sandbox::new());
        sandbox.write_log("-p/s.jsonl", &reply("A"));
        let key = sandbox.path("key");
        Self { database, gateway, user, sandbox, key }
    }

    fn run(&self, key: &str) -> Daemon {
        self.write_key(key);
        let mut run = self.sandbox.tallyd("run");
        run.env("SUPABASE_URL", self.gateway.url()).env("USER_ID", &self.user);
        Daemon::start(run.env("SUPABASE_SERVICE_KEY_FILE", &self.key))
    }

    fn write_key(&self, key: &str) {
        fs::write(&self.key, key).expect("a key can be written");
    }

    /// The gateway knows this key no longer.
    fn revoke(&self, key: &str) {
        let key = key.to_owned();
        let refusal = Response::new(401, "application/json", r#"{"message":"Invalid API key"}"#);
        self.gateway.plan(Box::new(move |arrival| {
            let is_refused = arrival.request.header("apikey") == Some(&key);
            is_refused.then(|| Fault::Instead(refusal.clone()))
        }));
    }

    fn append(&self, id: &str) {
        let log = self.sandbox.projects().join("-p/s.jsonl");
        let mut log = fs::File::options().append(true).open(log).expect("the log is there");
        log.write_all(reply(id).as_bytes()).expect("a log can be written");
    }

    fn messages(&self) -> String {
        let user = &self.user;
        self.database.text(&format!(
            "select sum(daily_message_count)::text from public.token_usage_daily where user_id::text = '{user}'"
        ))
    }

    /// Waits until the project has this many responses of the user.
    fn arrive(&self, daemon: &mut Daemon, messages: &str) {
        daemon.eventually(&format!("{messages} responses have arrived"), || self.messages() == messages);
    }
}

/// As docs/deploy.md has it: the new key beside the old one, then in its place, then the old one revoked.
#[test]
fn a_key_that_is_replaced_before_it_is_revoked_is_never_missed() {
    let scene = Scene::on(Stack::get().contract());
    let old = Stack::get().token(Role::Service, None);
    let mut daemon = scene.run(&old);
    scene.arrive(&mut daemon, "1");
    scene.write_key(Stack::get().secret_key());
    daemon.signal("HUP");
    daemon.wait_for("reloaded settings");
    scene.append("B");
    scene.arrive(&mut daemon, "2");
    let last = scene.gateway.seen().pop().expect("a request");
    assert_eq!(last.request.header("apikey"), Some(Stack::get().secret_key()));
    scene.revoke(&old);
    scene.append("C");
    scene.arrive(&mut daemon, "3");
    let told = daemon.stop().join("\n");
    assert!(!told.contains("nothing can be published") && !told.contains(&old), "{told}");
}

#[test]
fn what_was_used_while_a_key_was_refused_arrives_with_the_next_one() {
    let scene = Scene::on(Stack::get().contract());
    let old = Stack::get().token(Role::Service, None);
    let mut daemon = scene.run(&old);
    scene.arrive(&mut daemon, "1");
    scene.revoke(&old);
    scene.append("B");
    let told = daemon.wait_for("nothing can be published");
    assert!(told.contains("the project does not accept the key"), "{told}");
    assert!(told.contains("SUPABASE_SERVICE_KEY_FILE") && told.contains("SIGHUP"), "{told}");
    scene.append("C");
    scene.sandbox.wait_for_responses(3);
    assert_eq!(scene.messages(), "1");
    scene.write_key(Stack::get().secret_key());
    daemon.signal("HUP");
    scene.arrive(&mut daemon, "3");
    daemon.stop();
}

/// The other order, SQL first, is that of `contract::upgrade::old_callers_go_on_where_they_were`.
#[test]
fn a_daemon_that_comes_before_the_sql_keeps_everything_and_sends_it_when_that_is_there() {
    for template in [Template::Blank, Template::Prototype] {
        let scene = Scene::on(Stack::get().database(template));
        let mut daemon = scene.run(Stack::get().secret_key());
        let told = daemon.wait_for("nothing can be published");
        assert!(told.contains("tallyd schema"), "{told}");
        scene.append("B");
        scene.sandbox.wait_for_responses(2);
        scene.database.execute(&succeed(scene.sandbox.bare().arg("schema")));
        let mut ask = publisher(&scene.sandbox, "check", &scene.gateway.url(), &scene.user);
        // It tells first of what the daemon has met, which is over at the next try.
        eventually("PostgREST knows the functions", || {
            ask.output().is_ok_and(|end| text(&end.stdout).contains("ok       contract"))
        });
        // It looks again by itself after a minute or more; a signal spares the wait.
        daemon.signal("HUP");
        scene.arrive(&mut daemon, "2");
        daemon.stop();
    }
}
