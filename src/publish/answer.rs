//! What an answer of the server means: pure, from status, headers and body.
//!
//! Owns: the table of answers. Only a body that is the contract's own, with the very sessions that were
//! sent, is an acknowledgement: a captive portal also answers 200. Whatever it does not know passes by
//! itself or is tried again; only what the database says of a value is held against the value.

use super::fault::{Fault, told};
use crate::domain::{Destination, UnixMillis};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// The oldest contract that tallyd speaks.
pub const CONTRACT: u32 = 2;
/// The contract since which a server takes unlogged usage.
pub const UNLOGGED_CONTRACT: u32 = 3;

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The header `Retry-After`.
    pub(super) retry_after: Option<String>,
    /// The header `Date`.
    pub(super) date: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What became of one session of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemAnswer {
    /// The server has it now.
    Accepted,
    /// The server had this value, or a better one.
    Unchanged,
    /// The server refuses the value.
    Rejected {
        /// SQLSTATE.
        code: String,
        /// The reason in the server's words, shortened.
        message: String,
    },
}

/// Why a call did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A person has to mend something.
    Configuration(Fault),
    /// The database refuses what was sent, as a whole: something in it is to blame.
    Rejected {
        /// SQLSTATE or PostgREST's own code.
        code: String,
        /// The reason in the server's words, shortened.
        message: String,
    },
    /// The body is larger than something on the way takes.
    TooLarge,
    /// It passes by itself.
    Transient {
        /// What happened, in one line.
        what: String,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
        /// A smaller call may go through.
        shrink: bool,
    },
}

/// What `token_usage_check` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CheckAnswer {
    /// The version of the project's SQL.
    pub contract: u32,
    /// Whether the project has the user.
    pub user_exists: bool,
    /// The server's clock.
    #[serde(deserialize_with = "instant")]
    pub server_time: UnixMillis,
    /// What the key made the caller: `service_role` or `authenticated`; shortened, and safe to show.
    #[serde(deserialize_with = "short")]
    pub role: String,
}

fn short<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| told(&text))
}

fn instant<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<UnixMillis, D::Error> {
    let text = String::deserialize(deserializer)?;
    UnixMillis::parse(&text).ok_or_else(|| serde::de::Error::custom("no time"))
}

impl CheckAnswer {
    /// What has to be mended before anything can be published to `to`, if anything.
    pub fn fault(&self, to: &Destination) -> Option<Fault> {
        if self.contract < CONTRACT {
            return Some(Fault::OldContract { found: self.contract });
        }
        (!self.user_exists).then(|| Fault::UnknownUser(to.clone()))
    }
}

/// An error as PostgREST writes it (`code`, `message`), or one of the gateways before it (`message`, `msg`
/// or `error` alone).
#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: Value,
    #[serde(default, alias = "msg", alias = "error")]
    message: Value,
}

impl ErrorBody {
    /// The code, where the database or PostgREST gave one.
    fn code(&self) -> Option<&str> {
        self.code.as_str().filter(|code| self.message.is_string() && is_code(code))
    }

    fn message(&self) -> String {
        told(self.message.as_str().unwrap_or_default())
    }
}

/// An SQLSTATE or `PGRST` and a number.
fn is_code(code: &str) -> bool {
    let is_plain = code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_plain && (code.len() == 5 || code.strip_prefix("PGRST").is_some_and(|rest| rest.len() <= 3))
}

/// Classes of SQLSTATE that say nothing of what was sent: connections, a read-only database (a full disk on
/// Supabase), deadlocks, resources, locks, an operator or a limit of time, the system, the server itself.
const PASSING: [&str; 8] = ["08", "25", "40", "53", "55", "57", "58", "XX"];

/// Whether a code passes by itself.
pub(super) fn passes(code: &str) -> bool {
    PASSING.iter().any(|class| code.starts_with(class))
}

/// Whether a failure of the server may be due to this one call: it took too long, or met what nobody has
/// met before.
fn blames_the_call(code: &str) -> bool {
    let is_sqlstate = code.len() == 5;
    is_sqlstate && (code == "57014" || code.starts_with("XX") || !passes(code))
}

fn transient(what: String) -> Refusal {
    Refusal::Transient { what, retry_after: None, shrink: false }
}

impl Answer {
    /// The answer to one session's value.
    pub(super) fn to_one(&self, session: &str, to: &Destination) -> Result<ItemAnswer, Refusal> {
        #[derive(Deserialize)]
        struct One {
            status: String,
            session_id: String,
        }
        let one: One = self.body_of_ours(to)?;
        match one.status.as_str() {
            "accepted" if one.session_id == session => Ok(ItemAnswer::Accepted),
            "unchanged" if one.session_id == session => Ok(ItemAnswer::Unchanged),
            _ => Err(self.not_ours()),
        }
    }

    /// The answers to the values of sessions, in their order.
    pub(super) fn to_many(&self, sessions: &[&str], to: &Destination) -> Result<Vec<ItemAnswer>, Refusal> {
        #[derive(Deserialize)]
        struct Many {
            results: Vec<Item>,
        }
        let many: Many = self.body_of_ours(to)?;
        if many.results.len() != sessions.len() {
            return Err(self.not_ours());
        }
        let answers = many.results.into_iter().zip(sessions).enumerate();
        let answers = answers.map(|(index, (item, session))| item.answer(index, session));
        answers.collect::<Option<_>>().ok_or_else(|| self.not_ours())
    }

