//! Results to stdout. A reader that has seen enough and closed the pipe is no failure: the error comes
//! back as [`OutputError::ReaderGone`], which [`super::exit`] turns into a quiet, good end.

use crate::telemetry::shown;
use std::io::{self, IsTerminal, Write};

/// Results could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The other end of the pipe is closed: `tallyd daily | head`.
    #[error("the reader of standard output is gone")]
    ReaderGone,
    /// Anything else, such as a full disk.
    #[error("the result cannot be written to standard output")]
    Failed(#[source] io::Error),
}

/// Writes a result to stdout, whole.
pub fn print(text: &str) -> Result<(), OutputError> {
    print_bytes(text.as_bytes())
}

/// Writes lines to stdout in which names from a file may stand: nothing in them drives a terminal.
pub(super) fn print_lines(text: &str) -> Result<(), OutputError> {
    print(&text.lines().map(|line| shown(line) + "\n").collect::<String>())
}

/// Writes a result to stdout, whole.
pub fn print_bytes(bytes: &[u8]) -> Result<(), OutputError> {
    write(&mut io::stdout().lock(), bytes)
}

/// Columns of the terminal that stdout is; `None` where it is none, and nothing has to fit.
pub(super) fn terminal_width() -> Option<u16> {
    io::stdout().is_terminal().then(|| comfy_table::Table::new().width()).flatten()
}

fn write(sink: &mut impl Write, bytes: &[u8]) -> Result<(), OutputError> {
    sink.write_all(bytes).and_then(|()| sink.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => OutputError::ReaderGone,
        _ => OutputError::Failed(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refusing(io::ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        let gone = write(&mut Refusing(io::ErrorKind::BrokenPipe), b"x");
        assert!(matches!(gone, Err(OutputError::ReaderGone)), "{gone:?}");
        let full = write(&mut Refusing(io::ErrorKind::StorageFull), b"x");
        assert!(matches!(full, Err(OutputError::Failed(_))), "{full:?}");
        let mut kept = Vec::new();
        assert!(write(&mut kept, b"result\n").is_ok());
        assert_eq!(kept, b"result\n");
    }
}
