//! What waits, what is offered, and what becomes of acknowledgements.

use super::*;
use crate::domain::{DayCell, Destination, Revision, SessionKey, SessionValue, UnloggedTotals, UserId};
use crate::ledger::outbox::waiting_query;
use pretty_assertions::assert_eq;
use rusqlite::params;

pub(super) fn user(number: u8) -> Destination {
    let user = format!("00000000-0000-4000-8000-0000000000{number:02}");
    Destination {
        project: "https://abcdefghijklmnopqrst.supabase.co".to_owned(),
        user: UserId::parse(&user).unwrap(),
    }
}

pub(super) fn values(offered: Offered) -> Vec<Offer> {
    match offered {
        Offered::Values(offers) => offers,
        Offered::Foreign(owner) => panic!("it belongs to {owner}"),
        Offered::RestoreFirst => panic!("the server is to be read first"),
    }
}

/// Stands for the digest of a value: the value itself.
pub(super) fn digest(value: Option<&SessionValue>) -> String {
    format!("{value:?}")
}

pub(super) fn acknowledged(offer: &Offer) -> Acknowledged {
    Acknowledged { key: offer.key, stamp: offer.stamp, digest: digest(offer.value.as_ref()) }
}

/// Names of the sessions that wait.
pub(super) fn waiting(sandbox: &Sandbox) -> Vec<String> {
    let sessions = sandbox.reader().sessions().unwrap();
    let name = |key| sessions.iter().find(|session| session.key == key).unwrap().id.clone();
    let mut names: Vec<_> =
        sandbox.outbox().waiting(usize::MAX).unwrap().into_iter().map(|one| name(one.key)).collect();
    names.sort_unstable();
    names
}

/// Offers all that waits; nothing has arrived yet.
pub(super) fn offer(outbox: &mut Outbox, to: &Destination) -> Vec<Offer> {
    let keys: Vec<_> = outbox.waiting(usize::MAX).unwrap().into_iter().map(|one| one.key).collect();
    values(outbox.offer(to, &keys).unwrap())
}

/// Everything that waits is sent and arrives.
pub(super) fn publish(sandbox: &Sandbox, to: &Destination) -> Vec<Offer> {
    let mut outbox = sandbox.outbox();
    let offers = offer(&mut outbox, to);
    let done: Vec<_> = offers.iter().map(acknowledged).collect();
    outbox.acknowledge(to, &done, UnixMillis(1)).unwrap();
    offers
}

fn key(sandbox: &Sandbox, session: &str) -> SessionKey {
    sandbox.reader().sessions().unwrap().iter().find(|one| one.id == session).unwrap().key
}

fn three_sessions() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let lines = ["one", "two", "three"].map(|session| line(&format!("msg_01{session}"), session, 0, 1));
    sandbox.ingest_lines(0, lines.to_vec());
    sandbox
}

#[test]
fn a_value_is_the_sum_of_days_and_models_and_the_latest_response_names_its_model() {
    let mut sandbox = Sandbox::new();
    let day = 24 * 3_600_000;
    let mut advised = line("msg_01B", "one", day - 1, 20);
    let tokens = TokenCounts { input: 3, ..TokenCounts::default() };
    let part =
        |model: &str| Part { kind: PartKind::Advisor, model: Some(ModelName(model.to_owned())), tokens };
    advised.usage.parts = vec![part("zoo?"), part("opus")];
    let haiku = ResponseLine { model: ModelName("haiku".into()), ..line("msg_01C", "one", day + 7, 40) };
    let mut both_last = line("msg_01D", "one", day + 7, 80);
    both_last.usage.parts = vec![part("zoo?")];
    both_last.is_final = false;
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 5, 10), advised, haiku, both_last]);
    let offers = publish(&sandbox, &user(1));
    let date = |text: &str| text.parse().unwrap();
    let totals = |input, output, cache_read, messages| Totals {
        tokens: TokenCounts { input, output, cache_read, ..TokenCounts::default() },
        messages,
        cost: crate::domain::Usd((i128::from(input + output + cache_read)) * 5_000_000),
        ..Totals::default()
    };
    let zoo = Totals { unpriced: 1, unpriced_tokens: 3, cost: crate::domain::Usd(0), ..totals(3, 0, 0, 0) };
    let late = Totals { incomplete: 1, ..totals(7, 80, 100, 1) };
    let cell = |day, model: &str, totals| DayCell { day: date(day), model: model.to_owned(), totals };
    let cells = vec![
        cell("1970-01-01", "opus", totals(17, 30, 200, 2)),
        cell("1970-01-01", "zoo?", zoo),
        cell("1970-01-02", "haiku", totals(7, 40, 100, 1)),
        cell("1970-01-02", "opus", late),
        cell("1970-01-02", "zoo?", zoo),
    ];
    let mut sum = Totals::default();
    for cell in &cells {
        sum += cell.totals;
    }
    let expected = SessionValue {
        session: "one".to_owned(),
        totals: sum,
        started_at: UnixMillis(5),
        last_at: UnixMillis(day + 7),
        model: "opus".to_owned(),
        cells,
        unlogged: UnloggedTotals::default(),
        unlogged_days: vec![],
    };
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].value, Some(expected));
    assert_eq!(sum.unpriced_tokens, 6);
}

