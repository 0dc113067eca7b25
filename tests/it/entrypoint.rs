//! `config/fly/entrypoint.sh`: a command with tallyd beside it, as in a container. The real tallyd, a made-up command,
//! and each shell that images have: dash, and ash of busybox where that is installed.
#![cfg(test)]

use crate::process::{Daemon, Sandbox, program, reply, text};
use pretty_assertions::assert_eq;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says what it hears; at TERM and INT it writes one more reply to the log and ends with 7. What it sees of its input
/// it says first.
const COMMAND: &str = r#"
end() { echo "command: $1" >&2; cat "$MORE" >> "$LOG"; exit 7; }
trap 'end term' TERM
trap 'end int' INT
trap 'echo "command: hup" >&2' HUP
read -r line && echo "command: read $line" >&2
echo "command: up" >&2
while :; do sleep 0.05; done
"#;

/// The shells that run the entry point.
fn shells() -> Vec<Vec<&'static str>> {
    let known = [vec!["sh"], vec!["dash"], vec!["busybox", "ash"]];
    let (there, missing): (Vec<_>, Vec<_>) = known.into_iter().partition(|shell| found(shell[0]).is_some());
    for shell in missing {
        println!("skipped: {} is not installed", shell.join(" "));
    }
    there
}

/// Where a program is on the path.
fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A container: an entry point that runs in a shell, with folders of its own.
struct Container {
    sandbox: Sandbox,
    shell: Vec<&'static str>,
}

impl Container {
    fn new(shell: &[&'static str]) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write_log("-home-dev-p/s-1.jsonl", "");
        fs::write(sandbox.path("more"), reply("last")).expect("a file can be written");
        fs::write(sandbox.path("input"), "hello\n").expect("a file can be written");
        fs::write(sandbox.path("command"), COMMAND).expect("a script can be written");
        Self { sandbox, shell: shell.to_vec() }
    }

    fn log(&self) -> PathBuf {
        self.sandbox.projects().join("-home-dev-p/s-1.jsonl")
    }

    /// The entry point with this command, not started yet.
    fn with(&self, command: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/fly/entrypoint.sh");
        let mut shell = Command::new(self.shell[0]);
        shell.args(&self.shell[1..]).arg(script).args(command);
        let mut shell = self.sandbox.wrapped(shell);
        shell.env("TALLYD_PROGRAM", program()).env("TALLYD_STATE_DIR", self.sandbox.state());
        shell.env("CLAUDE_CONFIG_DIR", self.sandbox.claude());
        shell.env("LOG", self.log()).env("MORE", self.sandbox.path("more"));
        shell.stdin(File::open(self.sandbox.path("input")).expect("the input is there"));
        shell
    }

    /// The entry point with the command that listens.
    fn listening(&self) -> Command {
        self.with(&["sh", &self.sandbox.path("command").to_string_lossy()])
    }

    /// Starts it and waits until the command listens and tallyd follows.
    fn up(&self) -> Daemon {
        let mut container = Daemon::start(&mut self.listening());
        heard(&mut container, &["command: up", "following"]);
        container
    }

    /// The process ids of all that runs in it.
    fn processes(&self) -> Vec<String> {
        let mine = format!("TALLYD_STATE_DIR={}\0", self.sandbox.state().display()).into_bytes();
        let is_mine = |id: &String| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.windows(mine.len()).any(|window| window == mine)
        };
        let entries = fs::read_dir("/proc").expect("processes can be listed").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter(is_mine).collect()
    }

    /// The process id of its tallyd.
    fn tallyd(&self) -> String {
        let is_tallyd = |id: &String| {
            fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.ends_with(b"tallyd\0run\0"))
        };
        self.processes().into_iter().find(is_tallyd).expect("tallyd runs")
    }

    /// A program in place of tallyd.
    fn stand_in(&self, script: &str) -> PathBuf {
        let path = self.sandbox.path("stand-in");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a script can be made to run");
        path
    }
}

/// What a failed test leaves running ends with it; after the others nothing is left.
impl Drop for Container {
    fn drop(&mut self) {
        for id in self.processes() {
            // Fails where it has ended meanwhile.
            let _ = Command::new("kill").args(["-KILL", &id]).status();
        }
    }
}

/// Waits until all of these were said, in whatever order.
fn heard(container: &mut Daemon, all: &[&str]) {
    for what in all {
        if !container.told.iter().any(|line| line.to_lowercase().contains(what)) {
            container.wait_for(what);
        }
    }
}

fn kill(signal: &str, id: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {id}")]).status();
    assert!(sent.expect("a shell can be run").success(), "{signal} to {id}");
}

#[test]
fn term_and_int_end_the_command_and_its_last_lines_are_counted() {
    for shell in shells() {
        for (signal, said) in [("TERM", "command: term"), ("INT", "command: int")] {
            let container = Container::new(&shell);
            let mut running = container.up();
            assert!(running.told.iter().any(|line| line == "command: read hello"), "{:?}", running.told);
            running.signal(signal);
            assert_eq!(running.exit_code(), Some(7), "{shell:?} {signal}: {:#?}", running.told);
            let place = |what: &str| running.told.iter().position(|line| line.contains(what));
            assert!(place(said) < place("ending signal=\"SIGTERM\""), "{shell:?}: {:#?}", running.told);
            assert!(place(said).is_some(), "{shell:?} {signal}: {:#?}", running.told);
            assert_eq!(container.sandbox.responses(), 1, "{shell:?} {signal}");
        }
    }
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    let cases: [(&[&str], i32); 4] = [
        (&["true"], 0),
        (&["sh", "-c", "exit 3"], 3),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["/no/such/command"], 127),
    ];
    for shell in shells() {
        for (command, code) in cases {
            let container = Container::new(&shell);
            let mut running = Daemon::start(&mut container.with(command));
            assert_eq!(running.exit_code(), Some(code), "{shell:?} {command:?}: {:#?}", running.told);
        }
    }
}

