//! Exit codes, and the one place that tells a person of an error.
//!
//! Each kind of failure has its own code, which is a promise to scripts. An error is shown as
//! `error: what`, then its causes, then `help:` with what to do, on stderr; if that is closed, nobody is
//! there to be told and the code alone speaks.

use super::errors::{NotCompared, PriceFileUnreadable, ServiceError, UnknownId, Unpublished, UsageError};
use super::output::OutputError;
use crate::collect::CollectError;
use crate::config::ConfigError;
use crate::daemon::DaemonError;
use crate::ledger::{LedgerError, LockError};
use crate::price::PriceError;
use crate::report::ReportError;
use crate::telemetry::{ERROR_PREFIX, shown, stderr_is_journal};
use std::io::Write;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done.
    Done,
    /// 1: a failure that none of the other codes names.
    Failure,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: a setting is wrong; file, key and value are named.
    Configuration,
    /// 4: there is no usable state folder, or no home to find one in.
    NoStateFolder,
    /// 5: another tallyd holds the ledger.
    Locked,
    /// 6: the ledger was written by a newer tallyd.
    NewerLedger,
    /// 7: the ledger cannot be read or written.
    Ledger,
    /// 8: a file of prices is wrong.
    Prices,
    /// 9: `explain` knows nothing of the id.
    NotFound,
    /// 10: Supabase refuses the key or the user, or the project lacks tallyd's SQL; Anthropic refuses the key.
    Refused,
    /// 11: usage could not be sent in time; it is kept and sent later.
    Unsent,
    /// 12: the server refuses some sessions for what is in them.
    Parked,
    /// 13: the ledger belongs to another user or project.
    Foreign,
    /// 14: `verify` or `restore` found on the server what it cannot mend; `reconcile` found a difference.
    Differs,
    /// 15: no tallyd is running, or with `status --ready` not ready.
    NotRunning,
    /// 16: `service` finds no service manager, or it refuses, or the service does not run.
    NotServed,
}

impl ExitCode {
    /// Every code.
    pub const ALL: [Self; 17] = [
        Self::Done,
        Self::Failure,
        Self::Usage,
        Self::Configuration,
        Self::NoStateFolder,
        Self::Locked,
        Self::NewerLedger,
        Self::Ledger,
        Self::Prices,
        Self::NotFound,
        Self::Refused,
        Self::Unsent,
        Self::Parked,
        Self::Foreign,
        Self::Differs,
        Self::NotRunning,
        Self::NotServed,
    ];

