//! A ledger of every version before this one becomes one of this, with nothing lost or invented.

use super::outbox::waiting;
use super::properties::{any_line, take_in};
use super::*;
use crate::ledger::schema::{APPLICATION_ID, MIGRATIONS};
use proptest::prelude::*;
use rusqlite::Connection;
use std::collections::BTreeSet;

/// A ledger of an older version with the same facts: what the migrations up to it make, filled by their columns.
pub(super) fn older(of: &Sandbox, version: usize) -> Sandbox {
    let folder = tempfile::tempdir().unwrap();
    let database = Connection::open(folder.path().join(LEDGER_FILE)).unwrap();
    MIGRATIONS[..version].iter().for_each(|migration| database.execute_batch(migration).unwrap());
    database.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    database.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
    let newer = of.folder.path().join(LEDGER_FILE);
    database.execute("ATTACH ?1 AS newer", [newer.to_str().unwrap()]).unwrap();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    for table in names("SELECT name FROM main.sqlite_schema WHERE type = 'table'") {
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}', 'main')")).join(", ");
        let copy = format!("INSERT OR REPLACE INTO main.{table} SELECT {columns} FROM newer.{table}");
        database.execute(&copy, []).unwrap();
    }
    drop(database);
    Sandbox { folder, ledger: None }
}

fn key() -> impl Strategy<Value = MessageKey> {
    (0_u8..5).prop_map(|number| MessageKey::Global(format!("msg_01{number}")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn an_older_ledger_comes_to_the_same_as_one_that_was_always_new(
        lines in prop::collection::vec(any_line(key()), 1..12),
        version in 1..SCHEMA_VERSION,
    ) {
        let always = take_in(&lines, &[3]);
        let mut upgraded = older(&always, version);
        upgraded.reopen();
        prop_assert_eq!(&upgraded.contents(), &always.contents());
        prop_assert_eq!(&upgraded.cells(), &upgraded.sums());
        let counted: BTreeSet<String> = upgraded.cells().into_keys().map(|(session, ..)| session).collect();
        // Before there was publishing, nobody can have heard of a session that nothing is left of.
        let expected = if version == 1 { counted.into_iter().collect() } else { waiting(&always) };
        prop_assert_eq!(waiting(&upgraded), expected);
        let again = upgraded.ingest_lines(0, lines);
        prop_assert_eq!((again.new_responses, again.raised_responses), (0, 0));
    }
}

#[test]
fn readers_and_publishers_wait_for_the_upgrade() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 1)]);
    for version in 1..SCHEMA_VERSION {
        let older = older(&sandbox, version);
        let folder = older.folder.path();
        for error in [LedgerReader::open(folder).unwrap_err(), Outbox::open(folder).unwrap_err()] {
            assert!(matches!(error, LedgerError::Older { found, .. } if found == version), "{error}");
        }
    }
}
