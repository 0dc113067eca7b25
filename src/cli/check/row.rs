//! A thing that was looked at, and what was found.

use crate::cli::exit::{self, ExitCode};
use serde_json::{Map, Value};

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It keeps something from working; the process ends with this code.
    Wrong(ExitCode),
    /// It could not be found out.
    Unknown,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong(_) => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

/// A thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// What: one word, the same in text and JSON.
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What was found.
    pub(super) detail: String,
    /// What mends it, or what could be better.
    pub(super) help: Option<String>,
    /// The same for programs.
    pub(super) facts: Map<String, Value>,
}

impl Row {
    fn new(name: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { name, state, detail: detail.into(), help: None, facts: Map::new() }
    }

    pub(super) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Ok, detail)
    }

    pub(super) fn unknown(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Unknown, detail)
    }

    pub(super) fn wrong(name: &'static str, code: ExitCode, detail: impl Into<String>) -> Self {
        Self::new(name, State::Wrong(code), detail)
    }

    /// An error, with the code and the advice that it would end any other command with.
    pub(super) fn failed(name: &'static str, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        let (code, help) = exit::verdict(&error);
        Self::wrong(name, code, format!("{error:#}")).help(help)
    }

    /// Of what only the ledger knows, where it does not tell.
    pub(super) fn without_ledger(name: &'static str, is_missing: bool) -> Self {
        let why = if is_missing { "there is no ledger yet" } else { "the ledger cannot be looked into" };
        Self::unknown(name, why)
    }

    /// A further line of what was found.
    pub(super) fn also(mut self, line: &str) -> Self {
        self.detail.push('\n');
        self.detail.push_str(line);
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn fact(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(key.to_owned(), value.into());
        self
    }

    /// The exit code, where something is wrong.
    pub(super) fn failure(&self) -> Option<ExitCode> {
        match self.state {
            State::Wrong(code) => Some(code),
            State::Ok | State::Unknown => None,
        }
    }
}
