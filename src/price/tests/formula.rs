//! The formula, case by case.

use super::*;
use crate::domain::{Geo, Part, PartKind, Speed, Tier, Used};

const MILLION: u64 = 1_000_000;

/// A day on which long prompts of Sonnet 4.5 still had a price of their own.
const EARLY: &str = "2026-04-01";

/// A day on which every model of the table is out.
const LATE: &str = "2026-11-21";

/// Prices a usage, checks that the explanation's terms add up to the same, and compares.
fn check(name: &str, usage: &Usage, day: &str, own: &str, parts: &[&str]) {
    let table = PriceTable::shipped();
    let priced = table.cost(&model(name), usage, noon(day));
    let expected = PricedUsage { own: dollars(own), parts: parts.iter().map(|part| dollars(part)).collect() };
    assert_eq!(priced, expected, "{name} {usage:?} on {day}");
    check_explanation(&table, name, usage, day);
}

fn check_explanation(table: &PriceTable, name: &str, usage: &Usage, day: &str) {
    let explanation = table.explain(&model(name), usage, noon(day));
    assert_eq!(explanation.cost, table.cost(&model(name), usage, noon(day)));
    assert_eq!(total(&explanation.own), explanation.cost.own, "{name} {usage:?}");
    let extra = usage.parts.iter().zip(&explanation.cost.parts).filter(|(part, _)| part.kind.is_extra());
    let costs: Vec<Cost> = extra.map(|(_, cost)| *cost).collect();
    let explained: Vec<Cost> =
        explanation.parts.iter().map(|call| total(std::slice::from_ref(call))).collect();
    assert_eq!(explained, costs, "{name} {usage:?}");
}

/// The sum of all terms, each worked out again from its own count, price and factor.
fn total(calls: &[CallExplanation]) -> Cost {
    let mut sum = Decimal::ZERO;
    for call in calls {
        match &call.outcome {
            CallOutcome::Free => {}
            CallOutcome::Unpriced(_) => return Cost::Unpriced,
            CallOutcome::Priced(priced) => {
                let PricedCall { terms, amount, .. } = priced.as_ref();
                let all: i64 = terms.iter().map(|term| term.amount.0).sum();
                assert_eq!(Picodollars(all), *amount);
                for term in terms {
                    let count = Decimal::from(term.count) / Decimal::from(term.kind.unit());
                    sum += count * term.price * term.factor;
                }
            }
        }
    }
    dollars(&sum.to_string())
}

fn part(kind: PartKind, name: Option<&str>, tokens: [u64; 5]) -> Part {
    Part { kind, model: name.map(model), tokens: TokenCounts::from_array(tokens) }
}

fn fast(tokens: [u64; 5]) -> Usage {
    Usage { speed: Speed::Fast, ..usage(tokens) }
}

fn us(tokens: [u64; 5]) -> Usage {
    Usage { geo: Geo::Us, ..usage(tokens) }
}

fn batch(tokens: [u64; 5]) -> Usage {
    Usage { tier: Tier::Batch, ..usage(tokens) }
}

