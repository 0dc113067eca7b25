//! The house rules that a machine can check, over every file of `src/`; and for every rule a made-up
//! file that breaks it, so that no rule is believed without having been seen to fire.
#![cfg(test)]

mod rules;
mod source;

use rules::Broken;
use source::Source;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("a folder can be listed").path()) {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    sources_below("src")
}

fn sources_below(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    rust_files(&root().join(folder), &mut files);
    files.sort();
    let relative = |file: &Path| {
        let inside = file.strip_prefix(root()).expect("found below the root");
        inside.to_string_lossy().replace('\\', "/")
    };
    files
        .iter()
        .map(|file| Source::new(&relative(file), &fs::read_to_string(file).expect("is UTF-8")))
        .collect()
}

/// The rule holds for every file.
fn hold(rule: fn(&Source) -> Vec<Broken>) {
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "src/main.rs"), "src/ was not found");
    none(&sources.iter().flat_map(rule).collect::<Vec<_>>());
}

fn none(broken: &[Broken]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// The rule is broken this many times by this text.
fn fires(rule: fn(&Source) -> Vec<Broken>, path: &str, text: &str, times: usize) {
    let found = rule(&Source::new(path, text));
    assert_eq!(found.len(), times, "{path}: {text}\nfound: {found:#?}");
}

#[test]
fn modules_import_lower_modules_only() {
    hold(rules::imports);
    fires(rules::imports, "src/parse/line.rs", "use crate::ledger::Ledger;", 1);
    fires(rules::imports, "src/parse/mod.rs", "use super::tail;\nfn f() { super::tail::x() }", 2);
    fires(rules::imports, "src/report/table.rs", "use crate::{domain::Usd, price::{self, Table}};", 2);
    fires(rules::imports, "src/domain/money.rs", "use crate::telemetry::Level;", 1);
    fires(rules::imports, "src/daemon.rs", "fn f() { crate::report::render() }", 1);
    fires(rules::imports, "src/config/file.rs", "use crate::watch::Watcher;", 1);
    fires(rules::imports, "src/novelty.rs", "", 1);
    fires(rules::imports, "src/config/file.rs", "use crate::watch::WatchOptions;", 0);
    fires(rules::imports, "src/parse/line.rs", "use crate::domain::Usd;\nuse super::raw::Record;", 0);
    fires(
        rules::imports,
        "src/parse.rs",
        "// crate::ledger\n#[cfg(test)]\nmod tests { use crate::ledger::X; }",
        0,
    );
}

#[test]
fn foreign_crates_have_one_owner() {
    hold(rules::owners);
    fires(rules::owners, "src/report/table.rs", "use rusqlite::Connection;", 1);
    fires(rules::owners, "src/tail/mod.rs", "use std::{env, fs};", 1);
    fires(rules::owners, "src/collect.rs", "let r = tokio::runtime::Builder::new_current_thread();", 1);
    fires(rules::owners, "src/watch/mod.rs", "#[derive(clap::Parser)] struct A;", 1);
    fires(rules::owners, "src/ledger/open.rs", "use rusqlite::Connection;\nuse tokio::sync::mpsc;", 0);
    fires(rules::owners, "src/watch/mod.rs", "use notify::Watcher;\nlet a = tokio::sync::notify::X;", 0);
}

#[test]
fn one_file_starts_programs() {
    hold(rules::children);
    fires(rules::children, "src/cli/service.rs", "use std::process::Command;", 1);
    fires(rules::children, "src/daemon/mod.rs", "fn f() { std::process::Command::new(a); }", 1);
    fires(rules::children, "src/cli/service/child.rs", "use std::process::{Command, Stdio};", 0);
    fires(rules::children, "src/main.rs", "fn f() -> std::process::ExitCode { a }", 0);
}

#[test]
fn the_clock_is_injected() {
    hold(rules::clock);
    fires(rules::clock, "src/collect.rs", "let t = std::time::Instant::now();", 1);
    fires(rules::clock, "src/collect.rs", "let t = SystemTime::now();", 1);
    fires(rules::clock, "src/collect.rs", "// clock: shown, never stored.\nlet t = Instant::now();", 0);
    fires(rules::clock, "src/domain/time.rs", "let t = SystemTime::now();", 0);
}

#[test]
fn files_open_with_a_header() {
    hold(rules::header);
    fires(rules::header, "src/collect.rs", "use std::fs;\n//! Late.\n", 1);
    fires(rules::header, "src/collect.rs", "//! The write pipeline.\n", 0);
}

#[test]
fn files_are_short() {
    hold(rules::file_length);
    fires(rules::file_length, "src/collect.rs", &"// line\n".repeat(401), 1);
    fires(rules::file_length, "src/collect.rs", &"// line\n".repeat(400), 0);
}

#[test]
fn functions_are_short_or_say_why_not() {
    hold(rules::function_length);
    let function =
        |lines: usize| format!("fn long() {{\n{}}}\n", "    call();\n\n    // why\n".repeat(lines));
    let excuse = "#[expect(clippy::too_many_lines, reason = \"a table\")]\n";
    fires(rules::function_length, "src/collect.rs", &function(61), 1);
    fires(rules::function_length, "src/collect.rs", &function(60), 0);
    fires(rules::function_length, "src/collect.rs", &format!("{excuse}{}", function(61)), 0);
    fires(rules::function_length, "src/collect.rs", "trait A {\n    fn a();\n}\n", 0);
}

#[test]
fn data_never_panics() {
    hold(rules::unwrap);
    fires(rules::unwrap, "src/collect.rs", "let a = b.unwrap();", 1);
    fires(rules::unwrap, "src/collect.rs", "#[cfg(test)]\nmod tests {\n    fn f() { b.unwrap(); }\n}\n", 0);
    fires(rules::unwrap, "src/collect.rs", "// never .unwrap()\nlet a = b.unwrap_or(0);", 0);
}

#[test]
fn only_the_command_line_prints() {
    hold(rules::printing);
    fires(rules::printing, "src/collect.rs", "println!(\"a\"); ", 1);
    fires(rules::printing, "src/collect.rs", "eprint!(\"a\");", 1);
    fires(rules::printing, "src/cli/scan.rs", "println!(\"a\");", 0);
    fires(rules::printing, "src/collect.rs", "let a = \"println!\";", 0);
}

#[test]
fn nothing_is_left_unfinished() {
    hold(rules::words);
    fires(rules::words, "src/collect.rs", "// TODO later\ndbg!(a);\n", 2);
    fires(rules::words, "src/collect.rs", "// done\n", 0);
}

#[test]
fn every_config_key_is_in_the_readme() {
    none(&rules::documented_keys(&read("config/tallyd.toml"), &read("README.md")));
    let settings = "# How it works: a = b is prose.\n[log]\n# level = \"info\"\nformat = \"text\"\n";
    assert_eq!(settings.lines().filter_map(rules::settings_key).collect::<Vec<_>>(), ["level", "format"]);
    assert_eq!(rules::documented_keys(settings, "`format` is told").len(), 1);
}

/// The names of all metrics.
fn metrics() -> Vec<String> {
    let all = read(
        "src/report/snapshots/tallyd__report__metrics__tests__every_metric_has_its_help_and_its_exact_value.snap",
    );
    let name = |line: &str| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned);
    all.lines().filter_map(name).collect()
}

