//! Which account line goes on from which.

use super::counters::{covers, total};
use super::{AccountLine, CopiedHistory, Lineage, LoggedReply};
use crate::domain::UnixMillis;

/// What one line, or several of the same content, add to the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The first line of its content: what is added is attributed to it.
    pub(super) line: usize,
    /// The line that it goes on from; `None`: from nothing.
    pub(super) baseline: Option<usize>,
    /// Time of the latest reply before that line in its log, or before an earlier one.
    pub(super) after: Option<UnixMillis>,
    /// `totalDuration` of the last line of its content.
    pub(super) ends_ms: u64,
    /// For how long the client has run since the line before: at least as long as the process that wrote it.
    pub(super) ran_ms: u64,
    /// It is the first of its session.
    pub(super) is_first: bool,
}

impl Stretch {
    /// `ran_ms`, for sums with times.
    pub(super) fn ran_ms_signed(&self) -> i64 {
        i64::try_from(self.ran_ms).unwrap_or(i64::MAX)
    }

    /// When the line was written; `None` unless by the first process, which began when the lineage did.
    pub(super) fn written(&self, lineage: &Lineage) -> Option<UnixMillis> {
        let began = lineage.started_at.filter(|_| self.is_first && self.baseline.is_none())?;
        Some(UnixMillis(began.0.saturating_add(self.ran_ms_signed())))
    }

    /// The time that the growth is attributed to.
    pub(super) fn at(
        &self,
        lineage: &Lineage,
        replies: &[&LoggedReply],
        before: Option<UnixMillis>,
    ) -> UnixMillis {
        let latest = replies.iter().map(|reply| reply.at).max();
        let written = || self.written(lineage);
        let known = || {
            let of_baseline =
                self.baseline.and_then(|line| lineage.lines.get(line)).and_then(|line| line.after);
            [before, of_baseline, self.after, lineage.started_at].into_iter().flatten().max()
        };
        latest.or_else(written).or_else(known).unwrap_or_default()
    }
}

/// The lines of a session, oldest first.
pub(super) fn stretches(lineage: &Lineage, session: &str) -> Vec<Stretch> {
    let mut own: Vec<(usize, &AccountLine)> =
        lineage.lines.iter().enumerate().filter(|(_, line)| line.account.session == session).collect();
    own.sort_by_key(|(_, line)| (line.account.duration_ms, total(&line.account), line.after));
    let mut stretches: Vec<Stretch> = Vec::new();
    for (position, line) in own {
        let same = stretches.last_mut().filter(|last| is_same(lineage, last.line, line));
        if let Some(last) = same {
            last.ran_ms = last.ran_ms.saturating_add(line.account.duration_ms.saturating_sub(last.ends_ms));
            last.ends_ms = line.account.duration_ms;
            continue;
        }
        let stretch = stretch(lineage, &stretches, position, line);
        stretches.push(stretch);
    }
    stretches
}

fn is_same(lineage: &Lineage, known: usize, line: &AccountLine) -> bool {
    lineage
        .lines
        .get(known)
        .is_some_and(|known| covers(&known.account, &line.account) && covers(&line.account, &known.account))
}

fn stretch(lineage: &Lineage, before: &[Stretch], position: usize, line: &AccountLine) -> Stretch {
    let duration = |line: usize| lineage.lines.get(line).map_or(0, |line| line.account.duration_ms);
    let goes_on =
        |known: usize| lineage.lines.get(known).is_some_and(|known| covers(&line.account, &known.account));
    let baseline = if before.is_empty() {
        forked_from(lineage, line)
    } else {
        before.iter().rev().map(|stretch| stretch.line).find(|known| goes_on(*known))
    };
    let ended_ms = before.last().map(|last| last.ends_ms).or(baseline.map(duration)).unwrap_or(0);
    Stretch {
        line: position,
        baseline,
        after: before.last().and_then(|last| last.after).max(line.after),
        ends_ms: line.account.duration_ms,
        ran_ms: line.account.duration_ms.saturating_sub(ended_ms),
        is_first: before.is_empty(),
    }
}

/// The line that the first line of a forked session goes on from, of the sessions that paid for the copies in its log:
/// the greatest that it may. One that stands behind a reply as late as the fork's first was written after the fork; one
/// that stands behind a reply that was not copied most likely, too.
fn forked_from(lineage: &Lineage, line: &AccountLine) -> Option<usize> {
    let session = line.account.session.as_str();
    let own = lineage.replies.iter().filter(|reply| reply.session == session);
    let first = own.map(|reply| reply.at).min();
    let parents = lineage.copies.iter().filter(|copies| copies.session == session && copies.payer != session);
    let candidates = parents.flat_map(|copies| {
        let lines =
            lineage.lines.iter().enumerate().filter(|(_, known)| known.account.session == copies.payer);
        lines.map(move |(position, known)| (position, known, copies))
    });
    let may_be = |(_, known, _): &(usize, &AccountLine, &CopiedHistory)| {
        known.account.duration_ms <= line.account.duration_ms
            && first.is_none_or(|first| known.after < Some(first))
            && covers(&line.account, &known.account)
    };
    let preference = |(_, known, copies): &(usize, &AccountLine, &CopiedHistory)| {
        let is_whole = !has_reply(lineage, &copies.payer, copies.until, known.after);
        (is_whole, total(&known.account), known.account.duration_ms, known.after)
    };
    candidates.filter(may_be).max_by_key(preference).map(|(position, ..)| position)
}

/// True where a session has a reply of the main chain later than one time and not later than another.
fn has_reply(lineage: &Lineage, session: &str, from: UnixMillis, until: Option<UnixMillis>) -> bool {
    let mut own = lineage.replies.iter().filter(|reply| reply.main_chain && reply.session == session);
    own.any(|reply| reply.at > from && Some(reply.at) <= until)
}

/// The replies in the first line of a session that were paid for by those it was forked from, whose lines are gone.
pub(super) fn inherited<'a>(
    lineage: &'a Lineage,
    session: &str,
    stretches: &[Stretch],
) -> Vec<&'a LoggedReply> {
    let is_orphan = stretches.first().is_some_and(|first| first.baseline.is_none());
    let (true, Some(started_at)) = (is_orphan, lineage.started_at) else { return Vec::new() };
    let copies: Vec<_> = lineage.copies.iter().filter(|copies| copies.session == session).collect();
    let is_inherited = |reply: &&LoggedReply| {
        let paid_by = |payer: &str| reply.session == payer && payer != session;
        reply.at >= started_at && copies.iter().any(|c| paid_by(&c.payer) && reply.at <= c.until)
    };
    let mut inherited: Vec<_> = lineage.replies.iter().filter(is_inherited).collect();
    inherited.sort_unstable();
    inherited
}