    /// The number that the parent process sees.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Configuration => 3,
            Self::NoStateFolder => 4,
            Self::Locked => 5,
            Self::NewerLedger => 6,
            Self::Ledger => 7,
            Self::Prices => 8,
            Self::NotFound => 9,
            Self::Refused => 10,
            Self::Unsent => 11,
            Self::Parked => 12,
            Self::Foreign => 13,
            Self::Differs => 14,
            Self::NotRunning => 15,
            Self::NotServed => 16,
        }
    }

    /// What to do where the error itself does not say.
    fn help(self) -> &'static str {
        match self {
            Self::Done => "nothing is to be done",
            Self::Failure => "run it again with --log-level debug to see what led to it",
            Self::Usage => "see --help",
            Self::Configuration => "config/tallyd.toml lists every key with its default",
            Self::NoStateFolder => {
                "name a folder that can be written with --state-dir DIR or TALLYD_STATE_DIR"
            }
            Self::Locked => {
                "a daemon keeps the ledger up to date and reports work beside it; to take its place stop it, \
                 or name another folder with --state-dir DIR"
            }
            Self::NewerLedger => "use the tallyd that wrote it, or name another folder with --state-dir DIR",
            Self::Ledger => "check that the state folder can be written and has space left",
            Self::Prices => "`tallyd prices --check FILE` checks a file of prices",
            Self::NotFound => "`tallyd session --json` lists the sessions that are known",
            Self::Refused => "`tallyd check` says what is wrong and what mends it",
            Self::Unsent => "nothing is lost: it is sent by the next `tallyd publish` or by a running tallyd",
            Self::Parked => "`tallyd check` lists them with the server's reasons",
            Self::Foreign => "`tallyd reassign` says to whom it belongs and what can be done",
            Self::Differs => {
                "`tallyd verify` or `tallyd reconcile` lists it; the server's own rows are never lowered"
            }
            Self::NotRunning => "start it with `tallyd`; `tallyd check` says what keeps it from working",
            Self::NotServed => "`tallyd service logs` and `tallyd check` say more",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

/// The code and the advice for an error: those of the first cause that has any.
pub(super) fn verdict(error: &anyhow::Error) -> (ExitCode, String) {
    let (code, help) = error.chain().find_map(known).unwrap_or((ExitCode::Failure, None));
    (code, help.unwrap_or_else(|| code.help().to_owned()))
}

/// The code and the advice for one error, where its type is known here. Each module's error has its line.
fn known(error: &(dyn std::error::Error + 'static)) -> Option<(ExitCode, Option<String>)> {
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        let code = match error {
            ConfigError::NoHome { .. } => ExitCode::NoStateFolder,
            _ => ExitCode::Configuration,
        };
        return Some((code, Some(error.help())));
    }
    if let Some(error) = error.downcast_ref::<UsageError>() {
        return Some((ExitCode::Usage, Some(error.help.clone())));
    }
    if let Some(CollectError::Ledger(error)) = error.downcast_ref::<CollectError>() {
        return Some(ledger_verdict(error));
    }
    if let Some(DaemonError::Ledger(error)) = error.downcast_ref::<DaemonError>() {
        return Some(ledger_verdict(error));
    }
    if let Some(error) = error.downcast_ref::<LedgerError>() {
        return Some(ledger_verdict(error));
    }
    if let Some(error) = error.downcast_ref::<LockError>() {
        return Some(match error {
            LockError::Held { .. } => (ExitCode::Locked, None),
            LockError::File { .. } => (ExitCode::NoStateFolder, None),
        });
    }
    if error.is::<PriceError>() || error.is::<PriceFileUnreadable>() {
        return Some((ExitCode::Prices, None));
    }
    if error.is::<UnknownId>() {
        return Some((ExitCode::NotFound, None));
    }
    if let Some(error) = error.downcast_ref::<Unpublished>() {
        return Some((error.code, error.help.clone()));
    }
    if let Some(error) = error.downcast_ref::<NotCompared>() {
        return Some((error.code, Some(error.help.clone())));
    }
    if let Some(error) = error.downcast_ref::<ServiceError>() {
        return Some(service_verdict(error));
    }
    if error.is::<ReportError>() {
        return Some((ExitCode::Usage, None));
    }
    match error.downcast_ref::<OutputError>()? {
        OutputError::ReaderGone => Some((ExitCode::Done, None)),
        OutputError::Failed(_) => {
            Some((ExitCode::Failure, Some("see that the place the output goes to has space left".to_owned())))
        }
    }
}

/// What mends a damaged ledger.
const MENDING: &str = "`tallyd scan` puts the damaged files aside and makes the ledger anew, from its backup and the logs; \
    where a tallyd is running, a SIGHUP makes it do so";

fn ledger_verdict(error: &LedgerError) -> (ExitCode, Option<String>) {
    match error {
        LedgerError::Newer { .. } => (ExitCode::NewerLedger, None),
        LedgerError::Folder { .. } => (ExitCode::NoStateFolder, None),
        LedgerError::Exposed { .. } => {
            let help = "run `chmod 700` on it as its owner, or name another folder with --state-dir DIR; one that is \
                        not there yet is made for you alone";
            (ExitCode::NoStateFolder, Some(help.to_owned()))
        }
        LedgerError::Missing { .. } | LedgerError::Empty | LedgerError::Older { .. } => {
            (ExitCode::Ledger, Some("run `tallyd scan`, or leave --no-scan out".to_owned()))
        }
        LedgerError::NotALedger => {
            (ExitCode::Ledger, Some("name another folder with --state-dir DIR".to_owned()))
        }
        LedgerError::Damaged { .. } | LedgerError::Sqlite(_) => {
            (ExitCode::Ledger, error.is_damaged().then(|| MENDING.to_owned()))
        }
        LedgerError::Unread { .. } => {
            let help = "a running tallyd reads them now; where none runs, `tallyd scan` does";
            (ExitCode::Ledger, Some(help.to_owned()))
        }
        LedgerError::Unmendable { folder, .. } => {
            let help = format!(
                "see that {} can be written and that its disk is sound; nothing was thrown away: the damaged \
                 files lie there, and the logs are read again once it can be written",
                folder.display()
            );
            (ExitCode::Ledger, Some(help))
        }
        LedgerError::Gone { .. } => {
            (ExitCode::Ledger, Some("start tallyd again: it makes a new ledger from the logs".to_owned()))
        }
    }
}

fn service_verdict(error: &ServiceError) -> (ExitCode, Option<String>) {
    let help = |text: &str| Some(text.to_owned());
    match error {
        ServiceError::NoManager { help: instead, .. } => (ExitCode::NotServed, help(instead)),
        ServiceError::Refused { .. } | ServiceError::Program { .. } => (ExitCode::NotServed, None),
        ServiceError::NotOurs { help: instead, .. } => (ExitCode::Usage, help(instead)),
        ServiceError::Path { .. } => {
            (ExitCode::Usage, help("give it in plain UTF-8 without control characters"))
        }
        ServiceError::File { .. } => {
            (ExitCode::Failure, help("see that its folder is yours and that the disk has space left"))
        }
    }
}

/// Tells of an error on stderr and gives the code to end with.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let (code, mut text) = told(error);
    if stderr_is_journal() {
        text = text.lines().flat_map(|line| [ERROR_PREFIX, line, "\n"]).collect();
    }
    // There is no better place to report a closed stderr to.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    code
}

