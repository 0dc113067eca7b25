//! Which replies an account line has in it.

use super::lines::Stretch;
use super::{Lineage, LoggedReply};
use crate::domain::UnixMillis;

/// The replies of each stretch, oldest first. `own` and `inherited` are sorted by time.
pub(super) fn place<'a>(
    lineage: &Lineage,
    stretches: &[Stretch],
    own: &[&'a LoggedReply],
    inherited: &[&'a LoggedReply],
) -> Vec<Vec<&'a LoggedReply>> {
    let mut placed = vec![Vec::new(); stretches.len()];
    let (complete, cut): (Vec<&LoggedReply>, Vec<&LoggedReply>) = own.iter().partition(|reply| reply.complete);
    let floor = lineage.started_at.filter(|_| stretches.first().is_some_and(|first| first.baseline.is_none()));
    let own = own.iter().copied().filter(|reply| reply.complete && reply.main_chain);
    let main: Vec<UnixMillis> = own.map(|reply| reply.at).collect();
    let place_of = |reply: &LoggedReply| {
        let place = stretches.partition_point(|stretch| stretch.after.is_none_or(|after| after < reply.at));
        let is_of_earlier_lineage = place == 0 && floor.is_some_and(|floor| reply.at < floor);
        let place = place - usize::from(!reply.main_chain && trails(stretches, place, reply.at, &main));
        (!is_of_earlier_lineage).then_some(place)
    };
    for reply in complete {
        if let Some(list) = place_of(reply).and_then(|place| placed.get_mut(place)) {
            list.push(reply);
        }
    }
    let ends: Vec<Option<UnixMillis>> = stretches
        .iter()
        .zip(&placed)
        .map(|(stretch, replies)| stretch.ended(lineage, replies.first().map(|reply| reply.at)))
        .collect();
    for reply in cut {
        let Some(place) = place_of(reply) else { continue };
        if reply.main_chain && is_booked_too_late(&ends, place, reply.at) {
            continue;
        }
        if let Some(list) = placed.get_mut(place) {
            list.push(reply);
        }
    }
    if let Some(first) = placed.first_mut() {
        first.extend(inherited);
    }
    for replies in &mut placed {
        replies.sort_unstable();
    }
    placed
}

/// A sub-agent's reply may be later than all that its parent logged before the account; it is of the same process as
/// long as the parent has not answered again.
fn trails(stretches: &[Stretch], place: usize, at: UnixMillis, main: &[UnixMillis]) -> bool {
    let Some(before) = place.checked_sub(1).and_then(|before| stretches.get(before)) else { return false };
    let after = before.after.unwrap_or(UnixMillis(i64::MIN));
    let next = main.get(main.partition_point(|main| *main <= after));
    next.is_none_or(|next| *next > at)
}

/// A process that is interrupted writes its account first, and the reply that it was in the middle of behind it.
fn is_booked_too_late(ends: &[Option<UnixMillis>], place: usize, at: UnixMillis) -> bool {
    let Some(before) = place.checked_sub(1).and_then(|before| ends.get(before)) else { return false };
    before.is_none_or(|ended| at <= ended)
}
