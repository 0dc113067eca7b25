//! The shipped table against every model that the published tables and the client know.

use super::*;

/// Name, prices (input, output, 5-minute write, 1-hour write, read), fast multiplier. From litellm 1.109.1
/// and genai-prices 0.2.3, and measured on client 2.1.330; as of November 2026, short prompts.
const MODELS: &[(&str, &str, &str)] = &[
    ("claude-fable-5-2", "8 40 10 16 0.2", "2"),
    ("claude-mythos-5-2", "8 40 10 16 0.2", "2"),
    ("claude-fable-5-1", "10 50 12.5 20 0.25", ""),
    ("claude-mythos-5-1", "10 50 12.5 20 0.25", ""),
    ("claude-fable-5", "10 50 12.5 20 1", ""),
    ("claude-mythos-5", "10 50 12.5 20 1", ""),
    ("claude-mythos-preview", "10 50 12.5 20 1", ""),
    ("claude-opus-5-5", "4 20 5 8 0.2", "2"),
    ("claude-opus-5", "5 25 6.25 10 0.5", "2"),
    ("claude-opus-5-latest", "5 25 6.25 10 0.5", "2"),
    ("claude-opus-4-8", "5 25 6.25 10 0.5", "2"),
    ("claude-opus-4-7", "5 25 6.25 10 0.5", "6"),
    ("claude-opus-4-7-20260416", "5 25 6.25 10 0.5", "6"),
    ("claude-opus-4-6", "5 25 6.25 10 0.5", "6"),
    ("claude-opus-4-6-20260205", "5 25 6.25 10 0.5", "6"),
    ("claude-sonnet-5-5", "2 10 2.5 4 0.1", ""),
    ("claude-sonnet-5", "2 10 2.5 4 0.2", ""),
    ("claude-sonnet-4-6", "3 15 3.75 6 0.3", ""),
    ("claude-haiku-5-5", "0.1 0.5 0.125 0.2 0.01", ""),
    ("claude-opus-4-5", "5 25 6.25 10 0.5", ""),
    ("claude-opus-4-5-20251101", "5 25 6.25 10 0.5", ""),
    ("claude-haiku-4-5", "1 5 1.25 2 0.1", ""),
    ("claude-haiku-4-5-20251001", "1 5 1.25 2 0.1", ""),
    ("claude-sonnet-4-5", "3 15 3.75 6 0.3", ""),
    ("claude-sonnet-4-5-20250929", "3 15 3.75 6 0.3", ""),
    ("claude-sonnet-4-20250514", "3 15 3.75 6 0.3", ""),
    ("claude-sonnet-4", "3 15 3.75 6 0.3", ""),
    ("claude-sonnet-4-0", "3 15 3.75 6 0.3", ""),
    ("claude-4-sonnet-20250514", "3 15 3.75 6 0.3", ""),
    ("claude-opus-4-1-20250805", "15 75 18.75 30 1.5", ""),
    ("claude-opus-4-1", "15 75 18.75 30 1.5", ""),
    ("claude-opus-4-20250514", "15 75 18.75 30 1.5", ""),
    ("claude-opus-4", "15 75 18.75 30 1.5", ""),
    ("claude-opus-4-0", "15 75 18.75 30 1.5", ""),
    ("claude-4-opus-20250514", "15 75 18.75 30 1.5", ""),
    ("claude-3-7-sonnet-20250219", "3 15 3.75 6 0.3", ""),
    ("claude-3-7-sonnet-latest", "3 15 3.75 6 0.3", ""),
    ("claude-3-7-sonnet", "3 15 3.75 6 0.3", ""),
    ("claude-3-5-sonnet-20241022", "3 15 3.75 6 0.3", ""),
    ("claude-3-5-sonnet-20240620", "3 15 3.75 6 0.3", ""),
    ("claude-3-5-sonnet-latest", "3 15 3.75 6 0.3", ""),
    ("claude-3-5-sonnet", "3 15 3.75 6 0.3", ""),
    ("claude-3-5-haiku-20241022", "0.8 4 1 1.6 0.08", ""),
    ("claude-3-5-haiku-latest", "0.8 4 1 1.6 0.08", ""),
    ("claude-3-5-haiku", "0.8 4 1 1.6 0.08", ""),
    ("claude-3-opus-20240229", "15 75 18.75 30 1.5", ""),
    ("claude-3-opus-latest", "15 75 18.75 30 1.5", ""),
    ("claude-3-opus", "15 75 18.75 30 1.5", ""),
    ("claude-3-sonnet-20240229", "3 15 3.75 6 0.3", ""),
    ("claude-3-sonnet", "3 15 3.75 6 0.3", ""),
    ("claude-3-haiku-20240307", "0.25 1.25 0.3 0.5 0.03", ""),
    ("claude-3-haiku", "0.25 1.25 0.3 0.5 0.03", ""),
    ("claude-opus-4-6[1m]", "5 25 6.25 10 0.5", "6"),
    ("claude-opus-5-5-20261001", "4 20 5 8 0.2", "2"),
    ("claude-sonnet-4-5-20250929[1m]", "3 15 3.75 6 0.3", ""),
    ("claude-sonnet-4-5@20250929", "3 15 3.75 6 0.3", ""),
    ("us.anthropic.claude-opus-4-6-v1", "5 25 6.25 10 0.5", "6"),
];

