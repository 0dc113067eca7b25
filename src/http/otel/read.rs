//! A log record of OpenTelemetry to the call that it tells of, whatever format it came in.
//!
//! Owns: the names that are read. As client 2.1.330 writes them; what an older one leaves out is unknown, and said so.
//! Refuses to guess: a record of a call without session, model, time or plausible counts is unusable.

use crate::domain::{CallEvent, ModelName, TokenCounts, UnixMillis, Usd, Used};

/// No context window is a hundredth of this.
const MAX_TOKENS: u64 = 100_000_000;
/// The longest id or name of a model.
const MAX_TEXT: usize = 256;

/// The value of an attribute.
pub(super) enum Value<'a> {
    Text(&'a str),
    Whole(i64),
    /// A decimal number as text: money is never a float.
    Number(&'a str),
}

/// What was read of a request.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) events: Vec<CallEvent>,
    /// Records of other events.
    pub(super) others: u64,
    /// Records of calls that lack what a call has.
    pub(super) unusable: u64,
}

impl Told {
    pub(super) fn add(&mut self, record: Record, nanos: u64) {
        if !record.is_call {
            self.others += 1;
            return;
        }
        match record.call(nanos) {
            Some(event) => self.events.push(event),
            None => self.unusable += 1,
        }
    }
}

/// The named attributes of a record.
#[derive(Debug, Default)]
pub(super) struct Record {
    is_call: bool,
    at: Option<UnixMillis>,
    session: Option<String>,
    request_id: Option<String>,
    model: Option<String>,
    is_fast: bool,
    cost: Option<Usd>,
    duration_ms: u64,
    sequence: u64,
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    five_minutes: Option<u64>,
    one_hour: Option<u64>,
    /// A count is none: negative, or no number.
    is_broken: bool,
}

impl Record {
    /// Takes an attribute, if it is one of those that are read.
    pub(super) fn take(&mut self, key: &str, value: &Value<'_>) {
        match key {
            "event.name" => self.is_call |= is(value, "api_request") || is(value, "claude_code.api_request"),
            "event.timestamp" => {
                self.at = if let Value::Text(text) = value { UnixMillis::parse(text) } else { None };
            }
            "session.id" => self.session = text(value),
            "request_id" => self.request_id = text(value),
            "model" => self.model = text(value),
            "speed" => self.is_fast = is(value, "fast"),
            "cost_usd" => self.cost = money(value),
            "duration_ms" => self.duration_ms = self.count(value).unwrap_or_default(),
            "event.sequence" => self.sequence = self.count(value).unwrap_or_default(),
            "input_tokens" => self.input = self.count(value),
            "output_tokens" => self.output = self.count(value),
            "cache_read_tokens" => self.cache_read = self.count(value),
            "cache_creation_tokens" => self.cache_creation = self.count(value),
            "cache_creation_5m_tokens" => self.five_minutes = self.count(value),
            "cache_creation_1h_tokens" => self.one_hour = self.count(value),
            _ => {}
        }
    }

    fn count(&mut self, value: &Value<'_>) -> Option<u64> {
        let count = match value {
            Value::Whole(count) => u64::try_from(*count).ok(),
            Value::Text(text) | Value::Number(text) => text.parse().ok(),
        };
        self.is_broken |= count.is_none();
        count
    }

    /// The call, at the time of its record where it does not say its own.
    fn call(self, nanos: u64) -> Option<CallEvent> {
        let by_record = i64::try_from(nanos / 1_000_000).ok().filter(|ms| *ms > 0).map(UnixMillis);
        let tokens = self.tokens().filter(|_| !self.is_broken)?;
        Some(CallEvent {
            request_id: self.request_id,
            session: self.session?,
            at: self.at.or(by_record)?,
            duration_ms: self.duration_ms,
            sequence: self.sequence,
            model: ModelName(self.model?),
            used: Used { tokens, web_searches: 0 },
            has_split: self.one_hour.is_some(),
            is_fast: self.is_fast,
            client_cost: self.cost,
        })
    }

    /// As session logs are read: cache writes are the greater of the total and its parts, and what is not of an hour is
    /// of five minutes.
    fn tokens(&self) -> Option<TokenCounts> {
        let one_hour = self.one_hour.unwrap_or_default();
        let parts = self.five_minutes.unwrap_or_default().checked_add(one_hour)?;
        let tokens = TokenCounts {
            input: self.input?,
            output: self.output?,
            cache_write_5m: self.cache_creation.unwrap_or_default().max(parts) - one_hour,
            cache_write_1h: one_hour,
            cache_read: self.cache_read.unwrap_or_default(),
        };
        tokens.as_array().iter().all(|count| *count <= MAX_TOKENS).then_some(tokens)
    }
}

fn is(value: &Value<'_>, expected: &str) -> bool {
    matches!(value, Value::Text(text) if *text == expected)
}

fn text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) if !text.is_empty() && text.len() <= MAX_TEXT => Some((*text).to_owned()),
        _ => None,
    }
}

fn money(value: &Value<'_>) -> Option<Usd> {
    match value {
        Value::Whole(dollars) => Usd::from_text(&dollars.to_string()),
        Value::Text(text) | Value::Number(text) => Usd::from_text(text),
    }
}
