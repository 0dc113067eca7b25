//! One table over another, and the digest that tells tables apart.

use super::*;

fn table(rows: &[(&str, &[&str], u64)]) -> PriceTable {
    let text: Vec<String> = rows
        .iter()
        .map(|(id, aliases, price)| {
            format!(
                "[[models]]\nid = \"{id}\"\naliases = {aliases:?}\ninput = {price}\noutput = 1\n\
                 cache_write_5m = 1\ncache_write_1h = 1\ncache_read = 1\n"
            )
        })
        .collect();
    PriceTable::parse(&text.concat(), "test").unwrap()
}

/// Whose row and which input price answers to a name; `-` for none.
fn answer(table: &PriceTable, name: &str) -> String {
    table.find(name).map_or("-".to_owned(), |found| {
        format!("{} {}", found.id, found.periods[0].rates.input.usd_per_million())
    })
}

#[test]
fn the_overriding_table_wins_name_by_name() {
    let base = || table(&[("a", &["a-1", "a-2"], 1), ("b", &["b-1"], 2), ("c", &[], 3)]);
    for (other, answers) in [
        // Nothing over something.
        (table(&[]), ["a 1", "a 1", "b 2", "b 2", "c 3", "-"]),
        // A new model.
        (table(&[("d", &[], 9)]), ["a 1", "a 1", "b 2", "b 2", "c 3", "d 9"]),
        // The same id: new prices, old aliases.
        (table(&[("a", &[], 9)]), ["a 9", "a 9", "b 2", "b 2", "c 3", "-"]),
        // An id that was an alias.
        (table(&[("a-1", &[], 9)]), ["a 1", "a-1 9", "b 2", "b 2", "c 3", "-"]),
        // An alias that was an id: what is left of `b` goes by its alias, nothing is left of `c`.
        (table(&[("d", &["b", "c"], 9)]), ["a 1", "a 1", "d 9", "b-1 2", "d 9", "d 9"]),
        // An alias that was another model's alias, on a model that is replaced itself.
        (table(&[("a", &["b-1"], 9)]), ["a 9", "a 9", "b 2", "a 9", "c 3", "-"]),
    ] {
        let effective = base().overridden_by(other.clone());
        let found = ["a", "a-1", "b", "b-1", "c", "d"].map(|name| answer(&effective, name));
        assert_eq!(found, answers, "{other:?}");
        let again = PriceTable::parse(&effective.to_toml(), "test").unwrap();
        assert_eq!(again.models(), effective.models(), "names stay unique");
    }
}

#[test]
fn all_periods_of_an_overridden_model_are_replaced() {
    let other = table(&[("claude-sonnet-5-5", &[], 9)]);
    let effective = PriceTable::shipped().overridden_by(other);
    let found = effective.find("claude-sonnet-5-5").unwrap();
    assert_eq!((found.periods.len(), found.origin.as_str()), (1, "test"));
    assert_eq!(answer(&effective, "claude-sonnet-5-5@20261001"), "claude-sonnet-5-5 9");
    assert_eq!(answer(&effective, "claude-opus-5"), "claude-opus-5 5");
}

#[test]
fn the_digest_changes_with_what_is_billed_and_with_nothing_else() {
    let shipped = PriceTable::shipped();
    let text = shipped.to_toml();
    let digest = |text: &str| PriceTable::parse(text, "elsewhere").unwrap().digest();
    assert_eq!(digest(&text), shipped.digest());
    assert_eq!(digest(&format!("# comment\n{text}")), shipped.digest());
    assert_eq!(digest(&text.replace("source = \"", "source = \"other ")), shipped.digest());
    assert_eq!(digest(&text.replace("\"10\"", "\"10.0\"")), shipped.digest());
    for (from, to) in [
        ("cache_read = \"0.25\"", "cache_read = \"0.26\""),
        ("fast = \"6\"", "fast = \"5\""),
        ("us_geo = \"1.1\"\n", ""),
        ("batch = \"0.5\"", "batch = \"0.25\""),
        ("web_search_per_1000 = \"10\"", "web_search_per_1000 = \"11\""),
        ("above = 200000", "above = 200001"),
        ("valid_to = 2026-04-30", "valid_to = 2026-05-01"),
        ("valid_from = 2026-10-07", "valid_from = 2026-10-08"),
        ("\"claude-sonnet-4-0\"", "\"claude-sonnet-4-00\""),
        ("id = \"claude-opus-5\"", "id = \"claude-opus-6\""),
    ] {
        assert!(text.contains(from), "{from}");
        assert_ne!(digest(&text.replace(from, to)), shipped.digest(), "{from}");
    }
}
