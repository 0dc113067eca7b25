//! Reading files with something new, and writing what they say: the threads, the batches, the commits.
//!
//! Owns: the ledger and what is known of files beside it. Fails where the ledger cannot be written; what was
//! committed by then stays, and the next pass goes on from there.

use super::bundles::{Bundles, Delivery};
use super::intake::{Intake, Pass, Progress};
use super::plan::{Job, Known, Moved};
use super::reading::{End, FileReport, Limits, Piece, read_file};
use super::{CollectError, CollectOptions, PassSummary};
use crate::domain::{CallEvent, UnixMillis};
use crate::ledger::{Activity, EventSummary, Ledger, LedgerError, Pricing, Rebuilt};
use crate::tail::{Flow, LineReader, TailError};
use crate::watch::{FoundFile, Tree};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

/// Statements gathered before a transaction is written.
const BATCH_LINES: usize = 8192;
/// Files gathered before a transaction is written.
const BATCH_FILES: usize = 1024;
/// Bundles that may wait for the writer: bounds the memory of a scan.
const WAITING_BUNDLES: usize = 8;
/// Reports of one pass are listed up to this number: memory stays bounded whatever is in the logs.
const LISTED_REPORTS: usize = 10_000;
/// Below this many new bytes a second thread costs more than it saves.
const THREADS_FROM_BYTES: u64 = 4 << 20;
/// More readers than this only wait for the writer.
const MAX_THREADS: usize = 4;

/// The write pipeline, with its ledger.
#[derive(Debug)]
pub struct Collector<P> {
    ledger: Ledger,
    pricing: P,
    options: CollectOptions,
    known: Known,
    lines: LineReader,
    /// Files whose trouble has been reported, until they can be read again.
    complained: HashSet<PathBuf>,
    /// How many of them the ledger says there are.
    noted_unreadable: Option<usize>,
    /// The ledger was made anew, and is still to be priced and asked what it knows.
    rebuilt: Option<Rebuilt>,
    /// OpenTelemetry is listened for.
    expects_events: bool,
    limits: Limits,
}

impl<P: Pricing + Sync> Collector<P> {
    /// Makes the pipeline; reprices the ledger if the price table has changed. Returns how many
    /// responses have another cost since then.
    pub fn new(
        mut ledger: Ledger,
        pricing: P,
        options: CollectOptions,
    ) -> Result<(Self, Option<u64>), CollectError> {
        let repriced = ledger.reprice(&pricing)?;
        let known = Known::new(&ledger)?;
        let lines = LineReader::new(options.tail.max_line_bytes);
        Ok((
            Self {
                ledger,
                pricing,
                options,
                known,
                lines,
                complained: HashSet::new(),
                noted_unreadable: None,
                rebuilt: None,
                expects_events: false,
                limits: Limits { stop: Arc::default(), share: u64::MAX },
            },
            repriced,
        ))
    }