#[test]
fn tokens_at_their_rates_and_long_prompts_whole() {
    for (name, tokens, day, expected) in [
        ("claude-sonnet-4-5", [MILLION, MILLION, 0, 0, 0], EARLY, "28.50"),
        ("claude-sonnet-4-5", [0, MILLION, 0, 0, 0], EARLY, "15"),
        ("claude-sonnet-4-5", [0, 0, 0, MILLION, 0], EARLY, "12"),
        ("claude-sonnet-4-5", [0, 0, MILLION, 0, 0], EARLY, "7.50"),
        ("claude-sonnet-4-5", [300_000, 1_000, 0, 0, 0], EARLY, "1.8225"),
        ("claude-sonnet-4-5", [150_000, 1_000, 0, 0, 150_000], EARLY, "1.0125"),
        ("claude-sonnet-4-5", [100, 300_000, 0, 0, 0], EARLY, "4.5003"),
        // The threshold is exclusive, and counts writes and reads.
        ("claude-sonnet-4-5", [200_000, 0, 0, 0, 0], EARLY, "0.6"),
        ("claude-sonnet-4-5", [199_999, 0, 0, 0, 2], EARLY, "1.1999952"),
        // No surcharge from the day on which it ended, for each model that had one.
        ("claude-sonnet-4-5", [300_000, 0, 0, 0, 0], "2026-04-29", "1.8"),
        ("claude-sonnet-4-5", [300_000, 0, 0, 0, 0], "2026-04-30", "0.9"),
        ("claude-sonnet-4-20250514", [300_000, 0, 0, 0, 0], "2026-04-29", "1.8"),
        ("claude-sonnet-4-20250514", [300_000, 0, 0, 0, 0], "2026-04-30", "0.9"),
        ("claude-sonnet-4-6", [300_000, 0, 0, 0, 0], "2026-03-12", "1.8"),
        ("claude-sonnet-4-6", [300_000, 0, 0, 0, 0], "2026-03-13", "0.9"),
        ("claude-opus-4-6", [300_000, 1_000, 0, 0, 0], "2026-03-12", "3.0375"),
        ("claude-opus-4-6", [300_000, 1_000, 0, 0, 0], "2026-03-13", "1.525"),
        ("claude-opus-5-5", [MILLION; 5], LATE, "37.20"),
        ("claude-fable-5-2", [MILLION; 5], LATE, "74.20"),
        ("claude-fable-5-1", [MILLION; 5], LATE, "92.75"),
        ("claude-sonnet-5-5", [MILLION; 5], "2026-10-06", "18.70"),
        ("claude-sonnet-5-5", [MILLION; 5], "2026-10-07", "18.60"),
        // A million of each kind is a long prompt: 0.5 + 2.5 + 0.625 + 1 + 0.05.
        ("claude-haiku-5-5", [MILLION; 5], LATE, "4.675"),
        // Measured on client 2.1.330.
        ("claude-haiku-5-5", [1_000, 0, 60_000, 0, 150_000], LATE, "0.0455"),
        ("claude-haiku-5-5", [100_000, 1_000, 0, 0, 0], LATE, "0.0105"),
        ("claude-haiku-5-5", [100_001, 1_000, 0, 0, 0], LATE, "0.0525005"),
        ("claude-haiku-5-5", [0, 0, 0, 5_000, 0], LATE, "0.001"),
        ("claude-haiku-5-5", [1, 0, 0, 0, 0], LATE, "0.0000001"),
        ("claude-3-haiku-20240307", [0, 0, 0, 0, 1], LATE, "0.00000003"),
    ] {
        check(name, &usage(tokens), day, expected, &[]);
    }
}

#[test]
fn multipliers_apply_to_every_token_and_to_no_search() {
    let everything = Usage { speed: Speed::Fast, geo: Geo::Us, tier: Tier::Batch, ..usage([MILLION; 5]) };
    let searches = |count| Usage { web_searches: count, ..usage([1_000, 0, 0, 0, 0]) };
    let priority = Usage { tier: Tier::Priority, ..usage([0, MILLION, 0, 0, 0]) };
    let us_search = Usage { geo: Geo::Us, tier: Tier::Batch, ..searches(1_000) };
    for (name, usage, day, expected) in [
        ("claude-opus-4-6", fast([1_000, MILLION, 0, 0, 0]), EARLY, "150.03"),
        ("claude-opus-4-7", fast([MILLION; 5]), LATE, "280.50"),
        ("claude-opus-5-5", fast([MILLION; 5]), LATE, "74.40"),
        // Fast mode multiplies the long-prompt rates as it does all others.
        ("claude-opus-4-6", fast([300_000, 0, 0, 0, 0]), "2026-03-12", "18"),
        ("claude-sonnet-4-5", searches(1_000), EARLY, "10.003"),
        ("claude-sonnet-4-5", us_search, EARLY, "10.00165"),
        ("claude-opus-4-6", us([0, MILLION, 0, 0, 0]), EARLY, "27.50"),
        ("claude-sonnet-4-5", batch([0, MILLION, 0, 0, 0]), EARLY, "7.50"),
        ("claude-sonnet-4-5", priority, EARLY, "15"),
        ("claude-opus-5-5", everything, LATE, "40.92"),
        // One token at the finest rates: 0.03 and 0.01 USD a million, times 1.1, halved.
        ("claude-haiku-5-5", Usage { geo: Geo::Us, ..batch([0, 0, 0, 0, 1]) }, LATE, "0.0000000055"),
    ] {
        check(name, &usage, day, expected, &[]);
    }
}

