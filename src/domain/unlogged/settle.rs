//! Growth less what was logged, where the log and the account do not agree at first sight.

use super::counters::{Balance, Balances, levelled, sum};
use super::{LoggedReply, WitnessedCall};
use crate::domain::{ModelName, UnixMillis};

/// What is left of the growth. Where more is logged than the account has grown by, the oldest replies are not in it: those
/// of a process that was killed, or one that was cut off when its process had written its account. The process that
/// wrote this line has begun at `earliest` or later. Where nothing explains it all replies are taken from the growth,
/// and what is below zero stays.
pub(super) fn settle(growth: &Balances, replies: &[&LoggedReply], earliest: UnixMillis) -> Balances {
    let all = rest(growth, replies.iter().copied());
    if fits(&all) {
        return all;
    }
    let begun = replies.partition_point(|reply| reply.at < earliest);
    let of_process = rest(growth, replies.iter().copied().skip(begun));
    if fits(&of_process) {
        return of_process;
    }
    without_oldest(growth, &all, replies).unwrap_or(all)
}

/// Leaves out as few of the oldest replies as fit, where most of what they have is really missing: an account that lacks
/// a single token is no ground to count a whole reply as unlogged.
fn without_oldest(growth: &Balances, all: &Balances, replies: &[&LoggedReply]) -> Option<Balances> {
    let mut best = Some(growth.clone()).filter(fits);
    let mut left = growth.clone();
    for reply in replies.iter().rev() {
        take(&mut left, reply);
        let settled = settled(left.clone());
        if fits(&settled) {
            best = Some(settled);
        }
    }
    let short = shortage(all);
    let total = |balances: &Balances| balances.values().flat_map(|balance| balance.rest).sum::<i128>();
    best.filter(|best| short.saturating_mul(2) >= total(best) - total(all))
}

/// What is left without a witnessed call; `None` where there is no room for all of it.
pub(super) fn without(left: &Balances, witnessed: &WitnessedCall) -> Option<Balances> {
    let mut rest = left.clone();
    let balance = rest.entry(witnessed.call.model.clone()).or_default();
    balance.take(&witnessed.call);
    balance.incomplete = balance.incomplete.saturating_sub(u64::from(witnessed.completes));
    let rest = settled(rest);
    (shortage(&rest) <= shortage(left)).then_some(rest)
}

/// By how much more was logged than accounted for.
fn shortage(balances: &Balances) -> i128 {
    balances.values().flat_map(|balance| balance.rest).map(|rest| (-rest).max(0)).sum()
}

fn rest<'a>(growth: &Balances, replies: impl Iterator<Item = &'a LoggedReply>) -> Balances {
    let mut left = growth.clone();
    replies.for_each(|reply| take(&mut left, reply));
    settled(left)
}

fn settled(mut left: Balances) -> Balances {
    left.values_mut().for_each(Balance::level);
    by_asked_model(left)
}

fn take(left: &mut Balances, reply: &LoggedReply) {
    for (position, call) in reply.calls.iter().enumerate() {
        let balance = left.entry(call.model.clone()).or_default();
        balance.take(call);
        balance.incomplete += u64::from(!reply.complete && position == 0);
    }
}

fn fits(balances: &Balances) -> bool {
    balances.values().all(|balance| !balance.is_short())
}

/// The account has a reply under the model that was asked for, the log under the one that served. What the log has
/// beyond the account of one model is therefore taken from another that has all of it: one of the same name but for
/// what stands in brackets, else one that nothing is left of, else any.
fn by_asked_model(mut balances: Balances) -> Balances {
    let short: Vec<ModelName> =
        balances.iter().filter(|(_, balance)| balance.is_short()).map(|(model, _)| model.clone()).collect();
    for model in short {
        let Some(missing) = balances.get(&model) else { continue };
        let merged = |other: &Balance| levelled(sum(other.rest, missing.rest));
        let has_all = |(name, other): &(&ModelName, &Balance)| {
            **name != model && merged(other).iter().all(|rest| *rest >= 0)
        };
        let preference = |(name, other): &(&ModelName, &Balance)| {
            (!is_same_model(name, &model), merged(other) != [0; 6], (*name).clone())
        };
        let asked = balances.iter().filter(has_all).min_by_key(preference).map(|(name, _)| name.clone());
        let Some(asked) = asked else { continue };
        let served = balances.remove(&model).unwrap_or_default();
        let asked = balances.entry(asked).or_default();
        asked.merge(&served);
        asked.level();
    }
    balances
}

/// `claude-opus-4-6[1m]` is `claude-opus-4-6`, and so is one with its date behind.
fn is_same_model(one: &ModelName, other: &ModelName) -> bool {
    let [one, other] = [one, other].map(|name| name.0.split('[').next().unwrap_or_default());
    one.starts_with(other) || other.starts_with(one)
}
