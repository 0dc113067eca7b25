//! What people and programs read of a comparison.

use super::*;
use crate::report::{Format, Style};

#[test]
fn a_comparison_is_written_down_in_three_forms() {
    let mut ours = logged(OPUS);
    ours.totals.incomplete = 1;
    let book = book(vec![ours]);
    let day = "2026-11-20";
    let mut theirs = reading(
        Source::Api,
        vec![
            says(on(day), OPUS, more([9, 250, 0, 500, 8000]), COST + 10_636_000_000),
            says(on("2026-11-21"), "=evil\u{1b}[2J", [1, 2, 0, 0, 0], 5_000_000_000),
        ],
    );
    theirs.not_understood("/v1/x", "the field `y_tokens` is not known".to_owned());
    theirs.notes.push("costs are not known".to_owned());
    let comparison = compare(vec![theirs], &book, &PriceTable::shipped(), &request());
    let style = Style::default();
    insta::assert_snapshot!("table", render(&comparison, Format::Table, &style));
    insta::assert_snapshot!("json", render(&comparison, Format::Json, &style));
    insta::assert_snapshot!("csv", render(&comparison, Format::Csv, &style));
}
