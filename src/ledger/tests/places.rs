//! Files, places and what else is kept beside the counts.

use super::*;
use crate::domain::{ClientAccount, ClientModelAccount, FileStat, Usd};
use pretty_assertions::assert_eq;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

const PLACES: &str = "SELECT path, s.offset, message_id FROM sighting AS s JOIN file ON file.id = s.file \
     JOIN response ON response.id = s.response ORDER BY path, s.offset";

fn fault(offset: u64) -> SeenFault {
    SeenFault { offset, kind: "torn" }
}

#[test]
fn a_sighting_says_what_its_line_said() {
    let mut sandbox = Sandbox::new();
    let mut copy = line("msg_01A", "two", 77, 3);
    copy.attribution.copied = true;
    copy.rank.main_chain = false;
    copy.rank.stopped = false;
    copy.is_final = false;
    sandbox.ingest(vec![
        update("b.jsonl", 0, vec![copy]),
        update("a.jsonl", 500, vec![line("msg_01A", "one", 5, 9)]),
    ]);
    let responses = sandbox.responses();
    let sightings = sandbox.reader().sightings(&responses).unwrap();
    let mut seen: Vec<_> = sightings.into_values().flatten().collect();
    seen.sort_by(|one, other| one.path.cmp(&other.path));
    let facts: Vec<_> = seen
        .iter()
        .map(|s| {
            let flags = [s.is_final, s.main_chain, s.stopped, s.copied];
            (s.path.to_str().unwrap(), s.offset, s.at.0, s.output, flags)
        })
        .collect();
    assert_eq!(
        facts,
        [
            ("a.jsonl", 500, 5, 9, [true, true, true, false]),
            ("b.jsonl", 0, 77, 3, [false, false, false, true])
        ]
    );
}

#[test]
fn a_file_that_is_read_anew_forgets_its_places_and_counts_nothing_less() {
    let mut sandbox = Sandbox::new();
    let mut first = update("a.jsonl", 0, vec![line("msg_01A", "one", 0, 1), line("msg_01B", "one", 0, 1)]);
    first.faults = vec![fault(300)];
    sandbox.ingest(vec![first, update("b.jsonl", 0, vec![line("msg_01B", "one", 0, 1)])]);
    let cells = sandbox.cells();
    let again = FileUpdate { restarted: true, ..update("a.jsonl", 0, vec![line("msg_01B", "one", 0, 1)]) };
    sandbox.ingest(vec![again]);
    assert_eq!(sandbox.query(PLACES), ["a.jsonl 0 msg_01B", "b.jsonl 0 msg_01B"]);
    assert_eq!(sandbox.query("SELECT * FROM fault"), Vec::<String>::new());
    assert_eq!(sandbox.cells(), cells);
}

#[test]
fn a_moved_file_takes_its_places_along() {
    let mut sandbox = Sandbox::new();
    let mut first = update("a.jsonl", 0, vec![line("msg_01A", "one", 0, 1)]);
    first.faults = vec![fault(100)];
    let other = update("b.jsonl", 0, vec![line("msg_01C", "one", 0, 1)]);
    sandbox.ingest(vec![first, other]);
    let moved = FileUpdate {
        moved_from: Some("a.jsonl".into()),
        ..update("b.jsonl", 200, vec![line("msg_01B", "one", 0, 1)])
    };
    sandbox.ingest(vec![moved]);
    assert_eq!(sandbox.query(PLACES), ["b.jsonl 0 msg_01A", "b.jsonl 200 msg_01B"]);
    assert_eq!(
        sandbox.query("SELECT path, f.offset FROM fault AS f JOIN file ON file.id = f.file"),
        ["b.jsonl 100"]
    );
    let cursors = sandbox.ledger().cursors().unwrap();
    assert_eq!(cursors.len(), 1, "{cursors:?}");
    assert_eq!(sandbox.responses().len(), 3, "what stood in the file that was overwritten stays counted");
}

