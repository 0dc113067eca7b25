//! Every output against every hostile name: tables, JSON, CSV, explanations, metrics, checks, errors, the log.
#![cfg(test)]

use super::names::{assert_harmless, catalogue, message, write_logs};
use crate::process::{Daemon, Sandbox, succeed, text};
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const REPORTS: [&str; 7] = ["daily", "weekly", "monthly", "session", "project", "model", "blocks"];

/// A ledger of nothing but hostile names, and how many replies it has.
fn scanned() -> (Sandbox, u64) {
    let sandbox = Sandbox::new();
    let replies = write_logs(&sandbox);
    sandbox.scan();
    let replies = u64::try_from(replies).expect("a length fits");
    assert_eq!(sandbox.responses(), replies, "each reply counts");
    (sandbox, replies)
}

fn report(sandbox: &Sandbox, kind: &str, more: &[&str]) -> String {
    succeed(sandbox.tallyd(kind).args(["--no-scan", "--timezone", "UTC"]).args(more))
}

#[test]
fn no_name_drives_a_terminal_from_a_table() {
    let (sandbox, _) = scanned();
    for kind in REPORTS {
        for more in [&[][..], &["--breakdown"], &["--compact"]] {
            let table = report(&sandbox, kind, more);
            assert_harmless(&format!("{kind} {more:?}"), &table);
            assert!(
                !table.contains("owned") && table.len() < 200_000,
                "{kind} {more:?}: {} bytes",
                table.len()
            );
        }
    }
    assert_harmless("daily --instances", &report(&sandbox, "daily", &["--instances"]));
    assert_harmless("session table", &report(&sandbox, "session", &["--id", "../../../../etc/passwd"]));
}

#[test]
fn json_is_json_and_gives_back_what_it_was_given() {
    let (sandbox, replies) = scanned();
    for kind in REPORTS {
        let printed = report(&sandbox, kind, &["--json"]);
        assert_harmless(&format!("{kind} --json"), &printed);
        let read: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let again: Value = serde_json::from_str(&read.to_string()).expect("what was JSON is JSON");
        assert_eq!(read, again, "{kind}");
    }
    let sessions: Value = serde_json::from_str(&report(&sandbox, "session", &["--json"])).expect("JSON");
    let names: BTreeSet<&str> = sessions["sessions"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["sessionId"].as_str())
        .collect();
    assert_eq!(sessions["totals"]["messageCount"], replies, "no reply is lost to its name");
    // Names that do no harm are what they were: HTML is the business of whoever makes pages of them.
    for name in [
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "'; DROP TABLE response; --",
        "日本 🧑‍💻 Füße",
    ] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn no_cell_of_a_csv_is_a_formula() {
    let (sandbox, _) = scanned();
    for kind in REPORTS {
        for more in [&["--csv"][..], &["--csv", "--breakdown"]] {
            let sheet = report(&sandbox, kind, more);
            assert_harmless(&format!("{kind} {more:?}"), &sheet);
            let mut reader = csv::Reader::from_reader(sheet.as_bytes());
            let rows: Vec<csv::StringRecord> =
                reader.records().map(|row| row.expect("rows of one length")).collect();
            assert!(!rows.is_empty(), "{kind}");
            // Where lists are written with semicolons, what follows one is a cell of its own.
            for cell in rows.iter().flatten().flat_map(|field| field.split(';')) {
                let is_formula = cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '\t', '\r']);
                assert!(!is_formula, "{kind} {more:?}: {cell:?}");
            }
        }
    }
}

#[test]
fn explanations_and_errors_show_what_they_quote_without_obeying_it() {
    let (sandbox, replies) = scanned();
    for number in 0..usize::try_from(replies).expect("a length fits") {
        let explained = succeed(sandbox.tallyd("explain").arg(message(number)));
        assert_harmless("explain", &explained);
        assert!(explained.contains(" tokens"), "{explained}");
    }
    let escaped = succeed(sandbox.tallyd("explain").arg(message(1)));
    assert!(escaped.contains("esc\\u{1b}[31mred"), "what is there is shown: {escaped}");
    // A NUL cannot be an argument.
    for name in catalogue().iter().filter(|name| !name.contains('\0')) {
        let arguments: [(&str, &[&str]); 4] = [
            ("explain", &["--no-scan", "--"]),
            ("session", &["--no-scan", "--id"]),
            ("daily", &["--no-scan", "--project"]),
            ("daily", &["--timezone"]),
        ];
        for (subcommand, before) in arguments {
            let mut command = sandbox.tallyd(subcommand);
            let option = before.last().copied().unwrap_or_default();
            let value = if option == "--" { name.clone() } else { format!("{option}={name}") };
            let output = command
                .args(&before[..before.len() - 1])
                .args((option == "--").then_some("--"))
                .arg(value)
                .output()
                .expect("tallyd runs");
            assert_harmless(&format!("stdout of {subcommand} {option}"), &text(&output.stdout));
            assert_harmless(&format!("stderr of {subcommand} {option}"), &text(&output.stderr));
        }
    }
}

