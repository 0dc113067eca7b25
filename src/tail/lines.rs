//! Bounded splitting of a byte stream into whole lines.
//!
//! Most bytes of a session log are tool results without a word of usage. A line is handed on only when
//! it may matter: it has `"usage"` in it, or it may be a `cost-state` record, or it is no JSON object
//! from end to end. The prefilter looks for the bytes `"usage"` and nothing longer: logs that other
//! tools have rewritten put spaces behind the key.

use super::position::Position;
use memchr::memmem::Finder;
use std::io::{self, Read};

#[cfg(test)]
mod tests;

/// Size of the read buffer: stays in the second-level cache.
const BUFFER_BYTES: usize = 256 << 10;

/// What is kept of a buffer that a long line made grow: most of the long lines that there are fit, and memory that
/// is given back and asked for again for each of them costs more than reading them.
const KEPT_BYTES: usize = 1 << 20;

/// Holds what is searched for, and more.
const LEAST_BUFFER_BYTES: usize = 64;

/// A `cost-state` record is a short line; longer ones are not searched for it.
const ACCOUNT_LINE_BYTES: usize = 16 << 10;

/// A line that may matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes, without the newline.
    Whole(&'a [u8]),
    /// Bytes behind the last newline of the file: not a line yet. Complete records in it count (they
    /// will be the same when the line is whole), what is wrong with it is not reported yet.
    Unfinished(&'a [u8]),
    /// Something that is no record.
    Odd(Oddity),
}

/// A line that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// Longer than allowed, and usage may be in it.
    TooLong {
        /// Its length in bytes.
        bytes: u64,
    },
}

/// Splits what it reads into lines; the buffer is kept from file to file.
#[derive(Debug)]
pub struct LineReader {
    buffer: Vec<u8>,
    buffer_bytes: usize,
    max_line_bytes: usize,
    account_line_bytes: usize,
    usage: Finder<'static>,
    account: Finder<'static>,
}

/// What is to be done about reading further.
pub type Flow = std::ops::ControlFlow<()>;

/// Bytes that can be read once more.
pub trait Source: Read {
    /// Goes on with what stands behind `position`, which was read before.
    fn go_back(&mut self, position: &Position);
}

impl<T: AsRef<[u8]>> Source for io::Cursor<T> {
    fn go_back(&mut self, position: &Position) {
        self.set_position(position.offset());
    }
}

/// What became of a long line.
enum Passed {
    /// It is behind; so much of what follows is in the buffer.
    Over(usize),
    /// It may matter, and is to be read as a whole.
    Wanted,
    /// The file ends in it, or nobody wants to read on: the position stays.
    Ended,
}

/// The rest of a long line.
struct Rest {
    /// The place behind it.
    behind: Position,
    has_usage: bool,
    /// It ends as an object does.
    is_object: bool,
    /// So much of what follows is in the buffer.
    kept: usize,
}

impl LineReader {
    /// A reader that skips lines of more than `max_line_bytes`.
    pub fn new(max_line_bytes: usize) -> Self {
        Self::with_buffer(max_line_bytes, BUFFER_BYTES)
    }

    /// The same with a read buffer of `buffer_bytes`, at least 64, and accounts in lines that fit it only: public
    /// so that tests, and `fuzz/`, reach the ends of a buffer with short lines.
    #[doc(hidden)]
    pub fn with_buffer(max_line_bytes: usize, buffer_bytes: usize) -> Self {
        let buffer_bytes = buffer_bytes.max(LEAST_BUFFER_BYTES);
        Self {
            buffer: Vec::new(),
            buffer_bytes,
            max_line_bytes,
            account_line_bytes: ACCOUNT_LINE_BYTES.min(buffer_bytes - 1),
            usage: Finder::new(b"\"usage\""),
            account: Finder::new(b"\"cost-state\""),
        }
    }

    /// Reads `source`, which stands at `position`, to its end and hands each line that may matter with its
    /// offset to `visit`, and after each chunk, also in the middle of a long line, the position behind the last
    /// whole line to `chunk_end`, which may stop the reading. Leaves `position` behind the last whole line.
    pub fn read(
        &mut self,
        source: &mut impl Source,
        position: &mut Position,
        visit: &mut impl FnMut(u64, Line<'_>),
        chunk_end: &mut impl FnMut(&Position) -> Flow,
    ) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.capacity() == 0 {
            // Zeroed by the system, page by page as it is used.
            buffer = vec![0; self.buffer_bytes];
        }
        let result = self.split(&mut buffer, source, position, visit, chunk_end);
        buffer.resize(self.buffer_bytes, 0);
        buffer.shrink_to(KEPT_BYTES);
        self.buffer = buffer;
        result
    }

