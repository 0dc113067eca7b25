//! The cases that meters get wrong, each with its one right answer, run through the built binary. The
//! outcome is also the comparison table of the README: it is rendered here, and the test fails where the
//! README or `fixtures/comparison.md` says anything else. `TALLYD_UPDATE=1` writes both anew.
//!
//! What the other tools answered was measured on their released binaries, offline, on the same cases:
//! ccusage 20.0.24 (npm), agentsview 0.46.1 and claude-monitor 4.0.0 (both `PyPI`).

use crate::support::{Counts, Sandbox, settle};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;

const SESSION: &str = "11111111-1111-4111-8111-111111111111";
const OTHER_SESSION: &str = "22222222-2222-4222-8222-222222222222";
const M: u64 = 1_000_000;

/// At this date Sonnet 4.5 had its price for prompts above 200,000 tokens (until 2026-04-30).
const TIERED: &str = "2026-03-01";
/// At this date all prices of 2026-11 were in force.
const LATE: &str = "2026-11-01";
const SONNET: &str = "claude-sonnet-4-5-20250929";
const OPUS: &str = "claude-opus-4-6";
const RIGHT: &str = "right";

/// One row of the table.
struct Case {
    title: &'static str,
    answer: &'static str,
    /// Path below the project folder, and content.
    logs: Vec<(String, String)>,
    /// Messages, input, output, 5-minute writes, 1-hour writes, reads.
    tokens: [u64; 6],
    /// Exact dollars; `None` where there is no price.
    cost: Option<&'static str>,
    unpriced: u64,
    /// ccusage, agentsview, claude-monitor.
    others: [&'static str; 3],
}

/// A finished reply: input, output, 5-minute writes, 1-hour writes, reads.
fn reply(name: &str, model: &str, day: &str, tokens: [u64; 5]) -> Value {
    let [input, output, five, hour, read] = tokens;
    json!({
        "parentUuid": null, "isSidechain": false, "type": "assistant", "uuid": format!("uuid-{name}-{output}"),
        "sessionId": SESSION, "cwd": "/home/dev/p", "version": "2.1.330", "requestId": format!("req_011{name:0>21}"),
        "timestamp": format!("{day}T10:00:00.000Z"),
        "message": {
            "id": format!("msg_01{name:0>22}"), "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": "words"}], "stop_reason": "end_turn", "stop_details": null,
            "usage": {
                "input_tokens": input, "output_tokens": output, "cache_read_input_tokens": read,
                "cache_creation_input_tokens": five + hour,
                "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
                "service_tier": "standard", "speed": "standard", "iterations": []
            }
        }
    })
}

fn with_usage(mut record: Value, key: &str, value: Value) -> Value {
    record["message"]["usage"][key] = value;
    record
}

fn with(mut record: Value, key: &str, value: Value) -> Value {
    record[key] = value;
    record
}

fn without(mut record: Value, key: &str) -> Value {
    record.as_object_mut().expect("a record").remove(key);
    record
}

fn log(records: &[Value]) -> Vec<(String, String)> {
    vec![file(&format!("{SESSION}.jsonl"), records)]
}

fn file(path: &str, records: &[Value]) -> (String, String) {
    let lines: Vec<_> = records.iter().map(Value::to_string).collect();
    (path.to_owned(), lines.join("\n") + "\n")
}

/// Five replies, each with a million tokens of one kind.
fn mix(model: &str, day: &str) -> Vec<(String, String)> {
    let records: Vec<_> = (0..5)
        .map(|kind| {
            let mut tokens = [0; 5];
            tokens[kind] = M;
            reply(&format!("mix{kind}"), model, day, tokens)
        })
        .collect();
    log(&records)
}

fn case(title: &'static str, answer: &'static str, logs: Vec<(String, String)>) -> Case {
    Case { title, answer, logs, tokens: [0; 6], cost: None, unpriced: 0, others: ["–"; 3] }
}

