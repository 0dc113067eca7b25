//! `tallyd service` beside a systemd that is made of scripts: what is written, run and said; what the scripts are given
//! of the environment.
#![cfg(test)]

use super::fake;
use crate::process::{Sandbox, fail, succeed, text};
use pretty_assertions::assert_eq;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const CANARY: &str = "sb_secret_CANARYserviceoriole";

/// A machine on which systemctl, loginctl and journalctl write down what they are asked.
struct Machine {
    sandbox: Sandbox,
}

impl Machine {
    /// With a user's service manager that takes everything, and lingering as said.
    fn new(linger: &str) -> Self {
        let machine = Self { sandbox: Sandbox::new() };
        let note = "printf '%s' \"$(basename \"$0\")\" >> \"$HOME/asked\"; printf ' %s' \"$@\" >> \"$HOME/asked\"; \
                    echo >> \"$HOME/asked\"; env >> \"$HOME/environment\"\n";
        machine.fake(
            "systemctl",
            &format!("{note}[ ! -e \"$HOME/refuse-$2\" ] || {{ echo refused >&2; exit 3; }}\n"),
        );
        machine.fake("loginctl", &format!("{note}echo {linger}\n"));
        machine.fake("journalctl", &format!("{note}echo the journal\n"));
        machine
    }

    /// Without any of them.
    fn without_systemd() -> Self {
        let machine = Self { sandbox: Sandbox::new() };
        fs::create_dir_all(machine.sandbox.path("bin")).expect("a folder can be made");
        machine
    }

    fn fake(&self, name: &str, script: &str) {
        fake(&self.sandbox.path("bin"), name, &format!("PATH=/usr/bin:/bin\n{script}"));
    }

    /// `tallyd service` with these arguments, as the user dev.
    fn service(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.bare();
        command.env("PATH", self.sandbox.path("bin")).env("USER", "dev").arg("service").args(arguments);
        command
    }

    fn unit(&self) -> PathBuf {
        self.sandbox.path("home/.config/systemd/user/tallyd.service")
    }

    /// What the scripts were asked since the last look.
    fn asked(&self) -> Vec<String> {
        let path = self.sandbox.path("home/asked");
        let asked = fs::read_to_string(&path).unwrap_or_default();
        drop(fs::remove_file(path));
        asked.lines().map(str::to_owned).collect()
    }
}

const PROBE: &str = "systemctl --user show --property=Version";
const LINGER: &str = "loginctl show-user dev --property=Linger --value";

#[test]
fn install_writes_the_unit_and_starts_it_and_says_each_step() {
    let machine = Machine::new("no");
    let told =
        succeed(&mut machine.service(&["install", "--claude-dir", "logs here", "--log-level", "warn"]));
    let unit = fs::read_to_string(machine.unit()).expect("the unit is written");
    let logs = machine.sandbox.path("logs here");
    let line = format!(
        "ExecStart={} run --claude-dir \"{}\" --log-level warn",
        env!("CARGO_BIN_EXE_tallyd"),
        logs.display()
    );
    assert!(unit.lines().any(|has| has == line), "{line}\n{unit}");
    let reload = "systemctl --user daemon-reload";
    let enable = "systemctl --user enable --now tallyd.service";
    assert_eq!(machine.asked(), [PROBE, reload, enable, LINGER]);
    let written = format!("writes    {}", machine.unit().display());
    for line in [&*written, "runs      systemctl --user daemon-reload"] {
        assert!(told.lines().any(|has| has == line), "{line}\n{told}");
    }
    assert!(told.contains("`loginctl enable-linger dev`"), "{told}");
}

#[test]
fn install_again_changes_nothing_and_other_flags_start_it_anew() {
    let machine = Machine::new("yes");
    let first = succeed(&mut machine.service(&["install"]));
    assert!(!first.contains("linger"), "{first}");
    machine.asked();
    let before = fs::read(machine.unit()).expect("the unit is there");
    let told = succeed(&mut machine.service(&["install"]));
    assert!(told.contains("is there  "), "{told}");
    assert_eq!(fs::read(machine.unit()).expect("the unit is there"), before);
    assert_eq!(machine.asked()[2], "systemctl --user enable --now tallyd.service");
    succeed(&mut machine.service(&["install", "--log-format", "json"]));
    let asked = machine.asked();
    assert_eq!(
        asked[2..4],
        ["systemctl --user enable tallyd.service", "systemctl --user restart tallyd.service"]
    );
}

