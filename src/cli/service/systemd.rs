//! The user's own service manager on Linux.
//!
//! Owns the text of the unit, made from `systemd/user/tallyd.service`, and what systemctl, loginctl and journalctl are
//! asked. Refuses to become root: what only an administrator can do is printed as a script.

use super::step::{self, Step};
use super::{Site, line};
use crate::cli::errors::ServiceError;
use crate::cli::output;
use std::path::{Path, PathBuf};

const UNIT: &str = "tallyd.service";
const USER_TEMPLATE: &str = include_str!("../../../systemd/user/tallyd.service");
const SYSTEM_TEMPLATE: &str = include_str!("../../../systemd/system/tallyd@.service");
/// The line of both that names the program.
const START: &str = "ExecStart=/usr/bin/tallyd run\n";
/// By this line a unit is known as ours.
const MARK: &str = "Written by `tallyd service install`";
/// Where a script puts the program for all users.
pub(super) const SYSTEM_PROGRAM: &str = "/usr/local/bin/tallyd";

/// The place of the unit.
fn unit_file(home: &Path) -> PathBuf {
    home.join(".config/systemd/user").join(UNIT)
}

/// The place of the unit where systemd looks for it: below `$XDG_CONFIG_HOME`, where that is set.
fn unit_place(site: &Site) -> PathBuf {
    let config = site.environment.absolute_path("XDG_CONFIG_HOME").ok().flatten();
    config.map_or_else(|| unit_file(&site.home), |config| config.join("systemd/user").join(UNIT))
}

pub(super) fn install(site: &Site, words: &[String], is_forced: bool) -> Result<Vec<Step>, ServiceError> {
    let (has_changed, put) = step::putting(&unit_place(site), MARK, unit(words), is_forced)?;
    let mut steps = vec![put, Step::Run(line(&["systemctl", "--user", "daemon-reload"]))];
    if has_changed {
        // What runs, runs by the former unit.
        steps.push(Step::Run(line(&["systemctl", "--user", "enable", UNIT])));
        steps.push(Step::Run(line(&["systemctl", "--user", "restart", UNIT])));
    } else {
        steps.push(Step::Run(line(&["systemctl", "--user", "enable", "--now", UNIT])));
    }
    Ok(steps)
}

pub(super) fn uninstall(site: &Site) -> Result<Vec<Step>, ServiceError> {
    let path = unit_place(site);
    if !step::removable(&path, MARK)? {
        return Ok(vec![Step::Say(format!("is not there: {}", path.display()))]);
    }
    Ok(vec![
        Step::Run(line(&["systemctl", "--user", "disable", "--now", UNIT])),
        Step::Remove(path),
        Step::Run(line(&["systemctl", "--user", "daemon-reload"])),
        // A failure that is remembered would go on showing a unit that is gone.
        Step::Try(line(&["systemctl", "--user", "reset-failed", "--quiet", UNIT])),
    ])
}

pub(super) fn status() -> Vec<String> {
    line(&["systemctl", "--user", "status", "--no-pager", UNIT])
}

pub(super) fn logs() -> Vec<String> {
    line(&["journalctl", "--user", "-u", UNIT])
}

