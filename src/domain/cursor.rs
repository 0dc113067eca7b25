//! Where reading a session log goes on, and how its file is known again.

/// What the file system says of a file; two equal values mean that nothing was written between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStat {
    /// Device number.
    pub device: u64,
    /// Inode number: the same file under any name, until it is deleted and the number used again.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last modification, in nanoseconds since 1970.
    pub modified_ns: i64,
}

impl FileStat {
    /// True where both are the same file on disk.
    pub fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Where reading goes on: everything before `offset` has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The file as it was when it was last read.
    pub stat: FileStat,
    /// Byte offset of the first line that is not counted yet.
    pub offset: u64,
    /// Fingerprint of the first bytes before `offset`.
    pub head: u64,
    /// Fingerprint of the last bytes before `offset`.
    pub tail: u64,
}
