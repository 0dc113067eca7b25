//! Anthropic's Admin APIs as their reference describes them: recorded answers by path and query, on a port of this
//! machine, in plain HTTP. What was asked is kept.

use crate::remote::http::{Request, Response};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Answers a request; none cuts the line.
type Answering = dyn Fn(&Request, usize) -> Option<Response> + Send + Sync;

/// A server that ends with the test.
pub(super) struct Server {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` gets the request and how many came before it.
    pub(super) fn start(
        answer: impl Fn(&Request, usize) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer): (_, Arc<Answering>) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &kept, &*answer));
            }
        });
        Self { url, asked }
    }

    /// All requests so far, as `GET <path>?<query>`.
    pub(super) fn asked(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.asked.lock().expect("no thread has panicked").clone()
    }
}

fn serve(stream: &TcpStream, kept: &Mutex<Vec<Request>>, answer: &Answering) {
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = Request::read(&mut reader) {
        let before = {
            let mut kept = kept.lock().expect("no thread has panicked");
            kept.push(request.clone());
            kept.len() - 1
        };
        let Some(response) = answer(&request, before) else { break };
        let mut writer = stream;
        // A client that has seen enough is gone.
        if writer.write_all(&response.bytes()).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

/// A recorded answer.
pub(super) fn recorded(name: &str) -> Response {
    Response::new(200, "application/json", super::fixture(name))
}

/// The error body of the API.
pub(super) fn error(status: u16, kind: &str, message: &str) -> Response {
    let body = serde_json::json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_01"});
    Response::new(status, "application/json", body.to_string())
}

/// The recorded answers to whatever is asked, page by page.
pub(super) fn as_recorded(request: &Request) -> Response {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let is_first = !query.contains("page=");
    let name = match path {
        "/v1/organizations/usage_report/messages" if is_first => "usage-1.json",
        "/v1/organizations/usage_report/messages" => "usage-2.json",
        "/v1/organizations/cost_report" => "cost.json",
        "/v1/organizations/usage_report/claude_code" if !query.contains("2026-11-20") => {
            "claude-code-empty.json"
        }
        "/v1/organizations/usage_report/claude_code" if is_first => "claude-code-1.json",
        "/v1/organizations/usage_report/claude_code" => "claude-code-2.json",
        _ => return error(404, "not_found_error", "no such path"),
    };
    recorded(name)
}
