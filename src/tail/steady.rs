//! Reading a file that somebody may be writing anew: either the bytes of one version, or no more of them.
//!
//! A log that is rewritten in place between two reads would give a line with a beginning of the old one and an
//! end of the new one, which may even be a record. After each read, what stands before it is read once more:
//! where that is not what was read there, the new bytes are dropped and the file seems to end. Owns: that
//! comparison. Not noticed: a version whose last [`FINGERPRINT_BYTES`] before a read are the same.

use super::lines::Source;
use super::position::{FINGERPRINT_BYTES, Position};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// The bytes of a file up to an end, as long as it is the file that it was.
pub(super) struct Steady<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
    /// The last bytes before `offset`, as they were read.
    before: Vec<u8>,
    is_rewritten: bool,
}

impl<'a> Steady<'a> {
    /// Reads from `offset`, before which `before` was read, to `end`.
    pub(super) fn new(file: &'a File, offset: u64, end: u64, before: Vec<u8>) -> Self {
        Self { file, offset, end, before, is_rewritten: false }
    }

    /// The file was written anew while it was read.
    pub(super) fn is_rewritten(&self) -> bool {
        self.is_rewritten
    }

    /// True where what was read last still stands before the place.
    fn still_stands(&self) -> io::Result<bool> {
        let mut there = [0; FINGERPRINT_BYTES];
        let there = there.get_mut(..self.before.len()).unwrap_or_default();
        match self.file.read_exact_at(there, self.offset - self.before.len() as u64) {
            Ok(()) => Ok(there == self.before),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Source for Steady<'_> {
    fn go_back(&mut self, position: &Position) {
        self.offset = position.offset();
        self.before = position.tail().to_vec();
    }
}

impl Read for Steady<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        if room == 0 || self.is_rewritten {
            return Ok(0);
        }
        let count = self.file.read_at(buffer.get_mut(..room).unwrap_or_default(), self.offset)?;
        if !self.still_stands()? {
            self.is_rewritten = true;
            return Ok(0);
        }
        let read = buffer.get(..count).unwrap_or_default();
        self.before
            .extend_from_slice(read.get(count.saturating_sub(FINGERPRINT_BYTES)..).unwrap_or_default());
        self.before.drain(..self.before.len().saturating_sub(FINGERPRINT_BYTES));
        self.offset += count as u64;
        Ok(count)
    }
}