#[test]
fn every_published_model_has_its_published_prices() {
    let table = PriceTable::shipped();
    for (name, prices, fast) in MODELS {
        let found = table.find(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let period = found.period_at(noon("2026-11-21")).unwrap();
        let shipped = period.rates.as_array().map(|rate| rate.usd_per_million().to_string()).join(" ");
        assert_eq!(&shipped, prices, "{name}");
        let multiplier = period.multipliers.fast.map_or(String::new(), |fast| fast.to_string());
        assert_eq!(&multiplier, fast, "{name}");
        assert_eq!(period.multipliers.batch, Some(Decimal::new(5, 1)), "{name}");
    }
}

#[test]
fn every_row_has_a_source() {
    for row in PriceTable::shipped().models() {
        assert!(row.periods.iter().all(|period| !period.source.is_empty()), "{}", row.id);
    }
}

/// The client applies 1.1 to every model that it knows; three old ones it does not know.
#[test]
fn us_inference_costs_a_tenth_more() {
    let table = PriceTable::shipped();
    for (name, ..) in MODELS {
        let period = table.find(name).unwrap().period_at(noon("2026-11-21")).unwrap();
        let is_unknown_to_the_client =
            ["claude-3-opus", "claude-3-sonnet", "claude-3-haiku"].iter().any(|old| name.starts_with(old));
        let expected = (!is_unknown_to_the_client).then_some(Decimal::new(11, 1));
        assert_eq!(period.multipliers.us_geo, expected, "{name}");
        let search = (!is_unknown_to_the_client).then_some(Decimal::TEN);
        assert_eq!(period.web_search.map(SearchRate::usd_per_thousand), search, "{name}");
    }
}

#[test]
fn names_match_whole_after_normalisation_or_not_at_all() {
    let table = PriceTable::shipped();
    for (name, id) in [
        ("claude-opus-5", Some("claude-opus-5")),
        ("claude-opus-5-5", Some("claude-opus-5-5")),
        ("claude-opus-5-5-20261001", Some("claude-opus-5-5")),
        ("Claude-Opus-5-Latest", Some("claude-opus-5")),
        ("claude-opus-4-6[1m]", Some("claude-opus-4-6")),
        ("us.anthropic.claude-opus-4-6-v1[1m]", Some("claude-opus-4-6")),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some("claude-sonnet-4-5")),
        ("bedrock/eu.anthropic.claude-haiku-4-5-20251001-v1:0", Some("claude-haiku-4-5")),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", Some("claude-3-5-sonnet-20241022")),
        ("vertex_ai/claude-sonnet-4@20250514", Some("claude-sonnet-4-20250514")),
        ("claude-3-5-sonnet-v2@20241022", Some("claude-3-5-sonnet-20241022")),
        ("anthropic/claude-sonnet-4-0", Some("claude-sonnet-4-20250514")),
        ("claude-opus-5-6", None),
        ("claude-opus-5-fast", None),
        ("claude-opus", None),
        ("claude-sonnet-5-5-preview", None),
        ("my-claude-opus-5", None),
        ("claude-opus-5-2026100", None),
        ("<synthetic>", None),
        ("-20261001", None),
        ("", None),
    ] {
        assert_eq!(table.find(name).map(|found| found.id.as_str()), id, "{name}");
    }
}

#[test]
fn normalising_strips_what_does_not_change_the_price() {
    for (name, bare) in [
        (" Claude-Opus-5[1M] ", "claude-opus-5"),
        ("bedrock/us.anthropic.claude-x-v1:0", "claude-x"),
        ("global.anthropic.anthropic/claude-x-latest", "claude-x"),
        ("claude-x@20250101", "claude-x-20250101"),
        ("claude-x@20250101-v1[1m]", "claude-x-20250101"),
        ("claude-x@default", "claude-x@default"),
        ("claude-x-v", "claude-x-v"),
        ("claude-x-v1:", "claude-x-v1:"),
        ("eu.claude-x", "eu.claude-x"),
        ("bedrock/", ""),
        ("anthropic. claude-x", "claude-x"),
    ] {
        assert_eq!(normalise(name), bare, "{name}");
    }
}
