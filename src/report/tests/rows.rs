//! Which cells make which rows: days of a zone, weeks, filters, order.

use super::*;
use chrono::Weekday;

fn zone(name: &str) -> Zone {
    Zone::parse(name, Zone::UTC).expect("a zone")
}

fn at(times: &[&str]) -> ReportData {
    let cells = times.iter().map(|time| cell(1, 1, time, [1, 0, 0, 0, 0], 1)).collect();
    ReportData { cells, ..sample() }
}

/// Each row's name with its number of messages.
fn counts(data: &ReportData, request: &Request, list: &str, key: &str) -> Vec<String> {
    let names = column(data, request, list, key);
    names
        .into_iter()
        .zip(column(data, request, list, "messageCount"))
        .map(|(name, count)| format!("{name} {count}"))
        .collect()
}

#[test]
fn days_are_those_of_the_zone_when_clocks_change() {
    let new_york = Request { zone: zone("America/New_York"), ..request(Kind::Daily) };
    let spring =
        at(&["2026-03-08T04:59:59Z", "2026-03-08T05:00:00Z", "2026-03-09T03:59:59Z", "2026-03-09T04:00:00Z"]);
    assert_eq!(counts(&spring, &new_york, "daily", "date"), ["2026-03-07 1", "2026-03-08 2", "2026-03-09 1"]);
    let autumn =
        at(&["2026-11-01T03:59:59Z", "2026-11-01T04:00:00Z", "2026-11-02T04:59:59Z", "2026-11-02T05:00:00Z"]);
    assert_eq!(counts(&autumn, &new_york, "daily", "date"), ["2026-10-31 1", "2026-11-01 2", "2026-11-02 1"]);
    let kathmandu = Request { zone: zone("Asia/Kathmandu"), ..request(Kind::Monthly) };
    let midnight = at(&["2026-06-30T18:14:59.999Z", "2026-06-30T18:15:00Z"]);
    assert_eq!(counts(&midnight, &kathmandu, "monthly", "month"), ["2026-06 1", "2026-07 1"]);
}

#[test]
fn weeks_begin_on_the_day_asked_for_and_span_the_year() {
    // 27 December 2026 is a Sunday.
    let data =
        at(&["2026-12-26T12:00:00Z", "2026-12-27T12:00:00Z", "2027-01-02T12:00:00Z", "2027-01-03T12:00:00Z"]);
    let weeks = |start_of_week| counts(&data, &request(Kind::Weekly { start_of_week }), "weekly", "week");
    assert_eq!(weeks(Weekday::Sun), ["2026-12-20 1", "2026-12-27 2", "2027-01-03 1"]);
    assert_eq!(weeks(Weekday::Mon), ["2026-12-21 2", "2026-12-28 2"]);
    assert_eq!(weeks(Weekday::Sat), ["2026-12-26 2", "2027-01-02 2"]);
}

#[test]
fn day_filters_are_inclusive_and_local() {
    let data =
        at(&["2026-03-07T12:00:00Z", "2026-03-08T12:00:00Z", "2026-03-09T12:00:00Z", "2026-03-09T23:00:00Z"]);
    let mut asked = request(Kind::Daily);
    asked.since = parse_date("20260308").ok();
    asked.until = parse_date("2026-03-09").ok();
    assert_eq!(counts(&data, &asked, "daily", "date"), ["2026-03-08 1", "2026-03-09 2"]);
    asked.zone = zone("Asia/Tokyo");
    assert_eq!(counts(&data, &asked, "daily", "date"), ["2026-03-08 1", "2026-03-09 1"]);
    asked.since = parse_date("20260310").ok();
    assert!(matches!(build(&data, &asked), Err(ReportError::DatesReversed { .. })));
}

#[test]
fn rows_are_ordered_and_the_last_are_kept() {
    let dates = |request: &Request| column(&sample(), request, "daily", "date");
    assert_eq!(dates(&request(Kind::Daily)), ["2026-03-07", "2026-03-08", "2026-03-10"]);
    let newest_first = Request { order: Order::Descending, last: Some(2), ..request(Kind::Daily) };
    assert_eq!(dates(&newest_first), ["2026-03-10", "2026-03-08"]);
    let totals = &json(&sample(), &newest_first)["totals"];
    assert_eq!((&totals["messageCount"], &totals["sessionCount"]), (&4.into(), &3.into()));
    let sessions = column(&sample(), &request(Kind::Session { id: None }), "sessions", "sessionId");
    assert_eq!(sessions.iter().map(|id| &id[..4]).collect::<Vec<_>>(), ["0a1b", "1111", "2222"]);
    let none = Request { last: Some(0), ..request(Kind::Daily) };
    assert!(build(&sample(), &none).expect("a report").is_empty());
}

