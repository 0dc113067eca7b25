//! The daemon and all that goes wrong around it, in an order by the seed: every kind once, then every kind again in
//! another order. One at a time, each for a spell; the traffic goes on meanwhile. From the middle of the soak on the
//! daemon is not ended any more, so that its memory can be judged over a long life.
#![cfg(test)]

use super::scene::Scene;
use super::settings::Settings;
use crate::process::{Daemon, fail, succeed};
use crate::random::Random;
use crate::remote::exact::publisher;
use crate::remote::faults::{Arrival, Fault, Plan, always, chaos};
use crate::remote::gateway::Gateway;
use crate::remote::http::Response;
use crate::truth::rows;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Of a request, in seconds; answers that are held back are held back for longer.
const TIMEOUT: u64 = 3;

/// After a full disk a daemon tries to write at least once a minute: it is looked at again so often, so far apart.
const PATIENT_CHECKS: u32 = 60;
const TRY_AGAIN: Duration = Duration::from_secs(2);

type Kind = (&'static str, fn(&mut Trouble, &'static str));

/// What ends the daemon.
const ENDS: [Kind; 4] = [
    ("daemons killed", |trouble, name| trouble.kill(name)),
    ("daemons killed at once again", |trouble, name| trouble.kill_twice(name)),
    ("daemons ended by SIGTERM", |trouble, name| trouble.terminate(name)),
    ("daemons killed, later started", |trouble, name| trouble.kill_for_long(name)),
];

const KINDS: [Kind; 17] = [
    ("stopped and continued", |trouble, name| trouble.stop(name)),
    ("told to reload", |trouble, name| trouble.reload(name)),
    ("second daemon refused", |trouble, name| trouble.second(name)),
    ("reports beside", |trouble, name| trouble.report(name)),
    ("checks beside", |trouble, name| trouble.check(name)),
    ("quiet spells", |trouble, name| trouble.quiet(name)),
    ("server: gone", |trouble, name| trouble.gone(name)),
    ("server: answers lost after the commit", |trouble, name| trouble.plan(name)),
    ("server: connections cut", |trouble, name| trouble.plan(name)),
    ("server: unavailable", |trouble, name| trouble.plan(name)),
    ("server: too many requests", |trouble, name| trouble.plan(name)),
    ("server: errors of the database", |trouble, name| trouble.plan(name)),
    ("server: answers after the timeout", |trouble, name| trouble.plan(name)),
    ("server: answers that drip", |trouble, name| trouble.plan(name)),
    ("server: answers of somebody else", |trouble, name| trouble.plan(name)),
    ("server: an error after the commit", |trouble, name| trouble.plan(name)),
    ("no trouble", |trouble, name| trouble.calm(name)),
];

const DISK: Kind = ("disk full", |trouble, name| trouble.fill_disk(name));

pub(super) struct Trouble<'a> {
    scene: &'a Scene,
    gateway: Gateway,
    user: String,
    config: PathBuf,
    unit: Duration,
    random: Random,
    daemon: Option<Daemon>,
    is_following: bool,
    /// Its disk was full since it was last checked.
    was_full: bool,
    said: File,
    requests: Arc<AtomicU64>,
    met: Arc<AtomicU64>,
}

fn server(kind: &str, seed: u64) -> Plan {
    let late = Fault::Delay(Duration::from_secs(TIMEOUT + 1));
    match kind {
        "server: answers lost after the commit" => chaos(seed, vec![(60, Fault::LoseAnswer)]),
        "server: connections cut" => chaos(seed, vec![(40, Fault::CutBefore), (30, Fault::CutAnswer)]),
        "server: unavailable" => always(Fault::unavailable()),
        "server: too many requests" => chaos(seed, vec![(70, Fault::too_many("2"))]),
        "server: errors of the database" => {
            chaos(seed, vec![(30, Fault::database_error("57014")), (30, Fault::database_error("40P01"))])
        }
        "server: answers after the timeout" => chaos(seed, vec![(50, late)]),
        "server: answers that drip" => chaos(seed, vec![(40, Fault::Drip)]),
        "server: answers of somebody else" => chaos(
            seed,
            vec![
                (20, Fault::captive_portal()),
                (20, Fault::foreign_json()),
                (20, Fault::truncated_json()),
                (20, Fault::empty()),
            ],
        ),
        "server: an error after the commit" => {
            let error = Response::new(500, "text/plain", "upstream error");
            chaos(seed, vec![(60, Fault::Afterwards(error))])
        }
        other => panic!("no plan for {other:?}"),
    }
}

