//! The world of a story: logs that all containers read, containers with a ledger and a publisher each, the
//! server. Every action is done to both sides, tallyd's and the model's; whoever disagrees is told of.

use super::action::Action;
use super::counted::Counted;
use super::lines::{self, Line, Logs};
use super::server::{Rows, Server};
use crate::remote::gateway::Gateway;
use crate::remote::keys::Role;
use crate::remote::publisher::Log;
use crate::remote::{Database, Stack};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tallyd::collect::{CollectOptions, Collector, TablePricing};
use tallyd::domain::{Clock, Destination, Revision, UnixMillis, UserId};
use tallyd::ledger::{LEDGER_FILE, Ledger, LedgerLock, Outbox, Reassign};
use tallyd::price::PriceTable;
use tallyd::publish::{KeyChoice, PublishOptions, Publisher};
use tallyd::watch::walk;
use tempfile::TempDir;

/// Containers that there may be.
const MOST: usize = 3;
/// Of the story's users, those that containers publish for; one more has rows that nobody may touch.
pub(super) const USERS: usize = 2;
/// How long a call may take where one is meant to take too long.
const SHORT: Duration = Duration::from_millis(150);

/// What disagrees.
pub(super) type Outcome = Result<(), String>;

/// A clock that a story sets.
#[derive(Clone)]
pub(super) struct Time(Arc<AtomicI64>);

impl Clock for Time {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }
}

/// A machine with a ledger of its own.
pub(super) struct Container {
    pub(super) state: PathBuf,
    pub(super) counted: Counted,
    pub(super) user: usize,
    pub(super) revision: u32,
    pub(super) publisher: Option<Publisher>,
    /// Whether calls may take as long as usual.
    pub(super) is_patient: bool,
    /// The process has not read the logs since it began.
    pub(super) is_fresh: bool,
    /// The server was restored since the ledger was last held against it.
    pub(super) has_doubts: bool,
}

/// Everything of a story.
pub(super) struct World {
    pub(super) gateway: Gateway,
    pub(super) folder: TempDir,
    /// The ids of users; the last is the bystander's.
    pub(super) users: Vec<String>,
    pub(super) rows: Rows,
    pub(super) server: Server,
    pub(super) logs: Logs,
    pub(super) containers: Vec<Container>,
    pub(super) time: Time,
    pub(super) log: Log,
    /// Where each user was ever told that a message is.
    pub(super) places: BTreeMap<(usize, u8), BTreeSet<(u8, String)>>,
    /// What happened, and how often.
    pub(super) met: BTreeMap<String, usize>,
    /// Looks at the tables while calls are under way.
    pub(super) watch: Arc<Mutex<Rows>>,
    backup: Server,
    was_restored: bool,
    /// A ledger that was put aside.
    saved: Option<(PathBuf, Counted)>,
    folders: usize,
}

impl World {
    pub(super) fn new() -> Self {
        let database = Stack::get().contract();
        let users: Vec<String> = (0..=USERS).map(|_| database.new_user()).collect();
        let mut server = Server::default();
        put_bystander(&database, &users[USERS], &mut server);
        let folder = folder();
        fs::create_dir_all(folder.path().join("projects/p")).expect("a folder can be made");
        let watch = Arc::new(Mutex::new(Rows::new(&database, users.clone())));
        let mut rows = Rows::new(&database, users.clone());
        rows.back_up();
        let mut world = Self {
            gateway: Gateway::start(&database),
            folder,
            rows,
            watch,
            users,
            backup: server.clone(),
            server,
            logs: Logs::default(),
            containers: Vec::new(),
            // 2026-11-22T09:00:00Z.
            time: Time(Arc::new(AtomicI64::new(1_795_338_000_000))),
            log: Log::default(),
            places: BTreeMap::new(),
            met: BTreeMap::new(),
            was_restored: false,
            saved: None,
            folders: 0,
        };
        world.add(None);
        world
    }

    pub(super) fn projects(&self) -> PathBuf {
        self.folder.path().join("projects")
    }

    pub(super) fn meet(&mut self, what: &str) {
        *self.met.entry(what.to_owned()).or_default() += 1;
    }

    /// Longer than a parked session that has changed is left alone.
    pub(super) fn wait(&self) {
        self.time.0.fetch_add(16 * 60_000, Ordering::Relaxed);
    }