#[test]
fn a_session_that_spans_days_counts_once_in_the_totals() {
    let report = json(&sample(), &request(Kind::Daily));
    let by_day: u64 =
        report["daily"].as_array().expect("days").iter().filter_map(|day| day["sessionCount"].as_u64()).sum();
    assert_eq!((by_day, &report["totals"]["sessionCount"]), (4, &3.into()));
}

#[test]
fn one_project_or_session_can_be_asked_for() {
    for name in ["/home/ann/work/api", "api", "-home-ann-work-api"] {
        let request = Request { project: Some(name.into()), ..request(Kind::Project) };
        assert_eq!(counts(&sample(), &request, "projects", "project"), ["/home/ann/work/api 3"], "{name}");
    }
    let one = request(Kind::Session { id: Some("2222".into()) });
    assert_eq!(counts(&sample(), &one, "sessions", "project"), ["-srv-shop 2"]);
    let elsewhere = Request { project: Some("api".into()), ..one };
    assert!(build(&sample(), &elsewhere).expect("a report").is_empty());
    let unknown = Request { project: Some("ap".into()), ..request(Kind::Daily) };
    let error = build(&sample(), &unknown).expect_err("no such project");
    assert_eq!(error.to_string(), "no project is named `ap`; known are -srv-shop, /home/ann/work/api");
}

#[test]
fn billing_windows_are_picked_by_the_day_they_begin_on() {
    let starts = |request: &Request| column(&sample(), request, "blocks", "id");
    let all = [
        "2026-03-07T23:00:00.000Z",
        "gap-2026-03-08T06:10:00.500Z",
        "2026-03-08T09:00:00.000Z",
        "gap-2026-03-08T14:00:00.000Z",
        "2026-03-10T12:00:00.000Z",
    ];
    assert_eq!(starts(&request(blocks())), all);
    let day = parse_date("20260308").ok();
    assert_eq!(starts(&Request { since: day, until: day, ..request(blocks()) }), all[1..4]);
    assert_eq!(starts(&Request { last: Some(2), ..request(blocks()) }), all[2..]);
    let active = Kind::Blocks(BlockOptions { active: true, ..BlockOptions::default() });
    assert_eq!(starts(&request(active)), all[4..]);
    let recent = Kind::Blocks(BlockOptions { recent: true, ..BlockOptions::default() });
    assert_eq!(starts(&request(recent)), all[0..]);
    let long = Kind::Blocks(BlockOptions {
        length: BlockLength::parse("24").expect("hours"),
        ..BlockOptions::default()
    });
    assert_eq!(starts(&request(long)).len(), 3);
}

#[test]
fn the_windows_of_a_project_are_the_accounts() {
    let (api, shop) = (1, 3);
    let times = [
        (api, "2026-03-08T10:30:00Z"),
        (shop, "2026-03-08T12:10:00Z"),
        (shop, "2026-03-08T15:20:00Z"),
        (api, "2026-03-08T19:59:00Z"),
        (shop, "2026-03-08T20:00:00Z"),
    ];
    let cells = times.map(|(session, time)| cell(session, 1, time, [1, 0, 0, 0, 0], 1)).to_vec();
    let data = ReportData { cells, ..sample() };
    let windows = |project: Option<&str>| {
        let request = Request { project: project.map(str::to_owned), ..request(blocks()) };
        let ids = counts(&data, &request, "blocks", "id");
        ids.iter().map(|id| id.replace("2026-03-08T", "").replace(":00.000Z", "")).collect::<Vec<_>>()
    };
    assert_eq!(windows(None), ["10:00 2", "15:00 2", "20:00 1"]);
    assert_eq!(windows(Some("-srv-shop")), ["10:00 1", "15:00 1", "20:00 1"]);
    let api = windows(Some("api"));
    assert_eq!([&api[0], &api[api.len() - 1]], ["10:00 1", "15:00 1"], "{api:?}");
}

#[test]
fn the_end_of_a_window_belongs_to_the_next() {
    let data = at(&["2026-03-08T10:59:00Z", "2026-03-08T14:59:59.999Z", "2026-03-08T15:00:00Z"]);
    let expected = ["2026-03-08T10:00:00.000Z 2", "2026-03-08T15:00:00.000Z 1"];
    assert_eq!(counts(&data, &request(blocks()), "blocks", "id"), expected);
    let mut open = request(blocks());
    for (now, active) in
        [("14:59:59.999", "true,false"), ("15:00:00.000", "false,true"), ("20:00:00.000", "false,false")]
    {
        open.now = UnixMillis::parse(&format!("2026-03-08T{now}Z")).expect("a time");
        assert_eq!(column(&data, &open, "blocks", "isActive").join(","), active, "{now}");
    }
}