impl<'a> Trouble<'a> {
    pub(super) fn new(scene: &'a Scene, gateway: Gateway, user: &str, settings: &Settings) -> Self {
        let config = scene.sandbox.path("tallyd.toml");
        fs::write(&config, format!("[publish]\ntimeout_seconds = {TIMEOUT}\n")).expect("a config");
        let said = File::create(settings.file("log")).expect("a file can be made");
        let mut trouble = Self {
            scene,
            gateway,
            user: user.to_owned(),
            config,
            unit: settings.unit(),
            random: Random::new(settings.seed ^ 0x5eed),
            daemon: None,
            is_following: false,
            was_full: false,
            said,
            requests: Arc::default(),
            met: Arc::default(),
        };
        trouble.heal();
        trouble.start();
        trouble
    }

    /// Everything once in an order, and again in another, until the time is over; everything once at least.
    pub(super) fn make(&mut self, settings: &Settings) {
        let (mut left, mut round) = (Vec::new(), 0);
        while (self.scene.begun.elapsed() < settings.time || round < 2) && !self.scene.is_over() {
            let is_late = round > 1 && self.scene.begun.elapsed() > settings.time / 2;
            if is_late {
                left.retain(|kind: &Kind| ENDS.iter().all(|end| end.0 != kind.0));
            }
            if left.is_empty() {
                round += 1;
                left = [&KINDS[..], &ENDS].concat();
                left.extend(settings.mounts.then_some(DISK));
                continue;
            }
            let (name, happen) = left.swap_remove(self.random.index(left.len()));
            writeln!(self.said, "== {:.1} {name}", self.scene.begun.elapsed().as_secs_f64()).expect("a log");
            happen(self, name);
            self.scene.count(name);
            self.rest(3);
            self.look();
        }
        self.scene.add("requests", self.requests.load(Ordering::SeqCst));
        self.scene.add("requests that met a fault", self.met.load(Ordering::SeqCst));
    }

    /// Ends the daemon as a service manager does; where its server is.
    pub(super) fn end(&mut self) -> String {
        self.terminate_it();
        self.gateway.url()
    }

    /// A new daemon, which has no failure behind it to be careful for.
    pub(super) fn start_anew(&mut self) {
        self.terminate_it();
        self.start();
    }

    /// Some units of time.
    fn rest(&mut self, most: u32) {
        let share = u32::try_from(self.random.range(1, 100)).expect("fits");
        self.scene.pause(self.unit * most * share / 100);
    }

    /// The daemon runs, and what it has said is written down.
    fn look(&mut self) {
        let daemon = self.daemon.as_mut().expect("there is a daemon");
        let is_running = daemon.is_running();
        for line in daemon.take_told() {
            self.is_following |= line.ends_with("INFO following");
            if !line.contains(" INFO response ") && !line.contains(" INFO response corrected ") {
                writeln!(self.said, "{line}").expect("a log can be written");
            }
        }
        assert!(is_running, "the daemon has ended");
    }

    fn start(&mut self) {
        let mut command = publisher(&self.scene.sandbox, "run", &self.gateway.url(), &self.user);
        let daemon = Daemon::start(command.arg("--config").arg(&self.config));
        self.scene.daemons.fetch_add(1, Ordering::SeqCst);
        self.scene.daemon.store(daemon.id(), Ordering::SeqCst);
        self.daemon = Some(daemon);
        self.is_following = false;
    }

    /// The daemon, when it handles signals and holds the ledger.
    fn following(&mut self) -> &mut Daemon {
        let daemon = self.daemon.as_mut().expect("there is a daemon");
        if !self.is_following {
            daemon.wait_for("following");
            self.is_following = true;
        }
        daemon
    }

    fn kill_it(&mut self) {
        self.look();
        let daemon = self.daemon.take().expect("there is a daemon");
        self.scene.daemon.store(0, Ordering::SeqCst);
        assert!(daemon.kill(), "the daemon ended by itself");
    }

    fn kill(&mut self, _: &'static str) {
        self.kill_it();
        self.start();
    }