/// The code, and what is told; nothing for a good end.
fn told(error: &anyhow::Error) -> (ExitCode, String) {
    let (code, help) = verdict(error);
    if code == ExitCode::Done {
        return (code, String::new());
    }
    let mut text = format!("error: {}\n", indented(&error.to_string()));
    for cause in error.chain().skip(1) {
        text.extend(["  because: ", &indented(&cause.to_string()), "\n"]);
    }
    text.extend(["help: ", &indented(&help), "\n"]);
    (code, text)
}

/// A text of several lines, with all but the first moved to the right. It may quote a file or a name from
/// outside, which drives no terminal.
fn indented(text: &str) -> String {
    text.trim_end().lines().map(shown).collect::<Vec<_>>().join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn codes_are_distinct_and_in_order() {
        let numbers = ExitCode::ALL.map(ExitCode::number);
        assert_eq!(numbers.to_vec(), (0..=16).collect::<Vec<_>>());
    }

    #[test]
    fn an_unknown_error_is_told_with_its_causes() {
        let error =
            Err::<(), _>(anyhow!("disk full\nof logs")).context("the page cannot be written").unwrap_err();
        let (code, text) = told(&error);
        assert_eq!(code, ExitCode::Failure);
        insta::assert_snapshot!(text, @"
        error: the page cannot be written
          because: disk full
            of logs
        help: run it again with --log-level debug to see what led to it
        ");
    }

    #[test]
    fn a_known_cause_decides_code_and_help() {
        let what = "`--since 2026-13-01` is no date".to_owned();
        let error = UsageError { what, help: "write it as 2026-11-30 or 20261130".to_owned() };
        let (code, text) = told(&anyhow::Error::new(error).context("the report cannot be made"));
        assert_eq!(code, ExitCode::Usage);
        insta::assert_snapshot!(text, @"
        error: the report cannot be made
          because: `--since 2026-13-01` is no date
        help: write it as 2026-11-30 or 20261130
        ");
    }

    #[test]
    fn a_reader_that_left_is_a_good_quiet_end() {
        let error = anyhow::Error::new(OutputError::ReaderGone).context("printing");
        assert_eq!(told(&error), (ExitCode::Done, String::new()));
        let full = OutputError::Failed(std::io::ErrorKind::StorageFull.into());
        let (code, text) = told(&full.into());
        assert_eq!(code, ExitCode::Failure);
        assert!(text.contains("has space left"), "{text}");
    }
}
