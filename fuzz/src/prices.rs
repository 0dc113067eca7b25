//! The price file: what is refused is told; what is read prices without a negative or a rounded amount, is
//! explained by terms that add up, and survives being written, read and laid over the shipped prices.

use super::spread;
use tallyd::domain::{
    Cost, Geo, ModelName, Part, PartKind, Speed, Tier, TokenCounts, UnixMillis, Usage, Usd,
};
use tallyd::price::{CallExplanation, CallOutcome, Model, PriceTable, normalise};

const ORIGIN: &str = "prices.toml";

/// No response has more of any kind of token.
const MOST_TOKENS: u64 = 200_000_000;

/// A day, and some around it.
const DAY_MS: i64 = 86_400_000;

/// The bytes as a price file, and as the name of a model.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let name = normalise(&text);
    assert_eq!(normalise(&name), name, "a normalised name, normalised");
    let table = match PriceTable::parse(&text, ORIGIN) {
        Ok(table) => table,
        Err(error) => {
            let told = error.to_string();
            assert!(told.starts_with(ORIGIN), "{told}");
            assert_eq!(PriceTable::parse(&text, ORIGIN), Err(error));
            return;
        }
    };
    reads_back(&table);
    every_name_finds_its_model(&table);
    lies_over_the_shipped_prices(&table);
    let models = table.models().iter().flat_map(Model::names);
    for (number, name) in models.take(8).enumerate() {
        let random = Random(spread(data, number as u64));
        prices_without_error(&table, &ModelName(name.to_owned()), random);
    }
}

fn parsed(text: &str) -> PriceTable {
    PriceTable::parse(text, ORIGIN).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn reads_back(table: &PriceTable) {
    let written = table.to_toml();
    let again = parsed(&written);
    assert_eq!(&again, table, "{written}");
    assert_eq!(again.digest(), table.digest());
    assert_eq!(again.to_toml(), written);
}

fn every_name_finds_its_model(table: &PriceTable) {
    for model in table.models() {
        assert!(!model.periods.is_empty());
        for name in model.names() {
            assert_eq!(normalise(name), name, "names are kept normalised");
            assert_eq!(table.find(name).map(|found| &found.id), Some(&model.id), "{name}");
        }
    }
}

/// The file's prices are the ones that count, and the two together are a table like any other.
fn lies_over_the_shipped_prices(table: &PriceTable) {
    let both = PriceTable::shipped().overridden_by(table.clone());
    assert_eq!(both.own_version(), Some(table.version()));
    for model in table.models() {
        for name in model.names() {
            let found = both.find(name).unwrap_or_else(|| panic!("{name} is gone"));
            assert_eq!(found.periods, model.periods, "{name}");
        }
    }
    assert_eq!(parsed(&both.to_toml()).digest(), both.digest());
    assert_eq!(table.clone().overridden_by(table.clone()).digest(), table.digest(), "laid over itself");
    let again = PriceTable::shipped().overridden_by(table.clone()).overridden_by(table.clone());
    assert_eq!(again.digest(), both.digest(), "laid over twice");
}

/// Numbers that are a function of the input.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Small numbers as often as large ones, and 0.
    fn count(&mut self) -> u64 {
        let bits = self.below(28);
        self.below(1 << bits).min(MOST_TOKENS)
    }

    fn pick<T: Copy, const COUNT: usize>(&mut self, from: [T; COUNT]) -> T {
        from[usize::try_from(self.below(COUNT as u64)).expect("below a length")]
    }

    fn tokens(&mut self) -> TokenCounts {
        TokenCounts::from_array([0; 5].map(|_: u64| self.count()))
    }

    fn parts(&mut self) -> Vec<Part> {
        let kinds = [PartKind::Advisor, PartKind::Compaction, PartKind::AbandonedAttempt, PartKind::Step];
        (0..self.below(4))
            .map(|_| Part {
                kind: self.pick(kinds),
                model: (self.below(3) == 0).then(|| ModelName("claude-opus-5-5".to_owned())),
                tokens: self.tokens(),
            })
            .collect()
    }

    fn usage(&mut self) -> Usage {
        Usage {
            tokens: self.tokens(),
            thinking: 0,
            web_searches: if self.below(3) == 0 { self.count() } else { 0 },
            speed: if self.below(3) == 0 { Speed::Fast } else { Speed::Standard },
            geo: if self.below(3) == 0 { Geo::Us } else { Geo::Global },
            tier: self.pick([Tier::Standard, Tier::Standard, Tier::Batch, Tier::Priority]),
            parts: self.parts(),
        }
    }

    /// A moment of the years that periods begin and end in, sometimes exactly at a day's beginning.
    fn moment(&mut self) -> UnixMillis {
        let day = i64::try_from(19_000 + self.below(3_000)).expect("a day");
        let within = if self.below(3) == 0 { 0 } else { self.below(86_400_000) };
        UnixMillis(day * DAY_MS + i64::try_from(within).expect("within a day"))
    }
}

