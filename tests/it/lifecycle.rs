//! From start to end: without logs, without a home, switched off, signalled, beside another daemon, on a
//! ledger from the future; and who may read what the state folder holds.
#![cfg(test)]

use crate::logs::Tree;
use crate::process::{Daemon, Sandbox, fail, files_below, reply, succeed, text};
use crate::truth::{MODELS, Model, UNPRICED};
use pretty_assertions::assert_eq;
use rusqlite::Connection;
use rust_decimal::Decimal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A sandbox with a few sessions in it.
fn with_logs(seed: u64) -> (Sandbox, Tree) {
    let (sandbox, tree) = (Sandbox::new(), Tree::generate(seed, 4));
    tree.write(&sandbox.projects());
    (sandbox, tree)
}

/// Adds a tree's logs and waits until they are counted beside the others.
fn add_and_count(sandbox: &Sandbox, there: &Tree, seed: u64) {
    let more = Tree::generate(seed, 2);
    more.write(&sandbox.projects());
    let mut truth = there.truth();
    truth.hear(more.lines.iter().flat_map(|line| &line.says));
    assert_eq!(sandbox.settled(&truth.account()), truth.account());
}

#[test]
fn without_logs_it_says_where_it_looked() {
    let sandbox = Sandbox::new();
    let output = sandbox.tallyd("scan").output().expect("tallyd runs");
    let told = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains(&*sandbox.claude().to_string_lossy()), "{told}");
    let report = sandbox.tallyd("daily").output().expect("tallyd runs");
    let warned = text(&report.stderr);
    assert!(warned.contains(&*sandbox.claude().to_string_lossy()), "{warned}");
    assert_eq!(sandbox.account().messages(), 0);
    assert!(sandbox.report("daily").contains(r#""daily""#));
}

#[test]
fn logs_that_come_later_are_picked_up() {
    let sandbox = Sandbox::new();
    let daemon = Daemon::following(&sandbox);
    add_and_count(&sandbox, &Tree::default(), 21);
    daemon.stop();
}

#[test]
fn without_a_home_it_says_what_to_set() {
    let sandbox = Sandbox::new();
    for subcommand in ["run", "scan", "daily"] {
        let told = fail(sandbox.bare().env("HOME", "/nonexistent").arg(subcommand), 4);
        assert!(told.contains("--state-dir") && told.contains("TALLYD_STATE_DIR"), "{subcommand}: {told}");
    }
}

#[test]
fn without_a_home_it_works_with_what_is_set() {
    let (sandbox, tree) = with_logs(22);
    let mut by_flag = sandbox.tallyd("scan");
    succeed(by_flag.env("HOME", "/nonexistent"));
    let mut by_environment = sandbox.bare();
    by_environment.env_remove("HOME").env("CLAUDE_CONFIG_DIR", sandbox.claude());
    succeed(by_environment.env("TALLYD_STATE_DIR", sandbox.state()).arg("scan"));
    assert_eq!(sandbox.account(), tree.truth().account());
}

#[test]
fn switched_off_it_stays_up_and_touches_nothing() {
    let (sandbox, _) = with_logs(23);
    let mut daemon = Daemon::start(sandbox.tallyd("run").env("TOKEN_TRACKING_ENABLED", "false"));
    daemon.wait_for("token_tracking_enabled");
    Tree::generate(24, 2).write(&sandbox.projects());
    daemon.signal("HUP");
    daemon.wait_for("reload");
    assert!(daemon.is_running());
    let told = daemon.stop();
    let said = told.iter().filter(|line| line.contains("TOKEN_TRACKING_ENABLED")).count();
    assert_eq!(said, 1, "{told:#?}");
    assert_eq!(files_below(&sandbox.state()), Vec::<PathBuf>::new());
}

#[test]
fn term_and_int_end_it_in_order() {
    for signal in ["TERM", "INT"] {
        let (sandbox, tree) = with_logs(25);
        let mut daemon = Daemon::following(&sandbox);
        daemon.signal(signal);
        assert_eq!(daemon.exit_code(), Some(0), "{signal}: {}", daemon.told.join("\n"));
        assert_eq!(sandbox.account(), tree.truth().account());
        sandbox.check_integrity();
    }
}

#[test]
fn hup_reloads_and_a_wrong_config_ends_nothing() {
    let (sandbox, tree) = with_logs(26);
    let config = sandbox.path("tallyd.toml");
    fs::write(&config, "[log]\nlevel = \"info\"\n").expect("a config can be written");
    let mut daemon = Daemon::start(sandbox.tallyd("run").arg("--config").arg(&config));
    daemon.wait_for("following");
    fs::write(&config, "[log]\nlevel = \"thunderous\"\n").expect("a config can be written");
    daemon.signal("HUP");
    daemon.wait_for("thunderous");
    fs::write(&config, "[log]\nlevel = \"info\"\n").expect("a config can be written");
    daemon.signal("HUP");
    daemon.wait_for("reload");
    add_and_count(&sandbox, &tree, 27);
    daemon.stop();
}

#[test]
fn hup_reprices_what_is_in_the_ledger() {
    let (sandbox, tree) = with_logs(32);
    let prices = sandbox.path("prices.toml");
    fs::write(&prices, prices_times(1)).expect("prices can be written");
    let mut daemon = Daemon::start(sandbox.tallyd("run").arg("--prices").arg(&prices));
    daemon.wait_for("following");
    assert_eq!(sandbox.account(), tree.truth().account());
    fs::write(&prices, prices_times(3)).expect("prices can be written");
    daemon.signal("HUP");
    let dearer = tree.truth().account().at_prices_times(3);
    assert_eq!(sandbox.settled(&dearer), dearer);
    daemon.stop();
}

#[test]
fn hup_with_fewer_folders_counts_nothing_of_those_that_were_dropped() {
    let sandbox = Sandbox::new();
    let config = sandbox.path("tallyd.toml");
    let follow = |folders: &[&str]| {
        fs::write(&config, format!("claude_dirs = {folders:?}\n")).expect("a config can be written");
    };
    let write = |folder: &str, id: &str| {
        let projects = sandbox.path(folder).join("projects/-p");
        fs::create_dir_all(&projects).expect("a folder can be made");
        fs::write(projects.join(format!("{id}.jsonl")), reply(id)).expect("a log can be written");
    };
    write("kept", "A");
    write("dropped", "B");
    follow(&["kept", "dropped"]);
    let mut command = sandbox.bare();
    command.arg("run").arg("--config").arg(&config).arg("--state-dir").arg(sandbox.state());
    let mut daemon = Daemon::start(&mut command);
    daemon.wait_for("following");
    assert_eq!(sandbox.responses(), 2);
    follow(&["kept"]);
    daemon.signal("HUP");
    daemon.wait_for("reloaded");
    for number in 0..5 {
        write("dropped", &format!("stranger{number}"));
        write("kept", &format!("own{number}"));
        sandbox.wait_for_responses(3 + number);
    }
    daemon.stop();
    assert_eq!(sandbox.responses(), 7);
}

/// A price file for the generator's models.
fn prices_times(factor: u64) -> String {
    let row = |model: &Model| {
        let price =
            model.price.map(|picodollars| Decimal::from(picodollars * factor) / Decimal::from(1_000_000));
        let [input, output, short, long, read] = price;
        format!(
            "[[models]]\nid = \"{}\"\ninput = \"{input}\"\noutput = \"{output}\"\ncache_write_5m = \"{short}\"\n\
             cache_write_1h = \"{long}\"\ncache_read = \"{read}\"\nsource = \"a test\"\n",
            model.name
        )
    };
    MODELS[..UNPRICED].iter().map(row).collect()
}

#[test]
fn one_daemon_a_ledger() {
    let (sandbox, tree) = with_logs(28);
    let daemon = Daemon::following(&sandbox);
    let told = fail(&mut sandbox.tallyd("run"), 5);
    assert!(told.contains("another"), "{told}");
    let beside = succeed(sandbox.tallyd("daily").args(["--json", "--timezone", "UTC"]));
    assert_eq!(crate::truth::rows(&beside, "daily"), tree.truth().account().days);
    add_and_count(&sandbox, &tree, 29);
    daemon.stop();
    sandbox.scan();
}

#[test]
fn a_ledger_from_the_future_is_refused() {
    let (sandbox, _) = with_logs(30);
    sandbox.scan();
    let ledger =
        Connection::open(sandbox.ledger().expect("a scan makes a ledger")).expect("the ledger opens");
    ledger.pragma_update(None, "user_version", 999).expect("a version can be set");
    drop(ledger);
    let before = fs::read(sandbox.ledger().expect("is there")).expect("can be read");
    for subcommand in ["run", "scan", "daily"] {
        let told = fail(&mut sandbox.tallyd(subcommand), 6);
        assert!(told.contains("newer"), "{subcommand}: {told}");
    }
    assert!(
        fs::read(sandbox.ledger().expect("is there")).expect("can be read") == before,
        "the ledger was changed"
    );
}

#[test]
fn nobody_else_reads_the_state_folder() {
    let (sandbox, _) = with_logs(31);
    let mut daemon = Daemon::start(&mut sandbox.tallyd_without_umask("run"));
    daemon.wait_for("following");
    check_modes(&sandbox.state());
    daemon.stop();
    succeed(&mut sandbox.tallyd_without_umask("scan"));
    check_modes(&sandbox.state());
}

fn check_modes(state: &Path) {
    let files = files_below(state);
    assert!(!files.is_empty(), "nothing in {}", state.display());
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    for file in &files {
        assert_eq!(format!("{:o}", mode(file)), "600", "{}", file.display());
        assert_eq!(
            format!("{:o}", mode(file.parent().expect("is in a folder"))),
            "700",
            "{}",
            file.display()
        );
    }
    assert_eq!(format!("{:o}", mode(state)), "700");
}
