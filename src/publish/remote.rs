//! The project over HTTPS: the one place that knows reqwest and postgrest.
//!
//! Owns: the connection and its limits. Sends each request once, follows no redirect, reads no more of an
//! answer than it can be, and shows no key: what a server says is cleaned of them before anybody sees it.
//! Never decides what to do about a refusal. Fails with a [`Refusal`].

use super::PublishOptions;
use super::answer::{Answer, CONTRACT, CheckAnswer, ItemAnswer, Refusal, UNLOGGED_CONTRACT};
use super::fault::{Fault, told};
use super::wire::Body;
use super::wire::rows::{
    self, CellRow, DAILY_COLUMNS, DAILY_UNLOGGED_COLUMNS, DayRow, Lenient, SessionRow, Stored,
    TOTALS_COLUMNS, UNLOGGED_COLUMNS, UnloggedDayRow, UnloggedRow,
};
use crate::domain::{Destination, Totals, UnloggedTotals, is_plain};
use crate::telemetry::{Chain, Counts};
use chrono::NaiveDate;
use postgrest::{Builder, Postgrest, RetryPolicy};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// A connection has to be there by then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that nothing was sent on for longer is not used again: something on the way may have
/// forgotten it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a project without the SQL is asked, and in what distance.
const CONTRACT_TRIES: u32 = 4;
const CONTRACT_PAUSE: Duration = Duration::from_millis(500);
/// No answer is longer: a page of rows, or a thousand results with their reasons.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// Rows asked for at once: Supabase gives no more, unless told to.
const PAGE: usize = 1_000;

/// Another setting, or another machine, is needed to reach a project at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no connection to {project} can be made: {reason}")]
pub struct PublishError {
    /// The project.
    pub project: String,
    /// Why.
    pub reason: String,
}

/// A project, as one of its users.
#[derive(Debug)]
pub struct Remote {
    rest: Postgrest,
    destination: Destination,
    /// Texts that must not be shown.
    key: super::KeyChoice,
    /// What came of its requests.
    requests: Arc<Counts>,
    contract: AtomicU32,
}

impl Remote {
    /// Prepares to speak to the project; sends nothing. Fails where the machine has no certificates to tell
    /// servers by.
    pub fn new(options: &PublishOptions) -> Result<Self, PublishError> {
        Self::counting(options, Arc::default())
    }

    /// The same; what comes of each request is counted in `requests`.
    pub fn counting(options: &PublishOptions, requests: Arc<Counts>) -> Result<Self, PublishError> {
        let project = &options.destination.project;
        let failed = |reason: &dyn std::error::Error| PublishError {
            project: project.clone(),
            reason: Chain(reason).to_string(),
        };
        let client = client(options).map_err(|error| failed(&error))?;
        let rest = Postgrest::new_with_client(format!("{project}/rest/v1"), client)
            .and_then(|rest| rest.insert_header("apikey", options.key.apikey()))
            .and_then(|rest| match options.key.bearer() {
                Some(token) => rest.auth(token),
                None => Ok(rest),
            });
        let rest = rest.map_err(|error| failed(&error))?.with_retry_policy(RetryPolicy::none());
        Ok(Self {
            rest,
            destination: options.destination.clone(),
            key: options.key.clone(),
            requests,
            contract: AtomicU32::new(CONTRACT),
        })
    }

    /// Asks whether the project is ready for this user. Where its SQL is not there, asks again for a moment:
    /// PostgREST notices a migration that was just applied only a little later.
    pub async fn check(&self) -> Result<CheckAnswer, Refusal> {
        for _ in 1..CONTRACT_TRIES {
            match self.check_once().await {
                Err(Refusal::Configuration(Fault::NoContract { .. })) => sleep(CONTRACT_PAUSE).await,
                answer => return answer,
            }
        }
        self.check_once().await
    }