fn prices_without_error(table: &PriceTable, model: &ModelName, mut random: Random) {
    for _ in 0..8 {
        let (usage, at) = (random.usage(), random.moment());
        is_explained(table, model, &usage, at);
        adds_up(table, model, &usage, random.tokens(), at);
        steps_are_the_whole(table, model, &usage, random.tokens(), at);
    }
}

/// Nothing is negative, and the terms that are shown are the cost.
fn is_explained(table: &PriceTable, model: &ModelName, usage: &Usage, at: UnixMillis) {
    let cost = table.cost(model, usage, at);
    let explained = table.explain(model, usage, at);
    assert_eq!(explained.cost, cost);
    assert_eq!(total(&explained.own), cost.own, "{explained:?}");
    let extra = usage.parts.iter().zip(&cost.parts).filter(|(part, _)| part.kind.is_extra());
    let shown: Vec<Cost> = explained.parts.iter().map(|call| total(std::slice::from_ref(call))).collect();
    assert_eq!(shown, extra.map(|(_, cost)| *cost).collect::<Vec<_>>());
    for cost in cost.parts.iter().chain([&cost.own]) {
        assert!(cost.known().is_none_or(|amount| amount.0 >= 0), "{cost:?}");
    }
}

/// The sum of all terms; unpriced where one call is.
fn total(calls: &[CallExplanation]) -> Cost {
    let mut sum = 0_i128;
    for call in calls {
        match &call.outcome {
            CallOutcome::Free => {}
            CallOutcome::Unpriced(_) => return Cost::Unpriced,
            CallOutcome::Priced(priced) => {
                let terms: i128 = priced.terms.iter().map(|term| i128::from(term.amount.0)).sum();
                assert_eq!(terms, i128::from(priced.amount.0));
                sum += terms;
            }
        }
    }
    i64::try_from(sum).map_or(Cost::Unpriced, |sum| Cost::Known(tallyd::domain::Picodollars(sum)))
}

fn own(table: &PriceTable, model: &ModelName, usage: &Usage, at: UnixMillis) -> Option<Usd> {
    table.cost(model, usage, at).own.known().map(Usd::from)
}

/// Where no prompt is long, two responses cost what one with the tokens of both does, in either order.
fn adds_up(table: &PriceTable, model: &ModelName, usage: &Usage, more: TokenCounts, at: UnixMillis) {
    let row = table.find(&model.0).and_then(|model| model.period_at(at));
    if row.is_none_or(|row| row.long_prompt.is_some()) {
        return;
    }
    let with = |tokens| Usage { tokens, web_searches: 0, parts: Vec::new(), ..usage.clone() };
    let mut both = usage.tokens;
    both += more;
    let costs = [usage.tokens, more, both].map(|tokens| own(table, model, &with(tokens), at));
    if let [Some(first), Some(second), Some(both)] = costs {
        let (mut one_way, mut other_way) = (first, second);
        one_way += second;
        other_way += first;
        assert_eq!((one_way, other_way), (both, both), "{usage:?} and {more:?}");
    }
}

/// Steps that make up the whole are priced one by one.
fn steps_are_the_whole(
    table: &PriceTable,
    model: &ModelName,
    usage: &Usage,
    more: TokenCounts,
    at: UnixMillis,
) {
    let step = |tokens| Part { kind: PartKind::Step, model: None, tokens };
    let alone = |tokens| Usage { tokens, web_searches: 0, parts: Vec::new(), ..usage.clone() };
    let mut both = usage.tokens;
    both += more;
    let stepped = Usage { parts: vec![step(usage.tokens), step(more)], ..alone(both) };
    let steps = [usage.tokens, more].map(|tokens| own(table, model, &alone(tokens), at));
    if let ([Some(mut first), Some(second)], Some(whole)) = (steps, own(table, model, &stepped, at)) {
        first += second;
        assert_eq!(first, whole, "{stepped:?}");
    }
}
