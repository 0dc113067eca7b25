//! One request to the Admin APIs over HTTPS, tried again where that may help.
//!
//! Owns: the connection, its limits and the pauses. The key is in a header that nobody shows, and is taken out of
//! whatever the server says. Tried again is what passes by itself: no connection, a cut one, 429 and 5xx, the
//! latter two after the pause that `retry-after` names.

use super::error::{ApiError, told};
use crate::domain::is_plain;
use crate::reconcile::options::AdminOptions;
use crate::telemetry::Chain;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::sleep;

/// A connection has to be there by then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// No page is longer: a thousand records of a kilobyte or two.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
/// How often a request is tried.
const TRIES: u32 = 5;
/// The pause after the first try; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// A command waits no longer than this between two tries.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The version of the API that is spoken.
const VERSION: &str = "2023-06-01";

/// Where requests go.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    options: AdminOptions,
}

/// Why a try came to nothing that may work at another time.
struct Passing {
    why: String,
    retry_after: Option<Duration>,
}

/// The error body of the API.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

#[derive(Deserialize)]
struct ErrorObject {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}

impl Transport {
    pub(super) fn new(options: AdminOptions) -> Result<Self, ApiError> {
        let client = client(&options).map_err(|error| ApiError::NoClient {
            url: options.url.clone(),
            why: told(&Chain(&error).to_string()),
        })?;
        Ok(Self { client, options })
    }

    /// The body of an answer.
    pub(super) async fn get(
        &self,
        path: &'static str,
        query: &[(&'static str, String)],
    ) -> Result<String, ApiError> {
        let url = self.url(path, query)?;
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            let Passing { why, retry_after } = match self.try_once(path, &url).await? {
                Ok(body) => return Ok(body),
                Err(passing) => passing,
            };
            let wanted = retry_after.unwrap_or(pause);
            if wanted > LONGEST_PAUSE {
                return Err(ApiError::Later { path, seconds: wanted.as_secs(), why });
            }
            sleep(wanted).await;
            pause = pause.saturating_mul(2);
        }
        let last = self.try_once(path, &url).await?;
        last.map_err(|passing| ApiError::Unanswered { path, tries: TRIES, why: passing.why })
    }

    fn url(&self, path: &'static str, query: &[(&'static str, String)]) -> Result<Url, ApiError> {
        let mut url = Url::parse(&format!("{}{path}", self.options.url))
            .map_err(|error| ApiError::NoClient { url: self.options.url.clone(), why: error.to_string() })?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    /// The outer error ends the command, the inner one may pass.
    async fn try_once(&self, path: &'static str, url: &Url) -> Result<Result<String, Passing>, ApiError> {
        let response = match self.client.get(url.clone()).send().await {
            Ok(response) => response,
            Err(error) => return Ok(Err(self.cut(error))),
        };
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = match self.body(path, response).await? {
            Ok(body) => body,
            Err(passing) => return Ok(Err(passing)),
        };
        if status == 200 {
            return String::from_utf8(body)
                .map(Ok)
                .map_err(|_| ApiError::Unreadable { path, why: "it is not UTF-8".to_owned() });
        }
        let message = self.message(&body);
        match status {
            401 | 403 => Err(ApiError::Refused { path, status, message }),
            408 | 429 | 500.. => Ok(Err(Passing { why: format!("{status} {message}"), retry_after })),
            _ => Err(ApiError::Rejected { path, status, message }),
        }
    }

    async fn body(
        &self,
        path: &'static str,
        mut response: Response,
    ) -> Result<Result<Vec<u8>, Passing>, ApiError> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(Ok(body)),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => return Ok(Err(self.cut(error))),
            }
            if body.len() > ANSWER_LIMIT {
                return Err(ApiError::TooLong { path, limit: ANSWER_LIMIT });
            }
        }
    }

    fn cut(&self, error: reqwest::Error) -> Passing {
        let why = Chain(&error.without_url()).to_string();
        Passing { why: told(&self.without_key(&why)), retry_after: None }
    }

    /// What the server says is wrong, without the key, which it may repeat.
    fn message(&self, body: &[u8]) -> String {
        let text = match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => format!("{}: {}", error.kind, error.message),
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        told(&self.without_key(&text))
    }

    fn without_key(&self, text: &str) -> String {
        text.replace(self.options.key(), "…")
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// HTTP/1.1 alone, as for every other server. Proxies of the environment carry TLS through; what is sent to this
/// machine itself without TLS goes through none.
fn client(options: &AdminOptions) -> Result<Client, reqwest::Error> {
    // Fails where it is done already, by an earlier client.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("tallyd/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers(options))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(options.timeout)
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .http1_only();
    if is_plain(&options.url) {
        builder.no_proxy().tls_certs_only([]).build()
    } else {
        builder.https_only(true).build()
    }
}

fn headers(options: &AdminOptions) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
    let (name, value) = if options.is_token() {
        (AUTHORIZATION, format!("Bearer {}", options.key()))
    } else {
        (reqwest::header::HeaderName::from_static("x-api-key"), options.key().to_owned())
    };
    let mut value =
        HeaderValue::try_from(value).expect("a key is printable ASCII: its constructor has looked");
    value.set_sensitive(true);
    headers.insert(name, value);
    headers
}
