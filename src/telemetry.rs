//! Logs of tallyd itself: one tracing subscriber that writes to stderr.
//!
//! Owns: tracing-subscriber, the log level, the log format and the decision on colours. Refuses to
//! write to stdout, which carries results only. A log line that cannot be written (stderr closed, disk
//! full) is dropped: logging never ends the program. Setting up fails only when it is done twice.

mod color;
mod counted;
mod journal;
mod recent;
mod shown;

pub use crate::domain::shown;
pub use color::ColorChoice;
pub use counted::Counts;
pub use journal::{ERROR_PREFIX, stderr_is_journal};
pub use recent::{RecentLine, Told, told};
pub use shown::Chain;

use crate::domain::{Clock, SystemClock};
use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::Arc;
use tracing::Subscriber;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What went wrong and needs a person.
    Error,
    /// What went wrong and was coped with, such as a damaged line.
    Warn,
    /// What tallyd does, a line per change.
    Info,
    /// Why it does so.
    Debug,
    /// Every step.
    Trace,
}

impl Level {
    /// Names that are accepted, quietest first.
    pub const NAMES: [&'static str; 5] = ["error", "warn", "info", "debug", "trace"];

    /// The level's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// A text that names none of the accepted values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {allowed}")]
pub struct NotAccepted {
    /// What would have been accepted.
    pub allowed: &'static str,
}

impl FromStr for Level {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text.to_ascii_lowercase().as_str() {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(NotAccepted { allowed: "error, warn, info, debug or trace" }),
        }
    }
}

/// Which log lines are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// The usual level of the command: info for `run`, warn for the commands that print a result.
    #[default]
    Automatic,
    /// Levels, for all or for modules, that are known to parse: `info`, `warn,tallyd::watch=trace`.
    Directives(String),
}

impl Filter {
    /// What [`Filter::from_str`] accepts, in words.
    pub const ALLOWED: &'static str =
        "auto, error, warn, info, debug, trace, or directives such as `info,tallyd::watch=trace`";
}

impl From<Level> for Filter {
    fn from(level: Level) -> Self {
        Self::Directives(level.name().to_owned())
    }
}

impl FromStr for Filter {
    type Err = NotAccepted;

    /// Accepts `auto`, a level, or levels of modules. A bare word that is no level is refused:
    /// tracing would take it for a module's name and then log nothing at all.
    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        let refused = NotAccepted { allowed: Self::ALLOWED };
        let text = text.trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Automatic);
        }
        let is_level = |part: &str| part.eq_ignore_ascii_case("off") || part.parse::<Level>().is_ok();
        // Spans and fields, in brackets, are not to be chosen by: there are no spans.
        let is_of_module = |part: &str| part.contains('=') && !part.contains('[');
        if !text.split(',').map(str::trim).all(|part| is_level(part) || is_of_module(part)) {
            return Err(refused);
        }
        targets(text).map_err(|_| refused)?;
        Ok(Self::Directives(text.to_owned()))
    }
}

/// Directives as tracing's filter, with blanks around the commas or without.
fn targets(directives: &str) -> Result<Targets, tracing_subscriber::filter::ParseError> {
    directives.split(',').map(str::trim).collect::<Vec<_>>().join(",").parse()
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Names that are accepted.
    pub const NAMES: [&'static str; 2] = ["text", "json"];
}

impl FromStr for LogFormat {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text.to_ascii_lowercase().as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(NotAccepted { allowed: "text or json" }),
        }
    }
}

/// What the logs look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Which lines are written.
    pub filter: Filter,
    /// What a line looks like.
    pub format: LogFormat,
    /// Colours, of the logs and of the reports.
    pub color: ColorChoice,
}

