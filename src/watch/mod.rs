//! Which files there are, and hints that one of them has changed.
//!
//! Owns: walking folders and the operating system's file events. An event is only a hint to look at a
//! path: what is true is found by walking and by cursors, so that a lost event costs time and never a
//! line. Folders are watched, not files: a handful of descriptors serve any number of logs. Refuses:
//! to read logs. Where folders cannot be watched it says so once, and the caller polls.

mod hints;
mod spread;
#[cfg(test)]
mod tests;
mod walk;

pub use hints::{Hint, Watcher};
pub use spread::walk_spread;
pub use walk::{FoundFile, Tree, log_at, walk, walk_each};

use std::path::PathBuf;

/// Settings of following.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowOptions {
    /// Time between two full walks while events arrive: the safety net.
    pub rescan: std::time::Duration,
    /// Time between two full walks where events cannot be had.
    pub poll: std::time::Duration,
    /// Do without events.
    pub force_polling: bool,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            rescan: std::time::Duration::from_mins(5),
            poll: std::time::Duration::from_secs(2),
            force_polling: false,
        }
    }
}

/// Why a folder could not be walked or watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A folder could not be listed.
    #[error("{path} cannot be listed")]
    List {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It has the name of a session log and is a pipe, a socket, a device, or a file that the kernel makes up.
    #[error(
        "{path} is no session log but a pipe, a socket, a device or a file of /proc or /sys; it is not read"
    )]
    NoLog {
        /// What has the name.
        path: PathBuf,
    },
    /// The system gives no file events at all.
    #[error("file events cannot be had; looking at all folders every few seconds instead")]
    NoEvents {
        /// What the system said.
        #[source]
        source: notify::Error,
    },
    /// The system refuses to watch it.
    #[error("{path} cannot be watched; looking at it every few seconds instead")]
    Watch {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: notify::Error,
    },
}
