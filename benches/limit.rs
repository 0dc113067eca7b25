//! The bare limit that a cold scan is held against: every log of a folder is read through a buffer of
//! 256 KiB, `"usage"` is searched in it, the lines that have it are parsed exactly by `serde_json`, and
//! responses are counted once. Largest file first, over some threads; no ledger, no price, no fault is told.
//!
//!     limit DIR [--threads N]
//!
//! Prints the totals as one JSON object, to be compared with the truth of the tree: a limit that counts
//! wrong is none. Without a folder it says what it is for. A log that cannot be read ends it.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a program of its own that prints its figures; the indexes come from searches in the same bytes"
)]

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::borrow::Cow;
use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

type Failure = Box<dyn Error + Send + Sync>;
/// Responses by `message.id` and `requestId`, with the usage that has the most output.
type Responses = FxHashMap<String, Usage>;

const BUFFER: usize = 256 << 10;
const SYNTHETIC: &str = "<synthetic>";

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(rename = "requestId", borrow, default)]
    request: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    data: Option<Progress<'a>>,
}

/// A progress record carries the record of a sub-agent.
#[derive(Deserialize)]
struct Progress<'a> {
    #[serde(borrow, default)]
    message: Option<Box<Record<'a>>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation: Option<Creation>,
}

impl Usage {
    /// Old clients do not say for how long: then it is five minutes.
    fn creation(&self) -> Creation {
        let unsaid = Creation {
            ephemeral_5m_input_tokens: self.cache_creation_input_tokens,
            ephemeral_1h_input_tokens: 0,
        };
        self.cache_creation.unwrap_or(unsaid)
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Creation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

/// What one thread has found.
#[derive(Default)]
struct Found {
    responses: Responses,
    bytes: u64,
    lines: u64,
    key: String,
}

fn main() -> Result<(), Failure> {
    let Some((folder, threads)) = arguments()? else {
        println!("limit DIR [--threads N]: the least that a scan of DIR takes; scripts/bench runs it");
        return Ok(());
    };
    let mut files = Vec::new();
    list(&folder, &mut files)?;
    files.sort_unstable_by(|one, other| other.cmp(one));
    let next = AtomicUsize::new(0);
    let found = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&files, &next))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| Failure::from("a reader panicked"))?)
            .collect::<Result<Vec<Found>, Failure>>()
    })?;
    report(files.len(), merge(found));
    Ok(())
}

fn arguments() -> Result<Option<(PathBuf, usize)>, Failure> {
    let (mut folder, mut threads) = (None, thread::available_parallelism()?.get());
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--threads" => threads = given.next().ok_or("--threads wants a number")?.parse()?,
            // Which `cargo bench` adds.
            "--bench" => {}
            path => folder = Some(PathBuf::from(path)),
        }
    }
    Ok(folder.map(|folder| (folder, threads.max(1))))
}

/// All logs below a folder with their sizes.
fn list(folder: &Path, files: &mut Vec<(u64, PathBuf)>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push((entry.metadata()?.len(), path));
        }
    }
    Ok(())
}

fn work(files: &[(u64, PathBuf)], next: &AtomicUsize) -> Result<Found, Failure> {
    let (mut found, finder) = (Found::default(), Finder::new("\"usage\""));
    let mut buffer = vec![0; BUFFER];
    while let Some((_, path)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
        read(File::open(path)?, &mut buffer, &finder, &mut found)?;
    }
    Ok(found)
}

/// Whole lines are looked at in the buffer; what is left of the last one goes to its front. A line that
/// does not fit makes the buffer grow.
fn read(mut file: File, buffer: &mut Vec<u8>, finder: &Finder, found: &mut Found) -> Result<(), Failure> {
    let mut kept = 0;
    loop {
        if kept == buffer.len() {
            buffer.resize(kept * 2, 0);
        }
        let read = file.read(&mut buffer[kept..])?;
        let filled = kept + read;
        found.bytes += u64::try_from(read)?;
        let whole = memrchr(b'\n', &buffer[..filled]).map_or(0, |at| at + 1);
        let whole = if read == 0 { filled } else { whole };
        search(&buffer[..whole], finder, found);
        if read == 0 {
            return Ok(());
        }
        buffer.copy_within(whole..filled, 0);
        kept = filled - whole;
    }
}

/// Newlines are searched around hits only.
fn search(mut lines: &[u8], finder: &Finder, found: &mut Found) {
    while let Some(at) = finder.find(lines) {
        let begin = memrchr(b'\n', &lines[..at]).map_or(0, |newline| newline + 1);
        let end = memchr(b'\n', &lines[at..]).map_or(lines.len(), |newline| at + newline);
        found.lines += 1;
        // A last line that was cut off is no record.
        if let Ok(record) = serde_json::from_slice(&lines[begin..end]) {
            count(&record, found);
        }
        lines = &lines[end..];
    }
}

fn count(record: &Record, found: &mut Found) {
    if let Some(inner) = record.data.as_ref().and_then(|data| data.message.as_ref()) {
        count(inner, found);
    }
    let Some(message) = record.message.as_ref().filter(|_| record.kind == "assistant") else { return };
    let (Some(id), Some(usage)) = (&message.id, message.usage) else { return };
    if message.model.as_deref() == Some(SYNTHETIC) {
        return;
    }
    found.key.clear();
    found.key.push_str(id);
    found.key.push('\0');
    found.key.push_str(record.request.as_deref().unwrap_or_default());
    match found.responses.get_mut(&found.key) {
        Some(known) => *known = better(*known, usage),
        None => drop(found.responses.insert(found.key.clone(), usage)),
    }
}

fn better(one: Usage, other: Usage) -> Usage {
    if other.output_tokens > one.output_tokens { other } else { one }
}

fn merge(found: Vec<Found>) -> Found {
    let mut all = Found::default();
    for part in found {
        all.bytes += part.bytes;
        all.lines += part.lines;
        for (key, usage) in part.responses {
            all.responses.entry(key).and_modify(|known| *known = better(*known, usage)).or_insert(usage);
        }
    }
    all
}

fn report(files: usize, found: Found) {
    let sum = |part: fn(&Usage) -> u64| found.responses.values().map(part).sum::<u64>();
    let totals = serde_json::json!({
        "files": files,
        "bytes": found.bytes,
        "usage_lines": found.lines,
        "messages": found.responses.len(),
        "input": sum(|usage| usage.input_tokens),
        "output": sum(|usage| usage.output_tokens),
        "cache_creation": sum(|usage| usage.cache_creation_input_tokens),
        "cache_read": sum(|usage| usage.cache_read_input_tokens),
        "cache_5m": sum(|usage| usage.creation().ephemeral_5m_input_tokens),
        "cache_1h": sum(|usage| usage.creation().ephemeral_1h_input_tokens),
    });
    println!("{totals}");
    // The process ends here anyway: what the maps hold need not be given back piece by piece.
    std::mem::forget(found.responses);
}
