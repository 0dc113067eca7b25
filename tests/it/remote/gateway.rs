//! A gateway in front of one PostgREST, as Supabase's is: keys are checked, everything is written down, and
//! what a plan asks for goes wrong. Lives in the test's process on a loopback address of its own, which
//! nobody else can take while it is closed. Refuses what is not below `/rest/v1`; a PostgREST that does
//! not answer is a 502.

use super::faults::{Arrival, Fault, Plan};
use super::gate::Gate;
use super::http::{Request, Response, exchange};
use super::stack::{Database, Stack};
use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

/// How long a test waits for requests before it gives up. No test passes by waiting this long.
const DEADLINE: Duration = Duration::from_mins(2);

/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(20);

/// A request that came, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) request: Request,
    pub(crate) fault: Option<Fault>,
    /// The status that PostgREST answered; none where it was not asked or has not answered yet.
    pub(crate) upstream: Option<u16>,
    /// Whether the gateway has done with it.
    pub(crate) is_over: bool,
}

/// A running gateway; stops when dropped.
pub(crate) struct Gateway {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    gate: Gate,
    rest: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    plan: Plan,
    seen: Vec<Seen>,
    /// Bodies are not kept: there will be too many of them.
    forgets_bodies: bool,
    is_open: bool,
    /// Connections that are open, so that closing ends them too.
    connections: HashMap<u64, TcpStream>,
    connected: u64,
}

impl Gateway {
    /// In front of a database's PostgREST; nothing goes wrong until a plan is set.
    pub(crate) fn start(database: &Database) -> Self {
        let state = State {
            plan: Box::new(|_| None),
            seen: Vec::new(),
            forgets_bodies: false,
            is_open: false,
            connections: HashMap::new(),
            connected: 0,
        };
        let shared = Arc::new(Shared {
            gate: Gate::of(Stack::get()),
            rest: database.rest().to_owned(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let mut gateway = Self { address: own_address(), shared, acceptor: None };
        gateway.open();
        gateway
    }

    /// What `SUPABASE_URL` is set to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on requests meet what this plan says.
    pub(crate) fn plan(&self, plan: Plan) {
        self.shared.lock().plan = plan;
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&self) {
        self.plan(Box::new(|_| None));
    }

    /// From now on what is written down of a request is its head.
    pub(crate) fn forget_bodies(&self) {
        self.shared.lock().forgets_bodies = true;
    }

    /// Every request so far, in the order of arrival.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }

    /// Waits until the requests so far are as wanted, and returns them.
    pub(crate) fn wait_until(&self, wanted: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        // clock: a deadline for another process.
        let begun = Instant::now();
        let mut state = self.shared.lock();
        while !wanted(&state.seen) {
            assert!(begun.elapsed() < DEADLINE, "not seen: {:#?}", state.seen);
            state = self.shared.wait(state, Duration::from_secs(1));
        }
        state.seen.clone()
    }

    /// Waits until everything is over that clients have begun, even what they no longer wait for, and returns
    /// all requests. No client may be beginning anything.
    pub(crate) fn wait_until_idle(&self) -> Vec<Seen> {
        // Connections are taken in the order in which they were made: when this one is over, all before it
        // are known.
        let mut last = TcpStream::connect(self.address).expect("the gateway listens");
        last.shutdown(Shutdown::Write).expect("a connection can be ended");
        let answered = last.read(&mut [0]).expect("a connection ends");
        assert_eq!(answered, 0, "nothing was asked");
        // clock: a deadline for other threads.
        let begun = Instant::now();
        let mut state = self.shared.lock();
        while !state.connections.is_empty() {
            assert!(begun.elapsed() < DEADLINE, "still open: {:#?}", state.seen);
            state = self.shared.wait(state, Duration::from_secs(1));
        }
        state.seen.clone()
    }

    /// Closes the listener and every connection: new ones are refused.
    pub(crate) fn close(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        let mut state = self.shared.lock();
        state.is_open = false;
        for connection in state.connections.values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        // The acceptor looks up once more, sees that it is over and drops the listener.
        let _ = TcpStream::connect(self.address);
        acceptor.join().expect("the acceptor ends");
    }

    /// Listens again where it did.
    pub(crate) fn open(&mut self) {
        assert!(self.acceptor.is_none(), "the gateway is open");
        let listener = TcpListener::bind(self.address).expect("the address is this gateway's own");
        self.address = listener.local_addr().expect("a bound listener has an address");
        self.shared.lock().is_open = true;
        let shared = Arc::clone(&self.shared);
        self.acceptor = Some(spawn(move || shared.accept(&listener)));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.close();
    }
}

/// An address in 127.64.0.0/10 made from the process: no other process takes its ports. The port is 0,
/// which stands for any.
fn own_address() -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 64 | (high & 63), middle, low), 0))
}

