//! A pass under way: what it is offered, and what it came to.
//!
//! Owns: how much of a pass is in memory. Files are offered one after the other, most of them as they were;
//! those with something new are read when enough of them are together, so that a pass over a hundred
//! thousand files holds a few thousand at a time.

use super::plan::Job;
use super::reading::FileReport;
use super::{CollectError, Collector};
use crate::ledger::{FileUpdate, IngestSummary, Losses, Pricing};
use crate::tail::Flow;
use crate::watch::{FoundFile, Tree, walk_each, walk_spread};
use std::collections::HashSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

/// Files with something new that are read together.
const FILES: usize = 4096;

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
    /// Session logs that have had their share of this pass, and have more in them.
    pub unfinished: Vec<PathBuf>,
    /// What a ledger that was made anew lacks, now that all logs have been read.
    pub lost: Option<Losses>,
}

/// A pass that is offered files. What was not read when it is dropped is not read.
pub struct Intake<'a, P> {
    collector: &'a mut Collector<P>,
    progress: &'a mut dyn FnMut(Progress),
    jobs: Vec<Job>,
    pass: Pass,
}

/// What a pass has gathered.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) total_bytes: u64,
    pub(super) summary: PassSummary,
    pub(super) batch: Vec<FileUpdate>,
    pub(super) batch_lines: usize,
}

impl<'a, P: Pricing + Sync> Intake<'a, P> {
    pub(super) fn new(collector: &'a mut Collector<P>, progress: &'a mut dyn FnMut(Progress)) -> Self {
        Self { collector, progress, jobs: Vec::new(), pass: Pass::default() }
    }

    /// Takes in what is new in a file, now or later. Break: the pass is stopped, and more need not be offered.
    pub fn offer(&mut self, found: &FoundFile) -> Result<Flow, CollectError> {
        self.pass.summary.files += 1;
        self.jobs.extend(self.collector.job(found)?);
        if self.jobs.len() >= FILES {
            self.read()?;
        }
        Ok(if self.collector.is_stopped() { Flow::Break(()) } else { Flow::Continue(()) })
    }

    /// Walks a folder, entering each one below as [`walk_each`] does, and offers what it finds. Returns what was
    /// found beside files, and whether more need be offered.
    pub fn offer_below(
        &mut self,
        folder: &Path,
        enter: &mut dyn FnMut(&Path, &Metadata),
    ) -> Result<(Tree, Flow), CollectError> {
        self.offer_what_finds(|visit| walk_each(folder, enter, visit))
    }

    /// The same without entering folders, by several threads where there are many.
    pub fn offer_all_below(&mut self, folder: &Path) -> Result<Tree, CollectError> {
        self.offer_what_finds(|visit| walk_spread(folder, visit)).map(|(tree, _)| tree)
    }

    fn offer_what_finds(
        &mut self,
        walk: impl FnOnce(&mut dyn FnMut(FoundFile) -> Flow) -> Tree,
    ) -> Result<(Tree, Flow), CollectError> {
        let mut result = Ok(Flow::Continue(()));
        let tree = walk(&mut |found| {
            result = self.offer(&found);
            *result.as_ref().unwrap_or(&Flow::Break(()))
        });
        Ok((tree, result?))
    }

    /// Takes in what is left, and says what the pass came to.
    pub fn finish(mut self) -> Result<PassSummary, CollectError> {
        self.read()?;
        self.collector.relax()?;
        self.collector.note_unreadable()?;
        Ok(self.pass.summary)
    }

    fn read(&mut self) -> Result<(), CollectError> {
        let mut jobs = std::mem::take(&mut self.jobs);
        if jobs.is_empty() {
            return Ok(());
        }
        jobs.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        // A file that was moved and has several names now goes on under one of them.
        let mut taken = HashSet::new();
        for job in &mut jobs {
            if job.moved_from.as_ref().is_some_and(|from| !taken.insert(from.clone())) {
                job.begin_anew();
            }
        }
        self.pass.summary.files_read += jobs.len();
        self.pass.total_bytes += jobs.iter().map(|job| job.bytes).sum::<u64>();
        self.collector.read(jobs, &mut self.pass, self.progress)
    }
}
