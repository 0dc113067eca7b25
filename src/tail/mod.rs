//! One session log: which file it is, where reading goes on, and its whole lines.
//!
//! Owns: reading session logs, which are opened read-only and never locked. The durable cursor always
//! stands at the beginning of a line, so that an unfinished last line is read again when it is whole.
//! Memory is bounded by the longest allowed line. Fails with [`TailError`], which names the file; a
//! file that fails harms no other.

mod cursor;
mod lines;
mod position;
mod reader;
mod steady;
#[cfg(test)]
mod tests;

pub use cursor::file_stat;
pub use lines::{Flow, Line, LineReader, Oddity, Source};
pub use position::Position;
pub use reader::{LogFile, Start};

use std::path::PathBuf;

/// Settings of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailOptions {
    /// A line longer than this many bytes is skipped and reported.
    pub max_line_bytes: usize,
}

impl Default for TailOptions {
    fn default() -> Self {
        Self { max_line_bytes: 16 << 20 }
    }
}

/// Why a session log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The file is gone: deleted or moved. Nothing that was counted is taken back.
    #[error("{path}: gone")]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// It is a folder, a pipe or a device.
    #[error("{path}: not a regular file")]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// The system refused to open or read it.
    #[error("{path}: cannot be read at byte {offset}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl TailError {
    /// An I/O error at `offset` of `path`.
    fn new(path: &std::path::Path, offset: u64, source: std::io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == std::io::ErrorKind::NotFound {
            Self::Gone { path }
        } else {
            Self::Read { path, offset, source }
        }
    }
}
