//! Growth less what was logged, where the log and the account do not agree at first sight.

use super::LoggedReply;
use super::counters::{Balance, Balances, levelled, sum};
use crate::domain::{ModelName, UnixMillis};

/// What is left of the growth. The process that wrote the line has begun at `earliest` or later: where more is logged
/// than the account has grown by, the replies before are those of a process that was killed. Where that does not
/// explain it, cut-off replies are not in the account. Else all replies are taken from the growth, and what is below
/// zero stays: to leave out a reply on no other ground than that it does not fit would count it twice where the
/// account lacks a single token.
pub(super) fn settle(growth: &Balances, replies: &[&LoggedReply], earliest: UnixMillis) -> Balances {
    let all = rest(growth, replies.iter().copied());
    if fits(&all) {
        return all;
    }
    let begun = replies.partition_point(|reply| reply.at < earliest);
    let tries = [
        rest(growth, replies.iter().copied().skip(begun)),
        rest(growth, replies.iter().copied().filter(|reply| reply.complete)),
        rest(growth, replies.iter().copied().skip(begun).filter(|reply| reply.complete)),
    ];
    tries.into_iter().find(fits).unwrap_or(all)
}

fn rest<'a>(growth: &Balances, replies: impl Iterator<Item = &'a LoggedReply>) -> Balances {
    let mut left = growth.clone();
    replies.for_each(|reply| take(&mut left, reply));
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