    pub(super) fn destination(&self, user: usize) -> Destination {
        let user = UserId::parse(&self.users[user]).expect("a user");
        Destination { project: self.gateway.url(), user }
    }

    fn index(&self, number: usize) -> usize {
        number % self.containers.len()
    }

    pub(super) fn act(&mut self, action: &Action) -> Outcome {
        let name = format!("{action:?}");
        self.meet(name.split(['(', ' ', '{']).next().unwrap_or_default());
        match action {
            Action::Write { by, lines } => {
                let by = self.index(*by);
                self.write(lines);
                self.count(by);
            }
            Action::Send(send) => {
                let by = self.index(send.by);
                return self.send(by, send);
            }
            Action::Verify(number) => return self.verify(self.index(*number)),
            Action::Count(number) => self.count(self.index(*number)),
            Action::Restart(number) => self.restart(self.index(*number)),
            Action::Save(number) => {
                let of = self.ready(*number);
                self.save(of);
            }
            Action::Return(number) => self.bring_back(self.index(*number)),
            Action::Clone(number) => {
                let from = self.ready(*number);
                self.add(Some(from));
            }
            Action::Add => self.add(None),
            Action::Lose(number) => self.lose(self.index(*number)),
            Action::SetUser { of, user } => {
                let of = self.index(*of);
                self.containers[of].user = *user;
                self.containers[of].publisher = None;
            }
            Action::Reassign { of, is_everything } => {
                let of = self.ready(*of);
                return self.reassign(of, *is_everything);
            }
            Action::Wait => self.wait(),
            Action::BackUp => {
                self.rows.back_up();
                self.backup = self.server.clone();
            }
            Action::Restore => self.restore_server(),
            Action::Raise(number) => {
                let of = self.index(*number);
                self.containers[of].revision += 1;
                self.restart(of);
            }
        }
        self.nothing_was_written()
    }

    /// A container whose process has read the logs, as it does before anything else.
    pub(super) fn ready(&mut self, number: usize) -> usize {
        let index = self.index(number);
        if self.containers[index].is_fresh {
            self.count(index);
        }
        index
    }

    /// Lines are written, and nobody has read them yet.
    pub(super) fn write(&mut self, lines: &[Line]) {
        lines::write(&self.projects(), lines);
        self.logs.add(lines);
    }

    /// A container takes in what is new.
    pub(super) fn count(&mut self, index: usize) {
        let projects = self.projects();
        let container = &mut self.containers[index];
        take_in(&projects, &container.state, container.revision);
        container.counted.read(&self.logs);
        container.is_fresh = false;
    }

    pub(super) fn restart(&mut self, index: usize) {
        let container = &mut self.containers[index];
        (container.publisher, container.is_fresh) = (None, true);
    }

    pub(super) fn new_folder(&mut self) -> PathBuf {
        self.folders += 1;
        let state = self.folder.path().join(format!("state-{}", self.folders));
        fs::create_dir(&state).expect("a folder can be made");
        state
    }

    /// One more container, with a copy of another's ledger or with none; the last makes room where there
    /// are many.
    fn add(&mut self, from: Option<usize>) {
        let state = self.new_folder();
        let (counted, revision, has_doubts) = match from {
            Some(from) => {
                let from = &self.containers[from];
                copy(&from.state, &state);
                (from.counted.clone(), from.revision, from.has_doubts)
            }
            None => (Counted::default(), 1, false),
        };
        let container = Container {
            state,
            counted,
            user: 0,
            revision,
            publisher: None,
            is_patient: true,
            is_fresh: true,
            has_doubts,
        };
        self.containers.truncate(MOST - 1);
        self.containers.push(container);
    }

    fn save(&mut self, index: usize) {
        let folder = self.new_folder();
        let container = &self.containers[index];
        copy(&container.state, &folder);
        self.saved = Some((folder, container.counted.clone()));
    }

    fn bring_back(&mut self, index: usize) {
        let Some((folder, counted)) = self.saved.clone() else { return };
        let state = self.new_folder();
        copy(&folder, &state);
        let container = &mut self.containers[index];
        // What it was told of may be from before the server was restored.
        (container.counted, container.has_doubts) = (counted, self.was_restored);
        self.go_on_with(index, state);
        self.meet("an older ledger");
    }

