//! The lines of the stories, with what each says; and what a line says as it stands in a file, found by
//! looking for the lines that were written, never by parsing.

use super::action::{Log, Says};
use crate::truth::{MODELS, Said, timestamp};
use std::collections::HashMap;
use std::rc::Rc;

/// 2026-09-02T00:00:00Z.
const MIDNIGHT: i64 = 1_788_307_200_000;

/// What one line says of one response, and what makes it win.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spoken {
    pub(super) said: Said,
    pub(super) copied: bool,
    pub(super) main_chain: bool,
    pub(super) stopped: bool,
}

/// A record, before it is text.
#[derive(Clone, Debug)]
pub(super) struct Record {
    says: Says,
    number: u32,
    session: &'static str,
    side_chain: bool,
    forked_from: Option<&'static str>,
    /// Bytes of text in it.
    text: usize,
}

impl Record {
    pub(super) fn spoken(&self) -> Spoken {
        let Says { message, output, rest, step, model, stopped, .. } = self.says;
        let (output, rest) = (u64::from(output) * 100 + 1, u64::from(rest));
        Spoken {
            said: Said {
                message: format!("msg_01{message}"),
                model: usize::from(model),
                tokens: [3 + rest, output, 70 * rest, if rest == 2 { 900 } else { 0 }, 5_000 + rest],
                at: MIDNIGHT + i64::from(step) * 450_000 - 1,
                session: self.forked_from.unwrap_or(self.session).to_owned(),
            },
            copied: self.forked_from.is_some(),
            main_chain: !self.side_chain,
            stopped,
        }
    }

    fn render(&self) -> String {
        let spoken = self.spoken();
        let Self { number, session, side_chain, .. } = self;
        let Said { message, model, tokens: [input, output, short, long, read], at, .. } = &spoken.said;
        let stop = if spoken.stopped { "\"end_turn\"" } else { "null" };
        let forked = self.forked_from.map_or(String::new(), |from| {
            format!(r#","forkedFrom":{{"sessionId":"{from}","messageUuid":"m{number}"}}"#)
        });
        format!(
            r#"{{"parentUuid":null,"isSidechain":{side_chain},"cwd":"/p","sessionId":"{session}","version":"2.1.112","type":"assistant","message":{{"model":"{}","id":"{message}","role":"assistant","content":[{{"type":"text","text":"{}"}}],"stop_reason":{stop},"usage":{{"input_tokens":{input},"cache_creation_input_tokens":{},"cache_read_input_tokens":{read},"cache_creation":{{"ephemeral_5m_input_tokens":{short},"ephemeral_1h_input_tokens":{long}}},"output_tokens":{output}}}}},"requestId":"req_{number:0>6}","uuid":"u{number:0>6}","timestamp":"{}"{forked}}}"#,
            MODELS[*model].name,
            "x".repeat(self.text),
            short + long,
            timestamp(*at),
        )
    }
}

/// Every record that was ever written, by its text.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    records: HashMap<Rc<str>, Record>,
    numbers: u32,
}

impl Book {
    fn write(&mut self, record: Record) -> Rc<str> {
        let text: Rc<str> = record.render().into();
        self.records.insert(Rc::clone(&text), record);
        text
    }

    /// A new record of this log.
    pub(super) fn record(&mut self, log: Log, says: Says) -> Rc<str> {
        self.numbers += 1;
        let side_chain = says.side_chain || log == Log::E;
        let (session, text) = (log.session(), usize::from(says.text));
        self.write(Record { says, number: self.numbers, session, side_chain, forked_from: None, text })
    }

    /// A new record of so many bytes, or, where that is too few, as short as it can be.
    pub(super) fn record_of(&mut self, log: Log, says: Says, bytes: usize) -> Rc<str> {
        let shortest = self.record(log, Says { text: 0, ..says });
        let missing = bytes.saturating_sub(shortest.len());
        let record = Record { text: missing, ..self.records[&shortest].clone() };
        self.write(record)
    }

    /// The record as a fork has it.
    pub(super) fn fork(&mut self, text: &str, session: &'static str, marked: bool) -> Option<Rc<str>> {
        let known = self.records.get(text)?;
        let forked_from = known.forked_from.or(marked.then_some(known.session));
        let record = Record { session, forked_from, ..known.clone() };
        Some(self.write(record))
    }

    /// What a line says, by rule 12 of docs/counting.md: glued records are all read, and whole ones behind
    /// a cut-off one; behind one that may still grow, nothing is looked for.
    pub(super) fn read(&self, line: &[u8], is_whole: bool) -> Vec<Spoken> {
        let text = String::from_utf8_lossy(line);
        if let Some(record) = self.records.get(text.as_ref()) {
            return vec![record.spoken()];
        }
        let blank = |c: char| c == '\0' || c.is_ascii_whitespace();
        let mut rest = text.trim_matches(blank);
        let mut spoken = Vec::new();
        while let Some((text, record)) = self.records.iter().find(|(text, _)| rest.starts_with(&***text)) {
            spoken.push(record.spoken());
            rest = rest[text.len()..].trim_start_matches(blank);
        }
        if is_whole && !rest.is_empty() {
            let inside = self.records.iter().filter(|(text, _)| rest.contains(&***text));
            spoken.extend(inside.map(|(_, record)| record.spoken()));
        }
        spoken
    }

    /// What a file says: each line with its offset.
    pub(super) fn read_file(&self, bytes: &[u8]) -> Vec<(usize, Vec<Spoken>)> {
        let mut offset = 0;
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let at = offset;
            offset += line.len();
            let spoken = match line.strip_suffix(b"\n") {
                Some(whole) => self.read(whole, true),
                None => self.read(line, false),
            };
            (at, spoken)
        });
        lines.collect()
    }
}
