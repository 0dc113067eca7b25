//! How long it takes to take logs in: 200 files with 200 replies of three lines each among tool results,
//! about 50 MB, into an empty ledger (cold), and a pass over the same files with nothing new (warm).

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use tallyd::collect::{CollectOptions, Collector, TablePricing};
use tallyd::ledger::{Ledger, LedgerLock};
use tallyd::price::PriceTable;
use tallyd::watch::{Tree, walk};
use tempfile::TempDir;

const FILES: usize = 200;
const REPLIES: usize = 200;

/// A reply of three lines, its output growing, and the tool result behind it.
fn reply(file: usize, number: usize, text: &mut String) {
    for line in 1..=3 {
        let minute = number % 60;
        let _ = writeln!(
            text,
            r#"{{"type":"assistant","uuid":"u{file}-{number}-{line}","parentUuid":null,"sessionId":"s{file}","timestamp":"2026-10-05T10:{minute:02}:0{line}.000Z","cwd":"/home/ann/work","version":"2.1.330","requestId":"req_{file}_{number}","message":{{"id":"msg_01{file:08}{number:014}","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{{"type":"text","text":"{filler}"}}],"stop_reason":"end_turn","stop_details":null,"usage":{{"input_tokens":12,"output_tokens":{output},"cache_creation_input_tokens":900,"cache_read_input_tokens":20200,"cache_creation":{{"ephemeral_5m_input_tokens":900,"ephemeral_1h_input_tokens":0}},"service_tier":"standard"}}}}}}"#,
            filler = "lorem ipsum ".repeat(20),
            output = line * 100,
        );
    }
    let _ = writeln!(
        text,
        r#"{{"type":"user","uuid":"r{file}-{number}","message":{{"role":"user","content":[{{"type":"tool_result","content":"{}"}}]}}}}"#,
        "fn main() { work(); } ".repeat(150)
    );
}

fn logs(root: &Path) -> u64 {
    let mut bytes = 0;
    for file in 0..FILES {
        let mut text = String::new();
        (0..REPLIES).for_each(|number| reply(file, number, &mut text));
        let folder = root.join(format!("-home-ann-project-{}", file % 20));
        fs::create_dir_all(&folder).expect("a temporary folder can be written");
        fs::write(folder.join(format!("s{file}.jsonl")), &text).expect("a temporary file can be written");
        bytes += text.len() as u64;
    }
    bytes
}

fn collector(state: &TempDir, root: &Path) -> Collector<TablePricing> {
    let lock = LedgerLock::acquire(state.path(), "scan").expect("nobody else knows the folder");
    let ledger = Ledger::open(state.path(), lock).expect("a temporary ledger can be made");
    let options = CollectOptions { roots: vec![root.to_owned()], ..CollectOptions::default() };
    let pricing = TablePricing::new(PriceTable::shipped());
    Collector::new(ledger, pricing, options).expect("a new ledger can be written").0
}

fn tree(root: &Path) -> Tree {
    walk(root, &mut |_, _| {})
}

fn take_in(collector: &mut Collector<TablePricing>, root: &Path) -> u64 {
    let summary = collector.take_in_tree(&tree(root), &mut |_| {}).expect("the ledger can be written");
    summary.ingest.new_responses
}

fn ingest(criterion: &mut Criterion) {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let root = folder.path().join("projects");
    let bytes = logs(&root);
    let mut group = criterion.benchmark_group("ingest");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function("cold", |bencher| {
        bencher.iter_batched(
            || TempDir::new().expect("a temporary folder can be made"),
            |state| {
                let taken = take_in(&mut collector(&state, &root), &root);
                assert_eq!(taken, (FILES * REPLIES) as u64);
                state
            },
            BatchSize::PerIteration,
        );
    });
    let state = TempDir::new().expect("a temporary folder can be made");
    let mut warm = collector(&state, &root);
    take_in(&mut warm, &root);
    group.bench_function("warm", |bencher| {
        bencher.iter(|| assert_eq!(take_in(&mut warm, &root), 0));
    });
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
