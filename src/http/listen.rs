//! The sockets that are listened on, and the question to another tallyd's.
//!
//! Owns: the TCP ports and the Unix socket, their limits, and their end. A port that cannot be had is told once, with
//! what mends it, and tried again; counting goes on. A client that sends nothing is let go of after ten seconds; more
//! than 64 at once wait. The Unix socket is its owner's alone, and removed at the end.

use super::otel::{self, Delivery, Receiver};
use super::routes::{Shared, private, public};
use super::vitals::{Ask, Vitals};
use super::{HttpOptions, Status, socket_path};
use crate::domain::{Clock, SystemClock, shown};
use crate::telemetry::Counts;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

/// Clients at once.
const MOST_CLIENTS: usize = 64;
/// A request's head has to be there by then; so long may a connection be still, too.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Between two tries at a port, and after the system refused a connection.
const RETRY: Duration = Duration::from_secs(30);
/// For an answer over the Unix socket.
const ASK_TIME: Duration = Duration::from_secs(10);
/// No status is longer.
const LONGEST_ANSWER: u64 = 1 << 20;
/// The longest path that a socket's address holds, on any system.
const LONGEST_ADDRESS: usize = 100;

/// A port that is listened on, or is to be.
#[derive(Debug)]
pub(super) struct Door {
    address: Option<SocketAddr>,
    /// What is said where it is open.
    answers: &'static str,
    /// What says another address.
    settings: &'static str,
    /// The address that is listened on, or why not.
    listening: Mutex<Result<Option<String>, String>>,
}

impl Door {
    fn new(address: Option<SocketAddr>, answers: &'static str, settings: &'static str) -> Self {
        Self { address, answers, settings, listening: Mutex::new(Ok(None)) }
    }

    /// The address that is listened on, and why none is.
    pub(super) fn state(&self) -> (Option<String>, Option<String>) {
        match self.listening.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Ok(address) => (address, None),
            Err(error) => (None, Some(error)),
        }
    }

    fn note(&self, state: Result<Option<String>, String>) {
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// All doors, before they are opened.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
}

/// Where what a client wants to know or to tell goes.
#[derive(Debug)]
pub struct Ways {
    /// Asks the loop how it is.
    pub asks: UnboundedSender<Ask>,
    /// Has what was told by OpenTelemetry written down.
    pub deliveries: UnboundedSender<Delivery>,
}

impl Server {
    /// A server that asks the loop by `ways`. `folder` is the state folder, `None` where counting is switched off;
    /// `requests` are what the publisher counts of its own.
    pub fn new(
        options: HttpOptions,
        folder: Option<PathBuf>,
        publishing: bool,
        requests: Arc<Counts>,
        ways: Ways,
    ) -> Self {
        let started = SystemClock.now();
        let Ways { asks, deliveries } = ways;
        let answers = "answering /healthz, /readyz and /metrics";
        let door = Door::new(options.listen, answers, "TALLYD_LISTEN or `listen` under [http]");
        // Without a ledger there is nothing to write to.
        let address = options.otel.filter(|_| folder.is_some());
        let answers = "receiving OpenTelemetry on /v1/logs";
        let otel = Door::new(address, answers, "TALLYD_OTEL_LISTEN or `listen` under [otel]");
        let receiver = Receiver::default();
        let shared =
            Shared { asks, folder, publishing, requests, options, started, door, otel, receiver, deliveries };
        Self { shared: Arc::new(shared) }
    }

    /// True where there is nothing to listen on.
    pub fn is_idle(&self) -> bool {
        self.shared.options.listen.is_none() && self.shared.folder.is_none()
    }

