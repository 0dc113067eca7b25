//! `tallyd scan`: one pass over the logs.

use super::exit::ExitCode;
use super::{engine, output};
use crate::collect::{PassSummary, Progress};
use crate::config::Settings;
use crate::domain::grouped;
use crate::telemetry::shown;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Instant;

const AFTER_HELP: &str = "\
Examples:
  tallyd scan                                       take in what is new since the last time
  tallyd scan --claude-dir ~/old-logs               logs that were copied from elsewhere
  tallyd scan --claude-dir a --claude-dir b --state-dir /tmp/ledger

A second scan of the same logs changes nothing. The progress is shown on stderr when that is a terminal.";

/// Arguments of `tallyd scan`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ScanArgs {}

/// Takes in what is new and prints a summary.
pub fn run(_args: &ScanArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    engine::refuse_when_disabled(settings, "scan")?;
    // clock: the time that the scan took, for the summary.
    let started = Instant::now();
    let mut collector = engine::open(settings, "scan")?;
    let bar = progress_bar();
    let summary = engine::take_in(&mut collector, &mut |progress: Progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.bytes);
    })?;
    bar.finish_and_clear();
    let ledger = collector.ledger();
    ledger.checkpoint()?;
    let mut text = if summary.files == 0 {
        shown(&engine::nothing_found(collector.roots())) + "\n"
    } else {
        describe(&summary, &format!("{:.1?}", started.elapsed()))
    };
    let _ = writeln!(text, "Ledger: {}", shown(&ledger.path().to_string_lossy()));
    output::print(&text)?;
    Ok(ExitCode::Done)
}

/// Bytes and rate, on a terminal only.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What was found, in sentences.
fn describe(summary: &PassSummary, elapsed: &str) -> String {
    let ingest = &summary.ingest;
    let mut text = format!(
        "{}, {} with something new: {} read in {elapsed}.\n{} counted, {} corrected.\n",
        counted(summary.files as u64, "session log"),
        grouped(summary.files_read as u64),
        bytes(summary.bytes),
        counted(ingest.new_responses, "response"),
        grouped(ingest.raised_responses),
    );
    if summary.losses > 0 {
        let lost = counted(summary.losses, "line or file");
        let _ = writeln!(text, "{lost} could not be read; the warnings on stderr say where.");
    }
    text.push_str("See `tallyd daily`, `tallyd session`, `tallyd model`.\n");
    text
}

/// A number of things: `1 session log`, `2,000 session logs`.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let plural = thing.replace(" or ", "s or ");
    if number == 1 { format!("1 {thing}") } else { format!("{} {plural}s", grouped(number)) }
}

/// A size in the unit that gives one to three digits before the point.
pub(super) fn bytes(size: u64) -> String {
    let mut unit = 1;
    let mut name = "bytes";
    for (next, next_name) in [(1_000, "kB"), (1_000_000, "MB"), (1_000_000_000, "GB")] {
        if size >= next {
            (unit, name) = (next, next_name);
        }
    }
    if unit == 1 {
        format!("{size} bytes")
    } else {
        format!("{}.{} {name}", size / unit, size % unit * 10 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_read_well() {
        assert_eq!(
            [0, 1, 2].map(|n| counted(n, "line or file")),
            ["0 lines or files", "1 line or file", "2 lines or files"]
        );
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 999, 1500, 55_463_370].map(bytes), ["0 bytes", "999 bytes", "1.5 kB", "55.4 MB"]);
    }
}
