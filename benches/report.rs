//! How long a report takes from the ledger's cells to text: 200,000 cells of 4,000 sessions and six
//! models over two years, which is far more than one person's ledger holds.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tallyd::domain::{Cell, ModelKey, SessionInfo, SessionKey, TokenCounts, Totals, UnixMillis, Usd};
use tallyd::report::{BlockOptions, Format, Kind, ReportData, Request, Style, Zone, build, render};

const CELLS: i64 = 200_000;
const SESSIONS: i64 = 4_000;
const MODELS: i64 = 6;
const YEARS_MS: i64 = 2 * 365 * 24 * 60 * 60 * 1000;
const START_MS: i64 = 1_735_689_600_000;

/// Cells in order of time; sessions overlap and come back, as they do.
fn data() -> ReportData {
    let cells = (0..CELLS).map(|number| {
        let at = UnixMillis(START_MS + number * (YEARS_MS / CELLS));
        let size = u64::try_from(number % 1_000).expect("below a thousand");
        let tokens = TokenCounts::from_array([size, size * 3, size * 10, size * 20, size * 1_000]);
        let totals =
            Totals { tokens, messages: 3, cost: Usd(i128::from(number) * 1_234_567), ..Totals::default() };
        let session = SessionKey((number / 50 + number % 3) % SESSIONS);
        let (model, quarter) = (ModelKey(number % MODELS), at.quarter());
        Cell { session, model, quarter, totals, first: at, last: at, restored: false }
    });
    let session = |number| SessionInfo {
        key: SessionKey(number),
        id: format!("{number:08x}-0000-4000-8000-000000000000"),
        cwd: Some(format!("/home/ann/work/project-{}", number % 40)),
        folder: format!("-home-ann-work-project-{}", number % 40),
    };
    ReportData {
        days: Vec::new(),
        cells: cells.collect(),
        sessions: (0..SESSIONS).map(session).collect(),
        models: (0..MODELS)
            .map(|number| (ModelKey(number), format!("claude-model-{number}-20260101")))
            .collect(),
        unlogged: Vec::new(),
        incomplete: Vec::new(),
        estimates: Vec::new(),
    }
}

fn reports(criterion: &mut Criterion) {
    let data = data();
    let zone = Zone::parse("America/New_York", Zone::UTC).expect("a zone");
    let style = Style { width: Some(120), color: false };
    let kinds = [
        ("daily", Kind::Daily),
        ("session", Kind::Session { id: None }),
        ("blocks", Kind::Blocks(BlockOptions::default())),
    ];
    for (name, kind) in kinds {
        let request = Request::new(kind, zone.clone(), UnixMillis(START_MS + YEARS_MS));
        for (ending, format) in [("table", Format::Table), ("json", Format::Json)] {
            criterion.bench_function(&format!("{name}_{ending}"), |bencher| {
                bencher
                    .iter(|| render(&build(black_box(&data), &request).expect("a report"), format, &style));
            });
        }
    }
}

criterion_group!(benches, reports);
criterion_main!(benches);
