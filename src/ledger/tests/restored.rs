//! Sessions that count by what the server has: which value counts, when, for whom, and what is sent of it.

use super::outbox::{acknowledged, offer, publish, user, values, waiting};
use super::*;
use crate::domain::Usd;
use crate::domain::{DayCell, Destination, Revision, SessionValue, UnloggedTotals};
use chrono::NaiveDate;
use pretty_assertions::assert_eq;
use proptest::prelude::*;

/// The rules that the server's values are by, unless a test says otherwise.
const RULES: u32 = 7;

pub(super) fn revision(rules: u32) -> Revision {
    Revision::new(rules, 1, 0)
}

fn totals(messages: u64, output: u64) -> Totals {
    let tokens = TokenCounts { input: 7 * messages, output, ..TokenCounts::default() };
    Totals { tokens, messages, cost: Usd(5), ..Totals::default() }
}

/// A session with so many responses and so much output on each of two days.
pub(super) fn value(session: &str, messages: u64, output: u64) -> SessionValue {
    let day = |day| DayCell {
        day: NaiveDate::from_ymd_opt(2026, 9, day).unwrap(),
        model: "opus".to_owned(),
        totals: totals(messages, output),
    };
    let mut sum = totals(messages, output);
    sum += totals(messages, output);
    SessionValue {
        session: session.to_owned(),
        totals: sum,
        started_at: UnixMillis::parse("2026-09-01T18:00:00Z").unwrap(),
        last_at: UnixMillis::parse("2026-09-02T06:00:00Z").unwrap(),
        model: "opus".to_owned(),
        cells: vec![day(1), day(2)],
        unlogged: UnloggedTotals::default(),
        unlogged_days: vec![],
    }
}

pub(super) fn theirs(value: SessionValue, revision: Revision) -> Restorable {
    Restorable { digest: format!("{revision} {value:?}"), revision, value }
}

/// Takes one value from the server of user 1.
pub(super) fn adopt(sandbox: &Sandbox, one: Restorable) -> Found {
    match sandbox.outbox().adopt(&user(1), &[one], UnixMillis(9)).unwrap() {
        Adopted::Values(found) => found[0],
        Adopted::Foreign(owner) => panic!("it belongs to {owner}"),
    }
}

/// So many responses of a session.
fn with(session: &str, responses: i64) -> Sandbox {
    let mut sandbox = Sandbox::new();
    grow(&mut sandbox, session, 0, responses);
    sandbox
}

fn grow(sandbox: &mut Sandbox, session: &str, from: i64, to: i64) {
    let lines = (from..to).map(|number| line(&format!("msg_01{session}{number}"), session, number, 10));
    sandbox.ingest_lines(0, lines.collect());
}

/// Responses, as reports have them.
fn messages(sandbox: &Sandbox) -> u64 {
    sandbox.cells().values().map(|(totals, ..)| totals.messages).sum()
}

fn restored(sandbox: &Sandbox) -> u64 {
    sandbox.outbox().restoration().unwrap().sessions
}

#[test]
fn a_session_that_no_log_has_counts_by_the_servers_value() {
    let sandbox = with("here", 2);
    assert_eq!(adopt(&sandbox, theirs(value("gone", 2, 30), revision(RULES))), Found::Missing);
    let cells = sandbox.cells();
    let noon = |day: u32| UnixMillis::parse(&format!("2026-09-0{day}T12:00:00Z")).unwrap();
    let of = |day| cells[&("gone".to_owned(), noon(day).quarter().0, "opus".to_owned())];
    let whole = value("gone", 2, 30);
    assert_eq!(of(1), (totals(2, 30), whole.started_at, whole.started_at));
    assert_eq!(of(2), (totals(2, 30), whole.last_at, whole.last_at));
    assert_eq!((messages(&sandbox), restored(&sandbox)), (2 + 4, 1));
    let record = sandbox.reader().restored("gone").unwrap().unwrap();
    assert_eq!((record.value, record.read_at), (whole, UnixMillis(9)));
    assert!(sandbox.reader().restored("here").unwrap().is_none());
    assert_eq!(waiting(&sandbox), ["here"], "the server has it");
    assert_eq!(sandbox.outbox().owner().unwrap(), Some(user(1)));
    let marked: Vec<bool> =
        sandbox.reader().cells(None, None).unwrap().iter().map(|cell| cell.restored).collect();
    assert_eq!(marked.iter().filter(|restored| **restored).count(), 2);
}

