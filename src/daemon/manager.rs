//! What the service manager is told: `sd_notify(3)` over a datagram socket.
//!
//! Owns: when tallyd is ready, reloading, stopping and alive, and the words of `systemctl status`. Alive means that the
//! loop turns and that the worker gets on: an order that has shown no progress for a quarter of an hour ends the signs
//! of life. Sends nothing and wakes nobody where no manager has asked for it. A message that cannot be sent is said
//! once, and is no failure: the manager has its own timeouts.

use super::follow::Moment;
use crate::domain::{grouped, shown};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// While logs are read that were there before, the manager hears this often that it takes longer …
const STARTING_BEAT: Duration = Duration::from_secs(30);
/// … by this.
const EXTENSION: Duration = Duration::from_mins(2);
/// An order without any progress for longer is stuck.
const STUCK: Duration = Duration::from_mins(15);
/// A manager that takes no message holds up nothing for longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// With no manager, or nothing to send, the next beat is as far away as this.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// What the service manager has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyOptions {
    /// Its socket: a path or, with a leading `@`, a name of Linux's own.
    pub socket: OsString,
    /// It ends a service that shows no sign of life for so long.
    pub watchdog: Option<Duration>,
}

/// How the worker's thread gets on, written by it and read by the loop.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    beats: AtomicU64,
    is_at_work: AtomicBool,
    files: AtomicU64,
}

