//! Reading one file: lines to statements, in pieces that the ledger takes in.

use super::plan::{Job, is_agent_file};
use crate::domain::{Cursor, UnixMillis};
use crate::ledger::{FileUpdate, SeenAccount, SeenFault, session_of};
use crate::parse::{LineContext, Statement, latest_time, parse_line, parse_unfinished};
use crate::tail::{Flow, Line, LineReader, LogFile, Oddity, Start, TailError};
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A piece is handed on when it has this many statements …
const PIECE_LINES: usize = 1024;
/// … or covers this many bytes.
const PIECE_BYTES: u64 = 64 << 20;
/// Lines that are not as they should be are listed up to this number a file; the rest are counted.
const LISTED_FAULTS: u64 = 100;
/// Before a reply without a final count so many bytes are looked through for the time of the line before it; most of
/// these lines are short, and only where the first number is not enough is the second read.
const BYTES_BEFORE: [u64; 2] = [4 << 10, 64 << 10];

/// Something wrong with a file or a line of it, for the log and the summary.
#[derive(Debug)]
pub enum FileReport {
    /// A line that is not as it should be.
    Line {
        /// The file.
        path: PathBuf,
        /// Byte offset of the line.
        offset: u64,
        /// What was wrong.
        what: String,
        /// Something that may have been billed could not be read.
        is_loss: bool,
    },
    /// Further lines of a file that are not as they should be, not listed one by one.
    More {
        /// The file.
        path: PathBuf,
        /// How many.
        lines: u64,
    },
    /// A file that could not be read.
    File(TailError),
}

/// What reading hands on.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) update: FileUpdate,
    pub(super) reports: Vec<FileReport>,
    pub(super) bytes: u64,
    /// Lines in which something that may have been billed could not be read.
    pub(super) losses: u64,
}

/// When reading a file ends before the file does.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Ends it at once.
    pub(super) stop: Arc<AtomicBool>,
    /// Ends it after so many bytes, and behind the line that they are in.
    pub(super) share: u64,
}

/// Where reading a file has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With the file.
    File,
    /// With the file's share of the pass: there is more in it.
    Share,
    /// Nobody wanted more.
    Stopped,
}

/// Reads what is new in a file and hands it on in pieces, as far as its limits go and until `deliver` says
/// that nobody wants more. An error comes after the pieces that could be read.
pub(super) fn read_file(
    job: &Job,
    lines: &mut LineReader,
    limits: &Limits,
    deliver: &mut dyn FnMut(Piece) -> Flow,
) -> Result<End, TailError> {
    let log = LogFile::open(&job.path, job.cursor.as_ref())?;
    let session = session_of(&job.path);
    let context = LineContext {
        session: &session,
        agent_file: is_agent_file(&job.path),
        fallback_time: UnixMillis(log.stat().modified_ns / 1_000_000),
    };
    let piece = RefCell::new(PieceBuilder::new(job, &log));
    let mut end = End::File;
    let cursor = log.read(
        lines,
        &mut |offset, line| piece.borrow_mut().take(offset, line, context),
        &mut |log, position| {
            let mut piece = piece.borrow_mut();
            let is_share = position.offset().saturating_sub(log.offset()) >= limits.share;
            if limits.stop.load(Ordering::Relaxed) {
                end = End::Stopped;
            } else if is_share || piece.is_full(position.offset()) {
                if deliver(piece.finish(log, log.cursor(position))).is_break() {
                    end = End::Stopped;
                } else if is_share {
                    end = End::Share;
                }
            }
            if end == End::File { Flow::Continue(()) } else { Flow::Break(()) }
        },
    )?;
    if end == End::File {
        let _ = deliver(piece.into_inner().finish_last(&log, cursor));
    }
    Ok(end)
}

/// The time of the line before the one at `offset`: of what stands in the file, wherever reading it began.
fn time_before(log: &LogFile, offset: u64) -> Option<UnixMillis> {
    let latest = |most| latest_time(&log.before(offset, most), offset <= most);
    BYTES_BEFORE.into_iter().find_map(latest)
}

/// Gathers statements.
struct PieceBuilder {
    update: FileUpdate,
    reports: Vec<FileReport>,
    bytes_from: u64,
    losses: u64,
    /// Faults of the whole file, over all pieces.
    faults: u64,
}

impl PieceBuilder {
    fn new(job: &Job, log: &LogFile) -> Self {
        let resumed = log.start() == Start::Resume;
        Self {
            update: FileUpdate {
                path: job.path.clone(),
                moved_from: job.moved_from.clone().filter(|_| resumed),
                folder: job.folder.clone(),
                restarted: job.cursor.is_some() && !resumed,
                ..FileUpdate::default()
            },
            reports: Vec::new(),
            bytes_from: log.offset(),
            losses: 0,
            faults: 0,
        }
    }

    fn is_full(&self, offset: u64) -> bool {
        self.update.seen.lines() + self.update.accounts.len() >= PIECE_LINES
            || offset.saturating_sub(self.bytes_from) >= PIECE_BYTES
    }

    /// Hands over what was gathered and begins anew.
    fn finish(&mut self, log: &LogFile, cursor: Cursor) -> Piece {
        let next = FileUpdate {
            path: self.update.path.clone(),
            folder: self.update.folder.clone(),
            ..FileUpdate::default()
        };
        let mut update = std::mem::replace(&mut self.update, next);
        update.cursor = cursor;
        update.seen.ask_before(|offset| time_before(log, offset));
        let bytes = cursor.offset.saturating_sub(self.bytes_from);
        self.bytes_from = cursor.offset;
        let (reports, losses) = (std::mem::take(&mut self.reports), std::mem::take(&mut self.losses));
        Piece { update, reports, bytes, losses }
    }

    /// Hands over the rest, and says how much was not listed.
    fn finish_last(mut self, log: &LogFile, cursor: Cursor) -> Piece {
        let lines = self.faults.saturating_sub(LISTED_FAULTS);
        if lines > 0 {
            self.reports.push(FileReport::More { path: self.update.path.clone(), lines });
        }
        self.finish(log, cursor)
    }

    fn take(&mut self, offset: u64, line: Line<'_>, context: LineContext<'_>) {
        let update = &mut self.update;
        let mut sink = |statement| match statement {
            Statement::Response(line) => update.seen.add(offset, *line),
            Statement::Account(account) => {
                let seen_at = context.fallback_time;
                update.accounts.push(SeenAccount { offset, account: *account, seen_at });
            }
        };
        match line {
            Line::Whole(bytes) => {
                if let Some(notice) = parse_line(bytes, context, &mut sink) {
                    self.report(offset, notice.name(), notice.describe().to_owned(), notice.is_loss());
                }
            }
            Line::Unfinished(bytes) => parse_unfinished(bytes, context, &mut sink),
            Line::Odd(Oddity::TooLong { bytes }) => {
                self.report(
                    offset,
                    "too-long",
                    format!("a line of {bytes} bytes, longer than allowed; skipped"),
                    true,
                );
            }
        }
    }

    fn report(&mut self, offset: u64, kind: &'static str, what: String, is_loss: bool) {
        self.faults += 1;
        self.losses += u64::from(is_loss);
        if self.faults <= LISTED_FAULTS {
            self.update.faults.push(SeenFault { offset, kind });
            self.reports.push(FileReport::Line { path: self.update.path.clone(), offset, what, is_loss });
        }
    }
}
