//! The world of a story: logs, one ledger with its backup, one user's rows on the server. Every action is done to
//! tallyd and to the model; whoever disagrees is told of.

use super::action::{self, Action};
use super::counted::{Counted, Server};
use super::harm;
use super::lines::Logs;
use crate::remote::faults::Plan;
use crate::remote::gateway::Gateway;
use crate::remote::publisher::Log;
use crate::remote::{Database, Stack};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tallyd::collect::{CollectOptions, Collector, TablePricing};
use tallyd::domain::{Clock, Destination, Revision, UnixMillis, UserId};
use tallyd::ledger::{Ledger, LedgerLock, Outbox, RebuiltFrom};
use tallyd::publish::{KeyChoice, PublishOptions, Publisher};
use tempfile::TempDir;

/// What disagrees.
pub(super) type Outcome = Result<(), String>;

/// A clock that a story sets.
#[derive(Clone)]
pub(super) struct Time(pub(super) Arc<AtomicI64>);

impl Clock for Time {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }
}

/// How the ledger is, as far as anybody can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has done anything to it.
    Whole,
    /// It may be damaged.
    Hurt,
    /// A new one waits to be put in place.
    Torn,
}

/// The backup, where there is one.
#[derive(Clone)]
pub(super) struct Backup {
    pub(super) has: Counted,
    pub(super) is_hurt: bool,
}

/// Everything of a story.
pub(super) struct World {
    pub(super) database: Database,
    pub(super) gateway: Gateway,
    pub(super) client: postgres::Client,
    pub(super) folder: TempDir,
    pub(super) user: String,
    pub(super) logs: Logs,
    pub(super) counted: Counted,
    pub(super) server: Server,
    pub(super) backup: Option<Backup>,
    pub(super) state: State,
    /// What ledgers and backups had that were put aside.
    pub(super) former: Vec<Counted>,
    /// It was said that nothing is missing.
    pub(super) was_nothing: bool,
    /// No damage has changed which responses somebody can read, where they can be read at all.
    pub(super) is_exact: bool,
    /// The logs have not been read since it was made anew.
    pub(super) is_unread: bool,
    pub(super) revision: u32,
    pub(super) time: Time,
    pub(super) log: Log,
    pricing: TablePricing,
    pub(super) rebuilds: Vec<i64>,
    /// What happened, and how often.
    pub(super) met: BTreeMap<String, usize>,
    /// What the server had of each session when last seen.
    pub(super) seen: BTreeMap<u8, (u64, u64, u64)>,
    /// Sessions of which all there was had arrived.
    pub(super) arrived: BTreeMap<u8, super::lines::Known>,
}

impl World {
    pub(super) fn new(pricing: TablePricing) -> Self {
        let database = Stack::get().contract();
        let user = database.new_user();
        // In memory where there is such a place: a story writes its ledger to the disk hundreds of times.
        let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder can be made");
        fs::create_dir(folder.path().join("state")).expect("a folder can be made");
        Self {
            gateway: Gateway::start(&database),
            client: database.owner(),
            database,
            logs: Logs::new(folder.path()),
            folder,
            user,
            counted: Counted::default(),
            server: Server::new(),
            backup: None,
            state: State::Whole,
            former: Vec::new(),
            was_nothing: false,
            is_exact: true,
            is_unread: false,
            revision: 1,
            // 2026-11-22T09:00:00Z.
            time: Time(Arc::new(AtomicI64::new(1_795_338_000_000))),
            log: Log::default(),
            pricing,
            rebuilds: Vec::new(),
            met: BTreeMap::new(),
            seen: BTreeMap::new(),
            arrived: BTreeMap::new(),
        }
    }

