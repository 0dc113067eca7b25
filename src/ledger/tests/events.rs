//! Events beside logged replies and accounts: each call counts once, whatever comes first, and twice is once.

use super::*;
use crate::domain::{CallEvent, ClientAccount, ClientModelAccount, Usd};
use pretty_assertions::assert_eq;
use proptest::prelude::*;
use proptest::sample::select;

/// A call to the API: its number says its request, its time and its counts.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
struct Call {
    number: u8,
    session: &'static str,
    /// The log names its request.
    is_named: bool,
    /// The event names it, which one of client 2.1.96 does not.
    is_told_by_name: bool,
    is_logged: bool,
    /// What the log has of it is whole.
    is_complete: bool,
    is_told: bool,
}

const SESSIONS: [&str; 2] = ["one", "two"];

impl Call {
    fn at(self) -> i64 {
        // Nameless calls are told apart by counts and by time.
        1_000 + i64::from(self.number) * 1_000_000
    }

    fn tokens(self) -> TokenCounts {
        TokenCounts {
            input: 7,
            output: 10 + u64::from(self.number),
            cache_read: 100,
            ..TokenCounts::default()
        }
    }

    fn line(self) -> ResponseLine {
        let output = if self.is_complete { self.tokens().output } else { 2 };
        let mut line = line(&format!("msg_01{}", self.number), self.session, self.at(), output);
        line.request = self.is_named.then(|| crate::domain::fnv1a(self.request().as_bytes()));
        line.is_final = self.is_complete;
        line
    }

    fn request(self) -> String {
        format!("req_{}", self.number)
    }

    fn event(self) -> CallEvent {
        CallEvent {
            request_id: self.is_told_by_name.then(|| self.request()),
            session: self.session.to_owned(),
            at: UnixMillis(self.at() + 50),
            duration_ms: 40,
            sequence: u64::from(self.number),
            model: ModelName("opus".to_owned()),
            used: Used { tokens: self.tokens(), web_searches: 0 },
            has_split: true,
            is_fast: false,
            client_cost: Some(Usd(i128::from(self.tokens().total()) * 5_000_000)),
        }
    }

    /// Logged, and told beyond that.
    fn truth(self) -> (u64, u64) {
        let (whole, logged) = (self.tokens().total(), self.line().usage.tokens.total());
        let logged = if self.is_logged { logged } else { 0 };
        (logged, if self.is_told { whole - logged } else { 0 })
    }
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = (select(&SESSIONS[..]), prop::array::uniform5(any::<bool>()));
    let call = call.prop_map(|(session, [is_named, is_told_by_name, is_logged, is_complete, is_told])| {
        Call { number: 0, session, is_named, is_told_by_name, is_logged, is_complete, is_told }
    });
    prop::collection::vec(call, 1..10).prop_map(|calls| {
        let numbered = calls.into_iter().zip(0..);
        numbered.map(|(call, number)| Call { number, ..call }).collect()
    })
}

impl Sandbox {
    fn tell(&mut self, events: &[CallEvent]) -> EventSummary {
        self.ledger().take_events(events, &Rates::default()).unwrap()
    }

    /// Tokens that are logged, and those that are not.
    fn both(&self) -> (u64, u64) {
        let reader = self.reader();
        let logged = reader.cells(None, None).unwrap().iter().map(|cell| cell.totals.tokens.total()).sum();
        (logged, reader.unlogged().unwrap().iter().map(|record| record.used.tokens.total()).sum())
    }

    fn audited(&mut self) -> &mut Self {
        self.ledger().audit().unwrap();
        self
    }
}

