//! What a running tallyd says of itself: `/healthz`, `/readyz`, `/metrics`, `tallyd status`, SIGUSR1.
#![cfg(test)]

use crate::logs::Tree;
use crate::process::{Daemon, Sandbox, eventually, fail, reply, succeed};
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

/// A daemon that answers on a port of this machine, and the port's address.
fn listening(sandbox: &Sandbox, variables: &[(&str, &str)]) -> (Daemon, String) {
    answering(sandbox.tallyd("run").envs(variables.iter().copied()))
}

/// The same of a command.
pub(crate) fn answering(command: &mut Command) -> (Daemon, String) {
    command.env("TALLYD_LISTEN", "127.0.0.1:0");
    let mut daemon = Daemon::start(command);
    let line = daemon.wait_for("answering /healthz");
    let address = line.rsplit_once("address=").expect("it says the address").1.trim().to_owned();
    (daemon, address)
}

/// Sends a request as it stands and returns the status and all of the answer.
fn send(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a deadline can be set");
    stream.write_all(request.as_bytes()).expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers to the end");
    let status = answer.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {answer:?}")), answer)
}

pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// The value of a metric, with its labels as they stand.
pub(crate) fn metric(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

pub(crate) fn status(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&succeed(sandbox.tallyd("status").arg("--json"))).expect("it is JSON")
}

#[test]
fn a_following_tallyd_is_alive_ready_and_has_the_ledgers_figures() {
    let (sandbox, tree) = (Sandbox::new(), Tree::generate(61, 3));
    tree.write(&sandbox.projects());
    let (mut daemon, address) = listening(&sandbox, &[]);
    daemon.has_said("following");
    assert_eq!(get(&address, "/healthz").0, 200);
    let (code, text) = get(&address, "/readyz");
    assert_eq!(code, 200, "{text}");
    assert!(text.contains("following: ok") && text.contains("publishing: ok: off"), "{text}");
    let (code, text) = get(&address, "/metrics");
    assert_eq!(code, 200);
    assert!(text.contains("text/plain; version=0.0.4"), "{text}");
    let truth = tree.truth();
    let responses: u64 = text
        .lines()
        .filter(|line| line.starts_with("tallyd_responses_total{"))
        .map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a count"))
        .sum();
    assert_eq!(responses, truth.account().messages());
    assert_eq!(metric(&text, "tallyd_ready"), "1");
    assert_eq!(metric(&text, "tallyd_daemon_running"), "1");
    assert_eq!(metric(&text, "tallyd_tail_lag_seconds"), "0.000");
    assert_eq!(metric(&text, "tallyd_log_unread_bytes"), "0");
    assert_ne!(metric(&text, "tallyd_ledger_bytes"), "0");
    let logs = crate::process::files_below(&sandbox.projects());
    let bytes: u64 = logs.iter().map(|log| fs::metadata(log).expect("it is there").len()).sum();
    assert_eq!(metric(&text, "tallyd_logs"), logs.len().to_string());
    assert_eq!(metric(&text, "tallyd_log_read_bytes"), bytes.to_string());
    let log = logs.first().and_then(|log| log.file_stem()).expect("a log").to_string_lossy().into_owned();
    for secret in [&log, sandbox.path("").to_str().expect("a plain path"), "session_id", "user_id"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    daemon.stop();
}

#[test]
fn other_paths_methods_and_hosts_are_refused() {
    let sandbox = Sandbox::new();
    let (daemon, address) = listening(&sandbox, &[]);
    assert_eq!(get(&address, "/").0, 404);
    assert_eq!(get(&address, "/status").0, 404, "texts of the log are the owner's");
    assert_eq!(
        send(&address, &format!("POST /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")).0,
        405
    );
    let named = |host: &str| {
        send(&address, &format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).0
    };
    assert_eq!((named("localhost:1"), named("rebound.example")), (200, 403));
    daemon.stop();
}

/// Clients that connect and say nothing hold up neither others nor counting nor the end.
#[test]
fn silent_clients_hold_up_nobody() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &reply("A"));
    let (mut daemon, address) = listening(&sandbox, &[]);
    daemon.has_said("following");
    let mut silent: Vec<_> = (0..20).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
    for stream in &mut silent {
        stream.write_all(b"GET /met").expect("it takes bytes");
    }
    assert_eq!(get(&address, "/healthz").0, 200);
    sandbox.write_log("-p/b.jsonl", &reply("B"));
    sandbox.wait_for_responses(2);
    daemon.stop();
}

