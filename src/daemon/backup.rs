//! Backups of the ledger, made beside the work.
//!
//! Owns: a thread for as long as a backup takes, looked after whenever a pass is done, so that nothing wakes
//! up for it. Looks the ledger through as it does so: what it finds is an error of the pass. Anything else
//! that goes wrong is told once until a backup is made, and tried again after an hour. Refuses to hold up the end
//! of the process.

use crate::domain::{Clock, SystemClock, UnixMillis};
use crate::ledger::{BackupStop, Ledger, LedgerError};
use crate::telemetry::Chain;
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two tries, where one has failed.
const PAUSE_MS: i64 = 60 * 60 * 1000;

/// Between two looks at a backup that was told to stop.
const LOOK: Duration = Duration::from_millis(5);

/// A backup under way.
#[derive(Debug)]
struct Making {
    thread: JoinHandle<Result<bool, LedgerError>>,
    stop: BackupStop,
}

/// What makes backups.
#[derive(Debug, Default)]
pub(super) struct Backups {
    is_wanted: bool,
    making: Option<Making>,
    has_failed: bool,
    not_before: Option<UnixMillis>,
}

impl Backups {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self { is_wanted, ..Self::default() }
    }

    /// Takes note of one that is done, and begins one that is due. Fails with what the audit has found.
    pub(super) fn look_after(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        if !self.is_wanted {
            return Ok(());
        }
        let now = SystemClock.now();
        let outcome = match self.making.take_if(|making| making.thread.is_finished()) {
            Some(making) => making.thread.join().unwrap_or(Ok(false)),
            None => self.begin(ledger, now).map(|()| false),
        };
        match outcome {
            Ok(is_made) => {
                self.has_failed &= !is_made;
                Ok(())
            }
            Err(error) if error.is_damaged() => Err(error),
            Err(error) => {
                self.not_before = Some(UnixMillis(now.0.saturating_add(PAUSE_MS)));
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(error = %Chain(&error), "no backup of the ledger can be made; it is tried again every hour");
                }
                Ok(())
            }
        }
    }

    fn begin(&mut self, ledger: &Ledger, now: UnixMillis) -> Result<(), LedgerError> {
        if self.making.is_some() || self.not_before.is_some_and(|then| now < then) {
            return Ok(());
        }
        let Some((backup, stop)) = ledger.backup_due(now)? else { return Ok(()) };
        // Without a thread there is no backup, and counting goes on.
        let thread = std::thread::Builder::new().name("backup".to_owned()).spawn(move || backup.make());
        self.making = thread.ok().map(|thread| Making { thread, stop });
        Ok(())
    }

    /// Ends what is under way.
    pub(super) fn end(&mut self) {
        let Some(Making { thread, stop }) = self.making.take() else { return };
        while !thread.is_finished() {
            stop.stop();
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerLock;

    #[test]
    fn a_failure_after_a_success_is_told_anew() {
        let folder = tempfile::tempdir().unwrap();
        let ledger =
            Ledger::open(folder.path(), LedgerLock::acquire(folder.path(), "test").unwrap()).unwrap();
        let mut backups = Backups::new(true);
        let done = |backups: &mut Backups| {
            backups.not_before = None;
            backups.look_after(&ledger).unwrap();
            while backups.making.as_ref().is_some_and(|making| !making.thread.is_finished()) {
                std::thread::yield_now();
            }
            backups.look_after(&ledger).unwrap();
        };
        let in_the_way = folder.path().join("ledger.sqlite.backup.new");
        std::fs::create_dir(&in_the_way).unwrap();
        done(&mut backups);
        assert!(backups.has_failed);
        std::fs::remove_dir(&in_the_way).unwrap();
        done(&mut backups);
        assert!(folder.path().join("ledger.sqlite.backup").exists());
        assert!(!backups.has_failed, "the next failure is news");
    }
}
