//! The same sum as [`super::cost`], term by term, as plain values for a reader's eyes.

use super::cost::{Basis, Call, PricedUsage, own_call, own_steps, part_call, steps_decide};
use super::error::WhyUnpriced;
use super::model::{Dates, Multipliers};
use super::table::PriceTable;
use crate::domain::{ModelName, PartKind, Picodollars, TokenCounts, UnixMillis, Usage};
use rust_decimal::Decimal;

/// How the cost of a response comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The response's own counters: one call, or one for each step that decided its price alone.
    pub own: Vec<CallExplanation>,
    /// The calls on top of them; `usage.parts` without its steps, in their order.
    pub parts: Vec<CallExplanation>,
    /// The costs that the calls add up to.
    pub cost: PricedUsage,
}

/// How one call is priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallExplanation {
    /// The part it comes from; `None` for the response's own counters as a whole.
    pub kind: Option<PartKind>,
    /// The model that is priced, as the log names it.
    pub model: ModelName,
    /// Its tokens.
    pub tokens: TokenCounts,
    /// What it comes to.
    pub outcome: CallOutcome,
}

/// What a call comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// Nothing used, or an attempt given up before any output: it costs nothing.
    Free,
    /// No price.
    Unpriced(WhyUnpriced),
    /// A price.
    Priced(Box<PricedCall>),
}

/// The price of a call and what it follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedCall {
    /// Id of the model whose row applies.
    pub id: String,
    /// The period of the row.
    pub dates: Dates,
    /// The file that has the row.
    pub origin: String,
    /// Where the row's prices come from.
    pub source: String,
    /// What the row says beside.
    pub note: Option<String>,
    /// The threshold that the prompt exceeds, where long-prompt prices apply.
    pub long_prompt_above: Option<u64>,
    /// The multipliers that apply to the tokens.
    pub multipliers: Multipliers,
    /// What was used, each kind that was used at all.
    pub terms: Vec<Term>,
    /// The sum of the terms.
    pub amount: Picodollars,
}

/// One product of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is counted.
    pub kind: TermKind,
    /// How many.
    pub count: u64,
    /// USD for `kind.unit()` of them, before multipliers.
    pub price: Decimal,
    /// The product of the multipliers; 1 for web searches.
    pub factor: Decimal,
    /// What it comes to.
    pub amount: Picodollars,
}

/// What a term counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermKind {
    /// Uncached input tokens.
    Input,
    /// Output tokens, thinking included.
    Output,
    /// Tokens written to the prompt cache for five minutes.
    CacheWrite5m,
    /// Tokens written to the prompt cache for one hour.
    CacheWrite1h,
    /// Tokens read from the prompt cache.
    CacheRead,
    /// Web searches.
    WebSearch,
}

impl TermKind {
    /// The kinds of token, in the order of `TokenCounts::as_array`.
    const TOKENS: [Self; 5] =
        [Self::Input, Self::Output, Self::CacheWrite5m, Self::CacheWrite1h, Self::CacheRead];

    /// How many a price is for.
    pub fn unit(self) -> u64 {
        if self == Self::WebSearch { 1_000 } else { 1_000_000 }
    }
}

impl PriceTable {
    /// How [`PriceTable::cost`] arrives at what a response costs.
    pub fn explain(&self, model: &ModelName, usage: &Usage, at: UnixMillis) -> Explanation {
        let explain = |call: Call<'_>| self.explain_call(&call, usage, at);
        Explanation {
            own: if steps_decide(usage) {
                own_steps(model, usage).map(explain).collect()
            } else {
                vec![explain(own_call(model, usage))]
            },
            parts: usage.parts.iter().filter_map(|part| part_call(model, part)).map(explain).collect(),
            cost: self.cost(model, usage, at),
        }
    }

    fn explain_call(&self, call: &Call<'_>, usage: &Usage, at: UnixMillis) -> CallExplanation {
        let outcome = match self.basis(call, usage, at) {
            Err(why) => CallOutcome::Unpriced(why),
            Ok(None) => CallOutcome::Free,
            Ok(Some(basis)) => priced(&basis, call).unwrap_or(CallOutcome::Unpriced(WhyUnpriced::TooLarge)),
        };
        CallExplanation { kind: call.kind, model: call.model.clone(), tokens: call.tokens, outcome }
    }
}

/// `None` where the amounts exceed what picodollars hold.
fn priced(basis: &Basis<'_>, call: &Call<'_>) -> Option<CallOutcome> {
    let terms = terms(basis, call)?;
    let amount = terms.iter().try_fold(0_i64, |total, term| total.checked_add(term.amount.0))?;
    Some(CallOutcome::Priced(Box::new(PricedCall {
        id: basis.model.id.clone(),
        dates: basis.period.dates,
        origin: basis.model.origin.clone(),
        source: basis.period.source.clone(),
        note: basis.period.note.clone(),
        long_prompt_above: basis.long_prompt.map(|long| long.above),
        multipliers: basis.applied,
        terms,
        amount: Picodollars(amount),
    })))
}

fn terms(basis: &Basis<'_>, call: &Call<'_>) -> Option<Vec<Term>> {
    let factor = basis.applied.product()?;
    let mut terms = Vec::new();
    let rates = basis.base.as_array().into_iter().zip(basis.rates.as_array());
    for ((kind, count), (base, rate)) in TermKind::TOKENS.into_iter().zip(call.tokens.as_array()).zip(rates) {
        if count > 0 {
            let amount = times(count, rate.picodollars())?;
            terms.push(Term { kind, count, price: base.usd_per_million(), factor, amount });
        }
    }
    if let Some(rate) = basis.period.web_search.filter(|_| call.searches > 0) {
        let amount = times(call.searches, rate.picodollars())?;
        let (kind, price) = (TermKind::WebSearch, rate.usd_per_thousand());
        terms.push(Term { kind, count: call.searches, price, factor: Decimal::ONE, amount });
    }
    Some(terms)
}

fn times(count: u64, rate: i64) -> Option<Picodollars> {
    i64::try_from(count).ok()?.checked_mul(rate).map(Picodollars)
}
