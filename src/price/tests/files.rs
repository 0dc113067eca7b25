//! Price files: what is read, what is refused, and in which words.

use super::*;

/// A row of a file; further lines overwrite nothing and come last.
fn row(id: &str, more: &str) -> String {
    format!(
        "[[models]]\nid = \"{id}\"\ninput = 5\noutput = \"25\"\ncache_write_5m = \"6.25\"\n\
         cache_write_1h = 10\ncache_read = \"0.5\"\n{more}\n"
    )
}

/// Reads a file and compares the words of the refusal.
fn refused(text: &str, message: &str) {
    let error = PriceTable::parse(text, "my.toml").expect_err(text);
    assert_eq!(error.to_string(), message, "{text}");
}

#[test]
fn a_file_that_is_right_is_read() {
    let long = "[models.long_prompt]\nabove = 100\ninput = 1\noutput = 1\ncache_write_5m = 1\n\
                cache_write_1h = 1\ncache_read = 1\nvalid_from = \"2026-05-01\"";
    let more = format!("aliases = [\"us.anthropic.M-2-v1:0\", \"m\"]\nfast = \"1.5\"\nnote = \"n\"\n{long}");
    let text =
        row("M", &more) + &row("later", "valid_from = 2026-02-01") + &row("later", "valid_to = 2026-02-01");
    let table = PriceTable::parse(&text, "my.toml").unwrap();
    let [first, later] = table.models() else { panic!("{table:?}") };
    assert_eq!((first.id.as_str(), first.aliases.as_slice()), ("m", ["m-2".to_owned()].as_slice()));
    assert_eq!(first.origin, "my.toml");
    assert_eq!(first.periods[0].long_prompt.unwrap().dates.to_string(), "from 2026-05-01");
    let dates: Vec<String> = later.periods.iter().map(|period| period.dates.to_string()).collect();
    assert_eq!(dates, ["until 2026-02-01", "from 2026-02-01"]);
    assert_eq!(PriceTable::parse("# nothing\n", "my.toml").unwrap().models(), []);
}

#[test]
fn a_refusal_names_file_line_key_value_and_what_is_right() {
    let price = "expected a decimal number in quotes, such as \"0.25\", or a whole number; zero or more";
    let factor = "expected a decimal number in quotes, such as \"1.1\", or a whole number; more than zero";
    let day = "expected a UTC day, such as 2026-10-07";
    let whole = "expected a price that is a whole number of picodollars (1e-12 USD) per token, which six digits \
                 after the point give";
    let with = |more: &str| format!("# head\n{}", row("m", more));
    let input = |value: &str| row("m", "").replace("input = 5", &format!("input = {value}"));
    for (text, message) in [
        (input("0.1"), format!("my.toml:1: m: `input` is 0.1: {price}")),
        (input("-1"), format!("my.toml:1: m: `input` is -1: {price}")),
        (input("\"-0.1\""), format!("my.toml:1: m: `input` is \"-0.1\": {price}")),
        (input("\"free\""), format!("my.toml:1: m: `input` is \"free\": {price}")),
        (input("\"1e3\""), format!("my.toml:1: m: `input` is \"1e3\": {price}")),
        (input("true"), format!("my.toml:1: m: `input` is true: {price}")),
        (input("\"0.0000001\""), format!("my.toml:1: m: `input` is 0.0000001: {whole}")),
        // A product of more digits than a decimal holds would be rounded to the whole number beside it.
        (
            input("\"0.9999999999999999999999999999\""),
            format!("my.toml:1: m: `input` is 0.9999999999999999999999999999: {whole}"),
        ),
        (row("m", "").replace("input = 5\n", ""), format!("my.toml:1: m: `input` is missing: {price}")),
        (with("fast = 0"), format!("my.toml:2: m: `fast` is 0: {factor}")),
        (with("us_geo = 1.1"), format!("my.toml:2: m: `us_geo` is 1.1: {factor}")),
        (with("web_search_per_1000 = \"x\""), format!("my.toml:2: m: `web_search_per_1000` is \"x\": {price}")),
        (with("valid_from = 2026"), format!("my.toml:2: m: `valid_from` is 2026: {day}")),
        (with("valid_to = \"2026-02-30\""), format!("my.toml:2: m: `valid_to` is \"2026-02-30\": {day}")),
        (
            with("valid_to = 2026-02-01T10:00:00Z"),
            format!("my.toml:2: m: `valid_to` is 2026-02-01T10:00:00Z: {day}"),
        ),
        (row(" ", ""), "my.toml:1: `id` is \" \": expected the name of a model".to_owned()),
        (
            with("aliases = [\"bedrock/\"]"),
            "my.toml:2: m: `aliases` is \"bedrock/\": expected the name of a model".to_owned(),
        ),
        (
            with("valid_from = 2026-02-01\nvalid_to = 2026-02-01"),
            "my.toml:2: m: `models` is the period \"2026-02-01 to 2026-02-01\": expected `valid_from` before \
             `valid_to`"
                .to_owned(),
        ),
    ] {
        refused(&text, &message);
    }
}

