//! What each path of the receiver answers.
//!
//! Owns: the limits of a body, and how long a client waits. Standard paths of OTLP over HTTP: `/v1/logs` is read,
//! `/v1/metrics` and `/v1/traces` are taken and dropped.

use super::read::Told;
use super::{Delivery, Receiver, json, protobuf};
use crate::http::routes::{Shared, TEXT, answer, refuse_foreign_hosts};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flate2::read::GzDecoder;
use prost::bytes::Bytes;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The longest body, as it is sent and as it is read: no batch of events is, but where all that is sent to the API and
/// comes from it is logged, too.
const MOST_BYTES: usize = 32 << 20;
/// A body has to be there by then.
const BODY_TIME: Duration = Duration::from_secs(10);
/// And on the disk by then; the client has its own time, of 10 s.
const WRITE_TIME: Duration = Duration::from_secs(8);
/// When a client is to try again, in seconds: one that ends waits for two.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Which format a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Protobuf,
}

/// Why a request is refused.
type Refusal = (StatusCode, &'static str);

/// The door for Claude Code.
pub(in crate::http) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/logs", post(logs))
        .route("/v1/metrics", post(|shared, request| dropped(shared, request, "metrics")))
        .route("/v1/traces", post(|shared, request| dropped(shared, request, "traces")))
        .fallback(|| async {
            answer(StatusCode::NOT_FOUND, TEXT, "there are /v1/logs, /v1/metrics and /v1/traces\n")
        })
        .with_state(shared)
        .layer(from_fn(refuse_foreign_hosts))
}

async fn logs(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let result = match taken(&shared.receiver, request).await {
        Ok((format, told)) => written(&shared, told).await.map(|()| format),
        Err(refusal) => Err(refusal),
    };
    answered(&shared.receiver, result)
}

/// Takes what is not read.
async fn dropped(State(shared): State<Arc<Shared>>, request: Request, what: &'static str) -> Response {
    let result = match format(request.headers()) {
        Ok(format) => {
            let permit = shared.receiver.bodies.acquire().await;
            let body = body(request.into_body()).await;
            drop(permit);
            shared.receiver.records.add(what);
            body.map(|_| format)
        }
        Err(refusal) => Err(refusal),
    };
    answered(&shared.receiver, result)
}

fn answered(receiver: &Receiver, result: Result<Format, Refusal>) -> Response {
    let response = match result {
        Ok(Format::Json) => answer(StatusCode::OK, "application/json", "{}"),
        // A message without fields is no bytes.
        Ok(Format::Protobuf) => answer(StatusCode::OK, "application/x-protobuf", ""),
        Err((status, what)) => answer(status, TEXT, format!("{what}\n")),
    };
    receiver.requests.add(response.status().as_str());
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        return ([(header::RETRY_AFTER, RETRY_AFTER)], response).into_response();
    }
    response
}

/// Reads a body.
async fn taken(receiver: &Receiver, request: Request) -> Result<(Format, Told), Refusal> {
    let format = format(request.headers())?;
    let is_packed = is_packed(request.headers())?;
    let _permit = receiver.bodies.acquire().await;
    let mut body = body(request.into_body()).await?;
    if is_packed {
        body = unpacked(&body)?;
    }
    let told = match format {
        Format::Json => json::read(&body).ok(),
        Format::Protobuf => protobuf::read(body).ok(),
    };
    let told = told.ok_or((StatusCode::BAD_REQUEST, "the body is no OTLP of the format that it says"))?;
    Ok((format, told))
}

fn is(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    let first = |text: &str| text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(value);
    headers.get(name).and_then(|text| text.to_str().ok()).is_some_and(first)
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    if is(headers, &header::CONTENT_TYPE, "application/json") {
        Ok(Format::Json)
    } else if is(headers, &header::CONTENT_TYPE, "application/x-protobuf") {
        Ok(Format::Protobuf)
    } else {
        Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json or application/x-protobuf"))
    }
}

fn is_packed(headers: &HeaderMap) -> Result<bool, Refusal> {
    let name = header::CONTENT_ENCODING;
    if !headers.contains_key(&name) || is(headers, &name, "identity") {
        Ok(false)
    } else if is(headers, &name, "gzip") {
        Ok(true)
    } else {
        Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send it as it is, or by gzip"))
    }
}

const TOO_LONG: Refusal = (StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 32 MiB");

async fn body(body: Body) -> Result<Bytes, Refusal> {
    match timeout(BODY_TIME, to_bytes(body, MOST_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Cut off, which nobody reads the answer of, or too long.
        Ok(Err(_)) => Err(TOO_LONG),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body did not come")),
    }
}

fn unpacked(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let read = GzDecoder::new(body).take(most).read_to_end(&mut bytes);
    match read {
        Ok(read) if read <= MOST_BYTES => Ok(bytes.into()),
        Ok(_) => Err(TOO_LONG),
        Err(_) => Err((StatusCode::BAD_REQUEST, "the body is no gzip")),
    }
}

/// Has what was told written down, and waits until it is on the disk.
async fn written(shared: &Shared, told: Told) -> Result<(), Refusal> {
    let records = &shared.receiver.records;
    records.add_many("unusable", told.unusable);
    if told.unusable > 0 && !shared.receiver.has_complained.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "OpenTelemetry tells of API calls without session, model, time or counts, which are left out: \
             OTEL_METRICS_INCLUDE_SESSION_ID must not be false; said once, the metrics count them"
        );
    }
    records.add_many("other", told.others);
    let calls = u64::try_from(told.events.len()).unwrap_or_default();
    if calls == 0 {
        return Ok(());
    }
    let (done, answer) = oneshot::channel();
    let delivery = Delivery { events: told.events, done };
    let unwritten = (StatusCode::SERVICE_UNAVAILABLE, "the ledger cannot be written now; try again");
    shared.deliveries.send(delivery).map_err(|_| unwritten)?;
    match timeout(WRITE_TIME, answer).await {
        Ok(Ok(Ok(new))) => {
            records.add_many("api_request", new);
            records.add_many("repeated", calls.saturating_sub(new));
            Ok(())
        }
        _ => Err(unwritten),
    }
}
