//! tallyd as a service: its units, its word to the service manager, the command that installs it, its log in the
//! journal.
#![cfg(test)]

mod command;
mod journal;
mod notify;
mod units;

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a program is on the path; says so where it is not, and the test is left out.
fn is_there(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        println!("skipped: no {program} on this machine");
    }
    is_there
}

/// Puts a script where a program of this name is looked for.
fn fake(folder: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(folder).expect("a folder can be made");
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}")).expect("a script can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode can be set");
}
