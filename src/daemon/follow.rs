//! The loop: hints, work, signals.

mod end;
mod outcome;
mod vitals;

use super::DaemonError;
use super::lag::Lag;
use super::manager::{Notifier, NotifyOptions, Pulse};
use super::orders::{Answer, Order, Reload, serve};
use super::pending::Pending;
use super::process::Process;
use super::publishing::Publishing;
use super::serving::Serving;
use super::tell;
use super::worker::{Work, Worker};
use crate::collect::{CollectError, Collector, PassSummary, TablePricing};
use crate::http::HttpOptions;
use crate::ledger::LedgerError;
use crate::publish::{Order as PublishOrder, Publisher};
use crate::watch::{FollowOptions, Hint};
use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGUSR1};
use signal_hook_tokio::Signals;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep_until;
use vitals::{Seen, heard};

/// A moment on the clock that only moves forward, for pauses.
pub(super) type Moment = tokio::time::Instant;

/// The moment after a pause.
fn after(pause: Duration) -> Moment {
    // clock: pauses between walks and retries; no time that is stored or shown.
    Moment::now() + pause
}

/// What is done when everything that was in the logs at start has been taken in.
pub type OnReady = Box<dyn FnOnce(&PassSummary)>;

/// The daemon before it runs.
pub struct Daemon {
    /// The pipeline.
    pub collector: Collector<TablePricing>,
    /// Settings of following.
    pub follow: FollowOptions,
    /// What SIGHUP does.
    pub reload: Reload,
    /// Called once, when everything that was in the logs at start has been taken in.
    pub on_ready: OnReady,
    /// Sends what is counted, from that moment on; `None` where publishing is off.
    pub publisher: Option<Publisher>,
    /// A backup of the ledger is kept beside it.
    pub backup: bool,
    /// What it says of itself over HTTP.
    pub http: HttpOptions,
    /// The service manager that wants to know how it is.
    pub notify: Option<NotifyOptions>,
}

impl Daemon {
    /// Follows the logs until SIGTERM or SIGINT.
    pub fn run(self, process: Process) -> Result<(), DaemonError> {
        let Process { runtime, signals } = process;
        let Self { collector, follow, reload, on_ready, publisher, backup, http, notify } = self;
        let pulse = Arc::new(Pulse::default());
        let notify = Notifier::new(notify, Arc::clone(&pulse), publisher.is_some());
        let stop = collector.stop_switch();
        let ledger = collector.ledger().path().to_owned();
        let folder = ledger.parent().map(Path::to_owned);
        let serving = Serving::start(http, folder, publisher.as_ref().map(Publisher::requests))?;
        let (hint_sender, hints) = unbounded_channel();
        let (order_sender, orders) = std_mpsc::channel();
        let (answer_sender, answers) = unbounded_channel();
        let worker = Worker::new(collector, follow, backup, Arc::clone(&pulse), move |hint| {
            drop(hint_sender.send(hint));
        });
        let thread = std::thread::Builder::new()
            .name("collect".to_owned())
            .spawn(move || serve(worker, &orders, &answer_sender, &pulse))
            .map_err(|source| DaemonError::SetUp { what: "the thread that writes the ledger", source })?;
        let mut state = Loop {
            orders: order_sender,
            pending: Pending::default(),
            busy: false,
            begun: after(Duration::ZERO),
            failures: 0,
            failure: String::new(),
            refused: false,
            found: PassSummary::default(),
            interval: follow.rescan,
            follow,
            next_walk: after(Duration::ZERO),
            next_try: after(Duration::ZERO),
            next_pass: after(Duration::ZERO),
            on_ready: Some(on_ready),
            ledger,
            stop,
            publisher,
            publishing: None,
            damage: None,
            damages: unbounded_channel(),
            mending: false,
            lag: Lag::default(),
            seen: Seen::default(),
            serving,
            notify,
        };
        let result = runtime.block_on(state.turn(signals, hints, answers, &reload));
        // Everything is in the ledger by now: what is left to send is what it says.
        let published = state.publishing.take().map_or(Ok(()), Publishing::end);
        let served = state.serving.take().map_or(Ok(()), Serving::end);
        // No more orders: the worker ends after the one it is at.
        drop(state);
        thread.join().map_err(|_| DaemonError::WorkerGone)?;
        result.and(published).and(served)
    }
}

/// The state of the loop.
struct Loop {
    orders: std_mpsc::Sender<Order>,
    pending: Pending,
    busy: bool,
    /// When the last piece of work was handed out.
    begun: Moment,
    failures: u32,
    /// Why the ledger could not be written last: said once.
    failure: String,
    /// The system refuses file events.
    refused: bool,
    /// What the passes over the logs that were there at start came to.
    found: PassSummary,
    interval: Duration,
    follow: FollowOptions,
    next_walk: Moment,
    /// No work before then: the ledger could not be written.
    next_try: Moment,
    /// No work before then: many logs are written to at once, and are read together.
    next_pass: Moment,
    on_ready: Option<OnReady>,
    /// Where the ledger is.
    ledger: PathBuf,
    /// Ends the pass that is under way.
    stop: Arc<AtomicBool>,
    /// Starts when the logs have been read once: until then an original may turn up after its copy.
    publisher: Option<Publisher>,
    publishing: Option<Publishing>,
    /// The ledger is damaged, and to be mended before anything else is done.
    damage: Option<LedgerError>,
    /// Damage that the publisher has met.
    damages: (UnboundedSender<String>, UnboundedReceiver<String>),
    /// The ledger is being made anew.
    mending: bool,
    /// What is known to be written and not counted.
    lag: Lag,
    /// What the last pass has said of the folders.
    seen: Seen,
    serving: Option<Serving>,
    notify: Notifier,
}

