//! One catalogue of hostile names, a log in which everything is named by them, and what no output may have.
#![cfg(test)]

use crate::process::Sandbox;
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// A name of 10 kB.
fn long() -> String {
    "long-name-".repeat(1_000)
}

/// Names as a log, a file system or a caller may give them. Each is different when it is shown, too.
pub(super) fn catalogue() -> Vec<String> {
    let short = [
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "esc\u{1b}[31mred\u{1b}]0;owned\u{7}\u{1b}P1$r\u{1b}\\",
        "c1\u{9b}2J\u{9d}0;owned\u{9c}\u{85}",
        "bidi\u{202e}nosj.evil\u{2066}\u{2069}\u{200f}",
        "zero\u{200b}\u{2060}\u{feff}\u{ad}width\u{e0041}",
        "nul\0byte",
        "line\nfeed 2026-01-01T00:00:00.000Z  INFO forged",
        "return\rover",
        "separator\u{2028}\u{2029}",
        "=cmd|'/c calc'!A0",
        "+1+cmd",
        "-2-cmd",
        "@SUM(1)",
        "\t=tab",
        "\r=return",
        " =blank",
        "＝wide",
        "a;=cmd()",
        "\"quoted\",\"cells\"",
        "../../../../etc/passwd",
        "/dev/null",
        "~root",
        "$(reboot)`reboot`",
        "'; DROP TABLE response; --",
        "\" OR \"\"=\"",
        "back\\slash\\",
        "{\"usage\":{\"input_tokens\":9,\"output_tokens\":9}}",
        "label=\"x\"} 9\\n# HELP forged",
        "%s%n%x",
        "\u{fffd}",
        "日本 🧑‍💻 Füße",
    ];
    short.into_iter().map(str::to_owned).chain([long()]).collect()
}

/// Id of the reply whose session, model, version and working folder are the name of this number.
pub(super) fn message(number: usize) -> String {
    format!("msg_01hostile{number:04}")
}

/// A reply that is named by a text in every way that a reply can be; one token in, two out.
fn reply(number: usize, name: &str) -> String {
    let record = json!({
        "type": "assistant", "uuid": name, "sessionId": name, "cwd": name, "version": name, "agentId": name,
        "requestId": name, "gitBranch": name, "timestamp": "2026-09-01T10:00:00.000Z",
        "message": {
            "id": message(number), "role": "assistant", "model": name, "stop_reason": "end_turn",
            "content": [{"type": "text", "text": name}],
            "usage": {"input_tokens": 1, "output_tokens": 2, "service_tier": name, "speed": name, "inference_geo": name}
        }
    });
    format!("{record}\n")
}

/// Every name of the catalogue, each in a log of its own that is named by it where a file can be. A line that
/// is none comes first, so that the log's name is told of. Returns how many replies there are.
pub(super) fn write_logs(sandbox: &Sandbox) -> usize {
    let names = catalogue();
    for (number, name) in names.iter().enumerate() {
        let mut file: Vec<u8> = name.bytes().filter(|byte| !matches!(byte, 0 | b'/')).take(200).collect();
        file.extend_from_slice(b"\xff.jsonl");
        let mut folder = file.clone();
        folder.truncate(folder.len() - ".jsonl".len());
        let folder = sandbox.projects().join(OsStr::from_bytes(&folder));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let log = folder.join(OsStr::from_bytes(&file));
        fs::write(log, format!("no record \"usage\"\n{}", reply(number, name)))
            .expect("a log can be written");
    }
    names.len()
}

/// Letters that drive a terminal, forge a line, or hide.
fn is_harmful(letter: char) -> bool {
    let code = u32::from(letter);
    let control = code < 0x20 || (0x7f..=0x9f).contains(&code);
    let unseen = [0xad, 0x61c, 0x180e, 0x200b, 0x200e, 0x200f, 0xfeff].contains(&code);
    let ranges = [(0x2028, 0x202e), (0x2060, 0x206f), (0xfff9, 0xfffb), (0xe0000, 0xe007f)];
    control || unseen || ranges.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

/// Fails where a text has a letter that does harm, but for the ends of its lines.
#[track_caller]
pub(super) fn assert_harmless(what: &str, text: &str) {
    if let Some(at) = text.find(|letter| letter != '\n' && is_harmful(letter)) {
        let near: String = text.get(at..).unwrap_or_default().chars().take(40).collect();
        panic!("{what} has {near:?} at byte {at}");
    }
}

#[test]
fn the_catalogue_is_as_hostile_as_it_says() {
    let names = catalogue();
    assert!(names.iter().filter(|name| name.contains(is_harmful)).count() >= 10);
    assert!(std::panic::catch_unwind(|| assert_harmless("a name", "a\u{1b}[2J")).is_err());
    assert!(std::panic::catch_unwind(|| assert_harmless("a name", "a\u{202e}")).is_err());
    assert_harmless("a name", "two\nlines of 日本 🧑‍💻");
}