#[test]
fn uninstall_takes_away_what_install_wrote_and_leaves_the_ledger() {
    let machine = Machine::new("yes");
    machine.sandbox.write_log("-p/s.jsonl", &crate::process::reply("A"));
    machine.sandbox.scan();
    succeed(&mut machine.service(&["install"]));
    let drop_in = machine.unit().with_extension("service.d").join("own.conf");
    fs::create_dir_all(drop_in.parent().expect("is in a folder")).expect("a folder can be made");
    fs::write(&drop_in, "[Service]\nNice=0\n").expect("a drop-in can be written");
    machine.asked();
    let mut command = machine.service(&["uninstall", "--state-dir"]);
    let told = succeed(command.arg(machine.sandbox.state()));
    let expected = [
        PROBE,
        "systemctl --user disable --now tallyd.service",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed --quiet tallyd.service",
    ];
    assert_eq!(machine.asked(), expected);
    assert!(!machine.unit().exists() && drop_in.exists());
    let stays = format!("stays     the ledger in {}", machine.sandbox.state().display());
    assert!(told.contains(&stays), "{told}");
    assert_eq!(machine.sandbox.responses(), 1);
    let again = succeed(&mut machine.service(&["uninstall"]));
    assert!(again.contains("is not there"), "{again}");
    assert_eq!(machine.asked(), Vec::<String>::new());
}

#[test]
fn a_dry_run_touches_nothing_and_asks_nobody() {
    let machine = Machine::new("no");
    let told = succeed(&mut machine.service(&["install", "--dry-run"]));
    assert!(told.contains("Type=notify") && told.contains("daemon-reload"), "{told}");
    assert!(!machine.unit().exists());
    succeed(&mut machine.service(&["install"]));
    machine.asked();
    let told = succeed(&mut machine.service(&["uninstall", "--dry-run"]));
    assert!(told.contains("removes   ") && machine.unit().exists(), "{told}");
    assert_eq!(machine.asked(), Vec::<String>::new());
}

#[test]
fn what_it_did_not_write_it_neither_replaces_nor_removes() {
    let machine = Machine::new("yes");
    let folder = machine.unit().parent().expect("is in a folder").to_owned();
    fs::create_dir_all(&folder).expect("a folder can be made");
    let elsewhere = machine.sandbox.path("elsewhere");
    fs::write(&elsewhere, "[Service]\n").expect("a file can be written");
    for is_link in [false, true] {
        drop(fs::remove_file(machine.unit()));
        if is_link {
            std::os::unix::fs::symlink(&elsewhere, machine.unit()).expect("a link can be made");
        } else {
            fs::copy(&elsewhere, machine.unit()).expect("a file can be copied");
        }
        for action in ["install", "uninstall"] {
            let told = fail(&mut machine.service(&[action]), 2);
            assert!(told.contains("was not written by"), "{told}");
        }
        assert_eq!(machine.asked(), Vec::<String>::new());
        succeed(&mut machine.service(&["install", "--force"]));
        machine.asked();
        assert!(!machine.unit().is_symlink());
        assert_eq!(fs::read_to_string(&elsewhere).expect("is there"), "[Service]\n");
    }
}

#[test]
fn no_key_reaches_a_program_that_is_started() {
    let machine = Machine::new("no");
    for arguments in [&["install"][..], &["status"], &["logs", "-n", "3"], &["uninstall"]] {
        let mut command = machine.service(arguments);
        command
            .env("SUPABASE_URL", "https://abcdefghijklmnopqrst.supabase.co")
            .env("SUPABASE_SERVICE_KEY", CANARY);
        command.env("USER_ID", "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e").env("XDG_RUNTIME_DIR", "/run/user/7");
        command.env("NOTIFY_SOCKET", "/nobody").env("WATCHDOG_USEC", "1000000");
        let told = succeed(&mut command);
        assert!(!told.contains(CANARY), "{told}");
        if arguments == ["install"] {
            assert!(
                told.contains("SUPABASE_SERVICE_KEY, ") || told.contains(", SUPABASE_SERVICE_KEY"),
                "{told}"
            );
        }
    }
    let given = fs::read_to_string(machine.sandbox.path("home/environment")).expect("programs were started");
    for name in ["SUPABASE", "USER_ID", "CANARY", "NOTIFY_SOCKET", "WATCHDOG_USEC"] {
        assert!(!given.contains(name), "{name} in\n{given}");
    }
    assert!(given.contains("XDG_RUNTIME_DIR=/run/user/7\n") && given.contains("USER=dev\n"), "{given}");
    let unit = succeed(
        machine
            .service(&["install", "--dry-run"])
            .env("SUPABASE_SERVICE_KEY", CANARY)
            .env("SUPABASE_URL", "https://abcdefghijklmnopqrst.supabase.co")
            .env("USER_ID", "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e"),
    );
    assert!(!unit.contains(CANARY), "{unit}");
}