#[test]
fn what_has_no_price_is_unpriced_and_never_zero() {
    let searching = |tokens| Usage { web_searches: 1, ..usage(tokens) };
    for (name, usage, expected) in [
        ("claude-unknown-9", usage([0, MILLION, 0, 0, 0]), "unpriced"),
        ("claude-unknown-9", usage([0; 5]), "unpriced"),
        ("claude-sonnet-5", fast([1, 0, 0, 0, 0]), "unpriced"),
        ("claude-3-opus-20240229", us([1, 0, 0, 0, 0]), "unpriced"),
        ("claude-3-opus-20240229", searching([1, 0, 0, 0, 0]), "unpriced"),
        ("claude-3-opus-20240229", usage([MILLION, 0, 0, 0, 0]), "15"),
        ("claude-sonnet-5", usage([0; 5]), "0"),
        ("claude-sonnet-5", fast([0; 5]), "0"),
        ("claude-sonnet-5", searching([0; 5]), "0.01"),
        ("claude-sonnet-5", usage([u64::MAX; 5]), "unpriced"),
        ("claude-sonnet-5", usage([0, u64::MAX / 2, 0, 0, 0]), "unpriced"),
    ] {
        check(name, &usage, LATE, expected, &[]);
    }
}

#[test]
fn a_day_without_a_row_is_unpriced() {
    let text = "[[models]]\nid = \"m\"\nvalid_from = 2026-01-01\nvalid_to = 2026-02-01\ninput = 1\noutput = 1\n\
                cache_write_5m = 1\ncache_write_1h = 1\ncache_read = 1\n";
    let table = PriceTable::parse(text, "test").unwrap();
    for (instant, expected) in [
        ("2025-12-31T23:59:59.999Z", "unpriced"),
        ("2026-01-01T00:00:00Z", "0.000001"),
        ("2026-01-31T23:59:59.999Z", "0.000001"),
        ("2026-02-01T00:00:00Z", "unpriced"),
    ] {
        let at = UnixMillis::parse(instant).unwrap();
        assert_eq!(table.cost(&model("m"), &usage([1, 0, 0, 0, 0]), at).own, dollars(expected), "{instant}");
    }
    let batched = table.cost(&model("m"), &batch([1, 0, 0, 0, 0]), noon("2026-01-15"));
    assert_eq!(batched.own, Cost::Unpriced, "a row without `batch` has no price for batches");
}

/// The probes of client 2.1.330, and the rules for attempts that were given up.
#[test]
fn calls_inside_a_response_are_priced_alone() {
    use PartKind::{AbandonedAttempt, Advisor, Compaction, Step};
    let with = |usage: Usage, parts: Vec<Part>| Usage { parts, ..usage };
    let haiku = "claude-haiku-5-5";
    let step = || part(Step, None, [60_000, 500, 0, 0, 0]);
    let both = [120_000, 1_000, 0, 0, 0];

    check(haiku, &with(usage(both), vec![step(), step()]), LATE, "0.0125", &["0", "0"]);
    // Steps that do not add up decide nothing: the whole is a long prompt.
    check(haiku, &with(usage(both), vec![step()]), LATE, "0.0625", &["0"]);
    check(haiku, &with(usage([0, 0, 0, 0, 1]), vec![step()]), LATE, "0.00000001", &["0"]);
    // Searches are counted once, multipliers hold for each step.
    let searching = Usage { web_searches: 2, geo: Geo::Us, ..usage(both) };
    check(haiku, &with(searching, vec![step(), step()]), LATE, "0.03375", &["0", "0"]);

    let advisor = || part(Advisor, Some("claude-opus-4-6"), [20_000, 1_000, 0, 0, 3_000]);
    check(haiku, &with(usage([1_000, 100, 0, 0, 0]), vec![advisor()]), LATE, "0.00015", &["0.1265"]);
    // A part has the response's speed and tier, and the searches stay with the response.
    let hurried = Usage { web_searches: 3, tier: Tier::Batch, ..fast([0, 1, 0, 0, 0]) };
    check("claude-opus-5-5", &with(hurried, vec![advisor()]), LATE, "0.03002", &["0.3795"]);
    check(haiku, &with(fast([1, 0, 0, 0, 0]), vec![advisor()]), LATE, "unpriced", &["0.759"]);

    let parts = vec![
        part(Compaction, None, [150_000, 1_000, 0, 0, 0]),
        part(AbandonedAttempt, Some("claude-fable-5"), [1_000, 0, 0, 0, 0]),
        part(AbandonedAttempt, Some("claude-fable-5"), [1_000, 10, 0, 0, 0]),
        part(AbandonedAttempt, Some("claude-unknown-9"), [1_000, 0, 0, 0, 0]),
        part(Advisor, Some("claude-unknown-9"), [1, 0, 0, 0, 0]),
    ];
    let expected = ["0.0775", "0", "0.0105", "0", "unpriced"];
    check(haiku, &with(usage([1_000, 100, 0, 0, 0]), parts), LATE, "0.00015", &expected);
    check("claude-unknown-9", &with(usage([1; 5]), vec![advisor()]), LATE, "unpriced", &["0.1265"]);
}

