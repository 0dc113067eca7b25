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
    let floor =
        lineage.started_at.filter(|_| stretches.first().is_some_and(|first| first.baseline.is_none()));
    let written = stretches.first().and_then(|first| first.written(lineage));
    let place_of =
        |at: UnixMillis| stretches.partition_point(|stretch| stretch.after.is_none_or(|after| after < at));
    // A process that is interrupted writes its account first, and behind it what it was in the middle of.
    let is_too_late = |reply: &LoggedReply| {
        let is_cut = reply.main_chain && !reply.complete && place_of(reply.at) == 1;
        is_cut && written.is_some_and(|written| reply.at <= written)
    };
    let own = || own.iter().copied().filter(|reply| !is_too_late(reply));
    let main: Vec<UnixMillis> = own().filter(|reply| reply.main_chain).map(|reply| reply.at).collect();
    for reply in own() {
        let place = place_of(reply.at);
        if place == 0 && floor.is_some_and(|floor| reply.at < floor) {
            continue;
        }
        let place = place - usize::from(!reply.main_chain && trails(stretches, place, reply.at, &main));
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
