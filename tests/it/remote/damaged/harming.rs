//! What is done to a ledger and its backup, between processes, under one, and while it is made anew.

use super::action::Wal;
use super::harm::{self, Harm};
use super::world::{Backup, Outcome, State, World};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tallyd::collect::{Collector, TablePricing};
use tallyd::ledger::{Ledger, LedgerLock, quarantined};

/// Longer than damages count together.
const HOUR: i64 = 61 * 60_000;

impl World {
    /// Takes in the logs and is killed: the last writes are in the write-ahead log alone.
    fn die(&mut self) -> Outcome {
        let (state, at_death) = (self.state_folder(), self.folder.path().join("at-death"));
        let collector = self.scan()?;
        harm::copy(&state, &at_death);
        drop(collector);
        harm::copy(&at_death, &state);
        Ok(())
    }

    pub(super) fn kill(&mut self, wal: Wal) -> Outcome {
        self.die()?;
        let state = self.state_folder();
        let (ledger, log) = (harm::ledger(&state), harm::with(&harm::ledger(&state), "-wal"));
        let is_there = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
        match wal {
            _ if !is_there => {}
            Wal::Kept => self.meet("killed"),
            Wal::Cut(left) => self.spoil(Harm::Cut(left), &log),
            Wal::Flip(at, bit) => self.spoil(Harm::Flip(at, bit), &log),
            Wal::Alone => {
                self.has_harmed();
                fs::remove_file(&ledger).expect("it can be deleted");
                self.meet("a log without its ledger");
            }
        }
        // What was only in the write-ahead log is in the logs: nothing was deleted meanwhile.
        drop(self.scan()?);
        Ok(())
    }

    fn spoil(&mut self, harm: Harm, log: &Path) {
        self.meet("a write-ahead log spoiled");
        harm.befall(log);
    }

    /// The fourth within an hour is refused: a sound disk does not do that.
    fn has_harmed(&mut self) {
        let now = self.now().0;
        if self.rebuilds.iter().filter(|at| now - **at < HOUR).count() > 2 {
            self.time.0.fetch_add(HOUR, Ordering::Relaxed);
        }
        self.state = State::Hurt;
    }

    pub(super) fn harm(&mut self, harm: Harm) {
        let ledger = harm::ledger(&self.state_folder());
        // Twice in a row is once.
        if self.state != State::Whole || !ledger.exists() {
            return;
        }
        self.meet(harm.name());
        self.is_exact &= harm.leaves_responses();
        harm.befall(&ledger);
        self.has_harmed();
    }

    pub(super) fn harm_backup(&mut self, harm: Harm) {
        if let Some(backup) = &mut self.backup {
            backup.is_hurt = true;
            self.meet("a backup damaged");
            self.is_exact &= harm.leaves_responses();
            harm.befall(&harm::backup(&self.state_folder()));
        }
    }

    pub(super) fn harm_under(&mut self, harm: Harm, sends: bool, backs_up: bool) -> Outcome {
        let mut collector = self.scan()?;
        self.harm(harm);
        if backs_up {
            self.make_backup(&collector)?;
        }
        if sends {
            self.publish(false)?;
        }
        let looked = collector.ledger().check_in_place().and_then(|()| collector.ledger().audit());
        match looked {
            Ok(()) => self.looked_through(),
            Err(error) if error.is_damaged() => {
                self.meet("rebuilt under a process");
                self.rebuild(&mut collector, &error.to_string())?;
            }
            Err(error) => return Err(format!("looking it through: {error:?}")),
        }
        self.take_in(&mut collector)
    }

    pub(super) fn back_up(&mut self) -> Outcome {
        let collector = self.scan()?;
        self.make_backup(&collector)
    }

    fn make_backup(&mut self, collector: &Collector<TablePricing>) -> Outcome {
        let place = harm::backup(&self.state_folder());
        if let Ok(former) = fs::File::options().write(true).open(&place) {
            // So that another one is due.
            former.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("a time can be set");
        }
        let made = match collector.ledger().backup_due(self.now()) {
            Ok(None) => return Err("no backup is due".to_owned()),
            Ok(Some((backup, _))) => backup.make(),
            Err(error) => Err(error),
        };
        match made {
            Ok(true) => {
                // It has passed the audit: what it says is right.
                self.backup = Some(Backup { has: self.counted.clone(), is_hurt: false });
                Ok(())
            }
            Err(error) if self.state == State::Hurt && error.is_damaged() => {
                self.meet("no backup of what is damaged");
                Ok(())
            }
            other => Err(format!("no backup is made: {other:?}")),
        }
    }

    /// What is in the folder when a process ends while it makes the ledger anew.
    pub(super) fn tear(&mut self, harm: Harm, step: u8) -> Outcome {
        if self.state != State::Whole || self.is_unread {
            return Ok(());
        }
        self.logs.write(step % 2, 1, false);
        self.die()?;
        self.harm(harm);
        let (state, copy) = (self.state_folder(), self.folder.path().join("copy"));
        if self.state != State::Hurt {
            return Ok(());
        }
        harm::copy(&state, &copy);
        let before: BTreeSet<PathBuf> = quarantined(&copy).into_iter().map(|one| one.path).collect();
        let lock = LedgerLock::acquire(&copy, "test").map_err(|error| error.to_string())?;
        let (ledger, rebuilt) = Ledger::open_or_rebuild(&copy, lock, self.now())
            .map_err(|error| format!("a copy is not opened: {error:?}"))?;
        drop(ledger);
        let Some(rebuilt) = rebuilt else {
            // What hides beneath the write-ahead log is written over when that is folded in.
            return self.scan().map(drop);
        };
        assert!(!before.contains(&rebuilt.put_aside), "a name of its own");
        self.meet(&format!("torn at {step}"));
        let (place, new) = (harm::ledger(&state), harm::ledger(&copy));
        let aside = state.join(rebuilt.put_aside.file_name().expect("it has a name"));
        let written = if step == 0 { ".new" } else { ".rebuilt" };
        fs::copy(&new, harm::with(&place, written)).expect("it can be copied");
        if step == 0 {
            Harm::Cut(100).befall(&harm::with(&place, written));
        }
        for end in ["", "-wal", "-shm"].iter().take(usize::from(step.saturating_sub(1))) {
            let _ = fs::rename(harm::with(&place, end), harm::with(&aside, end));
        }
        if step > 1 {
            self.was_rebuilt(rebuilt.from, &rebuilt.found)?;
            self.state = State::Torn;
        }
        Ok(())
    }
}