/// Asks the user's service manager whether it is there.
pub(super) fn probe(site: &Site) -> Result<(), ServiceError> {
    let instead = "let a supervisor or the entrypoint start `tallyd run`, or start it in a terminal";
    let asked = line(&["systemctl", "--user", "show", "--property=Version"]);
    let answer = match site.children.ask(&asked) {
        Ok(answer) if answer.status.success() => return Ok(()),
        Ok(answer) => answer,
        Err(ServiceError::Program { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let why = "there is no systemd on this machine (no `systemctl` on the PATH)".to_owned();
            return Err(ServiceError::NoManager { why, help: instead });
        }
        Err(error) => return Err(error),
    };
    let told = String::from_utf8_lossy(&answer.stderr);
    let first = told.lines().next().unwrap_or("systemctl gives no reason").to_owned();
    if !Path::new("/run/systemd/system").is_dir() {
        let why = format!("this machine was not started by systemd, as in most containers ({first})");
        return Err(ServiceError::NoManager { why, help: instead });
    }
    let help =
        "log in as the user itself, by ssh or at the machine: sudo and su do not start a user's manager";
    Err(ServiceError::NoManager { why: first, help })
}

/// Without lingering the service ends with the last session and starts with the first: says so where it is off.
pub(super) fn say_of_lingering(site: &Site, is_dry: bool) -> anyhow::Result<()> {
    let user = site.environment.text("USER")?.unwrap_or_default();
    let command = format!("loginctl enable-linger {user}");
    let command = command.trim_end();
    let asked = line(&["loginctl", "show-user", &user, "--property=Linger", "--value"]);
    let answer = if is_dry || user.is_empty() { None } else { site.children.ask(&asked).ok() };
    let is_on = answer.is_some_and(|answer| answer.stdout.trim_ascii() == b"yes");
    if !is_on {
        output::print_lines(&format!(
            "note      it runs while {} logged in; `{command}` has it start with the machine and stay\n",
            if user.is_empty() { "you are".to_owned() } else { format!("{user} is") }
        ))?;
    }
    Ok(())
}

/// The unit with this command line.
fn unit(words: &[String]) -> String {
    let head = format!(
        "# {MARK}; `tallyd service uninstall` removes it. What is changed here is lost at the next\n\
         # install: use `systemctl --user edit tallyd`.\n\n"
    );
    head + &with_command(USER_TEMPLATE, words)
}

/// A template without its first comment, with this command line.
fn with_command(template: &str, words: &[String]) -> String {
    let body = template.split_once("\n\n").map_or(template, |(_, body)| body);
    body.replace(START, &format!("ExecStart={}\n", command_line(words)))
}

/// A command line as a unit has it. Its first word is a path, in which nothing is put for a `$`.
fn command_line(words: &[String]) -> String {
    let quoted: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(number, word)| {
            let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
            let word = if number == 0 { word } else { word.replace('$', "$$") };
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,=~%$".contains(c);
            if word.chars().all(is_plain) && !word.is_empty() { word } else { format!("\"{word}\"") }
        })
        .collect();
    quoted.join(" ")
}

/// A script that an administrator would run: the program for all users, the unit, and tallyd for one of them.
pub(super) fn administration(program: &str, words: &[String], user: &str) -> String {
    let unit = with_command(SYSTEM_TEMPLATE, words);
    let (program, user) = (for_shell(program), for_shell(user));
    format!(
        "#!/bin/sh
# To be read, then run as root: tallyd run by the system for the login {user}, whether logged in or not. Other users:
# the last line again. To undo it: systemctl disable --now tallyd@{user}, then remove the two files.
set -eu
install -m 0755 {program} {SYSTEM_PROGRAM}
cat > /etc/systemd/system/tallyd@.service <<'END OF UNIT'
{unit}END OF UNIT
# To publish, put what the user's tallyd.toml does not say into credentials, each a file of this kind:
#   install -d -m 0700 /etc/credstore
#   (umask 077 && cat > /etc/credstore/tallyd.{user}.supabase_service_key)    # paste, Enter, Ctrl-D
# and so on: supabase_url, user_id. For reports {user} sets TALLYD_STATE_DIR=/var/lib/tallyd/{user}.
systemctl daemon-reload
systemctl enable --now tallyd@{user}.service
"
    )
}

/// A word as a shell takes it.
fn for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,=".contains(c);
    if word.chars().all(is_plain) && !word.is_empty() {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_shipped_one_with_another_command_line() {
        let words = line(&["/opt/tallyd", "run", "--config", "/etc/my tallyd.toml"]);
        let text = unit(&words);
        assert!(text.contains("\nExecStart=/opt/tallyd run --config \"/etc/my tallyd.toml\"\n"), "{text}");
        let settings = |text: &str| -> Vec<String> {
            let is_setting = |line: &&str| !line.starts_with('#') && !line.starts_with("ExecStart=");
            text.lines().filter(is_setting).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        assert_eq!(settings(&text), settings(USER_TEMPLATE));
        assert!(settings(&text).len() > 25, "{text}");
        for template in [USER_TEMPLATE, SYSTEM_TEMPLATE] {
            assert_eq!(template.matches(START).count(), 1);
        }
    }

    #[test]
    fn nothing_in_a_path_means_anything_to_systemd() {
        for (word, in_first, in_others) in [
            ("/plain", "/plain", "/plain"),
            ("/a b", "\"/a b\"", "\"/a b\""),
            ("/100%h", "/100%%h", "/100%%h"),
            ("/$HOME", "/$HOME", "/$$HOME"),
            ("/a\"b\\c", "\"/a\\\"b\\\\c\"", "\"/a\\\"b\\\\c\""),
            ("/a;b'c", "\"/a;b'c\"", "\"/a;b'c\""),
        ] {
            assert_eq!(command_line(&line(&[word])), in_first);
            assert_eq!(command_line(&line(&["/x", word])), format!("/x {in_others}"));
        }
    }

    #[test]
    fn a_script_takes_names_as_they_are() {
        assert_eq!(for_shell("dev"), "dev");
        assert_eq!(for_shell("a b'c"), "'a b'\\''c'");
    }
}
