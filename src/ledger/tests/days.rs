//! The sums of whole days: whatever happens to a ledger, they are what its cells add up to, for the days of any zone.

use super::properties::{any_line, take_in};
use super::restored::{adopt, revision, theirs, value};
use super::*;
use crate::domain::{ModelKey, PeriodSums, Quarter, SessionKey};
use pretty_assertions::assert_eq;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;

/// What reports read of whole days is what the cells of the same snapshot come to.
pub(super) fn check<P: Copy + Ord + std::fmt::Debug>(
    reader: &LedgerReader,
    period_of: impl Fn(Quarter) -> Option<P>,
) {
    let mut expected: BTreeMap<P, (BTreeMap<ModelKey, Totals>, BTreeSet<SessionKey>)> = BTreeMap::new();
    for cell in reader.cells(None, None).unwrap().into_iter().filter(|cell| !cell.restored) {
        let Some(period) = period_of(cell.quarter) else { continue };
        let (models, sessions) = expected.entry(period).or_default();
        *models.entry(cell.model).or_default() += cell.totals;
        sessions.insert(cell.session);
    }
    let sums = reader.sums((None, None), &period_of).unwrap().into_iter();
    let sums: BTreeMap<_, _> = sums
        .map(|PeriodSums { period, models, sessions }| {
            (period, (models.into_iter().collect(), sessions.into_iter().collect()))
        })
        .collect();
    assert_eq!(sums, expected);
}

/// The sessions with the latest activity, of all cells in the span that is asked for, as a report picks them.
fn latest(reader: &LedgerReader, count: usize, is_asked: impl Fn(Quarter) -> bool) -> Vec<SessionKey> {
    let mut last: BTreeMap<SessionKey, UnixMillis> = BTreeMap::new();
    for cell in reader.cells(None, None).unwrap().into_iter().filter(|cell| is_asked(cell.quarter)) {
        let known = last.entry(cell.session).or_insert(cell.last);
        *known = cell.last.max(*known);
    }
    let mut sessions: Vec<_> = last.into_iter().collect();
    sessions.sort_by_key(|(key, at)| std::cmp::Reverse((*at, *key)));
    sessions.truncate(count);
    sessions.into_iter().map(|(key, _)| key).collect()
}