#[test]
fn what_comes_from_the_server_is_told_in_words_and_keys() {
    let mut data = sample();
    data.cells[2].restored = true;
    data.cells[2].totals.cost = Usd(2_500_000_000_000);
    let request = request(Kind::Daily);
    let report = json(&data, &request);
    let sums = &report["totals"];
    let keys = ["restoredSessions", "restoredMessages", "restoredTokens", "restoredCost"];
    assert_eq!(keys.map(|key| sums[key].to_string()), ["1", "1", "150", "2.5"]);
    let marked: Vec<bool> =
        report["daily"].as_array().unwrap().iter().map(|row| row.get("restoredSessions").is_some()).collect();
    assert_eq!(marked.iter().filter(|marked| **marked).count(), 1, "{marked:?}");
    let note = "1 session of these (150 tokens, $2.50) restored from the server, without a log here: ";
    let words = |data: &ReportData, request: &Request| text(data, request, Format::Table);
    let told = words(&data, &request);
    assert!(told.contains(&format!("{note}their days are UTC days.")), "{told}");
    assert!(!words(&sample(), &request).contains("restored"), "nothing is said of nothing");
    let windows = words(&data, &self::request(blocks()));
    assert!(windows.contains(&format!("{note}each UTC day of them stands at its noon.")), "{windows}");
}

/// A compaction of the first session, and a session of which nothing else is known.
pub(super) fn with_unlogged() -> ReportData {
    let mut data = sample();
    let unlogged = |session, model, at: &str, cost: Option<i128>| {
        let tokens = TokenCounts { input: 1_000, output: 50, ..TokenCounts::default() };
        let totals = Totals {
            tokens,
            cost: Usd(cost.unwrap_or_default()),
            unpriced: u64::from(cost.is_none()),
            unpriced_tokens: if cost.is_none() { 1_050 } else { 0 },
            ..Totals::default()
        };
        let at = UnixMillis::parse(at).expect("a time");
        Unlogged { session: Some(SessionKey(session)), model: ModelKey(model), at, totals }
    };
    data.sessions.push(session(-4, "33333333-0000-4000-8000-000000000004", None, ""));
    data.unlogged = vec![
        unlogged(1, 1, "2026-03-08T01:30:00.000Z", Some(2_500_000_000_000)),
        unlogged(-4, 4, "2026-03-11T01:00:00.000Z", None),
    ];
    data
}

#[test]
fn what_no_log_has_stands_beside_what_is_logged_and_never_in_it() {
    let data = with_unlogged();
    let (with, without) = (json(&data, &request(Kind::Daily)), json(&sample(), &request(Kind::Daily)));
    assert_eq!(with["totals"]["totalCost"], without["totals"]["totalCost"]);
    assert_eq!(with["totals"]["inputTokens"], without["totals"]["inputTokens"]);
    assert_eq!(with["totals"]["unloggedTokens"], 2_100);
    assert_eq!(with["totals"]["unloggedCost"].to_string(), "2.5");
    assert!(without["totals"].get("unloggedTokens").is_none(), "nothing is said of nothing");
    let days = with["daily"].as_array().expect("rows");
    let of = |date: &str| days.iter().find(|day| day["date"] == date).unwrap_or_else(|| panic!("no {date}"));
    assert_eq!(of("2026-03-08")["unloggedTokens"], 1_050);
    // A day on which nothing was logged has its row all the same, and what has no price has no cost.
    assert_eq!((&of("2026-03-11")["messageCount"], &of("2026-03-11")["totalTokens"]), (&0.into(), &0.into()));
    assert!(of("2026-03-11")["unloggedCost"].is_null());
}

#[test]
fn what_no_log_has_and_no_price_is_named() {
    let mut data = with_unlogged();
    let day = |data: &ReportData, date: &str| {
        let report = json(data, &request(Kind::Daily));
        let days = report["daily"].as_array().expect("rows");
        days.iter().find(|day| day["date"] == date).expect("the day").clone()
    };
    let unpriced = day(&data, "2026-03-11");
    assert_eq!(unpriced["unpricedModels"], serde_json::json!(["house-model-7b"]));
    assert_eq!(unpriced["unloggedUnpricedTokens"], 1_050);
    assert!(day(&data, "2026-03-08").get("unloggedUnpricedTokens").is_none(), "all of it has a price");
    let table = |data: &ReportData| text(data, &request(Kind::Daily), Format::Table);
    let both = "No price is known for house-model-7b: 1 call, 5,100 tokens, 1,050 tokens unlogged.";
    assert!(table(&data).contains(both), "{}", table(&data));
    data.cells.retain(|cell| cell.model != ModelKey(4));
    let alone = "No price is known for house-model-7b: 1,050 tokens unlogged.";
    assert!(table(&data).contains(alone), "{}", table(&data));
}

