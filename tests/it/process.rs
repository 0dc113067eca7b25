//! The built program in a sandbox of its own: a home, a Claude folder and a state folder that nobody
//! else sees, a clean environment, and children that die with the test.
#![cfg(test)]

use crate::truth::{Account, rows};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test gives up on it. No test passes by waiting this long.
const DEADLINE: Duration = Duration::from_mins(1);

/// Between two looks at something that another process changes.
const LOOK: Duration = Duration::from_millis(3);

pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("home")).expect("a folder can be made");
        Self { folder }
    }

    /// One in this folder, which stays when a test fails: [`Sandbox::discard`] ends it.
    pub(crate) fn lasting(parent: &Path) -> Self {
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix("sandbox-").disable_cleanup(true).tempdir_in(parent);
        let folder = folder.unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        fs::create_dir(folder.path().join("home")).expect("a folder can be made");
        Self { folder }
    }

    /// Removes all that was in it.
    pub(crate) fn discard(mut self) {
        self.folder.disable_cleanup(false);
        self.folder.close().expect("a sandbox can be removed");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn claude(&self) -> PathBuf {
        self.path("claude")
    }

    pub(crate) fn projects(&self) -> PathBuf {
        self.path("claude").join("projects")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The program with nothing but a home, a path and UTC in its environment.
    pub(crate) fn bare(&self) -> Command {
        self.wrapped(Command::new(program()))
    }

    /// Another program with the same.
    pub(crate) fn wrapped(&self, mut command: Command) -> Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("TZ", "UTC").current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A subcommand on the sandbox's own folders.
    pub(crate) fn tallyd(&self, subcommand: &str) -> Command {
        let mut command = self.bare();
        self.on_own_folders(&mut command, subcommand);
        command
    }

    /// The same, under a umask that takes nothing away.
    pub(crate) fn tallyd_without_umask(&self, subcommand: &str) -> Command {
        self.tallyd_after("umask 000", subcommand)
    }

    /// The same, started by a shell that has done something first.
    pub(crate) fn tallyd_after(&self, first: &str, subcommand: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]).arg(program());
        let mut command = self.wrapped(command);
        self.on_own_folders(&mut command, subcommand);
        command
    }

    /// The same, started by another program with these arguments: `["setpriv", "--bounding-set=-all"]`.
    pub(crate) fn tallyd_under(&self, launcher: &[&str], subcommand: &str) -> Command {
        let (program, arguments) = launcher.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(arguments);
        self.tallyd_by(command, subcommand)
    }

    /// The same, started by a program that ends in becoming it, such as `nsenter` or `prlimit`.
    pub(crate) fn tallyd_by(&self, mut launcher: Command, subcommand: &str) -> Command {
        launcher.arg(env!("CARGO_BIN_EXE_tallyd"));
        let mut command = self.wrapped(launcher);
        self.on_own_folders(&mut command, subcommand);
        command
    }

    /// Writes a log below `projects`.
    pub(crate) fn write_log(&self, name: &str, lines: &str) {
        let path = self.projects().join(name);
        fs::create_dir_all(path.parent().expect("is in a folder")).expect("a folder can be made");
        fs::write(path, lines).expect("a log can be written");
    }

    fn on_own_folders(&self, command: &mut Command, subcommand: &str) {
        command.arg(subcommand).arg("--claude-dir").arg(self.claude()).arg("--state-dir").arg(self.state());
    }

    /// One pass over all logs.
    pub(crate) fn scan(&self) {
        succeed(&mut self.tallyd("scan"));
    }

    /// A report from the ledger alone, as JSON.
    pub(crate) fn report(&self, kind: &str) -> String {
        succeed(self.tallyd(kind).args(["--json", "--no-scan", "--timezone", "UTC"]))
    }

    /// All that the ledger says.
    pub(crate) fn account(&self) -> Account {
        Account {
            days: rows(&self.report("daily"), "daily"),
            sessions: rows(&self.report("session"), "sessions"),
            models: rows(&self.report("model"), "models"),
        }
    }

    /// Waits until the ledger says this, and returns what it says then: a line that is written later may
    /// raise what is counted already, so that the number of responses alone is not the end.
    pub(crate) fn settled(&self, truth: &Account) -> Account {
        let mut account = Account::default();
        within_deadline(|| {
            account = self.account();
            account == *truth
        });
        account
    }

    /// Waits until the ledger holds this many responses.
    pub(crate) fn wait_for_responses(&self, messages: u64) {
        let mut seen = 0;
        let enough = within_deadline(|| {
            seen = self.responses();
            seen >= messages
        });
        assert!(enough, "{messages} responses written, {seen} in the ledger");
    }

    /// Responses in the ledger; none where there is no ledger yet.
    pub(crate) fn responses(&self) -> u64 {
        let Some(ledger) = self.ledger() else { return 0 };
        let Ok(ledger) = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
            return 0;
        };
        let count: i64 = ledger.query_row("SELECT COUNT(*) FROM response", [], |row| row.get(0)).unwrap_or(0);
        u64::try_from(count).expect("a count is not negative")
    }

    /// The ledger's file: the one in the state folder that opens as `SQLite` does.
    pub(crate) fn ledger(&self) -> Option<PathBuf> {
        files_below(&self.state()).into_iter().find(|file| {
            let mut start = [0; 16];
            let opened = fs::File::open(file).and_then(|mut file| file.read_exact(&mut start));
            opened.is_ok() && start == *b"SQLite format 3\0"
        })
    }

    /// Asks `SQLite` whether the ledger is whole: of a copy, so that the original keeps the state that a
    /// killed process left for the next one to recover.
    pub(crate) fn check_integrity(&self) {
        let Some(ledger) = self.ledger() else { return };
        let copy = TempDir::new().expect("a temporary folder can be made");
        let name = ledger.file_name().expect("a file has a name").to_string_lossy().into_owned();
        for file in files_below(ledger.parent().expect("is in a folder")) {
            let other = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
            if other.starts_with(&name) && !other.ends_with("-shm") {
                fs::copy(&file, copy.path().join(&other)).expect("a file can be copied");
            }
        }
        let connection = Connection::open(copy.path().join(&name)).expect("the ledger opens");
        let verdict: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("SQLite gives a verdict");
        assert_eq!(verdict, "ok");
    }
}