    /// Gives the buffer's memory back until the next reading.
    pub fn relax(&mut self) {
        self.buffer = Vec::new();
    }

    fn split(
        &self,
        buffer: &mut Vec<u8>,
        source: &mut impl Source,
        position: &mut Position,
        visit: &mut impl FnMut(u64, Line<'_>),
        chunk_end: &mut impl FnMut(&Position) -> Flow,
    ) -> io::Result<()> {
        // Where the line at `position` is read as a whole, however long it is.
        let (mut filled, mut wanted) = (0, false);
        loop {
            let passed = if filled < buffer.len() {
                None
            } else if !wanted && self.may_be_skimmed(buffer) {
                Some(self.skim_line(buffer, source, position, chunk_end)?)
            } else if filled > self.max_line_bytes {
                Some(self.skip_line(buffer, source, position, visit, chunk_end)?)
            } else {
                None
            };
            match passed {
                None => {}
                Some(Passed::Over(kept)) => {
                    (filled, wanted) = (self.behind_long_line(buffer, kept, position, visit), false);
                    if chunk_end(position).is_break() {
                        return Ok(());
                    }
                    continue;
                }
                Some(Passed::Wanted) => {
                    source.go_back(position);
                    (filled, wanted) = (0, true);
                    continue;
                }
                Some(Passed::Ended) => return Ok(()),
            }
            if filled == buffer.len() {
                buffer.resize((filled * 2).min(self.max_line_bytes + 1).max(filled + 1), 0);
            }
            let count = read_some(source, buffer.get_mut(filled..).unwrap_or_default())?;
            let searched_from = filled;
            filled += count;
            let bytes = buffer.get(..filled).unwrap_or_default();
            if count == 0 {
                self.unfinished(bytes, position.offset(), visit);
                return Ok(());
            }
            let used = self.whole_lines(bytes, searched_from, position, visit);
            buffer.copy_within(used..filled, 0);
            filled -= used;
            wanted = wanted && used == 0;
            if filled < self.buffer_bytes {
                // Behind a long line, what is read at once fits the cache again.
                buffer.truncate(self.buffer_bytes);
            }
            if chunk_end(position).is_break() {
                return Ok(());
            }
        }
    }

    /// Hands on the bytes behind the last newline. What is too long already counts no more when it is whole.
    fn unfinished(&self, bytes: &[u8], line_start: u64, visit: &mut impl FnMut(u64, Line<'_>)) {
        if bytes.len() <= self.max_line_bytes && self.may_matter(bytes) {
            visit(line_start, Line::Unfinished(bytes));
        }
    }

    /// Hands on the lines that `bytes` holds whole and moves the position behind them; returns how many
    /// bytes they take. There is no newline before `searched_from`.
    fn whole_lines(
        &self,
        bytes: &[u8],
        searched_from: usize,
        position: &mut Position,
        visit: &mut impl FnMut(u64, Line<'_>),
    ) -> usize {
        let line_start = position.offset();
        let mut begin = 0;
        for newline in memchr::memchr_iter(b'\n', bytes.get(searched_from..).unwrap_or_default()) {
            let end = searched_from + newline;
            let line = bytes.get(begin..end).unwrap_or_default();
            if line.len() > self.max_line_bytes {
                if self.usage.find(line).is_some() {
                    let odd = Oddity::TooLong { bytes: line.len() as u64 };
                    visit(line_start + begin as u64, Line::Odd(odd));
                }
            } else if self.may_matter(line) || !is_object(line) {
                visit(line_start + begin as u64, Line::Whole(line));
            }
            begin = end + 1;
        }
        position.advance(bytes.get(..begin).unwrap_or_default());
        begin
    }

    /// Hands on the lines in the `kept` bytes that were read behind a long line, which have not been searched for
    /// newlines yet. Returns how much of the buffer is filled then.
    fn behind_long_line(
        &self,
        buffer: &mut Vec<u8>,
        kept: usize,
        position: &mut Position,
        visit: &mut impl FnMut(u64, Line<'_>),
    ) -> usize {
        let used = self.whole_lines(buffer.get(..kept).unwrap_or_default(), 0, position, visit);
        buffer.copy_within(used..kept, 0);
        let filled = kept - used;
        buffer.truncate(filled.max(self.buffer_bytes));
        filled
    }

    /// True where the line that fills the buffer matters only if there is usage in what follows.
    fn may_be_skimmed(&self, buffer: &[u8]) -> bool {
        buffer.len() > self.account_line_bytes
            && buffer.first() == Some(&b'{')
            && self.usage.find(buffer).is_none()
    }

    /// Reads on to the end of a line that fills the buffer and has not mattered so far, without keeping it. Most
    /// long lines are what a tool gave back: keeping them costs memory, and more time than looking through them.
    /// Moves the position behind the line if nothing in it matters.
    fn skim_line(
        &self,
        buffer: &mut [u8],
        source: &mut impl Source,
        position: &mut Position,
        chunk_end: &mut impl FnMut(&Position) -> Flow,
    ) -> io::Result<Passed> {
        let Some(rest) = self.rest_of_line(buffer, source, position, chunk_end, true)? else {
            return Ok(Passed::Ended);
        };
        if rest.has_usage || !rest.is_object {
            return Ok(Passed::Wanted);
        }
        *position = rest.behind;
        Ok(Passed::Over(rest.kept))
    }

    /// Reads on to the end of a line that is too long, without keeping it, and moves the position behind it.
    fn skip_line(
        &self,
        buffer: &mut [u8],
        source: &mut impl Source,
        position: &mut Position,
        visit: &mut impl FnMut(u64, Line<'_>),
        chunk_end: &mut impl FnMut(&Position) -> Flow,
    ) -> io::Result<Passed> {
        let line_start = position.offset();
        let had_usage = self.usage.find(buffer).is_some();
        let Some(rest) = self.rest_of_line(buffer, source, position, chunk_end, false)? else {
            return Ok(Passed::Ended);
        };
        *position = rest.behind;
        if had_usage || rest.has_usage {
            let bytes = position.offset() - 1 - line_start;
            visit(line_start, Line::Odd(Oddity::TooLong { bytes }));
        }
        Ok(Passed::Over(rest.kept))
    }

    /// Reads on to the end of the line that fills the buffer, or to usage in it, without keeping it. `None` at the
    /// end of the file, or where nobody wants to read on.
    fn rest_of_line(
        &self,
        buffer: &mut [u8],
        source: &mut impl Source,
        position: &Position,
        chunk_end: &mut impl FnMut(&Position) -> Flow,
        stops_at_usage: bool,
    ) -> io::Result<Option<Rest>> {
        let overlap = self.usage.needle().len() - 1;
        let (mut behind, mut has_usage) = (position.clone(), false);
        behind.advance(buffer);
        buffer.copy_within(buffer.len() - overlap.., 0);
        loop {
            let count = read_some(source, buffer.get_mut(overlap..).unwrap_or_default())?;
            let bytes = buffer.get(..overlap + count).unwrap_or_default();
            if count == 0 || chunk_end(position).is_break() {
                return Ok(None);
            }
            let newline = memchr::memchr(b'\n', bytes.get(overlap..).unwrap_or_default());
            let end = newline.map_or(bytes.len(), |at| overlap + at);
            let line = bytes.get(..end).unwrap_or_default();
            has_usage = has_usage || self.usage.find(line).is_some();
            let is_object = line.last() == Some(&b'}');
            behind.advance(line.get(overlap..).unwrap_or_default());
            if has_usage && stops_at_usage {
                return Ok(Some(Rest { behind, has_usage, is_object, kept: 0 }));
            }
            if newline.is_some() {
                behind.advance(b"\n");
                buffer.copy_within(end + 1..overlap + count, 0);
                return Ok(Some(Rest { behind, has_usage, is_object, kept: overlap + count - end - 1 }));
            }
            buffer.copy_within(count..overlap + count, 0);
        }
    }

    /// True where usage or the client's account may be in the line.
    fn may_matter(&self, line: &[u8]) -> bool {
        self.usage.find(line).is_some()
            || (line.len() <= self.account_line_bytes && self.account.find(line).is_some())
    }
}

/// True where the line begins and ends as an object does, or is blank.
fn is_object(line: &[u8]) -> bool {
    let last = line.iter().rposition(|byte| !byte.is_ascii_whitespace());
    match (line.first(), last.and_then(|at| line.get(at))) {
        (_, None) | (Some(b'{'), Some(b'}')) => true,
        _ => line.trim_ascii_start().first() == Some(&b'{') && line.trim_ascii_end().last() == Some(&b'}'),
    }
}

/// One read, repeated when a signal interrupts it.
fn read_some(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
