//! An assistant record to what it says of an API response: the rules of counting.
//!
//! The rules and the measurements behind them are in docs/counting.md.

use super::line::{ImplausibleCount, LineContext};
use super::raw::{List, Maybe};
use super::records::{Counters, Envelope, Iteration, Message, RawUsage, Record};
use crate::domain::{
    Attribution, Chain, Geo, MessageKey, ModelName, Part, PartKind, Rank, ResponseLine, Speed, Tier,
    TokenCounts, UnixMillis, Usage, client_version, fnv1a,
};

/// No context window is a hundredth of this. The cap keeps every sum of money inside its integer.
const MAX_TOKENS: u64 = 100_000_000;

/// Stands for the model of a record that names none; no price table has it.
const NO_MODEL: &str = "unknown";

/// Ids that Anthropic's own endpoints give out, unique over all responses for ever.
const FIRST_PARTY_IDS: [&str; 3] = ["msg_01", "msg_bdrk_", "msg_vrtx_"];

/// An id of at least this length with a digit in it is taken for unique within its session.
const UNIQUE_ID_LENGTH: usize = 16;

/// From this version on the client writes the key `stop_details` on every line of a completed reply and
/// on none of a cut one (measured on client 2.1.330: 413 of 413 and 0 of 23 lines).
const STOP_DETAILS_SINCE: [u32; 3] = [2, 1, 200];

/// Reads an assistant record, or the one nested in a progress record. `None` where the record is no
/// API response.
pub(super) fn read(
    record: &Record<'_>,
    source: &[u8],
    context: LineContext<'_>,
) -> Result<Option<ResponseLine>, ImplausibleCount> {
    let Some((envelope, nested)) = envelope(record) else { return Ok(None) };
    let Maybe(Some(message)) = &envelope.message else { return Ok(None) };
    let Maybe(Some(raw)) = &message.usage else { return Ok(None) };
    let model = message.model.get().unwrap_or(NO_MODEL);
    if model == "<synthetic>" {
        return Ok(None);
    }
    let usage = usage(raw)?;
    let session = record.session_id.get().unwrap_or(context.session);
    let stamp = envelope.timestamp.get().or(record_time(record)).and_then(UnixMillis::parse);
    let at = stamp.unwrap_or(context.fallback_time);
    Ok(Some(ResponseLine {
        key: message_key(envelope, message, session, source),
        rank: Rank {
            output: usage.tokens.output,
            main_chain: !(envelope.sidechain.0 || nested || context.agent_file),
            stopped: message.stop_reason.0.is_some(),
            at,
        },
        attribution: attribution(record, session, at),
        model: ModelName(model.to_owned()),
        request: envelope.request_id.get().map(|id| fnv1a(id.as_bytes())),
        is_final: is_final(message, raw, record.version.get()),
        is_aborted: record.aborted.0,
        usage,
        time_is_guessed: stamp.is_none(),
        version: record.version.owned(),
        cwd: record.cwd.owned(),
    }))
}

/// The envelope of the assistant record, and whether it is nested in a progress record.
fn envelope<'r, 'a>(record: &'r Record<'a>) -> Option<(&'r Envelope<'a>, bool)> {
    match record.kind.get()? {
        "assistant" => Some((&record.envelope, false)),
        "progress" => {
            let progress = record.data.0.as_ref()?;
            let nested = progress.message.0.as_ref()?;
            let is_assistant =
                progress.kind.get() == Some("agent_progress") && nested.kind.get() == Some("assistant");
            is_assistant.then_some((&nested.envelope, true))
        }
        _ => None,
    }
}

/// The record's own time, for a nested record without one.
fn record_time<'r>(record: &'r Record<'_>) -> Option<&'r str> {
    record.envelope.timestamp.get()
}

/// What makes this line one of a response's.
fn message_key(envelope: &Envelope<'_>, message: &Message<'_>, session: &str, source: &[u8]) -> MessageKey {
    let Some(id) = message.id.get() else {
        let name = match envelope.uuid.get() {
            Some(uuid) => format!("u:{uuid}"),
            // Neither id nor uuid: the same bytes are the same response, wherever they stand.
            None => format!("x:{:016x}:{}", fnv1a(source), source.len()),
        };
        return MessageKey::Aliases { id: String::new(), names: vec![name], chain: None };
    };
    if FIRST_PARTY_IDS.iter().any(|prefix| id.starts_with(prefix)) {
        return MessageKey::Global(id.to_owned());
    }
    gateway_key(id, envelope, session)
}

/// Gateways make ids of their own. One that looks unique is trusted within its session; one that every
/// answer carries ("ocgo") says nothing, and lines belong together by request or by following each other.
fn gateway_key(id: &str, envelope: &Envelope<'_>, session: &str) -> MessageKey {
    let unique = id.len() >= UNIQUE_ID_LENGTH && id.bytes().any(|byte| byte.is_ascii_digit());
    let request = envelope.request_id.get().map(|request| format!("r:{id}:{request}"));
    let line = envelope.uuid.get().map(|uuid| format!("v:{id}:{uuid}"));
    let by_session = unique || (request.is_none() && line.is_none());
    let chain = match (&request, unique, envelope.uuid.get()) {
        (None, false, Some(uuid)) => {
            let parent = envelope.parent_uuid.get();
            let continued = parent.map(|parent| format!("v:{id}:{parent}"));
            let looks_for = continued.into_iter().chain([format!("w:{id}:{uuid}")]).collect();
            Some(Chain { looks_for, awaits: parent.map(|parent| format!("w:{id}:{parent}")) })
        }
        _ => None,
    };
    let names =
        by_session.then(|| format!("s:{id}:{session}")).into_iter().chain(request).chain(line).collect();
    MessageKey::Aliases { id: id.to_owned(), names, chain }
}

