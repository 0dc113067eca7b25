//! The formula: tokens times the rates in force, long prompts and multipliers decided for each call.
//!
//! A response is one call to a model or several: steps, an advisor, a compaction, an attempt given up.
//! Each call is priced alone, and [`super::explain`] shows the same calls with the same basis.
//! Sums are exact in `i128`. The caps on token counts keep every cost within 9.2 million dollars;
//! a sum beyond that cannot come from a log, and would be unpriced rather than wrong.

use super::error::WhyUnpriced;
use super::model::{LongPrompt, Model, Multipliers, Period};
use super::rate::{Rate, SearchRate, TokenRates};
use super::table::PriceTable;
use crate::domain::{Cost, ModelName, Part, PartKind, Picodollars, TokenCounts, UnixMillis, Usage, Used};

/// What a response costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedUsage {
    /// The response's own counters and its web searches.
    pub own: Cost,
    /// `usage.parts`, in their order; a [`PartKind::Step`] is inside `own` and costs nothing more.
    pub parts: Vec<Cost>,
}

/// One call to a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// The part it comes from; `None` for the response's own counters.
    pub(super) kind: Option<PartKind>,
    pub(super) model: &'a ModelName,
    pub(super) tokens: TokenCounts,
    pub(super) searches: u64,
}

impl Call<'_> {
    fn is_zero(&self) -> bool {
        self.tokens.is_zero() && self.searches == 0
    }

    /// An attempt given up before any output is not billed.
    fn is_waived(&self) -> bool {
        self.kind == Some(PartKind::AbandonedAttempt) && self.tokens.output == 0
    }
}

/// What a call is priced by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Basis<'a> {
    pub(super) model: &'a Model,
    pub(super) period: &'a Period,
    /// The long-prompt prices, where they apply.
    pub(super) long_prompt: Option<&'a LongPrompt>,
    pub(super) applied: Multipliers,
    /// The rates before the multipliers.
    pub(super) base: TokenRates,
    /// The rates after them.
    pub(super) rates: TokenRates,
}

impl PriceTable {
    /// What a response of `model` costs at the prices of its day. `at` is the time of its earliest line.
    pub fn cost(&self, model: &ModelName, usage: &Usage, at: UnixMillis) -> PricedUsage {
        let own = if steps_decide(usage) {
            sum(own_steps(model, usage).map(|call| self.price(&call, usage, at)))
        } else {
            self.price(&own_call(model, usage), usage, at)
        };
        let parts = usage.parts.iter().map(|part| match part_call(model, part) {
            Some(call) => as_cost(self.price(&call, usage, at)),
            None => Cost::Known(Picodollars(0)),
        });
        PricedUsage { own: as_cost(own), parts: parts.collect() }
    }

    /// What several calls to `model` cost that used this much together, at the prices of their day and without any
    /// option. Each of them may have been below the threshold of a long prompt, so that its prices are left out.
    pub fn cost_of_calls(&self, model: &ModelName, used: &Used, at: UnixMillis) -> Cost {
        let call = Call { kind: None, model, tokens: used.tokens, searches: used.web_searches };
        let amount = self.basis(&call, &Usage::default(), at).and_then(|basis| match basis {
            Some(basis) => Basis { long_prompt: None, rates: basis.period.rates, ..basis }.amount(&call),
            None => Ok(Picodollars(0)),
        });
        as_cost(amount)
    }

    fn price(&self, call: &Call<'_>, usage: &Usage, at: UnixMillis) -> Result<Picodollars, WhyUnpriced> {
        let basis = self.basis(call, usage, at)?;
        basis.map_or(Ok(Picodollars(0)), |basis| basis.amount(call))
    }

