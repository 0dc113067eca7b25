//! Programs of the system that are started: systemctl, loginctl, journalctl, launchctl.
//!
//! Owns `std::process::Command`. A program is given the few variables that it needs to find its user's service
//! manager and to show its output, never the rest of the environment: keys may be in it. Fails where one cannot be
//! started; what it says goes where tallyd's own words go.

use crate::cli::errors::ServiceError;
use crate::config::Environment;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Output, Stdio};

/// What a program is given of the environment.
const HANDED_ON: [&str; 18] = [
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "PAGER",
    "SYSTEMD_PAGER",
    "LESS",
    "SYSTEMD_COLORS",
];

/// What starts programs.
pub(super) struct Children {
    variables: Vec<(&'static str, OsString)>,
}

impl Children {
    pub(super) fn of(environment: &Environment) -> Self {
        let value = |name| environment.raw(name).map(|value| (name, value));
        Self { variables: HANDED_ON.into_iter().filter_map(value).collect() }
    }

    fn command(&self, line: &[String]) -> Command {
        let (program, arguments) = line.split_first().expect("a line begins with its program");
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a program to its end; its output goes where this one's does.
    pub(super) fn run(&self, line: &[String]) -> Result<ExitStatus, ServiceError> {
        self.command(line).stdin(Stdio::null()).status().map_err(|source| cannot(line, source))
    }

    /// Runs a program to its end and takes what it says.
    pub(super) fn ask(&self, line: &[String]) -> Result<Output, ServiceError> {
        self.command(line).stdin(Stdio::null()).output().map_err(|source| cannot(line, source))
    }

    /// Becomes a program; comes back where that fails.
    pub(super) fn become_it(&self, line: &[String]) -> ServiceError {
        cannot(line, self.command(line).exec())
    }
}

fn cannot(line: &[String], source: std::io::Error) -> ServiceError {
    ServiceError::Program { program: line.first().cloned().unwrap_or_default(), source }
}