/// The session that paid. Copies of history (forks, branches) name it; `copied` marks them, so that the
/// original line decides where it is still there.
fn attribution(record: &Record<'_>, session: &str, at: UnixMillis) -> Attribution {
    let forked_from = record.forked_from.0.as_ref();
    let payer = record
        .request_session
        .get()
        .or(record.original_session.get())
        .or(forked_from.and_then(|origin| origin.session_id.get()))
        .unwrap_or(session);
    Attribution { copied: forked_from.is_some() || payer != session, at, session: payer.to_owned() }
}

/// True where the line carries the response's final output count: it has a stop reason and, where the
/// client's version writes marks of a completed reply, one of them: `stop_details`, or the iterations that
/// come with the final usage.
fn is_final(message: &Message<'_>, raw: &RawUsage<'_>, version: Option<&str>) -> bool {
    let marks_completed = version.and_then(client_version).is_some_and(|v| v >= STOP_DETAILS_SINCE);
    let has_iterations = raw.iterations.0.as_ref().is_some_and(|entries| !entries.is_empty());
    message.stop_reason.get().is_some() && (!marks_completed || message.has_stop_details || has_iterations)
}

/// The whole usage object.
fn usage(raw: &RawUsage<'_>) -> Result<Usage, ImplausibleCount> {
    let tokens = tokens(&raw.counters)?;
    Ok(Usage {
        parts: parts(&raw.iterations, tokens)?,
        tokens,
        thinking: raw.details.0.as_ref().map_or(0, |details| details.thinking.0).min(tokens.output),
        web_searches: raw.server_tools.0.as_ref().map_or(Ok(0), |tools| plausible(tools.web_searches.0))?,
        speed: if raw.speed.get() == Some("fast") { Speed::Fast } else { Speed::Standard },
        geo: if raw.geo.get() == Some("us") { Geo::Us } else { Geo::Global },
        tier: match raw.tier.get() {
            Some("batch") => Tier::Batch,
            Some("priority") => Tier::Priority,
            _ => Tier::Standard,
        },
    })
}

/// The five counters. Cache writes are `max(total, 5m + 1h)`, what is not 1-hour being 5-minute: some
/// gateways leave the break-down at 0/0, and clients before 2.1.152 could leave the total at 0.
fn tokens(counters: &Counters) -> Result<TokenCounts, ImplausibleCount> {
    let (five_minutes, one_hour) =
        counters.breakdown.0.as_ref().map_or((0, 0), |split| (split.five_minutes.0, split.one_hour.0));
    let one_hour = plausible(one_hour)?;
    let total = plausible(counters.cache_creation.0)?.max(plausible(five_minutes)? + one_hour);
    Ok(TokenCounts {
        input: plausible(counters.input.0)?,
        output: plausible(counters.output.0)?,
        cache_write_5m: total - one_hour,
        cache_write_1h: one_hour,
        cache_read: plausible(counters.cache_read.0)?,
    })
}

/// True where the steps add up to the whole. Entries may lack the break-down of cache writes, which then
/// count as 5-minute ones: where the whole has writes of one life time only, the steps' are of the same.
fn split_like(steps: &mut [Part], sum: TokenCounts, whole: TokenCounts) -> bool {
    if sum == whole {
        return true;
    }
    let one_hour = whole.cache_write_5m == 0;
    let of_one_kind = one_hour || whole.cache_write_1h == 0;
    let unsplit =
        |tokens: TokenCounts| (tokens.input, tokens.output, tokens.cache_write(), tokens.cache_read);
    if !of_one_kind || unsplit(sum) != unsplit(whole) {
        return false;
    }
    for step in steps {
        let written = step.tokens.cache_write();
        let (five_minutes, hour) = if one_hour { (0, written) } else { (written, 0) };
        step.tokens = TokenCounts { cache_write_5m: five_minutes, cache_write_1h: hour, ..step.tokens };
    }
    true
}

/// The count, if a response can have it.
fn plausible(count: u64) -> Result<u64, ImplausibleCount> {
    if count <= MAX_TOKENS { Ok(count) } else { Err(ImplausibleCount) }
}

/// The entries of `iterations` that the top-level counters leave out, or, where there are several steps
/// that add up to the counters, those steps: the long-prompt price is decided for each.
fn parts(iterations: &List<Iteration<'_>>, whole: TokenCounts) -> Result<Vec<Part>, ImplausibleCount> {
    let entries = iterations.0.as_deref().unwrap_or_default();
    let takeover = entries.iter().rposition(|entry| entry.kind.get() == Some("fallback_message"));
    let (mut parts, mut steps, mut sum) = (Vec::new(), Vec::new(), TokenCounts::default());
    for (position, entry) in entries.iter().enumerate() {
        let kind = match (entry.kind.get(), takeover) {
            (Some("advisor_message"), _) => PartKind::Advisor,
            (Some("compaction"), _) => PartKind::Compaction,
            (Some("message"), Some(last)) if position < last => PartKind::AbandonedAttempt,
            (Some("message"), None) => PartKind::Step,
            _ => continue,
        };
        let part = Part {
            kind,
            model: entry.model.get().map(|name| ModelName(name.to_owned())),
            tokens: tokens(&entry.counters)?,
        };
        if kind == PartKind::Step {
            sum += part.tokens;
            steps.push(part);
        } else {
            parts.push(part);
        }
    }
    if steps.len() > 1 && split_like(&mut steps, sum, whole) {
        parts.append(&mut steps);
    }
    Ok(parts)
}
