//! Whether tallyd is ready: following, able to write, and with nothing waiting for too long. Pure.

use super::vitals::{State, Vitals};
use crate::domain::UnixMillis;
use crate::ledger::{Backlog, PublishNote};
use std::time::Duration;

/// One thing that has to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) is_ok: bool,
    /// What there is to say of it: no path, no id.
    pub(super) what: String,
}

impl Check {
    fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, is_ok: true, what: what.into() }
    }

    fn wrong(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, is_ok: false, what: what.into() }
    }
}

/// What is known of publishing, where it is on.
pub(super) struct Publishing<'a> {
    pub(super) backlog: Backlog,
    pub(super) note: &'a PublishNote,
    /// Since when this tallyd runs: what waited before could not be sent.
    pub(super) started: UnixMillis,
    pub(super) max_backlog: Duration,
}

/// Is it following?
pub(super) fn following(vitals: &Vitals) -> Check {
    let name = "following";
    match &vitals.state {
        State::Off => Check::ok(name, "counting is switched off"),
        State::Following if vitals.is_watching => Check::ok(name, "all logs"),
        State::Following => Check::ok(name, "all logs, by looking every few seconds"),
        State::Starting => Check::wrong(name, "not yet: the logs that were there at start are being read"),
        State::Failing(_) => Check::wrong(name, "counting waits for the ledger"),
        State::Mending => Check::wrong(name, "counting waits for the ledger, which is being made anew"),
    }
}

/// Can the ledger be written?
pub(super) fn ledger(vitals: &Vitals, is_readable: bool) -> Check {
    let name = "ledger";
    match &vitals.state {
        State::Failing(_) => Check::wrong(name, "cannot be written; `tallyd status` has the reason"),
        State::Mending => Check::wrong(name, "was damaged and is being made anew"),
        State::Off => Check::ok(name, "not in use"),
        State::Starting | State::Following if is_readable => Check::ok(name, "can be written"),
        State::Starting | State::Following => Check::wrong(name, "cannot be read; see `tallyd check`"),
    }
}

/// Does what is counted arrive?
pub(super) fn publishing(known: Option<&Publishing<'_>>, now: UnixMillis) -> Check {
    let name = "publishing";
    let Some(known) = known else { return Check::ok(name, "off") };
    if let Some(refusal) = &known.note.refusal {
        return Check::wrong(name, format!("refused ({}); `tallyd check` says what mends it", refusal.kind));
    }
    let waiting = known.backlog.waiting;
    let late = age(known, now).filter(|age| *age > known.max_backlog);
    match late {
        Some(age) => {
            let (seconds, limit) = (age.as_secs(), known.max_backlog.as_secs());
            Check::wrong(
                name,
                format!("{waiting} waiting, nothing has arrived for {seconds} s (limit {limit} s)"),
            )
        }
        None => Check::ok(name, format!("{waiting} waiting")),
    }
}

/// For how long the oldest has waited without anything having arrived.
fn age(known: &Publishing<'_>, now: UnixMillis) -> Option<Duration> {
    let oldest = known.backlog.oldest?;
    let since = oldest.max(known.started).max(known.note.last_success.unwrap_or(oldest));
    Some(Duration::from_millis(u64::try_from(now.0.saturating_sub(since.0)).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::NotedRefusal;

    const NOW: UnixMillis = UnixMillis(10_000_000);

    fn vitals(state: State) -> Vitals {
        Vitals { state, ..Vitals::off() }
    }

    fn check_publishing(oldest: Option<i64>, last_success: Option<i64>, started: i64, is_ok: bool) {
        let note = PublishNote { last_success: last_success.map(UnixMillis), refusal: None };
        let backlog = Backlog { waiting: 2, oldest: oldest.map(UnixMillis), ..Backlog::default() };
        let max_backlog = Duration::from_mins(15);
        let known = Publishing { backlog, note: &note, started: UnixMillis(started), max_backlog };
        let check = publishing(Some(&known), NOW);
        assert_eq!(check.is_ok, is_ok, "{check:?}");
    }

    #[test]
    fn what_waits_too_long_is_not_ready() {
        let late = NOW.0 - 900_001;
        check_publishing(None, None, 0, true);
        check_publishing(Some(NOW.0 - 900_000), None, 0, true);
        check_publishing(Some(late), None, 0, false);
        check_publishing(Some(late), Some(late), 0, false);
    }

    #[test]
    fn old_usage_that_is_being_sent_is_ready() {
        check_publishing(Some(0), Some(NOW.0 - 1_000), 0, true);
        check_publishing(Some(0), None, NOW.0 - 1_000, true);
    }

    #[test]
    fn a_refusal_is_not_ready_and_off_is() {
        let refusal = NotedRefusal {
            at: NOW,
            kind: "unknown_user".to_owned(),
            message: "no user 7b…".to_owned(),
            help: String::new(),
        };
        let note = PublishNote { last_success: Some(NOW), refusal: Some(refusal) };
        let (backlog, max_backlog) = (Backlog::default(), Duration::from_mins(15));
        let check = publishing(Some(&Publishing { backlog, note: &note, started: NOW, max_backlog }), NOW);
        assert!(
            !check.is_ok && check.what.contains("unknown_user") && !check.what.contains("7b"),
            "{check:?}"
        );
        assert!(publishing(None, NOW).is_ok);
    }

    #[test]
    fn only_who_follows_or_is_switched_off_is_ready() {
        let states = [
            (State::Off, true, true),
            (State::Starting, false, true),
            (State::Following, true, true),
            (State::Failing("/secret: full".to_owned()), false, false),
            (State::Mending, false, false),
        ];
        for (state, follows, writes) in states {
            let vitals = vitals(state);
            let checks = (following(&vitals), ledger(&vitals, true));
            assert_eq!((checks.0.is_ok, checks.1.is_ok), (follows, writes), "{checks:?}");
            assert!(!format!("{checks:?}").contains("secret"));
        }
        assert!(!ledger(&vitals(State::Following), false).is_ok);
    }
}
