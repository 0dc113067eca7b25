//! Whether the running tallyd answers over HTTP where it is to.

use super::row::Row;
use crate::cli::exit::ExitCode;
use crate::config::Settings;
use crate::http;

/// Nothing where no address is configured.
pub(super) fn row(settings: &Settings) -> Option<Row> {
    let wanted = settings.http.listen?;
    let name = "http";
    let status = settings.state_dir().ok().and_then(|folder| http::ask(folder).ok());
    let row = match status {
        None => Row::unknown(name, format!("{wanted} is configured; no tallyd is running that would answer there")),
        Some(status) => match (status.listening, status.listen_error) {
            (Some(address), _) => Row::ok(name, format!("{address} answers /healthz, /readyz and /metrics")),
            (None, Some(error)) => {
                Row::wrong(name, ExitCode::Failure, format!("the running tallyd cannot listen on {error}"))
                    .help("set another address with TALLYD_LISTEN or `listen` under [http], and start tallyd anew; counting goes on meanwhile")
            }
            (None, None) => {
                Row::wrong(name, ExitCode::Failure, format!("{wanted} is configured; the running tallyd was started without"))
                    .help("start tallyd anew")
            }
        },
    };
    Some(row.fact("listen", wanted.to_string()))
}