#[test]
fn cursors_are_what_was_written_to_the_last_bit() {
    let mut sandbox = Sandbox::new();
    let stat = FileStat { device: u64::MAX, inode: 1 << 63, size: 3, modified_ns: i64::MIN };
    let cursor = Cursor { stat, offset: 4, head: u64::MAX, tail: 1 << 63 };
    let path = PathBuf::from(OsStr::from_bytes(b"/logs/\xff\n'.jsonl"));
    let update = FileUpdate { path: path.clone(), cursor, ..FileUpdate::default() };
    sandbox.ingest(vec![FileUpdate { cursor: Cursor::default(), ..update.clone() }, update]);
    sandbox.reopen();
    assert_eq!(sandbox.ledger().cursors().unwrap(), [(path, cursor)]);
}

#[test]
fn a_session_is_where_its_earliest_line_of_the_main_chain_was() {
    let place = |at, cwd: &str, main_chain| {
        let mut line = line(&format!("msg_01{at}{main_chain}"), "one", at, 1);
        line.cwd = Some(cwd.to_owned());
        line.rank.main_chain = main_chain;
        line
    };
    let lines = [place(1, "/agent", false), place(9, "/late", true), place(5, "/early", true)];
    let orders = [[0, 1, 2], [2, 1, 0], [1, 0, 2]];
    for order in orders {
        let mut sandbox = Sandbox::new();
        for index in order {
            sandbox.ingest_lines(0, vec![lines[index].clone()]);
            sandbox.reopen();
        }
        assert_eq!(sandbox.query("SELECT cwd, folder FROM session"), ["/early -project"], "{order:?}");
    }
}

#[test]
fn the_folder_of_a_session_is_the_smallest_that_has_a_name() {
    for order in [["", "-b", "-a"], ["-a", "", "-b"], ["-b", "-a", ""]] {
        let mut sandbox = Sandbox::new();
        for folder in order {
            let update = update("a.jsonl", 0, vec![line("msg_01A", "one", 0, 1)]);
            sandbox.ingest(vec![FileUpdate { folder: folder.to_owned(), ..update }]);
        }
        assert_eq!(sandbox.query("SELECT folder FROM session"), ["-a"], "{order:?}");
    }
}

#[test]
fn the_clients_account_is_kept_once_and_never_added() {
    let mut sandbox = Sandbox::new();
    let account = |cost| ClientAccount {
        session: "one".to_owned(),
        started_at: Some(UnixMillis(5)),
        duration_ms: 60,
        cost: Usd(cost),
        models: vec![ClientModelAccount {
            model: ModelName("opus".to_owned()),
            tokens: TokenCounts::from_array([1, 2, 3, 4, 5]),
            thinking: 1,
            web_searches: 6,
            cost: Usd(cost),
        }],
    };
    let seen = |offset, cost| SeenAccount { offset, account: account(cost), seen_at: UnixMillis(9) };
    let update = |accounts| FileUpdate { accounts, ..update("a.jsonl", 0, vec![]) };
    sandbox.ingest(vec![update(vec![seen(0, 1_500_000_000_000), seen(100, 1_500_000_000_000)])]);
    sandbox.ingest(vec![update(vec![seen(0, 1_500_000_000_000), seen(200, 2_000_000_000_001)])]);
    let kept = sandbox.query("SELECT offset, cost_dollars, cost_picodollars, seen_at FROM account");
    assert_eq!(kept, ["0 1 500000000000 9", "200 2 1 9"]);
    let models = sandbox.query("SELECT * FROM account_model ORDER BY account");
    assert_eq!(models, ["1 1 1 2 3 4 5 1 6 1 500000000000", "2 1 1 2 3 4 5 1 6 2 1"]);
    assert_eq!(sandbox.cells(), BTreeMap::new());
}

#[test]
fn cells_are_asked_for_by_whole_quarters() {
    let mut sandbox = Sandbox::new();
    let ids = ["msg_01A", "msg_01B", "msg_01C"];
    let lines = ids.iter().zip(0..).map(|(id, quarter)| line(id, "one", quarter * 900_000 + 5, 1));
    sandbox.ingest_lines(0, lines.collect());
    let count = |from: Option<i64>, until: Option<i64>| {
        sandbox.reader().cells(from.map(UnixMillis), until.map(UnixMillis)).unwrap().len()
    };
    assert_eq!(count(None, None), 3);
    assert_eq!(count(Some(900_000), None), 2);
    assert_eq!(count(None, Some(900_000)), 1);
    assert_eq!(count(None, Some(900_001)), 2);
    assert_eq!(count(Some(900_000), Some(1_800_000)), 1);
}