impl Loop {
    async fn turn(
        &mut self,
        mut signals: Signals,
        mut hints: UnboundedReceiver<Hint>,
        mut answers: UnboundedReceiver<Answer>,
        reload: &Reload,
    ) -> Result<(), DaemonError> {
        self.hinted(Hint::Everything);
        self.notify.begin(after(Duration::ZERO));
        loop {
            self.dispatch()?;
            let is_resting = self.is_resting();
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Some(SIGHUP) => self.reload(reload)?,
                    Some(SIGUSR1) => self.log_status(),
                    Some(signal) => return self.end(signal, answers).await,
                    None => return Ok(()),
                },
                Some(what) = self.damages.1.recv() => {
                    self.damage.get_or_insert(LedgerError::Damaged { path: self.ledger.clone(), what });
                }
                answer = answers.recv() => self.answered(answer.ok_or(DaemonError::WorkerGone)?)?,
                () = sleep_until(self.notify.next(after(Duration::ZERO))) => self.notify.beat(after(Duration::ZERO)),
                Some(heard) = heard(&mut self.serving) => self.heard(heard)?,
                () = sleep_until(self.next_pass), if is_resting => {}
                Some(hint) = hints.recv(), if !is_resting => {
                    self.hinted(hint);
                    while let Ok(hint) = hints.try_recv() {
                        self.hinted(hint);
                    }
                }
                () = sleep_until(self.next_walk), if !self.busy => self.pending.add(Hint::Everything),
            }
        }
    }

    /// Gives the worker what is pending, if it is idle. After the ledger could not be written, nothing is due.
    fn dispatch(&mut self) -> Result<(), DaemonError> {
        if self.busy || self.is_resting() || after(Duration::ZERO) < self.next_try {
            return Ok(());
        }
        if let Some(found) = self.damage.take() {
            // What it offered is settled by the ledger that it will find.
            if let Some(publishing) = self.publishing.take() {
                self.publisher = Some(publishing.pause()?);
            }
            // Nobody meets the former ledger any more, and what was met of it is being mended.
            while self.damages.1.try_recv().is_ok() {}
            self.orders.send(Order::Mend(found)).map_err(|_| DaemonError::WorkerGone)?;
            (self.busy, self.mending) = (true, true);
            return Ok(());
        }
        if let Some(work) = self.pending.take() {
            if work == Work::Everything {
                self.next_walk = after(self.interval);
            }
            self.begun = after(Duration::ZERO);
            self.lag.taken();
            self.orders.send(Order::Work(work)).map_err(|_| DaemonError::WorkerGone)?;
            self.busy = true;
        }
        Ok(())
    }

    /// In the middle of a burst: the next pass is to find as much as the last, and no hint is to wake anybody.
    fn is_resting(&self) -> bool {
        !self.busy && after(Duration::ZERO) < self.next_pass
    }

    fn answered(&mut self, answer: Answer) -> Result<(), DaemonError> {
        match answer {
            Answer::Worked(outcome) => {
                self.busy = false;
                self.worked(outcome)?;
            }
            Answer::Reloaded(Ok(repriced), publish) => {
                self.notify.reloaded();
                tracing::info!(repriced = repriced.unwrap_or(0), "reloaded settings and prices");
                self.pending.add(Hint::Everything);
                match (publish, &mut self.publisher) {
                    (Some(publish), Some(waiting)) => waiting.take(publish),
                    (Some(publish), None) => self.tell_publisher(PublishOrder::Reload(Box::new(publish))),
                    (None, _) => {}
                }
            }
            Answer::Reloaded(Err(error), _) => {
                self.notify.reloaded();
                tracing::error!(error = %error, "new prices could not be applied; the next SIGHUP tries again");
                let CollectError::Ledger(error) = error;
                // What was found before is still to be mended, whatever this error is.
                self.damage = self.damage.take().or(Some(error).filter(LedgerError::is_damaged));
            }
            Answer::Witnessed(Ok(())) => self.tell_publisher(PublishOrder::Changed),
            Answer::Witnessed(Err(CollectError::Ledger(error))) => {
                self.damage = self.damage.take().or(Some(error).filter(LedgerError::is_damaged));
            }
            Answer::Mended(Ok(rebuilt)) => {
                (self.busy, self.mending) = (false, false);
                // What was found meanwhile, by a reload that came first, was found of the former ledger.
                self.damage = None;
                tell::rebuilt(&rebuilt);
                self.pending.add(Hint::Everything);
            }
            Answer::Mended(Err((CollectError::Ledger(error), found))) => {
                (self.busy, self.mending) = (false, false);
                if !error.is_transient() {
                    return Err(error.into());
                }
                self.damage = Some(found);
                self.failed(&error);
            }
        }
        Ok(())
    }

    /// Something is said to have changed.
    fn hinted(&mut self, hint: Hint) {
        self.pending.add(hint);
        self.lag.hinted(|| after(Duration::ZERO));
    }

    fn reload(&mut self, reload: &Reload) -> Result<(), DaemonError> {
        self.notify.reloading();
        match reload() {
            Ok(new) => self.orders.send(Order::Reload(Box::new(new))).map_err(|_| DaemonError::WorkerGone),
            Err(error) => {
                self.notify.reloaded();
                tracing::error!(error, "settings or prices are wrong; those from before stay in force");
                Ok(())
            }
        }
    }

    fn tell_publisher(&self, order: PublishOrder) {
        if let Some(publishing) = &self.publishing {
            publishing.tell(order);
        }
    }
}