impl Case {
    fn counts(mut self, tokens: [u64; 6], cost: &'static str) -> Self {
        self.tokens = tokens;
        self.cost = Some(cost);
        self
    }

    fn unpriced(mut self, tokens: [u64; 6]) -> Self {
        self.tokens = tokens;
        self.unpriced = tokens[0];
        self
    }

    fn others(mut self, ccusage: &'static str, agentsview: &'static str, monitor: &'static str) -> Self {
        self.others = [ccusage, agentsview, monitor];
        self
    }
}

/// Which lines are one reply.
fn counting() -> Vec<Case> {
    let one = || reply("a", SONNET, TIERED, [1000, 0, 0, 0, 0]);
    let two = || reply("b", SONNET, TIERED, [1000, 0, 0, 0, 0]);
    let growing = [1, M].map(|output| reply("a", SONNET, TIERED, [M, output, 0, 0, 0]));
    let copy = file(&format!("{OTHER_SESSION}.jsonl"), &[with(one(), "sessionId", json!(OTHER_SESSION))]);
    let agent_path = format!("{SESSION}/subagents/agent-a1.jsonl");
    let agent = file(&agent_path, &[with(two(), "isSidechain", json!(true))]);
    let bare = || without(one(), "requestId");
    vec![
        case(
            "Streamed reply, 1 M in, output grows from 1 to 1 M (Sonnet 4.5)",
            "1 M out, $28.50",
            log(&growing),
        )
        .counts([1, M, M, 0, 0, 0], "28.5")
        .others("$26.40", RIGHT, "1 token out, $3"),
        case("The same line three times", "once", log(&[one(), one(), one()]))
            .counts([1, 1000, 0, 0, 0, 0], "0.003")
            .others(RIGHT, RIGHT, "–"),
        case("A resumed session's copy of a line", "once", [log(&[one()]), vec![copy]].concat())
            .counts([1, 1000, 0, 0, 0, 0], "0.003")
            .others(RIGHT, RIGHT, RIGHT),
        case("A reply of a sub-agent in its own file", "both", [log(&[one()]), vec![agent]].concat())
            .counts([2, 2000, 0, 0, 0, 0], "0.006")
            .others(RIGHT, RIGHT, RIGHT),
        case("A repeated line without `requestId`", "once", log(&[bare(), bare()]))
            .counts([1, 1000, 0, 0, 0, 0], "0.003")
            .others(RIGHT, RIGHT, "twice"),
    ]
}

/// What long prompts and cache writes cost.
fn tiers() -> Vec<Case> {
    let sonnet = |tokens| log(&[reply("a", SONNET, TIERED, tokens)]);
    vec![
        case("0 in + 1 M out (Sonnet 4.5)", "$15", sonnet([0, M, 0, 0, 0]))
            .counts([1, 0, M, 0, 0, 0], "15")
            .others("$21", RIGHT, RIGHT),
        case("1 M written to the 1-hour cache (prompt above 200 K)", "$12", sonnet([0, 0, 0, M, 0]))
            .counts([1, 0, 0, 0, M, 0], "12")
            .others("$10.80", RIGHT, "no data"),
        case("1 M written to the 5-minute cache (prompt above 200 K)", "$7.50", sonnet([0, 0, M, 0, 0]))
            .counts([1, 0, 0, M, 0, 0], "7.5")
            .others("$6.75", RIGHT, "no data"),
        case("300 K in + 1 K out (Sonnet 4.5)", "$1.8225", sonnet([300_000, 1000, 0, 0, 0]))
            .counts([1, 300_000, 1000, 0, 0, 0], "1.8225")
            .others("$1.215", RIGHT, "$0.92"),
        case("150 K in + 150 K cache read + 1 K out", "$1.0125", sonnet([150_000, 1000, 0, 0, 150_000]))
            .counts([1, 150_000, 1000, 0, 0, 150_000], "1.0125")
            .others("$0.51", RIGHT, "–"),
        case("100 in + 300 K out (no long prompt)", "$4.5003", sonnet([100, 300_000, 0, 0, 0]))
            .counts([1, 100, 300_000, 0, 0, 0], "4.5003")
            .others("$5.2503", RIGHT, "–"),
    ]
}

