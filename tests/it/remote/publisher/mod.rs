//! The publisher against the real PostgreSQL and PostgREST behind the gateway: what it sends, what it makes
//! of each answer, and that a ledger and its server agree in the end. The ledger is made by the built
//! program from session logs; the publisher is the library's, so that each of its decisions can be seen.

mod answers;
mod following;
mod mending;
mod poison;
mod quiet;
mod unlogged;
mod verify;

use super::gateway::{Gateway, Seen};
use super::{Database, Stack};
use crate::logs::Tree;
use crate::process::{Sandbox, reply};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tallyd::domain::{Destination, Revision, SystemClock, UserId};
use tallyd::ledger::Outbox;
use tallyd::publish::{Drained, KeyChoice, Obstacle, PublishOptions, Publisher};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::fmt::MakeWriter;

/// A ledger, a user, and the way to the project.
struct Scene {
    sandbox: Sandbox,
    database: Database,
    user: String,
    gateway: Gateway,
    log: Log,
}

impl Scene {
    /// A user of the shared project, and an empty ledger.
    fn new() -> Self {
        Self::on(Stack::get().contract())
    }

    fn on(database: Database) -> Self {
        let (user, gateway) = (database.new_user(), Gateway::start(&database));
        let scene = Self { sandbox: Sandbox::new(), database, user, gateway, log: Log::default() };
        std::fs::create_dir_all(scene.sandbox.projects()).expect("a folder can be made");
        scene.sandbox.scan();
        scene
    }

    /// With so many sessions of some replies in the ledger.
    fn with_sessions(count: usize) -> Self {
        let scene = Self::new();
        Tree::generate(7, count).write(&scene.sandbox.projects());
        scene.sandbox.scan();
        scene
    }

    /// One more reply of the session `s-1`, taken in.
    fn grow(&self, id: &str) {
        self.append("p/s-1.jsonl", &reply(id));
        self.sandbox.scan();
    }

    fn append(&self, name: &str, lines: &str) {
        let path = self.sandbox.projects().join(name);
        std::fs::create_dir_all(path.parent().expect("is in a folder")).expect("a folder can be made");
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a log can be opened");
        file.write_all(lines.as_bytes()).expect("a log can be written");
    }

    fn destination(&self) -> Destination {
        let user = UserId::parse(&self.user).expect("a user");
        Destination { project: self.gateway.url(), user }
    }

    /// As a service, with a secret key.
    fn options(&self) -> PublishOptions {
        let key = KeyChoice::service(Stack::get().secret_key()).expect("a secret key");
        self.options_with(key)
    }

    fn options_with(&self, key: KeyChoice) -> PublishOptions {
        PublishOptions::new(self.destination(), key, "SUPABASE_SERVICE_KEY")
    }

    fn outbox(&self) -> Outbox {
        Outbox::open(&self.sandbox.state()).expect("the ledger was made by a scan")
    }

    fn publisher(&self) -> Publisher {
        self.publisher_with(self.options())
    }

    fn publisher_with(&self, options: PublishOptions) -> Publisher {
        let revision = Revision::new(1, 1, 0);
        Publisher::new(self.outbox(), options, revision, "prices".to_owned(), Box::new(SystemClock))
    }

    /// Sends what waits, trying once.
    fn drain(&self, publisher: &mut Publisher) -> Drained {
        self.block_on(publisher.drain(None))
    }

    /// The same, trying until it is done.
    fn drain_patiently(&self, publisher: &mut Publisher) -> Drained {
        self.block_on(publisher.drain(Some(Duration::from_mins(1))))
    }

    /// Runs to the end, with every log line taken down.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.log.block_on(future)
    }

    /// Sessions that the ledger still wants to send.
    fn waiting(&self) -> usize {
        self.outbox().waiting(usize::MAX).expect("the ledger can be read").len()
    }

    /// Requests so far to this function or table.
    fn calls(&self, name: &str) -> Vec<Seen> {
        let mut seen = self.gateway.seen();
        seen.retain(|seen| path(seen) == format!("/rest/v1/{name}"));
        seen
    }

    /// Calls that send something.
    fn sent(&self) -> Vec<Seen> {
        let mut seen = self.gateway.seen();
        seen.retain(is_upsert);
        seen
    }

    /// The server holds what the ledger reports: by day and by session, tokens, messages and cost.
    #[track_caller]
    fn assert_published(&self) {
        assert_eq!(self.waiting(), 0, "{}", self.log.text());
        let account = self.sandbox.account();
        let of_days = "select json_object_agg(usage_date, json_build_array(daily_message_count, daily_input_tokens,
            daily_output_tokens, daily_cache_creation_tokens, daily_cache_read_tokens, daily_cost_usd::text))::text
            from public.token_usage_daily where user_id = '";
        let of_sessions = "select json_object_agg(session_id, json_build_array(message_count, input_tokens,
            output_tokens, cache_creation_tokens, cache_read_tokens, estimated_cost_usd::text))::text
            from public.token_usage_sessions where user_id = '";
        assert_eq!(self.rows(of_days), expected(&account.days));
        assert_eq!(self.rows(of_sessions), expected(&account.sessions));
    }

    fn rows(&self, query: &str) -> serde_json::Value {
        let text = self.database.text(&format!("{query}{}'", self.user));
        serde_json::from_str(&text).unwrap_or(serde_json::json!({}))
    }
}

fn path(seen: &Seen) -> &str {
    seen.request.path.split('?').next().unwrap_or_default()
}

fn is_upsert(seen: &Seen) -> bool {
    path(seen).starts_with("/rest/v1/rpc/upsert_token_usage")
}

/// What the ledger's report says, in the shape of the queries.
fn expected(sums: &std::collections::BTreeMap<String, crate::truth::Sum>) -> serde_json::Value {
    let row = |sum: &crate::truth::Sum| {
        let [input, output, five_minutes, one_hour, read] = sum.tokens;
        let cost = format!("{}.{:012}", sum.cost / 1_000_000_000_000, sum.cost % 1_000_000_000_000);
        serde_json::json!([sum.messages, input, output, five_minutes + one_hour, read, cost])
    };
    sums.iter().map(|(name, sum)| (name.clone(), row(sum))).collect::<serde_json::Map<_, _>>().into()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

#[track_caller]
fn obstacle(drained: &Drained) -> &Obstacle {
    drained.obstacle.as_ref().expect("something was in the way")
}

#[track_caller]
fn assert_sent(drained: &Drained, sessions: usize) {
    assert!(drained.obstacle.is_none(), "{drained:?}");
    assert_eq!((drained.sent, drained.left, drained.parked), (sessions, 0, 0), "{drained:?}");
}

/// Everything that was logged.
#[derive(Clone, Default)]
pub(in crate::remote) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(in crate::remote) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Does something on this thread with every log line taken down.
    pub(in crate::remote) fn taking_down<T>(&self, what: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::fmt()
            .with_writer(self.clone())
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, what)
    }

    /// Runs to the end on this thread with every log line taken down.
    pub(in crate::remote) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.taking_down(|| runtime().block_on(future))
    }

    /// Lines of a level.
    fn lines(&self, level: &str) -> Vec<String> {
        let text = self.text();
        text.lines().filter(|line| line.contains(&format!(" {level} "))).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A plan that leaves everything but sending alone.
fn only_upserts(mut plan: super::faults::Plan) -> super::faults::Plan {
    let is_upsert = |path: &str| path.starts_with("/rest/v1/rpc/upsert_token_usage");
    Box::new(move |arrival| is_upsert(&arrival.request.path).then(|| plan(arrival)).flatten())
}
