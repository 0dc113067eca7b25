//! The commands of publishing where no server answers: switched off, not configured, misconfigured, out of
//! reach. Nothing but them fails for a wrong setting, and no key is ever shown.
#![cfg(test)]

use crate::process::{Daemon, Sandbox, fail, files_below, reply, succeed, text};
use pretty_assertions::assert_eq;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

const USER: &str = "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e";
const KEY: &str = "sb_secret_CANARY";

/// A free port of this machine is refused at once.
const NOBODY: &str = "http://127.0.0.1:9";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    sandbox
}

/// A command line with the usual settings, for a server that is not there.
fn configured(sandbox: &Sandbox, line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = sandbox.tallyd(words.next().expect("a command"));
    command.args(words).env("SUPABASE_URL", NOBODY).env("SUPABASE_SERVICE_KEY", KEY).env("USER_ID", USER);
    command
}

/// All that a command prints; its exit code.
fn told(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("tallyd runs");
    let told = text(&output.stdout) + &text(&output.stderr);
    assert!(!told.contains("CANARY"), "a key is shown: {told}");
    (output.status.code(), told)
}

#[test]
fn commands_that_need_a_project_say_that_there_is_none() {
    let sandbox = sandbox();
    for command in ["publish", "verify", "reassign"] {
        let told = fail(&mut sandbox.tallyd(command), 3);
        assert!(
            told.contains(&format!("`tallyd {command}` has nothing to do: publishing is not configured"))
        );
        assert!(told.contains("help: set SUPABASE_URL, SUPABASE_SERVICE_KEY and USER_ID"), "{told}");
        let told = fail(configured(&sandbox, command).env("TALLYD_PUBLISH", "false"), 3);
        assert!(told.contains("switched off") && told.contains("help: set TALLYD_PUBLISH=true"), "{told}");
        let told = fail(configured(&sandbox, command).env("TOKEN_TRACKING_ENABLED", "false"), 2);
        assert!(told.contains("counting is switched off"), "{told}");
    }
    assert!(!sandbox.state().exists(), "nothing is made for nothing");
}

#[test]
fn a_wrong_setting_ends_what_publishes_and_nothing_else() {
    let sandbox = sandbox();
    for (variable, value, what) in [
        ("USER_ID", "CANARY", "USER_ID is 6 characters long"),
        ("USER_ID", "", "no user that the usage is billed to (USER_ID)"),
        (
            "SUPABASE_URL",
            "http://CANARY.example.com/CANARY",
            "SUPABASE_URL: http:// sends the key in the clear",
        ),
        ("SUPABASE_URL", "", "no URL of the project (SUPABASE_URL)"),
        (
            "SUPABASE_SERVICE_KEY",
            "sb_publishable_CANARY",
            "SUPABASE_SERVICE_KEY: it is the project's publishable",
        ),
        ("SUPABASE_SERVICE_KEY", "", "no key (SUPABASE_SERVICE_KEY)"),
        ("SUPABASE_SECRET_KEY", "sb_secret_CANARY2", "are both set and differ"),
        ("USER_ID_FILE", "/nowhere", "USER_ID and USER_ID_FILE are both set"),
        ("TALLYD_PUBLISH", "perhaps", "TALLYD_PUBLISH=perhaps"),
    ] {
        let wrong = |line: &str| {
            let mut command = configured(&sandbox, line);
            command.env(variable, value).env("FLY_APP_NAME", "meter");
            command
        };
        let mut daemon = Daemon::start(&mut wrong("run"));
        assert_eq!(daemon.exit_code(), Some(3), "{variable}={value}: {:?}", daemon.told);
        for line in ["publish", "publish --dry-run", "check", "verify", "reassign"] {
            let (code, told) = told(&mut wrong(line));
            let told = told.replace("CANARY.example.com", "…");
            assert_eq!(code, Some(3), "{line} with {variable}={value}: {told}");
            assert!(told.contains(what) && told.contains("help: "), "{line}: {told}");
            if variable == "USER_ID" {
                assert!(told.contains("`fly secrets set USER_ID=… --app meter`"), "{told}");
            }
        }
        for line in ["scan", "daily", "session --json", "model --no-scan", "prices", "explain msg_01A"] {
            succeed(configured(&sandbox, line).env(variable, value));
        }
    }
}

