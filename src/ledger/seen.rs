//! What was read of a file, on its way into the ledger.
//!
//! Owns: putting lines together before they are handed over: those that follow each other in a log mostly
//! speak of one response, and the threads that read have more time than the one that writes. The result is
//! that of taking in line by line: merging is associative.

use super::names::CwdRank;
use super::row::flag;
use crate::domain::{ClientAccount, Cursor, MessageKey, Response, ResponseLine, UnixMillis};
use std::path::PathBuf;

/// So many responses back a line is compared with: streams of two agents take turns.
const LOOK_BACK: usize = 4;

/// A response, as far as lines that stand together tell.
#[derive(Clone, Debug)]
pub(super) struct SeenResponse {
    /// Which.
    pub(super) key: MessageKey,
    /// What they say.
    pub(super) response: Response,
}

/// A line that speaks of a response, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenLine {
    /// Byte offset of the line.
    pub(super) offset: u64,
    /// Which of the responses.
    pub(super) response: usize,
    /// Its time.
    pub(super) at: i64,
    /// Its output tokens.
    pub(super) output: u64,
    /// What else it says: bits of the column.
    pub(super) flags: i64,
    /// A hash of the request's id.
    pub(super) request: Option<u64>,
}

/// A session that lines name.
#[derive(Clone, Debug)]
pub(super) struct SeenSession {
    pub(super) name: String,
    pub(super) cwd: Option<CwdRank>,
}

/// A line that was not as it should be.
#[derive(Clone, Debug)]
pub struct SeenFault {
    /// Byte offset of the line.
    pub offset: u64,
    /// A short stable name of what was wrong.
    pub kind: &'static str,
}

/// A line with the client's own account of a session.
#[derive(Clone, Debug)]
pub struct SeenAccount {
    /// Byte offset of the line.
    pub offset: u64,
    /// What it says.
    pub account: ClientAccount,
    /// When it was written, as far as the file tells: the line has no time of its own.
    pub seen_at: UnixMillis,
}

/// What was read of one file, and where reading it goes on.
#[derive(Clone, Debug, Default)]
pub struct FileUpdate {
    /// The file.
    pub path: PathBuf,
    /// The path it had before it was moved.
    pub moved_from: Option<PathBuf>,
    /// The folder below the root: the project's name where lines name no working folder.
    pub folder: String,
    /// It was read from its beginning: what is known of places in it holds no longer.
    pub restarted: bool,
    /// Lines that speak of responses.
    pub seen: Seen,
    /// Lines that were not as they should be.
    pub faults: Vec<SeenFault>,
    /// Lines with the client's own account.
    pub accounts: Vec<SeenAccount>,
    /// Where reading goes on.
    pub cursor: Cursor,
}

/// Lines that speak of responses, put together.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub(super) responses: Vec<SeenResponse>,
    pub(super) lines: Vec<SeenLine>,
    pub(super) sessions: Vec<SeenSession>,
    /// Who paid for lines that are copies, and the time of the latest.
    pub(super) copies: Vec<(String, UnixMillis)>,
}

impl Seen {
    /// Takes in a line, which is at this offset.
    pub fn add(&mut self, offset: u64, mut line: ResponseLine) {
        self.see_session(&line.attribution.session, line.rank.main_chain, line.rank.at, line.cwd.take());
        if line.attribution.copied {
            self.see_copy(&line.attribution.session, line.rank.at);
        }
        let (at, output, flags) = (line.rank.at.0, line.rank.output, flags(&line));
        let request = line.request;
        let key = std::mem::replace(&mut line.key, MessageKey::Global(String::new()));
        let response = self.see_response(key, Response::new(line));
        self.lines.push(SeenLine { offset, response, at, output, flags, request });
    }

    /// Asks for the time of the line before each line of a reply without a final count, by its offset. Behind the
    /// last line, so that a reply whose end is among these lines costs nothing.
    pub fn ask_before(&mut self, mut time_before: impl FnMut(u64) -> Option<UnixMillis>) {
        for line in self.lines.iter().filter(|line| line.flags & (flag::FINAL | flag::TIME_GUESSED) == 0) {
            let Some(SeenResponse { response, .. }) = self.responses.get_mut(line.response) else { continue };
            if !response.is_final
                && let Some(before) = time_before(line.offset)
            {
                response.see_asked(before, UnixMillis(line.at));
            }
        }
    }

    /// How many lines.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Only an id that is unique for ever says by itself that two lines are of one response.
    fn see_response(&mut self, key: MessageKey, response: Response) -> usize {
        let mut latest = self.responses.iter_mut().enumerate().rev().take(LOOK_BACK);
        if matches!(key, MessageKey::Global(_))
            && let Some((position, seen)) = latest.find(|(_, seen)| seen.key == key)
        {
            seen.response.merge(response);
            return position;
        }
        self.responses.push(SeenResponse { key, response });
        self.responses.len() - 1
    }

    fn see_copy(&mut self, payer: &str, at: UnixMillis) {
        match self.copies.iter_mut().find(|(known, _)| known == payer) {
            Some((_, until)) => *until = at.max(*until),
            None => self.copies.push((payer.to_owned(), at)),
        }
    }

    fn see_session(&mut self, name: &str, main_chain: bool, at: UnixMillis, cwd: Option<String>) {
        let cwd = cwd.map(|cwd| (!main_chain, at.0, cwd));
        let Some(seen) = self.sessions.iter_mut().find(|seen| seen.name == name) else {
            return self.sessions.push(SeenSession { name: name.to_owned(), cwd });
        };
        if cwd.is_some() && (seen.cwd.is_none() || cwd < seen.cwd) {
            seen.cwd = cwd;
        }
    }
}

fn flags(line: &ResponseLine) -> i64 {
    flag::of([
        (line.is_final, flag::FINAL),
        (line.time_is_guessed, flag::TIME_GUESSED),
        (line.rank.main_chain, flag::MAIN_CHAIN),
        (line.rank.stopped, flag::STOPPED),
        (line.attribution.copied, flag::COPIED),
        (line.is_aborted, flag::ABORTED),
    ])
}
