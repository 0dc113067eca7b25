//! What the commands print that are no reports: an explanation term by term, the check of a price file,
//! completions, man pages, help.
#![cfg(test)]

use crate::process::{Sandbox, fail, files_below, succeed};
use pretty_assertions::assert_eq;
use std::fs;
use std::path::Path;

const COMMANDS: [&str; 23] = [
    "run",
    "scan",
    "daily",
    "weekly",
    "monthly",
    "session",
    "project",
    "model",
    "blocks",
    "explain",
    "prices",
    "publish",
    "check",
    "reassign",
    "reconcile",
    "restore",
    "verify",
    "schema",
    "completions",
    "man",
    "metrics",
    "service",
    "status",
];

/// An explanation of the case in `fixtures/edge` whose reply has several lines.
fn explained(id: &str) -> String {
    let sandbox = Sandbox::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/edge/growing-output");
    let mut command = sandbox.bare();
    command.args(["explain", id, "--state-dir"]).arg(sandbox.state()).arg("--claude-dir").arg(&folder);
    let file = "projects/-home-dev-p/11111111-1111-4111-8111-111111111111.jsonl";
    succeed(&mut command).replace(&*folder.join(file).to_string_lossy(), "LOG")
}

#[test]
fn explain_shows_every_line_which_one_counts_and_the_price_term_by_term() {
    let log = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(
        "fixtures/edge/growing-output/projects/-home-dev-p/11111111-1111-4111-8111-111111111111.jsonl",
    ))
    .expect("the fixture is there");
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let text = explained("msg_01aAAAAAAAAAAAAAAAAAAAAA");
    let places = [0, lines[0].len(), lines[0].len() + lines[1].len()];
    // 10 x 4 + 500 x 20 + 100 x 5 + 1,000 x 0.2 dollars a million.
    let expected = format!(
        "\
msg_01aAAAAAAAAAAAAAAAAAAAAA
  model    claude-opus-5-5
  time     2026-10-05T10:00:03.000Z
  session  11111111-1111-4111-8111-111111111111
  client   2.1.50
  lines    3 seen; the usage of the line with * counts:
           the most output, then main chain, then a stop reason, then the newest
    2026-10-05T10:00:03.000Z  output 3  -  LOG:{}
    2026-10-05T10:00:40.000Z  output 40  -  LOG:{}
  * 2026-10-05T10:00:50.000Z  output 500  stop reason, final  LOG:{}
  own, claude-opus-5-5: 1,610 tokens, priced as claude-opus-5-5 (shipped; source: litellm 1.109.1, \
         genai-prices 0.2.3, client 2.1.330 (measured))
      input                             10 x $4 a million = $0.00004
      output                           500 x $20 a million = $0.01
      cache write, 5 minutes           100 x $5 a million = $0.0005
      cache read                     1,000 x $0.2 a million = $0.0002
      = $0.01074

",
        places[0], places[1], places[2]
    );
    assert_eq!(text, expected);
    let by_session = explained("1111");
    let head = "session 11111111-1111-4111-8111-111111111111: 1 responses, $0.01074\n\n";
    assert_eq!(by_session, format!("{head}{expected}"), "and a session is all of its responses");
}

#[test]
fn explain_says_when_it_knows_nothing_of_an_id() {
    let sandbox = Sandbox::new();
    let told = fail(sandbox.tallyd("explain").arg("msg_01nothing"), 9);
    assert!(told.contains("msg_01nothing"), "{told}");
}

#[test]
fn a_price_file_is_checked_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("prices.toml");
    let check = || {
        let mut command = sandbox.tallyd("prices");
        command.arg("--check").arg(&file);
        command
    };
    let row = "[[models]]\nid = \"house-model-7b\"\ninput = \"0.40\"\noutput = \"1.60\"\ncache_write_5m = \"0.50\"\n\
               cache_write_1h = \"0.80\"\ncache_read = \"0.04\"\nsource = \"a test\"\n";
    fs::write(&file, row).expect("a price file can be written");
    let text = succeed(&mut check());
    assert!(text.contains("house-model-7b"), "{text}");
    fs::write(&file, row.replace("0.40", "cheap")).expect("a price file can be written");
    let told = fail(&mut check(), 8);
    for word in ["prices.toml:1", "house-model-7b", "input", "cheap"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    fs::remove_file(&file).expect("a price file can be removed");
    assert!(fail(&mut check(), 8).contains("prices.toml"));
    assert!(!sandbox.state().exists(), "checking opens no ledger");
}

#[test]
fn completions_and_man_pages_work_whatever_the_settings_are() {
    let sandbox = Sandbox::new();
    let broken = |arguments: &[&str]| {
        let mut command = sandbox.bare();
        command.env("TALLYD_LOG", "thunderous").env_remove("HOME").args(arguments);
        succeed(&mut command)
    };
    let script = broken(&["completions", "bash"]);
    assert!(script.starts_with("_tallyd() {") && script.contains("complete -F _tallyd"), "{script}");
    let page = broken(&["man"]);
    for command in COMMANDS {
        assert!(script.contains(command), "{command} in the completions");
        assert!(page.contains(&format!("tallyd\\-{command}(1)")), "{command} in the man page: {page}");
    }
    let pages = sandbox.path("man1");
    broken(&["man", "--dir", &pages.to_string_lossy()]);
    // And a page for each of the four things that `service` does.
    assert_eq!(files_below(&pages).len(), COMMANDS.len() + 1 + 4);
}

#[test]
fn every_command_has_help_that_names_it() {
    let sandbox = Sandbox::new();
    for command in COMMANDS {
        let text = succeed(sandbox.bare().env_remove("HOME").args([command, "--help"]));
        for part in [&format!("Usage: tallyd {command}"), "Examples:", "--state-dir"] {
            assert!(text.contains(part), "{command} --help lacks {part:?}: {text}");
        }
    }
    let text = succeed(sandbox.bare().arg("--help"));
    for command in COMMANDS {
        assert!(text.contains(&format!("\n  {command} ")), "--help lacks {command}: {text}");
    }
}
