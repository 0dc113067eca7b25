//! What each path answers.
//!
//! Owns: the router, and the refusal of requests that a web page made a browser send. Everything is worked out at the
//! request, so that an idle tallyd does nothing. Never fails: what cannot be found out is not ready.

use super::HttpOptions;
use super::gather::gather;
use super::listen::Door;
use super::otel::{Delivery, Receiver};
use super::ready::{self, Check, Publishing};
use super::status::{self, Known, Status};
use super::vitals::{Ask, State as DaemonState, Vitals};
use crate::domain::{Clock, SystemClock, UnixMillis};
use crate::report::metrics::{self, Live, Metrics};
use crate::telemetry::{Chain, Counts, Told, told};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// The loop answers at once, or it is stuck.
const ANSWER_TIME: Duration = Duration::from_secs(5);

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// Prometheus text format 0.0.4, <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// What the answers are made from.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) asks: UnboundedSender<Ask>,
    /// The state folder; `None` where counting is switched off and nothing is to be read.
    pub(super) folder: Option<PathBuf>,
    pub(super) publishing: bool,
    pub(super) requests: Arc<Counts>,
    pub(super) options: HttpOptions,
    pub(super) started: UnixMillis,
    /// The port for monitoring.
    pub(super) door: Door,
    /// The port for OpenTelemetry.
    pub(super) otel: Door,
    pub(super) receiver: Receiver,
    /// What was received, on its way into the ledger.
    pub(super) deliveries: UnboundedSender<Delivery>,
}

/// A moment of the daemon.
struct Moment {
    vitals: Vitals,
    metrics: Metrics,
    live: Live,
    checks: Vec<Check>,
    told: Told,
}

impl Shared {
    /// Asks the loop; `None` where it is ending or stuck.
    async fn vitals(&self) -> Option<Vitals> {
        let (sender, answer) = oneshot::channel();
        self.asks.send(sender).ok()?;
        tokio::time::timeout(ANSWER_TIME, answer).await.ok()?.ok()
    }

    async fn moment(&self) -> Option<Moment> {
        let vitals = self.vitals().await?;
        Some(self.moment_of(vitals))
    }

    fn moment_of(&self, vitals: Vitals) -> Moment {
        let publishing = self.publishing;
        let gathered = match (&self.folder, &vitals.state) {
            // Its files are being exchanged: no connection of ours is to be among those that have them open.
            (Some(_), DaemonState::Mending) => None,
            (Some(folder), _) => gather(folder, publishing)
                .inspect_err(|error| {
                    tracing::debug!(error = %Chain(error), "the ledger cannot be read for the listener");
                })
                .ok(),
            (None, _) => Some(Metrics::default()),
        };
        let is_readable = gathered.is_some();
        let mut metrics = gathered.unwrap_or_else(|| Metrics { publishing, ..Metrics::default() });
        let of_publishing = Publishing {
            backlog: metrics.backlog,
            note: &metrics.note,
            started: self.started,
            max_backlog: self.options.max_backlog,
        };
        let of_publishing = (publishing && vitals.state != DaemonState::Off).then_some(&of_publishing);
        let checks = vec![
            ready::following(&vitals),
            ready::ledger(&vitals, is_readable),
            ready::publishing(of_publishing, SystemClock.now()),
        ];
        let told = told();
        let live = Live {
            started: self.started,
            is_ready: checks.iter().all(|check| check.is_ok),
            is_readable,
            lag: vitals.lag,
            folders: vitals.folders,
            requests: self.requests.all(),
            is_receiving: self.otel.state().0.is_some(),
            received: self.receiver.requests.all(),
            records: self.receiver.records.all(),
            warnings: told.warnings,
            errors: told.errors,
        };
        metrics.live = Some(live.clone());
        Moment { vitals, metrics, live, checks, told }
    }

    /// The status at a moment of which the loop has said its part.
    pub(super) fn status_of(&self, vitals: Vitals) -> Status {
        self.status(self.moment_of(vitals))
    }

    fn status(&self, moment: Moment) -> Status {
        let (listening, listen_error) = self.door.state();
        let witness = self.otel.state();
        status::status(Known {
            vitals: &moment.vitals,
            metrics: &moment.metrics,
            live: moment.live,
            checks: &moment.checks,
            told: moment.told,
            listening,
            listen_error,
            witness,
        })
    }
}

/// The door for everybody who reaches the port.
pub(super) fn public(shared: Arc<Shared>, is_loopback: bool) -> Router {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .fallback(|| async {
            answer(StatusCode::NOT_FOUND, TEXT, "there are /healthz, /readyz and /metrics\n")
        })
        .with_state(shared);
    if is_loopback { router.layer(from_fn(refuse_foreign_hosts)) } else { router }
}

/// The door for the owner of the state folder.
pub(super) fn private(shared: Arc<Shared>) -> Router {
    let status = Router::new().route("/status", get(status_json)).with_state(Arc::clone(&shared));
    public(shared, false).merge(status)
}

async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.vitals().await {
        Some(_) => answer(StatusCode::OK, TEXT, "alive\n"),
        None => gone(),
    }
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let Some(Moment { checks, .. }) = shared.moment().await else { return gone() };
    let is_ready = checks.iter().all(|check| check.is_ok);
    let line = |check: &Check| {
        format!("{}: {}: {}\n", check.name, if check.is_ok { "ok" } else { "not ok" }, check.what)
    };
    let text: String = checks.iter().map(line).collect();
    answer(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, TEXT, text)
}

async fn metrics_text(State(shared): State<Arc<Shared>>) -> Response {
    match shared.moment().await {
        Some(moment) => answer(StatusCode::OK, METRICS, metrics::text(&moment.metrics)),
        None => gone(),
    }
}

async fn status_json(State(shared): State<Arc<Shared>>) -> Response {
    let Some(moment) = shared.moment().await else { return gone() };
    match serde_json::to_string_pretty(&shared.status(moment)) {
        Ok(text) => answer(StatusCode::OK, JSON, text),
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
    }
}

fn gone() -> Response {
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "tallyd is ending, or its loop does not answer\n")
}

pub(super) fn answer(status: StatusCode, kind: &'static str, text: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, text.into()).into_response()
}

/// A page of somebody's site can have its name lead to this machine, and then read what answers here; the browser
/// still says the name. Monitoring on this machine says an address or `localhost`.
pub(super) async fn refuse_foreign_hosts(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map_or(Ok(""), HeaderValue::to_str);
    if host.is_ok_and(is_own) {
        next.run(request).await
    } else {
        answer(StatusCode::FORBIDDEN, TEXT, "ask for localhost or an address\n")
    }
}

fn is_own(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    host.is_empty() || name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_this_machines_names() {
        let own = ["", "localhost", "LOCALHOST:9464", "127.0.0.1", "127.0.0.1:9464", "[::1]:9464", "[::1]"];
        assert!(own.into_iter().all(is_own));
        let foreign = [
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example:9464",
            "127.0.0.1.evil.example",
            "[x]:1",
        ];
        assert!(!foreign.into_iter().any(is_own));
    }
}