/// Setting up the logs failed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The process has a subscriber already.
    #[error("the log output of this process is set up already")]
    AlreadySetUp(#[source] tracing::subscriber::SetGlobalDefaultError),
    /// The directives do not parse, although [`Filter::from_str`] took them.
    #[error("the log filter `{directives}` does not parse")]
    Directives {
        /// The directives.
        directives: String,
        /// What tracing has to say.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
}

/// Sends the logs of this process to stderr from now on. `usual` is the level of the command at hand,
/// taken where neither flag nor environment nor config file asks for another.
pub fn init(options: &LogOptions, usual: Level) -> Result<(), TelemetryError> {
    let sink = Sink {
        writer: BoxMakeWriter::new(std::io::stderr),
        is_terminal: std::io::stderr().is_terminal(),
        is_journal: stderr_is_journal(),
        clock: Arc::new(SystemClock),
    };
    tracing::subscriber::set_global_default(subscriber(options, usual, sink)?)
        .map_err(TelemetryError::AlreadySetUp)
}

/// Where log lines go, and what is known of that place.
struct Sink {
    writer: BoxMakeWriter,
    is_terminal: bool,
    is_journal: bool,
    clock: Arc<dyn Clock>,
}

/// A subscriber that writes to `sink`.
fn subscriber(
    options: &LogOptions,
    usual: Level,
    sink: Sink,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError> {
    let directives = match &options.filter {
        Filter::Automatic => usual.name().to_owned(),
        Filter::Directives(text) => text.clone(),
    };
    // Not `EnvFilter`: it also knows spans, of which there are none here, by way of a regex engine.
    let filter = targets(&directives).map_err(|source| TelemetryError::Directives { directives, source })?;
    let recorder = recent::Recorder { clock: Arc::clone(&sink.clock) }.with_filter(LevelFilter::WARN);
    let registry = tracing_subscriber::registry().with(recorder);
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(options.format == LogFormat::Text && options.color.colours(sink.is_terminal))
        // Its way to say that stderr is closed is to write to stderr, which panics.
        .log_internal_errors(false)
        .with_writer(sink.writer);
    let time = shown::LineTime {
        clock: sink.clock,
        is_short: sink.is_terminal && options.format == LogFormat::Text,
    };
    Ok(match options.format {
        LogFormat::Text => {
            let fields = debug_fn(shown::write_field).delimited(" ");
            if sink.is_journal {
                let layer = layer.event_format(journal::Prioritized::new()).fmt_fields(fields);
                return Ok(Box::new(registry.with(layer.with_filter(filter))));
            }
            let layer = layer.with_timer(time).with_target(false).fmt_fields(fields);
            Box::new(registry.with(layer.with_filter(filter)))
        }
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            Box::new(registry.with(layer.with_timer(time).with_filter(filter)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UnixMillis;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> UnixMillis {
            UnixMillis(1_785_000_000_123)
        }
    }

    /// What a warning and a debug line look like.
    fn lines(options: &LogOptions, usual: Level, is_terminal: bool) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let sink = Sink {
            writer: BoxMakeWriter::new(move || writer.clone()),
            is_terminal,
            is_journal: false,
            clock: Arc::new(Stopped),
        };
        tracing::subscriber::with_default(subscriber(options, usual, sink).unwrap(), || {
            tracing::warn!(file = "a\u{1b}[31m.jsonl", offset = 7, "a line was skipped");
            tracing::debug!("a reason");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn options(filter: &str, format: LogFormat, color: ColorChoice) -> LogOptions {
        LogOptions { filter: filter.parse().unwrap(), format, color }
    }

    #[test]
    fn text_away_from_a_terminal_has_the_full_time_and_no_escapes() {
        insta::assert_snapshot!(lines(&LogOptions::default(), Level::Info, false), @r#"2026-07-25T17:20:00.123Z  WARN a line was skipped file="a\u{1b}[31m.jsonl" offset=7"#);
    }

    #[test]
    fn text_on_a_terminal_is_short_and_coloured() {
        let text = lines(&LogOptions::default(), Level::Info, true);
        assert!(text.contains("\u{1b}["), "{text:?}");
        assert!(!text.contains("tallyd::telemetry") && !text.contains("2026-"), "{text:?}");
        let plain = lines(&options("auto", LogFormat::Text, ColorChoice::Never), Level::Info, true);
        assert!(!plain.contains('\u{1b}'), "{plain:?}");
        assert_eq!(plain.find("  WARN"), Some("00:00:00".len()), "{plain:?}");
    }

    #[test]
    fn json_is_one_object_a_line_without_colours() {
        let text = lines(&options("debug", LogFormat::Json, ColorChoice::Always), Level::Info, true);
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON");
        }
        insta::assert_snapshot!(text, @r#"
        {"timestamp":"2026-07-25T17:20:00.123Z","level":"WARN","message":"a line was skipped","file":"a\u001b[31m.jsonl","offset":7,"target":"tallyd::telemetry::tests"}
        {"timestamp":"2026-07-25T17:20:00.123Z","level":"DEBUG","message":"a reason","target":"tallyd::telemetry::tests"}
        "#);
    }

    #[test]
    fn the_level_asked_for_beats_the_usual_one() {
        for (filter, usual, seen) in [
            ("auto", Level::Error, 0),
            ("auto", Level::Warn, 1),
            ("auto", Level::Debug, 2),
            ("error", Level::Debug, 0),
            ("Trace", Level::Error, 2),
            ("off", Level::Debug, 0),
            ("error,tallyd::telemetry=debug", Level::Error, 2),
            ("error,elsewhere=debug", Level::Error, 0),
            ("warn, tallyd=debug", Level::Error, 2),
            ("debug,tallyd::telemetry=off", Level::Error, 0),
        ] {
            let text = lines(&options(filter, LogFormat::Text, ColorChoice::Never), usual, false);
            assert_eq!(text.lines().count(), seen, "{filter} over {usual:?}");
        }
    }

    #[test]
    fn a_bare_word_that_is_no_level_is_refused() {
        for text in ["", "verbose", "tallyd", "info,verbose", "tallyd=loud", "tallyd[=", "[run]=info", "1"] {
            assert!(text.parse::<Filter>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_round_trip() {
        for name in Level::NAMES {
            assert_eq!(name.parse::<Level>().map(Level::name), Ok(name));
        }
        assert!(LogFormat::NAMES.iter().all(|name| name.parse::<LogFormat>().is_ok()));
        assert!(ColorChoice::NAMES.iter().all(|name| name.parse::<ColorChoice>().is_ok()));
    }
}