#[test]
fn without_a_service_manager_it_says_what_to_do_instead() {
    let machine = Machine::without_systemd();
    for action in ["install", "status"] {
        let told = fail(&mut machine.service(&[action]), 16);
        assert!(told.contains("no `systemctl`") && told.contains("`tallyd run`"), "{told}");
    }
    assert!(!machine.unit().exists(), "nothing is written where nobody reads it");
    let machine = Machine::new("no");
    machine.fake("systemctl", "echo 'Failed to connect to bus: No medium found' >&2; exit 1\n");
    let told = fail(&mut machine.service(&["install"]), 16);
    assert!(told.contains("Failed to connect to bus: No medium found"), "{told}");
    assert!(!machine.unit().exists());
}

#[test]
fn what_systemd_refuses_is_told_and_nothing_further_is_done() {
    let machine = Machine::new("no");
    fs::write(machine.sandbox.path("home/refuse-enable"), "").expect("a file can be written");
    let told = fail(&mut machine.service(&["install"]), 16);
    assert!(told.contains("`systemctl --user enable --now tallyd.service` has failed"), "{told}");
    assert!(!machine.asked().iter().any(|line| line.starts_with("loginctl")));
    succeed(&mut machine.service(&["uninstall"]));
}

#[test]
fn wrong_settings_are_found_before_anything_is_written() {
    let machine = Machine::new("no");
    fail(machine.service(&["install"]).env("TOKEN_TRACKING_ENABLED", "perhaps"), 3);
    fail(machine.service(&["install"]).env("SUPABASE_URL", "ftp://nowhere"), 3);
    assert!(!machine.unit().exists());
    assert_eq!(machine.asked(), Vec::<String>::new());
    // What looks after the service works all the same.
    succeed(machine.service(&["logs"]).env("TOKEN_TRACKING_ENABLED", "perhaps"));
}

#[test]
fn status_and_logs_are_those_of_the_service_manager() {
    let machine = Machine::new("no");
    let told = succeed(&mut machine.service(&["status"]));
    assert!(told.contains("`tallyd check`"), "{told}");
    assert_eq!(machine.asked(), [PROBE, "systemctl --user status --no-pager tallyd.service"]);
    fs::write(machine.sandbox.path("home/refuse-status"), "").expect("a file can be written");
    let output = machine.service(&["status"]).output().expect("tallyd runs");
    assert_eq!(output.status.code(), Some(16), "{}", text(&output.stderr));
    machine.asked();
    let told = succeed(&mut machine.service(&["logs", "-f", "-n", "20"]));
    assert_eq!(told, "the journal\n");
    assert_eq!(machine.asked(), ["journalctl --user -u tallyd.service -f -n 20"]);
}

#[test]
fn for_the_system_it_prints_a_script_and_does_nothing() {
    let machine = Machine::new("no");
    let script = succeed(&mut machine.service(&["install", "--system"]));
    assert_eq!(machine.asked(), Vec::<String>::new());
    assert!(!machine.unit().exists());
    for part in
        ["User=%i\n", "ExecStart=/usr/local/bin/tallyd run\n", "systemctl enable --now tallyd@dev.service\n"]
    {
        assert!(script.contains(part), "{part}\n{script}");
    }
    let path = machine.sandbox.path("script");
    fs::write(&path, &script).expect("a script can be written");
    succeed(Command::new("sh").arg("-n").arg(&path));
    fail(&mut machine.service(&["install", "--system", "--state-dir", "/x"]), 2);
}