/// A cost-state line with all of these calls in it.
fn account(session: &str, calls: &[Call]) -> ClientAccount {
    let of_session = calls.iter().filter(|call| call.session == session);
    let mut tokens = TokenCounts::default();
    of_session.for_each(|call| tokens += call.tokens());
    let model = ModelName("opus".to_owned());
    let cost = Usd(i128::from(tokens.total()) * 5_000_000);
    let models = vec![ClientModelAccount { model, tokens, thinking: 0, web_searches: 0, cost }];
    ClientAccount {
        session: session.to_owned(),
        started_at: Some(UnixMillis(1)),
        duration_ms: 100_000_000,
        cost,
        models,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Lines and events in any order, some twice, cut into any number of transactions.
    #[test]
    fn each_call_counts_once_whatever_comes_first(
        calls in calls(),
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 0..24),
        expected in any::<bool>(),
    ) {
        let mut sandbox = Sandbox::new();
        if expected {
            sandbox.ledger().expect_events().unwrap();
        }
        let rest = calls.iter().enumerate().flat_map(|(number, _)| [(number, true, false), (number, false, false)]);
        let drawn = order.iter().map(|(index, is_line, reopens)| (index.index(calls.len()), *is_line, *reopens));
        for (number, is_line, reopens) in drawn.chain(rest) {
            let call = calls[number];
            if is_line && call.is_logged {
                sandbox.ingest(vec![update("a.jsonl", u64::try_from(number).unwrap() * 100, vec![call.line()])]);
            }
            if !is_line && call.is_told {
                sandbox.tell(&[call.event()]);
            }
            if reopens {
                sandbox.reopen();
            }
        }
        sandbox.audited();
        let truth = calls.iter().map(|call| call.truth());
        let truth = truth.fold((0, 0), |sum, call| (sum.0 + call.0, sum.1 + call.1));
        prop_assert_eq!(sandbox.both(), truth);
    }

    /// With an account of everything, whichever of the three comes last: the account has what no event tells, and
    /// nothing is in the sum twice.
    #[test]
    fn an_account_and_events_of_the_same_calls_are_the_calls_once(calls in calls(), order in 0_u8..6) {
        let mut sandbox = Sandbox::new();
        sandbox.ledger().expect_events().unwrap();
        let lines: Vec<_> = calls.iter().filter(|call| call.is_logged).map(|call| call.line()).collect();
        let events: Vec<_> = calls.iter().filter(|call| call.is_told).map(|call| call.event()).collect();
        let read = |with_lines: bool| {
            SESSIONS.map(|session| {
                let own = lines.iter().filter(|line| line.attribution.session == session && with_lines);
                let mut update = update(&format!("/p/{session}.jsonl"), 0, own.cloned().collect());
                let seen_at = UnixMillis(0);
                update.accounts.push(SeenAccount { offset: 5_000, account: account(session, &calls), seen_at });
                update
            })
        };
        if order < 3 {
            sandbox.tell(&events);
        }
        if order % 3 == 1 {
            sandbox.ingest(read(false).into());
        }
        sandbox.ingest(read(true).into());
        if order >= 3 {
            sandbox.tell(&events);
        }
        sandbox.audited();
        let whole: u64 = calls.iter().map(|call| call.tokens().total()).sum();
        let (logged, unlogged) = sandbox.both();
        prop_assert_eq!(logged + unlogged, whole);
    }
}

const CALL: Call = Call {
    number: 3,
    session: "one",
    is_named: true,
    is_told_by_name: true,
    is_logged: true,
    is_complete: true,
    is_told: true,
};

#[test]
fn an_event_of_a_reply_without_its_final_output_has_the_rest_of_it() {
    let cut = Call { is_complete: false, ..CALL };
    for is_first in [true, false] {
        let mut sandbox = Sandbox::new();
        sandbox.ledger().expect_events().unwrap();
        if is_first {
            sandbox.tell(&[cut.event()]);
        }
        sandbox.ingest_lines(0, vec![cut.line()]);
        sandbox.tell(&[cut.event()]);
        let records = sandbox.audited().reader().unlogged().unwrap();
        let [record] = &records[..] else { panic!("{records:?}") };
        assert_eq!((record.used.tokens.output, record.used.tokens.total(), record.incomplete), (11, 11, 1));
        assert_eq!(record.cost, Cost::Known(Picodollars(11 * 5_000_000)));
        assert_eq!(record.difference(), Some(Usd(0)), "the client has the whole reply in its price");
        // Its last line is read after all: nothing is left over.
        sandbox.ingest_lines(100, vec![CALL.line()]);
        assert_eq!(sandbox.audited().both(), (CALL.tokens().total(), 0));
        assert_eq!(
            sandbox.reader().events().unwrap(),
            EventFigures { confirmed: 1, ..EventFigures::default() }
        );
    }
}

