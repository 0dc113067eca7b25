//! What comes back from the server when the ledger was lost and its logs are gone: the same totals, once, for
//! the user they belong to, and nothing on the server lowered by what is left here.
#![cfg(test)]

mod strangers;

use super::exact::{every_row, publisher, server_account};
use super::faults::{self, Fault};
use super::gateway::Gateway;
use super::{Database, Stack};
use crate::logs::Tree;
use crate::process::{Daemon, Sandbox, eventually, fail, files_below, reply, succeed, text};
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Own prices, by their version: a greater one makes a greater revision.
const PRICES: &str = "[[models]]\nid = \"mine\"\ninput = \"1\"\noutput = \"1\"\ncache_write_5m = \"1\"\n\
     cache_write_1h = \"1\"\ncache_read = \"1\"\nsource = \"a test\"\n";

/// A user whose usage was published from a machine.
pub(super) struct Scene {
    pub(super) database: Database,
    pub(super) gateway: Gateway,
    pub(super) user: String,
    pub(super) sandbox: Sandbox,
    pub(super) tree: Tree,
}

impl Scene {
    pub(super) fn published(seed: u64) -> Self {
        let database = Stack::get().contract();
        let (gateway, user) = (Gateway::start(&database), database.new_user());
        let (sandbox, tree) = (Sandbox::new(), Tree::generate(seed, 8));
        tree.write(&sandbox.projects());
        let scene = Self { database, gateway, user, sandbox, tree };
        scene.publish();
        assert_eq!(server_account(&scene.database, &scene.user), scene.tree.truth().account());
        scene
    }

    /// A command of the sandbox, with settings of publishing.
    pub(super) fn tallyd(&self, line: &str) -> Command {
        self.of(&self.sandbox, line)
    }

    pub(super) fn of(&self, sandbox: &Sandbox, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let command = words.next().expect("a command");
        let mut command = publisher(sandbox, command, &self.gateway.url(), &self.user);
        command.args(words);
        command
    }

    pub(super) fn publish(&self) {
        succeed(&mut self.tallyd("publish --wait"));
    }

    pub(super) fn run(&self) -> Daemon {
        let mut daemon = Daemon::start(&mut self.tallyd("run"));
        daemon.wait_for("following");
        daemon
    }

    pub(super) fn lose_ledger(&self) {
        fs::remove_dir_all(self.sandbox.state()).expect("a ledger can be deleted");
    }

    pub(super) fn lose_logs(&self) {
        fs::remove_dir_all(self.sandbox.projects()).expect("logs can be deleted");
        fs::create_dir_all(self.sandbox.projects()).expect("a folder can be made");
    }

    /// As a ledger is after it was damaged and was made anew from the logs.
    pub(super) fn rebuilt(&self) {
        self.lose_ledger();
        self.sandbox.scan();
        self.want();
    }

    pub(super) fn want(&self) {
        let ledger = Connection::open(self.sandbox.ledger().expect("a ledger")).expect("the ledger opens");
        ledger.execute("INSERT OR REPLACE INTO meta VALUES ('restore_wanted', '1')", []).expect("a wish");
    }

    /// Whether what the server has is still to be read.
    pub(super) fn is_wanted(&self) -> bool {
        self.metric("tallyd_restore_wanted") == "1"
    }

    /// Sessions that come from the server.
    pub(super) fn restored(&self) -> usize {
        self.metric("tallyd_restored_sessions").parse().expect("a number")
    }

    pub(super) fn metric(&self, name: &str) -> String {
        let all = succeed(&mut self.tallyd("metrics"));
        let line = all.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name}: {all}")).to_owned()
    }

    pub(super) fn sessions(&self) -> usize {
        self.tree.truth().account().sessions.len()
    }

    /// By session, UTC day and model, tokens and picodollars: the ledger's are the server's.
    #[track_caller]
    pub(super) fn assert_whole(&self) {
        assert_eq!(self.sandbox.account(), self.tree.truth().account(), "the ledger");
        assert_eq!(server_account(&self.database, &self.user), self.tree.truth().account(), "the server");
    }

    pub(super) fn json(&self, line: &str) -> serde_json::Value {
        let output = self.tallyd(line).output().expect("tallyd runs");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{line}: {error}: {}{}", text(&output.stdout), text(&output.stderr))
        })
    }

    /// Calls that send something.
    pub(super) fn sent(&self) -> usize {
        self.gateway.seen().iter().filter(|seen| seen.request.path.contains("upsert")).count()
    }

    pub(super) fn rows(&self) -> Vec<String> {
        every_row(&self.database, &self.user)
    }

    pub(super) fn log(&self, nth: usize) -> PathBuf {
        files_below(&self.sandbox.projects()).swap_remove(nth)
    }
}

