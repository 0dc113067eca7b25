//! What the real client tells by OpenTelemetry, received by the built program: each call is accounted for once, whether
//! log or event comes first, and no text is kept. The recordings are `fixtures/otel/`.
#![cfg(test)]

use crate::health::{get, metric, status};
use crate::process::{Daemon, Sandbox, eventually, files_below, succeed};
use flate2::Compression;
use flate2::write::GzEncoder;
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tallyd::domain::TokenCounts;
use tallyd::ledger::LedgerReader;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// Input, output, cache writes of five minutes and an hour, cache reads.
type Tokens = [u64; 5];

/// A recording: what the client told, and what the API had sent.
struct Recording {
    folder: PathBuf,
    /// Bodies with their content type, in the order in which they came.
    bodies: Vec<(&'static str, Vec<u8>)>,
    /// Each call by its request: completed, and its tokens as far as they were sent.
    calls: BTreeMap<String, (bool, Tokens)>,
}

impl Recording {
    fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/otel").join(name);
        let kind = if name.ends_with("-pb") { PROTOBUF } else { JSON };
        let bodies = files_below(&folder.join("bodies"));
        let bodies = bodies.iter().map(|body| (kind, fs::read(body).expect("a body"))).collect();
        let calls = fs::read(folder.join("calls.json")).expect("the calls");
        let calls: BTreeMap<String, Value> = serde_json::from_slice(&calls).expect("JSON");
        let call = |call: &Value| {
            let tokens = std::array::from_fn(|kind| call["tokens"][kind].as_u64().expect("a count"));
            (call["completed"].as_bool().expect("a flag"), tokens)
        };
        let calls = calls.iter().map(|(request, value)| (request.clone(), call(value))).collect();
        Self { folder, bodies, calls }
    }

    /// All recordings with events of completed calls that the mock served.
    fn all() -> Vec<Self> {
        let names = ["compact", "agents", "broken", "interrupt", "search", "unlogged"];
        let names = names.iter().flat_map(|name| ["json", "pb"].map(|kind| format!("{name}-{kind}")));
        names.map(|name| Self::read(&name)).collect()
    }

    fn log_into(&self, sandbox: &Sandbox) {
        let projects = self.folder.join("projects");
        for log in files_below(&projects) {
            let name = log.strip_prefix(&projects).expect("is below").to_str().expect("UTF-8").to_owned();
            sandbox.write_log(&name, &fs::read_to_string(&log).expect("a log"));
        }
    }

