//! What the running tallyd says of itself over HTTP: alive, ready, figures for a monitoring system.
//!
//! Owns: axum and hyper, the sockets that are listened on, and what each path answers. Three doors: one for what Claude
//! Code tells of itself by OpenTelemetry, off unless configured (`otel`); a TCP port, off
//! unless configured, which tells counts and costs by model and nothing of users, sessions, paths or texts; and a
//! Unix socket in the state folder, which is its owner's alone and also tells what `tallyd status` shows. Refuses
//! everything but GET and HEAD, and, on a loopback address, requests that a web page made a browser send (a name in
//! `Host` that is no name of this machine). Changes nothing, reads the ledger on connections of its own, and never
//! holds up counting. Never fails: a port that cannot be had is told once and tried again.

mod gather;
mod listen;
mod otel;
mod ready;
mod routes;
mod status;
mod vitals;

pub use gather::{daemon, gather};
pub use listen::{Server, Ways, ask};
pub use otel::Delivery;
pub use status::{Counted, Published, Recent, Status, Witness};
pub use vitals::{Ask, State, Vitals};

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// File name of the Unix socket inside the state folder.
const SOCKET_FILE: &str = "tallyd.sock";

/// Settings of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// The address that is listened on; `None`: no TCP port is.
    pub listen: Option<SocketAddr>,
    /// Not ready where usage has waited for longer than this to be sent, and nothing has arrived meanwhile.
    pub max_backlog: Duration,
    /// The loopback address on which OpenTelemetry is received; `None`: it is not.
    pub otel: Option<SocketAddr>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { listen: None, max_backlog: Duration::from_mins(15), otel: None }
    }
}

/// Where the Unix socket of the tallyd that keeps the ledger in `folder` is.
pub fn socket_path(folder: &Path) -> std::path::PathBuf {
    folder.join(SOCKET_FILE)
}