#[test]
fn everything_comes_back_when_ledger_and_logs_are_gone() {
    let scene = Scene::published(91);
    let rows = scene.rows();
    scene.lose_logs();
    scene.rebuilt();
    assert_eq!(scene.sandbox.responses(), 0);
    let daemon = scene.run();
    eventually("everything is restored", || !scene.is_wanted());
    scene.assert_whole();
    assert_eq!((scene.restored(), scene.rows()), (scene.sessions(), rows), "not even written again");
    daemon.stop();
    let verified = scene.json("verify --json");
    assert_eq!(verified["equal"], scene.sessions(), "{verified}");
    assert_eq!(verified["unknown"], 0, "{verified}");
}

#[test]
fn by_hand_a_fresh_machine_has_everything_and_says_whence() {
    let scene = Scene::published(92);
    scene.lose_logs();
    scene.lose_ledger();
    let told = fail(&mut scene.tallyd("restore --dry-run"), 7);
    assert!(told.contains("there is no ledger"), "{told}");
    scene.sandbox.scan();
    let dry = scene.json("restore --dry-run --json");
    assert_eq!((&dry["missing"], &dry["sessions"]), (&scene.sessions().into(), &scene.sessions().into()));
    assert_eq!((scene.restored(), scene.is_wanted()), (0, false), "a dry run writes nothing");
    let told = succeed(&mut scene.tallyd("restore"));
    assert!(
        told.contains(&format!("{:8} taken back: the ledger had nothing of them", scene.sessions())),
        "{told}"
    );
    scene.assert_whole();
    let again = scene.json("restore --json");
    assert_eq!((&again["known"], &again["missing"]), (&scene.sessions().into(), &0.into()), "{again}");

    let daily = succeed(scene.tallyd("daily").args(["--no-scan", "--timezone", "UTC"]));
    assert!(daily.contains(&format!("{} sessions of these (", scene.sessions())), "{daily}");
    assert!(daily.contains("restored from the server, without a log here"), "{daily}");
    let json: serde_json::Value = serde_json::from_str(&scene.sandbox.report("session")).expect("JSON");
    assert_eq!(json["totals"]["restoredSessions"], scene.sessions());
    assert!(json["sessions"].as_array().expect("rows").iter().all(|row| row["restoredSessions"] == 1));
    let session = json["sessions"][0]["sessionId"].as_str().expect("an id");
    let explained = succeed(scene.tallyd("explain").arg(session));
    assert!(explained.contains(&format!("from the server of user {} of http", scene.user)), "{explained}");
    let checked = succeed(&mut scene.tallyd("check"));
    assert!(
        checked.contains(&format!("restored    {} sessions from the server", scene.sessions())),
        "{checked}"
    );
}

#[test]
fn where_logs_are_partly_gone_each_session_counts_by_the_one_that_knows_more() {
    let scene = Scene::published(93);
    for file in files_below(&scene.sandbox.projects()).into_iter().step_by(2) {
        fs::remove_file(file).expect("a log can be deleted");
    }
    scene.rebuilt();
    assert!(scene.sandbox.account() != scene.tree.truth().account(), "something is missing");
    assert!(scene.sandbox.responses() > 0, "something is there");
    let rows = scene.rows();
    scene.publish();
    assert!(scene.restored() > 0 && scene.restored() < scene.sessions(), "{}", scene.restored());
    scene.assert_whole();
    assert_eq!(scene.rows(), rows);
    let verified = scene.json("verify --json");
    assert_eq!(verified["equal"], scene.sessions(), "{verified}");
}

