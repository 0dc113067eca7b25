//! The commands of publishing against the real database: what arrives, what is said, and the exit codes.
#![cfg(test)]

use crate::process::{Daemon, Sandbox, eventually, fail, reply, succeed, text};
use crate::remote::faults::{self, Fault};
use crate::remote::gateway::Gateway;
use crate::remote::keys::Role;
use crate::remote::{Database, Stack, Template};
use pretty_assertions::assert_eq;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// A sandbox with two sessions, and a user of the project to publish them for.
struct Meter {
    sandbox: Sandbox,
    database: Database,
    gateway: Gateway,
    user: String,
}

impl Meter {
    fn new() -> Self {
        Self::on(Stack::get().contract())
    }

    fn on(database: Database) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write_log("-p/s.jsonl", &reply("A"));
        sandbox.write_log("-p/t.jsonl", &reply("B").replace("s-1", "s-2"));
        let (gateway, user) = (Gateway::start(&database), database.new_user());
        Self { sandbox, database, gateway, user }
    }

    fn tallyd(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = self.sandbox.tallyd(words.next().expect("a command"));
        command.args(words).env("SUPABASE_URL", self.gateway.url()).env("USER_ID", &self.user);
        command.env("SUPABASE_SECRET_KEY", Stack::get().secret_key());
        command
    }

    fn to(&self) -> String {
        format!("user {} of {}", self.user, self.gateway.url())
    }

    fn rows(&self) -> i64 {
        self.database.count("token_usage_sessions", &self.user)
    }

    fn value(&self, query: &str) -> String {
        self.database.text(&query.replace("USER", &format!("'{}'", self.user)))
    }
}

#[test]
fn publish_takes_in_and_sends_everything() {
    let meter = Meter::new();
    let told = succeed(&mut meter.tallyd("publish --wait"));
    assert_eq!(told, format!("2 sessions sent. Everything is at {}.\n", meter.to()));
    assert_eq!(meter.rows(), 2);
    let requests = meter.gateway.seen().len();
    assert_eq!(succeed(&mut meter.tallyd("publish")), format!("Everything is at {}.\n", meter.to()));
    let again = meter.gateway.seen();
    assert!(
        again[requests..].iter().all(|seen| !seen.request.path.contains("upsert")),
        "what is there is not sent"
    );
    let told = succeed(&mut meter.tallyd("publish --full"));
    assert!(told.starts_with("2 sessions sent."), "{told}");
    assert_eq!(
        meter.value("select sum(daily_message_count)::text from token_usage_daily where user_id = USER"),
        "2"
    );
}

#[test]
fn waiting_outlasts_what_passes_by_itself() {
    let meter = Meter::new();
    meter.gateway.plan(faults::in_turn([Fault::unavailable(), Fault::LoseAnswer]));
    let told = fail(&mut meter.tallyd("publish"), 11);
    assert!(told.contains("2 sessions left to send"), "{told}");
    succeed(&mut meter.tallyd("publish --wait --timeout 60"));
    assert_eq!(meter.rows(), 2);
}

#[test]
fn what_a_person_has_to_mend_is_told_apart() {
    let meter = Meter::new();
    let nobody = "11111111-2222-4333-8444-555555555555";
    for (variable, value, what, help) in [
        ("SUPABASE_SECRET_KEY", "sb_secret_CANARY", "does not accept the key", "SUPABASE_SECRET_KEY="),
        ("USER_ID", nobody, "has no user 11111111-2222-4333-8444-555555555555", "fly secrets set USER_ID="),
    ] {
        for line in ["publish --wait", "check", "verify"] {
            let output = meter.tallyd(line).env(variable, value).env("FLY_APP_NAME", "meter").output();
            let output = output.expect("tallyd runs");
            let told = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(output.status.code(), Some(10), "{line}: {told}");
            assert!(told.contains(what) && told.contains(help) && !told.contains("CANARY"), "{line}: {told}");
        }
    }
    let bare = Meter::on(Stack::get().database(Template::Blank));
    for line in ["publish --wait", "check", "verify"] {
        let output = bare.tallyd(line).output().expect("tallyd runs");
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(10), "{line}: {told}");
        assert!(told.contains("tallyd schema | psql \"$DATABASE_URL\""), "{line}: {told}");
    }
}

#[test]
fn the_binarys_own_sql_sets_a_project_up() {
    let meter = Meter::on(Stack::get().database(Template::Blank));
    let sql = succeed(meter.sandbox.bare().arg("schema"));
    meter.database.execute(&sql);
    meter.database.execute(&sql);
    meter.database.execute("notify pgrst, 'reload schema'");
    eventually("PostgREST knows the functions", || {
        meter.tallyd("check").status().is_ok_and(|end| end.success())
    });
    succeed(&mut meter.tallyd("publish --wait"));
    assert_eq!(meter.rows(), 2);
}

