//! The state folder: whatever the umask, whoever made it, whatever lies in it.
#![cfg(test)]

use crate::process::{Daemon, Sandbox, fail, files_below, reply, succeed};
use pretty_assertions::assert_eq;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    sandbox
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode can be set");
}

/// The exit code of a command that should refuse, and what it says: a daemon that does not is given up.
fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let mut daemon = Daemon::start(command);
    let code = daemon.exit_code();
    (code, daemon.told.join("\n"))
}

/// Everything in the state folder is its user's alone.
fn assert_own(state: &Path) {
    let files = files_below(state);
    assert!(files.len() >= 2, "a ledger and its lock: {files:?}");
    for file in &files {
        assert_eq!(format!("{:o}", mode(file)), "600", "{}", file.display());
    }
}

#[test]
fn whatever_the_umask_nobody_else_reads_what_is_made() {
    for umask in ["000", "022", "077"] {
        let sandbox = sandbox();
        for subcommand in ["run", "scan", "daily"] {
            let mut command = sandbox.tallyd_after(&format!("umask {umask}"), subcommand);
            if subcommand == "run" {
                let mut daemon = Daemon::start(&mut command);
                daemon.wait_for("following");
                assert_own(&sandbox.state());
                daemon.stop();
            } else {
                succeed(&mut command);
            }
            assert_own(&sandbox.state());
            assert_eq!(format!("{:o}", mode(&sandbox.state())), "700", "umask {umask}");
        }
    }
}

#[test]
fn a_folder_that_everybody_may_write_in_is_refused() {
    for bits in [0o777, 0o1777, 0o702] {
        let sandbox = sandbox();
        fs::create_dir(sandbox.state()).expect("a folder can be made");
        set_mode(&sandbox.state(), bits);
        for subcommand in ["run", "scan", "daily", "explain"] {
            let mut command = sandbox.tallyd(subcommand);
            let (code, told) = refusal(command.args((subcommand == "explain").then_some("msg_01A")));
            assert_eq!(code, Some(4), "{subcommand}: {told}");
            assert!(told.contains("everybody may write in it") && told.contains("chmod 700"), "{told}");
        }
        assert_eq!(files_below(&sandbox.state()), Vec::<std::path::PathBuf>::new(), "nothing is made in it");
        set_mode(&sandbox.state(), 0o700);
        sandbox.scan();
    }
}

#[test]
fn a_folder_of_another_user_is_refused() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.state()).expect("a folder can be made");
    let as_somebody = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"];
    let can_run = Command::new(as_somebody[0])
        .args(&as_somebody[1..])
        .args([env!("CARGO_BIN_EXE_tallyd"), "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    let is_given = Command::new("chown").arg("65534:65533").arg(sandbox.state()).status();
    if !can_run || !is_given.is_ok_and(|status| status.success()) {
        println!("skipped: nothing here can be given to another user");
        return;
    }
    // The group may write: what keeps this user out is that the owner is somebody else.
    set_mode(&sandbox.state(), 0o770);
    set_mode(&sandbox.path(""), 0o755);
    let told = fail(&mut sandbox.tallyd_under(&as_somebody, "scan"), 4);
    assert!(told.contains("belongs to another user (uid 65534)"), "{told}");
    assert_eq!(files_below(&sandbox.state()), Vec::<std::path::PathBuf>::new(), "nothing is made in it");
}

#[test]
fn a_folder_that_others_may_look_into_is_told_of_and_its_files_are_closed() {
    let sandbox = sandbox();
    sandbox.scan();
    let check = || {
        let output = sandbox.tallyd("check").output().expect("tallyd runs");
        crate::process::text(&output.stdout)
    };
    assert!(!check().contains("chmod 700"), "{}", check());
    set_mode(&sandbox.state(), 0o755);
    for file in files_below(&sandbox.state()) {
        set_mode(&file, 0o644);
    }
    let told = check();
    assert!(told.contains("others may look into the state folder") && told.contains("chmod 700"), "{told}");
    sandbox.scan();
    assert_own(&sandbox.state());
    assert_eq!(mode(&sandbox.state()), 0o755, "the folder is left as it was made");
}

#[test]
fn nothing_is_written_through_a_link_that_somebody_has_planted() {
    for name in ["lock", "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        for subcommand in ["run", "scan", "daily"] {
            let sandbox = sandbox();
            fs::create_dir(sandbox.state()).expect("a folder can be made");
            let (kept, missing) = (sandbox.path("kept"), sandbox.path("missing"));
            fs::write(&kept, "precious").expect("a file can be written");
            for target in [&kept, &missing] {
                let link = sandbox.state().join(name);
                let _ = fs::remove_file(&link);
                symlink(target, &link).expect("a link can be made");
                let (ended, told) = refusal(&mut sandbox.tallyd(subcommand));
                // A report says so, and shows what the ledger has: here, nothing.
                let code = if subcommand == "daily" && name == "lock" { 7 } else { 4 };
                assert_eq!(ended, Some(code), "{subcommand}, {name}: {told}");
                assert!(told.contains(name) && told.contains("symbolic link"), "{told}");
            }
            assert_eq!(fs::read(&kept).expect("is there"), b"precious");
            assert!(!missing.exists(), "{name}");
        }
    }
}

#[test]
fn a_state_folder_may_itself_be_a_link() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("disk")).expect("a folder can be made");
    symlink(sandbox.path("disk"), sandbox.state()).expect("a link can be made");
    let daemon = Daemon::following(&sandbox);
    sandbox.write_log("-p/t.jsonl", &reply("B"));
    sandbox.wait_for_responses(2);
    daemon.stop();
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), 2);
    assert_own(&sandbox.path("disk"));
}