    pub(super) fn state_folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.time.now()
    }

    pub(super) fn meet(&mut self, what: &str) {
        *self.met.entry(what.to_owned()).or_default() += 1;
    }

    pub(super) fn act(&mut self, action: &Action) -> Outcome {
        let name = format!("{action:?}");
        self.meet(name.split(['(', ' ', '{']).next().unwrap_or_default());
        match action {
            Action::Write { session, news, grows } => self.logs.write(*session, *news, *grows),
            Action::Delete(session) => self.logs.delete(*session),
            Action::BringBack(session) => self.logs.bring_back(*session),
            Action::Scan => drop(self.scan()?),
            Action::Open => drop(self.open()?),
            Action::Kill(wal) => self.kill(*wal)?,
            Action::Publish { scans, faults, goes_on } => {
                if *scans {
                    drop(self.scan()?);
                }
                self.plan(faults, *goes_on);
                self.publish(!faults.is_empty())?;
            }
            Action::Restore { faults, goes_on } => {
                self.plan(faults, *goes_on);
                self.restore(!faults.is_empty())?;
            }
            Action::BackUp => self.back_up()?,
            Action::HarmBackup(harm) => self.harm_backup(*harm),
            Action::LoseBackup => {
                self.backup = None;
                let _ = fs::remove_file(harm::backup(&self.state_folder()));
            }
            Action::Harm(harm) => self.harm(*harm),
            Action::HarmUnder { harm, sends, backs_up } => self.harm_under(*harm, *sends, *backs_up)?,
            Action::Torn { harm, step } => self.tear(*harm, *step)?,
            Action::Raise => self.revision += 1,
        }
        self.check()
    }

    /// Opens the ledger for writing, and makes a damaged one anew, as every command that writes does.
    pub(super) fn open(&mut self) -> Result<Collector<TablePricing>, String> {
        match self.open_once(false) {
            Err(error) if error.starts_with("damaged: ") => self.open_once(true),
            opened => opened,
        }
    }

    fn open_once(&mut self, doubts: bool) -> Result<Collector<TablePricing>, String> {
        let (state, now) = (self.state_folder(), self.time.now());
        let lock = LedgerLock::acquire(&state, "test").map_err(|error| error.to_string())?;
        if doubts {
            lock.doubt();
        }
        let was_torn = self.state == State::Torn;
        let (ledger, rebuilt) = Ledger::open_or_rebuild(&state, lock, now)
            .map_err(|error| format!("it is not opened: {error:?}"))?;
        match rebuilt {
            Some(rebuilt) => self.was_rebuilt(rebuilt.from, &rebuilt.found)?,
            None if was_torn => self.state = State::Whole,
            None => {}
        }
        let options =
            CollectOptions { roots: vec![self.folder.path().join("projects")], ..CollectOptions::default() };
        let made = Collector::new(ledger, self.pricing.clone(), options);
        let (collector, _) = made.map_err(|error| match error.damage() {
            Some(damage) => format!("damaged: {damage}"),
            None => format!("it is not opened: {error:?}"),
        })?;
        Ok(collector)
    }

    /// The ledger was made anew: what it has now.
    pub(super) fn was_rebuilt(&mut self, from: RebuiltFrom, found: &str) -> Outcome {
        self.meet("rebuilt");
        if self.state != State::Hurt {
            return Err(format!("called damaged, and nobody has damaged it: {found}"));
        }
        self.former.push(self.counted.clone());
        self.was_nothing = false;
        match (from, self.backup.clone()) {
            (RebuiltFrom::Backup, Some(backup)) => {
                self.meet("rebuilt from the backup");
                self.counted = backup.has;
            }
            (RebuiltFrom::Backup, None) => return Err("made from a backup that is not there".to_owned()),
            (RebuiltFrom::Logs, Some(Backup { is_hurt: false, .. })) => {
                return Err(format!("a backup is there and was not used; found: {found}"));
            }
            (RebuiltFrom::Logs, backup) => {
                self.former.extend(backup.map(|backup| backup.has));
                self.counted = Counted::default();
                self.backup = None;
            }
        }
        (self.state, self.is_unread) = (State::Whole, true);
        self.rebuilds.push(self.time.now().0);
        Ok(())
    }

    /// Takes in what is new in the logs.
    pub(super) fn scan(&mut self) -> Result<Collector<TablePricing>, String> {
        let mut collector = self.open()?;
        self.take_in(&mut collector)?;
        self.looked_through();
        Ok(collector)
    }

    pub(super) fn take_in(&mut self, collector: &mut Collector<TablePricing>) -> Outcome {
        let tree = tallyd::watch::walk(&self.folder.path().join("projects"), &mut |_, _| {});
        let summary = match collector.take_in_tree(&tree, &mut |_| {}) {
            Err(error) if error.damage().is_some() => {
                self.rebuild(collector, &error.damage().map(ToString::to_string).unwrap_or_default())?;
                collector.take_in_tree(&tree, &mut |_| {})
            }
            summary => summary,
        };
        let summary = summary.map_err(|error| format!("the logs cannot be taken in: {error:?}"))?;
        if !summary.reports.is_empty() {
            return Err(format!("reported: {:?}", summary.reports));
        }
        self.counted.read(&self.logs.read());
        self.is_unread = false;
        Ok(())
    }

    /// Makes the ledger anew under the process that has it open.
    pub(super) fn rebuild(&mut self, collector: &mut Collector<TablePricing>, found: &str) -> Outcome {
        let error = tallyd::ledger::LedgerError::Damaged {
            path: harm::ledger(&self.state_folder()),
            what: found.to_owned(),
        };
        let rebuilt = collector.rebuild(&error, self.time.now());
        let rebuilt = rebuilt.map_err(|error| format!("it is not made anew: {error:?}"))?;
        self.was_rebuilt(rebuilt.from, found)
    }

    /// It was looked through, and is what it seems.
    pub(super) fn looked_through(&mut self) {
        if self.state == State::Hurt {
            self.meet("damage of nothing that counts");
        }
        self.state = State::Whole;
    }

    pub(super) fn plan(&mut self, faults: &[Option<u8>], goes_on: bool) {
        let faults: Vec<Option<u8>> = faults.to_vec();
        if faults.is_empty() {
            return;
        }
        self.meet("faults of the server");
        let mut number = 0;
        let plan: Plan = Box::new(move |_| {
            let last = faults.last().filter(|_| goes_on).copied();
            let fault = faults.get(number).copied().or(last).flatten();
            number += 1;
            fault.map(action::fault)
        });
        self.gateway.plan(plan);
    }

    /// A publisher of the ledger as it is; the reason where there is none.
    pub(super) fn publisher(&self) -> Result<Publisher, String> {
        let mut outbox = Outbox::open(&self.state_folder()).map_err(|error| format!("{error:?}"))?;
        outbox.release(None).map_err(|error| format!("{error:?}"))?;
        let user = UserId::parse(&self.user).expect("a user");
        let key = KeyChoice::service(Stack::get().secret_key()).expect("a secret key");
        let to = Destination { project: self.gateway.url(), user };
        let mut options = PublishOptions::new(to, key, "SUPABASE_SERVICE_KEY");
        // Long enough for any machine under load.
        options.timeout = Duration::from_mins(1);
        let revision = Revision::new(1, self.revision, 0);
        Ok(Publisher::new(outbox, options, revision, "prices".to_owned(), Box::new(self.time.clone())))
    }
}
