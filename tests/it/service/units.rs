//! The units as systemd itself judges them.
#![cfg(test)]

use super::{is_there, root};
use crate::process::{Sandbox, succeed, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The units, and the most that `systemd-analyze security` may find wrong with each, in tenths. A user's manager
/// cannot take away what needs namespaces or capabilities.
const UNITS: [(&str, &str, u32); 2] =
    [("system/tallyd@.service", "", 20), ("user/tallyd.service", "--user", 65)];

/// A unit whose program is there, in a folder of the sandbox, under its own name.
fn placed(sandbox: &Sandbox, unit: &str) -> PathBuf {
    let shipped = fs::read_to_string(root().join("systemd").join(unit)).expect("the unit is there");
    let (folder, name) = unit.split_once('/').expect("a folder and a name");
    fs::create_dir_all(sandbox.path(folder)).expect("a folder can be made");
    // A template is looked at as a unit of it.
    let path = sandbox.path(folder).join(name.replace('@', "@root"));
    let own = shipped.replace("/usr/bin/tallyd", env!("CARGO_BIN_EXE_tallyd"));
    assert_ne!(own, shipped, "{unit} starts /usr/bin/tallyd");
    fs::write(&path, own).expect("a unit can be written");
    path
}

fn analyze(sandbox: &Sandbox, arguments: &[&str], unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg("--no-pager").arg(unit).env("XDG_RUNTIME_DIR", sandbox.path("home"));
    command.output().expect("systemd-analyze runs")
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    if !is_there("systemd-analyze") {
        return;
    }
    let sandbox = Sandbox::new();
    for (unit, whose, _) in UNITS {
        let whose: Vec<&str> = [whose].into_iter().filter(|flag| !flag.is_empty()).collect();
        let verified = analyze(&sandbox, &[&["verify"], &whose[..]].concat(), &placed(&sandbox, unit));
        let told = text(&verified.stdout) + &text(&verified.stderr);
        assert!(verified.status.success() && told.is_empty(), "{unit}: {}\n{told}", verified.status);
    }
}

#[test]
fn the_units_take_away_what_tallyd_does_not_need() {
    if !is_there("systemd-analyze") {
        return;
    }
    let sandbox = Sandbox::new();
    for (unit, whose, most) in UNITS {
        let threshold = format!("--threshold={most}");
        let whose: Vec<&str> = [whose].into_iter().filter(|flag| !flag.is_empty()).collect();
        let arguments = [&["security", "--offline=yes", &threshold], &whose[..]].concat();
        let judged = analyze(&sandbox, &arguments, &placed(&sandbox, unit));
        let told = text(&judged.stdout) + &text(&judged.stderr);
        assert!(told.contains("Overall exposure level"), "{unit}: {told}");
        assert!(judged.status.success(), "{unit} above {most} tenths:\n{told}");
    }
}

/// The codes after which the units do not start it again, against those that a person has to mend.
#[test]
fn a_restart_is_not_tried_where_it_cannot_help() {
    for (unit, _, _) in UNITS {
        let shipped = fs::read_to_string(root().join("systemd").join(unit)).expect("the unit is there");
        assert!(shipped.contains("\nRestartPreventExitStatus=2 3 6 8\n"), "{unit}");
    }
    let sandbox = Sandbox::new();
    crate::process::fail(sandbox.tallyd("run").arg("--no-such-flag"), 2);
    crate::process::fail(sandbox.tallyd("run").env("TALLYD_LEDGER_BACKUP", "perhaps"), 3);
    let prices = sandbox.path("prices.toml");
    fs::write(&prices, "prices = 1\n").expect("a file can be written");
    crate::process::fail(sandbox.tallyd("run").arg("--prices").arg(prices), 8);
}

/// Every name by which a credential is looked for is loaded, and each may be missing: no path, but a name.
#[test]
fn every_credential_is_loaded_and_none_has_to_be_there() {
    let shipped =
        fs::read_to_string(root().join("systemd/system/tallyd@.service")).expect("the unit is there");
    let names = fs::read_to_string(root().join("src/config/publish/names.rs")).expect("the source is there");
    let known = names.lines().filter_map(|line| line.split_once("credential: \"")).map(|(_, rest)| rest);
    // The key of Anthropic's Admin APIs is for `reconcile`, which is no service.
    let mut known: Vec<&str> = known
        .filter_map(|rest| rest.split('"').next())
        .filter(|name| *name != "anthropic_admin_key")
        .collect();
    let mut loaded: Vec<&str> = Vec::new();
    for (name, source) in
        shipped.lines().filter_map(|line| line.strip_prefix("LoadCredential=")?.split_once(':'))
    {
        assert_eq!(source, format!("tallyd.%i.{name}"));
        loaded.push(name);
    }
    known.sort_unstable();
    loaded.sort_unstable();
    assert_eq!(loaded, known);
    assert_eq!(loaded.len(), 8);
}

#[test]
fn the_unit_that_is_installed_passes_as_well() {
    if !is_there("systemd-analyze") {
        return;
    }
    let sandbox = Sandbox::new();
    let odd = sandbox.path("a b%h$HOME'\"\\c");
    fs::create_dir_all(&odd).expect("a folder can be made");
    let mut command = sandbox.bare();
    command.args(["service", "install", "--dry-run", "--state-dir"]).arg(&odd);
    let told = succeed(&mut command);
    let unit: String = told
        .lines()
        .filter_map(|line| line.strip_prefix("          "))
        .flat_map(|line| [line, "\n"])
        .collect();
    let path = sandbox.path("tallyd.service");
    fs::write(&path, &unit).expect("a unit can be written");
    let verified = analyze(&sandbox, &["verify", "--user"], &path);
    let said = text(&verified.stdout) + &text(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}\n{unit}");
}