/// The program under test: the one that was built with the tests, or `$TALLYD_BINARY`.
pub(crate) fn program() -> std::ffi::OsString {
    std::env::var_os("TALLYD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_tallyd").into())
}

/// A whole line with a reply of its own: one token in, two out, on 2026-09-01.
pub(crate) fn reply(id: &str) -> String {
    format!(
        "{{\"type\":\"assistant\",\"uuid\":\"u-{id}\",\"sessionId\":\"s-1\",\"cwd\":\"/home/dev/p\",\"version\":\"2.1.96\",\
         \"timestamp\":\"2026-09-01T10:00:00.000Z\",\"message\":{{\"id\":\"msg_01{id}\",\"role\":\"assistant\",\
         \"model\":\"claude-sonnet-4-5-20250929\",\"stop_reason\":\"end_turn\",\
         \"usage\":{{\"input_tokens\":1,\"output_tokens\":2}}}}}}\n"
    )
}

/// All files below a folder; none where it is missing.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Runs to the end and returns stdout.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = end(command);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output.stderr));
    text(&output.stdout)
}

/// Runs to the end, expects this exit code, and returns stderr.
pub(crate) fn fail(command: &mut Command, code: i32) -> String {
    let output = end(command);
    let told = text(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{command:?}\nstderr: {told}\nstdout: {}",
        text(&output.stdout)
    );
    told
}

fn end(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Looks again and again until it is so.
pub(crate) fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    assert!(within_deadline(is_so), "not within {} s: {what}", DEADLINE.as_secs());
}

fn within_deadline(mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if begun.elapsed() > DEADLINE {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// A running `tallyd`; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
    /// What it has said on stderr, as far as was looked at.
    pub(crate) told: Vec<String>,
}

impl Daemon {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, lines) = channel();
        // Ends by itself when the child's stderr closes.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                if sender.send(text(&line)).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, told: Vec::new() }
    }

    /// Starts `tallyd run` and waits until the first scan is done.
    pub(crate) fn following(sandbox: &Sandbox) -> Self {
        let mut daemon = Self::start(&mut sandbox.tallyd("run"));
        daemon.wait_for("following");
        daemon
    }

    /// Waits for a line on stderr that holds this, in any case of letters, and returns it.
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        let begun = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE.saturating_sub(begun.elapsed())) {
            self.told.push(line.clone());
            if line.to_lowercase().contains(what) {
                return line;
            }
        }
        panic!("never said {what:?}; said:\n{}", self.told.join("\n"));
    }

    /// The same where it may have been said already.
    pub(crate) fn has_said(&mut self, what: &str) {
        if !self.told.iter().any(|line| line.to_lowercase().contains(what)) {
            self.wait_for(what);
        }
    }

    /// Looks again and again until it is so; else shows what the daemon said.
    pub(crate) fn eventually(&mut self, what: &str, is_so: impl FnMut() -> bool) {
        if !within_deadline(is_so) {
            self.told.extend(self.lines.try_iter());
            panic!("not within {} s: {what}; said:\n{}", DEADLINE.as_secs(), self.told.join("\n"));
        }
    }

    /// Takes what it has said since it was looked at.
    pub(crate) fn take_told(&mut self) -> Vec<String> {
        self.told.extend(self.lines.try_iter());
        std::mem::take(&mut self.told)
    }

    /// Sends a signal by its name: `TERM`, `INT`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(sent.expect("a shell can be run").success(), "signal {name}");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Waits for its end and returns the exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        eventually("the daemon ends", || !self.is_running());
        self.told.extend(self.lines.iter());
        self.child.wait().expect("a child can be waited for").code()
    }

    /// Ends it as a service manager does.
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.signal("TERM");
        assert_eq!(self.exit_code(), Some(0), "{}", self.told.join("\n"));
        std::mem::take(&mut self.told)
    }

    /// `kill -9`. Whether it was still running.
    pub(crate) fn kill(mut self) -> bool {
        let was_running = self.is_running();
        drop(self);
        was_running
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