    /// Each call's tokens once: of a reply that was cut off, those that it began with.
    fn tokens(&self) -> Tokens {
        let mut sum = [0; 5];
        for (_, tokens) in self.calls.values() {
            sum.iter_mut().zip(tokens).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    fn completed(&self) -> usize {
        self.calls.values().filter(|(completed, _)| *completed).count()
    }
}

/// A daemon that follows and receives OpenTelemetry, and the address.
fn receiving(command: &mut Command) -> (Daemon, String) {
    command.env("TALLYD_OTEL_LISTEN", "127.0.0.1:0");
    let mut daemon = Daemon::start(command);
    let line = daemon.wait_for("receiving opentelemetry");
    let address = line.rsplit_once("address=").expect("it says the address").1.trim().to_owned();
    // The one may come before the other.
    daemon.has_said("following");
    (daemon, address)
}

/// Sends a request and returns the status and all of the answer.
fn send(address: &str, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a deadline can be set");
    let length = body.len();
    let head = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it takes a head");
    // Who is refused is told so before all was sent.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {answer:?}")), answer)
}

fn post(address: &str, path: &str, kind: &str, body: &[u8]) -> u16 {
    send(address, &format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}"), body).0
}

/// What is logged, and what is not, by kind of token, of all models together.
fn accounted(sandbox: &Sandbox) -> [Tokens; 2] {
    let reader = LedgerReader::open(&sandbox.state()).expect("a ledger");
    let mut sums = [[0; 5]; 2];
    let mut add = |place: usize, tokens: TokenCounts| {
        sums[place].iter_mut().zip(tokens.as_array()).for_each(|(sum, count)| *sum += count);
    };
    reader.cells(None, None).expect("cells").iter().for_each(|cell| add(0, cell.totals.tokens));
    reader.unlogged().expect("records").iter().for_each(|record| add(1, record.used.tokens));
    sums
}

fn sum([logged, unlogged]: [Tokens; 2]) -> Tokens {
    std::array::from_fn(|kind| logged[kind] + unlogged[kind])
}

fn witnessed(sandbox: &Sandbox) -> Value {
    status(sandbox)["otel"].clone()
}

fn count(witness: &Value, kinds: &[&str]) -> usize {
    let count = |kind: &&str| witness[*kind].as_u64().expect("a count");
    usize::try_from(kinds.iter().map(count).sum::<u64>()).expect("a small number")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Log,
    Event,
    /// A process is killed between what comes first and what comes then.
    EventAndKill,
}

/// The test of all: whatever comes first, in whatever format, each call is in the sum once.
#[test]
fn each_call_is_accounted_for_once_whichever_comes_first() {
    for recording in Recording::all() {
        let logged = Sandbox::new();
        recording.log_into(&logged);
        logged.scan();
        for first in [First::Log, First::Event, First::EventAndKill] {
            let (sandbox, label) = (Sandbox::new(), format!("{:?} {first:?}", recording.folder));
            if first == First::Log {
                recording.log_into(&sandbox);
            }
            let (mut daemon, mut address) = receiving(&mut sandbox.tallyd("run"));
            for (kind, body) in &recording.bodies {
                assert_eq!(post(&address, "/v1/logs", kind, body), 200, "{label}");
            }
            if first == First::EventAndKill {
                assert!(daemon.kill());
                (daemon, address) = receiving(&mut sandbox.tallyd("run"));
                for (kind, body) in &recording.bodies {
                    assert_eq!(post(&address, "/v1/logs", kind, body), 200, "{label}: told again");
                }
            }
            recording.log_into(&sandbox);
            daemon.eventually(&label, || sandbox.responses() == logged.responses());
            let account = accounted(&sandbox);
            assert_eq!(account[0], accounted(&logged)[0], "{label}: events change nothing that is logged");
            assert_eq!(sum(account), recording.tokens(), "{label}");
            let told = witnessed(&sandbox);
            let events = count(&told, &["witnessed", "confirmed", "completing", "disagreeing"]);
            // A reply that an error cut off is told with the placeholder that it began with; one that a signal did, not.
            let is_broken = label.contains("broken");
            assert_eq!(events, recording.completed() + usize::from(is_broken), "{label}: {told}");
            assert_eq!(count(&told, &["completing", "disagreeing", "otherPrice"]), 0, "{label}: {told}");
            daemon.stop();
            LedgerReader::open(&sandbox.state()).expect("a ledger").audit().expect("a whole ledger");
        }
    }
}

/// The same text in another body of the recording, which is one of a fixed length.
fn edited(recording: &Recording, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(recording.bodies[0].1.clone()).expect("JSON is UTF-8");
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn what_was_told_outlives_a_kill_and_is_told_again_without_counting_again() {
    let (sandbox, recording) = (Sandbox::new(), Recording::read("unlogged-pb"));
    let (daemon, address) = receiving(&mut sandbox.tallyd("run"));
    assert_eq!(post(&address, "/v1/logs", PROTOBUF, &recording.bodies[0].1), 200);
    // Nothing but the answer is waited for.
    assert!(daemon.kill());
    assert_eq!(accounted(&sandbox), [[0; 5], recording.tokens()]);
    let (daemon, address) = receiving(&mut sandbox.tallyd("run"));
    assert_eq!(post(&address, "/v1/logs", PROTOBUF, &recording.bodies[0].1), 200);
    assert_eq!(accounted(&sandbox), [[0; 5], recording.tokens()]);
    assert_eq!(witnessed(&sandbox)["records"]["repeated"], 2);
    daemon.stop();
    let report: Value = serde_json::from_str(&sandbox.report("daily")).expect("JSON");
    assert_eq!(report["totals"]["unloggedTokens"], recording.tokens().iter().sum::<u64>());
    assert_eq!(report["totals"]["unloggedCost"], json!(0.039_887), "what the client itself has printed");
}

#[test]
fn no_text_that_is_told_is_kept_or_shown() {
    for name in ["compact-json", "compact-pb"] {
        let (sandbox, recording) = (Sandbox::new(), Recording::read(name));
        let mut command = sandbox.tallyd("run");
        let (daemon, address) = receiving(command.args(["--log-level", "trace"]));
        for (kind, body) in &recording.bodies {
            assert!(body.windows(9).any(|text| text == b"[text of "), "there is text in it");
            assert_eq!(post(&address, "/v1/logs", kind, body), 200);
            let cut = &body[..body.len() - 7];
            assert_eq!(post(&address, "/v1/logs", kind, cut), 400, "cut off");
        }
        let shown = [sandbox.report("session"), succeed(&mut sandbox.tallyd("status"))].concat();
        let told = daemon.stop().concat();
        let files = files_below(&sandbox.state()).into_iter().filter(|file| file.is_file());
        let kept = files.flat_map(|file| fs::read(file).expect("a file"));
        let all: Vec<u8> = kept.chain(shown.into_bytes()).chain(told.into_bytes()).collect();
        for needle in [&b"text of"[..], b"[text", b"prompt"] {
            let found = all.windows(needle.len()).position(|text| text == needle);
            assert_eq!(found, None, "{name}: {}", String::from_utf8_lossy(needle));
        }
    }
}

#[test]
fn other_counts_than_the_logs_are_told_and_not_counted() {
    let (sandbox, recording) = (Sandbox::new(), Recording::read("agents-json"));
    recording.log_into(&sandbox);
    let (mut daemon, address) = receiving(&mut sandbox.tallyd("run"));
    let before = accounted(&sandbox);
    let (from, to) = (
        "\"output_tokens\",\"value\":{\"intValue\":507}",
        "\"output_tokens\",\"value\":{\"intValue\":\"508\"}",
    );
    assert_eq!(post(&address, "/v1/logs", JSON, &edited(&recording, from, to)), 200);
    assert_eq!(accounted(&sandbox), before);
    assert!(daemon.wait_for("other counts").contains("req_011"));
    let told = witnessed(&sandbox);
    assert_eq!(
        (count(&told, &["disagreeing"]), count(&told, &["confirmed"])),
        (1, recording.completed() - 1)
    );
    daemon.stop();
}

#[test]
fn a_price_of_the_client_that_is_another_than_ours_is_told_once_for_a_model() {
    let (sandbox, recording) = (Sandbox::new(), Recording::read("unlogged-json"));
    let (mut daemon, address) = receiving(&mut sandbox.tallyd("run"));
    let text = String::from_utf8(recording.bodies[0].1.clone()).expect("JSON is UTF-8");
    let dearer = text.replace("\"doubleValue\":0.0", "\"doubleValue\":1.0");
    assert_eq!(post(&address, "/v1/logs", JSON, dearer.as_bytes()), 200);
    let told = daemon.wait_for("another price");
    assert!(told.contains("theirs=\"1.021009\"") && told.contains("ours=\"0.021009\""), "{told}");
    assert_eq!(witnessed(&sandbox)["otherPrice"], 2);
    let rest = daemon.stop();
    assert_eq!(rest.iter().filter(|line| line.contains("another price")).count(), 1, "{rest:?}");
}

#[test]
fn metrics_traces_and_other_events_are_taken_and_dropped() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.tallyd("run");
    let (mut daemon, address) = receiving(command.env("TALLYD_LISTEN", "127.0.0.1:0"));
    let line = daemon.told.iter().find(|line| line.contains("/healthz")).cloned();
    let line = line.unwrap_or_else(|| daemon.wait_for("answering /healthz"));
    let monitoring = line.rsplit_once("address=").expect("it says the address").1.trim().to_owned();
    for kind in [JSON, PROTOBUF] {
        assert_eq!(post(&address, "/v1/metrics", kind, b"anything"), 200);
        assert_eq!(post(&address, "/v1/traces", kind, b"{}"), 200);
    }
    let none = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": "1", "body": {"stringValue": "claude_code.user_prompt"}, "attributes": []},
        {"attributes": [{"key": "event.name", "value": {"stringValue": "api_request"}}]}]}]}]});
    assert_eq!(post(&address, "/v1/logs", JSON, none.to_string().as_bytes()), 200);
    daemon.wait_for("otel_metrics_include_session_id");
    let (_, text) = get(&monitoring, "/metrics");
    for (what, count) in [("metrics", "2"), ("traces", "2"), ("other", "1"), ("unusable", "1")] {
        let name = format!("tallyd_otel_records_total{{what=\"{what}\"}}");
        assert_eq!(metric(&text, &name), count, "{what}");
    }
    assert_eq!(metric(&text, "tallyd_otel_requests_total{code=\"200\"}"), "5");
    assert_eq!(metric(&text, "tallyd_otel_events{kind=\"witnessed\"}"), "0");
    assert_eq!(metric(&text, "tallyd_otel_listening"), "1");
    daemon.stop();
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("it packs");
    encoder.finish().expect("it packs")
}