#[test]
fn the_greater_value_counts_alone_whatever_the_rules() {
    // The ledger has 3 responses with 30 tokens of output and 321 of input and cache.
    for (messages_of_a_day, output, found) in
        [(1, 500, Found::Known), (2, 1, Found::Fuller), (2, 500, Found::Fuller)]
    {
        for rules in [1, 9] {
            let sandbox = with("s", 3);
            let theirs = theirs(value("s", messages_of_a_day, output), revision(rules));
            assert_eq!(sandbox.outbox().preview_adopt(std::slice::from_ref(&theirs)).unwrap(), [found]);
            assert_eq!(adopt(&sandbox, theirs), found);
            let expected = if found == Found::Known { 3 } else { 2 * messages_of_a_day };
            assert_eq!(messages(&sandbox), expected, "{messages_of_a_day} {output} {rules}");
        }
    }
}

#[test]
fn as_much_as_the_ledger_has_is_left_alone() {
    let sandbox = with("s", 2);
    let ours = sandbox.cells();
    let mut theirs = theirs(value("s", 1, 10), revision(RULES));
    theirs.value.totals.tokens.cache_read = 200;
    theirs.value.cells[0].totals.tokens.cache_read = 200;
    assert_eq!(adopt(&sandbox, theirs.clone()), Found::Known);
    theirs.value.totals.tokens.cache_read += 1;
    theirs.value.cells[0].totals.tokens.cache_read += 1;
    assert_eq!(adopt(&sandbox, theirs), Found::Fuller, "a token more");
    assert_ne!(sandbox.cells(), ours);
}

#[test]
fn a_log_that_comes_back_takes_over_when_it_has_caught_up() {
    let mut sandbox = with("s", 1);
    adopt(&sandbox, theirs(value("s", 2, 15), revision(RULES)));
    for there in 2..4 {
        grow(&mut sandbox, "s", there - 1, there);
        assert_eq!((messages(&sandbox), restored(&sandbox)), (4, 1), "{there} of 4");
    }
    grow(&mut sandbox, "s", 3, 4);
    assert_eq!((messages(&sandbox), restored(&sandbox)), (4, 0));
    assert_eq!(sandbox.cells(), sandbox.sums());
    assert_eq!(waiting(&sandbox), ["s"], "it may have more than the server");
    let offers = offer(&mut sandbox.outbox(), &user(1));
    assert_eq!((offers[0].revision, offers[0].value.as_ref().unwrap().totals.messages), (None, 4));
}

#[test]
fn a_ledger_that_fails_to_take_in_keeps_what_was_restored() {
    let mut sandbox = with("s", 1);
    adopt(&sandbox, theirs(value("s", 1, 15), revision(RULES)));
    sandbox
        .ledger()
        .connection
        .execute_batch("CREATE TRIGGER full BEFORE UPDATE ON session BEGIN SELECT RAISE(ABORT, 'full'); END")
        .unwrap();
    let lines = vec![line("msg_01s1", "s", 1, 90)];
    assert!(sandbox.ledger().ingest(vec![update("a.jsonl", 0, lines)], &Rates::default()).is_err());
    assert_eq!((messages(&sandbox), restored(&sandbox)), (2, 1));
}

#[test]
fn what_was_restored_is_offered_as_it_was_read_under_its_own_rules() {
    let mut sandbox = with("s", 1);
    let whole = theirs(value("s", 2, 15), revision(RULES));
    adopt(&sandbox, whole.clone());
    assert_eq!(waiting(&sandbox), [""; 0]);
    // A part of it comes back: it waits, and what is offered is still the whole.
    grow(&mut sandbox, "s", 1, 2);
    assert_eq!(waiting(&sandbox), ["s"]);
    let known = sandbox.outbox().waiting(9).unwrap()[0].acknowledged.clone();
    assert_eq!(known.as_ref(), Some(&whole.digest), "which need not be sent");
    // Greater rules make everything wait.
    sandbox.outbox().begin(revision(1), "").unwrap();
    sandbox.outbox().begin(revision(9), "").unwrap();
    assert!(!sandbox.outbox().wants_restore().unwrap());
    let offers = offer(&mut sandbox.outbox(), &user(1));
    assert_eq!(offers.len(), 1);
    assert_eq!((offers[0].revision, offers[0].value.as_ref()), (Some(revision(RULES)), Some(&whole.value)));
    let all = sandbox.outbox().values(None, 9).unwrap();
    assert_eq!((all.len(), all[0].value.as_ref()), (1, Some(&whole.value)));
}

