//! What a soak came to: the samples and the tallies as figures, in a file and as text. Says whether memory and
//! descriptors stayed flat over the longest life of a daemon.
#![cfg(test)]

use super::MOST_DESCRIPTORS;
use super::scene::Scene;
use super::settings::Settings;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

/// By how much a daemon may have grown from the second quarter of its life to the last, in percent, beyond what
/// [`SMALL`] allows.
const MOST_GROWTH: u64 = 20;

/// Growth that is no sign of anything, in kB: a page cache of the ledger fills, a queue is longer for a while.
const SMALL: u64 = 8_192;

/// A row of the samples, by the names in its head.
type Row = BTreeMap<String, u64>;

pub(super) struct Figures {
    values: Value,
    is_long: bool,
    most_descriptors: u64,
    tally: BTreeMap<String, u64>,
    growth: Vec<(&'static str, u64, u64)>,
}

fn samples(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let row = |line: &str| {
        let fields = line.split(',').map(|field| field.parse::<u64>().expect("a sample is a whole number"));
        names.iter().map(|name| (*name).to_owned()).zip(fields).collect()
    };
    lines.map(row).collect()
}

/// Whole numbers of a column.
fn column(rows: &[&Row], name: &str) -> Vec<u64> {
    rows.iter().map(|row| row[name]).collect()
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn most(values: &[u64]) -> u64 {
    values.iter().copied().max().unwrap_or(0)
}

/// The samples of each daemon, by its number.
fn lives(rows: &[Row]) -> BTreeMap<u64, Vec<&Row>> {
    let mut lives: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        lives.entry(row["daemon"]).or_default().push(row);
    }
    lives
}

/// Medians of the second and of the last quarter.
fn quarters(life: &[&Row], name: &str) -> (u64, u64) {
    let quarter = life.len() / 4;
    let second = median(column(&life[quarter..life.len() / 2], name));
    (second, median(column(&life[life.len() - quarter..], name)))
}

/// Microseconds of CPU in a second, while it was quiet or while it was not.
fn cpu(life: &[&Row], is_quiet: bool) -> u64 {
    let (mut micros, mut millis) = (0, 0);
    for pair in life.windows(2) {
        let [one, other] = pair else { continue };
        if [one, other].iter().all(|row| (row["is_quiet"] == 1) == is_quiet) {
            micros += (other["cpu_ticks"] - one["cpu_ticks"]) * 10_000;
            millis += other["milliseconds"] - one["milliseconds"];
        }
    }
    micros * 1_000 / millis.max(1)
}

impl Figures {
    pub(super) fn gather(scene: &Scene, settings: &Settings) -> Self {
        let text = fs::read_to_string(settings.file("csv")).expect("samples were written");
        let rows = samples(&text);
        let lives = lives(&rows);
        let longest: Vec<&Row> = lives.values().max_by_key(|life| life.len()).cloned().unwrap_or_default();
        let all: Vec<&Row> = rows.iter().collect();
        let growth: Vec<_> = ["rss_kb", "rss_anon_kb", "descriptors", "threads"]
            .into_iter()
            .map(|name| {
                let (second, last) = quarters(&longest, name);
                (name, second, last)
            })
            .collect();
        let ticks: u64 = lives.values().filter_map(|life| life.last()).map(|row| row["cpu_ticks"]).sum();
        let at = |row: Option<&&Row>| row.map_or(0, |row| row["milliseconds"]);
        let life = at(longest.last()) - at(longest.first());
        let most_descriptors = most(&column(&all, "descriptors"));
        let values = json!({
            "seed": settings.seed,
            "seconds": settings.time.as_secs(),
            "truth": { "responses": scene.truth().messages() },
            "tally": scene.tally(),
            "daemons": lives.len(),
            "cpu_milliseconds": ticks * 10,
            "ledger_bytes": all.last().map_or(0, |row| row["ledger_bytes"]),
            "most": {
                "rss_kb": most(&column(&all, "rss_kb")),
                "rss_anon_kb": most(&column(&all, "rss_anon_kb")),
                "descriptors": most_descriptors,
                "threads": most(&column(&all, "threads")),
            },
            "longest_life": {
                "seconds": life / 1_000,
                "second_and_last_quarter": growth
                    .iter()
                    .map(|(name, second, last)| ((*name).to_owned(), json!([second, last])))
                    .collect::<serde_json::Map<_, _>>(),
                "cpu_microseconds_a_second": { "busy": cpu(&longest, false), "quiet": cpu(&longest, true) },
            },
        });
        let figures =
            Self { values, is_long: settings.is_long(), most_descriptors, tally: scene.tally(), growth };
        fs::write(settings.file("json"), figures.text()).expect("a file can be written");
        figures
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string_pretty(&self.values).expect("figures are JSON")
    }

    /// There was traffic and trouble, and the daemon stayed small under it.
    pub(super) fn check(&self) {
        for what in ["lines", "daemons killed", "requests", "daemons ended by SIGTERM"] {
            assert!(self.tally.get(what).is_some_and(|count| *count > 0), "no {what}");
        }
        assert!(self.most_descriptors <= MOST_DESCRIPTORS, "{} descriptors", self.most_descriptors);
        for (name, second, last) in self.growth.iter().filter(|_| self.is_long) {
            let small = if name.ends_with("_kb") { SMALL } else { 4 };
            let bound = second + (second * MOST_GROWTH / 100).max(small);
            assert!(last <= &bound, "{name} has grown from {second} to {last}");
        }
    }
}
