//! tallyd itself, in this process: a ledger in a state folder, the pipeline before it, and what a crash
//! leaves of both.

use super::oracle::{Cells, Counted};
use super::reports;
use crate::truth::{MODELS, Said, Sum};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tallyd::collect::{CollectError, CollectOptions, Collector, PassSummary, TablePricing};
use tallyd::domain::Usd;
use tallyd::ledger::{LEDGER_FILE, Ledger, LedgerLock, LedgerReader};
use tallyd::price::PriceTable;
use tallyd::watch::{Tree, walk};
use tempfile::TempDir;

/// What the ledger says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) counted: BTreeMap<String, Counted>,
    pub(super) cells: Cells,
}

/// Where a response was seen: file, offset, message.
pub(super) type Place = (PathBuf, u64, String);

#[derive(Debug)]
pub(super) struct Subject {
    logs: PathBuf,
    state: TempDir,
    collector: Option<Collector<TablePricing>>,
}

/// A folder where nothing has to wait for a disk.
fn state_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.expect("a folder for the ledger")
}

/// The files as a killed process leaves them in its state folder; of the write-ahead log only so many
/// bytes, where the machine went down with it.
pub(super) fn crash(state: &Path, log_bytes: Option<u64>) -> TempDir {
    let copy = state_folder();
    for name in [LEDGER_FILE.to_owned(), format!("{LEDGER_FILE}-wal")] {
        let (from, to) = (state.join(&name), copy.path().join(&name));
        if from.exists() {
            fs::copy(from, &to).expect("a copy of the ledger");
        }
    }
    if let Some(bytes) = log_bytes {
        let log = copy.path().join(format!("{LEDGER_FILE}-wal"));
        let log = fs::OpenOptions::new().write(true).open(log).expect("a write-ahead log");
        log.set_len(bytes).expect("it can be cut");
    }
    copy
}

impl Subject {
    pub(super) fn start(logs: &Path) -> Self {
        Self::start_in(logs, state_folder())
    }

    fn start_in(logs: &Path, state: TempDir) -> Self {
        let mut subject = Self { logs: logs.to_owned(), state, collector: None };
        subject.restart();
        subject
    }

    /// Ends in order and starts anew.
    pub(super) fn restart(&mut self) {
        drop(self.collector.take());
        let lock = LedgerLock::acquire(self.state.path(), "scan").expect("nobody else has the ledger");
        let ledger = Ledger::open(self.state.path(), lock).expect("the ledger opens");
        let options = CollectOptions { roots: vec![self.logs.clone()], ..CollectOptions::default() };
        let (collector, _) = Collector::new(ledger, TablePricing::new(PriceTable::shipped()), options)
            .expect("the pipeline starts");
        self.collector = Some(collector);
    }

    /// Starts anew from what a crash has left.
    pub(super) fn restart_from(&mut self, crashed: TempDir) {
        *self = Self::start_in(&self.logs, crashed);
    }

    pub(super) fn state(&self) -> &Path {
        self.state.path()
    }

    /// The size of the write-ahead log in bytes.
    pub(super) fn log_bytes(&self) -> u64 {
        let log = self.state.path().join(format!("{LEDGER_FILE}-wal"));
        fs::metadata(log).map_or(0, |metadata| metadata.len())
    }

    pub(super) fn walk(&self) -> Tree {
        walk(&self.logs, &mut |_, _| {})
    }

    /// Takes in what is new in the files of a walk; `between` is told after each piece how many there were,
    /// and ends the pass there by returning true.
    pub(super) fn take_in(
        &mut self,
        tree: &Tree,
        between: &mut dyn FnMut(&Path, usize) -> bool,
    ) -> Result<PassSummary, CollectError> {
        let state = self.state.path().to_owned();
        let collector = self.collector.as_mut().expect("it runs");
        let stop = collector.stop_switch();
        let mut pieces = 0;
        let summary = collector.take_in_tree(tree, &mut |_| {
            pieces += 1;
            if between(&state, pieces) {
                stop.store(true, Ordering::Relaxed);
            }
        });
        stop.store(false, Ordering::Relaxed);
        summary
    }