impl Pulse {
    /// It is at work, and has got on.
    pub(super) fn beat(&self) {
        self.is_at_work.store(true, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// It has done what it was told.
    pub(super) fn rest(&self) {
        self.is_at_work.store(false, Ordering::Relaxed);
    }

    /// A look at everything has found so many logs.
    pub(super) fn found(&self, files: usize) {
        self.files.store(files.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Stopping,
}

type Sink = Box<dyn Fn(&str) -> io::Result<()>>;

/// The word to the service manager.
pub(super) struct Notifier {
    /// `None` where nobody listens.
    send: Option<Sink>,
    watchdog: Option<Duration>,
    pulse: Arc<Pulse>,
    phase: Phase,
    next: Option<Moment>,
    /// The worker's last sign of progress, and when it was seen.
    seen: (u64, Option<Moment>),
    reloads: u32,
    status: String,
    /// Why the ledger cannot be written.
    trouble: Option<String>,
    is_publishing: bool,
    has_failed: bool,
}

impl Notifier {
    /// For the manager of this process, where there is one.
    pub(super) fn new(options: Option<NotifyOptions>, pulse: Arc<Pulse>, is_publishing: bool) -> Self {
        let watchdog = options.as_ref().and_then(|options| options.watchdog);
        let send = options
            .map(|NotifyOptions { socket, .. }| -> Sink { Box::new(move |message| send(&socket, message)) });
        Self {
            send,
            watchdog,
            pulse,
            phase: Phase::Starting,
            next: None,
            seen: (0, None),
            reloads: 0,
            status: String::new(),
            trouble: None,
            is_publishing,
            has_failed: false,
        }
    }

    /// When it is to be called next.
    pub(super) fn next(&self, now: Moment) -> Moment {
        self.next.unwrap_or(now + NEVER)
    }

    /// The loop turns from now on.
    pub(super) fn begin(&mut self, now: Moment) {
        if self.send.is_some() {
            self.seen.1 = Some(now);
            self.beat(now);
        }
    }

    /// A sign of life, where there is one; and what is to be seen in the status by now.
    pub(super) fn beat(&mut self, now: Moment) {
        let pause = match self.phase {
            Phase::Starting => Some(STARTING_BEAT),
            Phase::Ready => self.watchdog.map(|interval| interval / 2),
            Phase::Stopping => None,
        };
        self.next = pause.map(|pause| now + pause);
        if self.is_getting_on(now) {
            match self.phase {
                Phase::Starting => self.tell(&format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros())),
                Phase::Ready if self.watchdog.is_some() => self.tell("WATCHDOG=1"),
                Phase::Ready | Phase::Stopping => {}
            }
        }
        self.tell_status();
    }

    /// Whether the worker has nothing to do, or has got on lately.
    fn is_getting_on(&mut self, now: Moment) -> bool {
        let beats = self.pulse.beats.load(Ordering::Relaxed);
        let is_at_work = self.pulse.is_at_work.load(Ordering::Relaxed);
        if beats != self.seen.0 || !is_at_work {
            self.seen = (beats, Some(now));
        }
        self.seen.1.is_none_or(|seen| now.duration_since(seen) < STUCK)
    }

    /// All that was in the logs has been taken in.
    pub(super) fn ready(&mut self, now: Moment) {
        self.phase = Phase::Ready;
        self.tell("READY=1");
        self.beat(now);
    }

    /// Settings are being read again.
    pub(super) fn reloading(&mut self) {
        if self.phase == Phase::Ready {
            self.reloads += 1;
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_micros()));
        }
    }

    /// They have been, with whatever result.
    pub(super) fn reloaded(&mut self) {
        if self.reloads > 0 {
            self.reloads -= 1;
            if self.reloads == 0 {
                self.tell("READY=1");
            }
        }
    }

    /// The ledger cannot be written; `None`: it can be again.
    pub(super) fn trouble(&mut self, reason: Option<&str>) {
        self.trouble = reason.map(str::to_owned);
        self.tell_status();
    }

    /// It ends, for this signal.
    pub(super) fn stopping(&mut self, signal: &str) {
        self.phase = Phase::Stopping;
        self.next = None;
        self.tell(&format!("STOPPING=1\nSTATUS=ending after {signal}"));
    }

    fn tell_status(&mut self) {
        let status = self.words();
        if self.phase != Phase::Stopping && self.send.is_some() && status != self.status {
            self.tell(&format!("STATUS={status}"));
            self.status = status;
        }
    }

    /// What it does, on one line.
    fn words(&self) -> String {
        if let Some(reason) = &self.trouble {
            return shown(&format!("cannot write the ledger, tries again: {reason}"));
        }
        if self.phase == Phase::Starting {
            return "reading the logs that were there".to_owned();
        }
        let logs = match self.pulse.files.load(Ordering::Relaxed) {
            0 => "waiting for a first log".to_owned(),
            1 => "following 1 log".to_owned(),
            files => format!("following {} logs", grouped(files)),
        };
        format!("{logs}; publishing is {}", if self.is_publishing { "on" } else { "off" })
    }

    fn tell(&mut self, message: &str) {
        let Some(send) = &self.send else { return };
        if let Err(error) = send(message)
            && !std::mem::replace(&mut self.has_failed, true)
        {
            tracing::warn!(error = %error, "the service manager cannot be told how tallyd is ($NOTIFY_SOCKET)");
        }
    }
}

/// Tells the manager of a process that does nothing, for as long as it likes: it is ready, and it is alive.
pub(super) async fn idle(options: Option<NotifyOptions>) {
    let Some(options) = options else { return std::future::pending().await };
    let message = |text: &str| drop(send(&options.socket, text));
    message("READY=1\nSTATUS=counting is switched off: nothing is read, nothing is written");
    loop {
        tokio::time::sleep(options.watchdog.map_or(NEVER, |interval| interval / 2)).await;
        message("WATCHDOG=1");
    }
}

/// Sends a message to a socket.
fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(PATIENCE))?;
    sender.send_to_addr(message.as_bytes(), &address(socket)?).map(drop)
}

fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
        return <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name);
    }
    SocketAddr::from_pathname(OsStr::from_bytes(socket.as_bytes()))
}

/// The clock by which systemd tells a reload that it asked for from an earlier one.
fn monotonic_micros() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000)
}

#[cfg(test)]
mod tests;