#[test]
fn a_key_in_the_config_file_is_refused_without_being_shown() {
    let sandbox = sandbox();
    let config = sandbox.path("tallyd.toml");
    for text in ["[publish]\nkey = \"sb_secret_CANARY\"\n", "[publish]\nkey_file = sb_secret_CANARY\n"] {
        fs::write(&config, text).expect("a file can be written");
        let (code, told) = told(sandbox.tallyd("check").arg("--config").arg(&config));
        assert_eq!(code, Some(3), "{told}");
        assert!(told.contains("tallyd.toml"), "{told}");
    }
}

#[test]
fn what_cannot_be_sent_is_kept_and_said() {
    let sandbox = sandbox();
    for line in ["publish", "publish --wait --timeout 1", "verify"] {
        let (code, told) = told(&mut configured(&sandbox, line));
        assert_eq!(code, Some(11), "{line}: {told}");
        assert!(told.contains("Connection refused"), "{told}");
    }
    let (_, told) = told(&mut configured(&sandbox, "publish"));
    assert!(
        told.contains("error: 1 session left to send: ") && told.contains("help: nothing is lost"),
        "{told}"
    );
    assert_eq!(sandbox.responses(), 1, "it is in the ledger");
}

/// Everything in the state folder, with times.
fn snapshot(sandbox: &Sandbox) -> Vec<(PathBuf, SystemTime, Vec<u8>)> {
    let entry = |path: PathBuf| {
        let modified =
            fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("a file has a time");
        let content = fs::read(&path).expect("a file can be read");
        (path, modified, content)
    };
    files_below(&sandbox.state()).into_iter().map(entry).collect()
}

#[test]
fn dry_run_and_check_change_nothing() {
    let sandbox = sandbox();
    let (_, told_without) = told(&mut configured(&sandbox, "check"));
    assert!(
        told_without.contains("unknown  ledger")
            && told_without.contains("is not there yet")
            && told_without.contains("unknown  backlog     there is no ledger yet"),
        "{told_without}"
    );
    assert!(!sandbox.state().exists());
    fail(&mut configured(&sandbox, "publish --dry-run"), 7);
    assert!(!sandbox.state().exists());
    sandbox.scan();
    let before = snapshot(&sandbox);
    for line in ["check", "check --json", "publish --dry-run", "publish --dry-run --full", "reassign"] {
        told(&mut configured(&sandbox, line));
        assert!(snapshot(&sandbox) == before, "{line} has written something");
    }
}

#[test]
fn a_dry_run_prints_a_body_for_each_session() {
    let sandbox = sandbox();
    sandbox.write_log("-p/t.jsonl", &reply("B").replace("s-1", "s-2"));
    sandbox.scan();
    for line in ["publish --dry-run", "publish --dry-run --full"] {
        let lines = succeed(&mut configured(&sandbox, line));
        let bodies: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        let sessions: Vec<&str> =
            bodies.iter().filter_map(|body| body["session_data"]["session_id"].as_str()).collect();
        assert_eq!(sessions, ["s-1", "s-2"]);
        assert_eq!(bodies[0]["session_data"]["user_id"], USER);
        assert_eq!(bodies[0]["session_data"]["output_tokens"], 2);
        assert_eq!(bodies[0]["daily_data"][0]["usage_date"], "2026-09-01");
    }
}