/// What may be done to a ledger.
#[derive(Clone, Debug)]
enum Deed {
    TakeIn(Vec<ResponseLine>),
    Restore(u64, u64),
    Offer,
    Reprice(&'static str),
    Reopen,
}

fn key() -> impl Strategy<Value = MessageKey> {
    (0_u8..9).prop_map(|number| MessageKey::Global(format!("msg_01{number}")))
}

/// Lines of several days, and of a moment before 1970.
fn a_line() -> impl Strategy<Value = ResponseLine> {
    (any_line(key()), select(vec![-40_i64, 0, 70, 95, 96, 190, 2_000])).prop_map(|(mut line, quarters)| {
        let at = UnixMillis(line.rank.at.0 + quarters * 900_000);
        (line.rank.at, line.attribution.at) = (at, at);
        line
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => prop::collection::vec(a_line(), 1..6).prop_map(Deed::TakeIn),
        1 => (1_u64..4, 0_u64..9).prop_map(|(messages, output)| Deed::Restore(messages, output)),
        1 => Just(Deed::Offer),
        1 => select(vec!["?", "opus", "haiku"]).prop_map(Deed::Reprice),
        1 => Just(Deed::Reopen),
    ]
}

fn act(sandbox: &mut Sandbox, deed: Deed) {
    match deed {
        Deed::TakeIn(lines) => drop(sandbox.ingest_lines(0, lines)),
        Deed::Restore(messages, output) => {
            adopt(sandbox, theirs(value("one", messages, output), revision(7)));
        }
        Deed::Offer => {
            let mut outbox = sandbox.outbox();
            let keys: Vec<_> = outbox.waiting(9).unwrap().iter().map(|one| one.key).collect();
            drop(outbox.offer(&super::outbox::user(1), &keys).unwrap());
        }
        Deed::Reprice(unpriced) => {
            sandbox.ledger().reprice(&Rates { picodollars: 3, digest: unpriced, unpriced }).unwrap();
        }
        Deed::Reopen => sandbox.reopen(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whole_days_are_what_the_cells_add_up_to_whatever_happened(
        deeds in prop::collection::vec(deed(), 1..8),
        offset in -56_i64..57,
        changed in 0_i64..5,
        count in 1_usize..4,
        asked in (-60_i64..200, 0_i64..2_200),
    ) {
        let mut sandbox = Sandbox::new();
        for deed in deeds {
            act(&mut sandbox, deed);
            let reader = sandbox.reader();
            check(&reader, Some);
            // A zone so many quarter hours off UTC, some more from noon of 1 January 1970 on.
            let local = |quarter: Quarter| quarter.0 + offset + if quarter.0 < 48 { 0 } else { changed };
            check(&reader, |quarter| Some(local(quarter).div_euclid(96)));
            let is_asked = |quarter: Quarter| (asked.0..asked.0 + asked.1).contains(&quarter.0);
            check(&reader, |quarter| is_asked(quarter).then_some(()));
            let found = reader.latest_sessions(count, (None, None), is_asked).unwrap();
            for session in latest(&reader, count, is_asked) {
                prop_assert!(found.contains(&session), "{session:?} is not in {found:?}");
            }
        }
        sandbox.ledger().audit().expect("what was written by tallyd alone is whole");
    }
}

#[test]
fn no_session_is_read_but_the_latest_and_those_beside_it() {
    let quarter = 900_000;
    let of = |session: &str, at| line(&format!("msg_01{session}{at}"), session, at, 1);
    let lines =
        [of("a", 0), of("a", 500 * quarter), of("b", 499 * quarter), of("c", 500 * quarter + 9), of("d", 96)];
    let reader = take_in(&lines, &[2]).reader();
    let names: BTreeMap<_, _> = reader.sessions().unwrap().into_iter().map(|one| (one.key, one.id)).collect();
    let found = |count, until: i64| {
        let keys = reader
            .latest_sessions(count, (None, Some(UnixMillis(until * quarter))), |at| at.0 < until)
            .unwrap();
        let cells = reader.cells(None, None).unwrap().into_iter().filter(|cell| keys.contains(&cell.session));
        assert_eq!(reader.cells_of(&keys).unwrap().len(), cells.count());
        let mut found: Vec<_> = reader.sessions_of(&keys).unwrap().into_iter().map(|one| one.id).collect();
        found.sort_unstable();
        assert!(found.iter().eq(keys.iter().map(|key| &names[key]).collect::<BTreeSet<_>>()));
        found.join(" ")
    };
    assert_eq!(
        found(1, 501),
        "a c",
        "both were active in the last quarter hour: the one of these, or the other"
    );
    assert_eq!(found(3, 501), "a b c");
    assert_eq!((found(1, 500), found(1, 499), found(9, 499)), ("b".into(), "a d".into(), "a d".into()));
}

#[test]
fn a_flipped_bit_in_a_whole_day_shows_and_is_mended() {
    let whole = super::audit::Whole::new();
    for sql in [
        "UPDATE day SET quarters = x'00' WHERE day = 0",
        "UPDATE day SET sessions = x'' WHERE day = 0",
        "UPDATE day SET sessions = quarters WHERE day = 0",
        "DELETE FROM day WHERE day = 0",
        "INSERT INTO day SELECT day + 10000, quarters, sessions FROM day WHERE day = 0",
        "UPDATE day SET day = day + 5",
    ] {
        let mut sandbox = whole.folder();
        sandbox.spoil(sql);
        let rebuilt = whole.check(&mut sandbox, sql).unwrap_or_else(|| panic!("{sql}: not noticed"));
        assert!(rebuilt.found.contains("day"), "{sql}: {}", rebuilt.found);
    }
}

/// Bytes that are no day at all are damage where they are met, not a panic and not a total.
#[test]
fn a_day_that_cannot_be_read_is_damage_to_readers_and_to_the_writer() {
    for (column, bytes) in [
        ("quarters", ""),
        ("quarters", "ff0000000000000000"),
        ("quarters", "00000000000000000001"),
        ("sessions", "01"),
        ("sessions", "01010000000000000000000001"),
    ] {
        let mut sandbox = take_in(&[line("msg_01A", "one", 0, 1)], &[]);
        let sql = format!("UPDATE day SET {column} = x'{bytes}'");
        sandbox.ledger().connection.execute(&sql, []).unwrap();
        let read = sandbox.reader().sums((None, None), Some).unwrap_err();
        let written = sandbox
            .ledger()
            .ingest(vec![update("b.jsonl", 0, vec![line("msg_01B", "one", 5, 1)])], &Rates::default());
        for error in [read, written.unwrap_err()] {
            assert!(error.is_damaged(), "{column} {bytes}: {error:?}");
        }
    }
}
