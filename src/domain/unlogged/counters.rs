//! The arithmetic of accounts: differences that may be below zero, by model.

use super::lines::Stretch;
use super::{Lineage, LoggedCall, Used};
use crate::domain::{ClientAccount, ModelName, TokenCounts};
use std::collections::BTreeMap;

/// Five kinds of token and web searches.
pub(super) type Counters = [i128; 6];

/// What is left of a model's growth when the log has been taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Balance {
    pub(super) rest: Counters,
    /// Picodollars.
    pub(super) client_cost: i128,
    /// Picodollars; `None` where something has no price.
    pub(super) logged_cost: Option<i128>,
    pub(super) incomplete: u64,
}

impl Default for Balance {
    fn default() -> Self {
        Self { rest: [0; 6], client_cost: 0, logged_cost: Some(0), incomplete: 0 }
    }
}

pub(super) type Balances = BTreeMap<ModelName, Balance>;

impl Balance {
    /// Takes a logged call away.
    pub(super) fn take(&mut self, call: &LoggedCall) {
        for (rest, logged) in self.rest.iter_mut().zip(counters(call.used)) {
            *rest -= logged;
        }
        self.logged_cost = self.logged_cost.zip(call.cost).map(|(sum, cost)| sum + i128::from(cost));
    }

    /// Client 2.1.300 has all cache writes as one number, later ones have them by life time too: what one kind lacks the
    /// other has.
    pub(super) fn level(&mut self) {
        self.rest = levelled(self.rest);
    }

    /// Takes in what another model has.
    pub(super) fn merge(&mut self, other: &Self) {
        self.rest = sum(self.rest, other.rest);
        self.client_cost += other.client_cost;
        self.logged_cost = self.logged_cost.zip(other.logged_cost).map(|(mine, theirs)| mine + theirs);
        self.incomplete += other.incomplete;
    }

    pub(super) fn is_short(&self) -> bool {
        self.rest.iter().any(|rest| *rest < 0)
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.rest == [0; 6] && self.client_cost == 0 && self.incomplete == 0
    }

    pub(super) fn missing(&self) -> Used {
        used(self.rest)
    }

    pub(super) fn surplus(&self) -> Used {
        used(self.rest.map(|rest| -rest))
    }
}

pub(super) fn sum(one: Counters, other: Counters) -> Counters {
    let mut sum = one;
    sum.iter_mut().zip(other).for_each(|(mine, theirs)| *mine += theirs);
    sum
}

/// Moves cache writes to the kind that is below zero, as far as the other has them.
pub(super) fn levelled(counters: Counters) -> Counters {
    let [input, output, five_minutes, one_hour, read, searches] = counters;
    let written = five_minutes + one_hour;
    let [five_minutes, one_hour] = match (five_minutes < 0, one_hour < 0) {
        (false, true) => [written.max(0), written.min(0)],
        (true, false) => [written.min(0), written.max(0)],
        _ => [five_minutes, one_hour],
    };
    [input, output, five_minutes, one_hour, read, searches]
}

pub(super) fn counters(used: Used) -> Counters {
    let [input, output, five_minutes, one_hour, read] = used.tokens.as_array().map(i128::from);
    [input, output, five_minutes, one_hour, read, i128::from(used.web_searches)]
}

/// What is above zero.
fn used(counters: Counters) -> Used {
    let [tokens @ .., web_searches] = counters.map(|count| u64::try_from(count.max(0)).unwrap_or(u64::MAX));
    Used { tokens: TokenCounts::from_array(tokens), web_searches }
}

/// What `one` has beyond `other`.
pub(super) fn beyond(one: Used, other: Used) -> Used {
    used(sum(counters(one), counters(other).map(|count| -count)))
}

/// The greater of both in every counter.
pub(super) fn greater(one: Used, other: Used) -> Used {
    used(sum(counters(one), counters(beyond(other, one))))
}

/// The counters of an account by model, models that used nothing left out.
pub(super) fn by_model(account: &ClientAccount) -> BTreeMap<&ModelName, Counters> {
    let mut models: BTreeMap<&ModelName, Counters> = BTreeMap::new();
    for model in &account.models {
        let used = Used { tokens: model.tokens, web_searches: model.web_searches };
        let counts = models.entry(&model.model).or_default();
        *counts = sum(*counts, counters(used));
    }
    models.retain(|_, counts| *counts != [0; 6]);
    models
}

/// All counters of all models together.
pub(super) fn total(account: &ClientAccount) -> i128 {
    by_model(account).values().flatten().sum()
}

/// True where an account may go on from another: it is not below it in any counter, cache writes taken together.
pub(super) fn covers(account: &ClientAccount, other: &ClientAccount) -> bool {
    let mine = by_model(account);
    let covers = |(model, counts): (&ModelName, Counters)| {
        let beyond = |mine: &Counters| levelled(sum(*mine, counts.map(|count| -count)));
        mine.get(model).is_some_and(|mine| beyond(mine).iter().all(|count| *count >= 0))
    };
    by_model(other).into_iter().all(covers)
}

/// By what a line is more than the one it goes on from.
pub(super) fn growth(lineage: &Lineage, stretch: &Stretch) -> Balances {
    let mut balances = Balances::new();
    for (line, sign) in [(Some(stretch.line), 1), (stretch.baseline, -1)] {
        let line = line.and_then(|line| lineage.lines.get(line));
        for model in line.iter().flat_map(|line| &line.account.models) {
            let used = Used { tokens: model.tokens, web_searches: model.web_searches };
            let balance = balances.entry(model.model.clone()).or_default();
            balance.rest = sum(balance.rest, counters(used).map(|count| count * sign));
            balance.client_cost += model.cost.0 * sign;
        }
    }
    balances
}