    /// What the call is priced by; `None` for a call that is free.
    pub(super) fn basis(
        &self,
        call: &Call<'_>,
        usage: &Usage,
        at: UnixMillis,
    ) -> Result<Option<Basis<'_>>, WhyUnpriced> {
        if call.is_waived() {
            return Ok(None);
        }
        let model = self.find(&call.model.0).ok_or(WhyUnpriced::UnknownModel)?;
        if call.is_zero() {
            return Ok(None);
        }
        let period = model.period_at(at).ok_or(WhyUnpriced::NoPriceThatDay)?;
        if call.searches > 0 && period.web_search.is_none() {
            return Err(WhyUnpriced::NoWebSearchPrice);
        }
        let applied = period.multipliers.applied_to(usage)?;
        let long_prompt = period
            .long_prompt
            .as_ref()
            .filter(|long| long.dates.contains(at) && call.tokens.prompt() > long.above);
        let base = long_prompt.map_or(period.rates, |long| long.rates);
        // The table's constructor has formed every one of these products.
        let rates =
            applied.product().and_then(|product| base.times(product).ok()).ok_or(WhyUnpriced::TooLarge)?;
        Ok(Some(Basis { model, period, long_prompt, applied, base, rates }))
    }
}

impl Basis<'_> {
    /// The call's tokens and searches at these rates.
    fn amount(&self, call: &Call<'_>) -> Result<Picodollars, WhyUnpriced> {
        let counts = call.tokens.as_array().into_iter().chain([call.searches]);
        let search = self.period.web_search.map_or(0, SearchRate::picodollars);
        let rates = self.rates.as_array().map(Rate::picodollars).into_iter().chain([search]);
        let total = counts.zip(rates).try_fold(0_i128, |total, (count, rate)| {
            total.checked_add(i128::from(count).checked_mul(i128::from(rate))?)
        });
        total.and_then(|total| i64::try_from(total).ok()).map(Picodollars).ok_or(WhyUnpriced::TooLarge)
    }
}

/// True when the steps add up to the response's counters: then each of them was a request by itself,
/// and the long-prompt price is decided for each (measured on client 2.1.330).
pub(super) fn steps_decide(usage: &Usage) -> bool {
    let mut has_steps = false;
    let mut total = [0_u128; 5];
    for step in usage.parts.iter().filter(|part| part.kind == PartKind::Step) {
        has_steps = true;
        for (total, count) in total.iter_mut().zip(step.tokens.as_array()) {
            *total += u128::from(count);
        }
    }
    has_steps && total == usage.tokens.as_array().map(u128::from)
}

/// The response's own counters as one call.
pub(super) fn own_call<'a>(model: &'a ModelName, usage: &Usage) -> Call<'a> {
    Call { kind: None, model, tokens: usage.tokens, searches: usage.web_searches }
}

/// The response's own counters as its steps, all by the model that served; the first has the searches.
pub(super) fn own_steps<'a>(model: &'a ModelName, usage: &Usage) -> impl Iterator<Item = Call<'a>> {
    let steps = usage.parts.iter().filter(|part| part.kind == PartKind::Step);
    steps.enumerate().map(move |(position, step)| Call {
        kind: Some(PartKind::Step),
        model,
        tokens: step.tokens,
        searches: if position == 0 { usage.web_searches } else { 0 },
    })
}

/// The call of a part that comes on top of the response's own counters.
pub(super) fn part_call<'a>(model: &'a ModelName, part: &'a Part) -> Option<Call<'a>> {
    let model = part.model.as_ref().unwrap_or(model);
    part.kind.is_extra().then_some(Call { kind: Some(part.kind), model, tokens: part.tokens, searches: 0 })
}

fn sum(costs: impl Iterator<Item = Result<Picodollars, WhyUnpriced>>) -> Result<Picodollars, WhyUnpriced> {
    let mut total = Picodollars(0);
    for cost in costs {
        total.0 = total.0.checked_add(cost?.0).ok_or(WhyUnpriced::TooLarge)?;
    }
    Ok(total)
}

fn as_cost(cost: Result<Picodollars, WhyUnpriced>) -> Cost {
    cost.map_or(Cost::Unpriced, Cost::Known)
}
