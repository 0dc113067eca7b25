//! Refusals, faults and endless answers of the Admin APIs: what is tried again, what ends the command with which
//! code, and that no key is ever shown.

use super::server::{Server, as_recorded, error};
use super::{KEY, compared, sandbox, told};
use crate::process::{Sandbox, files_below};
use crate::remote::http::Response;
use pretty_assertions::assert_eq;
use std::fs;
use std::process::Command;

fn asking(sandbox: &Sandbox, url: &str) -> Command {
    let mut command = sandbox.tallyd("reconcile");
    command.args(["--api", "--since", "2026-11-20", "--until", "2026-11-21", "--log-level", "trace"]);
    command.env("ANTHROPIC_ADMIN_KEY", KEY).env("TALLYD_ANTHROPIC_URL", url);
    command
}

fn later(status: u16, kind: &str) -> Response {
    error(status, kind, "come back").with("retry-after", "0")
}

#[test]
fn what_passes_by_itself_is_tried_again() {
    let sandbox = sandbox();
    let server = Server::start(|request, before| match before {
        0 => Some(later(429, "rate_limit_error")),
        1 => Some(later(529, "overloaded_error")),
        2 => Some(later(500, "api_error")),
        3 => None,
        _ => Some(as_recorded(request)),
    });
    compared(&mut asking(&sandbox, &server.url), 14);
    let asked = server.asked();
    assert_eq!(asked.len(), 7, "{asked:?}");
    assert!(asked[..5].iter().all(|one| *one == asked[0]), "the same request: {asked:?}");
}

#[test]
fn what_does_not_pass_ends_with_a_reason() {
    let sandbox = sandbox();
    for (answer, tries, code, what) in [
        (
            error(401, "authentication_error", "invalid x-api-key"),
            1,
            10,
            "refuses the key: 401 authentication_error: invalid x-api-key",
        ),
        (error(403, "permission_error", "no admin"), 1, 10, "refuses the key: 403"),
        (
            error(400, "invalid_request_error", "limit: too large"),
            1,
            1,
            "refuses the request: 400 invalid_request_error: limit: too large",
        ),
        (error(404, "not_found_error", "gone"), 1, 1, "refuses the request: 404"),
        (later(529, "overloaded_error"), 5, 1, "no answer after 5 tries: 529 overloaded_error: come back"),
        (
            error(429, "rate_limit_error", "slow").with("retry-after", "3600"),
            1,
            1,
            "asked again in 3600 seconds: 429",
        ),
        (
            Response::new(301, "text/html", "moved").with("location", "https://example.com/"),
            1,
            1,
            "refuses the request: 301",
        ),
        (Response::new(200, "text/html", "<html>Log in</html>"), 1, 1, "cannot be read"),
        (Response::new(200, "application/json", "{}"), 1, 1, "no list `data`"),
        (Response::new(200, "application/json", vec![0xff; 8]), 1, 1, "not UTF-8"),
    ] {
        let status = answer.status;
        let server = Server::start(move |_, _| Some(answer.clone()));
        let (ended, stdout, stderr) = told(&mut asking(&sandbox, &server.url));
        assert_eq!((ended, server.asked().len()), (code, tries), "{status}: {stderr}");
        assert!(
            stdout.is_empty() && stderr.contains(what) && stderr.contains("help: "),
            "{status}: {stderr}"
        );
    }
    let (code, _, stderr) = told(&mut asking(&sandbox, "https://nobody.invalid"));
    assert!(code == 1 && stderr.contains("no answer after 5 tries"), "{stderr}");
}

#[test]
fn answers_and_pages_without_end_are_not_read_for_ever() {
    let sandbox = sandbox();
    let page = |token: String| {
        Response::new(
            200,
            "application/json",
            format!(r#"{{"data":[],"has_more":true,"next_page":"{token}"}}"#),
        )
    };
    for (answer, what) in [
        (Response::new(200, "application/json", " ".repeat(17 << 20)), "an answer of more than"),
        (page("page_same".to_owned()), "pages without end"),
        (page(String::new()), "pages without end"),
        (page("x".repeat(5_000)), "pages without end"),
    ] {
        let server = Server::start(move |_, _| Some(answer.clone()));
        let (code, _, stderr) = told(&mut asking(&sandbox, &server.url));
        assert!(code == 1 && stderr.contains(what), "{what}: {stderr}");
        assert!(server.asked().len() <= 2);
    }
    let server = Server::start(move |_, before| Some(page(format!("page_{before}"))));
    let (code, _, stderr) = told(&mut asking(&sandbox, &server.url));
    assert!(code == 1 && stderr.contains("pages without end"), "{stderr}");
    assert_eq!(server.asked().len(), 1_000);
}

#[test]
fn a_server_that_repeats_what_it_was_sent_gives_no_key_away() {
    let sandbox = sandbox();
    for status in [400, 401, 500] {
        let server = Server::start(move |request, _| {
            let told: Vec<String> =
                request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            Some(error(status, "echo", &told.join(" ")).with("retry-after", "0"))
        });
        for format in ["text", "json"] {
            let (code, _, stderr) = told(asking(&sandbox, &server.url).args(["--log-format", format]));
            assert!(code != 0 && stderr.contains("x-api-key: …"), "{stderr}");
        }
    }
    for file in files_below(&sandbox.state()) {
        let bytes = fs::read(&file).expect("a file can be read");
        assert!(!bytes.windows(6).any(|part| part == b"CANARY"), "{}", file.display());
    }
}

#[test]
fn a_wrong_setting_ends_what_asks_and_nothing_else() {
    let sandbox = sandbox();
    for (variable, value, what) in [
        ("ANTHROPIC_ADMIN_KEY", "", "set ANTHROPIC_ADMIN_KEY"),
        (
            "ANTHROPIC_ADMIN_KEY",
            "sk-ant admin CANARY",
            "ANTHROPIC_ADMIN_KEY: it holds characters that no key holds",
        ),
        (
            "ANTHROPIC_ADMIN_KEY_FILE",
            "/nowhere",
            "ANTHROPIC_ADMIN_KEY and ANTHROPIC_ADMIN_KEY_FILE are both set",
        ),
        ("TALLYD_ANTHROPIC_URL", "http://example.com", "http:// sends the key in the clear"),
        ("TALLYD_ANTHROPIC_URL", "https://sk-ant-admin01-CANARY@example.com", "it is no URL of a server"),
    ] {
        let (code, _, stderr) = told(asking(&sandbox, "https://nobody.invalid").env(variable, value));
        assert!(
            code == 3 && stderr.contains(what) && stderr.contains("help: "),
            "{variable}={value}: {code} {stderr}"
        );
        let (code, _, stderr) = told(sandbox.tallyd("daily").env(variable, value));
        assert_eq!(code, 0, "{stderr}");
    }
    let mut command = asking(&sandbox, "https://nobody.invalid");
    let (code, _, stderr) =
        told(command.env_remove("ANTHROPIC_ADMIN_KEY").env("ANTHROPIC_ADMIN_KEY_FILE", KEY));
    assert!(code == 3 && stderr.contains("is a key or token itself"), "{stderr}");
    let (code, _, stderr) =
        told(asking(&sandbox, "https://nobody.invalid").env_remove("ANTHROPIC_ADMIN_KEY"));
    assert!(code == 3 && stderr.contains("set ANTHROPIC_ADMIN_KEY"), "{stderr}");
}
