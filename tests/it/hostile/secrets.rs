//! Keys: wherever they were given, whatever fails, they are in no output, in no file of the state folder, in no
//! command line, and no process is started that could inherit them.
#![cfg(test)]

use crate::process::{Daemon, Sandbox, eventually, files_below, reply, text};
use pretty_assertions::assert_eq;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const USER: &str = "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e";
/// Parts of keys of each kind, as they stand in whole ones.
const CANARIES: [&str; 3] = ["CANARYserviceoriole", "CANARYtokenoriole", "CANARYanonoriole"];

/// A legacy key or a user's token: what a project signs, with a canary for a signature.
fn signed(role: &str, canary: &str) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"iss":"supabase","role":"{role}","exp":4102444800,"sub":"{USER}"}}"#);
    format!("{}.{}.{canary}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims))
}

/// How keys are given.
const PLACES: [&str; 5] = ["variable", "file", "config", "legacy", "token"];

/// Gives a command its keys.
fn give(sandbox: &Sandbox, command: &mut Command, place: &str, url: &str) {
    let secret = format!("sb_secret_{}", CANARIES[0]);
    let file = sandbox.path("key");
    fs::write(&file, &secret).expect("a key can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode can be set");
    command.env("SUPABASE_URL", url);
    match place {
        "variable" => command.env("USER_ID", USER).env("SUPABASE_SERVICE_KEY", secret),
        "file" => command.env("USER_ID", USER).env("SUPABASE_SERVICE_KEY_FILE", file),
        "config" => {
            let config = sandbox.path("tallyd.toml");
            fs::write(&config, format!("[publish]\nkey_file = \"{}\"\n", file.display())).expect("a config");
            command.env("USER_ID", USER).env("TALLYD_CONFIG", config)
        }
        "legacy" => {
            command.env("USER_ID", USER).env("SUPABASE_SERVICE_ROLE_KEY", signed("service_role", CANARIES[0]))
        }
        _ => command
            .env("SUPABASE_ACCESS_TOKEN", signed("authenticated", CANARIES[1]))
            .env("SUPABASE_PUBLISHABLE_KEY", format!("sb_publishable_{}", CANARIES[2])),
    };
}

#[track_caller]
fn assert_silent(what: &str, bytes: &[u8]) {
    for canary in CANARIES {
        let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{canary} is in {what}: {}", String::from_utf8_lossy(bytes));
    }
}

/// A server that gives back every request as its answer, with this status; its URL. It ends with the test.
fn echo(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = vec![0; 64 << 10];
            let count = stream.read(&mut request).unwrap_or(0);
            let told = serde_json::json!({"code": "42501", "message": String::from_utf8_lossy(&request[..count]),
                "details": String::from_utf8_lossy(&request[..count]), "hint": String::from_utf8_lossy(&request[..count])});
            let body = told.to_string();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            // A client that has seen enough is gone.
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

/// What may be wrong between tallyd and its server.
fn ways_to_fail() -> Vec<(&'static str, String)> {
    let echoed = echo("400 Bad Request");
    vec![
        ("refused", "http://127.0.0.1:9".to_owned()),
        ("no such name", "https://nobody.invalid".to_owned()),
        ("no TLS", echoed.replace("http://", "https://")),
        ("400", echoed),
        ("401", echo("401 Unauthorized")),
        ("500", echo("500 Internal Server Error")),
        ("200", echo("200 OK")),
        ("redirect", echo("301 Moved Permanently\r\nLocation: http://127.0.0.1:9/")),
    ]
}

#[test]
fn no_failure_shows_a_key_and_none_takes_a_count_away() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    sandbox.scan();
    let lines: [&[&str]; 6] = [
        &["publish"],
        &["publish", "--dry-run"],
        &["check"],
        &["check", "--json"],
        &["verify"],
        &["metrics"],
    ];
    for (number, (way, url)) in ways_to_fail().into_iter().enumerate() {
        for (line, format) in lines.iter().zip(["text", "json"].into_iter().cycle()) {
            // Each place meets each command and each way in turn.
            let place = PLACES[(number + line.len() + usize::from(line.contains(&"check"))) % PLACES.len()];
            let (subcommand, more) = line.split_first().expect("a command");
            let mut command = sandbox.tallyd(subcommand);
            give(&sandbox, &mut command, place, &url);
            command.args(more).args(["--log-level", "trace", "--log-format", format]);
            let output = command.output().expect("tallyd runs");
            let what = format!("{line:?}, {place}, {way}");
            assert_silent(&format!("stdout of {what}"), &output.stdout);
            assert_silent(&format!("stderr of {what}"), &output.stderr);
            if *line == ["publish"] {
                let code = output.status.code();
                assert!(matches!(code, Some(10 | 11)), "{what}: {code:?}\n{}", text(&output.stderr));
            }
        }
    }
    for file in files_below(&sandbox.state()) {
        assert_silent(&file.display().to_string(), &fs::read(&file).expect("a file can be read"));
    }
    assert_eq!(sandbox.account().messages(), 1);
}

#[test]
fn every_place_of_a_key_is_silent_when_the_server_echoes_it() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    let url = echo("400 Bad Request");
    for place in PLACES {
        for subcommand in ["publish", "check"] {
            let mut command = sandbox.tallyd(subcommand);
            give(&sandbox, &mut command, place, &url);
            let output = command.args(["--log-level", "trace"]).output().expect("tallyd runs");
            assert_silent(&format!("stdout of {subcommand}, {place}"), &output.stdout);
            assert_silent(&format!("stderr of {subcommand}, {place}"), &output.stderr);
        }
    }
}

/// What the system tells of a process, where it tells anything.
fn told_by_the_system(pid: u32, name: &str) -> Option<Vec<u8>> {
    fs::read(Path::new("/proc").join(pid.to_string()).join(name)).ok()
}

#[test]
fn a_daemon_has_no_key_in_its_command_line_and_starts_no_process() {
    for place in PLACES {
        let sandbox = Sandbox::new();
        sandbox.write_log("-p/s.jsonl", &reply("A"));
        let mut command = sandbox.tallyd("run");
        give(&sandbox, &mut command, place, &echo("401 Unauthorized"));
        command.args(["--log-level", "trace"]);
        let mut daemon = Daemon::start(&mut command);
        daemon.wait_for("following");
        let refusal = || crate::process::succeed(&mut sandbox.tallyd("metrics"));
        eventually("the server has been asked", || refusal().contains("tallyd_publish_refused{"));
        let pid = daemon.id();
        match told_by_the_system(pid, "cmdline") {
            Some(line) => assert_silent("the command line", &line),
            None => println!("skipped: no /proc here"),
        }
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for children in tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()) {
            assert_eq!(children, "", "a process was started");
        }
        for file in files_below(&sandbox.state()) {
            // A backup that is being made is renamed meanwhile.
            let Ok(content) = fs::read(&file) else { continue };
            assert_silent(&file.display().to_string(), &content);
        }
        let told = daemon.stop().join("\n");
        assert_silent(&format!("the log, {place}"), told.as_bytes());
    }
}

#[test]
fn no_option_takes_a_key() {
    let sandbox = Sandbox::new();
    for option in ["--key", "--token", "--service-key", "--access-token", "--url"] {
        let told = crate::process::fail(
            sandbox.tallyd("publish").arg(format!("{option}=sb_secret_{}", CANARIES[0])),
            2,
        );
        assert!(told.contains("unexpected argument"), "{told}");
    }
}