/// Options of a reply that change its price, or that must not lose it.
fn options() -> Vec<Case> {
    let opus = |tokens| reply("a", OPUS, "2026-04-01", tokens);
    let sonnet = |tokens| reply("a", SONNET, TIERED, tokens);
    let compaction = json!([{"type": "compaction", "input_tokens": 100_000, "output_tokens": 2000,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}]);
    let searches = json!({"web_search_requests": 1000, "web_fetch_requests": 0});
    let spaced = format!("{}\n", sonnet([1000, 0, 0, 0, 0])).replace("\":", "\": ").replace(',', ", ");
    vec![
        case(
            "Fast mode, 1 K in + 1 M out (Opus 4.6)",
            "$150.03",
            log(&[with_usage(opus([1000, M, 0, 0, 0]), "speed", json!("fast"))]),
        )
        .counts([1, 1000, M, 0, 0, 0], "150.03")
        .others(RIGHT, "$25.005", "$25"),
        case(
            "`\"speed\":null`",
            "counted",
            log(&[with_usage(sonnet([1000, 0, 0, 0, 0]), "speed", Value::Null)]),
        )
        .counts([1, 1000, 0, 0, 0, 0], "0.003")
        .others("line dropped", RIGHT, RIGHT),
        case("JSON with spaces: `\"usage\": {`", "counted", vec![(format!("{SESSION}.jsonl"), spaced)])
            .counts([1, 1000, 0, 0, 0, 0], "0.003")
            .others("line dropped", RIGHT, RIGHT),
        case(
            "1,000 web searches",
            "$10.003",
            log(&[with_usage(sonnet([1000, 0, 0, 0, 0]), "server_tool_use", searches)]),
        )
        .counts([1, 1000, 0, 0, 0, 0], "10.003")
        .others("$0.003", RIGHT, "$0"),
        case(
            "US inference, 1 M out (Opus 4.6)",
            "$27.50",
            log(&[with_usage(opus([0, M, 0, 0, 0]), "inference_geo", json!("us"))]),
        )
        .counts([1, 0, M, 0, 0, 0], "27.5")
        .others("$25", "$25", "$25"),
        case(
            "Batch tier, 1 M out (Sonnet 4.5)",
            "$7.50",
            log(&[with_usage(sonnet([0, M, 0, 0, 0]), "service_tier", json!("batch"))]),
        )
        .counts([1, 0, M, 0, 0, 0], "7.5")
        .others("$21", "$15", "not halved"),
        case(
            "A compaction inside a call (`iterations`)",
            "counted",
            log(&[with_usage(sonnet([1000, 1000, 0, 0, 0]), "iterations", compaction)]),
        )
        .counts([1, 101_000, 3000, 0, 0, 0], "0.348")
        .others("not counted", "not counted", "–"),
    ]
}