    /// The container goes on from another folder, with a new process.
    pub(super) fn go_on_with(&mut self, index: usize, state: PathBuf) {
        self.restart(index);
        let old = std::mem::replace(&mut self.containers[index].state, state);
        fs::remove_dir_all(old).expect("a ledger can be deleted");
    }

    fn lose(&mut self, index: usize) {
        let state = self.new_folder();
        self.containers[index].counted = Counted::default();
        self.containers[index].has_doubts = false;
        self.go_on_with(index, state);
    }

    fn reassign(&mut self, index: usize, is_everything: bool) -> Outcome {
        let user = self.containers[index].user;
        let to = self.destination(user);
        let container = &mut self.containers[index];
        let mut outbox = Outbox::open(&container.state).expect("the ledger is there");
        let (what, expected) = if is_everything {
            (Reassign::Everything, container.counted.give_everything(user))
        } else {
            (Reassign::FromNowOn, container.counted.give_from_now_on(user))
        };
        let told = outbox.reassign(&to, what).expect("the ledger can be written");
        if told == u64::try_from(expected).expect("fits") {
            self.nothing_was_written()
        } else {
            Err(format!("reassigned {told} sessions, not {expected}"))
        }
    }

    fn restore_server(&mut self) {
        self.rows.restore();
        self.server = self.backup.clone();
        self.was_restored = true;
        self.containers.iter_mut().for_each(|container| container.has_doubts = true);
    }

    /// The publisher of a container; made where its process has none.
    pub(super) fn take_publisher(&mut self, index: usize, is_patient: bool) -> Publisher {
        let destination = self.destination(self.containers[index].user);
        let container = &mut self.containers[index];
        let known = container.publisher.take().filter(|_| container.is_patient == is_patient);
        container.is_patient = is_patient;
        known.unwrap_or_else(|| {
            let key = KeyChoice::service(Stack::get().secret_key()).expect("a secret key");
            let mut options = PublishOptions::new(destination, key, "SUPABASE_SERVICE_KEY");
            // Long enough for any machine under load, where nothing is meant to take long.
            options.timeout = if is_patient { Duration::from_mins(1) } else { SHORT };
            let outbox = Outbox::open(&container.state).expect("the ledger is there");
            let revision = Revision::new(1, container.revision, 0);
            let prices = format!("prices {}", lines::prices(container.revision));
            Publisher::new(outbox, options, revision, prices, Box::new(self.time.clone()))
        })
    }
}

/// In memory where there is such a place: a story writes its ledgers to the disk thousands of times.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a folder can be made")
}

/// A process takes in what is new in the logs, under the prices of a revision.
pub(super) fn take_in(projects: &Path, state: &Path, revision: u32) {
    let table = PriceTable::parse(&lines::price_file(revision), "test").expect("a price file");
    let lock = LedgerLock::acquire(state, "test").expect("nobody else writes");
    let ledger = Ledger::open(state, lock).expect("a ledger opens");
    let options = CollectOptions { roots: vec![projects.to_owned()], ..CollectOptions::default() };
    let collector = Collector::new(ledger, TablePricing::new(table), options);
    let (mut collector, _) = collector.expect("the ledger can be written");
    let summary = collector.take_in_tree(&walk(projects, &mut |_, _| {}), &mut |_| {});
    let summary = summary.expect("the ledger can be written");
    assert!(summary.reports.is_empty(), "{:?}", summary.reports);
}

/// What a crash, or a snapshot of the disk, leaves of a ledger: it is at rest but for what reads it.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for suffix in ["", "-wal"] {
        let name = format!("{LEDGER_FILE}{suffix}");
        if from.join(&name).exists() {
            fs::copy(from.join(&name), to.join(&name)).expect("a ledger can be copied");
        }
    }
}

/// A user of the same project with a session of his own.
fn put_bystander(database: &Database, user: &str, server: &mut Server) {
    let line = Line { message: 0, session: 0, step: 2, day: 0, forked_from: None };
    let (mut counted, mut logs) = (Counted::default(), Logs::default());
    logs.add(&[line]);
    counted.read(&logs);
    let value = counted.value(0, 1).expect("a session");
    let sent = value.json(user, &lines::session_name(0)).to_string();
    let token = Stack::get().token(Role::Service, None);
    let answer = database.call("upsert_token_usage", &sent, Some(&token));
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.commit(USERS, 0, &value);
}