    /// The body, where it is the contract's own.
    pub(super) fn body_of_ours<T: serde::de::DeserializeOwned>(
        &self,
        to: &Destination,
    ) -> Result<T, Refusal> {
        if !(200..300).contains(&self.status) {
            return Err(self.refusal(to));
        }
        serde_json::from_slice(&self.body).map_err(|_| self.not_ours())
    }

    /// A success that nobody of ours can have answered. Where it could, after all, one session must not hold
    /// up the others.
    fn not_ours(&self) -> Refusal {
        let shrink = self.body.trim_ascii_start().starts_with(b"{");
        let what =
            format!("the server answered {} with {}, which is not the project", self.status, self.kind());
        Refusal::Transient { what, retry_after: None, shrink }
    }

    /// What the body looks like, without showing it.
    fn kind(&self) -> &'static str {
        let start = self.body.trim_ascii_start().first();
        match start {
            None => "nothing",
            Some(b'<') => "a web page",
            Some(b'{' | b'[') => "another or a cut JSON body",
            Some(_) => "a text",
        }
    }

    /// What an answer means that is no success.
    fn refusal(&self, to: &Destination) -> Refusal {
        let json: Option<ErrorBody> = serde_json::from_slice(&self.body).ok();
        let is_json = json.is_some() || self.body.is_empty();
        let error = json.unwrap_or_default();
        match (self.status, error.code()) {
            (413, _) => Refusal::TooLarge,
            (402 | 540, _) => Refusal::Configuration(Fault::Paused { status: self.status }),
            (408 | 425 | 429 | 500.., code) => self.passing(code, &error),
            (_, Some(code)) if passes(code) => self.passing(Some(code), &error),
            (_, Some(code)) => self.refused(code, &error, to),
            (401 | 403, None) if is_json => {
                Refusal::Configuration(Fault::KeyRefused { message: self.said(&error) })
            }
            (404, None) if is_json => Refusal::Configuration(Fault::NoApi { message: self.said(&error) }),
            _ => transient(format!("the server answered {} with {}", self.status, self.kind())),
        }
    }

    /// What the gateway said, or at least the status.
    fn said(&self, error: &ErrorBody) -> String {
        match error.message() {
            empty if empty.is_empty() => format!("HTTP status {}", self.status),
            message => message,
        }
    }

    /// PostgREST or the database said no, with this code.
    fn refused(&self, code: &str, error: &ErrorBody, to: &Destination) -> Refusal {
        let message = error.message();
        let coded = format!("{code}: {message}");
        Refusal::Configuration(match (self.status, code) {
            (_, "PGRST301" | "PGRST303") if message.to_lowercase().contains("expired") => Fault::Expired,
            (401, _) | (_, "PGRST300" | "PGRST301" | "PGRST302" | "PGRST303") => {
                Fault::KeyRefused { message: coded }
            }
            (_, "42501") | (403, _) => Fault::Forbidden { message: coded },
            (409, "23503") => Fault::UnknownUser(to.clone()),
            (_, "PGRST106") => Fault::NoApi { message: coded },
            // Functions, tables or columns that are not there, or are there twice.
            (404, _) | (_, "PGRST202" | "PGRST203" | "PGRST204" | "PGRST205") => {
                Fault::NoContract { message: coded }
            }
            (_, code) if code.starts_with("42") => Fault::NoContract { message: coded },
            _ => return Refusal::Rejected { code: code.to_owned(), message },
        })
    }

    /// What passes by itself.
    fn passing(&self, code: Option<&str>, error: &ErrorBody) -> Refusal {
        let what = match code {
            Some(code) => format!("the server answered {}: {code}: {}", self.status, error.message()),
            None if error.message.is_string() => {
                format!("the server answered {}: {}", self.status, error.message())
            }
            None => format!("the server answered {} with {}", self.status, self.kind()),
        };
        let shrink = self.status >= 500 && code.is_some_and(blames_the_call);
        Refusal::Transient { what, retry_after: self.retry_after(), shrink }
    }

    /// `Retry-After`, in seconds or as a date, which counts from the answer's own: the clock here may be wrong.
    fn retry_after(&self) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = |text: &str| DateTime::parse_from_rfc2822(text).ok().map(|date| date.timestamp_millis());
        let wait = date(text)?.saturating_sub(date(self.date.as_deref()?)?);
        Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
    }
}

/// One of many answers.
#[derive(Deserialize)]
struct Item {
    index: usize,
    session_id: Option<String>,
    status: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Item {
    /// The answer, if it is to this session at this place.
    fn answer(self, index: usize, session: &str) -> Option<ItemAnswer> {
        // Of a value that it refuses, the server may not know the session, or repeats the beginning of its id.
        let is_refused = self.status == "rejected";
        let is_it = match self.session_id.as_deref() {
            Some(id) => id == session || is_refused && session.starts_with(id),
            None => is_refused,
        };
        if self.index != index || !is_it {
            return None;
        }
        match self.status.as_str() {
            "accepted" => Some(ItemAnswer::Accepted),
            "unchanged" => Some(ItemAnswer::Unchanged),
            "rejected" => Some(ItemAnswer::Rejected { code: told(&self.code), message: told(&self.message) }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
