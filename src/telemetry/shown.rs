//! Texts from outside in lines of the log: nothing in them can forge a line or drive a terminal.
//!
//! Owns: how errors and fields look in a line. Which characters do harm is said in `domain`. Cannot fail but
//! where the sink does.

use crate::domain::shown;
use std::fmt;
use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;

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