#[test]
fn what_arrived_waits_no_more_until_it_changes() {
    let mut sandbox = three_sessions();
    assert_eq!(waiting(&sandbox), ["one", "three", "two"]);
    assert_eq!(publish(&sandbox, &user(1)).len(), 3);
    assert_eq!(waiting(&sandbox), [""; 0]);
    sandbox.ingest_lines(0, vec![line("msg_01one", "one", 0, 1)]);
    assert_eq!(waiting(&sandbox), [""; 0], "the same again changes nothing");
    let newer = ResponseLine { version: Some("2.1.331".to_owned()), ..line("msg_01one", "one", 0, 1) };
    assert_eq!(sandbox.ingest_lines(0, vec![newer]).new_responses, 0);
    assert_eq!(waiting(&sandbox), [""; 0], "the client's version is in no value");
    sandbox.ingest_lines(0, vec![line("msg_01two", "two", 3, 2)]);
    assert_eq!(waiting(&sandbox), ["two"]);
    let known = sandbox.outbox().waiting(9).unwrap();
    assert!(known[0].acknowledged.as_ref().unwrap().contains("output: 1,"), "{known:?}");
    publish(&sandbox, &user(1));
    sandbox.ledger().reprice(&Rates { digest: "seven", picodollars: 7, ..Rates::default() }).unwrap();
    assert_eq!(waiting(&sandbox), ["one", "three", "two"]);
    publish(&sandbox, &user(1));
    sandbox.ledger().reprice(&Rates { digest: "another name", picodollars: 7, ..Rates::default() }).unwrap();
    assert_eq!(waiting(&sandbox), [""; 0], "the same prices under another name");
}

#[test]
fn a_time_that_moves_within_its_quarter_is_a_change() {
    let mut sandbox = Sandbox::new();
    let at = |id: &str, at| line(id, "one", at, 1);
    sandbox.ingest_lines(0, vec![at("msg_01A", 50), at("msg_01B", 60)]);
    sandbox.ledger().connection.execute("UPDATE session SET published = stamp", []).unwrap();
    sandbox.ingest_lines(200, vec![at("msg_01B", 55)]);
    assert_eq!(waiting(&sandbox), ["one"], "the last response of the session is earlier now");
    assert_eq!(sandbox.cells(), sandbox.sums());
}

#[test]
fn an_answer_that_never_came_leaves_all_waiting() {
    let mut sandbox = three_sessions();
    let first = offer(&mut sandbox.outbox(), &user(1));
    assert_eq!(waiting(&sandbox), ["one", "three", "two"]);
    assert_eq!(sandbox.outbox().owner().unwrap(), None, "nothing was acknowledged yet");
    sandbox.reopen();
    assert_eq!(publish(&sandbox, &user(1)), first, "the same values once more");
    assert_eq!(waiting(&sandbox), [""; 0]);
}

