//! What may go wrong with one call, and what tallyd has to make of it. Answers are as the contract, PostgREST
//! and the gateways before it give them; which are done and which are not is chosen with each.

use crate::remote::faults::Fault;
use crate::remote::http::{Request, Response};
use serde_json::{Value as Json, json};

/// What an answer must be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It passes by itself; the seconds that the server asks to be left alone.
    Passes(Option<u64>),
    /// A person has to mend something: the fault's name.
    Mend(&'static str),
    /// Something in the call is refused.
    Refused,
}

/// One thing that goes wrong with a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// The connection ends before the server has heard of it.
    CutBefore,
    /// It is done; the connection ends before the answer.
    LoseAnswer,
    /// It is done; the connection ends within the answer.
    CutAnswer,
    /// It is done; the answer never ends.
    Drip,
    /// The answer of this number, after it was done or instead.
    Answer { number: usize, done: bool },
}

use Meaning::{Mend, Passes, Refused};

const PASSES: Meaning = Passes(None);
const PAGE: &str = "<html><h1>something on the way</h1></html>";

/// Status, body, and what to make of it.
const ANSWERS: [(u16, &str, Meaning); 36] = [
    (400, r#"{"code":"22P02","message":"invalid input syntax","details":null,"hint":null}"#, Refused),
    (400, r#"{"code":"23514","message":"violates a check","details":null,"hint":null}"#, Refused),
    (400, r#"{"code":"22023","message":"a value breaks a rule","details":null,"hint":null}"#, Refused),
    (400, r#"{"code":"PGRST102","message":"Empty or invalid json","details":null,"hint":null}"#, Refused),
    (400, PAGE, PASSES),
    (401, r#"{"message":"Invalid API key","hint":"Double check the API key."}"#, Mend("key_refused")),
    (401, r#"{"code":"PGRST301","message":"JWT expired","details":null,"hint":null}"#, Mend("expired")),
    (401, PAGE, PASSES),
    (403, r#"{"code":"42501","message":"permission denied","details":null,"hint":null}"#, Mend("forbidden")),
    (403, PAGE, PASSES),
    (404, r#"{"code":"PGRST202","message":"Could not find the function"}"#, Mend("no_contract")),
    (404, r#"{"message":"no Route matched with those values"}"#, Mend("no_api")),
    (404, PAGE, PASSES),
    (409, r#"{"code":"23503","message":"no such user","details":null,"hint":null}"#, Mend("unknown_user")),
    (413, PAGE, Refused),
    (402, r#"{"message":"exceeded quota"}"#, Mend("paused")),
    (540, PAGE, Mend("paused")),
    (408, PAGE, PASSES),
    (429, r#"{"message":"Too many requests"}"#, Passes(Some(7))),
    (429, PAGE, PASSES),
    (500, r#"{"code":"57014","message":"canceling statement due to statement timeout"}"#, PASSES),
    (500, r#"{"code":"40P01","message":"deadlock detected"}"#, PASSES),
    (500, r#"{"code":"XX000","message":"cache lookup failed"}"#, PASSES),
    (502, PAGE, PASSES),
    (503, r#"{"code":"PGRST001","message":"Database client error. Retrying the connection."}"#, PASSES),
    (503, "upstream connect error", PASSES),
    (504, PAGE, PASSES),
    (200, PAGE, PASSES),
    (200, "", PASSES),
    (204, "", PASSES),
    (302, "", PASSES),
    (200, r#"{"status":"ok","service":"proxy"}"#, PASSES),
    (200, r#"{"results":[{"index":0,"sta"#, PASSES),
    // These are made from what was sent: of the sessions of somebody else, of all but the last, of all in
    // another order.
    (200, "foreign", PASSES),
    (200, "partial", PASSES),
    (200, "shuffled", PASSES),
];

/// How many answers there are.
pub(super) const NUMBER: usize = ANSWERS.len();

impl Trouble {
    /// A short name, for counting.
    pub(super) fn name(self) -> String {
        match self {
            Self::Answer { number, done } => {
                let (status, _, meaning) = ANSWERS[number];
                let kind = match meaning {
                    Mend(kind) => kind,
                    Passes(_) => "passes",
                    Refused => "refused",
                };
                format!("{number}: {status} {kind}{}", if done { " when done" } else { "" })
            }
            other => format!("{other:?}"),
        }
    }

    /// What it means for a call that sends. One that is whole in spite of the trouble means nothing.
    pub(super) fn meaning(self, request: &Request) -> Option<Meaning> {
        let Self::Answer { number, .. } = self else { return Some(PASSES) };
        let (_, kind, meaning) = ANSWERS[number];
        let is_whole = kind == "shuffled" && sessions(request).len() < 2;
        (!is_whole).then_some(meaning)
    }

    /// What it means for the question whether the project is ready; nothing where it is not asked of it.
    pub(super) fn meaning_of_check(self) -> Option<Meaning> {
        match self {
            // Asked again for a moment, as after a migration.
            Self::Answer { number, .. } if ANSWERS[number].2 == Mend("no_contract") => None,
            Self::Answer { number, .. } if ANSWERS[number].0 == 413 => Some(PASSES),
            Self::Answer { number, .. } if ANSWERS[number].2 == Refused => Some(Mend("no_contract")),
            Self::Answer { number, .. } => Some(ANSWERS[number].2),
            _ => Some(PASSES),
        }
    }

    /// Whether the database does as it is asked.
    pub(super) fn is_done(self) -> bool {
        !matches!(self, Self::CutBefore | Self::Answer { done: false, .. })
    }

    pub(super) fn is_slow(self) -> bool {
        matches!(self, Self::Drip)
    }

    pub(super) fn fault(self, request: &Request) -> Fault {
        match self {
            Self::CutBefore => Fault::CutBefore,
            Self::LoseAnswer => Fault::LoseAnswer,
            Self::CutAnswer => Fault::CutAnswer,
            Self::Drip => Fault::Drip,
            Self::Answer { number, done } => {
                let answer = answer(number, request);
                if done { Fault::Afterwards(answer) } else { Fault::Instead(answer) }
            }
        }
    }
}

/// The sessions that a call sends, in their order.
fn sessions(request: &Request) -> Vec<Json> {
    items(request).iter().map(|item| item["session_data"]["session_id"].clone()).collect()
}

/// The items that a call sends; none where it sends nothing.
pub(super) fn items(request: &Request) -> Vec<Json> {
    let body: Json = serde_json::from_slice(&request.body).unwrap_or_default();
    match (body["items"].as_array(), body.get("session_data")) {
        (Some(items), _) => items.clone(),
        (_, Some(_)) => vec![body],
        _ => Vec::new(),
    }
}

fn answer(number: usize, request: &Request) -> Response {
    let (status, body, meaning) = ANSWERS[number];
    let body = match body {
        "foreign" | "partial" | "shuffled" => made_up(body, request),
        body => body.to_owned(),
    };
    let kind = if body.starts_with('{') { "application/json; charset=utf-8" } else { "text/html" };
    let answer = Response::new(status, kind, body);
    match meaning {
        Passes(Some(seconds)) => answer.with("Retry-After", &seconds.to_string()),
        _ if status == 302 => answer.with("Location", "https://login.example.com/"),
        _ => answer,
    }
}

/// An answer in the contract's own form that is not to what was sent.
fn made_up(kind: &str, request: &Request) -> String {
    let mut sessions = sessions(request);
    let is_single = request.path.ends_with("/upsert_token_usage");
    match kind {
        "foreign" => sessions.iter_mut().for_each(|session| *session = json!("somebody-else")),
        "partial" => drop(sessions.pop()),
        _ if sessions.is_empty() => {}
        _ => sessions.rotate_left(1),
    }
    if is_single {
        let session = sessions.pop();
        return match session {
            Some(session) => json!({ "status": "accepted", "session_id": session }).to_string(),
            None => json!({ "status": "accepted" }).to_string(),
        };
    }
    let item = |(index, session): (usize, Json)| json!({ "index": index, "session_id": session, "status": "accepted" });
    json!({ "results": sessions.into_iter().enumerate().map(item).collect::<Vec<_>>() }).to_string()
}
