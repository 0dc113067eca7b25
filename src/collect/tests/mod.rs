//! The pipeline on files that grow, move and break, with a ledger that fails now and then.

mod failing;
mod moving;
mod paths;
mod pieces;

use super::*;
use crate::domain::{Cost, Cursor, ModelName, Picodollars, UnixMillis, Usage};
use crate::ledger::{LEDGER_FILE, Ledger, LedgerLock, LedgerReader, Pricing};
use crate::watch::walk;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A picodollar a token.
struct OneEach;

impl Pricing for OneEach {
    fn price(&self, _: &ModelName, usage: &Usage, _: UnixMillis) -> (Cost, Vec<Cost>) {
        let tokens: u64 = usage.tokens.as_array().iter().sum();
        (Cost::Known(Picodollars(i64::try_from(tokens).unwrap())), Vec::new())
    }

    fn digest(&self) -> &'static str {
        "one each"
    }
}

/// Logs, a ledger and the pipeline between them.
struct Sandbox {
    folder: TempDir,
    collector: Option<Collector<OneEach>>,
}

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("logs/-project")).unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        let mut sandbox = Self { folder, collector: None };
        sandbox.restart();
        sandbox
    }

    /// What a new process does: all that is known is in the ledger.
    fn restart(&mut self) {
        drop(self.collector.take());
        let state = self.state();
        let ledger = Ledger::open(&state, LedgerLock::acquire(&state, "test").unwrap()).unwrap();
        self.collector = Some(Collector::new(ledger, OneEach, self.options()).unwrap().0);
    }

    fn options(&self) -> CollectOptions {
        CollectOptions { roots: vec![self.folder.path().join("logs")], ..CollectOptions::default() }
    }

    fn collector(&mut self) -> &mut Collector<OneEach> {
        self.collector.as_mut().unwrap()
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs/-project").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.log(name), text).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        use std::io::Write;
        fs::File::options().append(true).open(self.log(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn try_pass(&mut self) -> Result<PassSummary, CollectError> {
        let tree = walk(&self.folder.path().join("logs"), &mut |_, _| {});
        self.collector().take_in_tree(&tree, &mut |_| {})
    }

    fn pass(&mut self) -> PassSummary {
        self.try_pass().unwrap()
    }

    /// Makes the ledger refuse responses whose id matches, as a full disk would; `None` heals it.
    fn refuse(&self, ids: Option<&str>) {
        let sql = rusqlite::Connection::open(self.state().join(LEDGER_FILE)).unwrap();
        sql.execute_batch("DROP TRIGGER IF EXISTS refuse").unwrap();
        if let Some(ids) = ids {
            sql.execute_batch(&format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON response WHEN NEW.message_id GLOB '{ids}' \
                 BEGIN SELECT RAISE (ABORT, 'refused'); END"
            ))
            .unwrap();
        }
    }

    /// Responses and their output tokens.
    fn counted(&self) -> (u64, u64) {
        let cells = LedgerReader::open(&self.state()).unwrap().cells(None, None).unwrap();
        cells.iter().fold((0, 0), |(messages, output), cell| {
            (messages + cell.totals.messages, output + cell.totals.tokens.output)
        })
    }

    /// Where each response was seen, as `file:offset`.
    fn places(&self) -> BTreeMap<String, Vec<String>> {
        let sql = rusqlite::Connection::open(self.state().join(LEDGER_FILE)).unwrap();
        let mut statement = sql
            .prepare(
                "SELECT message_id, path, s.offset FROM response LEFT JOIN sighting AS s ON s.response = response.id \
                 LEFT JOIN file ON file.id = s.file ORDER BY path, s.offset",
            )
            .unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        while let Some(row) = rows.next().unwrap() {
            let of_response = places.entry(row.get(0).unwrap()).or_default();
            let path: Option<Vec<u8>> = row.get(1).unwrap();
            of_response.extend(path.map(|path| {
                let path = String::from_utf8(path).unwrap();
                let offset: i64 = row.get(2).unwrap();
                format!("{}:{offset}", path.rsplit('/').next().unwrap())
            }));
        }
        places
    }

    fn cursors(&mut self) -> BTreeMap<String, Cursor> {
        let cursors = self.collector().ledger().cursors().unwrap();
        cursors.into_iter().map(|(path, c)| (path.file_name().unwrap().display().to_string(), c)).collect()
    }
}

/// A line of a hundred and more bytes, newline included.
fn line(id: impl std::fmt::Display, output: u64) -> String {
    format!(
        "{{\"type\":\"assistant\",\"sessionId\":\"s\",\"uuid\":\"u{id}\",\"timestamp\":\"2026-09-01T00:00:00.000Z\",\
         \"message\":{{\"id\":\"msg_01{id}\",\"model\":\"opus\",\"stop_reason\":\"end_turn\",\
         \"usage\":{{\"input_tokens\":1,\"output_tokens\":{output}}}}}}}\n"
    )
}

fn lines(ids: std::ops::Range<usize>) -> String {
    ids.map(|id| line(format!("{id:0>6}"), 1)).collect()
}

/// What was reported, as `file:offset what`.
fn reports(summary: &PassSummary) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().display().to_string();
    summary
        .reports
        .iter()
        .map(|report| match report {
            FileReport::Line { path, offset, what, is_loss } => {
                format!("{}:{offset} {what}{}", name(path), if *is_loss { " (loss)" } else { "" })
            }
            FileReport::More { path, lines } => format!("{} and {lines} more", name(path)),
            FileReport::File(error) => error.to_string(),
        })
        .collect()
}
