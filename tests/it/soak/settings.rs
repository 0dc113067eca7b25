//! How long a soak takes, what it does and where it writes, from the environment.
#![cfg(test)]

use crate::support::root;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A run in which time is too short for anything but faults.
const SHORT: u64 = 120;

pub(super) struct Settings {
    /// `TALLYD_SOAK_SECONDS`: how long there is traffic.
    pub(super) time: Duration,
    /// `TALLYD_SOAK_SEED`: decides what is written and what goes wrong, though not to the millisecond when.
    pub(super) seed: u64,
    /// `TALLYD_SOAK_OUT`: where the samples, the figures, the daemon's words and what a failure leaves go.
    pub(super) folder: PathBuf,
    /// `TALLYD_SOAK_MOUNT`: whether the ledger is put on a small file system, which is filled now and then. The
    /// test must be in a mount namespace of its own then.
    pub(super) mounts: bool,
    /// `TALLYD_SOAK_WRITERS`: how many clients write.
    pub(super) writers: u64,
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

impl Settings {
    pub(super) fn from_environment() -> Self {
        // clock: a seed that differs from run to run.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        let folder = variable("TALLYD_SOAK_OUT").unwrap_or_else(|| root().join("target/soak"));
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Self {
            time: Duration::from_secs(variable("TALLYD_SOAK_SECONDS").unwrap_or(20)),
            seed: variable("TALLYD_SOAK_SEED").unwrap_or(u64::from(since_1970.subsec_nanos())),
            folder,
            mounts: std::env::var_os("TALLYD_SOAK_MOUNT").is_some(),
            writers: variable("TALLYD_SOAK_WRITERS").unwrap_or(8),
        }
    }

    /// Whether the figures of a process say something: it has run for long enough.
    pub(super) fn is_long(&self) -> bool {
        self.time.as_secs() >= SHORT
    }

    /// What pauses and spells of trouble are made of.
    pub(super) fn unit(&self) -> Duration {
        Duration::from_millis(if self.is_long() { 1_000 } else { 80 })
    }

    /// How many times as fast as people clients are.
    pub(super) fn haste(&self) -> u64 {
        if self.is_long() { 1 } else { 6 }
    }

    /// Between two samples.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(if self.is_long() { 5_000 } else { 250 })
    }

    /// A file beside the others of this run.
    pub(super) fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.seed))
    }
}
