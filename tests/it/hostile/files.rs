//! Files that are none, links, files that cannot be read: told of once, never waited for, and no other log
//! suffers. The daemon is made to look again by SIGHUP, so that nothing depends on when it would.
#![cfg(test)]

use crate::process::{Daemon, Sandbox, eventually, fail, reply, succeed};
use pretty_assertions::assert_eq;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

fn make_pipe(path: &Path) {
    succeed(Command::new("mkfifo").arg(path));
}

/// Makes the daemon look at everything.
fn look_again(daemon: &mut Daemon) {
    daemon.signal("HUP");
    daemon.wait_for("reloaded");
}

fn times_told(told: &[String], what: &[&str]) -> usize {
    told.iter().filter(|line| what.iter().all(|part| line.contains(part))).count()
}

#[test]
fn what_is_no_file_is_told_of_once_and_the_other_logs_count() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    let project = sandbox.projects().join("-p");
    make_pipe(&project.join("pipe.jsonl"));
    let _socket = UnixListener::bind(project.join("socket.jsonl")).expect("a socket can be made");
    symlink("/dev/zero", project.join("zero.jsonl")).expect("a link can be made");
    symlink("/proc/self/maps", project.join("maps.jsonl")).expect("a link can be made");
    let mut names = vec!["pipe.jsonl", "socket.jsonl", "zero.jsonl", "maps.jsonl"];
    let device = Command::new("mknod").arg(project.join("device.jsonl")).args(["c", "1", "5"]).output();
    if device.is_ok_and(|output| output.status.success()) {
        names.push("device.jsonl");
    } else {
        println!("skipped: a device cannot be made here");
    }
    fs::create_dir(project.join("folder.jsonl")).expect("a folder can be made");
    fs::write(project.join("folder.jsonl/inner.jsonl"), reply("B")).expect("a log can be written");
    let mut daemon = Daemon::following(&sandbox);
    assert_eq!(sandbox.responses(), 2);
    // Made while it follows: told of when it is made.
    make_pipe(&project.join("late.jsonl"));
    daemon.wait_for("late.jsonl");
    names.push("late.jsonl");
    for number in 0..3 {
        look_again(&mut daemon);
        sandbox.write_log(
            "-p/more.jsonl",
            &(0..=number).map(|n| reply(&format!("more{n}"))).collect::<String>(),
        );
        sandbox.wait_for_responses(3 + number);
    }
    // A log in the place of a pipe is a log.
    fs::remove_file(project.join("pipe.jsonl")).expect("a pipe can be removed");
    sandbox.write_log("-p/pipe.jsonl", &reply("C"));
    sandbox.wait_for_responses(6);
    let told = daemon.stop();
    for name in names {
        assert_eq!(times_told(&told, &["WARN", name, "is no session log"]), 1, "{name}: {told:#?}");
    }
    assert_eq!(times_told(&told, &["folder.jsonl"]), 0, "{told:#?}");
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), 6);
}

#[test]
fn one_log_under_many_names_counts_once() {
    let sandbox = Sandbox::new();
    let project = sandbox.projects().join("-p");
    sandbox.write_log("-p/s.jsonl", &reply("A"));
    let log = project.join("s.jsonl");
    fs::hard_link(&log, project.join("hard.jsonl")).expect("a second name can be made");
    symlink(&log, project.join("soft.jsonl")).expect("a link can be made");
    symlink(&project, sandbox.projects().join("-other-way")).expect("a link can be made");
    symlink(sandbox.projects(), project.join("round")).expect("a link can be made");
    symlink("round-and-round.jsonl", project.join("round-and-round.jsonl")).expect("a link can be made");
    symlink("/nonexistent/s.jsonl", project.join("nowhere.jsonl")).expect("a link can be made");
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), 1);
    let config = sandbox.path("tallyd.toml");
    fs::write(&config, "[follow]\npoll_seconds = 1\n").expect("a config can be written");
    let mut daemon = Daemon::start(sandbox.tallyd("run").arg("--config").arg(&config));
    daemon.wait_for("following");
    for (number, name) in ["s.jsonl", "hard.jsonl", "soft.jsonl", "round/-p/s.jsonl"].into_iter().enumerate()
    {
        let mut file = fs::File::options().append(true).open(project.join(name)).expect("a name of the log");
        file.write_all(reply(&format!("B{number}")).as_bytes()).expect("a line can be written");
        sandbox.wait_for_responses(u64::try_from(number).expect("fits") + 2);
    }
    daemon.stop();
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), 5);
}

#[test]
fn a_log_that_is_replaced_by_rename_again_and_again_counts_every_version_once() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/s.jsonl", &reply("0"));
    let daemon = Daemon::following(&sandbox);
    let log = sandbox.projects().join("-p/s.jsonl");
    for number in 1..6_u64 {
        let temporary = log.with_extension("tmp");
        // The one before last is gone from the file, the last one stays.
        let lines = reply(&format!("{}", number - 1)) + &reply(&format!("{number}"));
        fs::write(&temporary, lines).expect("a file can be written");
        fs::rename(&temporary, &log).expect("a log can be replaced");
        sandbox.wait_for_responses(number + 1);
    }
    daemon.stop();
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), 6);
}

