//! Collector and publishers at once, each on a connection of its own.

use super::outbox::{acknowledged, user, values, waiting};
use super::*;
use crate::domain::SessionValue;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const SESSIONS: i64 = 6;
const ROUNDS: i64 = 60;

/// Responses that first appear as copies in a fork and then, with an earlier line, in their original.
fn feed(ledger: &mut Ledger) {
    for round in 0..ROUNDS {
        let session = |number: i64| format!("session {}", number.rem_euclid(SESSIONS));
        let id = |number: i64| format!("msg_01{number}");
        let day = 24 * 3_600_000;
        let mut lines = vec![ResponseLine {
            attribution: Attribution { copied: true, at: UnixMillis(day), session: session(round) },
            ..line(&id(round), &session(round), day, 1)
        }];
        if round > 0 {
            lines.push(line(&id(round - 1), &session(round + 2), day - 1, 2));
        }
        ledger.ingest(vec![update("a.jsonl", 0, lines)], &Rates::default()).unwrap();
    }
}

/// Sends what waits until there is nothing more to come; returns what was offered, in order.
fn send(folder: &Path, all_is_in: &AtomicBool, lost: u64) -> Vec<SessionValue> {
    let mut outbox = Outbox::open(folder).unwrap();
    let mut seen = Vec::new();
    for pass in 0_u64.. {
        let is_last = all_is_in.load(Ordering::SeqCst);
        let keys: Vec<_> = outbox.waiting(4).unwrap().into_iter().map(|one| one.key).collect();
        if keys.is_empty() && is_last {
            break;
        }
        let offers = values(outbox.offer(&user(1), &keys).unwrap());
        if pass % 3 != lost {
            let done: Vec<_> = offers.iter().map(acknowledged).collect();
            outbox.acknowledge(&user(1), &done, UnixMillis(1)).unwrap();
        }
        seen.extend(offers.into_iter().filter_map(|offer| offer.value));
    }
    seen
}

#[test]
fn nothing_that_was_offered_moves_while_lines_come_in() {
    let mut sandbox = Sandbox::new();
    let folder = sandbox.folder.path().to_owned();
    let all_is_in = AtomicBool::new(false);
    let ledger = sandbox.ledger();
    let seen = thread::scope(|scope| {
        let senders = [0, 1].map(|lost| {
            let (folder, all_is_in) = (&folder, &all_is_in);
            scope.spawn(move || send(folder, all_is_in, lost))
        });
        feed(ledger);
        all_is_in.store(true, Ordering::SeqCst);
        senders.map(|sender| sender.join().unwrap())
    });
    assert_eq!(waiting(&sandbox), [""; 0]);
    assert_eq!(sandbox.cells(), sandbox.sums());
    for seen in seen {
        let mut known: BTreeMap<String, SessionValue> = BTreeMap::new();
        for value in seen {
            if let Some(before) = known.get(&value.session) {
                assert!(value.totals.messages >= before.totals.messages, "{before:?} then {value:?}");
                let days = |value: &SessionValue| -> Vec<_> {
                    value.cells.iter().map(|cell| (cell.day, cell.totals.messages)).collect()
                };
                for (day, messages) in days(before) {
                    let now = days(&value).into_iter().find(|(other, _)| *other == day);
                    assert!(now.is_some_and(|(_, now)| now >= messages), "{before:?} then {value:?}");
                }
            }
            known.insert(value.session.clone(), value);
        }
    }
    let total: u64 = sandbox.cells().values().map(|(totals, ..)| totals.messages).sum();
    assert_eq!(total, u64::try_from(ROUNDS).unwrap());
    // What the two have told together is all there is.
    let outbox = sandbox.outbox();
    let values = outbox.values(None, usize::MAX).unwrap();
    let digests = sandbox.query("SELECT digest FROM acknowledgement ORDER BY session");
    let expected: Vec<_> = values.iter().map(|offer| acknowledged(offer).digest).collect();
    assert_eq!(digests, expected);
}
