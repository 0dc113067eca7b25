//! Tests of the texts of `tallyd prices`.

use super::*;
use pretty_assertions::assert_eq;

const FILE: &str = r#"
[[models]]
id = "claude-opus-5"
input = 4
output = 20
cache_write_5m = 5
cache_write_1h = 8
cache_read = "0.4"

[[models]]
id = "claude-sonnet-4"
input = 3
output = 15
cache_write_5m = "3.75"
cache_write_1h = 6
cache_read = "0.3"
us_geo = "1.1"
web_search_per_1000 = 10
[models.long_prompt]
above = 100000
valid_to = 2026-04-30
input = 6
output = "22.5"
cache_write_5m = "7.5"
cache_write_1h = 12
cache_read = "0.6"

[[models]]
id = "claude-3-haiku-20240307"
input = "0.25"
output = "1.25"
cache_write_5m = "0.3"
cache_write_1h = "0.5"
cache_read = "0.03"
batch = "0.5"
"#;

fn at(day: &str) -> UnixMillis {
    UnixMillis::parse(&format!("{day}T12:00:00Z")).unwrap()
}

fn mine() -> PriceTable {
    PriceTable::parse(FILE, "mine.toml").unwrap()
}

#[test]
fn the_table_shows_what_is_in_force() {
    let text = render_table(&mine(), at("2026-11-21"), false, None);
    insta::assert_snapshot!(text);
    let text = render_table(&mine(), at("2026-04-29"), false, None);
    assert!(text.contains("prompt > 100000"), "{text}");

    let shipped = PriceTable::shipped();
    let now = render_table(&shipped, at("2026-11-21"), false, None);
    assert!(now.contains("claude-sonnet-5-5") && now.contains("from 2026-10-07"), "{now}");
    assert!(!now.contains("until 2026-10-07") && now.contains("rows of other days, not shown: 1."), "{now}");
    assert!(!now.contains("(shipped)"), "{now}");
    let all = render_table(&shipped, at("2026-11-21"), true, None);
    assert!(all.contains("until 2026-10-07") && !all.contains("not shown"), "{all}");
}

/// What is too wide loses columns before it breaks names.
#[test]
fn the_table_fits_the_terminal() {
    for (all, width, has_dates, has_multipliers, whole_names) in [
        (false, 200, true, true, true),
        (true, 200, true, true, true),
        (false, 100, true, false, true),
        (true, 100, true, false, true),
        (false, 80, false, false, true),
        (true, 80, true, false, false),
        (false, 50, false, false, false),
    ] {
        let text = render_table(&PriceTable::shipped(), at("2026-11-21"), all, Some(width));
        let table: Vec<&str> = text.lines().take_while(|line| !line.starts_with("USD")).collect();
        let widest = table.iter().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(width), "{widest}\n{text}");
        assert_eq!(table[0].contains("Valid"), has_dates, "{text}");
        assert_eq!(table[0].contains("Fast"), has_multipliers, "{text}");
        assert_eq!(text.contains("claude-3-5-sonnet-20241022"), whole_names, "{text}");
        assert_eq!(text.contains("A wider terminal"), !has_multipliers, "{text}");
    }
}

#[test]
fn json_carries_every_row_and_digit() {
    insta::assert_snapshot!(render_json(&mine(), at("2026-11-21"), true));
    let text = render_json(&PriceTable::shipped(), at("2026-11-21"), true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows: usize = PriceTable::shipped().models().iter().map(|model| model.periods.len()).sum();
    assert_eq!(json["models"].as_array().unwrap().len(), rows);
    let in_force = render_json(&PriceTable::shipped(), at("2026-11-21"), false);
    assert_eq!(in_force.matches("\"inForce\": true").count(), rows - 1);
}

#[test]
fn a_file_is_described_by_what_it_changes() {
    insta::assert_snapshot!(describe_override(&PriceTable::shipped(), &mine()));
    let empty = PriceTable::parse("", "mine.toml").unwrap();
    assert_eq!(describe_override(&PriceTable::shipped(), &empty), "adds and overrides nothing\n");
    let same = describe_override(&mine(), &mine());
    assert_eq!(same.lines().filter(|line| line.starts_with("leaves ")).count(), 3, "{same}");
    assert_eq!(same.lines().count(), 3, "{same}");
}