#[test]
fn bodies_are_bounded_and_packed_ones_as_far_as_they_unfold() {
    let (sandbox, recording) = (Sandbox::new(), Recording::read("unlogged-json"));
    let (daemon, address) = receiving(&mut sandbox.tallyd("run"));
    let gzip = |body: &[u8]| {
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nHost: {address}\r\nContent-Type: {JSON}\r\nContent-Encoding: gzip"
        );
        send(&address, &head, &packed(body)).0
    };
    assert_eq!(gzip(&recording.bodies[0].1), 200);
    assert_eq!(accounted(&sandbox), [[0; 5], recording.tokens()]);
    let huge = vec![b' '; (32 << 20) + 1];
    assert_eq!(gzip(&huge), 413, "packed into a thousandth");
    assert_eq!(post(&address, "/v1/logs", JSON, &huge), 413);
    assert_eq!(post(&address, "/v1/metrics", JSON, &huge), 413);
    let plain =
        format!("POST /v1/logs HTTP/1.1\r\nHost: {address}\r\nContent-Type: {JSON}\r\nContent-Encoding");
    assert_eq!(send(&address, &format!("{plain}: gzip"), b"{}").0, 400);
    assert_eq!(send(&address, &format!("{plain}: br"), b"{}").0, 415);
    daemon.stop();
}