#[test]
fn every_metric_is_in_the_readme() {
    let names = metrics();
    assert!(names.len() > 30, "{names:?}");
    let readme = read("README.md");
    let missing: Vec<_> = names.into_iter().filter(|name| !readme.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, [""; 0], "every metric has its row in README.md");
}

#[test]
fn every_exit_code_is_in_the_readme() {
    none(&rules::documented_exit_codes(
        &Source::new("src/cli/exit.rs", &read("src/cli/exit.rs")),
        &read("README.md"),
    ));
    let exit = Source::new("src/cli/exit.rs", "enum ExitCode {\n    Done = 0,\n    Locked = 5,\n}\n");
    assert_eq!(rules::exit_codes(&exit), [0, 5]);
    assert_eq!(rules::documented_exit_codes(&exit, "| 0 | done |\n").len(), 1);
    assert_eq!(rules::documented_exit_codes(&Source::new("src/cli/exit.rs", ""), "").len(), 1);
}

#[test]
fn every_test_that_the_docs_name_is_there() {
    let all: Vec<Source> = ["src", "tests/it"].into_iter().flat_map(sources_below).collect();
    for page in ["docs/faults.md", "docs/deploy.md"] {
        none(&rules::named_tests(&read(page), &all));
    }
    let source = Source::new("tests/it/follow.rs", "fn a_b() {}");
    let missing = |table: &str| rules::named_tests(table, std::slice::from_ref(&source)).len();
    assert_eq!(missing("`follow::a_b`, `follow::`, `scripts/soak`"), 0);
    assert_eq!(missing("`follow::a`, `follow::a_b`, `kill::a_b`"), 2);
}

#[test]
fn every_metric_of_dashboard_and_alerts_exists() {
    let all = metrics();
    for file in ["config/grafana.json", "config/alerts.yml"] {
        let text = read(file);
        let words = text.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_');
        let used: std::collections::BTreeSet<_> = words.filter(|word| word.starts_with("tallyd_")).collect();
        assert!(used.len() > 8, "{file}: {used:?}");
        let unknown: Vec<_> =
            used.into_iter().filter(|name| !all.iter().any(|metric| metric == name)).collect();
        assert_eq!(unknown, [""; 0], "{file} names metrics that there are");
    }
}
