//! A fleet for tests: apps in the folder of the fake `fly`, a list of who has which, and `scripts/fleet` run on it
//! with nothing else in its environment. Fails by a panic with all that was printed.

use crate::process::text;
use crate::support::root;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A token of Fly that the fake writes down with its environment: nobody else may have it.
pub(super) const FLY_TOKEN: &str = "FlyV1 fm2_CANARYfly";

pub(super) struct Scene {
    folder: TempDir,
    pub(super) listed: Vec<(String, String)>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("fake/apps")).expect("a folder");
        fs::write(folder.path().join("fake/calls.jsonl"), "").expect("a file");
        Self { folder, listed: Vec::new() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An app that publishes as `user`, where there is one.
    pub(super) fn app(&self, name: &str, user: Option<&str>) {
        let secrets = user.map_or(json!({}), |user| json!({ "USER_ID": user }));
        let state =
            json!({"vault": secrets, "deployed": secrets, "machines": [[format!("m-{name}"), "started"]]});
        self.write_app(name, &state);
    }

    pub(super) fn write_app(&self, name: &str, state: &Value) {
        fs::write(self.path(&format!("fake/apps/{name}.json")), state.to_string()).expect("an app");
    }

    pub(super) fn read_app(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.path(&format!("fake/apps/{name}.json"))).expect("an app");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Changes some of an app.
    pub(super) fn change(&self, name: &str, key: &str, value: Value) {
        let mut state = self.read_app(name);
        state[key] = value;
        self.write_app(name, &state);
    }

    /// The list gives the app to the user.
    pub(super) fn list(&mut self, user: &str, app: &str) {
        self.listed.push((user.to_owned(), app.to_owned()));
    }

    /// Apps that publish as somebody else, one for each user.
    pub(super) fn wrong_apps(&mut self, names: &[&str]) {
        for (number, name) in names.iter().enumerate() {
            self.app(name, Some(OTHER));
            self.list(&user(number), name);
        }
    }

    /// What goes wrong in which call.
    pub(super) fn plan(&self, steps: &Value) {
        fs::write(self.path("fake/plan.json"), steps.to_string()).expect("a plan");
    }

    /// `scripts/fleet` on the list as a CSV.
    pub(super) fn fleet(&self, line: &str) -> Command {
        let rows =
            self.listed.iter().map(|(user, app)| format!("{user},{app}")).collect::<Vec<_>>().join("\n");
        fs::write(self.path("fleet.csv"), format!("user_id,app\n{rows}\n")).expect("a list");
        let mut command = self.bare(line);
        command.arg("--csv").arg(self.path("fleet.csv"));
        command
    }

    /// The same without a list.
    pub(super) fn bare(&self, line: &str) -> Command {
        let mut command = Command::new(root().join("scripts/fleet"));
        command.args(line.split_whitespace()).env_clear().env("HOME", self.folder.path());
        let path = std::env::var("PATH").unwrap_or_default();
        // The system's own Python before any that is looked up first.
        command.env("PATH", format!("{}:/usr/bin:{path}", root().join("tests/it/fleet").display()));
        command.env("FAKE_FLY", self.path("fake")).env("FLY_API_TOKEN", FLY_TOKEN);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        if !line.starts_with("list") {
            command.args(["--pause", "0.01", "--look", "0.02"]).arg("--state").arg(self.path("state.json"));
        }
        command.stdin(Stdio::null());
        command
    }

    /// What was done to the apps, in order: `secrets import app`.
    pub(super) fn effects(&self) -> Vec<String> {
        let done = self.calls().into_iter().filter(|call| call["event"] == "effect");
        done.map(|call| format!("{} {}", call["what"].as_str().unwrap(), call["app"].as_str().unwrap()))
            .collect()
    }

    pub(super) fn calls(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("fake/calls.jsonl")).expect("calls");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    pub(super) fn user_of(&self, app: &str) -> String {
        self.read_app(app)["deployed"]["USER_ID"].as_str().unwrap_or_default().to_owned()
    }
}

/// A user whom no list has.
pub(super) const OTHER: &str = "99999999-0000-4000-8000-000000000000";

/// The user of a number.
pub(super) fn user(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Runs to the end, expects this exit code, and returns stdout and stderr.
pub(super) fn run(command: &mut Command, code: i32) -> (String, String) {
    let output = output(command);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{command:?}\nstdout: {out}\nstderr: {err}");
    (out, err)
}

pub(super) fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// The verdict of each app, by `--json`.
pub(super) fn verdicts(command: &mut Command, code: i32) -> Vec<(String, String)> {
    let (out, _) = run(command.arg("--json"), code);
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    let name = |entry: &Value, key: &str| entry[key].as_str().expect("a text").to_owned();
    let apps = told["apps"].as_array().expect("apps");
    apps.iter().map(|entry| (name(entry, "app"), name(entry, "verdict"))).collect()
}

/// Pairs as a test writes them.
pub(super) fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(app, verdict)| ((*app).to_owned(), (*verdict).to_owned())).collect()
}
