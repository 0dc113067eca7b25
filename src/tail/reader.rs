//! One file's state machine: from what is known of it to what is new in it.

use super::cursor::file_stat;
use super::lines::Flow;
use super::position::{FINGERPRINT_BYTES, Position};
use super::steady::Steady;
use super::{Line, LineReader, TailError};
use crate::domain::{Cursor, FileStat};
use fs_err as fs;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Opening a pipe that somebody named `x.jsonl` must not wait for a writer (`O_NONBLOCK` of Linux; the
/// other systems have another value, and a check of the file type before opening).
#[cfg(target_os = "linux")]
const OPEN_FLAGS: i32 = 0o4000;
#[cfg(not(target_os = "linux"))]
const OPEN_FLAGS: i32 = 0x4;

/// Where reading a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Where the last reading ended.
    Resume,
    /// At the first byte: the file is new, or it is not what it was when it was last read. Reading it
    /// again is harmless, since a response is counted by its id.
    Beginning,
}

/// An open session log.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: fs::File,
    stat: FileStat,
    start: Start,
    position: Position,
}

impl LogFile {
    /// True where nothing can be new in the file since `known`.
    pub fn is_unchanged(known: &Cursor, stat: &FileStat) -> bool {
        known.stat == *stat
    }

    /// Opens the file and finds where to go on.
    pub fn open(path: &Path, known: Option<&Cursor>) -> Result<Self, TailError> {
        let failed = |source| TailError::new(path, 0, source);
        let mut options = std::fs::OpenOptions::new();
        options.read(true).custom_flags(OPEN_FLAGS);
        let file = options.open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(TailError::NotRegular { path: path.to_owned() });
        }
        let file = fs::File::from_parts(file, path);
        let stat = file_stat(&metadata);
        let resume = known.and_then(|cursor| still_holds(&file, &stat, cursor));
        Ok(Self {
            path: path.to_owned(),
            file,
            stat,
            start: if resume.is_some() { Start::Resume } else { Start::Beginning },
            position: resume.unwrap_or_default(),
        })
    }

    /// Where reading begins.
    pub fn start(&self) -> Start {
        self.start
    }

    /// Byte offset at which reading begins.
    pub fn offset(&self) -> u64 {
        self.position.offset()
    }

    /// What stands before `offset`, up to so many bytes of it; nothing where it cannot be had.
    pub fn before(&self, offset: u64, most: u64) -> Vec<u8> {
        let length = offset.min(most);
        bytes_at(&self.file, offset - length, length).unwrap_or_default()
    }

    /// The file as it was when it was opened.
    pub fn stat(&self) -> FileStat {
        self.stat
    }

    /// Reads to where the file ended when it was opened: a file that grows as fast as it is read holds up no
    /// other, and one whose size is nothing, as in `/proc`, is not read at all. `visit` gets each
    /// line that may matter; `checkpoint` gets, after each chunk, this file and the position behind the last
    /// whole line, and may end the reading there. So does somebody who writes the file anew meanwhile: no line is
    /// half of one version and half of another. Returns the cursor behind the last whole line that was read.
    pub fn read(
        &self,
        lines: &mut LineReader,
        visit: &mut impl FnMut(u64, Line<'_>),
        checkpoint: &mut impl FnMut(&Self, &Position) -> Flow,
    ) -> Result<Cursor, TailError> {
        let mut position = self.position.clone();
        let failed = |source| TailError::new(&self.path, self.offset(), source);
        let before = position.tail().to_vec();
        let mut source = Steady::new(self.file.file(), self.offset(), self.stat.size, before);
        let mut stopped = false;
        let mut chunk_end = |position: &Position| {
            let flow = checkpoint(self, position);
            stopped = flow.is_break();
            flow
        };
        lines.read(&mut source, &mut position, visit, &mut chunk_end).map_err(failed)?;
        let is_whole = !stopped && !source.is_rewritten();
        Ok(if is_whole { cursor_as_of(self.stat, &position) } else { self.cursor(&position) })
    }

    /// The cursor for everything before `position`, where reading may end before the file does: the file is
    /// known up to there, so that it looks changed as long as there is more of it.
    pub fn cursor(&self, position: &Position) -> Cursor {
        cursor_as_of(FileStat { size: self.stat.size.min(position.offset()), ..self.stat }, position)
    }
}

/// The cursor for everything before `position` of the file as `stat` has it. The file's time is that of
/// before the reading: what is written meanwhile makes the file look changed, and it is looked at again.
fn cursor_as_of(stat: FileStat, position: &Position) -> Cursor {
    let (head, tail) = position.fingerprints();
    Cursor { stat, offset: position.offset(), head, tail }
}

/// Where reading goes on, if the file still begins with what was read of it, as far as fingerprints tell.
fn still_holds(file: &fs::File, stat: &FileStat, cursor: &Cursor) -> Option<Position> {
    // Written to without growing: changed in place, where no fingerprint may lie.
    let rewritten = stat.same_file(&cursor.stat) && stat.size == cursor.stat.size && *stat != cursor.stat;
    // Another file under the name: copied over by a tool, which may have changed it anywhere.
    if rewritten || !stat.same_file(&cursor.stat) || stat.size < cursor.offset {
        return None;
    }
    let length = cursor.offset.min(FINGERPRINT_BYTES as u64);
    let head = bytes_at(file, 0, length).ok()?;
    let tail = bytes_at(file, cursor.offset - length, length).ok()?;
    let position = Position::new(cursor.offset, head, tail);
    (position.fingerprints() == (cursor.head, cursor.tail)).then_some(position)
}

fn bytes_at(file: &fs::File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.file().read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}
