//! Replies without a final output count: why, and what they most likely had, beside everything and in nothing.

use super::rows::with_unlogged;
use super::*;
use crate::domain::{Cost, Incompleteness, Picodollars};

const AT: &str = "2026-03-08T09:00:00.000Z";

/// Five such replies in a cell of the second session; one of them is restored from a server, so to speak: nothing is
/// known of it.
fn with_incomplete(rests: &[Rest]) -> ReportData {
    let mut data = with_unlogged();
    data.cells[2].totals.incomplete = 5;
    let (session, model) = (data.cells[2].session, data.cells[2].model);
    let count =
        |why, replies| IncompleteCount { session, quarter: data.cells[2].quarter, model, why, replies };
    data.incomplete = vec![
        count(Incompleteness::Placeholder, 2),
        count(Incompleteness::Aborted, 1),
        count(Incompleteness::Error, 1),
    ];
    let at = UnixMillis::parse(AT).expect("a time");
    data.estimates = rests.iter().map(|rest| Estimate { session, model, at, rest: *rest }).collect();
    data
}

fn likely(output: u64, cost: Option<i64>) -> Rest {
    Rest::Likely { output, cost: cost.map_or(Cost::Unpriced, |cost| Cost::Known(Picodollars(cost))) }
}

/// What the day of the replies and the whole report say of a key.
fn said(data: &ReportData, estimate: bool, key: &str) -> [String; 2] {
    let report = json(data, &Request { estimate, ..request(Kind::Daily) });
    let days = report["daily"].as_array().expect("rows");
    let day = days.iter().find(|day| day["date"] == "2026-03-08").expect("the day");
    [day[key].to_string(), report["totals"][key].to_string()]
}

#[test]
fn every_reply_without_a_final_count_has_a_reason() {
    let data = with_incomplete(&[]);
    let reasons = r#"{"aborted":1,"error":1,"placeholder":2,"unknown":1}"#;
    assert_eq!(said(&data, false, "incompleteReplies"), [reasons, reasons]);
    let report = json(&data, &request(Kind::Daily));
    assert!(report["daily"][0].get("incompleteReplies").is_none(), "of a day without any");
    let table = text(&data, &request(Kind::Daily), Format::Table);
    let note = "≥ 5 replies without a final output count in the log (2 by a client up to 2.1.96, 1 stopped by the user, \
                1 cut off by an error, 1 for an unknown reason): output and cost are lower bounds.";
    assert!(table.contains(note), "{table}");
    for (kind, list) in
        [(Kind::Session { id: None }, "sessions"), (Kind::Model, "models"), (blocks(), "blocks")]
    {
        let report = json(&data, &request(kind));
        let rows = report[list].as_array().expect("rows").iter();
        let of_rows: Vec<_> =
            rows.filter_map(|row| row.get("incompleteReplies")).map(ToString::to_string).collect();
        assert_eq!(of_rows, [reasons], "{list}");
    }
}

#[test]
fn an_estimate_is_in_no_exact_sum() {
    let rests =
        [likely(100, Some(2_500_000_000)), likely(7, Some(500_000_000)), Rest::InAccount, Rest::Unknown];
    let data = with_incomplete(&rests);
    assert_eq!(said(&data, true, "estimatedTokens"), ["107", "107"]);
    assert_eq!(said(&data, true, "estimatedCost"), ["0.003", "0.003"]);
    for key in ["totalTokens", "outputTokens", "totalCost", "unloggedTokens", "unloggedCost"] {
        assert_eq!(said(&data, true, key), said(&data, false, key), "{key}");
    }
    assert_eq!(said(&data, false, "estimatedTokens"), ["null", "null"], "not asked for");
    assert_eq!(said(&data, false, "estimatedCost"), ["null", "null"]);
}

#[test]
fn what_cannot_be_estimated_is_not_nothing() {
    for (rests, tokens, cost) in [
        (vec![Rest::Unknown], "null", "null"),
        (vec![Rest::InAccount], "0", "0"),
        (vec![likely(5, None)], "5", "null"),
    ] {
        let data = with_incomplete(&rests);
        assert_eq!(said(&data, true, "estimatedTokens"), [tokens, tokens], "{rests:?}");
        assert_eq!(said(&data, true, "estimatedCost"), [cost, cost], "{rests:?}");
        let csv = text(&data, &Request { estimate: true, ..request(Kind::Daily) }, Format::Csv);
        let header = csv.lines().next().expect("a header");
        assert!(header.ends_with(",unloggedTokens,unloggedCost,estimatedTokens,estimatedCost"), "{csv}");
        let blank = |text: &str| if text == "null" { String::new() } else { text.to_owned() };
        let end = format!(",{},{}", blank(tokens), blank(cost));
        let day = csv.lines().find(|line| line.starts_with("2026-03-08,")).expect("the day");
        assert!(day.ends_with(&end), "{day} {end}");
    }
}

#[test]
fn a_table_has_the_estimate_below_its_total_and_says_what_it_is() {
    let rests = [likely(12_345, Some(2_500_000_000_000)), Rest::InAccount, Rest::Unknown, Rest::Unknown];
    let data = with_incomplete(&rests);
    for kind in [Kind::Daily, Kind::Session { id: None }, blocks()] {
        let expected = match kind {
            Kind::Blocks(_) => "Logged Unlogged Total Estimated",
            _ => "Total Logged Unlogged Estimated",
        };
        let request = Request { estimate: true, ..request(kind) };
        let table = text(&data, &request, Format::Table);
        let names: Vec<&str> =
            table.lines().filter_map(|line| line.strip_prefix("│ ")?.split(' ').next()).collect();
        let sums = names[names.len() - 4..].join(" ");
        assert_eq!(sums, expected, "{table}");
        let estimated = table.lines().find(|line| line.contains("Estimated ")).expect("the row");
        assert!(estimated.contains("~12,345") && estimated.contains("~$2.50"), "{table}");
        for note in [
            "Estimated: output of 1 of these replies beyond what is logged",
            "off by more than 30 %, sums by 3 %, those of one model by up to a quarter. It is in no sum",
            "The rest of 1 of these replies is in the client's account or events, and in Unlogged",
            "2 of these replies have no estimate",
        ] {
            assert!(table.contains(note), "{note}: {table}");
        }
        let unasked = text(&data, &Request { estimate: false, ..request }, Format::Table);
        assert!(!unasked.contains("stimate"), "{unasked}");
    }
}
