//! One line to its JSON values, whatever shape the line is in.

use super::records::Record;
use super::{Statement, account, plain, response};
use crate::domain::UnixMillis;
use memchr::memmem;
use serde::de::IgnoredAny;
use serde_json::Deserializer;
use serde_json::error::Category;
use std::borrow::Cow;
use std::ops::Range;

/// A record nests only so deep: behind a fragment of one, more starts than this that are no whole values
/// are not records.
const SALVAGE_TRIES: usize = 64;

/// The key of what a tool gave back, which may hold whole records.
const RESULT_KEY: &[u8] = b"\"toolUseResult\"";

/// A fragment with more of these keys is not looked through any further.
const MOST_RESULTS: usize = 8;

/// What is known of a line from where it stands; used only where the line itself does not say.
#[derive(Clone, Copy, Debug)]
pub struct LineContext<'a> {
    /// The session that the file's path names.
    pub session: &'a str,
    /// The file's name says that it belongs to a sub-agent.
    pub agent_file: bool,
    /// Time of a record without a usable timestamp: the file's modification time.
    pub fallback_time: UnixMillis,
}

/// What was wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Several whole records on one line, all of them counted: the newline between them was lost.
    Glued,
    /// The remains of a record that was cut off, followed by a whole record, which was counted.
    TornBeforeRecord,
    /// The remains of a record that was cut off; what it said is not in the log.
    Torn,
    /// Not JSON.
    Malformed,
    /// Bytes that are not UTF-8, or NUL padding; the record was counted.
    Repaired,
    /// A token count beyond anything the API can produce; the record was not counted.
    Implausible,
}

impl Notice {
    /// A sentence for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Glued => "several records on one line; all were read",
            Self::TornBeforeRecord => {
                "the remains of a cut-off record before a whole one; the whole one was read"
            }
            Self::Torn => "a record that was cut off; what it said is not in the log",
            Self::Malformed => "not JSON; skipped",
            Self::Repaired => "bytes that are not UTF-8 or NUL padding; the record was read all the same",
            Self::Implausible => "a token count beyond 100 million; skipped",
        }
    }

    /// A short stable name, as kept in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Glued => "glued",
            Self::TornBeforeRecord => "torn-before-record",
            Self::Torn => "torn",
            Self::Malformed => "malformed",
            Self::Repaired => "repaired",
            Self::Implausible => "implausible",
        }
    }

    /// True where something that may have been billed could not be read.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::Torn | Self::TornBeforeRecord | Self::Malformed | Self::Implausible)
    }
}

/// Reads one line, without its newline, hands every statement in it to `sink` and says what was wrong.
pub fn parse_line(line: &[u8], context: LineContext<'_>, sink: &mut impl FnMut(Statement)) -> Option<Notice> {
    let trimmed = trim(line);
    if trimmed.is_empty() {
        return None;
    }
    let padded = line.first() == Some(&0) || line.last() == Some(&0);
    match read_values(trimmed, context, sink) {
        Ending::Clean { values: 0 | 1, implausible: false } => padded.then_some(Notice::Repaired),
        Ending::Clean { implausible: true, .. } => Some(Notice::Implausible),
        Ending::Clean { .. } => Some(Notice::Glued),
        Ending::Broken { at, truncated } => {
            let rest = trimmed.get(at..).unwrap_or_default();
            Some(salvage(rest, truncated, context, sink))
        }
    }
}

/// Reads the whole records at the beginning of a line that is still being written. They will say the
/// same when the line is whole, so that counting them early is safe.
pub fn parse_unfinished(line: &[u8], context: LineContext<'_>, sink: &mut impl FnMut(Statement)) {
    read_values(trim(line), context, sink);
}

/// How the values of a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the line.
    Clean { values: usize, implausible: bool },
    /// In something that is not JSON, in the value that begins at `at`.
    Broken { at: usize, truncated: bool },
}

/// Reads JSON values one after the other.
pub(super) fn read_values(
    bytes: &[u8],
    context: LineContext<'_>,
    sink: &mut impl FnMut(Statement),
) -> Ending {
    let Some(super::raw::Maybe(record)) = plain::read::<super::raw::Maybe<Record<'_>>>(bytes) else {
        return read_any_values(bytes, context, sink);
    };
    let read = record.map_or(Ok(()), |record| interpret(&record, bytes, context, sink));
    Ending::Clean { values: 1, implausible: read.is_err() }
}

