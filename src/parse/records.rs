//! The fields of session-log records that tallyd reads, and no others.
//!
//! Owns: the names of keys in Claude Code's logs. What is not named here is skipped unread, message
//! text above all.

use super::raw::{Count, Fields, Flag, List, Maybe, Text, skip};
use serde::de::{Error, MapAccess};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One JSON value of a session log.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) kind: Text<'a>,
    pub(super) envelope: Envelope<'a>,
    pub(super) session_id: Text<'a>,
    pub(super) original_session: Text<'a>,
    pub(super) request_session: Text<'a>,
    pub(super) forked_from: Maybe<ForkedFrom<'a>>,
    pub(super) version: Text<'a>,
    pub(super) cwd: Text<'a>,
    pub(super) aborted: Flag,
    pub(super) data: Maybe<Progress<'a>>,
    pub(super) account: Account<'a>,
}

/// The fields that an assistant record has both on its own and inside a progress record.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) uuid: Text<'a>,
    pub(super) parent_uuid: Text<'a>,
    pub(super) timestamp: Text<'a>,
    pub(super) request_id: Text<'a>,
    pub(super) sidechain: Flag,
    pub(super) message: Maybe<Message<'a>>,
}

impl<'de> Envelope<'de> {
    /// Takes the value of `key` if it is one of the envelope's; says whether it was.
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "uuid" => self.uuid = map.next_value()?,
            "parentUuid" => self.parent_uuid = map.next_value()?,
            "timestamp" => self.timestamp = map.next_value()?,
            "requestId" => self.request_id = map.next_value()?,
            "isSidechain" => self.sidechain = map.next_value()?,
            "message" => self.message = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Record<'_> {
    /// True where the record has the fields that every line of its own has, whatever its type.
    pub(super) fn has_envelope(&self) -> bool {
        [&self.session_id, &self.envelope.uuid, &self.envelope.timestamp]
            .iter()
            .all(|field| field.get().is_some())
    }
}

impl<'de> Fields<'de> for Record<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            "sessionId" => self.session_id = map.next_value()?,
            "session_id" => self.original_session = map.next_value()?,
            "requestSessionId" => self.request_session = map.next_value()?,
            "forkedFrom" => self.forked_from = map.next_value()?,
            "version" => self.version = map.next_value()?,
            "cwd" => self.cwd = map.next_value()?,
            "isAbortedMidStream" => self.aborted = map.next_value()?,
            "data" => self.data = map.next_value()?,
            _ if self.envelope.take(key, map)? => {}
            _ => self.account.field(key, map)?,
        }
        Ok(())
    }
}

/// `forkedFrom` of a line that `/branch` copied.
#[derive(Debug, Default)]
pub(super) struct ForkedFrom<'a> {
    pub(super) session_id: Text<'a>,
}

impl<'de> Fields<'de> for ForkedFrom<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "sessionId" => self.session_id = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `data` of a progress record.
#[derive(Debug, Default)]
pub(super) struct Progress<'a> {
    pub(super) kind: Text<'a>,
    pub(super) message: Maybe<NestedRecord<'a>>,
}

impl<'de> Fields<'de> for Progress<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            "message" => self.message = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// A sub-agent's record inside a progress record.
#[derive(Debug, Default)]
pub(super) struct NestedRecord<'a> {
    pub(super) kind: Text<'a>,
    pub(super) envelope: Envelope<'a>,
}

impl<'de> Fields<'de> for NestedRecord<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            _ if self.envelope.take(key, map)? => {}
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `message` of an assistant record.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) id: Text<'a>,
    pub(super) model: Text<'a>,
    pub(super) stop_reason: Text<'a>,
    /// The key is there, whatever its value: the client writes it when a reply is complete.
    pub(super) has_stop_details: bool,
    pub(super) usage: Maybe<RawUsage<'a>>,
}

impl<'de> Fields<'de> for Message<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "id" => self.id = map.next_value()?,
            "model" => self.model = map.next_value()?,
            "stop_reason" => self.stop_reason = map.next_value()?,
            "stop_details" => {
                self.has_stop_details = true;
                skip(map)?;
            }
            "usage" => self.usage = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }

    /// `usage` with a letter as an escape is another key: the prefilter of `tail` knows but the one spelling,
    /// no writer has another, and whether a line counts must not depend on what else is in it.
    fn escaped_field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "usage" { skip(map) } else { self.field(key, map) }
    }
}

/// Token counters: of a response, or of one of its iterations.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) input: Count,
    pub(super) output: Count,
    pub(super) cache_creation: Count,
    pub(super) cache_read: Count,
    pub(super) breakdown: Maybe<Breakdown>,
}