#[test]
fn metrics_are_what_a_scraper_takes() {
    let (sandbox, replies) = scanned();
    let page = succeed(&mut sandbox.tallyd("metrics"));
    assert_harmless("metrics", &page);
    let mut series = BTreeSet::new();
    let mut counted = 0;
    for line in page.lines().filter(|line| !line.starts_with("# ")) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(series.insert(name.to_owned()), "twice: {name}");
        assert!(value.parse::<rust_decimal::Decimal>().is_ok(), "{line}");
        let (metric, labels) = name
            .split_once('{')
            .map_or((name, ""), |(metric, rest)| (metric, rest.strip_suffix('}').expect("labels end")));
        assert!(metric.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        assert_labels(labels);
        if metric == "tallyd_responses_total" {
            counted += value.parse::<u64>().expect("a count");
        }
    }
    assert_eq!(counted, replies);
}

/// `name="value",…` with a backslash before quotes and backslashes alone, as the format has it.
fn assert_labels(labels: &str) {
    let mut rest = labels;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {rest}"));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{labels}");
        let mut letters = value.char_indices();
        let end = loop {
            match letters.next() {
                Some((at, '"')) => break at,
                Some((_, '\\')) => {
                    let escaped = letters.next().map(|(_, letter)| letter);
                    assert!(matches!(escaped, Some('\\' | '"' | 'n')), "{labels}");
                }
                Some(_) => {}
                None => panic!("no end: {labels}"),
            }
        };
        rest = value.get(end + 1..).unwrap_or_default();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[test]
fn the_log_has_a_line_for_each_thing_whatever_its_name() {
    for format in ["text", "json"] {
        let sandbox = Sandbox::new();
        fs::create_dir_all(sandbox.projects()).expect("a folder can be made");
        let mut command = sandbox.tallyd("run");
        command.args(["--log-level", "trace", "--log-format", format]);
        let mut daemon = Daemon::start(&mut command);
        daemon.wait_for("following");
        let replies = u64::try_from(write_logs(&sandbox)).expect("a length fits");
        sandbox.wait_for_responses(replies);
        let told = daemon.stop();
        for line in &told {
            if format == "json" {
                assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line:?}");
                // What JSON has to escape; the rest is a reader's business.
                assert!(!line.contains(|letter: char| letter < ' '), "{line:?}");
            } else {
                assert_harmless("the log", line);
                assert!(
                    line.starts_with("20") && !line.starts_with("2026-01-01T00:00:00"),
                    "forged: {line:?}"
                );
            }
        }
        assert!(told.iter().any(|line| line.contains("DROP TABLE")), "{format}: the names are told of");
    }
}

#[test]
fn a_check_and_a_scan_show_hostile_folders_harmlessly() {
    for name in catalogue().iter().filter(|name| !name.contains(['\0', '/']) && name.len() < 200) {
        let sandbox = Sandbox::new();
        let folder = sandbox.path("there").join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        let state = folder.join("state");
        for arguments in [
            &["scan"][..],
            &["check"],
            &["check", "--json"],
            &["daily"],
            &["metrics"],
            &["run", "--prices", "missing"],
        ] {
            let mut command = sandbox.bare();
            command.args(arguments).arg("--claude-dir").arg(&folder).arg("--state-dir").arg(&state);
            let output = command.output().expect("tallyd runs");
            if arguments != ["check", "--json"] {
                assert_harmless(&format!("stdout of {arguments:?}"), &text(&output.stdout));
            }
            assert_harmless(&format!("stderr of {arguments:?}"), &text(&output.stderr));
        }
    }
}

#[test]
fn no_name_reaches_the_ledger_as_sql() {
    let (sandbox, replies) = scanned();
    let fresh = Sandbox::new();
    fresh.scan();
    let tables = |sandbox: &Sandbox| {
        let ledger = Connection::open(sandbox.ledger().expect("there is a ledger")).expect("it opens");
        let mut query = ledger.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").expect("SQL");
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        rows.collect::<Result<Vec<(String, Option<String>)>, _>>().expect("rows can be read")
    };
    assert_eq!(tables(&sandbox), tables(&fresh));
    sandbox.check_integrity();
    let ledger = Connection::open(sandbox.ledger().expect("there is a ledger")).expect("it opens");
    let mut query = ledger.prepare("SELECT name FROM model").expect("SQL");
    let rows = query.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    let models: BTreeSet<String> = rows.map(|row| row.expect("a text")).collect();
    assert_eq!(models, catalogue().into_iter().collect(), "every name is kept as it was");
    sandbox.scan();
    assert_eq!(sandbox.responses(), replies);
}

#[test]
fn names_in_a_price_file_do_no_harm() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("prices.toml");
    for name in catalogue() {
        for rate in ["1", "=cheap\\u001b[2J"] {
            let id = serde_json::to_string(&name).expect("a text");
            let row = format!(
                "[[models]]\nid = {id}\ninput = \"{rate}\"\noutput = \"1\"\ncache_write_5m = \"1\"\n\
                 cache_write_1h = \"1\"\ncache_read = \"1\"\nsource = {id}\n"
            );
            fs::write(&file, row).expect("a price file can be written");
            for option in ["--check", "--prices"] {
                let output = sandbox.tallyd("prices").arg(option).arg(&file).output().expect("tallyd runs");
                assert_harmless(&format!("stdout of {option}, {name:.20}"), &text(&output.stdout));
                assert_harmless(&format!("stderr of {option}, {name:.20}"), &text(&output.stderr));
            }
        }
    }
}