    /// A switch that ends a pass early when it is set: what was read by then is committed, and the next
    /// pass goes on from there. For processes that are given seconds to end.
    pub fn stop_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.limits.stop)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.limits.stop.load(Ordering::Relaxed)
    }

    /// From now on a file gets no more than this many bytes of a pass, and the line that they end in, so that a
    /// huge one holds up no other; the summary names those with more in them ([`PassSummary::unfinished`]),
    /// to be handed in again.
    pub fn read_in_turns(&mut self, share: u64) {
        self.limits.share = share;
    }

    /// The folders that hold session logs.
    pub fn roots(&self) -> &[PathBuf] {
        &self.options.roots
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes back that the ledger is whole.
    pub fn doubt(&mut self) {
        self.ledger.doubt();
    }

    /// What the ledger's costs are by.
    pub fn pricing(&self) -> &P {
        &self.pricing
    }

    /// Tells readers of the ledger how far collecting has come, and whether it goes without file events
    /// because the system refuses them.
    pub fn announce(&self, activity: Activity, no_events: bool) {
        self.ledger.announce(activity, self.options.subject(), no_events);
    }

    /// Takes other settings and prices; returns how many responses have another cost now.
    pub fn reload(&mut self, pricing: P, options: CollectOptions) -> Result<Option<u64>, CollectError> {
        let repriced = self.ledger.reprice(&pricing)?;
        self.pricing = pricing;
        self.lines = LineReader::new(options.tail.max_line_bytes);
        self.options = options;
        Ok(repriced)
    }

    /// Takes in what is new in the files of a walk.
    pub fn take_in_tree(
        &mut self,
        tree: &Tree,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PassSummary, CollectError> {
        let summary = self.take_in(&tree.files, progress)?;
        self.settle(summary)
    }

    /// Does what is left after a pass that was offered every log there is: those that are gone need no reading
    /// any more, and a ledger that was made anew is compared with the one it took the place of.
    pub fn settle(&mut self, mut summary: PassSummary) -> Result<PassSummary, CollectError> {
        self.complained.retain(|path| path.symlink_metadata().is_ok());
        self.note_unreadable()?;
        if !self.is_stopped() && summary.unfinished.is_empty() {
            summary.lost = self.ledger.settle_rebuild()?;
        }
        Ok(summary)
    }

    /// Makes the ledger anew, after an error that says it is damaged. A walk of all roots then brings in what
    /// it lacks. Where this fails, the next call goes on where it ended.
    pub fn rebuild(&mut self, found: &LedgerError, now: UnixMillis) -> Result<Rebuilt, CollectError> {
        let rebuilt = match self.rebuilt.take() {
            Some(rebuilt) => rebuilt,
            None => self.ledger.rebuild(found, now)?,
        };
        match self.begin_anew() {
            Ok(()) => Ok(rebuilt),
            Err(error) => {
                // A new one that is damaged, too, is to be made anew as any other.
                self.rebuilt = Some(rebuilt).filter(|_| !error.is_damaged());
                Err(error.into())
            }
        }
    }

    /// Takes the ledger as it is in place of what is known of the former one.
    fn begin_anew(&mut self) -> Result<(), LedgerError> {
        self.ledger.reprice(&self.pricing)?;
        if self.expects_events {
            self.ledger.expect_events()?;
        }
        self.known = Known::new(&self.ledger)?;
        self.noted_unreadable = None;
        Ok(())
    }

    /// From now on requests are kept with logged replies, so that what is told by OpenTelemetry finds them.
    pub fn expect_events(&mut self) -> Result<(), CollectError> {
        self.expects_events = true;
        Ok(self.ledger.expect_events()?)
    }

    /// Takes in what was told by OpenTelemetry; it is on the disk when this returns.
    pub fn take_events(&mut self, events: &[CallEvent]) -> Result<EventSummary, CollectError> {
        Ok(self.ledger.take_events(events, &self.pricing)?)
    }

    /// Takes in what is new in these files.
    pub fn take_in(
        &mut self,
        files: &[FoundFile],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PassSummary, CollectError> {
        let mut pass = self.begin(progress);
        for found in files {
            if pass.offer(found)?.is_break() {
                break;
            }
        }
        pass.finish()
    }

    /// Begins a pass that is offered one file after the other.
    pub fn begin<'a>(&'a mut self, progress: &'a mut dyn FnMut(Progress)) -> Intake<'a, P> {
        Intake::new(self, progress)
    }

    /// What is to be done about a file; `None` where nothing can be new.
    pub(super) fn job(&self, found: &FoundFile) -> Result<Option<Job>, LedgerError> {
        self.known.job(&self.ledger, &self.options.roots, found)
    }

    /// Reads these files and writes what they say.
    pub(super) fn read(
        &mut self,
        mut jobs: Vec<Job>,
        pass: &mut Pass,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CollectError> {
        let bytes: u64 = jobs.iter().map(|job| job.bytes).sum();
        let threads =
            std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len()).min(MAX_THREADS);
        if threads > 1 && bytes > THREADS_FROM_BYTES {
            // The largest last: jobs are taken from the end, so that no thread is left with it alone.
            jobs.sort_by_key(|job| job.bytes);
            self.ledger.expect_much()?;
            self.read_with_threads(threads, jobs, pass, progress)?;
        } else {
            self.read_here(&jobs, pass, progress)?;
        }
        Ok(self.commit(pass)?)
    }

    pub(super) fn relax(&mut self) -> Result<(), LedgerError> {
        self.lines.relax();
        self.ledger.relax()
    }

    /// Keeps the number of logs that cannot be read where others can see it; written when it changes.
    pub(super) fn note_unreadable(&mut self) -> Result<(), LedgerError> {
        let now = self.complained.len();
        if self.noted_unreadable != Some(now) {
            self.ledger.note_unreadable_logs(now)?;
            self.noted_unreadable = Some(now);
        }
        Ok(())
    }

    fn read_here(
        &mut self,
        jobs: &[Job],
        pass: &mut Pass,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CollectError> {
        let mut lines = std::mem::replace(&mut self.lines, LineReader::new(self.options.tail.max_line_bytes));
        let limits = self.limits.clone();
        let mut failure = None;
        for job in jobs {
            let mut deliver = |piece| match self.take_piece(pass, piece, progress) {
                Ok(()) => Flow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    Flow::Break(())
                }
            };
            let result = read_file(job, &mut lines, &limits, &mut deliver);
            if failure.is_some() {
                break;
            }
            self.note_result(pass, job, result);
            if self.is_stopped() {
                break;
            }
        }
        self.lines = lines;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    fn read_with_threads(
        &mut self,
        threads: usize,
        jobs: Vec<Job>,
        pass: &mut Pass,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CollectError> {
        let queue = Mutex::new(jobs);
        let max_line_bytes = self.options.tail.max_line_bytes;
        let limits = self.limits.clone();
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(WAITING_BUNDLES);
            for _ in 0..threads {
                let (mut bundles, queue, limits) = (Bundles::new(sender.clone()), &queue, &limits);
                scope.spawn(move || {
                    let mut lines = LineReader::new(max_line_bytes);
                    while let Some(job) = queue.lock().ok().and_then(|mut jobs| jobs.pop()) {
                        let result = read_file(&job, &mut lines, limits, &mut |piece| {
                            bundles.add(Delivery::Piece(Box::new(piece)))
                        });
                        if bundles.add(Delivery::Done(Box::new(job), result)).is_break() {
                            return;
                        }
                    }
                    let _ = bundles.send();
                });
            }
            drop(sender);
            self.receive(receiver, pass, progress)
        })
    }

    /// Takes pieces until the readers are done. When it ends before, the receiver goes, and they stop.
    fn receive(
        &mut self,
        receiver: Receiver<Vec<Delivery>>,
        pass: &mut Pass,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CollectError> {
        for delivery in receiver.into_iter().flatten() {
            match delivery {
                Delivery::Piece(piece) => self.take_piece(pass, *piece, progress)?,
                Delivery::Done(job, result) => self.note_result(pass, &job, result),
            }
            if self.is_stopped() {
                break;
            }
        }
        Ok(())
    }

    fn take_piece(
        &mut self,
        pass: &mut Pass,
        piece: Piece,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), LedgerError> {
        pass.summary.bytes += piece.bytes;
        pass.summary.losses += piece.losses;
        let room = LISTED_REPORTS.saturating_sub(pass.summary.reports.len());
        pass.summary.reports.extend(piece.reports.into_iter().take(room));
        pass.batch_lines += piece.update.seen.lines();
        pass.batch.push(piece.update);
        progress(Progress { bytes: pass.summary.bytes, total_bytes: pass.total_bytes });
        if pass.batch_lines >= BATCH_LINES || pass.batch.len() >= BATCH_FILES {
            self.commit(pass)?;
        }
        Ok(())
    }

    /// Writes what was gathered; only then is it known in memory.
    fn commit(&mut self, pass: &mut Pass) -> Result<(), LedgerError> {
        if pass.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut pass.batch);
        pass.batch_lines = 0;
        let moves: Vec<_> = batch
            .iter()
            .map(|update| Moved::new(&update.path, update.moved_from.as_deref(), &update.cursor))
            .collect();
        let ingest = self.ledger.ingest(batch, &self.pricing)?;
        for (file, number) in moves.into_iter().zip(&ingest.files) {
            self.known.set(file, *number);
        }
        pass.summary.ingest.add(ingest);
        Ok(())
    }

    /// Reports a file that cannot be read, once; a file that is gone is no trouble.
    fn note_result(&mut self, pass: &mut Pass, job: &Job, result: Result<End, TailError>) {
        match result {
            Ok(end) => {
                self.complained.remove(&job.path);
                pass.summary.unfinished.extend((end == End::Share).then(|| job.path.clone()));
            }
            Err(TailError::Gone { .. }) => {}
            Err(error) => {
                pass.summary.losses += 1;
                if self.complained.insert(job.path.clone()) {
                    pass.summary.reports.push(FileReport::File(error));
                }
            }
        }
    }
}
