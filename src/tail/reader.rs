//! One file's state machine: from what is known of it to what is new in it.

use super::cursor::{FINGERPRINT_BYTES, file_stat};
use super::lines::Flow;
use super::{Line, LineReader, TailError};
use crate::domain::{Cursor, FileStat, fnv1a};
use fs_err as fs;
use std::io::{self, Read, Seek, SeekFrom};
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
    offset: u64,
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
        let resume = known.filter(|cursor| still_holds(&file, &stat, cursor));
        Ok(Self {
            path: path.to_owned(),
            file,
            stat,
            start: if resume.is_some() { Start::Resume } else { Start::Beginning },
            offset: resume.map_or(0, |cursor| cursor.offset),
        })
    }

    /// Where reading begins.
    pub fn start(&self) -> Start {
        self.start
    }

    /// Byte offset at which reading begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The file as it was when it was opened.
    pub fn stat(&self) -> FileStat {
        self.stat
    }

    /// Reads to where the file ended when it was opened: a file that grows as fast as it is read holds up no
    /// other, and one whose size is nothing, as in `/proc`, is not read at all. `visit` gets each
    /// line that may matter; `checkpoint` gets, after each chunk, this file and the offset behind the last whole
    /// line, and may end the reading there. Returns the cursor behind the last whole line that was read.
    pub fn read(
        &self,
        lines: &mut LineReader,
        visit: &mut impl FnMut(u64, Line<'_>),
        checkpoint: &mut impl FnMut(&Self, u64) -> Flow,
    ) -> Result<Cursor, TailError> {
        let failed = |source| TailError::new(&self.path, self.offset, source);
        let mut file = self.file.file();
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        let mut source = file.take(self.stat.size.saturating_sub(self.offset));
        let mut stopped = false;
        let mut chunk_end = |offset| {
            let flow = checkpoint(self, offset);
            stopped = flow.is_break();
            flow
        };
        let end = lines.read(&mut source, self.offset, visit, &mut chunk_end).map_err(failed)?;
        if stopped { self.cursor(end) } else { self.cursor_as_of(self.stat, end) }.map_err(failed)
    }

    /// The cursor for everything before `offset`, where reading may end before the file does: the file is
    /// known up to there, so that it looks changed as long as there is more of it.
    pub fn cursor(&self, offset: u64) -> io::Result<Cursor> {
        self.cursor_as_of(FileStat { size: self.stat.size.min(offset), ..self.stat }, offset)
    }

    /// The cursor for everything before `offset` of the file as `stat` has it. The file's time is that of
    /// before the reading: what is written meanwhile makes the file look changed, and it is looked at again.
    fn cursor_as_of(&self, stat: FileStat, offset: u64) -> io::Result<Cursor> {
        let length = offset.min(FINGERPRINT_BYTES);
        Ok(Cursor {
            stat,
            offset,
            head: self.fingerprint_at(0, length)?,
            tail: self.fingerprint_at(offset - length, length)?,
        })
    }

    fn fingerprint_at(&self, offset: u64, length: u64) -> io::Result<u64> {
        fingerprint_of(&self.file, offset, length)
    }
}

/// True where the file still begins with what was read of it, as far as fingerprints tell.
fn still_holds(file: &fs::File, stat: &FileStat, cursor: &Cursor) -> bool {
    // Written to without growing: changed in place, where no fingerprint may lie.
    let rewritten = stat.same_file(&cursor.stat) && stat.size == cursor.stat.size && *stat != cursor.stat;
    // Another file under the name: copied over by a tool, which may have changed it anywhere.
    if rewritten || !stat.same_file(&cursor.stat) || stat.size < cursor.offset {
        return false;
    }
    let length = cursor.offset.min(FINGERPRINT_BYTES);
    fingerprint_of(file, 0, length).is_ok_and(|head| head == cursor.head)
        && fingerprint_of(file, cursor.offset - length, length).is_ok_and(|tail| tail == cursor.tail)
}

fn fingerprint_of(file: &fs::File, offset: u64, length: u64) -> io::Result<u64> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.file().read_exact_at(&mut bytes, offset)?;
    Ok(fnv1a(&bytes))
}