#[test]
fn an_event_without_a_request_is_of_the_reply_that_is_like_it_though_that_has_one() {
    // As client 2.1.96 tells and logs it: the log has the request, and a placeholder for the output.
    let call = Call { is_told_by_name: false, is_complete: false, ..CALL };
    for told_first in [false, true] {
        let mut sandbox = Sandbox::new();
        sandbox.ledger().expect_events().unwrap();
        if told_first {
            sandbox.tell(&[call.event()]);
        }
        sandbox.ingest_lines(0, vec![call.line()]);
        if !told_first {
            sandbox.tell(&[call.event()]);
        }
        assert_eq!(sandbox.both(), call.truth(), "told first: {told_first}");
        sandbox.audited();
    }
}

#[test]
fn other_prices_make_what_was_witnessed_cost_something_else() {
    let mut sandbox = Sandbox::new();
    sandbox.tell(&[CALL.event()]);
    let costs = |sandbox: &Sandbox| sandbox.reader().unlogged().unwrap()[0].cost;
    assert_eq!(costs(&sandbox), Cost::Known(Picodollars(120 * 5_000_000)));
    assert_eq!(sandbox.reader().events().unwrap().other_price, 0);
    sandbox.ledger().reprice(&Rates { picodollars: 9_000_000, digest: "nine", ..Rates::default() }).unwrap();
    assert_eq!(costs(&sandbox), Cost::Known(Picodollars(120 * 9_000_000)));
    assert_eq!(sandbox.reader().events().unwrap().other_price, 1);
    sandbox.ledger().reprice(&Rates { unpriced: "opus", digest: "none", ..Rates::default() }).unwrap();
    assert_eq!(costs(&sandbox), Cost::Unpriced);
}

#[test]
fn the_audit_sees_an_event_that_is_not_what_the_log_makes_of_it() {
    for damage in [
        "UPDATE event SET kind = 0",
        "UPDATE event SET response = NULL",
        "UPDATE event SET response = 99",
        "UPDATE event SET output = output + 1",
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.ledger().expect_events().unwrap();
        sandbox.ingest_lines(0, vec![CALL.line()]);
        sandbox.tell(&[CALL.event()]);
        sandbox.audited().ledger().connection.execute(damage, []).unwrap();
        let error = sandbox.ledger().audit().expect_err(damage);
        assert!(error.is_damaged(), "{damage}: {error}");
    }
}

/// A reply that was logged before anybody listened has no request on record.
#[test]
fn a_reply_that_was_logged_before_events_were_listened_for_is_found_by_what_it_is() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![CALL.line()]);
    let other = Call { number: 4, ..CALL };
    sandbox.tell(&[other.event(), CALL.event()]);
    let expected = EventFigures { confirmed: 1, witnessed: 1, ..EventFigures::default() };
    assert_eq!(sandbox.audited().reader().events().unwrap(), expected);
}

#[test]
fn of_two_events_of_one_request_the_one_with_more_output_counts() {
    let mut more = CALL.event();
    more.used.tokens.output += 5;
    for events in [[CALL.event(), more.clone()], [more.clone(), CALL.event()]] {
        let mut sandbox = Sandbox::new();
        for event in &events {
            sandbox.tell(std::slice::from_ref(event));
        }
        assert_eq!(sandbox.audited().both(), (0, CALL.tokens().total() + 5));
    }
}
