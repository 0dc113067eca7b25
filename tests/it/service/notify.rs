//! What the built daemon tells a service manager, on a socket that the test listens to.
#![cfg(test)]

use crate::process::{Daemon, Sandbox, reply};
use pretty_assertions::assert_eq;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Where a service manager would listen.
struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(sandbox: &Sandbox) -> Self {
        let path = sandbox.path("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        socket.set_read_timeout(Some(Duration::from_mins(1))).expect("a deadline can be set");
        Self { path, socket, heard: Vec::new() }
    }

    /// A command that is told of it.
    fn told<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("NOTIFY_SOCKET", &self.path)
    }

    /// The next message.
    fn hear(&mut self) -> String {
        let mut bytes = vec![0; 4096];
        match self.socket.recv(&mut bytes) {
            Ok(count) => bytes.truncate(count),
            Err(error) => panic!("{error}; heard so far: {:#?}", self.heard),
        }
        let message = String::from_utf8(bytes).expect("messages are text");
        self.heard.push(message.clone());
        message
    }

    /// Waits for a message that begins so.
    fn wait_for(&mut self, beginning: &str) -> String {
        loop {
            let message = self.hear();
            if message.starts_with(beginning) {
                return message;
            }
        }
    }

    /// Whether nothing is waiting to be heard.
    fn is_quiet(&self) -> bool {
        self.socket.set_nonblocking(true).expect("a mode can be set");
        let heard = self.socket.recv(&mut [0; 64]);
        self.socket.set_nonblocking(false).expect("a mode can be set");
        heard.is_err()
    }
}

#[test]
fn a_service_manager_hears_of_start_reload_and_end() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &reply("A"));
    sandbox.write_log("-p/b.jsonl", &reply("B"));
    let config = sandbox.path("tallyd.toml");
    fs::write(&config, "").expect("a config can be written");
    let mut manager = Manager::new(&sandbox);
    let mut command = sandbox.tallyd("run");
    command.arg("--config").arg(&config);
    let mut daemon = Daemon::start(manager.told(&mut command));
    let first: Vec<String> = (0..4).map(|_| manager.hear()).collect();
    let expected = [
        "EXTEND_TIMEOUT_USEC=120000000",
        "STATUS=reading the logs that were there",
        "READY=1",
        "STATUS=following 2 logs; publishing is off",
    ];
    assert_eq!(first, expected);
    daemon.wait_for("following");
    assert!(manager.is_quiet(), "no watchdog was asked for");

    for (settings, said) in [("", "reloaded"), ("[log]\nlevel = \"thunderous\"\n", "thunderous")] {
        fs::write(&config, settings).expect("a config can be written");
        daemon.signal("HUP");
        let message = manager.hear();
        let micros =
            message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{message}"));
        let uptime = fs::read_to_string("/proc/uptime").expect("an uptime");
        let seconds: u64 = uptime.split('.').next().unwrap_or_default().parse().expect("seconds");
        let told: u64 = micros.parse().expect("microseconds");
        assert!((1..=seconds + 1).contains(&(told / 1_000_000)), "{told} at {seconds} s");
        assert_eq!(manager.hear(), "READY=1", "{said}");
        daemon.wait_for(said);
    }
    daemon.stop();
    assert_eq!(manager.hear(), "STOPPING=1\nSTATUS=ending after SIGTERM");
    assert!(manager.is_quiet());
}

#[test]
fn a_watchdog_is_told_that_it_lives_for_as_long_as_it_runs() {
    let sandbox = Sandbox::new();
    let mut manager = Manager::new(&sandbox);
    let mut command = sandbox.tallyd("run");
    let daemon = Daemon::start(manager.told(&mut command).env("WATCHDOG_USEC", "40000"));
    manager.wait_for("READY=1");
    for _ in 0..5 {
        manager.wait_for("WATCHDOG=1");
    }
    // Frozen, it says nothing more: what was sent before is read, and then there is nothing.
    daemon.signal("STOP");
    manager.socket.set_read_timeout(Some(Duration::from_millis(400))).expect("a deadline can be set");
    let mut bytes = [0; 4096];
    while manager.socket.recv(&mut bytes).is_ok() {}
    daemon.signal("CONT");
    manager.socket.set_read_timeout(Some(Duration::from_mins(1))).expect("a deadline can be set");
    manager.wait_for("WATCHDOG=1");
    daemon.stop();
}

#[test]
fn the_watchdog_of_another_process_is_none_of_ours() {
    let sandbox = Sandbox::new();
    let mut manager = Manager::new(&sandbox);
    let mut command = sandbox.tallyd("run");
    command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let daemon = Daemon::start(manager.told(&mut command));
    manager.wait_for("READY=1");
    daemon.stop();
    manager.wait_for("STOPPING=1");
    assert!(!manager.heard.iter().any(|message| message.contains("WATCHDOG")), "{:#?}", manager.heard);
}

#[test]
fn switched_off_it_is_ready_and_alive_all_the_same() {
    let sandbox = Sandbox::new();
    let mut manager = Manager::new(&sandbox);
    let mut command = sandbox.tallyd("run");
    command.env("TOKEN_TRACKING_ENABLED", "false").env("WATCHDOG_USEC", "40000");
    let daemon = Daemon::start(manager.told(&mut command));
    assert_eq!(
        manager.hear(),
        "READY=1\nSTATUS=counting is switched off: nothing is read, nothing is written"
    );
    assert_eq!((manager.hear(), manager.hear()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    daemon.stop();
}

#[test]
fn a_manager_that_does_not_listen_is_said_once_and_harms_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    let mut command = sandbox.tallyd("run");
    command.env("NOTIFY_SOCKET", sandbox.path("nobody")).env("WATCHDOG_USEC", "40000");
    let mut daemon = Daemon::start(&mut command);
    daemon.wait_for("following");
    sandbox.write_log("-p/t.jsonl", &reply("B"));
    sandbox.wait_for_responses(2);
    let told = daemon.stop();
    assert_eq!(told.iter().filter(|line| line.contains("NOTIFY_SOCKET")).count(), 1, "{told:#?}");
}

/// A ledger that cannot be written is in the status, and that it can be again.
#[test]
fn the_status_says_that_the_ledger_cannot_be_written() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    let mut manager = Manager::new(&sandbox);
    let mut command = sandbox.tallyd("run");
    let daemon = Daemon::start(manager.told(&mut command));
    manager.wait_for("STATUS=following 1 log;");
    let ledger = sandbox.ledger().expect("there is a ledger");
    let writer = rusqlite::Connection::open(ledger).expect("the ledger opens");
    writer.execute_batch("BEGIN IMMEDIATE").expect("it can be locked");
    sandbox.write_log("-p/t.jsonl", &reply("B"));
    manager.wait_for("STATUS=cannot write the ledger, tries again: ");
    writer.execute_batch("ROLLBACK").expect("it can be let go");
    manager.wait_for("STATUS=following ");
    sandbox.wait_for_responses(2);
    daemon.stop();
}
