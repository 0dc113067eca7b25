//! The logs of a story: a few sessions of responses that grow, written to files that are deleted and brought back.
//! What a line means is computed here from its numbers, never read from its text. Knows nothing of ledgers.

use crate::truth::{Account, MODELS, Said, Sum, timestamp};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// 2026-09-01T10:00:00Z.
const FIRST: i64 = 1_788_256_800_000;
const DAY: i64 = 86_400_000;

pub(super) const SESSIONS: u8 = 4;

/// Responses, each with how far it has come.
pub(super) type Known = BTreeMap<u8, u8>;
/// Responses by session.
pub(super) type Sessions = BTreeMap<u8, Known>;

pub(super) fn session_name(session: u8) -> String {
    format!("s-{session}")
}

pub(super) fn session_of(name: &str) -> Option<u8> {
    (0..SESSIONS).find(|session| session_name(*session) == name)
}

/// What a response counts for when it has come so far. No two of them are alike.
pub(super) fn said(session: u8, message: u8, step: u8) -> Said {
    let number = u64::from(session) * 256 + u64::from(message);
    let drawn = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let (day, minute) = (i64::from(message % 3), i64::from(message) * 7 + i64::from(session));
    Said {
        message: format!("msg_01{session}x{message}"),
        model: usize::from(message % 3),
        tokens: [
            1 + drawn % 97,
            10 + drawn % 9_973 + 20_000 * u64::from(step),
            drawn % 401,
            drawn % 211,
            drawn % 50_021,
        ],
        at: FIRST + day * DAY + minute * 60_000,
        session: session_name(session),
    }
}

fn text(said: &Said) -> String {
    let Said { message, model, tokens, at, session } = said;
    let [input, output, short, long, read] = tokens;
    format!(
        r#"{{"type":"assistant","uuid":"u-{message}-{output}","sessionId":"{session}","cwd":"/home/dev/p","version":"2.1.96","timestamp":"{}","message":{{"id":"{message}","role":"assistant","model":"{}","stop_reason":"end_turn","usage":{{"input_tokens":{input},"output_tokens":{output},"cache_creation_input_tokens":{},"cache_read_input_tokens":{read},"cache_creation":{{"ephemeral_5m_input_tokens":{short},"ephemeral_1h_input_tokens":{long}}}}}}}}}"#,
        timestamp(*at),
        MODELS[*model].name,
        short + long,
    ) + "\n"
}

pub(super) fn sum(session: u8, known: &Known) -> Sum {
    let mut sum = Sum::default();
    for (message, step) in known {
        sum.add(&said(session, *message, *step));
    }
    sum
}

/// Responses, output, all tokens.
pub(super) fn fullness(sum: &Sum) -> (u64, u64, u64) {
    (sum.messages, sum.tokens[1], sum.tokens.iter().sum())
}

pub(super) fn account(sessions: &Sessions) -> Account {
    let mut truth = crate::truth::Truth::default();
    for (session, known) in sessions {
        let all: Vec<Said> = known.iter().map(|(message, step)| said(*session, *message, *step)).collect();
        truth.hear(&all);
    }
    truth.account()
}

/// Adds what is further.
pub(super) fn merge(into: &mut Known, more: &Known) {
    for (message, step) in more {
        let known = into.entry(*message).or_insert(*step);
        *known = (*step).max(*known);
    }
}

/// A file of a session, and what is in it.
type File = (u8, u32);

/// The logs, those that were deleted, and every line that was ever written.
pub(super) struct Logs {
    projects: PathBuf,
    deleted: PathBuf,
    there: BTreeMap<File, Known>,
    gone: BTreeMap<File, Known>,
    pub(super) truth: Sessions,
    files: u32,
}

impl Logs {
    pub(super) fn new(folder: &Path) -> Self {
        let [projects, deleted] = ["projects/p", "deleted"].map(|name| folder.join(name));
        for path in [&projects, &deleted] {
            fs::create_dir_all(path).expect("a folder can be made");
        }
        let (there, gone, truth) = Default::default();
        Self { projects, deleted, there, gone, truth, files: 0 }
    }

    fn name((session, number): File) -> String {
        format!("s-{session}-{number}.jsonl")
    }

    /// So many new responses of a session; its last one may go on, too.
    pub(super) fn write(&mut self, session: u8, news: u8, grows: bool) {
        let known = self.truth.entry(session).or_default();
        let last = known.last_key_value().map(|(message, step)| (*message, *step));
        let first = last.map_or(0, |(message, _)| message + 1);
        let further = last.filter(|_| grows).map(|(message, step)| (message, step + 1));
        let lines: Known =
            further.into_iter().chain((first..first + news).map(|message| (message, 0))).collect();
        merge(known, &lines);
        let latest = self.there.keys().rfind(|file| file.0 == session).copied();
        let file = latest.unwrap_or_else(|| {
            self.files += 1;
            (session, self.files)
        });
        let path = self.projects.join(Self::name(file));
        let mut log = OpenOptions::new().create(true).append(true).open(path).expect("a log can be opened");
        for (message, step) in &lines {
            log.write_all(text(&said(session, *message, *step)).as_bytes()).expect("a log can be written");
        }
        merge(self.there.entry(file).or_default(), &lines);
    }

    /// Deletes the files of a session.
    pub(super) fn delete(&mut self, session: u8) {
        for (file, known) in self.there.extract_if(.., |file, _| file.0 == session) {
            fs::rename(self.projects.join(Self::name(file)), self.deleted.join(Self::name(file)))
                .expect("a log can be moved");
            self.gone.insert(file, known);
        }
    }

    pub(super) fn bring_back(&mut self, session: u8) {
        for (file, known) in self.gone.extract_if(.., |file, _| file.0 == session) {
            fs::rename(self.deleted.join(Self::name(file)), self.projects.join(Self::name(file)))
                .expect("a log can be moved");
            self.there.insert(file, known);
        }
    }

    /// What the files that are there say.
    pub(super) fn read(&self) -> Sessions {
        let mut all = Sessions::new();
        self.there.iter().for_each(|((session, _), known)| merge(all.entry(*session).or_default(), known));
        all
    }

    pub(super) fn is_gone(&self, session: u8) -> bool {
        self.gone.keys().any(|file| file.0 == session)
    }
}