    async fn check_once(&self) -> Result<CheckAnswer, Refusal> {
        let body = format!(r#"{{"p_user_id":"{}"}}"#, self.destination.user);
        let answer = self.exchange(self.rest.rpc("token_usage_check", body)).await?;
        let answer: CheckAnswer = answer.body_of_ours(&self.destination)?;
        self.contract.store(answer.contract, Ordering::Relaxed);
        Ok(answer)
    }

    /// The project's contract when it was last asked; the oldest before.
    pub(super) fn contract(&self) -> u32 {
        self.contract.load(Ordering::Relaxed)
    }

    /// Whether it has a place for unlogged usage.
    pub(super) fn takes_unlogged(&self) -> bool {
        self.contract() >= UNLOGGED_CONTRACT
    }

    /// Sends the values of sessions, in one call. The answers are in their order.
    pub async fn upsert(&self, bodies: &[Body]) -> Result<Vec<ItemAnswer>, Refusal> {
        if let [body] = bodies {
            let call = self.rest.rpc("upsert_token_usage", body.json.as_str());
            let answer = self.exchange(call).await?;
            return Ok(vec![answer.to_one(&body.session, &self.destination)?]);
        }
        let sessions: Vec<&str> = bodies.iter().map(|body| body.session.as_str()).collect();
        let call = self.rest.rpc("upsert_token_usage_batch", Body::batch(bodies));
        self.exchange(call).await?.to_many(&sessions, &self.destination)
    }

    /// A page of the user's sessions with their cells: those behind `after` in the server's order. It is the
    /// last page when it is empty. Fails where one of them is not as the contract says.
    pub async fn stored(&self, after: Option<&str>, limit: usize) -> Result<Vec<Stored>, Refusal> {
        let page = self.rows_of_sessions(after, limit).await?;
        page.into_iter().map(|(_, stored)| stored.ok_or_else(unreadable)).collect()
    }

    /// The same by session; one that is not as the contract says has no value here.
    pub(super) async fn rows_of_sessions(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Option<Stored>)>, Refusal> {
        let mut columns =
            format!("session_id,revision,session_started_at,last_message_at,model_used,{TOTALS_COLUMNS}");
        if self.takes_unlogged() {
            columns = format!("{columns},{UNLOGGED_COLUMNS}");
        }
        let mut page = self.table("token_usage_sessions").select(columns).order("session_id").limit(limit);
        if let Some(after) = after {
            page = page.gt("session_id", after);
        }
        let sessions: Vec<Lenient<SessionRow>> = self.rows(page).await?;
        let Some(last) = sessions.last() else { return Ok(Vec::new()) };
        if after == Some(last.session()) {
            // Whoever answers so would be asked for ever.
            return Err(self.transient("the server gives a page of sessions twice".to_owned(), false));
        }
        let range = (after, last.session());
        let cells: Vec<Lenient<CellRow>> =
            self.rows_by_day("token_usage_session_days", TOTALS_COLUMNS, range).await?;
        let mut unlogged: Vec<Lenient<UnloggedRow>> = Vec::new();
        if self.takes_unlogged() {
            unlogged = self.rows_by_day("token_usage_session_unlogged", UNLOGGED_COLUMNS, range).await?;
        }
        Ok(rows::stored(sessions, &cells, &unlogged))
    }

    /// The rows by day and model of the sessions behind one, up to another, in the server's order.
    async fn rows_by_day<T: serde::de::DeserializeOwned>(
        &self,
        table: &str,
        columns: &str,
        (after, last): (Option<&str>, &str),
    ) -> Result<Vec<T>, Refusal> {
        let columns = format!("session_id,usage_date,model,{columns}");
        let mut all: Vec<T> = Vec::new();
        loop {
            let mut page = self.table(table).select(columns.clone());
            page = page.lte("session_id", last).order("session_id,usage_date,model").limit(PAGE);
            page.append_query("offset", all.len().to_string());
            if let Some(after) = after {
                page = page.gt("session_id", after);
            }
            let rows: Vec<T> = self.rows(page).await?;
            if rows.is_empty() {
                return Ok(all);
            }
            all.extend(rows);
        }
    }

    /// The user's days, as the project bills them.
    pub async fn daily(&self) -> Result<HashMap<NaiveDate, Totals>, Refusal> {
        self.days("token_usage_daily", DAILY_COLUMNS, DayRow::totals).await
    }

    /// What is unlogged of the user's days; nothing where the project has no place for it.
    pub async fn daily_unlogged(&self) -> Result<HashMap<NaiveDate, UnloggedTotals>, Refusal> {
        if !self.takes_unlogged() {
            return Ok(HashMap::new());
        }
        self.days("token_usage_daily_unlogged", DAILY_UNLOGGED_COLUMNS, UnloggedDayRow::totals).await
    }

    async fn days<T: serde::de::DeserializeOwned, V>(
        &self,
        table: &str,
        columns: &str,
        totals: fn(&T) -> Option<(NaiveDate, V)>,
    ) -> Result<HashMap<NaiveDate, V>, Refusal> {
        let mut days = HashMap::new();
        loop {
            let mut page = self.table(table).select(columns.to_owned()).order("usage_date").limit(PAGE);
            page.append_query("offset", days.len().to_string());
            let rows: Vec<T> = self.rows(page).await?;
            if rows.is_empty() {
                return Ok(days);
            }
            for row in rows {
                let (day, totals) = totals(&row).ok_or_else(unreadable)?;
                days.insert(day, totals);
            }
        }
    }

    /// The user's rows of a table.
    fn table(&self, name: &str) -> Builder {
        self.rest.from(name).eq("user_id", self.destination.user.to_string())
    }

    async fn rows<T: serde::de::DeserializeOwned>(&self, request: Builder) -> Result<Vec<T>, Refusal> {
        self.exchange(request).await?.body_of_ours(&self.destination)
    }

    /// Sends a request and reads the answer to its end, within the time that the client has for both.
    async fn exchange(&self, request: Builder) -> Result<Answer, Refusal> {
        let answer = self.answer(request).await;
        match &answer {
            Ok(answer) => self.requests.add(&answer.status.to_string()),
            Err((what, _)) => self.requests.add(what),
        }
        answer.map_err(|(_, refusal)| refusal)
    }

    /// The answer, or a word for what happened instead of one.
    async fn answer(&self, request: Builder) -> Result<Answer, (&'static str, Refusal)> {
        let response = request.execute().await.map_err(|error| match error {
            postgrest::Error::Request(error) => self.cut(error),
            other => ("unsent", self.transient(Chain(&other).to_string(), false)),
        })?;
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: header(reqwest::header::RETRY_AFTER),
            date: header(reqwest::header::DATE),
            body: Vec::new(),
        };
        answer.body = self.read(response).await?;
        Ok(answer)
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, (&'static str, Refusal)> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.cut(error))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_LIMIT {
                let refusal =
                    self.transient("the answer is longer than any of the project's".to_owned(), false);
                return Err(("too_long", refusal));
            }
        }
        Ok(self.without_keys(body))
    }

    /// Nothing came back, or only a part. A call that took too long may go through in smaller parts.
    fn cut(&self, error: reqwest::Error) -> (&'static str, Refusal) {
        let shrink = error.is_timeout() && !error.is_connect();
        let what = match (error.is_timeout(), error.is_connect()) {
            (true, _) => "timeout",
            (false, true) => "no_connection",
            (false, false) => "cut",
        };
        (what, self.transient(Chain(&error.without_url()).to_string(), shrink))
    }

    fn transient(&self, what: String, shrink: bool) -> Refusal {
        let what = String::from_utf8_lossy(&self.without_keys(what.into_bytes())).into_owned();
        Refusal::Transient { what: told(&what), retry_after: None, shrink }
    }

    /// A server may repeat what it was sent.
    fn without_keys(&self, mut text: Vec<u8>) -> Vec<u8> {
        for key in [Some(self.key.apikey()), self.key.bearer()].into_iter().flatten() {
            if memchr::memmem::find(&text, key.as_bytes()).is_some() {
                text = String::from_utf8_lossy(&text).replace(key, "…").into_bytes();
            }
        }
        text
    }
}

/// Rows that are there and are not what the contract says.
pub(super) fn unreadable() -> Refusal {
    let message = "its rows are not what they should be".to_owned();
    Refusal::Configuration(Fault::NoContract { message })
}

/// HTTP/1.1 alone: a connection that hangs ends with its request, while one of HTTP/2 would be taken for
/// the next request too. Proxies of the environment carry TLS through; what is sent to this machine itself
/// without TLS goes through none.
fn client(options: &PublishOptions) -> Result<Client, reqwest::Error> {
    // Fails where it is done already, by an earlier client.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("tallyd/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
        .timeout(options.timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .http1_only();
    if is_plain(&options.destination.project) {
        builder.no_proxy().tls_certs_only([]).build()
    } else {
        builder.https_only(true).build()
    }
}