#[test]
fn a_users_own_token_publishes_for_that_user() {
    let meter = Meter::new();
    let token = Stack::get().token(Role::Authenticated, Some(&meter.user));
    let with_token = |line: &str| {
        let mut command = meter.tallyd(line);
        command.env_remove("SUPABASE_SECRET_KEY").env_remove("USER_ID");
        command.env("SUPABASE_PUBLISHABLE_KEY", Stack::get().publishable_key());
        command.env("SUPABASE_ACCESS_TOKEN", &token);
        command
    };
    succeed(&mut with_token("publish --wait"));
    assert_eq!(meter.rows(), 2);
    let told = succeed(&mut with_token("check"));
    assert!(
        told.contains("access token of a user from SUPABASE_ACCESS_TOKEN, accepted as authenticated"),
        "{told}"
    );
    assert!(!told.contains(&token), "{told}");
}

#[test]
fn a_refused_session_is_parked_told_and_tried_again() {
    let meter = Meter::new();
    // A day that the server refuses: before there was a Claude Code.
    meter
        .sandbox
        .write_log("-p/u.jsonl", &reply("C").replace("s-1", "s-old").replace("2026-09-01", "2019-09-01"));
    let told = fail(&mut meter.tallyd("publish --wait"), 12);
    assert!(told.contains("2 sessions sent. The server refuses 1 session; s-old: 22023"), "{told}");
    assert_eq!(meter.rows(), 2);
    let output = meter.tallyd("check").output().expect("tallyd runs");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(12), "{shown}");
    assert!(shown.contains("wrong    backlog") && shown.contains("s-old: 22023"), "{shown}");
    fail(&mut meter.tallyd("publish"), 12);
    let sent = meter.gateway.seen().iter().filter(|seen| seen.request.path.contains("upsert")).count();
    assert!(sent >= 2, "it was sent again: {sent} calls");
}

#[test]
fn the_ledger_of_one_user_is_not_published_for_another() {
    let meter = Meter::new();
    succeed(&mut meter.tallyd("publish --wait"));
    let other = meter.database.new_user();
    let as_other = |line: &str| {
        let mut command = meter.tallyd(line);
        command.env("USER_ID", &other);
        command
    };
    for line in ["publish", "publish --full", "publish --dry-run", "verify"] {
        let told = fail(&mut as_other(line), 13);
        assert!(told.contains(&meter.to()) && told.contains("help: tallyd reassign"), "{line}: {told}");
    }
    let output = as_other("check").output().expect("tallyd runs");
    assert_eq!(output.status.code(), Some(13), "{}", text(&output.stdout));
    let output = as_other("reassign").output().expect("tallyd runs");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(13), "{shown}");
    for part in [&*meter.to(), &*other, "2 sessions", "--everything", "--from-now-on"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(meter.database.count("token_usage_sessions", &other), 0);

    let told = succeed(&mut as_other("reassign --from-now-on"));
    assert!(told.contains(": 2 sessions counted so far"), "{told}");
    meter.sandbox.write_log("-p/u.jsonl", &reply("C").replace("s-1", "s-3"));
    succeed(&mut as_other("publish --wait"));
    assert_eq!(meter.database.count("token_usage_sessions", &other), 1);
    let told = succeed(&mut as_other("reassign"));
    assert!(told.contains("Nothing is to be decided"), "{told}");
    succeed(&mut as_other("reassign --everything"));
    succeed(&mut as_other("publish --wait"));
    assert_eq!(meter.database.count("token_usage_sessions", &other), 3);
    assert_eq!(meter.rows(), 2, "what the former owner has stays");
}

#[test]
fn verify_sends_again_what_the_server_lost() {
    let meter = Meter::new();
    succeed(&mut meter.tallyd("publish --wait"));
    let told = succeed(&mut meter.tallyd("verify"));
    assert!(
        told.contains("       2 the same on both sides") && told.contains("Nothing is missing"),
        "{told}"
    );
    let user = &meter.user;
    // As after a restore of an older backup: the database has never heard of one of the two equal sessions.
    meter.database.execute(&format!(
        "delete from token_usage_session_days where user_id = '{user}' and session_id = 's-2'; \
         delete from token_usage_sessions where user_id = '{user}' and session_id = 's-2'; \
         update token_usage_daily set daily_input_tokens = 1, daily_output_tokens = 2, daily_message_count = 1, \
         daily_session_count = 1, daily_cost_usd = daily_cost_usd / 2 where user_id = '{user}'"
    ));
    let output = meter.tallyd("verify --dry-run --json").output().expect("tallyd runs");
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (output.status.code(), &seen["lacking"], &seen["equal"]),
        (Some(14), &1.into(), &1.into()),
        "{seen}"
    );
    assert_eq!(meter.rows(), 1, "a dry run sends nothing");
    let output = meter.tallyd("verify --json").output().expect("tallyd runs");
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&seen["refilled"], &seen["equal"], &seen["lacking"]),
        (&1.into(), &2.into(), &0.into()),
        "{seen}"
    );
    assert_eq!(meter.rows(), 2);
}

/// A running tallyd without settings of publishing: it takes in, and others send.
fn beside(meter: &Meter) -> Daemon {
    Daemon::following(&meter.sandbox)
}