    /// The second time it is about to read what the first has left.
    fn kill_twice(&mut self, _: &'static str) {
        self.kill_it();
        self.start();
        let micros = self.random.range(0, 60_000);
        self.scene.pause(Duration::from_micros(micros));
        self.kill_it();
        self.start();
    }

    fn kill_for_long(&mut self, _: &'static str) {
        self.kill_it();
        self.rest(10);
        self.start();
    }

    fn terminate(&mut self, _: &'static str) {
        self.terminate_it();
        self.rest(3);
        self.start();
    }

    fn terminate_it(&mut self) {
        self.following();
        self.look();
        let mut daemon = self.daemon.take().expect("there is a daemon");
        daemon.signal("TERM");
        assert_eq!(daemon.exit_code(), Some(0), "{}", daemon.told.join("\n"));
        self.scene.daemon.store(0, Ordering::SeqCst);
        for line in daemon.take_told() {
            writeln!(self.said, "{line}").expect("a log can be written");
        }
    }

    fn stop(&mut self, _: &'static str) {
        self.following().signal("STOP");
        self.rest(8);
        self.following().signal("CONT");
    }

    fn reload(&mut self, _: &'static str) {
        self.following().signal("HUP");
    }

    fn second(&mut self, _: &'static str) {
        self.following();
        fail(&mut self.scene.sandbox.tallyd("run"), 5);
    }

    /// Beside a daemon a report is as the ledger is: never more than was written.
    fn report(&mut self, _: &'static str) {
        self.following();
        let days = rows(&succeed(self.scene.sandbox.tallyd("daily").arg("--json")), "daily");
        let (told, truth) =
            (days.values().map(|day| day.messages).sum::<u64>(), self.scene.truth().messages());
        assert!(told <= truth, "a report tells of {told} responses, {truth} are written");
    }

    /// All is well, or a fault that is known: never a failure of its own. A daemon whose disk was full says so
    /// until it has written again, which it tries by itself.
    fn check(&mut self, _: &'static str) {
        self.following();
        let url = self.gateway.url();
        for attempt in 0.. {
            let output = publisher(&self.scene.sandbox, "check", &url, &self.user).output().expect("it runs");
            let code = output.status.code().expect("an exit code");
            let shown = String::from_utf8_lossy(&output.stdout);
            self.scene.count(&format!("checks beside: exit code {code}"));
            let is_full = code == 7 && shown.contains("the running tallyd cannot write it");
            if !(self.was_full && is_full && attempt < PATIENT_CHECKS) {
                assert!([0, 11].contains(&code), "exit code {code}: {shown}");
                break;
            }
            self.scene.pause(TRY_AGAIN);
        }
        self.was_full = false;
    }

    fn calm(&mut self, _: &'static str) {
        self.rest(20);
    }

    /// Nobody writes, nothing goes wrong: what the daemon takes when it has nothing to do.
    fn quiet(&mut self, _: &'static str) {
        self.scene.set_quiet(true);
        self.scene.pause(self.unit * 25);
        self.scene.set_quiet(false);
    }

    fn gone(&mut self, _: &'static str) {
        self.gateway.close();
        self.rest(20);
        self.gateway.open();
    }

    fn plan(&mut self, kind: &'static str) {
        let plan = server(kind, self.random.next());
        self.set(plan);
        self.rest(20);
        self.heal();
    }

    /// As long as it is full, reading stands still; then it goes on by itself.
    fn fill_disk(&mut self, _: &'static str) {
        let ballast = self.scene.sandbox.state().join("ballast");
        let mut file = File::create(&ballast).expect("a file can be made");
        for size in [1 << 20, 4_096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
        self.rest(10);
        fs::remove_file(ballast).expect("a file can be deleted");
        self.was_full = true;
    }

    fn heal(&mut self) {
        self.set(Box::new(|_: &Arrival| None));
    }

    /// Counts what arrives and what meets a fault.
    fn set(&mut self, mut plan: Plan) {
        let (requests, met) = (Arc::clone(&self.requests), Arc::clone(&self.met));
        self.gateway.plan(Box::new(move |arrival| {
            let fault = plan(arrival);
            requests.fetch_add(1, Ordering::SeqCst);
            met.fetch_add(u64::from(fault.is_some()), Ordering::SeqCst);
            fault
        }));
    }
}