#[test]
fn a_ledger_that_cannot_be_written_is_alive_and_not_ready() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &reply("A"));
    let (mut daemon, address) = listening(&sandbox, &[]);
    daemon.eventually("ready", || get(&address, "/readyz").0 == 200);
    let ledger = Connection::open(sandbox.ledger().expect("a ledger")).expect("it opens");
    let refusal =
        "CREATE TRIGGER refuse BEFORE INSERT ON response BEGIN SELECT RAISE (ABORT, 'refused'); END";
    ledger.execute_batch(refusal).expect("a trigger can be made");
    sandbox.write_log("-p/b.jsonl", &reply("B"));
    daemon.wait_for("cannot be written");
    assert_eq!(get(&address, "/healthz").0, 200);
    let (code, text) = get(&address, "/readyz");
    assert_eq!(code, 503);
    assert!(text.contains("ledger: not ok: cannot be written"), "{text}");
    assert!(!text.contains("refused"), "the reason may have a path in it: {text}");
    let (_, text) = get(&address, "/metrics");
    assert_eq!(
        (metric(&text, "tallyd_ready"), metric(&text, "tallyd_log_lines_total{level=\"error\"}")),
        ("0".to_owned(), "1".to_owned())
    );
    assert_ne!(metric(&text, "tallyd_tail_lag_seconds"), "0.000", "what was written waits");
    let told = status(&sandbox);
    assert_eq!((told["state"].as_str(), told["ready"].as_bool()), (Some("failing"), Some(false)));
    assert!(told["failure"].as_str().is_some_and(|reason| reason.contains("refused")), "{told}");
    assert!(
        told["recent"][0]["text"].as_str().is_some_and(|text| text.contains("cannot be written")),
        "{told}"
    );
    let output = sandbox.tallyd("status").arg("--ready").output().expect("it runs");
    assert_eq!(output.status.code(), Some(15));
    succeed(&mut sandbox.tallyd("status"));
    ledger.execute_batch("DROP TRIGGER refuse").expect("a trigger can be removed");
    daemon.wait_for("can be written again");
    eventually("it is ready again", || get(&address, "/readyz").0 == 200);
    eventually("nothing waits", || {
        metric(&get(&address, "/metrics").1, "tallyd_tail_lag_seconds") == "0.000"
    });
    daemon.stop();
}

#[test]
fn status_asks_the_running_tallyd_and_fails_where_there_is_none() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &(reply("A") + "{\"usage\": not JSON}\n"));
    let told = fail(&mut sandbox.tallyd("status"), 15);
    assert!(told.contains("no tallyd is running"), "{told}");
    let daemon = Daemon::following(&sandbox);
    let told = status(&sandbox);
    assert_eq!(told["running"], true);
    assert_eq!((told["state"].as_str(), told["pid"].as_u64()), (Some("following"), Some(daemon.id().into())));
    assert_eq!(
        (&told["counted"]["files"], &told["counted"]["responses"]),
        (&Value::from(1), &Value::from(1))
    );
    assert_eq!((&told["counted"]["faults"], &told["warnings"]), (&Value::from(1), &Value::from(1)));
    assert_eq!((&told["listening"], &told["published"]["enabled"]), (&Value::Null, &Value::from(false)));
    let text = succeed(&mut sandbox.tallyd("status"));
    assert!(text.contains("following") && text.contains("nothing waits to be counted"), "{text}");
    let socket = sandbox.state().join("tallyd.sock");
    let mode = fs::metadata(&socket).expect("there is a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    daemon.kill();
    let told = fail(&mut sandbox.tallyd("status"), 15);
    assert!(socket.exists() && told.contains("no tallyd is running"), "{told}");
    Daemon::following(&sandbox).stop();
    assert!(!socket.exists(), "an orderly end leaves no socket behind");
}