#[test]
fn beside_a_daemon_that_does_not_publish_it_sends_itself() {
    let meter = Meter::new();
    let daemon = beside(&meter);
    let told = succeed(&mut meter.tallyd("publish"));
    assert_eq!(told, format!("2 sessions sent. Everything is at {}.\n", meter.to()));
    assert_eq!(meter.rows(), 2);
    let told = succeed(&mut meter.tallyd("publish --full --wait --timeout 60"));
    assert_eq!(told, format!("2 sessions sent. Everything is at {}.\n", meter.to()));
    daemon.stop();
}

#[test]
fn what_a_daemon_has_counted_by_other_prices_is_sent_by_it_alone() {
    let meter = Meter::new();
    let daemon = beside(&meter);
    let own = meter.sandbox.path("prices.toml");
    let prices = "[[models]]\nid = \"mine\"\ninput = \"1\"\noutput = \"1\"\ncache_write_5m = \"1\"\n\
                  cache_write_1h = \"1\"\ncache_read = \"1\"\nsource = \"a test\"\n";
    fs::write(&own, prices).expect("prices can be written");
    let with_own = |command: &str| {
        let mut tallyd = meter.tallyd(command);
        tallyd.arg("--prices").arg(&own);
        tallyd
    };
    let told = succeed(&mut with_own("publish"));
    let expected = format!("The running tallyd (process {}) sends 2 sessions", daemon.id());
    assert!(told.contains(&expected), "{told}");
    let told = fail(&mut with_own("publish --wait --timeout 1"), 11);
    assert!(told.contains("2 sessions left to send when the time was over"), "{told}");
    let told = fail(&mut with_own("verify"), 8);
    assert!(told.contains("the ledger's costs are by other prices"), "{told}");
    assert_eq!(meter.rows(), 0);
    daemon.stop();
}

#[test]
fn beside_a_daemon_it_waits_for_what_the_logs_had_at_the_call() {
    let meter = Meter::new();
    let daemon = beside(&meter);
    succeed(&mut meter.tallyd("verify"));
    succeed(&mut meter.tallyd("publish --wait --timeout 60"));
    daemon.signal("STOP");
    let log = meter.sandbox.projects().join("-p/s.jsonl");
    let mut file = fs::File::options().append(true).open(&log).expect("the log is there");
    file.write_all(reply("D").as_bytes()).expect("a log can be written");
    let told = fail(&mut meter.tallyd("publish --wait --timeout 1"), 11);
    assert!(told.contains("has not taken in 1 session log in time"), "{told}");
    daemon.signal("CONT");
    meter.sandbox.wait_for_responses(3);
    succeed(&mut meter.tallyd("verify"));
    succeed(&mut meter.tallyd("publish --wait --timeout 60"));
    daemon.stop();
}

#[test]
fn an_exit_hook_waits_for_a_daemon_that_publishes() {
    let meter = Meter::new();
    let mut daemon = Daemon::start(&mut meter.tallyd("run"));
    daemon.wait_for("following");
    let log = meter.sandbox.projects().join("-p/s.jsonl");
    let mut file = fs::File::options().append(true).open(&log).expect("the log is there");
    file.write_all(reply("D").as_bytes()).expect("a log can be written");
    let told = succeed(&mut meter.tallyd("publish --wait --timeout 60"));
    assert_eq!(told, format!("Everything is at {}.\n", meter.to()));
    assert_eq!(
        meter.value("select sum(daily_message_count)::text from token_usage_daily where user_id = USER"),
        "3"
    );
    let told = succeed(&mut meter.tallyd("check"));
    assert!(told.contains(&format!("kept by a running tallyd (process {})", daemon.id())), "{told}");
    assert!(told.contains("backlog     nothing waits; last sent "), "{told}");
    daemon.stop();
}

#[test]
fn check_tells_what_the_daemon_met() {
    let meter = Meter::new();
    let mut daemon = Daemon::start(meter.tallyd("run").env("SUPABASE_SECRET_KEY", "sb_secret_CANARY"));
    daemon.wait_for("nothing can be published");
    // The one who asks has the right key, the daemon has not.
    let output = meter.tallyd("check").output().expect("tallyd runs");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(10), "{shown}");
    assert!(shown.contains("ok       key") && shown.contains("wrong    backlog"), "{shown}");
    assert!(shown.contains("failed: the project does not accept the key"), "{shown}");
    let told = fail(&mut meter.tallyd("publish --wait --timeout 1"), 10);
    assert!(told.contains("2 sessions left to send: the project does not accept the key"), "{told}");
    daemon.stop();
}

#[test]
fn no_answer_of_a_server_ends_a_check_but_is_told() {
    let meter = Meter::new();
    for fault in
        [Fault::captive_portal(), Fault::unavailable(), Fault::foreign_json(), Fault::truncated_json()]
    {
        meter.gateway.plan(faults::always(fault));
        let output = meter.tallyd("check").stderr(Stdio::piped()).output().expect("tallyd runs");
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(11), "{shown}");
        assert!(shown.contains("wrong    server") && shown.contains("unknown  user"), "{shown}");
    }
}
