//! docs/deploy.md, done: every block that is marked as runnable, in order, in one shell, with the built program, a real
//! project and the fake `fly`; and the rows that are there in the end. What the guide says is what works.
#![cfg(test)]

use crate::process::{Sandbox, eventually, reply, text};
use crate::remote::gateway::Gateway;
use crate::remote::keys::Role;
use crate::remote::{Database, Stack, Template};
use crate::support::root;
use pretty_assertions::assert_eq;
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A shell block of the guide.
struct Block {
    line: usize,
    is_run: bool,
    text: String,
}

/// All blocks of shell, those within lists too.
fn blocks() -> Vec<Block> {
    let guide = fs::read_to_string(root().join("docs/deploy.md")).expect("the guide");
    let mut found: Vec<Block> = Vec::new();
    let mut indent = None;
    for (number, line) in guide.lines().enumerate() {
        let inner = line.trim_start();
        match (indent, inner) {
            (None, "```sh" | "```sh run") => {
                indent = Some(line.len() - inner.len());
                found.push(Block { line: number + 1, is_run: inner.ends_with("run"), text: String::new() });
            }
            (Some(_), "```") => indent = None,
            (Some(indent), _) => {
                let block = found.last_mut().expect("a block has begun");
                block.text.push_str(line.get(indent..).unwrap_or_default());
                block.text.push('\n');
            }
            _ => {}
        }
    }
    assert!(indent.is_none(), "a block has no end");
    found
}

/// What an operator has before he begins: a project without tallyd's SQL, a key, two apps of which one has run for
/// long and was forgotten, and logs here and there.
struct Operator {
    database: Database,
    gateway: Gateway,
    here: Sandbox,
    app: Sandbox,
    forgotten: Sandbox,
    /// The forgotten app's user.
    user: String,
}

impl Operator {
    fn new() -> Self {
        let database = Stack::get().database(Template::Blank);
        database.execute("create table public.user_instances (user_id uuid, app_name text)");
        let user = database.new_user();
        database.execute(&format!("insert into public.user_instances values ('{user}', 'forgotten')"));
        let gateway = Gateway::start(&database);
        let operator = Self {
            database,
            gateway,
            here: Sandbox::new(),
            app: Sandbox::new(),
            forgotten: Sandbox::new(),
            user,
        };
        fs::create_dir_all(operator.path("fake/apps")).expect("a folder");
        fs::write(operator.path("fake/calls.jsonl"), "").expect("a file");
        fs::write(operator.path("key"), Stack::get().secret_key()).expect("a key");
        std::os::unix::fs::symlink(root().join("scripts"), operator.path("scripts")).expect("a link");
        operator.add_app("app", &operator.app, &json!({}), "s-app");
        let key = json!({"SUPABASE_URL": operator.gateway.url(), "SUPABASE_SERVICE_KEY": Stack::get().secret_key()});
        operator.add_app("forgotten", &operator.forgotten, &key, "s-forgotten");
        let projects = operator.path("home/.claude/projects/-p");
        fs::create_dir_all(&projects).expect("a folder");
        fs::write(projects.join("s.jsonl"), reply("H").replace("s-1", "s-here")).expect("a log");
        operator
    }

    fn path(&self, name: &str) -> PathBuf {
        self.here.path(name)
    }

    /// An app whose machine is a sandbox; it is up if it was ever given a secret.
    fn add_app(&self, name: &str, machine: &Sandbox, secrets: &serde_json::Value, session: &str) {
        machine.write_log("-p/s.jsonl", &reply(name).replace("s-1", session));
        let folder = |path: PathBuf| path.display().to_string();
        let is_up = secrets.get("SUPABASE_URL").is_some();
        let machines = if is_up { json!([[format!("m-{name}"), "started"]]) } else { json!([]) };
        let command =
            [PROGRAM, "--claude-dir", &folder(machine.claude()), "--state-dir", &folder(machine.state())];
        let environment = json!({"HOME": folder(machine.path("home")), "TZ": "UTC", "FLY_APP_NAME": name});
        let app = json!({"vault": secrets, "deployed": secrets, "machines": machines,
                         "tallyd": {"command": command, "env": environment}});
        fs::write(self.path(&format!("fake/apps/{name}.json")), app.to_string()).expect("an app");
    }

    /// A shell that knows what the guide asks for, and nothing else.
    fn shell(&self) -> Command {
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail"]).env_clear().current_dir(self.path(""));
        let tools =
            [root().join("tests/it/fleet"), Path::new(PROGRAM).parent().expect("a folder").to_owned()];
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{}:/usr/bin:{path}", tools[0].display(), tools[1].display()));
        shell.env("HOME", self.path("home")).env("TZ", "UTC").env("FAKE_FLY", self.path("fake"));
        shell.env("DATABASE_URL", self.database.uri("postgres")).env("SUPABASE_URL", self.gateway.url());
        shell
            .env("KEY_FILE", self.path("key"))
            .env("APP", "app")
            .env("OTHER_USER_ID", self.database.new_user());
        shell.env("SUPABASE_PUBLISHABLE_KEY", Stack::get().publishable_key());
        shell.env("SUPABASE_JWT_SECRET", Stack::get().jwt_secret()).env("PYTHONDONTWRITEBYTECODE", "1");
        shell
    }

    /// Runs the guide, and says of what goes wrong which block it was.
    fn follow_the_guide(&self) -> Output {
        let mut script = String::new();
        for block in blocks().iter().filter(|block| block.is_run) {
            write!(script, "echo '== line {}' >&2\n{}", block.line, block.text).expect("a text can grow");
        }
        fs::write(self.path("guide.sh"), script).expect("a script");
        let output = self.shell().arg("guide.sh").stdin(Stdio::null()).output().expect("a shell runs");
        let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{}\n{said}\n{}", output.status, self.logs());
        output
    }

