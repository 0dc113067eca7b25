//! A known bill, and what tallyd and other meters make of the logs that the client left: `scripts/try-client --record`
//! keeps logs, bill and answers in `fixtures/bill`. tallyd's answer from the logs alone is made anew here; the outcome
//! is a table of the README, and the test fails where that says anything else, or where a gap is not explained.
//! `TALLYD_UPDATE=1` writes it anew.
#![cfg(test)]

use crate::support::{Sandbox, root, settle};
use pretty_assertions::assert_eq;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

/// A difference that is none.
const TOLERANCE: Decimal = Decimal::from_parts(1, 0, 0, false, 9);

#[derive(Deserialize)]
struct Bill {
    others: BTreeMap<String, String>,
    live: Live,
    completed: Part,
    cut: Part,
}

/// What the server had in the end, of a tallyd that ran beside the client and received its events.
#[derive(Deserialize)]
struct Live {
    logged: String,
    unlogged: String,
}

/// Replies that were sent whole, or the logged beginnings of those that were cut off.
#[derive(Deserialize)]
struct Part {
    counts: BTreeMap<String, u64>,
    dollars: String,
}

/// Dollars as they stand in a file.
fn dollars(text: &str) -> Decimal {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl Part {
    /// All tokens; 1-hour writes are a part of the writes.
    fn tokens(&self) -> u64 {
        let is_of_none = |kind: &str| kind == "web_search_requests" || kind == "cache_creation_1h_tokens";
        self.counts.iter().filter(|(kind, _)| !is_of_none(kind)).map(|(_, count)| count).sum()
    }
}

/// A row of the table, and why the logs alone are not the bill, where they are not.
struct Case {
    name: &'static str,
    title: &'static str,
    why: Option<&'static str>,
}

const fn case(name: &'static str, title: &'static str) -> Case {
    Case { name, title, why: None }
}

impl Case {
    const fn but(self, why: &'static str) -> Self {
        Self { why: Some(why), ..self }
    }
}

const CASES: &[Case] = &[
    case("text", "One reply"),
    case("tools", "Two replies, seven content blocks"),
    case("sub-agents", "Three sub-agents at once"),
    case("resumed", "A session resumed twice"),
    case("forked", "A forked session, with copies of its history"),
    case("compacted", "A compaction"),
    case("searched-by-tool", "The WebSearch tool"),
    case("hook", "A prompt hook"),
    case("empty", "Replies without content"),
    case("unsaved", "`--no-session-persistence`").but("there is no log"),
    case("overloaded", "Two refusals, then a reply"),
    case("broken-stream", "A reply cut by an error, and its second try"),
    case("interrupted", "A reply that the user stopped, then another"),
    case("killed", "The client killed in mid-reply, then another"),
    case("old-placeholders", "Client 2.1.96: lines written before the count is known")
        .but("no log has the counts"),
];

/// Dollars and tokens of the logs alone, logged and unlogged, less the beginnings of cut replies.
fn counted(name: &str, cut: &Part) -> (Decimal, i128) {
    let sandbox = Sandbox::new();
    sandbox.scan_all(&[root().join("fixtures/bill").join(name).join("projects")], &[]);
    let printed = sandbox.report(&["session", "--json"]);
    let totals = serde_json::from_str::<serde_json::Value>(&printed).expect("JSON")["totals"].clone();
    let amount = |key: &str| {
        let text = totals[key].to_string();
        if totals[key].is_null() {
            Decimal::ZERO
        } else {
            text.parse().or_else(|_| Decimal::from_scientific(&text)).expect("an amount")
        }
    };
    let count = |key: &str| i128::from(totals[key].as_u64().unwrap_or(0));
    let tokens = count("totalTokens") + count("unloggedTokens") - i128::from(cut.tokens());
    (amount("totalCost") + amount("unloggedCost") - dollars(&cut.dollars), tokens)
}

fn shown(value: Decimal, bill: Decimal) -> String {
    let text = format!("{}", value.round_dp(6).normalize());
    if (value - bill).abs() <= TOLERANCE { text } else { format!("**{text}**") }
}

#[test]
fn a_known_bill_stands_in_the_readme_with_what_each_meter_makes_of_it() {
    let mut table = String::from(
        "| What the client did | Bill | ccusage 20.0.24 | agentsview 0.46.1 | claude-monitor 4.0.0 | tallyd, logs alone | \
         tallyd with events |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for case in CASES {
        let path = root().join("fixtures/bill").join(case.name).join("bill.json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let bill: Bill =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let owed = dollars(&bill.completed.dollars);
        let (found, tokens) = counted(case.name, &bill.cut);
        let is_exact = (found - owed).abs() <= TOLERANCE;
        assert_eq!(is_exact, case.why.is_none(), "{}: {found} of {owed}", case.name);
        assert_eq!(is_exact, tokens == i128::from(bill.completed.tokens()), "{}: {tokens}", case.name);
        let live = dollars(&bill.live.logged) + dollars(&bill.live.unlogged) - dollars(&bill.cut.dollars);
        let others =
            ["ccusage", "agentsview", "claude-monitor"].map(|name| shown(dollars(&bill.others[name]), owed));
        let row = [
            owed.round_dp(6).normalize().to_string(),
            others.join(" | "),
            shown(found, owed),
            shown(live, owed),
        ];
        writeln!(table, "| {} | {} |", case.title, row.join(" | ")).expect("a string takes everything");
    }
    settle("README.md", "known-bill", &table);
}
