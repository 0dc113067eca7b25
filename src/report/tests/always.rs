//! What holds for all cells: windows made of quarter hours are those made of single responses, and the
//! sums of a report are those of its cells.

use super::*;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;

/// A window or gap as (start, latest response, responses, tokens); a gap has no response.
type Plain = (i64, Option<i64>, u64, u64);

/// The rule, response by response.
fn windows_of(responses: &[(i64, u64)], length: i64) -> Vec<Plain> {
    let mut sorted = responses.to_vec();
    sorted.sort_unstable();
    let mut windows: Vec<Plain> = Vec::new();
    for (at, tokens) in sorted {
        match windows.last_mut() {
            Some((start, last, count, sum)) if at < *start + length => {
                (*last, *count, *sum) = (Some(at), *count + 1, *sum + tokens);
            }
            before => {
                if let Some((_, Some(last), ..)) = before.copied()
                    && at - last > length
                {
                    windows.push((last + length, None, 0, 0));
                }
                windows.push((at.div_euclid(HOUR) * HOUR, Some(at), 1, tokens));
            }
        }
    }
    windows
}

/// Cells as a ledger has them: one a quarter hour, session and model.
fn cells_of(responses: &[(i64, u64)]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for (number, (at, tokens)) in (0_i64..).zip(responses) {
        let at = UnixMillis(*at);
        let (session, model) = (SessionKey(number % 3), ModelKey(number % 2));
        let tokens = TokenCounts { input: *tokens, ..TokenCounts::default() };
        let totals = Totals { tokens, messages: 1, cost: Usd(i128::from(number)), ..Totals::default() };
        let same =
            |cell: &&mut Cell| (cell.session, cell.model, cell.quarter) == (session, model, at.quarter());
        if let Some(cell) = cells.iter_mut().find(same) {
            cell.totals += totals;
            (cell.first, cell.last) = (cell.first.min(at), cell.last.max(at));
        } else {
            let quarter = at.quarter();
            cells.push(Cell { session, model, quarter, totals, first: at, last: at, restored: false });
        }
    }
    cells
}

fn windows_in(data: &ReportData, request: &Request) -> Vec<Plain> {
    let instant = |value: &serde_json::Value| value.as_str().and_then(UnixMillis::parse).map(|at| at.0);
    let report = json(data, request);
    let blocks = report["blocks"].as_array().expect("windows").iter();
    blocks
        .map(|block| {
            let number = |key: &str| block[key].as_u64().expect("a number");
            let start = instant(&block["startTime"]).expect("a start");
            assert_eq!(block["isGap"], block["actualEndTime"].is_null());
            (start, instant(&block["actualEndTime"]), number("entries"), number("totalTokens"))
        })
        .collect()
}

/// Steps between responses that come close to every border: seconds, quarter hours, whole windows.
fn steps() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let step = prop_oneof![
        0..5_000_i64,
        0..2 * HOUR,
        (0..40_i64).prop_map(|quarters| quarters * 900_000),
        (4..7_i64, -2..3_i64).prop_map(|(hours, off)| hours * HOUR + off),
        0..40 * HOUR,
    ];
    prop::collection::vec((step, 1..1_000_u64), 1..40)
}

proptest! {
    #[test]
    fn windows_of_cells_are_windows_of_responses(start in 0..10 * HOUR, steps in steps(), hours in 1..8_i64) {
        let mut at = start;
        let responses: Vec<(i64, u64)> = steps.into_iter().map(|(step, tokens)| { at += step; (at, tokens) }).collect();
        let length = BlockLength::parse(&hours.to_string()).expect("hours");
        let mut cells = cells_of(&responses);
        cells.reverse();
        let data = ReportData { cells, ..sample() };
        let request = request(Kind::Blocks(BlockOptions { length, ..BlockOptions::default() }));
        prop_assert_eq!(windows_in(&data, &request), windows_of(&responses, hours * HOUR));
    }

    #[test]
    fn every_report_adds_up_to_its_cells(steps in steps()) {
        let mut at = 0;
        let responses: Vec<(i64, u64)> = steps.into_iter().map(|(step, tokens)| { at += step; (at, tokens) }).collect();
        let data = ReportData { cells: cells_of(&responses), ..sample() };
        let mut expected = Totals::default();
        data.cells.iter().for_each(|cell| expected += cell.totals);
        let weekly = Kind::Weekly { start_of_week: chrono::Weekday::Sun };
        let kinds = [Kind::Daily, weekly, Kind::Monthly, Kind::Session { id: None }, Kind::Project, Kind::Model, blocks()];
        for kind in kinds {
            for instances in [false, true] {
                let request = Request { instances, ..request(kind.clone()) };
                let report = build(&data, &request).expect("a report");
                prop_assert_eq!(report.totals.totals, expected);
            }
        }
    }
}
