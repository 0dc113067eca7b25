//! What is sent when, by a clock that the tests move.

use super::*;
use std::sync::Mutex;

const MINUTE: Duration = Duration::from_mins(1);

/// A notifier whose messages are kept, and the clock it goes by.
struct Bench {
    sent: Arc<Mutex<Vec<String>>>,
    notifier: Notifier,
    pulse: Arc<Pulse>,
    now: Moment,
}

impl Bench {
    fn new(watchdog: Option<Duration>) -> Self {
        let (sent, pulse) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Pulse::default()));
        let mut notifier = Notifier::new(None, Arc::clone(&pulse), true);
        let kept = Arc::clone(&sent);
        notifier.watchdog = watchdog;
        notifier.send = Some(Box::new(move |message| {
            kept.lock().unwrap().push(message.to_owned());
            Ok(())
        }));
        // clock: a beginning; the test moves it.
        Self { sent, notifier, pulse, now: Moment::now() }
    }

    /// One that has become ready over so many logs.
    fn ready(watchdog: Option<Duration>) -> Self {
        let mut bench = Self::new(watchdog);
        bench.notifier.begin(bench.now);
        bench.pulse.found(1_894);
        bench.notifier.ready(bench.now);
        bench.sent();
        bench
    }

    /// What was sent since the last look.
    fn sent(&self) -> Vec<String> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    /// Lets time go by, beat after beat, as the loop does.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.notifier.next(self.now) <= end {
            self.now = self.notifier.next(self.now);
            self.notifier.beat(self.now);
        }
        self.now = end;
    }
}

#[test]
fn from_the_first_look_to_the_end() {
    let mut bench = Bench::new(Some(5 * MINUTE));
    bench.notifier.begin(bench.now);
    assert_eq!(bench.sent(), ["EXTEND_TIMEOUT_USEC=120000000", "STATUS=reading the logs that were there"]);
    bench.pulse.found(1_894);
    bench.notifier.ready(bench.now);
    let following = "STATUS=following 1,894 logs; publishing is on";
    assert_eq!(bench.sent(), ["READY=1", "WATCHDOG=1", following]);
    bench.pass(5 * MINUTE);
    assert_eq!(bench.sent(), ["WATCHDOG=1", "WATCHDOG=1"]);
    bench.notifier.reloading();
    let reloading = bench.sent().remove(0);
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    bench.notifier.reloaded();
    assert_eq!(bench.sent(), ["READY=1"]);
    bench.notifier.trouble(Some("disk\nfull"));
    bench.notifier.trouble(Some("disk\nfull"));
    bench.notifier.trouble(None);
    assert_eq!(bench.sent(), ["STATUS=cannot write the ledger, tries again: disk\\nfull", following]);
    bench.notifier.stopping("SIGTERM");
    assert_eq!(bench.sent(), ["STOPPING=1\nSTATUS=ending after SIGTERM"]);
    bench.pass(60 * MINUTE);
    assert_eq!(bench.sent(), Vec::<String>::new());
}

#[test]
fn a_worker_that_is_stuck_ends_the_signs_of_life() {
    let mut bench = Bench::ready(Some(5 * MINUTE));
    bench.pulse.beat();
    bench.pass(14 * MINUTE);
    assert!(bench.sent().len() >= 5, "it may be slow");
    bench.pass(60 * MINUTE);
    assert!(bench.sent().len() <= 2, "it is stuck");
    bench.pass(60 * MINUTE);
    assert_eq!(bench.sent(), Vec::<String>::new());
    bench.pulse.rest();
    bench.pass(5 * MINUTE);
    assert_eq!(bench.sent().len(), 2, "it has come back");
}

#[test]
fn a_worker_that_is_slow_but_gets_on_is_not_stuck() {
    let mut bench = Bench::ready(Some(5 * MINUTE));
    for _ in 0..12 {
        bench.pulse.beat();
        bench.pass(10 * MINUTE);
        assert_eq!(bench.sent().len(), 4);
    }
}

#[test]
fn a_long_start_is_given_more_time_until_it_is_stuck() {
    let mut bench = Bench::new(None);
    bench.notifier.begin(bench.now);
    bench.sent();
    for _ in 0..10 {
        bench.pulse.beat();
        bench.pass(10 * MINUTE);
        assert_eq!(bench.sent(), vec!["EXTEND_TIMEOUT_USEC=120000000"; 20]);
    }
    bench.pass(60 * MINUTE);
    assert!(bench.sent().len() < 40);
    bench.pass(60 * MINUTE);
    assert_eq!(bench.sent(), Vec::<String>::new());
}

#[test]
fn nobody_is_woken_up_where_nothing_is_to_be_sent() {
    let mut bench = Bench::ready(None);
    assert!(bench.notifier.next(bench.now) > bench.now + 1_000 * MINUTE, "no watchdog");
    bench.notifier.send = None;
    let mut silent = Bench::new(Some(MINUTE));
    silent.notifier.send = None;
    silent.notifier.begin(silent.now);
    assert!(silent.notifier.next(silent.now) > silent.now + 1_000 * MINUTE, "no manager");
}

#[test]
fn a_reload_is_over_when_the_last_one_is() {
    let mut bench = Bench::ready(None);
    bench.notifier.reloading();
    bench.notifier.reloading();
    bench.sent();
    bench.notifier.reloaded();
    assert_eq!(bench.sent(), Vec::<String>::new());
    bench.notifier.reloaded();
    assert_eq!(bench.sent(), ["READY=1"]);
    bench.notifier.reloaded();
    assert_eq!(bench.sent(), Vec::<String>::new());
    let mut starting = Bench::new(None);
    starting.notifier.reloading();
    starting.notifier.reloaded();
    assert_eq!(starting.sent(), Vec::<String>::new(), "what is not ready yet is not ready by a reload");
}

#[test]
fn an_abstract_socket_is_reached_by_its_name() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("tallyd-test-{}", std::process::id());
    let receiver = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    send(OsStr::new(&format!("@{name}")), "READY=1").unwrap();
    let mut bytes = [0; 64];
    let count = receiver.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"READY=1");
    assert!(send(OsStr::new("/nobody/listens"), "READY=1").is_err());
}
