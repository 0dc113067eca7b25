//! What goes wrong between a caller and its database, and when. A fault is a value; a plan decides for
//! each request which of them it meets. Nothing here does anything: the gateway does.

use super::http::{Request, Response};
use crate::random::Random;
use chrono::DateTime;
use std::time::Duration;

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection is cut before the database has heard of the request.
    CutBefore,
    /// The database does as asked; the connection is cut before the answer.
    LoseAnswer,
    /// The database does as asked; the connection is cut in the middle of the answer.
    CutAnswer,
    /// The database does as asked; the answer comes so much later.
    Delay(Duration),
    /// The database does as asked; the answer comes a byte at a time and never ends.
    Drip,
    /// The database never hears of it; this is answered.
    Instead(Response),
    /// The database does as asked; this is answered.
    Afterwards(Response),
}

impl Fault {
    /// Too many requests. `retry_after` is a number of seconds or a date, or empty for no such header.
    pub(crate) fn too_many(retry_after: &str) -> Self {
        let answer = json(429, r#"{"message":"Too many requests"}"#);
        Self::Instead(if retry_after.is_empty() { answer } else { answer.with("Retry-After", retry_after) })
    }

    /// As the platform answers while a project is restarted.
    pub(crate) fn unavailable() -> Self {
        Self::Instead(Response::new(503, "text/plain", "upstream connect error"))
    }

    /// As PostgREST tells an error of the database: 57014 a statement took too long, 40P01 a deadlock.
    pub(crate) fn database_error(code: &str) -> Self {
        let body = serde_json::json!({ "code": code, "details": null, "hint": null, "message": "as asked" });
        Self::Instead(json(500, &body.to_string()))
    }

    pub(crate) fn too_large() -> Self {
        Self::Instead(Response::new(413, "text/html", "<html><h1>413 Request Entity Too Large</h1></html>"))
    }

    /// Somebody else's page with a status that says all is well.
    pub(crate) fn captive_portal() -> Self {
        let page = "<!DOCTYPE html><html><title>Welcome</title><form>Accept our terms</form></html>";
        Self::Instead(Response::new(200, "text/html; charset=utf-8", page))
    }

    /// Success without a body, where a body is due.
    pub(crate) fn empty() -> Self {
        Self::Instead(Response { status: 204, ..Response::default() })
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::Instead(Response::new(302, "text/html", "").with("Location", to))
    }

    /// JSON of something that is not PostgREST.
    pub(crate) fn foreign_json() -> Self {
        Self::Instead(json(200, r#"{"status":"ok","service":"proxy"}"#))
    }

    /// The beginning of an answer, told as if it were all of it; none of it was done.
    pub(crate) fn truncated_json() -> Self {
        Self::Instead(json(200, r#"{"results":[{"index":0,"sta"#))
    }
}

fn json(status: u16, body: &str) -> Response {
    Response::new(status, "application/json; charset=utf-8", body)
}

/// A date as HTTP has it, from seconds since 1970.
pub(crate) fn http_date(seconds: i64) -> String {
    let time = DateTime::from_timestamp(seconds, 0).expect("a time that can be written");
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A request as it arrives.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// 0 for the first that the gateway ever saw.
    pub(crate) number: usize,
    pub(crate) request: Request,
}

/// Decides what a request meets; asked once for each, in the order of arrival.
pub(crate) type Plan = Box<dyn FnMut(&Arrival) -> Option<Fault> + Send>;

/// The next requests meet these, one each; those after them none.
pub(crate) fn in_turn(faults: impl IntoIterator<Item = Fault>) -> Plan {
    let mut left = faults.into_iter().collect::<Vec<_>>().into_iter();
    Box::new(move |_| left.next())
}

/// Every request meets this.
pub(crate) fn always(fault: Fault) -> Plan {
    Box::new(move |_| Some(fault.clone()))
}

/// Each request meets each of these with its probability in percent; they add up to at most 100.
pub(crate) fn chaos(seed: u64, faults: Vec<(u64, Fault)>) -> Plan {
    let mut random = Random::new(seed);
    Box::new(move |_| {
        let mut drawn = random.range(1, 100);
        for (percent, fault) in &faults {
            if drawn <= *percent {
                return Some(fault.clone());
            }
            drawn -= percent;
        }
        None
    })
}