#[test]
fn what_changes_while_it_is_sent_goes_on_waiting() {
    let mut sandbox = three_sessions();
    let mut outbox = sandbox.outbox();
    let offers = offer(&mut outbox, &user(1));
    sandbox.ingest_lines(300, vec![line("msg_01new", "two", 9, 1)]);
    let done: Vec<_> = offers.iter().map(acknowledged).collect();
    outbox.acknowledge(&user(1), &done, UnixMillis(1)).unwrap();
    assert_eq!(waiting(&sandbox), ["two"]);
    let known = outbox.waiting(9).unwrap();
    let sent = offers.iter().find(|offer| offer.key == known[0].key).unwrap();
    assert_eq!(known[0].acknowledged, Some(digest(sent.value.as_ref())));
}

#[test]
fn acknowledgements_that_fit_nothing_count_for_nothing() {
    let mut sandbox = three_sessions();
    let mut outbox = sandbox.outbox();
    let offers = offer(&mut outbox, &user(1));
    let ahead = Acknowledged { stamp: offers[0].stamp + 1, ..acknowledged(&offers[0]) };
    let unknown = Acknowledged { key: SessionKey(99), ..acknowledged(&offers[0]) };
    outbox.acknowledge(&user(1), &[ahead, unknown], UnixMillis(1)).unwrap();
    assert_eq!(waiting(&sandbox).len(), 3);
    // An older answer that comes late does not hide what arrived since.
    sandbox.ingest_lines(300, vec![line("msg_01new", "one", 9, 1)]);
    publish(&sandbox, &user(1));
    let late: Vec<_> = offers.iter().map(acknowledged).collect();
    outbox.acknowledge(&user(1), &late, UnixMillis(2)).unwrap();
    assert_eq!(waiting(&sandbox), [""; 0]);
    let digests = sandbox.query("SELECT digest FROM acknowledgement WHERE session = 1");
    assert!(digests[0].contains("messages: 2"), "{digests:?}");
    outbox.acknowledge(&user(2), &[], UnixMillis(3)).unwrap();
    assert_eq!(outbox.owner().unwrap(), Some(user(1)));
}

#[test]
fn a_preview_leaves_no_trace() {
    let mut sandbox = three_sessions();
    let keys: Vec<_> = ["one", "two"].map(|session| key(&sandbox, session)).to_vec();
    let dump = "SELECT id, stamp, published, offered, destination FROM session UNION ALL \
                SELECT key, value, '', '', '' FROM meta";
    let before = sandbox.query(dump);
    let shown = sandbox.outbox().preview(&keys).unwrap();
    assert_eq!(sandbox.query(dump), before);
    assert_eq!(shown, values(sandbox.outbox().offer(&user(1), &keys).unwrap()));
    assert!(sandbox.query(dump) != before);
}

#[test]
fn all_values_come_in_pages() {
    let mut sandbox = three_sessions();
    publish(&sandbox, &user(1));
    sandbox.ingest_lines(300, vec![line("msg_01four", "four", 0, 1)]);
    let outbox = sandbox.outbox();
    let names = |after, limit| {
        let page = outbox.values(after, limit).unwrap();
        let names: Vec<_> = page.iter().map(|offer| offer.value.as_ref().unwrap().session.clone()).collect();
        (page.last().map(|offer| offer.key), names)
    };
    let (last, first_page) = names(None, 3);
    assert_eq!(first_page, ["one", "two", "three"]);
    let (last, second_page) = names(last, 3);
    assert_eq!(second_page, ["four"]);
    assert_eq!(names(last, 3).1, [""; 0]);
}

#[test]
fn a_session_that_moved_away_before_anybody_heard_of_it_settles_unsent() {
    let mut sandbox = Sandbox::new();
    let copied = ResponseLine {
        attribution: Attribution { copied: true, at: UnixMillis(5), session: "fork".to_owned() },
        ..line("msg_01A", "fork", 5, 1)
    };
    sandbox.ingest_lines(0, vec![copied]);
    sandbox.ingest_lines(100, vec![line("msg_01A", "one", 5, 1)]);
    assert_eq!(waiting(&sandbox), ["fork", "one"]);
    let known = &sandbox.outbox().waiting(1).unwrap()[0];
    sandbox.outbox().park(known.key, known.stamp, "22023", "bad", "0.1.0", UnixMillis(1)).unwrap();
    let offers = publish(&sandbox, &user(1));
    assert_eq!(offers.iter().filter_map(|offer| offer.value.as_ref()).count(), 1);
    assert_eq!(offers.len(), 1);
    assert_eq!(waiting(&sandbox), [""; 0]);
    assert_eq!(sandbox.outbox().backlog().unwrap(), Backlog::default());
    sandbox.ingest_lines(200, vec![line("msg_01B", "fork", 9, 1)]);
    assert_eq!(waiting(&sandbox), ["fork"], "it has something of its own now");
}