impl Shared {
    /// A test that has panicked says so itself.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits so long, or until the gateway closes; whether it is open still.
    fn pause(&self, time: Duration) -> bool {
        // clock: how long an answer is held back.
        let begun = Instant::now();
        let mut state = self.lock();
        while let Some(left) = time.checked_sub(begun.elapsed()).filter(|_| state.is_open) {
            state = self.wait(state, left);
        }
        state.is_open
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((connection, _)) = listener.accept() {
            let mut state = self.lock();
            if !state.is_open {
                return;
            }
            let Ok(other) = connection.try_clone() else { continue };
            let number = state.connected;
            state.connected += 1;
            state.connections.insert(number, other);
            drop(state);
            let shared = Arc::clone(self);
            spawn(move || {
                // A client that goes away is its own affair: its requests are in the account.
                let _ = shared.converse(&connection);
                let _ = connection.shutdown(Shutdown::Both);
                shared.lock().connections.remove(&number);
                shared.changed.notify_all();
            });
        }
    }

    /// Requests of one connection, until it ends or one meets a fault that ends it.
    fn converse(&self, connection: &TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut reader = BufReader::new(connection);
        while let Some(request) = Request::read(&mut reader)? {
            let (number, fault) = self.arrive(&request);
            let outcome = self.answer(connection, number, &request, fault);
            self.lock().seen[number].is_over = true;
            self.changed.notify_all();
            if !outcome? {
                break;
            }
        }
        Ok(())
    }

    fn arrive(&self, request: &Request) -> (usize, Option<Fault>) {
        let mut state = self.lock();
        let number = state.seen.len();
        let fault = (state.plan)(&Arrival { number, request: request.clone() });
        let (mut request, told) = (request.clone(), fault.clone());
        if state.forgets_bodies {
            request.body = Vec::default();
        }
        state.seen.push(Seen { request, fault: told, upstream: None, is_over: false });
        drop(state);
        self.changed.notify_all();
        (number, fault)
    }

    /// Whether the connection goes on afterwards.
    fn answer(
        &self,
        mut connection: &TcpStream,
        number: usize,
        request: &Request,
        fault: Option<Fault>,
    ) -> io::Result<bool> {
        let forward = || self.forward(number, request);
        match fault {
            None => connection.write_all(&forward().bytes())?,
            Some(Fault::CutBefore) => return Ok(false),
            Some(Fault::LoseAnswer) => {
                forward();
                return Ok(false);
            }
            Some(Fault::CutAnswer) => {
                let bytes = forward().bytes();
                connection.write_all(&bytes[..bytes.len() - bytes.len() / 4])?;
                return Ok(false);
            }
            Some(Fault::Delay(time)) => {
                let answer = forward();
                self.pause(time);
                connection.write_all(&answer.bytes())?;
            }
            Some(Fault::Drip) => return self.drip(connection, &forward()),
            Some(Fault::Instead(answer)) => connection.write_all(&answer.bytes())?,
            Some(Fault::Afterwards(answer)) => {
                forward();
                connection.write_all(&answer.bytes())?;
            }
        }
        Ok(true)
    }

    /// Through the gate to PostgREST.
    fn forward(&self, number: usize, request: &Request) -> Response {
        let passed = match self.gate.admit(request) {
            Ok(passed) => passed,
            Err(refusal) => return refusal,
        };
        let answer = UnixStream::connect(&self.rest).and_then(|stream| exchange(stream, &passed));
        if let Ok(answer) = &answer {
            self.lock().seen[number].upstream = Some(answer.status);
        }
        answer.unwrap_or_else(|error| Response::new(502, "text/plain", error.to_string()))
    }

    /// An answer whose body is announced larger than it will ever be, and then comes byte by byte.
    fn drip(&self, mut connection: &TcpStream, answer: &Response) -> io::Result<bool> {
        let mut endless = answer.clone();
        if endless.status == 204 {
            endless.status = 200;
        }
        endless.body = vec![b' '; 1 << 20];
        let bytes = endless.bytes();
        let (head, body) = bytes.split_at(bytes.len() - endless.body.len());
        connection.write_all(head)?;
        for byte in body.chunks(1) {
            if !self.pause(DRIP) {
                break;
            }
            connection.write_all(byte)?;
        }
        Ok(false)
    }
}