/// The same for lines of any shape.
pub(super) fn read_any_values(
    bytes: &[u8],
    context: LineContext<'_>,
    sink: &mut impl FnMut(Statement),
) -> Ending {
    let mut stream = Deserializer::from_slice(bytes).into_iter::<super::raw::Maybe<Record<'_>>>();
    let (mut values, mut implausible, mut start) = (0, false, 0);
    while let Some(value) = stream.next() {
        match value {
            Ok(super::raw::Maybe(record)) => {
                let source = bytes.get(start..stream.byte_offset()).unwrap_or_default();
                let read = record.map_or(Ok(()), |record| interpret(&record, source, context, sink));
                implausible |= read.is_err();
                values += 1;
                start = stream.byte_offset();
            }
            Err(error) => {
                return Ending::Broken { at: start, truncated: error.classify() == Category::Eof };
            }
        }
    }
    Ending::Clean { values, implausible }
}

/// A token count that no response can have.
pub(super) struct ImplausibleCount;

/// Hands on what one record says.
fn interpret(
    record: &Record<'_>,
    source: &[u8],
    context: LineContext<'_>,
    sink: &mut impl FnMut(Statement),
) -> Result<(), ImplausibleCount> {
    match record.kind.get() {
        Some("assistant" | "progress") => {
            if let Some(line) = response::read(record, source, context)? {
                sink(Statement::Response(Box::new(line)));
            }
        }
        Some("cost-state") => {
            if let Some(account) = account::read(record, context) {
                sink(Statement::Account(Box::new(account)));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Reads what can be had of a line that is not JSON from its first byte on.
fn salvage(
    rest: &[u8],
    truncated: bool,
    context: LineContext<'_>,
    sink: &mut impl FnMut(Statement),
) -> Notice {
    let repaired = repair(rest);
    if let Some(repaired) = &repaired
        && let Ending::Clean { implausible, .. } = read_values(repaired, context, sink)
    {
        return if implausible { Notice::Implausible } else { Notice::Repaired };
    }
    let (mut rest, mut truncated) = (repaired.as_deref().unwrap_or(rest), truncated);
    let (mut has_read, mut tries) = (false, 0);
    while tries <= SALVAGE_TRIES {
        match behind_fragment(rest, truncated, &mut tries, context, sink) {
            Salvaged::Next { at, truncated: is_cut } => {
                rest = rest.get(at..).unwrap_or_default();
                (truncated, has_read) = (is_cut, true);
            }
            Salvaged::Done(Notice::Torn | Notice::Malformed) if has_read => break,
            Salvaged::Done(notice) => return notice,
        }
    }
    Notice::TornBeforeRecord
}

/// What stands behind a fragment.
enum Salvaged {
    /// Whole records, which were read, and another fragment at `at`.
    Next { at: usize, truncated: bool },
    /// Records to the end of the line, or nothing that could be read.
    Done(Notice),
}

/// Reads the whole records behind the fragment that `rest` begins with.
fn behind_fragment(
    rest: &[u8],
    truncated: bool,
    tries: &mut usize,
    context: LineContext<'_>,
    sink: &mut impl FnMut(Statement),
) -> Salvaged {
    let results = results(rest);
    let mut read: Option<(Vec<Statement>, bool)> = None;
    for start in record_starts(rest) {
        let Some(candidate) = rest.get(start..) else { continue };
        let after_result = results.first().is_some_and(|result| result.start < start);
        // Valid JSON as far as it goes, in the middle of a tool's result: a whole record in there may be what
        // the tool printed, and the line was cut behind it.
        if truncated && results.iter().any(|result| result.contains(&start)) {
            continue;
        }
        let mut found = Vec::new();
        let ending = read_whole(trim(candidate), context, &mut |s| found.push(s));
        // Such a try may have read the line to its end: a few are enough for any record that was cut off.
        *tries += usize::from(matches!(ending, Ending::Broken { .. }));
        if *tries > SALVAGE_TRIES {
            break;
        }
        match ending {
            Ending::Clean { values: 0, .. } => {}
            Ending::Clean { implausible, .. } => {
                read = Some((found, implausible));
                // What a tool printed may stand right before the record that was glued on: only the last
                // one is sure to be a record of its own.
                if !after_result {
                    break;
                }
            }
            // Another fragment follows. Behind a record nested in the first one, no record begins.
            Ending::Broken { at, truncated }
                if at > 0 && !after_result && begins_record(candidate.get(at..)) =>
            {
                found.into_iter().for_each(sink);
                return Salvaged::Next { at: start + at, truncated };
            }
            Ending::Broken { .. } => {}
        }
    }
    Salvaged::Done(match read {
        Some((found, implausible)) => {
            found.into_iter().for_each(sink);
            if implausible { Notice::Implausible } else { Notice::TornBeforeRecord }
        }
        None if rest.first() == Some(&b'{') => Notice::Torn,
        None => Notice::Malformed,
    })
}

/// Where tools' results are, from their key to the end of their value; to the end of the line where that is not
/// there, or where there are more of them than a record has.
fn results(rest: &[u8]) -> Vec<Range<usize>> {
    let mut results = Vec::new();
    for at in memmem::find_iter(rest, RESULT_KEY).take(MOST_RESULTS) {
        let behind = at + RESULT_KEY.len();
        let value = rest.get(behind..).unwrap_or_default().trim_ascii_start().strip_prefix(b":");
        let end = value.and_then(|value| {
            let mut values = Deserializer::from_slice(value).into_iter::<IgnoredAny>();
            values.next()?.ok()?;
            Some(rest.len() - value.len() + values.byte_offset())
        });
        let is_last = results.len() + 1 == MOST_RESULTS;
        results.push(at..end.filter(|_| !is_last).unwrap_or(rest.len()));
    }
    results
}

/// True where text begins as a record does, behind padding.
fn begins_record(text: Option<&[u8]>) -> bool {
    text.is_some_and(|text| trim(text).first() == Some(&b'{'))
}

/// Reads the values of text found behind a fragment, if the first is a record with a full envelope: an
/// object nested in a record that was cut off has none.
fn read_whole(bytes: &[u8], context: LineContext<'_>, sink: &mut impl FnMut(Statement)) -> Ending {
    match Deserializer::from_slice(bytes).into_iter::<super::raw::Maybe<Record<'_>>>().next() {
        Some(Ok(super::raw::Maybe(Some(record)))) if record.has_envelope() => {
            read_values(bytes, context, sink)
        }
        Some(Err(_)) => Ending::Broken { at: 0, truncated: false },
        _ => Ending::Clean { values: 0, implausible: false },
    }
}

/// Where a record may begin inside a broken line: its writers begin it with one of these keys.
fn record_starts(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut starts: Vec<usize> = [&b"{\"type\":"[..], b"{\"parentUuid\":"]
        .iter()
        .flat_map(|needle| memmem::find_iter(bytes, needle))
        .filter(|start| *start > 0)
        .collect();
    starts.sort_unstable();
    starts.into_iter()
}

/// The line as UTF-8 with every lone surrogate escape replaced, if it needs either; for these alone it
/// would be refused.
fn repair(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let mended = replace_lone_surrogates(&text);
    match (&text, &mended) {
        (Cow::Borrowed(_), Cow::Borrowed(_)) => None,
        _ => Some(mended.into_owned().into_bytes()),
    }
}

/// Replaces escapes of surrogates (`\ud800` to `\udfff`) that are not halves of a pair by the escape of U+FFFD.
fn replace_lone_surrogates(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        let escape = at + found;
        at = escape + 2;
        match (surrogate(bytes, escape), surrogate(bytes, escape + 6)) {
            (None, _) => {}
            (Some(Half::High), Some(Half::Low)) => at = escape + 12,
            (Some(_), _) => {
                at = escape + 6;
                let copy = mended.get_or_insert_with(|| bytes.to_vec());
                if let Some(place) = copy.get_mut(escape..escape + 6) {
                    place.copy_from_slice(b"\\ufffd");
                }
            }
        }
    }
    match mended {
        None => Cow::Borrowed(text),
        Some(copy) => Cow::Owned(String::from_utf8_lossy(&copy).into_owned()),
    }
}

/// Which half of a surrogate pair an escape stands for.
enum Half {
    High,
    Low,
}

/// The half of a surrogate pair whose escape begins at `at`.
fn surrogate(bytes: &[u8], at: usize) -> Option<Half> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u").and_then(|hex| std::str::from_utf8(hex).ok())?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

/// The line without white space, byte order mark and NUL padding around it.
fn trim(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    line.get(start..end).unwrap_or_default()
}