#[test]
fn pages_of_a_browser_and_other_addresses_tell_nothing() {
    let (sandbox, recording) = (Sandbox::new(), Recording::read("unlogged-json"));
    let (daemon, address) = receiving(&mut sandbox.tallyd("run"));
    let body = &recording.bodies[0].1;
    let by = |host: &str| {
        send(&address, &format!("POST /v1/logs HTTP/1.1\r\nHost: {host}\r\nContent-Type: {JSON}"), body).0
    };
    assert_eq!(by("rebound.example"), 403);
    assert_eq!(post(&address, "/v1/logs", "text/plain", body), 415, "what a page may send without asking");
    assert_eq!(post(&address, "/", JSON, body), 404);
    assert_eq!(get(&address, "/v1/logs").0, 405);
    assert_eq!(get(&address, "/metrics").0, 404, "figures are the other port's");
    assert_eq!(accounted(&sandbox), [[0; 5]; 2]);
    assert_eq!(by("localhost:4318"), 200);
    daemon.stop();
    for wrong in ["0.0.0.0:4318", "10.1.2.3:4318", "localhost:4318"] {
        let told = crate::process::fail(sandbox.tallyd("run").env("TALLYD_OTEL_LISTEN", wrong), 3);
        assert!(told.contains("TALLYD_OTEL_LISTEN") && told.contains("loopback"), "{told}");
    }
}