/// Half of a session counted by newer rules or prices would replace the whole: a greater revision wins whatever
/// the counters say.
#[test]
fn half_a_session_under_a_greater_revision_replaces_nothing() {
    let scene = Scene::published(94);
    for file in files_below(&scene.sandbox.projects()).into_iter().step_by(2) {
        fs::remove_file(file).expect("a log can be deleted");
    }
    let own = scene.sandbox.path("prices.toml");
    fs::write(&own, format!("version = 20261122\n{PRICES}")).expect("prices can be written");
    let with_prices = |line: &str| {
        let mut command = scene.tallyd(line);
        command.arg("--prices").arg(&own);
        command
    };
    scene.lose_ledger();
    succeed(&mut with_prices("scan"));
    scene.want();
    succeed(&mut with_prices("publish --wait"));
    scene.assert_whole();
    // Restored sessions are not sent under the new revision when everything is sent again, nor by a daemon.
    succeed(&mut with_prices("publish --full --wait"));
    let halved = scene.restored();
    assert!(halved > 0);
    let revisions =
        format!("select count(distinct revision) from token_usage_sessions where user_id = '{}'", scene.user);
    assert_eq!(scene.database.text(&revisions), "2", "whole ones were corrected, halves were not");
    fs::write(&own, format!("version = 20261123\n{PRICES}")).expect("prices can be written");
    let daemon = {
        let mut daemon = Daemon::start(&mut with_prices("run"));
        daemon.wait_for("following");
        daemon
    };
    let greatest = format!("select max(revision) from token_usage_sessions where user_id = '{}'", scene.user);
    eventually("the new revision is there", || scene.database.text(&greatest).ends_with("20261123"));
    daemon.stop();
    scene.assert_whole();
    assert_eq!((scene.restored(), scene.database.text(&revisions).as_str()), (halved, "2"));
}

#[test]
fn nothing_is_sent_while_the_server_cannot_be_read() {
    let scene = Scene::published(95);
    let rows = scene.rows();
    fs::remove_file(scene.log(0)).expect("a log can be deleted");
    scene.rebuilt();
    scene.sandbox.write_log("-p/new.jsonl", &reply("new"));
    scene.sandbox.scan();
    let sent = scene.sent();
    let no_reading: fn() -> faults::Plan =
        || Box::new(|arrival| (arrival.request.method == "GET").then(Fault::unavailable));
    scene.gateway.plan(no_reading());
    let told = fail(&mut scene.tallyd("publish"), 11);
    assert!(told.contains("left to send"), "{told}");
    let told = fail(&mut scene.tallyd("restore --timeout 1"), 11);
    assert!(told.contains("503"), "{told}");
    assert!(scene.is_wanted(), "it is still to be done");
    let checked = scene.json("check --json");
    let row = checked["checks"].as_array().into_iter().flatten().find(|row| row["check"] == "restored");
    assert!(row.is_some_and(|row| row["wanted"] == true), "{checked}");
    let mut daemon = scene.run();
    daemon.wait_for("not published yet");
    assert_eq!((scene.sent(), scene.rows()), (sent, rows));
    scene.gateway.heal();
    daemon.wait_for("restored from the server");
    eventually("the new session is there", || scene.rows().iter().any(|row| row.contains(",s-1,")));
    daemon.stop();
    assert!(!scene.is_wanted());
    let account = scene.sandbox.account();
    assert_eq!(account, server_account(&scene.database, &scene.user));
    assert_eq!(account.messages(), scene.tree.truth().messages() + 1);
}

#[test]
fn an_interruption_in_the_middle_is_made_good() {
    let scene = Scene::published(96);
    scene.lose_logs();
    scene.rebuilt();
    // The first page of sessions comes, its days do not.
    scene.gateway.plan(Box::new(|arrival| {
        arrival.request.path.contains("token_usage_session_days").then_some(Fault::CutAnswer)
    }));
    fail(&mut scene.tallyd("restore --timeout 1"), 11);
    assert_eq!((scene.restored(), scene.is_wanted()), (0, true));
    scene.gateway.heal();
    succeed(&mut scene.tallyd("restore"));
    scene.assert_whole();
}