#[test]
fn parked_sessions_wait_last_until_they_arrive_or_are_released() {
    let mut sandbox = three_sessions();
    let mut outbox = sandbox.outbox();
    let (one, two) = (key(&sandbox, "one"), key(&sandbox, "two"));
    let stamp = outbox.waiting(9).unwrap()[0].stamp;
    outbox.park(one, stamp, "22023", "a bad session_id", "0.1.0", UnixMillis(7)).unwrap();
    outbox.park(two, stamp, "22003", "too much", "0.2.0", UnixMillis(5)).unwrap();
    let parked = outbox.parked().unwrap();
    assert_eq!(parked.iter().map(|one| one.session.as_str()).collect::<Vec<_>>(), ["two", "one"]);
    let expected = Parked {
        key: one,
        session: "one".to_owned(),
        stamp,
        code: "22023".to_owned(),
        message: "a bad session_id".to_owned(),
        version: "0.1.0".to_owned(),
        at: UnixMillis(7),
    };
    assert_eq!(parked[1], expected);
    let known = outbox.waiting(9).unwrap();
    assert_eq!(known.iter().map(|one| one.parked.is_some()).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(known[1].parked.as_ref(), Some(&expected));
    assert_eq!(outbox.waiting(2).unwrap().len(), 2, "the limit is for both kinds together");
    assert!(outbox.waiting(1).unwrap()[0].parked.is_none());
    let backlog = Backlog { waiting: 1, parked: 2, held: 0, oldest: Some(UnixMillis(0)) };
    assert_eq!(outbox.backlog().unwrap(), backlog);
    assert_eq!(outbox.release(Some("0.2.0")).unwrap(), 1, "another version may do better");
    assert_eq!(outbox.parked().unwrap()[0].session, "two");
    publish(&sandbox, &user(1));
    assert_eq!(outbox.parked().unwrap(), [], "it has arrived after all");
    outbox.park(one, stamp, "22023", "late", "0.1.0", UnixMillis(7)).unwrap();
    assert_eq!(outbox.parked().unwrap(), [], "a refusal of what has arrived says nothing");
    sandbox.ingest_lines(300, vec![line("msg_01new", "one", 9, 1)]);
    outbox.park(one, stamp + 1, "22023", "again", "0.1.0", UnixMillis(7)).unwrap();
    assert_eq!(outbox.release(None).unwrap(), 1);
    assert_eq!(waiting(&sandbox), ["one"]);
}

#[test]
fn the_backlog_is_as_old_as_its_stillest_session() {
    let mut sandbox = Sandbox::new();
    let lines = [("msg_01A", "one", 3_000_000), ("msg_01B", "one", 10), ("msg_01C", "two", 2_000_000)];
    sandbox.ingest_lines(0, lines.map(|(id, session, at)| line(id, session, at, 1)).to_vec());
    let backlog = sandbox.outbox().backlog().unwrap();
    assert_eq!((backlog.waiting, backlog.oldest), (2, Some(UnixMillis(2_000_000))));
    publish(&sandbox, &user(1));
    assert_eq!(sandbox.outbox().backlog().unwrap(), Backlog::default());
}

#[test]
fn what_is_sent_anew_is_not_taken_for_known() {
    let sandbox = three_sessions();
    let mut outbox = sandbox.outbox();
    let offers = publish(&sandbox, &user(1));
    assert_eq!(outbox.republish_sessions(&["two".into(), "no such".into()]).unwrap(), 1);
    assert_eq!(waiting(&sandbox), ["two"]);
    assert_eq!(outbox.waiting(9).unwrap()[0].acknowledged, None);
    // The answer to what was sent before is no answer to what is to be sent anew.
    let late: Vec<_> = offers.iter().map(acknowledged).collect();
    outbox.acknowledge(&user(1), &late, UnixMillis(1)).unwrap();
    assert_eq!(waiting(&sandbox), ["two"]);
    assert_eq!(outbox.republish().unwrap(), 3);
    assert_eq!(waiting(&sandbox).len(), 3);
    publish(&sandbox, &user(1));
    assert_eq!(waiting(&sandbox), [""; 0]);
}

#[test]
fn another_revision_sends_everything_anew() {
    let sandbox = three_sessions();
    let mut outbox = sandbox.outbox();
    assert_eq!(outbox.begin(Revision::new(1, 1, 0), "table").unwrap(), Begun::Same);
    outbox.restore_done().unwrap();
    publish(&sandbox, &user(1));
    assert_eq!(outbox.begin(Revision::new(1, 1, 0), "table").unwrap(), Begun::Same);
    for _ in 0..2 {
        let begun = outbox.begin(Revision::new(1, 1, 0), "another table").unwrap();
        assert_eq!(begun, Begun::PricesChangedUnderTheSame, "every time");
    }
    assert_eq!(waiting(&sandbox), [""; 0]);
    assert_eq!(outbox.begin(Revision::new(1, 1, 1), "another table").unwrap(), Begun::Changed);
    assert_eq!(outbox.begin(Revision::new(1, 1, 1), "another table").unwrap(), Begun::Same);
    assert_eq!(waiting(&sandbox).len(), 3);
}

#[test]
fn notes_are_read_as_they_were_written() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.outbox().noted().unwrap(), PublishNote::default());
    let refusal = NotedRefusal {
        at: UnixMillis(-5),
        kind: "user".to_owned(),
        message: "no such user".to_owned(),
        help: "fly secrets set USER_ID=…".to_owned(),
    };
    let note = PublishNote { last_success: Some(UnixMillis(9)), refusal: Some(refusal) };
    sandbox.outbox().note(&note).unwrap();
    assert_eq!(sandbox.outbox().noted().unwrap(), note);
    let mended = PublishNote { last_success: Some(UnixMillis(10)), refusal: None };
    sandbox.outbox().note(&mended).unwrap();
    assert_eq!(sandbox.outbox().noted().unwrap(), mended);
}

