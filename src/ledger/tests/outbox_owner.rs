//! Whose the sessions are: one person's usage is never sent to another unless somebody says so.

use super::outbox::{acknowledged, offer, publish, user, waiting};
use super::*;
use crate::domain::Destination;
use pretty_assertions::assert_eq;

const NONE: [&str; 0] = [];

fn with(sessions: &[&str]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    for session in sessions {
        grow(&mut sandbox, session, 0);
    }
    sandbox
}

/// A further response of a session.
fn grow(sandbox: &mut Sandbox, session: &str, number: i64) {
    sandbox.ingest_lines(0, vec![line(&format!("msg_01{session}{number}"), session, number, 1)]);
}

fn held(sandbox: &Sandbox) -> u64 {
    sandbox.outbox().backlog().unwrap().held
}

/// Names of the sessions whose values are the owner's.
fn owned(sandbox: &Sandbox) -> Vec<String> {
    let values = sandbox.outbox().values(None, usize::MAX).unwrap();
    values.into_iter().map(|offer| offer.value.unwrap().session).collect()
}

#[test]
fn before_anything_arrived_anybody_may_be_the_owner() {
    let sandbox = with(&["one"]);
    assert_eq!(offer(&mut sandbox.outbox(), &user(1)).len(), 1);
    assert_eq!(offer(&mut sandbox.outbox(), &user(2)).len(), 1);
    publish(&sandbox, &user(2));
    assert_eq!(sandbox.outbox().owner().unwrap(), Some(user(2)));
}

#[test]
fn another_user_or_project_is_offered_nothing() {
    let mut sandbox = with(&["one", "two"]);
    publish(&sandbox, &user(1));
    grow(&mut sandbox, "two", 1);
    let elsewhere = Destination { project: "https://other.supabase.co".to_owned(), ..user(1) };
    let keys: Vec<_> = sandbox.outbox().waiting(9).unwrap().iter().map(|one| one.key).collect();
    for stranger in [user(2), elsewhere] {
        assert_eq!(sandbox.outbox().offer(&stranger, &keys).unwrap(), Offered::Foreign(user(1)));
        let forged = Acknowledged { key: keys[0], stamp: 2, digest: String::new() };
        sandbox.outbox().acknowledge(&stranger, &[forged], UnixMillis(1)).unwrap();
    }
    assert_eq!(waiting(&sandbox), ["two"]);
    let offered = sandbox.query("SELECT offered FROM session ORDER BY id");
    assert_eq!(offered, ["2", "2"], "nothing keeps its place for a stranger");
}

#[test]
fn everything_given_away_is_sent_from_the_beginning() {
    let mut sandbox = with(&["one", "two"]);
    publish(&sandbox, &user(1));
    grow(&mut sandbox, "two", 1);
    let mut outbox = sandbox.outbox();
    let under_way = offer(&mut outbox, &user(1));
    let keys = under_way[0].key;
    outbox.park(keys, under_way[0].stamp, "22023", "bad", "0.1.0", UnixMillis(1)).unwrap();
    assert_eq!(outbox.reassign(&user(2), Reassign::Everything).unwrap(), 2);
    assert_eq!(outbox.owner().unwrap(), Some(user(2)));
    assert_eq!(outbox.parked().unwrap(), [], "another server may take it");
    let late: Vec<_> = under_way.iter().map(acknowledged).collect();
    outbox.acknowledge(&user(1), &late, UnixMillis(1)).unwrap();
    outbox.acknowledge(&user(2), &late, UnixMillis(1)).unwrap();
    assert_eq!(waiting(&sandbox), ["one", "two"], "answers to what was sent before are no answers");
    assert!(outbox.waiting(9).unwrap().iter().all(|one| one.acknowledged.is_none()));
    publish(&sandbox, &user(2));
    assert_eq!((waiting(&sandbox).len(), held(&sandbox)), (0, 0));
    assert!(matches!(outbox.offer(&user(1), &[]).unwrap(), Offered::Foreign(_)));
}