#[test]
fn nothing_is_offered_before_the_server_was_read() {
    let sandbox = with("s", 1);
    let mut outbox = sandbox.outbox();
    let keys: Vec<_> = outbox.waiting(9).unwrap().iter().map(|one| one.key).collect();
    outbox.want_restore().unwrap();
    assert_eq!(outbox.offer(&user(1), &keys).unwrap(), Offered::RestoreFirst);
    assert!(outbox.restoration().unwrap().is_wanted);
    outbox.restore_done().unwrap();
    assert_eq!(values(outbox.offer(&user(1), &keys).unwrap()).len(), 1);
}

#[test]
fn an_answer_that_is_under_way_does_not_acknowledge_less_than_was_restored() {
    let sandbox = with("s", 1);
    let mut outbox = sandbox.outbox();
    let under_way = acknowledged(&offer(&mut outbox, &user(1))[0]);
    let whole = theirs(value("s", 2, 15), revision(RULES));
    adopt(&sandbox, whole.clone());
    outbox.acknowledge(&user(1), &[under_way], UnixMillis(10)).unwrap();
    outbox.republish_sessions(&[]).unwrap();
    let mut sandbox = sandbox;
    assert_eq!(sandbox.query("SELECT digest FROM acknowledgement"), [whole.digest]);
}

#[test]
fn a_value_of_the_server_gives_way_to_a_better_one_of_the_server() {
    let sandbox = with("s", 1);
    adopt(&sandbox, theirs(value("s", 2, 15), revision(RULES)));
    assert_eq!(adopt(&sandbox, theirs(value("s", 2, 15), revision(RULES))), Found::Known, "the same again");
    assert_eq!(adopt(&sandbox, theirs(value("s", 3, 15), revision(6))), Found::Known, "by older rules");
    assert_eq!(
        adopt(&sandbox, theirs(value("s", 3, 15), revision(RULES))),
        Found::Fuller,
        "another machine went on"
    );
    assert_eq!(messages(&sandbox), 6);
    // By newer rules there are fewer: still more than the ledger's own.
    assert_eq!(adopt(&sandbox, theirs(value("s", 2, 1), revision(9))), Found::Fuller);
    assert_eq!(messages(&sandbox), 4);
}

#[test]
fn a_value_by_newer_rules_that_knows_no_more_than_the_logs_ends_a_restoration() {
    let sandbox = with("s", 3);
    adopt(&sandbox, theirs(value("s", 2, 15), revision(RULES)));
    assert_eq!(adopt(&sandbox, theirs(value("s", 1, 1), revision(9))), Found::Known);
    assert_eq!((messages(&sandbox), restored(&sandbox)), (3, 0));
    assert_eq!(waiting(&sandbox), ["s"]);
}

#[test]
fn what_was_read_for_one_user_never_goes_to_another() {
    let sandbox = with("own", 1);
    publish(&sandbox, &user(1));
    adopt(&sandbox, theirs(value("gone", 2, 15), revision(RULES)));
    let mut outbox = sandbox.outbox();
    let elsewhere = [theirs(value("other", 2, 15), revision(RULES))];
    assert_eq!(outbox.adopt(&user(2), &elsewhere, UnixMillis(9)).unwrap(), Adopted::Foreign(user(1)));
    for what in [Reassign::FromNowOn, Reassign::Everything] {
        outbox.reassign(&user(2), what).unwrap();
        outbox.republish().unwrap();
        let offered: Vec<_> = outbox.values(None, 9).unwrap().into_iter().map(|offer| offer.value).collect();
        let gone = offered.iter().flatten().filter(|value| value.session == "gone").count();
        assert_eq!(gone, 0, "{what:?}");
        assert!(!waiting(&sandbox).contains(&"gone".to_owned()), "{what:?}");
        assert_eq!(messages(&sandbox), 5, "reports still have it");
        // The new owner's own session of that name would be another one: it is left alone.
        let found =
            outbox.adopt(&user(2), &[theirs(value("gone", 9, 99), revision(RULES))], UnixMillis(9)).unwrap();
        assert_eq!(found, Adopted::Values(vec![Found::Held]));
    }
    outbox.reassign(&user(1), Reassign::Everything).unwrap();
    assert_eq!(waiting(&sandbox), ["gone", "own"], "back with the one it was read for");
}

#[test]
fn a_parked_session_is_free_when_the_server_has_more_of_it() {
    let sandbox = with("s", 1);
    let mut outbox = sandbox.outbox();
    let one = &offer(&mut outbox, &user(1))[0];
    outbox.park(one.key, one.stamp, "22023", "bad", "0.1.0", UnixMillis(1)).unwrap();
    adopt(&sandbox, theirs(value("s", 2, 15), revision(RULES)));
    assert_eq!((outbox.parked().unwrap(), waiting(&sandbox)), (Vec::new(), Vec::new()));
}