#[test]
fn an_outbox_is_opened_beside_the_holder_of_the_lock_and_makes_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Outbox::open(folder.path()), Err(LedgerError::Missing { .. })));
    assert!(!folder.path().join(LEDGER_FILE).exists());
    std::fs::write(folder.path().join(LEDGER_FILE), "").unwrap();
    assert!(matches!(Outbox::open(folder.path()), Err(LedgerError::Empty)));
    let mut sandbox = three_sessions();
    let outbox = sandbox.outbox();
    let synchronous: i64 =
        outbox.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!(synchronous, 2, "what is offered is on disk before it is sent");
    drop(outbox);
    for (version, is_newer) in [(1, false), (99, true)] {
        sandbox.ledger().connection.pragma_update(None, "user_version", version).unwrap();
        let error = Outbox::open(sandbox.folder.path()).unwrap_err();
        assert_eq!(matches!(error, LedgerError::Newer { .. }), is_newer, "{error}");
        assert_eq!(matches!(error, LedgerError::Older { .. }), !is_newer, "{error}");
    }
}

#[test]
fn what_waits_costs_what_waits() {
    let sandbox = three_sessions();
    let outbox = sandbox.outbox();
    let mut plan = outbox.connection.prepare(&format!("EXPLAIN QUERY PLAN {}", waiting_query())).unwrap();
    let steps = plan.query_map(params![1, 1], |row| row.get::<_, String>(3)).unwrap();
    let steps: Vec<_> = steps.collect::<Result<_, _>>().unwrap();
    assert!(steps.iter().any(|step| step.contains("session USING INDEX session_waiting")), "{steps:?}");
    assert!(
        steps.iter().all(|step| !step.starts_with("SCAN") || step.contains("session_waiting")),
        "{steps:?}"
    );
}