    pub(super) fn pass(&mut self) -> Result<PassSummary, CollectError> {
        let tree = self.walk();
        self.take_in(&tree, &mut |_, _| false)
    }

    /// Makes the ledger refuse new rows in a table, as a full disk would; `None` frees it.
    pub(super) fn refuse(&self, table: Option<&str>) {
        let sql = self.connection();
        sql.execute_batch("DROP TRIGGER IF EXISTS full").expect("a trigger can go");
        if let Some(table) = table {
            let trigger = format!(
                "CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE (ABORT, 'full'); END"
            );
            sql.execute_batch(&trigger).expect("a trigger can be made");
        }
    }

    /// A connection from outside.
    pub(super) fn connection(&self) -> Connection {
        Connection::open(self.state.path().join(LEDGER_FILE)).expect("the ledger is a database")
    }

    /// What the ledger says; fails where it has a response twice.
    pub(super) fn contents(&self) -> Result<Contents, String> {
        let reader = LedgerReader::open(self.state.path()).map_err(|error| error.to_string())?;
        let mut contents = Contents { cells: read_cells(&reader), ..Contents::default() };
        let sessions = reader.sessions().expect("sessions can be read");
        for session in &sessions {
            let records = reader.responses_by_session(&session.id).expect("responses can be read");
            for record in records {
                let id = record.message_id.clone();
                let response = &record.response;
                let said = Said {
                    message: id.clone(),
                    model: model(&response.model.0),
                    tokens: response.usage.tokens.as_array(),
                    at: response.first_at.0,
                    session: session.id.clone(),
                };
                let cost = record.cost.known().expect("every model has a price").0;
                let cost = u64::try_from(cost).expect("no cost is negative");
                let counted = Counted { said, is_final: response.is_final, cost };
                if contents.counted.insert(id.clone(), counted).is_some() {
                    return Err(format!("{id} is in the ledger twice"));
                }
            }
        }
        Ok(contents)
    }

    /// Fails where the ledger is not whole, or where reports differ by what they were made from.
    pub(super) fn check_reports(&self) -> Result<(), String> {
        let reader = LedgerReader::open(self.state.path()).map_err(|error| error.to_string())?;
        reader.audit().map_err(|error| error.to_string())?;
        reports::agree(&reader)
    }

    /// Where responses were seen.
    pub(super) fn places(&self) -> BTreeSet<Place> {
        let reader = LedgerReader::open(self.state.path()).expect("the ledger can be read");
        let sessions = reader.sessions().expect("sessions can be read");
        let of_session = |id: &str| reader.responses_by_session(id).expect("responses can be read");
        let records: Vec<_> = sessions.iter().flat_map(|session| of_session(&session.id)).collect();
        let sightings = reader.sightings(&records).expect("sightings can be read");
        let places = records.iter().flat_map(|record| {
            sightings[&record.number]
                .iter()
                .map(|seen| (seen.path.clone(), seen.offset, record.message_id.clone()))
        });
        places.collect()
    }
}

fn model(name: &str) -> usize {
    MODELS.iter().position(|model| model.name == name).expect("a model of the stories")
}

fn read_cells(reader: &LedgerReader) -> Cells {
    let sessions: BTreeMap<_, _> =
        reader.sessions().expect("sessions").into_iter().map(|session| (session.key, session.id)).collect();
    let models: BTreeMap<_, _> = reader.models().expect("models").into_iter().collect();
    let cells = reader.cells(None, None).expect("cells can be read").into_iter();
    cells
        .map(|cell| {
            let name = MODELS[model(&models[&cell.model])].name;
            let Usd(cost) = cell.totals.cost;
            let sum = Sum {
                messages: cell.totals.messages,
                tokens: cell.totals.tokens.as_array(),
                cost: u64::try_from(cost).expect("no sum is negative"),
                unpriced: cell.totals.unpriced,
            };
            ((sessions[&cell.session].clone(), cell.quarter.0, name), sum)
        })
        .collect()
}