#[test]
fn a_response_of_a_restored_session_stays_where_the_server_has_it() {
    let mut sandbox = with("s", 1);
    adopt(&sandbox, theirs(value("s", 2, 15), revision(RULES)));
    // The original of what was a copy: without the server, the response would move to its session.
    let mut original = line("msg_01s0", "origin", -1, 10);
    original.rank.at = UnixMillis(-1);
    sandbox.ingest_lines(500, vec![original]);
    let sessions: Vec<String> = sandbox.cells().into_keys().map(|(session, ..)| session).collect();
    assert_eq!(sessions, ["s", "s"]);
}

#[test]
fn names_and_numbers_of_a_server_are_only_values() {
    let mut sandbox = Sandbox::new();
    let hostile = "'; DROP TABLE response; --\0\u{1b}[2J<script>";
    let mut value = value(hostile, 1, 1);
    value.model = hostile.to_owned();
    value.cells[0].model = hostile.to_owned();
    adopt(&sandbox, theirs(value.clone(), revision(RULES)));
    assert_eq!(sandbox.reader().restored(hostile).unwrap().unwrap().value.session, hostile);
    assert_eq!(sandbox.query("SELECT count(*) FROM response"), ["0"]);
    assert_eq!(messages(&sandbox), 2);
}

#[test]
fn a_stranger_of_no_user_is_not_read() {
    let sandbox = Sandbox::new();
    let nobody = Destination { project: "https://other.supabase.co".to_owned(), ..user(1) };
    adopt(&sandbox, theirs(value("s", 1, 1), revision(RULES)));
    let found = sandbox.outbox().adopt(&nobody, &[], UnixMillis(1)).unwrap();
    assert_eq!(found, Adopted::Foreign(user(1)));
}

/// What happens to one of two sessions.
#[derive(Clone, Debug)]
enum Step {
    /// So many more responses turn up in the logs, each with 10 tokens of output.
    Grow(usize, i64),
    /// The server has so many responses and so much output on each of two days, by these rules.
    Restore(usize, u64, u64, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_usize, 1..4_i64).prop_map(|(session, more)| Step::Grow(session, more)),
        (0..2_usize, 1..5_u64, 1..60_u64, 1..4_u32)
            .prop_map(|(session, messages, output, rules)| Step::Restore(session, messages, output, rules)),
    ]
}

/// A session as it should be.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    logged: i64,
    /// Rules, responses and output of the server's value that counts, in the order of the contract's rank.
    restored: Option<(u32, u64, u64)>,
}

impl Expected {
    fn fullness_of_logs(&self) -> (u64, u64) {
        let logged = u64::try_from(self.logged).unwrap();
        (logged, 10 * logged)
    }

    /// Only what knows more than the logs stays.
    fn settle(&mut self) {
        let logs = self.fullness_of_logs();
        self.restored = self.restored.filter(|(_, messages, output)| (*messages, *output) > logs);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn each_session_counts_by_logs_or_server_whichever_knows_more(steps in prop::collection::vec(step(), 1..14)) {
        let (names, mut expected) = (["one", "two"], [Expected::default(); 2]);
        let mut sandbox = Sandbox::new();
        for step in &steps {
            match *step {
                Step::Grow(session, more) => {
                    let one = &mut expected[session];
                    grow(&mut sandbox, names[session], one.logged, one.logged + more);
                    one.logged += more;
                    one.settle();
                }
                Step::Restore(session, messages, output, rules) => {
                    adopt(&sandbox, theirs(value(names[session], messages, output), revision(rules)));
                    let one = &mut expected[session];
                    one.restored = one.restored.max(Some((rules, 2 * messages, 2 * output)));
                    one.settle();
                }
            }
            for (name, one) in names.iter().zip(&expected) {
                let mut sum = Totals::default();
                let cells = sandbox.cells();
                let of_it = cells.iter().filter(|((session, ..), _)| session == name);
                of_it.for_each(|(_, (totals, ..))| sum += *totals);
                let counts = one.restored.map_or(one.fullness_of_logs(), |(_, messages, output)| (messages, output));
                prop_assert_eq!((sum.messages, sum.tokens.output), counts, "{} after {:?}", name, step);
                let is_restored = sandbox.reader().restored(name).unwrap().is_some();
                prop_assert_eq!(is_restored, one.restored.is_some());
            }
        }
    }
}