/// Starts a program with the rights of an ordinary user: root would read what it may not.
fn launcher() -> Option<&'static [&'static str]> {
    const WITHOUT_RIGHTS: &[&str] = &["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
    let is_enough = |launcher: &[&str]| {
        let closed = tempfile::NamedTempFile::new().expect("a file can be made");
        fs::set_permissions(closed.path(), Permissions::from_mode(0o000)).expect("its mode can be set");
        let (program, arguments) = launcher.split_first().expect("a program");
        let tried = Command::new(program).args(arguments).arg("cat").arg(closed.path()).output();
        let works = Command::new(program).args(arguments).arg("true").output();
        tried.is_ok_and(|tried| !tried.status.success()) && works.is_ok_and(|works| works.status.success())
    };
    [&["env"][..], WITHOUT_RIGHTS].into_iter().find(|launcher| is_enough(launcher))
}

#[test]
fn a_log_that_may_not_be_read_is_told_of_once_and_counts_when_it_may() {
    let Some(launcher) = launcher() else {
        println!("skipped: nothing here runs a program without root's rights");
        return;
    };
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/open.jsonl", &reply("A"));
    sandbox.write_log("-p/closed.jsonl", &reply("B"));
    sandbox.write_log("-closed/s.jsonl", &reply("C"));
    let (log, folder) = (sandbox.projects().join("-p/closed.jsonl"), sandbox.projects().join("-closed"));
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode can be set");
    };
    allow(&log, 0o000);
    allow(&folder, 0o000);
    let mut daemon = Daemon::start(&mut sandbox.tallyd_under(launcher, "run"));
    daemon.wait_for("following");
    assert_eq!(sandbox.responses(), 1, "the others count");
    for _ in 0..3 {
        look_again(&mut daemon);
    }
    let metrics = || succeed(&mut sandbox.tallyd("metrics"));
    eventually("the metric tells of it", || metrics().contains("\ntallyd_unreadable_logs 1\n"));
    let checked = succeed_or_not(&mut sandbox.tallyd("check"));
    assert!(checked.contains("wrong    logs        1 session log could not be read"), "{checked}");
    allow(&log, 0o600);
    sandbox.wait_for_responses(2);
    eventually("the metric is back", || metrics().contains("\ntallyd_unreadable_logs 0\n"));
    allow(&folder, 0o700);
    sandbox.wait_for_responses(3);
    let told = daemon.stop();
    assert_eq!(times_told(&told, &["WARN", "closed.jsonl", "cannot be read", "denied"]), 1, "{told:#?}");
    assert_eq!(times_told(&told, &["WARN", "-closed", "cannot be listed"]), 1, "{told:#?}");
    sandbox.scan();
    assert_eq!(sandbox.account().messages(), 3);
}

/// What a check prints on stdout; it may end with any code.
fn succeed_or_not(command: &mut Command) -> String {
    crate::process::text(&command.output().expect("tallyd runs").stdout)
}

#[test]
fn settings_and_prices_that_never_end_are_refused() {
    let sandbox = Sandbox::new();
    let told = fail(sandbox.tallyd("daily").args(["--config", "/dev/zero"]), 3);
    assert!(told.contains("/dev/zero") && told.contains("larger than"), "{told}");
    let told = fail(sandbox.tallyd("daily").args(["--prices", "/dev/zero"]), 8);
    assert!(told.contains("/dev/zero") && told.contains("larger than"), "{told}");
}

#[test]
fn a_root_that_is_unmounted_and_back_takes_nothing_away() {
    let sandbox = Sandbox::new();
    sandbox.write_log("-p/below.jsonl", &reply("below"));
    let other = sandbox.path("other/-p");
    fs::create_dir_all(&other).expect("a folder can be made");
    fs::write(other.join("s.jsonl"), reply("A")).expect("a log can be written");
    let config = sandbox.path("tallyd.toml");
    fs::write(&config, "[follow]\nrescan_seconds = 1\n").expect("a config can be written");
    // A mount of its own, which ends with the process.
    let mount =
        format!("mount --bind '{}' '{}'", sandbox.path("other").display(), sandbox.projects().display());
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    let spaces = ["unshare", "--mount", "--map-root-user", "--propagation", "private"];
    let works = Command::new(spaces[0]).args(&spaces[1..]).args(["sh", "-c", &mount]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        println!("skipped: nothing can be mounted here");
        return;
    }
    let launcher = [&spaces[..], &["sh", "-c", &script]].concat();
    let mut daemon = Daemon::start(sandbox.tallyd_under(&launcher, "run").arg("--config").arg(&config));
    daemon.wait_for("following");
    assert_eq!(sandbox.responses(), 1);
    let inside = |command: &str| {
        let target = daemon.id().to_string();
        let enter = ["--target", &target, "--mount", "--user", "--preserve-credentials", "sh", "-c", command];
        succeed(Command::new("nsenter").args(enter));
    };
    inside(&format!("umount --lazy '{}'", sandbox.projects().display()));
    sandbox.wait_for_responses(2);
    fs::write(other.join("t.jsonl"), reply("B")).expect("a log can be written");
    inside(&mount);
    sandbox.wait_for_responses(3);
    let mut log = fs::File::options().append(true).open(other.join("s.jsonl")).expect("the log is there");
    log.write_all(reply("C").as_bytes()).expect("a line can be written");
    sandbox.wait_for_responses(4);
    daemon.stop();
    assert_eq!(sandbox.account().messages(), 4);
}
