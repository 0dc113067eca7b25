//! A user and mount namespace of its own: limits and mounts in it are real, and nobody outside sees them.
//! Where the system refuses one, the test says so and has nothing to show.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::process::{Sandbox, succeed};

pub(super) struct Namespace {
    /// Ends when its stdin is closed, and the namespace with it and whoever is in it.
    keeper: Child,
}

impl Namespace {
    /// A namespace in which a shell has done something first.
    pub(super) fn new(first: &str) -> Option<Self> {
        let script = format!("{{ {first}; }} >&2 && echo ready && exec cat >&2");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", &script]);
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut answer = String::new();
        let stdout = keeper.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut answer).expect("a pipe can be read");
        let namespace = Self { keeper };
        if answer == "ready\n" {
            return Some(namespace);
        }
        println!("skipped: the system refuses a namespace in which `{first}` works");
        None
    }

    /// Starts what is added to it in the namespace.
    pub(super) fn launcher(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.keeper.id()));
        command.args(["--user", "--mount", "--preserve-credentials", "--"]);
        command
    }

    /// A subcommand on the sandbox's folders, as they are in the namespace.
    pub(super) fn tallyd(&self, sandbox: &Sandbox, subcommand: &str) -> Command {
        sandbox.tallyd_by(self.launcher(), subcommand)
    }

    /// Runs a shell in it; returns stdout.
    pub(super) fn shell(&self, script: &str) -> String {
        succeed(self.launcher().args(["sh", "-ec", script]))
    }

    /// Responses that the ledger has, as a report on it alone says.
    pub(super) fn responses(&self, sandbox: &Sandbox) -> u64 {
        let mut report = self.tallyd(sandbox, "daily");
        let report = succeed(report.args(["--json", "--no-scan", "--timezone", "UTC"]));
        crate::truth::rows(&report, "daily").values().map(|sum| sum.messages).sum()
    }
}

/// What makes a folder a small file system of its own.
pub(super) fn small(folder: &Path, size: &str) -> String {
    let folder = folder.display();
    format!("mkdir -p {folder} && mount -t tmpfs -o size={size},mode=0700 none {folder}")
}

/// What leaves no room in it.
pub(super) fn fill(folder: &Path) -> String {
    let ballast = folder.join("ballast");
    format!("! cat /dev/zero > {} 2>/dev/null", ballast.display())
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