/// 0.00001 USD per million tokens are 10 picodollars a token, with 1.1 they are 11, and half of that is
/// no whole number. The same price passes without the one or the other.
#[test]
fn a_rate_that_a_multiplier_makes_a_fraction_is_refused() {
    let small = |more: &str| row("m", more).replace("cache_read = \"0.5\"", "cache_read = \"0.00001\"");
    for fine in ["us_geo = \"1.1\"", "batch = \"0.5\"", "us_geo = \"1.2\"\nbatch = \"0.5\""] {
        let table = PriceTable::parse(&small(fine), "my.toml").unwrap();
        assert_eq!(table.models()[0].periods[0].rates.cache_read.picodollars(), 10, "{fine}");
    }
    let long = "[models.long_prompt]\nabove = 1\ninput = 1\noutput = \"0.000001\"\ncache_write_5m = 1\n\
                cache_write_1h = 1\ncache_read = 1";
    for (text, what) in [
        (small("us_geo = \"1.1\"\nbatch = \"0.5\""), "`cache_read` is 0.00001 x us_geo 1.1 x batch 0.5"),
        (small("fast = \"1.25\""), "`cache_read` is 0.00001 x fast 1.25"),
        (row("m", &format!("batch = \"0.5\"\n{long}")), "`long_prompt.output` is 0.000001 x batch 0.5"),
        (row("m", "web_search_per_1000 = \"0.0000000001\""), "`web_search_per_1000` is 0.0000000001"),
        (row("m", "fast = \"0.3333333333333333333333333333\""), "`input` is 5 x fast 0.333"),
    ] {
        let message = PriceTable::parse(&text, "my.toml").expect_err(&text).to_string();
        assert!(message.starts_with(&format!("my.toml:1: m: {what}")), "{message}");
    }
}

#[test]
fn unknown_keys_and_wrong_types_are_refused() {
    for (text, line, word) in [
        (row("m", "fats = 2"), ":8", "unknown field `fats`"),
        (row("m", "") + "[other]\n", ":9", "unknown field `other`"),
        (row("m", "aliases = 5"), ":8", "invalid type: integer `5`"),
        (row("m", "[models.long_prompt]\nabove = -1"), ":9", "invalid value"),
        (row("m", "[models.long_prompt]\nabove = 1\nabobe = 2"), ":10", "unknown field `abobe`"),
        (row("m", "fast = "), ":8", "string values must be quoted"),
        ("[[models]]\ninput = 5\n".to_owned(), ":1", "missing field `id`"),
    ] {
        let message = PriceTable::parse(&text, "my.toml").expect_err(&text).to_string();
        assert!(message.starts_with(&format!("my.toml{line}: ")), "{message}");
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn a_day_belongs_to_one_row_and_a_name_to_one_model() {
    for (first, second, message) in [
        ("", "", "\"always\" and \"always\""),
        ("valid_to = 2026-02-02", "valid_from = 2026-02-01", "\"until 2026-02-02\" and \"from 2026-02-01\""),
    ] {
        let text = row("m", first) + &row("M[1m]", second);
        let place = format!("my.toml:{}: m: ", text.lines().count() - row("m", second).lines().count() + 1);
        refused(&text, &format!("{place}the periods {message} overlap: expected one row for each day"));
    }
    for (first, second, name) in [
        ("aliases = [\"x\"]", "aliases = [\"X-latest\"]", "x"),
        ("aliases = [\"two\"]", "", "two"),
        ("", "aliases = [\"ONE\"]", "one"),
    ] {
        let text = row("one", first) + &row("two", second);
        refused(
            &text,
            &format!(
                "my.toml: two: the name `{name}` also belongs to one: expected each name under one model"
            ),
        );
    }
}

#[test]
fn a_file_may_have_a_version_and_keeps_it() {
    let text = format!("version = 20261122\n{}", row("m", ""));
    let own = PriceTable::parse(&text, "my.toml").unwrap();
    assert_eq!((own.version(), own.own_version()), (20_261_122, None));
    assert_eq!(PriceTable::parse(&own.to_toml(), "my.toml").unwrap().version(), 20_261_122);
    let merged = PriceTable::shipped().overridden_by(own);
    assert_eq!((merged.version(), merged.own_version()), (PriceTable::shipped().version(), Some(20_261_122)));
    let silent = PriceTable::parse(&row("m", ""), "my.toml").unwrap();
    assert_eq!(PriceTable::shipped().overridden_by(silent).own_version(), Some(0));
    let whole = "expected a whole number from 1 to 99999999, such as the date 20261122";
    for wrong in ["0", "-1", "100000000", "\"1\"", "2026-11-22"] {
        refused(&format!("version = {wrong}\n"), &format!("my.toml: `version` is {wrong}: {whole}"));
    }
}

/// What was published under these prices is only replaced under a greater version.
#[test]
fn prices_that_change_need_a_greater_version() {
    let shipped = PriceTable::shipped();
    let known = (1, "920d9437e39df70240360d7690c6be2d");
    assert_eq!(
        (shipped.version(), shipped.digest().as_str()),
        known,
        "the shipped prices have changed: raise `version` in config/prices.toml and note both here"
    );
}
