//! Texts from outside in lines of the log: nothing in them can forge a line or drive a terminal.
//!
//! Owns: how the time, errors and fields look in a line. Which characters do harm is said in `domain`. Cannot fail but
//! where the sink does.

use crate::domain::{Clock, shown};
use std::fmt;
use std::sync::Arc;
use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// An error with its causes, on one line, safe to show.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0.to_string()))?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {}", shown(&error.to_string()))?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Writes a field of a line for people. Every value goes through here, whoever logs it and however.
pub(super) fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = shown(&format!("{value:?}"));
    match (field.name(), writer.has_ansi_escapes()) {
        ("message", _) => writer.write_str(&text),
        (name, true) => write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{text}"),
        (name, false) => write!(writer, "{name}={text}"),
    }
}

/// The time at the start of a log line: local wall time on a terminal, else RFC 3339 in UTC.
pub(super) struct LineTime {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) is_short: bool,
}

impl FormatTime for LineTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = self.clock.now();
        if self.is_short {
            write!(writer, "{}", now.to_utc().with_timezone(&chrono::Local).format("%H:%M:%S"))
        } else {
            writer.write_str(&now.to_rfc3339())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_on_the_same_line() {
        let inner = std::io::Error::other("disk\nfull");
        let outer = crate::tail::TailError::Read { path: "a\nb".into(), offset: 7, source: inner };
        assert_eq!(Chain(&outer).to_string(), "a\\nb: cannot be read at byte 7: disk\\nfull");
    }
}
