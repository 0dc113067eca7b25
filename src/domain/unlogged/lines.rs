//! Which account line goes on from which.

use super::counters::{covers, total};
use super::{AccountLine, Lineage, LoggedReply};
use crate::domain::UnixMillis;

/// What one line, or several of the same content, add to the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The first line of its content: what is added is attributed to it.
    pub(super) line: usize,
    /// The line that it goes on from; `None`: from nothing.
    pub(super) baseline: Option<usize>,
    /// Time of the latest reply before it in its log or before an earlier one.
    pub(super) after: Option<UnixMillis>,
    /// `totalDuration` of the last line of its content.
    pub(super) ends_ms: u64,
    /// For how long the client has run since the line before: at least as long as the process that wrote it.
    pub(super) ran_ms: u64,
    /// It is the first of its session.
    pub(super) is_first: bool,
}

impl Stretch {
    /// The same for sums with times.
    pub(super) fn ran_ms_signed(&self) -> i64 {
        i64::try_from(self.ran_ms).unwrap_or(i64::MAX)
    }

    /// The count of a process that began with the lineage: its line says when it was written.
    fn is_of_first_process(&self) -> bool {
        self.is_first && self.baseline.is_none()
    }

    /// When the process that wrote the line has ended, at the latest: it cannot have begun after its first reply.
    pub(super) fn ended(&self, lineage: &Lineage, first_reply: Option<UnixMillis>) -> Option<UnixMillis> {
        let began = lineage.started_at.filter(|_| self.is_of_first_process()).or(first_reply)?;
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
        let ended = || self.ended(lineage, None);
        let known = || {
            let of_baseline = self.baseline.and_then(|line| lineage.lines.get(line)).and_then(|line| line.after);
            [before, of_baseline, self.after, lineage.started_at].into_iter().flatten().max()
        };
        latest.or_else(ended).or_else(known).unwrap_or_default()
    }
}

/// The lines of a session, oldest first; `first_reply` is the earliest that the session paid for.
pub(super) fn stretches(lineage: &Lineage, session: &str, first_reply: Option<UnixMillis>) -> Vec<Stretch> {
    let mut own: Vec<(usize, &AccountLine)> =
        lineage.lines.iter().enumerate().filter(|(_, line)| line.account.session == session).collect();
    own.sort_by_key(|(_, line)| (line.account.duration_ms, total(&line.account), line.after));
    let mut stretches: Vec<Stretch> = Vec::new();
    for (position, line) in own {
        let same = stretches.last_mut().filter(|last| is_same(lineage, last.line, line));
        if let Some(last) = same {
            last.after = last.after.max(line.after);
            last.ran_ms = last.ran_ms.saturating_add(line.account.duration_ms.saturating_sub(last.ends_ms));
            last.ends_ms = line.account.duration_ms;
            continue;
        }
        let stretch = stretch(lineage, &stretches, position, line, first_reply);
        stretches.push(stretch);
    }
    stretches
}

fn is_same(lineage: &Lineage, known: usize, line: &AccountLine) -> bool {
    lineage.lines.get(known).is_some_and(|known| {
        covers(&known.account, &line.account) && covers(&line.account, &known.account)
    })
}

fn stretch(
    lineage: &Lineage,
    before: &[Stretch],
    position: usize,
    line: &AccountLine,
    first_reply: Option<UnixMillis>,
) -> Stretch {
    let duration = |line: usize| lineage.lines.get(line).map_or(0, |line| line.account.duration_ms);
    let goes_on =
        |known: usize| lineage.lines.get(known).is_some_and(|known| covers(&line.account, &known.account));
    let baseline = if before.is_empty() {
        forked_from(lineage, line, first_reply)
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

/// The line that the first line of a forked session goes on from: the greatest that it may, of the sessions that paid
/// for the copies in its log. One that stands behind later replies than the fork's first was written too late.
fn forked_from(lineage: &Lineage, line: &AccountLine, first_reply: Option<UnixMillis>) -> Option<usize> {
    let session = line.account.session.as_str();
    let is_parent = |other: &str| {
        let mut copies = lineage.copies.iter();
        other != session && copies.any(|copies| copies.session == session && copies.payer == other)
    };
    let was_there = |known: &AccountLine| first_reply.is_none_or(|first| known.after.is_none_or(|at| at < first));
    let candidates = lineage.lines.iter().enumerate().filter(|(_, known)| {
        known.account.duration_ms <= line.account.duration_ms
            && is_parent(&known.account.session)
            && was_there(known)
            && covers(&line.account, &known.account)
    });
    candidates.max_by_key(|(_, known)| (total(&known.account), known.account.duration_ms)).map(|(known, _)| known)
}

/// The replies in the first line of a session that were paid for by those it was forked from, whose lines are gone.
pub(super) fn inherited<'a>(lineage: &'a Lineage, session: &str, stretches: &[Stretch]) -> Vec<&'a LoggedReply> {
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
