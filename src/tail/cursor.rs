//! What the file system says of a file.

use crate::domain::FileStat;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// The identity, size and time in `metadata`.
pub fn file_stat(metadata: &Metadata) -> FileStat {
    FileStat {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.len(),
        modified_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
    }
}