#[test]
fn what_cannot_be_written_is_refused_until_it_can() {
    let (sandbox, recording) = (Sandbox::new(), Recording::read("unlogged-json"));
    let (daemon, address) = receiving(&mut sandbox.tallyd("run"));
    let ledger = Connection::open(sandbox.ledger().expect("a ledger")).expect("it opens");
    let refusal = "CREATE TRIGGER refuse BEFORE INSERT ON event BEGIN SELECT RAISE (ABORT, 'refused'); END";
    ledger.execute_batch(refusal).expect("a trigger can be made");
    let head = format!("POST /v1/logs HTTP/1.1\r\nHost: {address}\r\nContent-Type: {JSON}");
    let (code, answer) = send(&address, &head, &recording.bodies[0].1);
    assert_eq!(code, 503, "{answer}");
    assert!(answer.to_lowercase().contains("retry-after: 1") && !answer.contains("refused"), "{answer}");
    assert_eq!(accounted(&sandbox), [[0; 5]; 2]);
    ledger.execute_batch("DROP TRIGGER refuse").expect("a trigger can be removed");
    assert_eq!(send(&address, &head, &recording.bodies[0].1).0, 200);
    assert_eq!(accounted(&sandbox), [[0; 5], recording.tokens()]);
    daemon.stop();
}

#[test]
fn check_says_whether_it_is_received() {
    let sandbox = Sandbox::new();
    let check = |address: &str| {
        let output = sandbox.tallyd("check").env("TALLYD_OTEL_LISTEN", address).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (daemon, address) = receiving(&mut sandbox.tallyd("run"));
    assert!(check(&address).contains(&format!("{address} receives OpenTelemetry")), "{}", check(&address));
    assert!(!check("off").contains("OpenTelemetry"));
    daemon.stop();
    eventually("it is gone", || check(&address).contains("no tallyd is running that would answer there"));
}

/// A session that was logged long ago, and of which an event tells later than of any reply, is the latest.
#[test]
fn a_session_is_among_the_latest_by_what_events_alone_tell() {
    let (sandbox, recording) = (Sandbox::new(), Recording::read("unlogged-json"));
    for (session, day) in [("43d970fa-7299-44ab-8724-b656041e0cea", "01"), ("between", "02")] {
        let line = format!(
            r#"{{"type":"assistant","uuid":"u{day}","sessionId":"{session}","timestamp":"2026-02-{day}T10:00:00.000Z","message":{{"id":"msg_01{day}","model":"claude-opus-5-5","usage":{{"input_tokens":5,"output_tokens":9}}}}}}"#
        );
        sandbox.write_log(&format!("p/{session}.jsonl"), &(line + "\n"));
    }
    sandbox.scan();
    let (daemon, address) = receiving(&mut sandbox.tallyd("run"));
    assert_eq!(post(&address, "/v1/logs", JSON, &recording.bodies[0].1), 200);
    daemon.stop();
    let latest = succeed(sandbox.tallyd("session").args(["--json", "--no-scan", "--last", "1"]));
    let latest: Value = serde_json::from_str(&latest).expect("JSON");
    assert_eq!(latest["sessions"][0]["sessionId"], "43d970fa-7299-44ab-8724-b656041e0cea");
    assert_eq!(latest["sessions"][0]["messageCount"], 1, "with what was logged of it");
}
