//! The latest warnings and errors of this process, for whoever asks how it is, and how many there were.
//!
//! Owns: a few lines in memory, told as the log tells them: nothing in them drives a terminal. Kept whatever the
//! log's own level is. Never fails.

use super::shown;
use crate::domain::{Clock, UnixMillis};
use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// How many are kept.
const KEPT: usize = 10;
/// Bytes of a line that are kept.
const LONGEST: usize = 1_000;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentLine {
    /// When it was written.
    pub at: UnixMillis,
    /// It is an error, not a warning.
    pub is_error: bool,
    /// Its text with its fields.
    pub text: String,
}

/// What was told so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Warnings since the start.
    pub warnings: u64,
    /// Errors since the start.
    pub errors: u64,
    /// The latest of both, oldest first.
    pub latest: VecDeque<RecentLine>,
}

static TOLD: Mutex<Told> = Mutex::new(Told { warnings: 0, errors: 0, latest: VecDeque::new() });

/// What this process has told so far.
pub fn told() -> Told {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Writes them down.
pub(super) struct Recorder {
    pub(super) clock: Arc<dyn Clock>,
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let is_error = *event.metadata().level() == Level::ERROR;
        let mut line = Line::default();
        event.record(&mut line);
        let Line { mut message, fields } = line;
        message.push_str(&fields);
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        let count = if is_error { &mut told.errors } else { &mut told.warnings };
        *count = count.saturating_add(1);
        if told.latest.len() >= KEPT {
            told.latest.pop_front();
        }
        let text = message.chars().take(LONGEST).collect();
        told.latest.push_back(RecentLine { at: self.clock.now(), is_error, text });
    }
}

/// A line as it grows.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = shown(&format!("{value:?}"));
        if field.name() == "message" {
            self.message.push_str(&text);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(self.fields, " {}={text}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> UnixMillis {
            UnixMillis(7)
        }
    }

    #[test]
    fn the_latest_are_kept_and_all_are_counted() {
        let subscriber = tracing_subscriber::registry().with(Recorder { clock: Arc::new(Stopped) });
        let before = told();
        tracing::subscriber::with_default(subscriber, || {
            (0..KEPT).for_each(|number| tracing::error!(number, "first"));
            tracing::warn!(file = "a\u{1b}[31m", "last {}", "\n");
        });
        let told = told();
        assert!(told.errors >= before.errors + 10 && told.warnings > before.warnings);
        assert!(told.latest.len() <= KEPT);
        let last = told.latest.iter().find(|line| line.text.starts_with("last")).unwrap();
        assert_eq!((last.at, last.is_error), (UnixMillis(7), false));
        assert_eq!(last.text, "last \\n file=\"a\\u{1b}[31m\"");
    }
}