/// The rows of `tallyd check`.
fn checks(command: &mut Command) -> (Value, Vec<(String, String)>) {
    let output = command.arg("--json").output().expect("tallyd runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["exitCode"].as_i64(), output.status.code().map(i64::from));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = report["checks"].as_array().expect("rows");
    let rows = rows.iter().map(|row| (text(&row["check"]), text(&row["state"]))).collect();
    (report, rows)
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(check, state)| ((*check).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn check_works_without_a_project_and_says_how_to_switch_publishing_on() {
    let sandbox = sandbox();
    sandbox.scan();
    let (report, rows) = checks(&mut sandbox.tallyd("check"));
    assert_eq!(rows, pairs(&[("roots", "ok"), ("ledger", "ok"), ("prices", "ok"), ("publishing", "ok")]));
    let publishing = &report["checks"][3];
    assert_eq!((&publishing["enabled"], report["exitCode"].as_i64()), (&Value::Bool(false), Some(0)));
    assert!(publishing["help"].as_str().expect("a help").contains("SUPABASE_URL"), "{publishing}");
    let (_, rows) = checks(configured(&sandbox, "check").env("TALLYD_PUBLISH", "false"));
    assert_eq!(rows.len(), 4, "{rows:?}");
}

#[test]
fn check_tells_what_it_could_not_find_out_from_what_is_wrong() {
    let sandbox = sandbox();
    sandbox.scan();
    let (report, rows) = checks(&mut configured(&sandbox, "check"));
    let expected = [
        ("roots", "ok"),
        ("ledger", "ok"),
        ("prices", "ok"),
        ("publishing", "ok"),
        ("url", "ok"),
        ("key", "unknown"),
        ("server", "wrong"),
        ("contract", "unknown"),
        ("user", "unknown"),
        ("clock", "unknown"),
        ("owner", "ok"),
        ("backlog", "ok"),
    ];
    assert_eq!(rows, pairs(&expected));
    assert_eq!(report["exitCode"], 11);
    let backlog = &report["checks"][11];
    assert_eq!((&backlog["waiting"], &backlog["parked"]), (&1.into(), &Value::Array(Vec::new())));
    let prices = sandbox.path("prices.toml");
    fs::write(&prices, "[[models]]\n").expect("a file can be written");
    let (report, _) = checks(configured(&sandbox, "check").arg("--prices").arg(&prices));
    assert_eq!(report["exitCode"], 8, "the first thing that is wrong decides");
    fs::write(sandbox.state().join("ledger.sqlite"), "no database").expect("a file can be written");
    let (report, rows) = checks(&mut configured(&sandbox, "check"));
    assert_eq!((rows[1].1.as_str(), report["exitCode"].as_i64()), ("wrong", Some(7)));
    assert_eq!((rows[10].1.as_str(), rows[11].1.as_str()), ("unknown", "unknown"));
}

#[test]
fn check_advises_a_version_for_own_prices() {
    let sandbox = sandbox();
    let prices = sandbox.path("prices.toml");
    let row = "[[models]]\nid = \"house-model-7b\"\ninput = \"0.40\"\noutput = \"1.60\"\ncache_write_5m = \"0.50\"\n\
               cache_write_1h = \"0.80\"\ncache_read = \"0.04\"\nsource = \"a test\"\n";
    let told = |text: &str| {
        fs::write(&prices, text).expect("a file can be written");
        succeed(sandbox.tallyd("check").arg("--prices").arg(&prices))
    };
    let without = told(row);
    assert!(
        without.contains("prices.toml without a version") && without.contains("give the file a `version`")
    );
    let with = told(&format!("version = 20261122\n{row}"));
    assert!(with.contains("prices.toml version 20261122") && !with.contains("give the file"), "{with}");
    assert!(with.contains("revision 2000120261122"), "{with}");
}

#[test]
fn the_sql_of_a_project_is_in_the_binary() {
    let sandbox = Sandbox::new();
    let broken = |arguments: &[&str]| {
        let mut command = sandbox.bare();
        succeed(command.env("TALLYD_LOG", "thunderous").env_remove("HOME").arg("schema").args(arguments))
    };
    let names = broken(&["--list"]);
    let sql = broken(&[]);
    for name in names.lines() {
        let path = format!("{}/supabase/migrations/{name}", env!("CARGO_MANIFEST_DIR"));
        assert!(sql.contains(fs::read_to_string(&path).expect("a migration").trim_end()), "{name}");
    }
}