#[test]
fn from_now_on_leaves_what_was_counted_with_the_former_owner() {
    let mut sandbox = with(&["sent"]);
    publish(&sandbox, &user(1));
    grow(&mut sandbox, "unsent", 0);
    assert_eq!(sandbox.outbox().reassign(&user(2), Reassign::FromNowOn).unwrap(), 2);
    assert_eq!(waiting(&sandbox), NONE);
    assert_eq!(held(&sandbox), 1, "one of them was never sent to anybody");
    grow(&mut sandbox, "sent", 1);
    grow(&mut sandbox, "new", 0);
    assert_eq!(waiting(&sandbox), ["new"]);
    assert_eq!(held(&sandbox), 2);
    assert_eq!(owned(&sandbox), ["new"]);
    let all: Vec<_> = sandbox.reader().sessions().unwrap().iter().map(|one| one.key).collect();
    let offers = super::outbox::values(sandbox.outbox().offer(&user(2), &all).unwrap());
    assert_eq!(offers.len(), 1, "not even when asked for");
    assert_eq!(sandbox.outbox().preview(&all).unwrap(), offers);
    sandbox.outbox().park(all[0], 9, "22023", "bad", "0.1.0", UnixMillis(1)).unwrap();
    assert_eq!(sandbox.outbox().parked().unwrap(), []);
    assert_eq!(sandbox.outbox().backlog().unwrap().parked, 0);
    publish(&sandbox, &user(2));
    assert_eq!(sandbox.outbox().republish().unwrap(), 1);
    assert_eq!(sandbox.outbox().republish_sessions(&["sent".into()]).unwrap(), 0);
    let rules = |own| crate::domain::Revision::new(1, 1, own);
    sandbox.outbox().begin(rules(0), "table").unwrap();
    sandbox.outbox().restore_done().unwrap();
    sandbox.outbox().begin(rules(1), "table").unwrap();
    assert_eq!((waiting(&sandbox), held(&sandbox)), (vec!["new".to_owned()], 2));
}

#[test]
fn what_is_under_way_to_the_former_owner_still_counts_for_them() {
    let sandbox = with(&["one"]);
    let mut outbox = sandbox.outbox();
    outbox.reassign(&user(1), Reassign::Everything).unwrap();
    let under_way: Vec<_> = offer(&mut outbox, &user(1)).iter().map(acknowledged).collect();
    outbox.reassign(&user(2), Reassign::FromNowOn).unwrap();
    assert_eq!(held(&sandbox), 1);
    outbox.acknowledge(&user(1), &under_way, UnixMillis(1)).unwrap();
    assert_eq!(held(&sandbox), 0, "it has arrived where it belongs");
    assert_eq!(outbox.owner().unwrap(), Some(user(2)));
}

#[test]
fn going_back_makes_wait_what_was_held_and_keeps_what_the_other_got() {
    for what in [Reassign::FromNowOn, Reassign::Everything] {
        let mut sandbox = with(&["hers", "quiet"]);
        publish(&sandbox, &user(1));
        let mut outbox = sandbox.outbox();
        outbox.reassign(&user(2), Reassign::FromNowOn).unwrap();
        grow(&mut sandbox, "hers", 1);
        grow(&mut sandbox, "his", 0);
        publish(&sandbox, &user(2));
        assert_eq!((waiting(&sandbox).len(), held(&sandbox)), (0, 1));
        let sessions = outbox.reassign(&user(1), what).unwrap();
        let (expected, all): (&[&str], _) = match what {
            Reassign::FromNowOn => (&["hers", "quiet"], 1),
            Reassign::Everything => (&["hers", "his", "quiet"], 3),
        };
        assert_eq!((waiting(&sandbox), sessions), (expected.iter().map(|s| (*s).to_owned()).collect(), all));
        assert!(outbox.waiting(9).unwrap().iter().all(|one| one.acknowledged.is_none()));
        assert_eq!(owned(&sandbox).len(), expected.len());
        assert_eq!(publish(&sandbox, &user(1)).len(), expected.len());
        assert_eq!(held(&sandbox), 0);
    }
}

#[test]
fn from_now_on_without_a_former_owner_leaves_the_past_unpublished() {
    let mut sandbox = with(&["past"]);
    assert_eq!(sandbox.outbox().reassign(&user(1), Reassign::FromNowOn).unwrap(), 1);
    assert_eq!(sandbox.outbox().owner().unwrap(), Some(user(1)));
    grow(&mut sandbox, "past", 1);
    grow(&mut sandbox, "new", 0);
    assert_eq!((waiting(&sandbox), held(&sandbox)), (vec!["new".to_owned()], 1));
    publish(&sandbox, &user(1));
    assert_eq!(sandbox.outbox().reassign(&user(1), Reassign::Everything).unwrap(), 2);
    assert_eq!((waiting(&sandbox).len(), held(&sandbox)), (2, 0), "the past can be had later");
}

#[test]
fn from_now_on_for_the_owner_changes_nothing() {
    let mut sandbox = with(&["sent"]);
    publish(&sandbox, &user(1));
    grow(&mut sandbox, "new", 0);
    let dump = "SELECT name, stamp, published, destination FROM session";
    let before = sandbox.query(dump);
    assert_eq!(sandbox.outbox().reassign(&user(1), Reassign::FromNowOn).unwrap(), 0);
    assert_eq!(sandbox.query(dump), before);
    assert_eq!(waiting(&sandbox), ["new"]);
}

#[test]
fn an_owner_that_cannot_be_read_is_an_error_and_not_nobody() {
    let mut sandbox = with(&["one"]);
    publish(&sandbox, &user(1));
    sandbox.ledger().connection.execute("UPDATE destination SET user = 'ann'", []).unwrap();
    let error = sandbox.outbox().owner().unwrap_err();
    assert!(format!("{error:?}").contains("the owner ann is no user's id"), "{error:?}");
    sandbox.outbox().offer(&user(1), &[]).unwrap_err();
}
