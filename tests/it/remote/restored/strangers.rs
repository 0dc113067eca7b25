//! What may not come back: rows of others, rows that are not as they should be, answers that are none.

use super::Scene;
use crate::process::{Sandbox, fail, reply, succeed};
use crate::remote::Stack;
use crate::remote::exact::{publisher, publishing, server_account};
use crate::remote::faults::Fault;
use crate::remote::http::Response;
use crate::remote::keys::Role;
use pretty_assertions::assert_eq;

#[test]
fn another_users_rows_never_come() {
    let scene = Scene::published(89);
    let stranger = scene.database.new_user();
    let other = Sandbox::new();
    other.write_log("-q/o.jsonl", &reply("a").replace("\"s-1\"", "\"s-stranger\""));
    let url = scene.gateway.url();
    succeed(publisher(&other, "publish", &url, &stranger).arg("--wait"));
    scene.lose_logs();
    scene.rebuilt();
    // A user's own token, by which the database itself shows no other rows; then a key that sees all.
    let mut by_token = scene.tallyd("restore");
    by_token.env_remove("SUPABASE_SECRET_KEY").env_remove("USER_ID");
    by_token.env("SUPABASE_PUBLISHABLE_KEY", Stack::get().publishable_key());
    by_token.env("SUPABASE_ACCESS_TOKEN", Stack::get().token(Role::Authenticated, Some(&scene.user)));
    succeed(&mut by_token);
    scene.assert_whole();
    succeed(&mut scene.tallyd("restore"));
    scene.assert_whole();
    // The ledger is this user's: as the stranger, nothing is read, nor sent.
    let before = scene.gateway.seen().len();
    for line in ["restore", "restore --dry-run", "publish"] {
        let mut as_stranger = scene.tallyd(line);
        publishing(&mut as_stranger, &url, &stranger);
        let told = fail(&mut as_stranger, 13);
        assert!(told.contains("the ledger belongs to user"), "{told}");
    }
    assert_eq!(scene.gateway.seen().len(), before);
    let mut reassigned = scene.tallyd("reassign");
    publishing(&mut reassigned, &url, &stranger);
    succeed(reassigned.arg("--everything"));
    succeed(publisher(&scene.sandbox, "publish", &url, &stranger).args(["--full", "--wait"]));
    assert_eq!(
        server_account(&scene.database, &stranger).sessions.len(),
        1,
        "what was restored stays behind"
    );
}

/// Rows that only the owner of the tables can have written so.
#[test]
fn rows_that_are_not_as_they_should_be_spoil_no_other() {
    let scene = Scene::published(88);
    let user = &scene.user;
    let sessions: Vec<String> = scene.tree.truth().account().sessions.into_keys().collect();
    for (session, change) in sessions.iter().zip([
        "message_count = message_count + 1",
        "input_tokens = -1",
        "session_started_at = '-infinity'",
        "revision = 9000000000000000000",
    ]) {
        scene.database.execute(&format!(
            "update token_usage_sessions set {change} where user_id = '{user}' and session_id = '{session}'"
        ));
    }
    let hostile = "=cmd()'; drop table--\u{1b}[2J<script>";
    for table in ["token_usage_sessions", "token_usage_session_days"] {
        let session = sessions[4].replace('\'', "''");
        scene.database.execute(&format!(
            "update {table} set session_id = '{}' where user_id = '{user}' and session_id = '{session}'",
            hostile.replace('\'', "''")
        ));
    }
    scene.lose_logs();
    scene.rebuilt();
    let output = scene.tallyd("restore --json").output().expect("tallyd runs");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(14), "{told}");
    assert_eq!((&told["damaged"], &told["missing"]), (&4.into(), &(sessions.len() - 4).into()), "{told}");
    assert_eq!(scene.restored(), sessions.len() - 4);
    assert!(!scene.is_wanted(), "the rest holds nothing up");
    for line in ["session --no-scan", "session --no-scan --csv", "explain --no-scan =cmd"] {
        let shown = succeed(&mut scene.tallyd(line));
        assert!(shown.contains("cmd()") && !shown.contains('\u{1b}'), "{line}: {shown}");
    }
    let csv = succeed(&mut scene.tallyd("session --no-scan --csv"));
    assert!(csv.contains("'=cmd()"), "{csv}");
}

/// Nobody has asked for it, and nobody is shown what came of it but by the log.
#[test]
fn a_row_that_a_daemon_does_not_take_is_told_of_and_one_that_it_takes_is_not() {
    let scene = Scene::published(85);
    for (change, damaged) in [("message_count", None), ("message_count + 1", Some("sessions=1"))] {
        scene.database.execute(&format!(
            "update token_usage_sessions set message_count = {change} where user_id = '{user}' \
             and session_id = (select min(session_id) from token_usage_sessions where user_id = '{user}')",
            user = scene.user
        ));
        scene.lose_logs();
        scene.rebuilt();
        let mut daemon = scene.run();
        daemon.wait_for("restored from the server");
        let told = daemon.stop();
        let warned: Vec<_> = told.iter().filter(|line| line.contains("do not add up")).collect();
        assert_eq!(warned.len(), usize::from(damaged.is_some()), "{told:#?}");
        assert!(warned.iter().all(|line| damaged.is_some_and(|number| line.contains(number))), "{warned:?}");
    }
}

#[test]
fn answers_that_are_no_rows_restore_nothing() {
    let scene = Scene::published(87);
    scene.lose_logs();
    scene.rebuilt();
    let row =
        |fields: &str| Response::new(200, "application/json", format!("[{{\"session_id\":\"x\"{fields}}}]"));
    for fault in [
        Fault::captive_portal(),
        Fault::foreign_json(),
        Fault::truncated_json(),
        Fault::Instead(Response::new(200, "application/json", "[1]")),
        Fault::Instead(Response::new(200, "application/json", "[{\"session_id\":7}]")),
    ] {
        let told_by = format!("{fault:?}");
        scene.gateway.plan(Box::new(move |arrival| {
            arrival.request.path.contains("token_usage_sessions").then(|| fault.clone())
        }));
        let told = fail(&mut scene.tallyd("restore --timeout 1"), 11);
        assert!(!told.contains("panicked"), "{told_by}: {told}");
        assert_eq!((scene.restored(), scene.is_wanted()), (0, true), "{told_by}");
    }
    // A server that gives the same page for ever is one that never ends: the command does.
    scene.gateway.plan(Box::new(move |arrival| {
        arrival.request.path.contains("token_usage_sessions").then(|| Fault::Instead(row("")))
    }));
    fail(&mut scene.tallyd("restore --timeout 1"), 11);
}