    fn logs(&self) -> String {
        let log = |app: &str| fs::read(self.path(&format!("fake/{app}.log"))).unwrap_or_default();
        format!("app: {}\nforgotten: {}", text(&log("app")), text(&log("forgotten")))
    }

    /// Sessions that have arrived, with their user's number of responses.
    fn rows(&self) -> String {
        self.database.text(
            "select string_agg(session_id || ' ' || message_count || ' ' || \
             case when user_id in (select user_id from public.user_instances where app_name = 'app') \
             then 'app' else user_id::text end, ', ' order by session_id) from public.token_usage_sessions",
        )
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_tallyd");

impl Drop for Operator {
    fn drop(&mut self) {
        for app in ["app", "forgotten"] {
            let pid = fs::read_to_string(self.path(&format!("fake/{app}.pid"))).unwrap_or_default();
            if !pid.is_empty() {
                let _ = Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status();
            }
        }
    }
}

#[test]
fn whoever_follows_the_guide_has_rows_in_the_end() {
    let operator = Operator::new();
    let output = operator.follow_the_guide();
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    let expected = format!("s-app 1 app, s-forgotten 1 {}, s-here 1 app", operator.user);
    eventually(&format!("{expected}\n{said}\n{}", operator.logs()), || operator.rows() == expected);
    for step in [
        "1 session sent. Everything is at user",
        "gate: go on",
        "accepted as authenticated",
        "counting is switched off",
        "the ledger belongs to user",
        "has no user",
        "set USER_ID, deployed",
    ] {
        assert!(said.contains(step), "{step}: {said}");
    }
    let token = fs::read_to_string(operator.path("token")).expect("a token");
    for secret in [Stack::get().secret_key(), Stack::get().jwt_secret(), token.trim()] {
        assert!(!said.contains(secret) && !operator.logs().contains(secret), "a key is shown: {said}");
        let calls = fs::read_to_string(operator.path("fake/calls.jsonl")).expect("calls");
        for call in calls.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")) {
            assert!(!call["args"].to_string().contains(secret), "{call}");
        }
    }
}

/// What the test does not run is shell all the same.
#[test]
fn every_block_of_the_guide_is_shell() {
    let blocks = blocks();
    assert!(
        blocks.iter().filter(|block| block.is_run).count() > 12 && blocks.iter().any(|block| !block.is_run)
    );
    for block in blocks {
        let mut shell = Command::new("bash");
        let mut shell = shell
            .args(["-n", "/dev/stdin"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash");
        shell.stdin.take().expect("is piped").write_all(block.text.as_bytes()).expect("a script");
        let end = shell.wait_with_output().expect("bash ends");
        assert!(end.status.success(), "line {}: {}", block.line, text(&end.stderr));
    }
}

/// The gate on what `tallyd check` may end with, as the guide's table has it.
#[test]
fn the_gate_stops_what_would_not_be_billed_and_nothing_else() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let gate = |code: i32| {
        let asked = folder.path().join(format!("asked-{code}"));
        let script = format!("echo asked >>'{}'; exit {code}", asked.display());
        let mut command = Command::new(root().join("scripts/deploy-gate"));
        command.args(["sh", "-c", &script]).env("GATE_TRIES", "3").env("GATE_PAUSE", "0");
        let output = command.output().expect("the gate runs");
        let times = fs::read_to_string(asked).unwrap_or_default().lines().count();
        (
            output.status.code().expect("it ends by itself"),
            times,
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    for code in [0, 11, 12] {
        let (ended, times, said) = gate(code);
        assert_eq!((ended, times), (0, if code == 11 { 3 } else { 1 }), "{said}");
        assert!(said.contains("gate: go on"), "{said}");
    }
    for code in [1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 127] {
        let (ended, times, said) = gate(code);
        assert_eq!((ended, times), (code, 1), "{said}");
        assert!(said.contains("gate: stop"), "{said}");
    }
}

/// The gate with the program itself, where nothing is right but the setting that is asked for.
#[test]
fn the_gate_stops_a_deployment_that_forgets_the_user() {
    let (sandbox, database) = (Sandbox::new(), Stack::get().contract());
    let (gateway, user) = (Gateway::start(&database), database.new_user());
    let gate = |user: &str, key: &str| {
        let mut command = Command::new(root().join("scripts/deploy-gate"));
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", sandbox.path("home"));
        command.args([PROGRAM, "check"]).env("SUPABASE_URL", gateway.url()).env("SUPABASE_SERVICE_KEY", key);
        command.env("USER_ID", user).env("FLY_APP_NAME", "meter").env("GATE_PAUSE", "0");
        let output = command.output().expect("the gate runs");
        (output.status.code(), text(&output.stdout))
    };
    let key = Stack::get().secret_key();
    assert_eq!(gate(&user, key).0, Some(0));
    for (user, key, code, advice) in [
        ("", key, 3, "Authentication, Users"),
        ("11111111-2222-4333-8444-555555555555", key, 10, "fly secrets set USER_ID="),
        (
            &user,
            "sb_secret_CANARY",
            10,
            "fly secrets import --app meter, with the line SUPABASE_SERVICE_KEY=",
        ),
        (&user, &Stack::get().token(Role::Anon, None), 3, "fly secrets import --app meter"),
    ] {
        let (ended, said) = gate(user, key);
        assert!(ended == Some(code) && said.contains(advice) && !said.contains("CANARY"), "{ended:?} {said}");
    }
}