impl<'de> Fields<'de> for Counters {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "input_tokens" => self.input = map.next_value()?,
            "output_tokens" => self.output = map.next_value()?,
            "cache_creation_input_tokens" => self.cache_creation = map.next_value()?,
            "cache_read_input_tokens" => self.cache_read = map.next_value()?,
            "cache_creation" => self.breakdown = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// Cache writes by life time.
#[derive(Debug, Default)]
pub(super) struct Breakdown {
    pub(super) five_minutes: Count,
    pub(super) one_hour: Count,
}

impl<'de> Fields<'de> for Breakdown {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "ephemeral_5m_input_tokens" => self.five_minutes = map.next_value()?,
            "ephemeral_1h_input_tokens" => self.one_hour = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `message.usage`.
#[derive(Debug, Default)]
pub(super) struct RawUsage<'a> {
    pub(super) counters: Counters,
    pub(super) details: Maybe<OutputDetails>,
    pub(super) server_tools: Maybe<ServerTools>,
    pub(super) tier: Text<'a>,
    pub(super) geo: Text<'a>,
    pub(super) speed: Text<'a>,
    pub(super) iterations: List<Iteration<'a>>,
}

impl<'de> Fields<'de> for RawUsage<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "output_tokens_details" => self.details = map.next_value()?,
            "server_tool_use" => self.server_tools = map.next_value()?,
            "service_tier" => self.tier = map.next_value()?,
            "inference_geo" => self.geo = map.next_value()?,
            "speed" => self.speed = map.next_value()?,
            "iterations" => self.iterations = map.next_value()?,
            _ => self.counters.field(key, map)?,
        }
        Ok(())
    }
}

/// `usage.output_tokens_details`.
#[derive(Debug, Default)]
pub(super) struct OutputDetails {
    pub(super) thinking: Count,
}

impl<'de> Fields<'de> for OutputDetails {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "thinking_tokens" => self.thinking = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `usage.server_tool_use`.
#[derive(Debug, Default)]
pub(super) struct ServerTools {
    pub(super) web_searches: Count,
}

impl<'de> Fields<'de> for ServerTools {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "web_search_requests" => self.web_searches = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// One entry of `usage.iterations`.
#[derive(Debug, Default)]
pub(super) struct Iteration<'a> {
    pub(super) kind: Text<'a>,
    pub(super) model: Text<'a>,
    pub(super) counters: Counters,
}

impl<'de> Fields<'de> for Iteration<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            "model" => self.model = map.next_value()?,
            _ => self.counters.field(key, map)?,
        }
        Ok(())
    }
}

/// The fields of a `cost-state` record.
#[derive(Debug, Default)]
pub(super) struct Account<'a> {
    pub(super) total_cost: Option<Cow<'a, str>>,
    pub(super) start_time: Count,
    pub(super) duration: Count,
    pub(super) models: Maybe<AccountModels<'a>>,
}

impl<'de> Fields<'de> for Account<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "totalCostUSD" => self.total_cost = Some(number_text(map)?),
            "startTime" => self.start_time = map.next_value()?,
            "totalDuration" => self.duration = map.next_value()?,
            "modelUsage" => self.models = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The text of a number, unread: money never passes through a float.
fn number_text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Cow<'de, str>, A::Error> {
    map.next_value::<&'de RawValue>().map(|raw| Cow::Borrowed(raw.get())).map_err(A::Error::custom)
}

/// `modelUsage` of a `cost-state` record: model name to usage.
#[derive(Debug, Default)]
pub(super) struct AccountModels<'a>(pub(super) Vec<(String, AccountModel<'a>)>);

impl<'de> Fields<'de> for AccountModels<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if let Maybe(Some(usage)) = map.next_value()? {
            self.0.push((key.to_owned(), usage));
        }
        Ok(())
    }
}

/// One model of a `cost-state` record.
#[derive(Debug, Default)]
pub(super) struct AccountModel<'a> {
    pub(super) input: Count,
    pub(super) output: Count,
    pub(super) thinking: Count,
    pub(super) cache_read: Count,
    pub(super) cache_creation: Count,
    pub(super) five_minutes: Count,
    pub(super) one_hour: Count,
    pub(super) web_searches: Count,
    pub(super) cost: Option<Cow<'a, str>>,
}

impl<'de> Fields<'de> for AccountModel<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "inputTokens" => self.input = map.next_value()?,
            "outputTokens" => self.output = map.next_value()?,
            "thinkingTokens" => self.thinking = map.next_value()?,
            "cacheReadInputTokens" => self.cache_read = map.next_value()?,
            "cacheCreationInputTokens" => self.cache_creation = map.next_value()?,
            "cacheCreationEphemeral5mInputTokens" => self.five_minutes = map.next_value()?,
            "cacheCreationEphemeral1hInputTokens" => self.one_hour = map.next_value()?,
            "webSearchRequests" => self.web_searches = map.next_value()?,
            "costUSD" => self.cost = Some(number_text(map)?),
            _ => skip(map)?,
        }
        Ok(())
    }
}
