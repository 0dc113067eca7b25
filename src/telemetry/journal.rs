//! Lines for the journal of systemd.
//!
//! Owns: finding out that stderr goes there, and the form of a line that does: its priority as sd-daemon(3) has it, and
//! no time, which the journal has. Reads `$JOURNAL_STREAM`; believes it only where stderr is the stream that it names,
//! since a variable is inherited by programs whose stderr is another. Cannot fail: what cannot be found out is no
//! journal.

use std::fmt;
use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer, format};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Before a line of the highest priority that tallyd has.
pub const ERROR_PREFIX: &str = "<3>";

/// Whether stderr is a stream to the journal.
pub fn stderr_is_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stderr = std::io::stderr().as_fd().try_clone_to_owned();
    stderr.and_then(|stderr| File::from(stderr).metadata()).is_ok_and(|stderr| is_named(&named, &stderr))
}

/// Whether `device:inode` names this file.
fn is_named(stream: &str, file: &Metadata) -> bool {
    let numbers =
        stream.split_once(':').and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    numbers == Some((file.dev(), file.ino()))
}

/// Writes a line with its priority in place of its time.
pub(super) struct Prioritized(Format<Full, ()>);

impl Prioritized {
    pub(super) fn new() -> Self {
        Self(format().with_target(false).with_level(false).without_time())
    }
}

/// Of syslog: 3 error, 4 warning, 6 information, 7 debugging.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

impl<S, N> FormatEvent<S, N> for Prioritized
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        write!(writer, "<{}>{level} ", priority(level))?;
        self.0.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_by_device_and_inode() {
        let file = std::fs::metadata("/").unwrap();
        let (device, inode) = (file.dev(), file.ino());
        assert!(is_named(&format!("{device}:{inode}"), &file));
        for other in
            [format!("{device}:{}", inode + 1), format!("{}:{inode}", device + 1), device.to_string()]
        {
            assert!(!is_named(&other, &file), "{other}");
        }
        assert!(!is_named("", &file) && !is_named(":", &file));
    }
}