#[test]
fn what_no_log_has_belongs_to_its_session_project_and_model() {
    let data = with_unlogged();
    for (kind, list, key, expected) in [
        (Kind::Session { id: None }, "sessions", "sessionId", ["0a1b2c3d-0000", "33333333-0000"]),
        (Kind::Model, "models", "modelName", ["claude-opus-4-1", "house-model-7b"]),
    ] {
        let report = json(&data, &request(kind));
        let rows = report[list].as_array().expect("rows").iter();
        let mut found: Vec<_> =
            rows.filter(|row| row["unloggedTokens"] == 1_050).filter_map(|row| row[key].as_str()).collect();
        found.sort_unstable();
        assert_eq!(found.len(), 2, "{report}");
        assert!(found.iter().zip(expected).all(|(name, start)| name.starts_with(start)), "{found:?}");
    }
    let mut one = request(Kind::Daily);
    one.project = Some("api".to_owned());
    assert_eq!(json(&data, &one)["totals"]["unloggedTokens"], 1_050, "of that project alone");
    one.project = None;
    one.instances = true;
    assert_eq!(json(&data, &one)["totals"]["unloggedTokens"], 2_100);
    // The other session logged nothing, so that nobody knows of a window: it is in the sum of all alone.
    let report = json(&data, &request(blocks()));
    assert_eq!(report["totals"]["unloggedTokens"], 2_100);
    assert_eq!(report["blocks"][0]["unloggedTokens"], 1_050);
    let latest = json(&data, &Request { last: Some(9), ..request(blocks()) });
    assert_eq!(latest["totals"]["unloggedTokens"], 1_050);
    let nothing_logged = ReportData { cells: Vec::new(), ..data.clone() };
    let table = text(&nothing_logged, &request(blocks()), Format::Table);
    assert!(table.contains("│ Unlogged") && table.contains("2,100"), "{table}");
    assert_eq!(report["blocks"][0]["costUSD"].to_string(), "4.409360000001", "what is logged, as before");
}

/// All tokens of each day's row, and of the total behind them.
fn totals_of_rows(table: &str) -> Vec<u64> {
    let rows = table.lines().filter(|line| line.starts_with("│ 2") || line.starts_with("│ Total"));
    let cell = |line: &str| {
        let cells: Vec<&str> = line.split(['│', '┆']).map(str::trim).collect();
        cells[cells.len() - 3]
            .replace([',', '≥'], "")
            .parse()
            .unwrap_or_else(|_| panic!("no tokens in {line}"))
    };
    rows.map(cell).collect()
}

#[test]
fn tables_and_csv_tell_logged_and_unlogged_apart() {
    let data = with_unlogged();
    let table = text(&data, &request(Kind::Daily), Format::Table);
    let line = |name: &str| {
        let found = table.lines().find(|line| line.contains(name));
        found.unwrap_or_else(|| panic!("no {name} in {table}")).to_owned()
    };
    assert!(line("│ Logged").contains("$4.42"), "{table}");
    assert!(line("│ Unlogged").contains("$2.50 +?"), "{table}");
    assert!(line("│ Total").contains("$6.92 +?"), "{table}");
    assert!(table.find("│ Total") < table.find("│ Logged"), "both together are read first: {table}");
    let all = totals_of_rows(&table);
    assert_eq!(all.iter().sum::<u64>(), 2 * all[all.len() - 1], "the rows add up to the total: {table}");
    assert!(table.contains("Unlogged: what the client itself tells of and no log does, compactions for one; it is in each row"), "{table}");
    let csv = text(&data, &request(Kind::Daily), Format::Csv);
    let mut lines = csv.lines();
    assert!(
        lines.next().is_some_and(|header| header.ends_with("totalCost,unloggedTokens,unloggedCost")),
        "{csv}"
    );
    assert!(lines.clone().any(|line| line.ends_with(",1050,2.5")), "{csv}");
    assert!(lines.clone().any(|line| line.starts_with("2026-03-11,") && line.ends_with(",1050,")), "{csv}");
    assert!(lines.all(|line| line.split(',').count() == csv.lines().next().unwrap().split(',').count()));
    let mut by_model = request(Kind::Daily);
    by_model.breakdown = true;
    let csv = text(&data, &by_model, Format::Csv);
    let of_model =
        |line: &str| line.starts_with("2026-03-08,claude-opus-4-1-20250805,") && line.ends_with(",1050,2.5");
    assert!(csv.lines().any(of_model), "{csv}");
    let table = text(&data, &by_model, Format::Table);
    assert!(table.contains("└─ opus-4-1, unlogged"), "{table}");
    let breakdowns = json(&data, &request(Kind::Daily))["daily"][1]["modelBreakdowns"].to_string();
    assert_eq!(breakdowns.matches(r#""unloggedTokens":1050"#).count(), 1, "{breakdowns}");
}
