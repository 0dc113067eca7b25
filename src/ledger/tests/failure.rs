//! A transaction that fails leaves everything as it was, in the file and in memory.

use super::outbox::user;
use super::*;
use pretty_assertions::assert_eq;

/// New sessions, models and versions, in what a full disk does not take.
fn much() -> Vec<FileUpdate> {
    let lines = (0..2_000).map(|number| {
        let mut line = line(&format!("msg_01{number}"), &format!("session {}", number % 50), number, 1);
        line.model = ModelName(format!("model {}", number % 20));
        line.version = Some(format!("2.1.{}", number % 30));
        line.cwd = Some(format!("/project/{}", number % 50));
        line
    });
    vec![update("much.jsonl", 0, lines.collect())]
}

#[test]
fn a_full_disk_changes_nothing_and_the_next_try_succeeds() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 1)]);
    let before = sandbox.contents();
    let pages: i64 = sandbox.query("PRAGMA page_count")[0].parse().unwrap();
    sandbox.query(&format!("PRAGMA max_page_count = {pages}"));
    for _ in 0..2 {
        let error = sandbox.ledger().ingest(much(), &Rates::default()).unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert_eq!(sandbox.contents(), before);
        assert_eq!(sandbox.query("SELECT path FROM file"), ["a.jsonl"], "no cursor without its facts");
    }
    sandbox.query("PRAGMA max_page_count = 1000000");
    let summary = sandbox.ingest(much());
    assert_eq!(summary.new_responses, 2_000);
    let mut untroubled = Sandbox::new();
    untroubled.ingest_lines(0, vec![line("msg_01A", "one", 0, 1)]);
    untroubled.ingest(much());
    assert_eq!(sandbox.contents(), untroubled.contents());
    assert_eq!(sandbox.cells(), sandbox.sums());
}

#[test]
fn a_failure_at_any_table_takes_back_all_tables() {
    const DUMP: [&str; 8] = [
        "SELECT * FROM file",
        "SELECT * FROM session",
        "SELECT * FROM model",
        "SELECT * FROM response",
        "SELECT * FROM part",
        "SELECT * FROM alias",
        "SELECT * FROM sighting",
        "SELECT * FROM cell",
    ];
    let updates = || {
        let mut advised = line("msg_01B", "two", 0, 1);
        let tokens = TokenCounts { input: 3, ..TokenCounts::default() };
        advised.usage.parts.push(Part { kind: PartKind::Advisor, model: None, tokens });
        advised.model = ModelName("haiku".to_owned());
        let key = MessageKey::Aliases { id: "x".into(), names: vec!["n".into()], chain: None };
        let aliased = ResponseLine { key, ..line("", "two", 0, 1) };
        vec![update("a.jsonl", 100, vec![line("msg_01A", "one", 0, 9), advised, aliased])]
    };
    for table in ["file", "session", "model", "response", "part", "alias", "sighting", "cell"] {
        let mut sandbox = Sandbox::new();
        sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 1)]);
        let before = DUMP.map(|sql| sandbox.query(sql));
        for event in ["INSERT", "UPDATE"] {
            let trigger = format!(
                "CREATE TEMP TRIGGER full_{event} BEFORE {event} ON main.{table} \
                 BEGIN SELECT RAISE (ABORT, 'as if the disk were full'); END"
            );
            sandbox.ledger().connection.execute_batch(&trigger).unwrap();
        }
        let error = sandbox.ledger().ingest(updates(), &Rates::default()).unwrap_err();
        assert!(matches!(error, LedgerError::Sqlite(_)), "{table}: {error}");
        assert_eq!(DUMP.map(|sql| sandbox.query(sql)), before, "{table}");
        sandbox
            .ledger()
            .connection
            .execute_batch("DROP TRIGGER full_INSERT; DROP TRIGGER full_UPDATE")
            .unwrap();
        let summary = sandbox.ingest(updates());
        assert_eq!((summary.new_responses, summary.raised_responses), (2, 1), "{table}");
        assert_eq!(sandbox.cells(), sandbox.sums(), "{table}");
        let sessions = sandbox.reader().sessions().unwrap();
        let mut sessions: Vec<_> = sessions.into_iter().map(|s| (s.id, s.folder, s.cwd)).collect();
        sessions.sort_unstable();
        let known = |name: &str| (name.to_owned(), "-project".to_owned(), Some("/project".to_owned()));
        assert_eq!(sessions, [known("one"), known("two")], "{table}");
    }
}

#[test]
fn a_repricing_that_fails_keeps_the_old_prices_and_is_done_the_next_time() {
    let mut sandbox = Sandbox::new();
    sandbox.ledger().reprice(&Rates::default()).unwrap();
    sandbox.ingest_lines(0, vec![line("msg_01A", "one", 0, 1)]);
    let before = sandbox.contents();
    let dearer = Rates { picodollars: 7_000_000, digest: "seven", ..Rates::default() };
    let trigger =
        "CREATE TEMP TRIGGER full BEFORE INSERT ON main.cell BEGIN SELECT RAISE (ABORT, 'full'); END";
    sandbox.ledger().connection.execute_batch(trigger).unwrap();
    sandbox.ledger().reprice(&dearer).unwrap_err();
    assert_eq!(sandbox.contents(), before);
    sandbox.ledger().connection.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(sandbox.ledger().reprice(&dearer).unwrap(), Some(1));
}

/// Puts a copy of the ledger in its place, as making it anew does under a process that has it open.
fn replace(sandbox: &Sandbox) {
    let (path, copy) = (sandbox.path(), sandbox.folder.path().join("copy"));
    std::fs::copy(&path, &copy).unwrap();
    std::fs::rename(copy, path).unwrap();
}

#[test]
fn a_decision_that_the_new_ledger_does_not_have_is_not_called_done() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![line("msg_01a", "one", 0, 1)]);
    let mut outbox = sandbox.outbox();
    replace(&sandbox);
    let decided = outbox.reassign(&user(1), Reassign::Everything);
    assert!(matches!(decided, Err(LedgerError::Gone { .. })), "{decided:?}");
    let done = outbox.restore_done();
    assert!(matches!(done, Err(LedgerError::Gone { .. })), "{done:?}");
}

#[test]
fn a_ledger_that_is_made_anew_while_it_is_opened_is_opened_again() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest_lines(0, vec![line("msg_01a", "one", 0, 1)]);
    let tries = std::cell::Cell::new(0);
    let open = || {
        tries.set(tries.get() + 1);
        if tries.get() < 3 {
            replace(&sandbox);
        }
        Ok(tries.get())
    };
    assert_eq!(crate::ledger::open::whole(&sandbox.path(), open).unwrap(), 3);
}