#[test]
fn sessions_of_another_machine_come_along_and_are_never_sent_over() {
    let scene = Scene::published(97);
    let other = Sandbox::new();
    let line = |id: &str| reply(id).replace("\"s-1\"", "\"s-other\"");
    other.write_log("-q/o.jsonl", &line("a"));
    succeed(&mut scene.of(&other, "publish --wait"));
    scene.rebuilt();
    succeed(&mut scene.tallyd("restore"));
    assert_eq!(scene.restored(), 1);
    assert_eq!(scene.sandbox.account(), server_account(&scene.database, &scene.user));
    // The other machine goes on; this one sends everything again, and lowers nothing.
    other.write_log("-q/o.jsonl", &(line("a") + &line("b")));
    succeed(&mut scene.of(&other, "publish --wait"));
    succeed(&mut scene.tallyd("publish --full --wait"));
    assert_eq!(server_account(&scene.database, &scene.user).sessions["s-other"].messages, 2);
    assert_eq!(scene.sandbox.account().sessions["s-other"].messages, 1, "as it was read");
    let verified = scene.json("verify --json");
    assert_eq!((&verified["ahead"], &verified["lacking"]), (&1.into(), &0.into()), "{verified}");
    succeed(&mut scene.tallyd("restore"));
    assert_eq!(scene.sandbox.account(), server_account(&scene.database, &scene.user));
}

#[test]
fn a_log_that_comes_back_counts_once() {
    let scene = Scene::published(98);
    let tape: Vec<(PathBuf, Vec<u8>)> = files_below(&scene.sandbox.projects())
        .into_iter()
        .map(|file| (file.clone(), fs::read(&file).expect("a log can be read")))
        .collect();
    scene.lose_logs();
    scene.rebuilt();
    let daemon = scene.run();
    eventually("everything is restored", || !scene.is_wanted());
    for (file, bytes) in &tape {
        fs::create_dir_all(file.parent().expect("is in a folder")).expect("a folder can be made");
        fs::write(file, bytes).expect("a log can be written");
    }
    eventually("all sessions count by their logs", || scene.restored() == 0);
    scene.assert_whole();
    // And goes on, as any other.
    let (first, bytes) = &tape[0];
    let more = reply("more").replace("\"s-1\"", "\"s-more\"");
    fs::write(first, [bytes.as_slice(), more.as_bytes()].concat()).expect("a log can be written");
    eventually("the next reply is published", || {
        server_account(&scene.database, &scene.user).sessions.contains_key("s-more")
    });
    daemon.stop();
    assert_eq!(scene.sandbox.account(), server_account(&scene.database, &scene.user));
}

#[test]
fn a_ledger_that_is_lost_again_is_restored_again() {
    let scene = Scene::published(99);
    let rows = scene.rows();
    scene.lose_logs();
    for _ in 0..2 {
        scene.rebuilt();
        succeed(&mut scene.tallyd("publish --wait"));
        scene.assert_whole();
        assert_eq!((scene.restored(), scene.is_wanted()), (scene.sessions(), false));
    }
    assert_eq!(scene.rows(), rows);
}

/// The ledger is then the only one that has it.
#[test]
fn what_the_server_loses_after_a_restoration_goes_back_to_it() {
    let scene = Scene::published(90);
    scene.lose_logs();
    scene.rebuilt();
    succeed(&mut scene.tallyd("restore"));
    let rows = server_account(&scene.database, &scene.user);
    let user = &scene.user;
    for table in ["token_usage_session_days", "token_usage_sessions", "token_usage_daily"] {
        scene.database.execute(&format!("delete from {table} where user_id = '{user}'"));
    }
    let verified = scene.json("verify --json");
    assert_eq!(verified["refilled"], scene.sessions(), "{verified}");
    assert_eq!(server_account(&scene.database, &scene.user), rows);
}

/// More sessions, and more of their days, than the server gives at once.
#[test]
fn all_pages_come_back() {
    let scene = Scene::published(86);
    let many = Sandbox::new();
    for session in 0..510 {
        let day = |day: u32| {
            let line = reply(&format!("{session}x{day}")).replace("\"s-1\"", &format!("\"many-{session}\""));
            line.replace("2026-09-01T", &format!("2026-09-0{day}T"))
        };
        many.write_log(&format!("p/many-{session}.jsonl"), &(1..=3).map(day).collect::<String>());
    }
    succeed(&mut scene.of(&many, "publish --wait"));
    scene.rebuilt();
    succeed(&mut scene.tallyd("restore"));
    assert_eq!(scene.restored(), 510);
    assert_eq!(scene.sandbox.account(), server_account(&scene.database, &scene.user));
}
