//! The logs of a story: few messages in few sessions, so that lines meet. What a line means is computed
//! here from its numbers, never read from its text. Writes files; knows nothing of ledgers.

use crate::remote::contract::value::{COUNTERS, Usage};
use crate::truth::timestamp;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// 2026-09-01T10:00:00Z.
const FIRST: i64 = 1_788_256_800_000;
const DAY: i64 = 86_400_000;

pub(super) const MESSAGES: u8 = 10;
pub(super) const SESSIONS: u8 = 5;
/// The message whose model the database cannot store: it spoils the whole call that it is in.
pub(super) const SPOILING: u8 = 9;
/// The message whose model has a price in later revisions only.
const LATE: u8 = 8;
/// The session whose id is longer than the 200 characters that the server takes.
pub(super) const LONG: u8 = 4;

/// One line of a session's log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) message: u8,
    /// In whose file it is.
    pub(super) session: u8,
    /// How far the reply has come: 0, 1 or 2; without a stop reason at 0.
    pub(super) step: u8,
    pub(super) day: u8,
    /// The session that a fork names as the one that paid.
    pub(super) forked_from: Option<u8>,
}

pub(super) fn session_name(session: u8) -> String {
    if session == LONG { "x".repeat(201) } else { format!("s-{session}") }
}

pub(super) fn session_of(name: &str) -> u8 {
    let known = (0..SESSIONS).find(|session| session_name(*session) == name);
    known.unwrap_or_else(|| panic!("{name} is no session of the story"))
}

/// The model as the database is told of it.
pub(super) fn model(message: u8) -> &'static str {
    match message {
        SPOILING => "odd\u{0}name",
        LATE => "m-late",
        other if other % 2 == 0 => "m-one",
        _ => "m-two",
    }
}

/// Which prices a revision has: every other one has new prices, those between have new rules of counting.
pub(super) fn prices(revision: u32) -> u32 {
    revision / 2 + 1
}

/// Picodollars a token: input, output, 5-minute writes, 1-hour writes, reads. New prices are higher.
fn rates(message: u8, revision: u32) -> Option<[i64; 5]> {
    let times = |rates: [i64; 5]| rates.map(|rate| rate * i64::from(prices(revision)) * 1_000_000);
    match model(message) {
        "m-one" => Some(times([3, 15, 4, 6, 2])),
        "m-two" => Some(times([1, 5, 2, 3, 1])),
        "m-late" if prices(revision) > 1 => Some(times([2, 10, 3, 4, 1])),
        _ => None,
    }
}

/// The same prices as a price file: USD per million tokens are millions of picodollars per token.
pub(super) fn price_file(revision: u32) -> String {
    let row = |message: u8| {
        let [input, output, short, long, read] = rates(message, revision)?.map(|rate| rate / 1_000_000);
        Some(format!(
            "[[models]]\nid = \"{}\"\ninput = {input}\noutput = {output}\ncache_write_5m = {short}\n\
             cache_write_1h = {long}\ncache_read = {read}\nweb_search_per_1000 = 10\n",
            model(message)
        ))
    };
    [0, 1, LATE].into_iter().filter_map(row).collect()
}

/// Input, output, 5-minute writes, 1-hour writes, reads; and web searches.
fn tokens(message: u8, step: u8) -> ([i64; 5], i64) {
    let (number, output) = (i64::from(message), [1, 40, 90][usize::from(step)]);
    let tokens = [3 + number, output + number, 100 * (number % 3), 50 * (number % 2), 1_000 + number];
    (tokens, i64::from(message.is_multiple_of(4)))
}

/// What a message of this step counts for under the prices of a revision.
pub(super) fn usage(message: u8, step: u8, is_final: bool, revision: u32) -> Usage {
    let ([input, output, short, long, read], searches) = tokens(message, step);
    let rates = rates(message, revision);
    let total = input + output + short + long + read;
    let named = |name: &str| match name {
        "input_tokens" => input,
        "output_tokens" => output,
        "cache_creation_tokens" => short + long,
        "cache_creation_1h_tokens" => long,
        "cache_read_tokens" => read,
        "message_count" => 1,
        "web_search_requests" => searches,
        "incomplete_messages" => i64::from(!is_final),
        "unpriced_messages" => i64::from(rates.is_none()),
        "unpriced_tokens" => rates.map_or(total, |_| 0),
        _ => 0,
    };
    let cost = rates.map_or(0, |rates| {
        let parts = rates.iter().zip([input, output, short, long, read]).map(|(rate, count)| rate * count);
        parts.sum::<i64>() + searches * 10_000_000_000
    });
    Usage { counters: COUNTERS.map(named), cost }
}

impl Line {
    /// A copy has the time of its original: it depends on the message and the day alone.
    pub(super) fn at(self) -> i64 {
        FIRST + i64::from(self.day) * DAY + i64::from(self.message) * 7 * 60_000
    }

    fn text(self) -> String {
        let ([input, output, short, long, read], searches) = tokens(self.message, self.step);
        let stop = if self.step == 0 { "null" } else { "\"end_turn\"" };
        let forked = self.forked_from.map_or(String::new(), |from| {
            format!(r#""forkedFrom":{{"sessionId":"{}","messageUuid":"u"}},"#, session_name(from))
        });
        format!(
            r#"{{"type":"assistant","uuid":"u-{}-{}","sessionId":"{}","cwd":"/home/dev/p","version":"2.1.96",{forked}"timestamp":"{}","message":{{"id":"msg_01{}","role":"assistant","model":"{}","stop_reason":{stop},"usage":{{"input_tokens":{input},"output_tokens":{output},"cache_creation_input_tokens":{},"cache_read_input_tokens":{read},"cache_creation":{{"ephemeral_5m_input_tokens":{short},"ephemeral_1h_input_tokens":{long}}},"server_tool_use":{{"web_search_requests":{searches}}}}}}}}}"#,
            self.message,
            self.step,
            session_name(self.session),
            timestamp(self.at()),
            self.message,
            model(self.message).replace('\u{0}', "\\u0000"),
            short + long,
        ) + "\n"
    }
}

/// Appends lines to the files of their sessions.
pub(super) fn write(projects: &Path, lines: &[Line]) {
    for line in lines {
        let path = projects.join(format!("p/s-{}.jsonl", line.session));
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(line.text().as_bytes()));
        written.expect("a log can be written");
    }
}

/// All lines so far, by the session in whose file they are.
#[derive(Debug, Default)]
pub(super) struct Logs(BTreeMap<u8, Vec<Line>>);

impl Logs {
    pub(super) fn add(&mut self, lines: &[Line]) {
        for line in lines {
            self.0.entry(line.session).or_default().push(*line);
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (u8, &[Line])> {
        self.0.iter().map(|(session, lines)| (*session, lines.as_slice()))
    }
}