    /// Answers until told to stop. What comes by `to_log` is told in the log as a line of status.
    pub async fn run(self, stop: oneshot::Receiver<()>, to_log: UnboundedReceiver<Vitals>) {
        let (clients, tellers) = (Semaphore::new(MOST_CLIENTS), Semaphore::new(MOST_CLIENTS));
        let (clients, tellers) = (Arc::new(clients), Arc::new(tellers));
        let socket = self.shared.folder.as_deref().map(socket_path);
        let is_loopback = self.shared.options.listen.is_some_and(|address| address.ip().is_loopback());
        let monitoring = public(Arc::clone(&self.shared), is_loopback);
        let telling = otel::router(Arc::clone(&self.shared));
        tokio::select! {
            _ = stop => {}
            () = tcp(&self.shared.door, &monitoring, &clients) => {}
            () = tcp(&self.shared.otel, &telling, &tellers) => {}
            () = unix(&self.shared, &clients) => {}
            () = log(&self.shared, to_log) => {}
        }
        if let Some(socket) = socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Tells the status in the log, a line each time.
async fn log(shared: &Shared, mut asked: UnboundedReceiver<Vitals>) {
    while let Some(vitals) = asked.recv().await {
        tell(&shared.status_of(vitals));
    }
    std::future::pending::<()>().await;
}

fn tell(status: &Status) {
    let Status { state, ready, counted, published, .. } = status;
    tracing::info!(
        state,
        ready,
        files = counted.files,
        folders_watched = counted.folders_watched,
        lag_ms = counted.lag_ms,
        responses = counted.responses,
        faults = counted.faults,
        publishing = if published.enabled { "on" } else { "off" },
        waiting = published.enabled.then_some(published.waiting),
        parked = published.enabled.then_some(published.parked),
        last_success = published.last_success_at.as_deref(),
        warnings = status.warnings,
        errors = status.errors,
        "status"
    );
    for check in status.checks.iter().filter(|check| !check.ok) {
        tracing::info!(check = check.name, what = check.what, "not ready");
    }
    for line in &status.recent {
        tracing::info!(at = line.at, level = line.level, text = line.text, "recent");
    }
}

/// Listens on a port, if one is configured.
async fn tcp(door: &Door, router: &Router, clients: &Arc<Semaphore>) {
    let Some(address) = door.address else { return std::future::pending().await };
    let listener = bound(door, address).await;
    answer(router, clients, async || listener.accept().await.map(|(stream, _)| stream)).await;
}

/// The port; waited for where something else has it.
async fn bound(door: &Door, address: SocketAddr) -> TcpListener {
    let (answers, settings) = (door.answers, door.settings);
    let mut told = String::new();
    loop {
        let found = match TcpListener::bind(address).await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(address);
                tracing::info!(%address, "{answers}");
                door.note(Ok(Some(address.to_string())));
                return listener;
            }
            Err(error) => error.to_string(),
        };
        if found != told {
            tracing::error!(
                %address,
                error = found,
                "the address cannot be listened on; counting goes on, and it is tried every 30 s: \
                 set another with {settings}"
            );
            door.note(Err(format!("{address}: {found}")));
            told = found;
        }
        sleep(RETRY).await;
    }
}

/// Listens on the Unix socket in the state folder.
async fn unix(shared: &Arc<Shared>, clients: &Arc<Semaphore>) {
    let Some(folder) = &shared.folder else { return std::future::pending().await };
    let listener = match unix_listener(folder) {
        Ok(listener) => listener,
        Err(error) => {
            let socket = socket_path(folder).display().to_string();
            tracing::warn!(socket, error = %error, "no socket can be made there: `tallyd status` knows little");
            return std::future::pending().await;
        }
    };
    let router = private(Arc::clone(shared));
    answer(&router, clients, async || listener.accept().await.map(|(stream, _)| stream)).await;
}

/// Answers one client after the other, as many at once as there may be; never ends.
async fn answer<S>(router: &Router, clients: &Arc<Semaphore>, accept: impl AsyncFn() -> io::Result<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    loop {
        let permit = Arc::clone(clients).acquire_owned().await;
        match accept().await {
            Ok(stream) => serve(stream, router.clone(), permit.ok()),
            // Too many open files, for one: it passes.
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// Whatever lies there was left by a former process: this one holds the ledger's lock.
fn unix_listener(folder: &Path) -> io::Result<UnixListener> {
    let socket = socket_path(folder);
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (address, _held) = address(folder)?;
    let listener = UnixListener::bind(address)?;
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The socket's address, which holds no long path: a long one is written by way of the open folder.
fn address(folder: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let socket = socket_path(folder);
    if socket.as_os_str().len() <= LONGEST_ADDRESS {
        return Ok((socket, None));
    }
    let open = File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
    Ok((socket_path(&short), Some(open)))
}

/// Answers one client on a task of its own.
fn serve<S>(stream: S, router: Router, permit: Option<tokio::sync::OwnedSemaphorePermit>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(16 * 1024);
        // A client that goes away is nobody's fault.
        let _ = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
        drop(permit);
    });
}

/// Asks the tallyd that keeps the ledger in `folder` how it is.
///
/// # Errors
/// What the system says where none answers, or something else does.
pub fn ask(folder: &Path) -> io::Result<Status> {
    let (address, _held) = address(folder)?;
    let mut stream = StdUnixStream::connect(address)?;
    stream.set_read_timeout(Some(ASK_TIME))?;
    stream.set_write_timeout(Some(ASK_TIME))?;
    stream.write_all(b"GET /status HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split_whitespace().nth(1) != Some("200") {
        return Err(io::Error::other(shown(body.lines().next().unwrap_or("it answers nothing"))));
    }
    serde_json::from_str(body).map_err(io::Error::other)
}