#[test]
fn hup_reaches_both() {
    for shell in shells() {
        let container = Container::new(&shell);
        let mut running = container.up();
        running.signal("HUP");
        heard(&mut running, &["command: hup", "reloaded settings"]);
        running.signal("TERM");
        assert_eq!(running.exit_code(), Some(7), "{shell:?}: {:#?}", running.told);
    }
}

#[test]
fn a_tallyd_that_was_killed_is_started_again_and_goes_on() {
    for shell in shells() {
        let container = Container::new(&shell);
        let mut running = container.up();
        running.take_told();
        kill("KILL", &container.tallyd());
        running.wait_for("ended with code 137; it is started again in 1 s");
        running.wait_for("following");
        let mut log = File::options().append(true).open(container.log()).expect("the log is there");
        log.write_all(reply("more").as_bytes()).expect("the log can be written");
        container.sandbox.wait_for_responses(1);
        running.signal("TERM");
        assert_eq!(running.exit_code(), Some(7), "{shell:?}: {:#?}", running.told);
        assert_eq!(container.sandbox.responses(), 2, "{shell:?}");
    }
}

#[test]
fn a_wrong_setting_is_told_once_and_the_command_goes_on() {
    for shell in shells() {
        let container = Container::new(&shell);
        let mut running = Daemon::start(container.listening().env("TALLYD_LOG", "thunderous"));
        heard(&mut running, &["command: up", "code 3, which no restart mends"]);
        assert!(running.is_running(), "{shell:?}");
        running.signal("TERM");
        assert_eq!(running.exit_code(), Some(7), "{shell:?}: {:#?}", running.told);
        let told = running.told.iter().filter(|line| line.contains("no restart mends")).collect::<Vec<_>>();
        assert!(told.len() == 1 && told[0].contains("check`"), "{shell:?}: {told:#?}");
        assert!(!running.told.iter().any(|line| line.contains("started again")), "{:#?}", running.told);
    }
}

#[test]
fn pauses_between_starts_grow_and_end_with_the_command() {
    for shell in shells() {
        let container = Container::new(&shell);
        let failing = container.stand_in("exit 5");
        let mut command = container.listening();
        let mut running =
            Daemon::start(command.env("TALLYD_PROGRAM", failing).env("TALLYD_LOG_FORMAT", "json"));
        let line = running.wait_for("ended with code 5; it is started again in 1 s");
        let said: serde_json::Value = serde_json::from_str(&line).expect("it speaks JSON");
        assert_eq!((said["level"].as_str(), said["target"].as_str()), (Some("WARN"), Some("entrypoint")));
        running.wait_for("ended with code 5; it is started again in 2 s");
        running.signal("TERM");
        assert_eq!(running.exit_code(), Some(7), "{shell:?}: {:#?}", running.told);
    }
}

#[test]
fn a_tallyd_that_does_not_end_is_killed() {
    for shell in shells() {
        let container = Container::new(&shell);
        let deaf = container.stand_in("trap '' TERM; echo 'deaf: up' >&2; while :; do sleep 0.05; done");
        let mut command = container.listening();
        let mut running = Daemon::start(command.env("TALLYD_PROGRAM", deaf).env("TALLYD_GRACE_SECONDS", "1"));
        heard(&mut running, &["command: up", "deaf: up"]);
        running.signal("TERM");
        assert_eq!(running.exit_code(), Some(7), "{shell:?}: {:#?}", running.told);
        assert!(
            running.told.iter().any(|line| line.contains("did not end within 1 s")),
            "{:#?}",
            running.told
        );
    }
}

/// With nothing but busybox, as in small images: a background process is deaf to INT there.
#[test]
fn where_the_command_is_deaf_to_int_it_gets_term() {
    let Some(busybox) = found("busybox") else {
        println!("skipped: busybox is not installed");
        return;
    };
    let container = Container::new(&["busybox", "ash"]);
    let tools = container.sandbox.path("bin");
    fs::create_dir(&tools).expect("a folder can be made");
    for name in ["busybox", "env", "sleep", "date", "sh", "cat", "true", "setsid"] {
        symlink(&busybox, tools.join(name)).expect("a link can be made");
    }
    let mut command = container.listening();
    let mut running = Daemon::start(command.env("PATH", &tools));
    heard(&mut running, &["command: up", "following"]);
    running.signal("INT");
    assert_eq!(running.exit_code(), Some(7), "{:#?}", running.told);
    assert!(running.told.iter().any(|line| line == "command: term"), "{:#?}", running.told);
    assert_eq!(container.sandbox.responses(), 1);
}

#[test]
fn without_a_command_it_says_how_it_is_used() {
    for shell in shells() {
        let output = Container::new(&shell).with(&[]).output().expect("a shell can be run");
        assert_eq!(output.status.code(), Some(2), "{shell:?}");
        assert!(text(&output.stderr).contains("usage: entrypoint.sh COMMAND"), "{shell:?}");
    }
}
