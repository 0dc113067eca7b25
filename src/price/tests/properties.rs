//! What holds for every table and every usage.

use super::*;
use proptest::prelude::*;

/// A price in USD per million tokens, in steps that three of the multipliers below keep whole.
fn price() -> impl Strategy<Value = String> {
    (0_i64..20_000).prop_map(|step| Decimal::new(step * 8_000, 6).normalize().to_string())
}

fn factor() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec!["0.5", "1.1", "2", "6"]))
}

fn prices() -> impl Strategy<Value = String> {
    prop::array::uniform5(price()).prop_map(|prices| {
        let lines = TokenRates::KEYS.iter().zip(prices).map(|(key, price)| format!("{key} = \"{price}\"\n"));
        lines.collect::<Vec<_>>().concat()
    })
}

/// The part of a row behind its names and dates.
fn body() -> impl Strategy<Value = String> {
    let long = prop::option::of((prices(), 1_u64..1_000_000, prop::bool::ANY));
    (prices(), factor(), factor(), factor(), prop::option::of(price()), "[ -~]{0,8}", long).prop_map(
        |(rates, fast, geo, batch, search, note, long)| {
            let line = |key: &str, number: Option<&str>| {
                number.map_or(String::new(), |number| format!("{key} = \"{number}\"\n"))
            };
            let long = long.map_or(String::new(), |(rates, above, is_dated)| {
                let dates = if is_dated { "valid_to = 2026-03-13\n" } else { "" };
                format!("[models.long_prompt]\nabove = {above}\n{dates}{rates}")
            });
            let multipliers = line("fast", fast) + &line("us_geo", geo) + &line("batch", batch);
            let search = line("web_search_per_1000", search.as_deref());
            format!("{rates}{multipliers}{search}note = {}\n{long}", toml::Value::from(note))
        },
    )
}

/// Rows of a file, in an order that does not matter: models with an alias and one period or two.
fn rows() -> impl Strategy<Value = Vec<String>> {
    let model = (body(), prop::option::of(body()), prop::bool::ANY);
    prop::collection::vec(model, 0..5).prop_map(|models| {
        let mut rows = Vec::new();
        for (number, (body, earlier, has_alias)) in models.into_iter().enumerate() {
            let id = format!("[[models]]\nid = \"m-{number}\"\n");
            let alias = if has_alias { format!("aliases = [\"alias-{number}\"]\n") } else { String::new() };
            let from = if earlier.is_some() { "valid_from = 2026-02-01\n" } else { "" };
            rows.push(format!("{id}{alias}{from}{body}"));
            rows.extend(earlier.map(|body| format!("{id}valid_to = 2026-02-01\n{body}")));
        }
        rows
    })
}

fn parse(rows: &[String]) -> PriceTable {
    PriceTable::parse(&rows.concat(), "test").unwrap()
}

fn tokens() -> impl Strategy<Value = [u64; 5]> {
    prop::array::uniform5(0_u64..50_000_000)
}

fn own(name: &str, tokens: [u64; 5]) -> i64 {
    PriceTable::shipped().cost(&model(name), &usage(tokens), noon("2026-11-21")).own.known().unwrap().0
}

proptest! {
    #[test]
    fn rendering_reads_back_as_the_same_table(rows in rows()) {
        let table = parse(&rows);
        prop_assert_eq!(PriceTable::parse(&table.to_toml(), "test").unwrap(), table);
    }

    #[test]
    fn the_digest_does_not_see_the_order_of_rows(rows in rows(), seed in any::<prop::sample::Index>()) {
        let mut turned = rows.clone();
        if !turned.is_empty() {
            turned.rotate_left(seed.index(rows.len()));
            turned.swap(0, seed.index(rows.len()));
        }
        prop_assert_eq!(parse(&turned).digest(), parse(&rows).digest());
    }

    #[test]
    fn without_a_threshold_costs_add_up(first in tokens(), second in tokens(), times in 1_u64..9) {
        let name = "claude-opus-5-5";
        let both = std::array::from_fn(|kind| first[kind] + second[kind]);
        prop_assert_eq!(own(name, both), own(name, first) + own(name, second));
        let many = first.map(|count| count * times);
        prop_assert_eq!(own(name, many), own(name, first) * i64::try_from(times).unwrap());
    }

    #[test]
    fn the_explained_terms_add_up_to_the_cost(
        rows in rows(), tokens in tokens(), searches in 0_u64..5, flags in 0_u8..12, early in any::<bool>(),
    ) {
        use crate::domain::{Geo, Speed, Tier};
        let usage = Usage {
            web_searches: searches,
            speed: if flags % 2 == 0 { Speed::Standard } else { Speed::Fast },
            geo: if flags / 2 % 2 == 0 { Geo::Global } else { Geo::Us },
            tier: [Tier::Standard, Tier::Batch, Tier::Priority][usize::from(flags / 4)],
            ..usage(tokens)
        };
        let at = noon(if early { "2026-01-31" } else { "2026-02-01" });
        let explanation = parse(&rows).explain(&model("alias-0"), &usage, at);
        let explained = match &explanation.own[0].outcome {
            CallOutcome::Free => Cost::Known(Picodollars(0)),
            CallOutcome::Unpriced(_) => Cost::Unpriced,
            CallOutcome::Priced(priced) => {
                Cost::Known(Picodollars(priced.terms.iter().map(|term| term.amount.0).sum()))
            }
        };
        prop_assert_eq!(explained, explanation.cost.own);
    }

    #[test]
    fn normalising_twice_changes_nothing(name in "(bedrock/|us\\.|anthropic\\.|-v1|:0|\\[1m\\]|-latest|@20250101| |[a-zA-Z0-9@-]){0,9}") {
        let once = normalise(&name);
        prop_assert_eq!(normalise(&once), once);
    }
}
