//! One pass over files with something new.

use super::plan::{Cursors, Job};
use super::reading::{FileReport, Piece, read_file};
use super::{CollectError, CollectOptions};
use crate::domain::UnixMillis;
use crate::ledger::{Activity, FileUpdate, IngestSummary, Ledger, LedgerError, Losses, Pricing, Rebuilt};
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
/// Pieces that may wait for the writer: bounds the memory of a scan.
const WAITING_PIECES: usize = 4;
/// Reports of one pass are listed up to this number: memory stays bounded whatever is in the logs.
const LISTED_REPORTS: usize = 10_000;
/// Below this many new bytes a second thread costs more than it saves.
const THREADS_FROM_BYTES: u64 = 4 << 20;
/// More readers than this only wait for the writer.
const MAX_THREADS: usize = 4;

/// How far a pass has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes to be read.
    pub total_bytes: u64,
}

/// What a pass did.
#[derive(Debug, Default)]
pub struct PassSummary {
    /// Session logs that there are.
    pub files: usize,
    /// Session logs that had something new.
    pub files_read: usize,
    /// Bytes read.
    pub bytes: u64,
    /// What the ledger took in.
    pub ingest: IngestSummary,
    /// Files and lines in which something that may have been billed could not be read.
    pub losses: u64,
    /// What was wrong with files and lines, each said once; long lists are cut short.
    pub reports: Vec<FileReport>,
    /// What a ledger that was made anew lacks, now that all logs have been read.
    pub lost: Option<Losses>,
}

/// The write pipeline, with its ledger.
#[derive(Debug)]
pub struct Collector<P> {
    ledger: Ledger,
    pricing: P,
    options: CollectOptions,
    cursors: Cursors,
    lines: LineReader,
    /// Files whose trouble has been reported, until they can be read again.
    complained: HashSet<PathBuf>,
    stop: Arc<AtomicBool>,
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
        let cursors = Cursors::new(ledger.cursors()?);
        let lines = LineReader::new(options.tail.max_line_bytes);
        Ok((
            Self {
                ledger,
                pricing,
                options,
                cursors,
                lines,
                complained: HashSet::new(),
                stop: Arc::default(),
            },
            repriced,
        ))
    }

    /// A switch that ends a pass early when it is set: what was read by then is committed, and the next
    /// pass goes on from there. For processes that are given seconds to end.
    pub fn stop_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The folders that hold session logs.
    pub fn roots(&self) -> &[PathBuf] {
        &self.options.roots
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What the ledger's costs are by.
    pub fn pricing(&self) -> &P {
        &self.pricing
    }

    /// Tells readers of the ledger how far collecting has come.
    pub fn announce(&self, activity: Activity) {
        self.ledger.announce(activity, self.options.subject());
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
        let lost = if self.is_stopped() { None } else { self.ledger.settle_rebuild()? };
        Ok(PassSummary { files: tree.files.len(), lost, ..summary })
    }

    /// Makes the ledger anew, after an error that says it is damaged. A walk of all roots then brings in what
    /// it lacks.
    pub fn rebuild(&mut self, found: &LedgerError, now: UnixMillis) -> Result<Rebuilt, CollectError> {
        let rebuilt = self.ledger.rebuild(found, now)?;
        self.ledger.reprice(&self.pricing)?;
        self.cursors = Cursors::new(self.ledger.cursors()?);
        Ok(rebuilt)
    }

    /// Takes in what is new in these files.
    pub fn take_in(
        &mut self,
        files: &[FoundFile],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PassSummary, CollectError> {
        let mut jobs: Vec<Job> =
            files.iter().filter_map(|found| self.cursors.job(&self.options.roots, found)).collect();
        let mut pass = Pass {
            total_bytes: jobs.iter().map(|job| job.bytes).sum(),
            summary: PassSummary { files: files.len(), files_read: jobs.len(), ..PassSummary::default() },
            batch: Vec::new(),
            batch_lines: 0,
        };
        if jobs.is_empty() {
            return Ok(pass.summary);
        }
        let threads =
            std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len()).min(MAX_THREADS);
        if threads > 1 && pass.total_bytes > THREADS_FROM_BYTES {
            // The largest last: jobs are taken from the end, so that no thread is left with it alone.
            jobs.sort_by_key(|job| job.bytes);
            self.read_with_threads(threads, jobs, &mut pass, progress)?;
        } else {
            self.read_here(&jobs, &mut pass, progress)?;
        }
        self.commit(&mut pass)?;
        Ok(pass.summary)
    }

    fn read_here(
        &mut self,
        jobs: &[Job],
        pass: &mut Pass,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CollectError> {
        let mut lines = std::mem::replace(&mut self.lines, LineReader::new(self.options.tail.max_line_bytes));
        let mut failure = None;
        for job in jobs {
            let result =
                read_file(job, &mut lines, &mut |piece| match self.take_piece(pass, piece, progress) {
                    Ok(()) if self.is_stopped() => Flow::Break(()),
                    Ok(()) => Flow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        Flow::Break(())
                    }
                });
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
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<Delivery>(WAITING_PIECES);
            for _ in 0..threads {
                let (sender, queue) = (sender.clone(), &queue);
                scope.spawn(move || {
                    let mut lines = LineReader::new(max_line_bytes);
                    while let Some(job) = queue.lock().ok().and_then(|mut jobs| jobs.pop()) {
                        let result = read_file(&job, &mut lines, &mut |piece| {
                            if sender.send(Delivery::Piece(piece)).is_ok() {
                                Flow::Continue(())
                            } else {
                                Flow::Break(())
                            }
                        });
                        if sender.send(Delivery::Done(Box::new(job), result)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            self.receive(receiver, pass, progress)
        })
    }

    /// Takes pieces until the readers are done. When it ends before, the receiver goes, and they stop.
    fn receive(
        &mut self,
        receiver: Receiver<Delivery>,
        pass: &mut Pass,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CollectError> {
        for delivery in receiver {
            match delivery {
                Delivery::Piece(piece) => self.take_piece(pass, piece, progress)?,
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
        pass.batch_lines += piece.update.lines.len();
        pass.batch.push(piece.update);
        progress(Progress { bytes: pass.summary.bytes, total_bytes: pass.total_bytes });
        if pass.batch_lines >= BATCH_LINES || pass.batch.len() >= BATCH_FILES {
            self.commit(pass)?;
        }
        Ok(())
    }

    /// Writes what was gathered; only then do the cursors in memory move.
    fn commit(&mut self, pass: &mut Pass) -> Result<(), LedgerError> {
        if pass.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut pass.batch);
        pass.batch_lines = 0;
        let moves: Vec<_> = batch
            .iter()
            .map(|update| (update.path.clone(), update.moved_from.clone(), update.cursor))
            .collect();
        pass.summary.ingest.add(self.ledger.ingest(batch, &self.pricing)?);
        for (path, moved_from, cursor) in moves {
            self.cursors.set(path, moved_from.as_deref(), cursor);
        }
        Ok(())
    }

    /// Reports a file that cannot be read, once; a file that is gone is no trouble.
    fn note_result(&mut self, pass: &mut Pass, job: &Job, result: Result<(), TailError>) {
        match result {
            Ok(()) => {
                self.complained.remove(&job.path);
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

/// What a reader sends to the writer.
enum Delivery {
    Piece(Piece),
    Done(Box<Job>, Result<(), TailError>),
}

/// The state of a pass under way.
struct Pass {
    total_bytes: u64,
    summary: PassSummary,
    batch: Vec<FileUpdate>,
    batch_lines: usize,
}
