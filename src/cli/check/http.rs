//! Whether the running tallyd answers over HTTP, and receives OpenTelemetry, where it is to.

use super::row::Row;
use crate::cli::exit::ExitCode;
use crate::config::Settings;
use crate::http::{self, Status};
use std::net::SocketAddr;

/// A port that can be configured.
struct Port {
    name: &'static str,
    wanted: Option<SocketAddr>,
    answers: &'static str,
    help: &'static str,
    state: fn(Status) -> (Option<String>, Option<String>),
}

/// A row for each address that is configured.
pub(super) fn rows(settings: &Settings) -> impl Iterator<Item = Row> {
    let ports = [
        Port {
            name: "http",
            wanted: settings.http.listen,
            answers: "answers /healthz, /readyz and /metrics",
            help: "set another address with TALLYD_LISTEN or `listen` under [http], and start tallyd anew; counting goes on meanwhile",
            state: |status| (status.listening, status.listen_error),
        },
        Port {
            name: "otel",
            wanted: settings.http.otel,
            answers: "receives OpenTelemetry",
            help: "set another address with TALLYD_OTEL_LISTEN or `listen` under [otel], and start tallyd anew; counting goes on meanwhile",
            state: |status| (status.otel.listening, status.otel.listen_error),
        },
    ];
    ports.into_iter().filter_map(|port| row(settings, &port))
}

fn row(settings: &Settings, port: &Port) -> Option<Row> {
    let Port { name, answers, .. } = *port;
    let wanted = port.wanted?;
    let status = settings.state_dir().ok().and_then(|folder| http::ask(folder).ok());
    let row = match status.map(port.state) {
        None => Row::unknown(
            name,
            format!("{wanted} is configured; no tallyd is running that would answer there"),
        ),
        Some((Some(address), _)) => Row::ok(name, format!("{address} {answers}")),
        Some((None, Some(error))) => {
            Row::wrong(name, ExitCode::Failure, format!("the running tallyd cannot listen on {error}"))
                .help(port.help)
        }
        Some((None, None)) => {
            let what = format!("{wanted} is configured; the running tallyd was started without");
            Row::wrong(name, ExitCode::Failure, what).help("start tallyd anew")
        }
    };
    Some(row.fact("listen", wanted.to_string()))
}