/// Models old and new.
fn models() -> Vec<Case> {
    let all = [5, M, M, M, M, M];
    let unknown = log(&[reply("a", "claude-unheard-of-9", LATE, [0, M, 0, 0, 0])]);
    vec![
        case("Unknown model, 1 M out", "tokens, unpriced", unknown).unpriced([1, 0, M, 0, 0, 0]).others(
            "right ($0, named)",
            "$0, unnamed",
            "$15",
        ),
        case("Opus 5.5, 1 M of each kind", "$37.20", mix("claude-opus-5-5", LATE))
            .counts(all, "37.2")
            .others("$0, named", "$46.75", "more than 3×"),
        case("Fable 5.2, 1 M of each kind", "$74.20", mix("claude-fable-5-2", LATE))
            .counts(all, "74.2")
            .others("$0, named", "$93.50", "–"),
        case("Fable 5.1, 1 M of each kind", "$92.75", mix("claude-fable-5-1", LATE))
            .counts(all, "92.75")
            .others(RIGHT, "$93.50", "–"),
        case(
            "Sonnet 5.5, 1 M of each kind, before 2026-10-07",
            "$18.70",
            mix("claude-sonnet-5-5", "2026-10-06"),
        )
        .counts(all, "18.7")
        .others("$0, named", RIGHT, "–"),
        case("Sonnet 5.5, the same from 2026-10-07 on", "$18.60", mix("claude-sonnet-5-5", "2026-10-07"))
            .counts(all, "18.6"),
        case("Haiku 5.5, 1 M of each kind", "$2.675", mix("claude-haiku-5-5", LATE))
            .counts(all, "2.675")
            .others("$0, named", "$0", "–"),
    ]
}

/// Where logs are.
fn places() -> Vec<Case> {
    let deep = file("a/b/c/d/e/f/deep.jsonl", &[reply("a", SONNET, TIERED, [1000, 0, 0, 0, 0])]);
    vec![
        case("No logs at all", "0", Vec::new()).counts([0; 6], "0").others("-0.0", RIGHT, RIGHT),
        case("A log in deeply nested folders", "counted", vec![deep])
            .counts([1, 1000, 0, 0, 0, 0], "0.003")
            .others(RIGHT, "0", RIGHT),
    ]
}

/// What tallyd says to a case: "right", or what it said instead.
fn outcome(case: &Case) -> String {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.claude().join("projects")).expect("a folder");
    for (path, content) in &case.logs {
        sandbox.log(path, content.as_bytes());
    }
    sandbox.scan();
    let Counts { total_cost, unpriced_messages, .. } = sandbox.models().totals;
    let found = (sandbox.models().totals.tokens(), total_cost, unpriced_messages);
    let cost = case.cost.map(|digits| digits.parse::<Decimal>().expect("a decimal"));
    if found == (case.tokens, cost, case.unpriced) { RIGHT.to_owned() } else { format!("{found:?}") }
}

fn render(rows: &[(Case, String)]) -> String {
    let mut table = String::from(
        "| Case | Right answer | tallyd | ccusage 20.0.24 | agentsview 0.46.1 | claude-monitor 4.0.0 |\n|---|---|---|---|---|---|\n",
    );
    let mark = |cell: &str| {
        if cell.starts_with(RIGHT) || cell == "–" { cell.to_owned() } else { format!("**{cell}**") }
    };
    for (case, own) in rows {
        let [ccusage, agentsview, monitor] = case.others.map(mark);
        let cells = [case.title, case.answer, &mark(own), &ccusage, &agentsview, &monitor].join(" | ");
        writeln!(table, "| {cells} |").expect("a string takes everything");
    }
    table
}

#[test]
fn the_comparison_is_right_in_every_row_and_stands_in_the_readme() {
    let cases = [counting(), tiers(), options(), models(), places()].into_iter().flatten();
    let rows: Vec<_> = cases
        .map(|case| {
            let own = outcome(&case);
            (case, own)
        })
        .collect();
    let wrong: Vec<_> =
        rows.iter().filter(|(_, own)| own != RIGHT).map(|(case, own)| (case.title, own)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(rows.len(), 27, "a row was lost");
    let table = render(&rows);
    settle("fixtures/comparison.md", "comparison", &table);
    settle("README.md", "comparison", &table);
}

#[test]
fn nothing_at_all_is_a_plain_zero() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.claude().join("projects")).expect("a folder");
    sandbox.scan();
    let text = sandbox.report(&["daily", "--json"]);
    assert_eq!(sandbox.days().rows.len(), 0);
    assert_eq!(sandbox.days().totals.total_cost, Some(Decimal::ZERO));
    assert!(!text.contains("-0"), "{text}");
}
