//! Files that move, are replaced and share an inode: nothing twice, nothing lost, places right.

use super::*;
use pretty_assertions::assert_eq;

fn places(of: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    of.iter()
        .map(|(id, places)| (format!("msg_01{id}"), places.iter().map(|place| (*place).to_owned()).collect()))
        .collect()
}

#[test]
fn a_moved_file_is_read_on_under_its_new_name() {
    for restart in [false, true] {
        let mut sandbox = Sandbox::new();
        sandbox.write("a.jsonl", &line("A", 1));
        sandbox.pass();
        fs::rename(sandbox.log("a.jsonl"), sandbox.log("b.jsonl")).unwrap();
        sandbox.append("b.jsonl", &line("B", 2));
        if restart {
            sandbox.restart();
        }
        let summary = sandbox.pass();
        assert_eq!(summary.bytes, line("B", 2).len() as u64, "only what is new is read");
        let behind = format!("b.jsonl:{}", line("A", 1).len());
        assert_eq!(sandbox.places(), places(&[("A", &["b.jsonl:0"]), ("B", &[&behind])]));
        assert_eq!(sandbox.cursors().keys().collect::<Vec<_>>(), ["b.jsonl"]);
        assert_eq!(sandbox.pass().files_read, 0);
    }
}

#[test]
fn a_file_that_is_moved_there_and_back_is_one_file() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &line("A", 1));
    sandbox.pass();
    for (from, to, id) in
        [("a.jsonl", "b.jsonl", "B"), ("b.jsonl", "a.jsonl", "C"), ("a.jsonl", "b.jsonl", "D")]
    {
        fs::rename(sandbox.log(from), sandbox.log(to)).unwrap();
        sandbox.append(to, &line(id, 1));
        assert_eq!(sandbox.pass().bytes, line(id, 1).len() as u64, "only what is new is read");
        assert_eq!(sandbox.cursors().keys().collect::<Vec<_>>(), [to]);
        assert_eq!(sandbox.places()["msg_01A"], [format!("{to}:0")]);
    }
}

#[test]
fn a_file_that_is_moved_and_replaced_in_one_go_leaves_two_files() {
    // Before and behind the old name in order of path: they are taken in in that order.
    for moved in ["0.jsonl", "z.jsonl"] {
        let mut sandbox = Sandbox::new();
        sandbox.write("a.jsonl", &(line("A", 1) + &line("B", 1)));
        sandbox.pass();
        fs::rename(sandbox.log("a.jsonl"), sandbox.log(moved)).unwrap();
        sandbox.write("a.jsonl", &line("C", 1));
        sandbox.pass();
        let (first, second) = (format!("{moved}:0"), format!("{moved}:{}", line("A", 1).len()));
        let expected = places(&[("A", &[&first]), ("B", &[&second]), ("C", &["a.jsonl:0"])]);
        assert_eq!(sandbox.places(), expected, "moved to {moved}");
        let cursors = sandbox.cursors();
        assert_eq!(cursors.len(), 2, "moved to {moved}: {cursors:?}");
        assert_eq!(sandbox.pass().files_read, 0, "moved to {moved}");
        sandbox.restart();
        assert_eq!(sandbox.pass().files_read, 0, "moved to {moved}");
    }
}

#[test]
fn files_that_swap_names_are_both_read_anew() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &line("A", 1));
    sandbox.write("b.jsonl", &(line("B", 1) + &line("C", 1)));
    sandbox.pass();
    fs::rename(sandbox.log("a.jsonl"), sandbox.log("c.jsonl.tmp")).unwrap();
    fs::rename(sandbox.log("b.jsonl"), sandbox.log("a.jsonl")).unwrap();
    fs::rename(sandbox.log("c.jsonl.tmp"), sandbox.log("b.jsonl")).unwrap();
    sandbox.pass();
    let behind = format!("a.jsonl:{}", line("B", 1).len());
    assert_eq!(sandbox.places(), places(&[("A", &["b.jsonl:0"]), ("B", &["a.jsonl:0"]), ("C", &[&behind])]));
    assert_eq!(sandbox.counted(), (3, 3));
}

#[test]
fn a_second_name_for_a_file_takes_nothing_from_the_first() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &line("A", 1));
    sandbox.pass();
    fs::hard_link(sandbox.log("a.jsonl"), sandbox.log("b.jsonl")).unwrap();
    sandbox.pass();
    assert_eq!(sandbox.places(), places(&[("A", &["a.jsonl:0", "b.jsonl:0"])]));
    assert_eq!((sandbox.counted(), sandbox.pass().files_read), ((1, 1), 0));
}

#[test]
fn a_moved_file_that_was_rewritten_is_read_from_its_beginning() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &(line("A", 1) + &line("B", 1)));
    sandbox.pass();
    fs::rename(sandbox.log("a.jsonl"), sandbox.log("b.jsonl")).unwrap();
    sandbox.write("b.jsonl", &line("C", 1));
    sandbox.pass();
    assert_eq!(sandbox.places()["msg_01C"], ["b.jsonl:0"]);
    assert_eq!(sandbox.counted(), (3, 3), "what was counted stays");
    assert_eq!(sandbox.pass().files_read, 0);
}

#[test]
fn a_file_that_is_gone_takes_nothing_back_and_is_known_when_it_returns() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &line("A", 1));
    sandbox.pass();
    let kept = fs::read(sandbox.log("a.jsonl")).unwrap();
    fs::remove_file(sandbox.log("a.jsonl")).unwrap();
    let summary = sandbox.pass();
    assert_eq!((summary.files, summary.reports.len()), (0, 0));
    assert_eq!(sandbox.counted(), (1, 1));
    fs::write(sandbox.log("a.jsonl"), [kept, line("B", 1).into_bytes()].concat()).unwrap();
    let summary = sandbox.pass();
    assert_eq!((summary.ingest.new_responses, sandbox.counted()), (1, (2, 2)));
}