#[test]
fn an_explanation_names_row_rates_and_multipliers() {
    let usage = Usage { web_searches: 1, ..fast([300_000, 1_000, 0, 0, 0]) };
    let explanation =
        PriceTable::shipped().explain(&model("claude-opus-4-6[1m]"), &usage, noon("2026-03-12"));
    let [CallExplanation { outcome: CallOutcome::Priced(priced), .. }] = explanation.own.as_slice() else {
        panic!("{explanation:?}");
    };
    let PricedCall { id, long_prompt_above, terms, multipliers, .. } = priced.as_ref();
    assert_eq!((id.as_str(), *long_prompt_above), ("claude-opus-4-6", Some(200_000)));
    assert_eq!(multipliers.named().collect::<Vec<_>>(), [("fast", Decimal::from(6))]);
    let shown: Vec<String> = terms
        .iter()
        .map(|term| format!("{:?} {} {} {}", term.kind, term.count, term.price, term.factor))
        .collect();
    assert_eq!(shown, ["Input 300000 10 6", "Output 1000 37.5 6", "WebSearch 1 10 1"]);

    let unknown = PriceTable::shipped().explain(&model("nobody"), &usage, noon(LATE));
    assert_eq!(unknown.own[0].outcome, CallOutcome::Unpriced(WhyUnpriced::UnknownModel));
}

/// A million of each kind, each in a response of its own: then the output alone is no long prompt.
#[test]
fn each_response_decides_its_own_long_prompt() {
    let table = PriceTable::shipped();
    for (name, day, expected) in [
        ("claude-opus-5-5", LATE, "37.20"),
        ("claude-fable-5-2", LATE, "74.20"),
        ("claude-fable-5-1", LATE, "92.75"),
        ("claude-sonnet-5-5", "2026-10-06", "18.70"),
        ("claude-haiku-5-5", LATE, "2.675"),
    ] {
        let mut sum = 0;
        for kind in 0..5 {
            let mut tokens = [0; 5];
            tokens[kind] = MILLION;
            sum += table.cost(&model(name), &usage(tokens), noon(day)).own.known().unwrap().0;
        }
        assert_eq!(Cost::Known(Picodollars(sum)), dollars(expected), "{name}");
    }
}

#[test]
fn several_calls_together_are_no_long_prompt() {
    let used = |tokens, web_searches| Used { tokens: TokenCounts::from_array(tokens), web_searches };
    let cost = |name: &str, used: Used, day: &str| {
        PriceTable::shipped().cost_of_calls(&model(name), &used, noon(day))
    };
    let much = [MILLION, MILLION, 0, 0, MILLION];
    assert_eq!(cost("claude-haiku-5-5", used(much, 3), LATE), dollars("0.64"));
    assert_eq!(cost("claude-opus-5-5[1m]", used(much, 0), LATE), dollars("24.2"));
    assert_eq!(cost("claude-opus-5-5", used([0; 5], 0), LATE), dollars("0"));
    assert_eq!(cost("claude-unheard-of-9", used(much, 0), LATE), Cost::Unpriced);
}