/// A socket's address holds 108 bytes on Linux.
#[test]
fn status_is_had_in_a_state_folder_with_a_long_path() {
    let sandbox = Sandbox::new();
    let state = sandbox.path(&"long".repeat(40));
    let on_it = |subcommand: &str| {
        let mut command = sandbox.bare();
        command.arg(subcommand).arg("--claude-dir").arg(sandbox.claude()).arg("--state-dir").arg(&state);
        command
    };
    let mut daemon = Daemon::start(&mut on_it("run"));
    daemon.wait_for("following");
    assert!(succeed(&mut on_it("status")).contains("following"));
    daemon.stop();
}

#[test]
fn a_port_that_is_taken_is_told_once_and_counting_goes_on() {
    let (sandbox, taken) = (Sandbox::new(), TcpListener::bind("127.0.0.1:0").expect("a port can be had"));
    sandbox.write_log("-p/a.jsonl", &reply("A"));
    let address = taken.local_addr().expect("it has one").to_string();
    let mut daemon = Daemon::start(sandbox.tallyd("run").env("TALLYD_LISTEN", &address));
    let told = daemon.wait_for("cannot be listened on");
    assert!(told.contains(&address) && told.contains("TALLYD_LISTEN"), "{told}");
    sandbox.wait_for_responses(1);
    assert!(status(&sandbox)["listenError"].as_str().is_some_and(|error| error.contains(&address)));
    let output = sandbox.tallyd("check").env("TALLYD_LISTEN", &address).output().expect("it runs");
    let text = crate::process::text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot listen on") && text.contains("help: set another address"), "{text}");
    daemon.stop();
}

#[test]
fn check_says_where_it_is_answered() {
    let sandbox = Sandbox::new();
    let check = |address: &str| {
        let output = sandbox.tallyd("check").env("TALLYD_LISTEN", address).output().expect("it runs");
        crate::process::text(&output.stdout)
    };
    assert!(check("9464").contains("127.0.0.1:9464 is configured; no tallyd is running"));
    let (mut daemon, address) = listening(&sandbox, &[]);
    daemon.has_said("following");
    let told = check("127.0.0.1:0");
    assert!(told.contains(&format!("{address} answers /healthz")), "{told}");
    daemon.stop();
    let daemon = Daemon::following(&sandbox);
    assert!(check("9464").contains("was started without"));
    daemon.stop();
}

#[test]
fn usr1_tells_the_status_in_the_log() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/a.jsonl", &reply("A"));
    let mut daemon = Daemon::following(&sandbox);
    daemon.signal("USR1");
    let line = daemon.wait_for("status");
    assert!(line.contains("state=\"following\"") && line.contains("responses=1"), "{line}");
    assert!(
        line.contains("publishing=\"off\"") && !line.contains("waiting"),
        "nothing waits for nobody: {line}"
    );
    daemon.stop();
}

/// A switch that is to roll tallyd back must not make a machine's checks fail.
#[test]
fn a_tallyd_that_is_switched_off_is_ready() {
    let sandbox = Sandbox::new();
    let off = [("TOKEN_TRACKING_ENABLED", "false")];
    let (mut daemon, address) = listening(&sandbox, &off);
    assert_eq!(get(&address, "/healthz").0, 200);
    let (code, text) = get(&address, "/readyz");
    assert_eq!(code, 200);
    assert!(text.contains("switched off"), "{text}");
    assert_eq!(get(&address, "/metrics").0, 200);
    assert!(!sandbox.state().exists(), "nothing is written");
    daemon.signal("USR1");
    assert!(daemon.wait_for("status").contains("off"));
    assert!(succeed(sandbox.tallyd("status").envs(off)).contains("switched off"));
    daemon.stop();
}
