//! A simple reading of a line: every JSON value as `serde_json` has it, and of those the ones that are replies
//! of the API, with the figures that decide what is counted. Slow, and as plain as docs/counting.md.

use serde_json::{Deserializer, Value};
use tallyd::domain::{MessageKey, ResponseLine};

/// No response has more of anything.
const MOST: u64 = 100_000_000;

/// What of a response is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    id: String,
    model: String,
    input: u64,
    output: u64,
    cache_write: u64,
    cache_write_1h: u64,
    cache_read: u64,
    web_searches: u64,
}

impl From<&ResponseLine> for Response {
    fn from(line: &ResponseLine) -> Self {
        let tokens = line.usage.tokens;
        let id = match &line.key {
            MessageKey::Global(id) | MessageKey::Aliases { id, .. } => id.clone(),
        };
        Self {
            id,
            model: line.model.0.clone(),
            input: tokens.input,
            output: tokens.output,
            cache_write: tokens.cache_write(),
            cache_write_1h: tokens.cache_write_1h,
            cache_read: tokens.cache_read,
            web_searches: line.usage.web_searches,
        }
    }
}

/// What a line says.
pub(super) struct Simple {
    /// In their order.
    pub(super) responses: Vec<Response>,
    /// Every value of the line could be read.
    pub(super) is_whole: bool,
}

/// The values of a line; `None` where `serde_json::Value` is no judge: of its own marker for raw values, and
/// of keys that are written with escapes, which are read as other keys than those that they spell.
pub(super) fn read(line: &[u8]) -> Option<Simple> {
    let is_letter_escape = |five: &[u8]| matches!(five, [b'\\', b'u', b'0', b'0', b'6' | b'7']);
    if super::contains(line, "$serde_json::private") || line.windows(5).any(is_letter_escape) {
        return None;
    }
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    let (mut responses, mut is_whole) = (Vec::new(), true);
    for value in Deserializer::from_slice(&line[start..end]).into_iter::<Value>() {
        match value {
            Ok(value) => responses.extend(response(&value)),
            Err(_) => is_whole = false,
        }
    }
    Some(Simple { responses, is_whole })
}

fn response(record: &Value) -> Option<Response> {
    let message = match text(record, "type") {
        "assistant" => record.get("message")?,
        "progress" => {
            let nested = record.get("data").filter(|data| text(data, "type") == "agent_progress")?;
            nested.get("message").filter(|inner| text(inner, "type") == "assistant")?.get("message")?
        }
        _ => return None,
    };
    let usage = message.get("usage").filter(|usage| usage.is_object())?;
    let model = Some(text(message, "model")).filter(|model| !model.is_empty()).unwrap_or("unknown");
    let searches = usage.get("server_tool_use").map_or(0, |tools| count(tools, "web_search_requests"));
    let [input, output, write, one_hour, read] = tokens(usage)?;
    if model == "<synthetic>" || searches > MOST || !steps_are_plausible(usage) {
        return None;
    }
    Some(Response {
        id: text(message, "id").to_owned(),
        model: model.to_owned(),
        input,
        output,
        cache_write: write,
        cache_write_1h: one_hour,
        cache_read: read,
        web_searches: searches,
    })
}

/// Input, output, cache writes, of these the 1-hour ones, cache reads; none where one of them cannot be.
fn tokens(usage: &Value) -> Option<[u64; 5]> {
    let split = |key| usage.get("cache_creation").map_or(0, |split| count(split, key));
    let (five, hour) = (split("ephemeral_5m_input_tokens"), split("ephemeral_1h_input_tokens"));
    let [input, output, total, read] =
        ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
            .map(|key| count(usage, key));
    let is_plausible = [input, output, total, read, five, hour].iter().all(|count| *count <= MOST);
    is_plausible.then(|| [input, output, total.max(five + hour), hour, read])
}

/// Whether the entries of `iterations` that are looked at can be.
fn steps_are_plausible(usage: &Value) -> bool {
    let entries = usage.get("iterations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let objects: Vec<&Value> = entries.iter().filter(|entry| entry.is_object()).collect();
    let takeover = objects.iter().rposition(|entry| text(entry, "type") == "fallback_message");
    objects.iter().enumerate().all(|(position, entry)| {
        let is_looked_at = match text(entry, "type") {
            "advisor_message" | "compaction" => true,
            "message" => takeover.is_none_or(|last| position < last),
            _ => false,
        };
        !is_looked_at || tokens(entry).is_some()
    })
}

/// A whole number of 0 or more, whatever it is written as; 0 where there is none.
fn count(object: &Value, key: &str) -> u64 {
    let Some(Value::Number(number)) = object.get(key) else { return 0 };
    number.as_u64().or_else(|| number.as_f64().map(whole)).unwrap_or(0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count that is written as a float is cut to a whole number within the range"
)]
fn whole(float: f64) -> u64 {
    float as u64
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
