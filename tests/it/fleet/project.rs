//! The fleet of a real project: users and apps from its own tables, and rows that a real tallyd sends.

use super::scene::{OTHER, Scene, pairs, run, user, verdicts};
use crate::process::{Sandbox, eventually, reply, text};
use crate::remote::faults::{self, Fault};
use crate::remote::gateway::Gateway;
use crate::remote::{Database, Stack, Template};
use crate::support::root;
use pretty_assertions::assert_eq;
use serde_json::json;
use std::fs;
use std::process::{Command, Stdio};

/// A project with a table of who has which app, under names of its own.
fn project() -> Database {
    let database = Stack::get().unserved(Template::Contract);
    database.execute(r#"create table public."Instances" (owner uuid, "fly app" text)"#);
    database
}

fn add(database: &Database, owner: &str, app: &str) {
    database.execute(&format!(r#"insert into public."Instances" values ({owner}, '{app}')"#));
}

fn with_project(scene: &Scene, database: &Database, line: &str) -> Command {
    let mut command = scene.bare(line);
    command.args(["--instances", "public.Instances", "--user-column", "owner", "--app-column", "fly app"]);
    command.env("DATABASE_URL", database.uri("postgres"));
    command
}

#[test]
fn who_has_which_app_is_read_from_the_project_and_what_is_wrong_with_that_is_told() {
    let (scene, database) = (Scene::new(), project());
    let users: Vec<String> = (0..3).map(|_| database.new_user()).collect();
    let quoted = |user: &str| format!("'{user}'");
    add(&database, &quoted(&users[0]), "app-one");
    add(&database, &quoted(&users[0]), "app-one");
    add(&database, &quoted(&users[1]), "app-two");
    for user in &users[..2] {
        add(&database, &quoted(user), "shared");
    }
    add(&database, "null", "ownerless");
    add(&database, &quoted(OTHER), "stale");
    add(&database, &quoted(&users[1]), "--org\u{1b}[2J");
    let expected = [
        ("--org\u{1b}[2J", "bad name"),
        ("app-one", ""),
        ("app-two", ""),
        ("ownerless", "no user"),
        ("shared", "two users"),
        ("stale", "no user"),
        ("", "no app"),
    ];
    assert_eq!(verdicts(&mut with_project(&scene, &database, "list"), 6), pairs(&expected));
    let (out, _) = run(&mut with_project(&scene, &database, "list"), 6);
    assert!(out.contains("--org\\u{1b}[2J") && !out.contains("example.com"), "{out}");
    let (out, _) = run(&mut with_project(&scene, &database, "list --emails"), 6);
    assert!(out.contains("test@example.com"), "{out}");
    scene.app("app-one", Some(&users[0]));
    scene.app("app-two", Some(&users[0]));
    for name in ["shared", "stale", "ownerless"] {
        scene.app(name, None);
    }
    run(&mut with_project(&scene, &database, "set --apply"), 6);
    assert_eq!(scene.effects(), ["secrets import app-two", "secrets deploy app-two"]);
    // The same list as a file, and the project to ask who exists.
    let mut scene = scene;
    scene.list(&users[0], "app-one");
    scene.list(&user(7), "app-two");
    let mut command = scene.fleet("check");
    command.env("DATABASE_URL", database.uri("postgres"));
    assert_eq!(verdicts(&mut command, 6), pairs(&[("app-one", "right"), ("app-two", "no user")]));
}

#[test]
fn what_keeps_the_list_from_being_read_is_told_without_a_password() {
    let (scene, database) = (Scene::new(), project());
    let told = |url: &str, more: &[&str], expected: &str| {
        let mut command = with_project(&scene, &database, "list");
        let (_, err) = run(command.args(more).env("DATABASE_URL", url), 3);
        assert!(err.contains(expected) && !err.contains("CANARY"), "{err}");
    };
    told(&database.uri("postgres"), &["--instances", "nowhere"], r#"relation "nowhere" does not exist"#);
    told("postgresql://u:CANARY@127.0.0.1:1/db", &[], "Connection refused");
    told("mysql://u:CANARY@h/db", &[], "no postgresql:// URL");
    told("", &[], "set DATABASE_URL");
}

/// A real tallyd in each app, which the fake `fly` starts anew as `fly secrets deploy` does.
struct Machines {
    scene: Scene,
    sandboxes: Vec<Sandbox>,
    gateway: Gateway,
}

impl Machines {
    fn add(&mut self, app: &str, listed: &str, deployed: &str, logs: &str) {
        let sandbox = Sandbox::new();
        sandbox.write_log("-p/s.jsonl", logs);
        let folder = |path: std::path::PathBuf| path.display().to_string();
        let secrets = json!({"USER_ID": deployed});
        let state = json!({"vault": secrets, "deployed": secrets, "machines": [[format!("m-{app}"), "started"]],
            "tallyd": {
                "command": [env!("CARGO_BIN_EXE_tallyd"), "--claude-dir", folder(sandbox.claude()),
                            "--state-dir", folder(sandbox.state())],
                "env": {"HOME": folder(sandbox.path("home")), "TZ": "UTC", "SUPABASE_URL": self.gateway.url(),
                        "SUPABASE_SECRET_KEY": Stack::get().secret_key(), "FLY_APP_NAME": app}}});
        self.scene.write_app(app, &state);
        self.scene.list(listed, app);
        self.sandboxes.push(sandbox);
    }

    fn start(&self, app: &str) {
        let mut fly = Command::new(root().join("tests/it/fleet/fly"));
        fly.args(["secrets", "deploy", "-a", app]).env("FAKE_FLY", self.scene.path("fake"));
        assert!(fly.stdin(Stdio::null()).status().expect("the fake runs").success());
    }

    fn said(&self, app: &str) -> String {
        text(&fs::read(self.scene.path(&format!("fake/{app}.log"))).unwrap_or_default())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for file in fs::read_dir(self.scene.path("fake")).expect("a folder").flatten() {
            if file.path().extension().is_some_and(|end| end == "pid") {
                let pid = fs::read_to_string(file.path()).unwrap_or_default();
                let _ = Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status();
            }
        }
    }
}

#[test]
fn a_wrong_user_is_found_set_right_and_the_rows_that_arrive_are_seen() {
    let database = Stack::get().contract();
    let (busy, quiet) = (database.new_user(), database.new_user());
    let mut machines =
        Machines { scene: Scene::new(), sandboxes: Vec::new(), gateway: Gateway::start(&database) };
    // Nobody whom the project knows: tallyd counts, keeps, and says so.
    machines.add("busy", &busy, OTHER, &reply("A"));
    machines.add("quiet", &quiet, &quiet, "");
    for app in ["busy", "quiet"] {
        machines.start(app);
    }
    let with_rows = |line: &str| {
        let mut command = machines.scene.fleet(line);
        command.env("DATABASE_URL", database.uri("postgres"));
        command
    };
    let settled = |line: &str, code: i32, expected: &[(&str, &str)]| {
        eventually("tallyd is up", || {
            with_rows(line).arg("--json").output().is_ok_and(|end| end.status.code() == Some(code))
        });
        assert_eq!(verdicts(&mut with_rows(line), code), pairs(expected), "{}", machines.said("busy"));
    };
    settled("check", 4, &[("busy", "wrong"), ("quiet", "right")]);
    assert_eq!(database.count("token_usage_sessions", &busy), 0);
    let (out, _) = run(&mut with_rows("set --apply"), 0);
    assert!(out.contains("set USER_ID, deployed"), "{out}");
    let seen = verdicts(&mut with_rows("verify --within 60 busy"), 0);
    assert_eq!(seen, pairs(&[("busy", "arriving")]), "{}", machines.said("busy"));
    assert_eq!(database.count("token_usage_sessions", &busy), 1);
    let (out, _) = run(&mut with_rows("verify --within 0.1 quiet"), 0);
    assert!(out.contains("nothing was written since") && out.contains("no row ever"), "{out}");
    // The server takes nothing any more: what is written waits, and that is not idle.
    machines.gateway.plan(faults::always(Fault::unavailable()));
    machines.sandboxes[1].write_log("-p/s.jsonl", &reply("B").replace("s-1", "s-2"));
    machines.sandboxes[1].wait_for_responses(1);
    eventually("what waits is told", || {
        with_rows("verify --within 0 quiet").output().is_ok_and(|end| text(&end.stdout).contains("stuck"))
    });
}
