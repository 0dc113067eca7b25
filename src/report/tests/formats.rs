//! What each format prints, kept as snapshots: people and scripts rely on it.

use super::*;
use chrono::Weekday;

fn kinds() -> [(&'static str, Kind); 7] {
    [
        ("daily", Kind::Daily),
        ("weekly", Kind::Weekly { start_of_week: Weekday::Sun }),
        ("monthly", Kind::Monthly),
        ("session", Kind::Session { id: None }),
        ("project", Kind::Project),
        ("model", Kind::Model),
        ("blocks", blocks()),
    ]
}

#[test]
fn every_report_in_every_format() {
    for (name, kind) in kinds() {
        for (ending, format) in [("table", Format::Table), ("json", Format::Json), ("csv", Format::Csv)] {
            insta::assert_snapshot!(
                format!("{name}_{ending}"),
                text(&sample(), &request(kind.clone()), format)
            );
        }
    }
}

#[test]
fn breakdowns_instances_and_no_cost() {
    for (name, format) in [("table", Format::Table), ("json", Format::Json), ("csv", Format::Csv)] {
        let by_project = Request { instances: true, breakdown: true, ..request(Kind::Daily) };
        insta::assert_snapshot!(format!("instances_{name}"), text(&sample(), &by_project, format));
        let no_cost = Request { no_cost: true, ..request(Kind::Monthly) };
        insta::assert_snapshot!(format!("no_cost_{name}"), text(&sample(), &no_cost, format));
    }
    let blocks_without = text(&sample(), &Request { no_cost: true, ..request(blocks()) }, Format::Json);
    assert!(!blocks_without.to_lowercase().contains("cost"), "{blocks_without}");
}

#[test]
fn compact_tables_fit_narrow_terminals() {
    for (name, kind) in kinds() {
        for width in [60, 80, 99, 100, 120, 200] {
            let request = Request { breakdown: true, ..request(kind.clone()) };
            let table =
                text_at(&sample(), &request, Format::Table, Style { width: Some(width), color: false });
            let drawn = table.lines().filter(|line| line.starts_with(['│', '┌', '├', '└', '╞']));
            let widest = drawn.map(|line| line.chars().count()).max().expect("a table");
            assert!(widest <= usize::from(width), "{name} is {widest} wide on {width}:\n{table}");
        }
    }
    let narrow = Style { width: Some(80), color: false };
    insta::assert_snapshot!("narrow_daily", text_at(&sample(), &request(Kind::Daily), Format::Table, narrow));
    let session = request(Kind::Session { id: None });
    insta::assert_snapshot!("narrow_session", text_at(&sample(), &session, Format::Table, narrow));
}

#[test]
fn columns_go_before_a_number_is_cut_in_two() {
    let mut data = sample();
    let large = [1_234_567, 2_345_678, 34_567_890, 0, 4_567_890_123];
    data.cells.push(cell(1, 1, "2026-03-08T00:00:00.000Z", large, 9_876_543_210_000_000));
    for session in &mut data.sessions {
        session.cwd = Some("/home/ann/a-project-with-a-long-name/inside-of-another".into());
    }
    let at = |request: &Request, width| text_at(&data, request, Format::Table, Style { width, color: false });
    for (name, kind) in kinds() {
        let request = Request { instances: kind == Kind::Daily, ..request(kind) };
        let endless = at(&request, None);
        let total = endless.lines().find(|line| line.starts_with("│ Total")).expect("a total");
        let cost = total.split(['│', '┆']).map(str::trim).find(|cell| cell.contains('$')).expect("a cost");
        for width in [60, 80, 100, 120, 140] {
            let table = at(&request, Some(width));
            assert!(table.contains(cost), "{name} on {width}: no {cost} in\n{table}");
            let is_cut = |cell: &str| {
                let cell = cell.trim();
                let is_digits = cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
                is_digits && (cell.starts_with(',') || cell.ends_with(','))
            };
            assert!(!table.split(['│', '┆', '\n']).any(is_cut), "{name} on {width}:\n{table}");
        }
    }
}

#[test]
fn colour_is_the_callers_choice() {
    let request = request(Kind::Daily);
    let colourful = text_at(&sample(), &request, Format::Table, Style { width: None, color: true });
    assert!(colourful.contains("\u{1b}["));
    let plain = text_at(&sample(), &request, Format::Table, Style { width: None, color: false });
    assert!(!plain.contains('\u{1b}'));
}

#[test]
fn a_limit_and_an_open_window() {
    let mut data = sample();
    data.cells.push(cell(3, 3, "2026-03-10T12:31:00.000Z", [1_000, 500, 0, 0, 10_000], 4_500_000_000));
    for (name, limit) in [("number", TokenLimit::Tokens(20_000)), ("max", TokenLimit::Max)] {
        let options = BlockOptions { active: true, token_limit: Some(limit), ..BlockOptions::default() };
        let request = request(Kind::Blocks(options));
        insta::assert_snapshot!(format!("limit_{name}_table"), text(&data, &request, Format::Table));
        insta::assert_snapshot!(format!("limit_{name}_json"), text(&data, &request, Format::Json));
    }
}

#[test]
fn an_empty_report_is_zero_and_says_so() {
    let empty = ReportData::default();
    insta::assert_snapshot!("empty_json", text(&empty, &request(Kind::Daily), Format::Json));
    for (name, kind) in kinds() {
        let request = request(kind);
        let totals = &json(&empty, &request)["totals"];
        assert_eq!(
            (totals["totalCost"].to_string(), totals["totalTokens"].to_string()),
            ("0".into(), "0".into())
        );
        assert_eq!(text(&empty, &request, Format::Table), "No usage was found.\n", "{name}");
        assert_eq!(text(&empty, &request, Format::Csv).lines().count(), 1, "{name}");
    }
    let since = Request { since: parse_date("20260401").ok(), ..request(Kind::Daily) };
    assert_eq!(text(&sample(), &since, Format::Table), "No usage was found (since 2026-04-01, UTC).\n");
    let active = Kind::Blocks(BlockOptions { active: true, ..BlockOptions::default() });
    assert_eq!(text(&empty, &request(active), Format::Table), "No billing window is open.\n");
}

#[test]
fn json_numbers_carry_every_digit() {
    let mut data = sample();
    data.cells = vec![cell(1, 1, "2026-03-08T00:00:00.000Z", [1, 0, 0, 0, 0], 123_456_789_012_345_678)];
    for (name, kind) in kinds() {
        let key = if name == "blocks" { "costUSD" } else { "totalCost" };
        let report = text(&data, &request(kind), Format::Json);
        assert!(report.contains(&format!("\"{key}\": 123456.789012345678,")), "{name}: {report}");
        assert!(report.contains("\"cost\": 123456.789012345678,"), "{name}: {report}");
    }
    let smallest = vec![cell(1, 1, "2026-03-08T00:00:00.000Z", [1, 0, 0, 0, 0], 1)];
    data.cells = smallest;
    let report = text(&data, &request(Kind::Daily), Format::Json);
    assert!(report.contains("\"totalCost\": 0.000000000001,"), "{report}");
    assert!(text(&data, &request(Kind::Daily), Format::Csv).ends_with(",0.000000000001,0,0\n"));
}

#[test]
fn unpriced_is_null_or_empty_and_never_zero() {
    let mut data = sample();
    data.cells.retain(|cell| cell.model == ModelKey(4));
    let report = json(&data, &request(Kind::Daily));
    assert!(report["daily"][0]["totalCost"].is_null() && report["totals"]["totalCost"].is_null());
    assert!(report["daily"][0]["modelBreakdowns"][0]["cost"].is_null());
    assert_eq!(report["totals"]["unpricedModels"][0], "house-model-7b");
    assert_eq!(report["totals"]["totalTokens"], 5_100);
    assert!(text(&data, &request(Kind::Daily), Format::Csv).ends_with(",house-model-7b,,0,0\n"));
    let table = text(&data, &request(Kind::Daily), Format::Table);
    assert!(table.contains("unpriced") && table.contains("tallyd prices --help"), "{table}");
    assert!(!table.contains("$0.00"), "{table}");
}

/// Names come from logs, which anything may have written.
#[test]
fn hostile_names_do_no_harm() {
    let mut data = sample();
    for name in &mut data.models {
        name.1 = "=HYPERLINK(\"http://x\",\"a\")\u{1b}]0;owned\u{7}\u{9b}2J\r\n\u{202e}\u{7f}".into();
    }
    for session in &mut data.sessions {
        session.id.insert_str(0, "@\u{1b}[2J");
        session.cwd = Some("+/tmp/\u{1b}[31mred\n\tx".into());
        session.folder = "-\u{8}folder".into();
    }
    let harmful = |next: char| (next.is_control() && next != '\n') || next == '\u{202e}';
    for (name, kind) in kinds() {
        let request = Request { breakdown: true, instances: true, ..request(kind) };
        for format in [Format::Table, Format::Json, Format::Csv] {
            let report = text(&data, &request, format);
            assert!(!report.contains(harmful) && !report.contains("owned"), "{name}: {report}");
        }
        let sheet = text(&data, &request, Format::Csv);
        let mut reader = ::csv::Reader::from_reader(sheet.as_bytes());
        for record in reader.records() {
            let record = record.expect("a line like the header");
            assert!(
                record.iter().all(|field| !field.starts_with(['=', '+', '-', '@'])),
                "{name}: {record:?}"
            );
        }
    }
    insta::assert_snapshot!("hostile_csv", text(&data, &request(Kind::Session { id: None }), Format::Csv));
    insta::assert_snapshot!(
        "hostile_table",
        text(&data, &request(Kind::Session { id: None }), Format::Table)
    );
}
