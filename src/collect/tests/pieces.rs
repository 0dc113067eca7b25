//! Many pieces, many batches, many threads; lines that are not whole yet, and lines that never will be.

use super::*;
use pretty_assertions::assert_eq;

#[test]
fn a_long_file_comes_in_many_pieces_and_many_batches() {
    let mut sandbox = Sandbox::new();
    let text = lines(0..20_000);
    sandbox.write("a.jsonl", &text);
    let mut steps = Vec::new();
    let tree = walk(&sandbox.folder.path().join("logs"), &mut |_, _| {});
    let summary = sandbox.collector().take_in_tree(&tree, &mut |step| steps.push(step)).unwrap();
    assert_eq!((summary.files, summary.files_read, summary.bytes), (1, 1, text.len() as u64));
    assert_eq!((summary.ingest.lines, summary.ingest.new_responses), (20_000, 20_000));
    assert_eq!(sandbox.counted(), (20_000, 20_000));
    assert!(steps.len() > 10, "{} pieces", steps.len());
    assert!(steps.is_sorted_by(|one, other| one.bytes <= other.bytes));
    assert!(steps.iter().all(|step| step.total_bytes == text.len() as u64));
    assert_eq!(sandbox.cursors()["a.jsonl"].offset, text.len() as u64);
    assert_eq!(sandbox.pass().files_read, 0);
}

#[test]
fn a_pass_that_is_stopped_keeps_what_it_has_read_and_the_next_one_goes_on() {
    for files in [1, 3] {
        let mut sandbox = Sandbox::new();
        for file in 0..files {
            sandbox.write(&format!("{file}.jsonl"), &lines(file * 20_000..(file + 1) * 20_000));
        }
        let tree = walk(&sandbox.folder.path().join("logs"), &mut |_, _| {});
        let switch = sandbox.collector().stop_switch();
        let stop = std::sync::atomic::Ordering::Relaxed;
        let stopped = sandbox.collector().take_in_tree(&tree, &mut |_| switch.store(true, stop)).unwrap();
        assert!((1..20_000).contains(&stopped.ingest.new_responses), "{}", stopped.ingest.new_responses);
        assert_eq!(sandbox.counted().0, stopped.ingest.new_responses);
        switch.store(false, stop);
        let rest = sandbox.pass();
        let all = files as u64 * 20_000;
        assert_eq!(stopped.ingest.new_responses + rest.ingest.new_responses, all);
        assert_eq!((sandbox.counted().0, sandbox.pass().files_read), (all, 0));
    }
}

#[test]
fn a_huge_file_gets_its_share_of_each_pass_and_a_small_one_is_whole_in_the_first() {
    for others in [1, 3] {
        let mut sandbox = Sandbox::new();
        // More than one buffer, and with others more than one thread.
        let text = lines(0..20_000);
        sandbox.write("huge.jsonl", &text);
        for other in 0..others {
            sandbox.write(&format!("{other}.jsonl"), &line(format!("other{other}"), 1));
        }
        sandbox.collector().read_in_turns(1_000_000);
        let (mut passes, mut bytes) = (0, 0);
        loop {
            let summary = sandbox.pass();
            (passes, bytes) = (passes + 1, bytes + summary.bytes);
            assert_eq!(sandbox.cursors().len(), others + 1, "each has its share of the first pass");
            if summary.unfinished.is_empty() {
                break;
            }
            assert_eq!(summary.unfinished, [sandbox.log("huge.jsonl")]);
        }
        assert!(passes > 3, "{passes} passes");
        assert_eq!(bytes, (text.len() + others * line("other0", 1).len()) as u64, "nothing is read twice");
        assert_eq!((sandbox.counted().0, sandbox.pass().files_read), (20_000 + others as u64, 0));
    }
}

#[test]
fn a_pass_may_end_within_a_line_that_has_no_end() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &(line("A", 1) + &"x".repeat(40 << 20)));
    let switch = sandbox.collector().stop_switch();
    switch.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!((sandbox.pass().bytes, sandbox.counted()), (0, (0, 0)));
    switch.store(false, std::sync::atomic::Ordering::Relaxed);
    sandbox.pass();
    assert_eq!(sandbox.counted(), (1, 1));
}

#[test]
fn a_long_file_that_is_rewritten_keeps_the_places_of_all_its_pieces() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &lines(10_000..20_000));
    sandbox.pass();
    sandbox.write("a.jsonl", &lines(0..10_000));
    sandbox.pass();
    let width = line("000000", 1).len();
    let places = sandbox.places();
    assert_eq!(places.len(), 20_000);
    for (number, (id, seen)) in places.iter().enumerate() {
        let expected = if number < 10_000 { vec![format!("a.jsonl:{}", number * width)] } else { Vec::new() };
        assert_eq!(*seen, expected, "{id}");
    }
}

#[test]
fn more_files_than_a_batch_holds_are_all_taken_in() {
    let mut sandbox = Sandbox::new();
    for number in 0..1_100 {
        sandbox.write(&format!("{number}.jsonl"), &line(number, 1));
    }
    assert_eq!(sandbox.pass().files_read, 1_100);
    assert_eq!((sandbox.counted().0, sandbox.cursors().len()), (1_100, 1_100));
}

#[test]
fn threads_come_to_the_same_as_one_reader() {
    let mut sandbox = Sandbox::new();
    // The same responses in many files: the last line of each has the final count.
    for file in 0..8 {
        let text: String = (0..3_000).map(|id| line(id, 1 + u64::from(id % 8 == file))).collect();
        sandbox.write(&format!("{file}.jsonl"), &text);
    }
    let summary = sandbox.pass();
    assert!(summary.bytes > 4 << 20, "{} bytes are too few for threads", summary.bytes);
    assert_eq!((summary.files_read, summary.ingest.lines), (8, 24_000));
    assert_eq!(sandbox.counted(), (3_000, 6_000));
    assert_eq!(sandbox.pass().files_read, 0);
}

#[test]
fn a_file_full_of_bad_lines_fills_neither_memory_nor_ledger() {
    let mut sandbox = Sandbox::new();
    let hundredth: String = "x\n".repeat(1_000);
    let text: String = (0..200).map(|id| hundredth.clone() + &line(id, 1)).collect();
    sandbox.write("a.jsonl", &text);
    let summary = sandbox.pass();
    assert_eq!((sandbox.counted(), summary.losses), ((200, 200), 200_000), "each is counted");
    let listed = summary.reports.iter().filter(|report| matches!(report, FileReport::Line { .. })).count();
    let more = summary.reports.iter().filter_map(|report| match report {
        FileReport::More { lines, .. } => Some(*lines),
        _ => None,
    });
    assert_eq!((listed, more.collect::<Vec<_>>()), (100, vec![199_900]), "and some are listed");
    let sql = rusqlite::Connection::open(sandbox.state().join(LEDGER_FILE)).unwrap();
    let kept: i64 = sql.query_row("SELECT COUNT(*) FROM fault", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 100);
}

#[test]
fn many_files_of_bad_lines_make_no_endless_list() {
    let mut sandbox = Sandbox::new();
    for number in 0..120 {
        sandbox.write(&format!("{number}.jsonl"), &("x\n".repeat(110) + &line(number, 1)));
    }
    let summary = sandbox.pass();
    assert_eq!((sandbox.counted().0, summary.losses, summary.reports.len()), (120, 120 * 110, 10_000));
}

#[test]
fn a_line_that_is_being_written_counts_once_when_its_record_is_whole() {
    let mut sandbox = Sandbox::new();
    let text = line("A", 5);
    let record = text.trim_end();
    sandbox.write("a.jsonl", "");
    for (written, counted) in [(&record[..50], (0, 0)), (&record[50..], (1, 5)), ("\n", (1, 5))] {
        sandbox.append("a.jsonl", written);
        let summary = sandbox.pass();
        assert_eq!((sandbox.counted(), reports(&summary)), (counted, vec![]), "after {written:?}");
    }
    assert_eq!(sandbox.places()["msg_01A"], ["a.jsonl:0"]);
    assert_eq!(sandbox.cursors()["a.jsonl"].offset, text.len() as u64);
}

#[test]
fn a_record_that_others_were_glued_to_counted_early_counts_no_more_for_it() {
    let mut sandbox = Sandbox::new();
    let (first, second) = (line("A", 5), line("B", 6));
    let glued = format!("{}{second}", first.trim_end());
    sandbox.write("a.jsonl", "");
    let mut at = 0;
    for end in [first.len() - 1, first.len() + 40, glued.len() - 1] {
        sandbox.append("a.jsonl", &glued[at..end]);
        at = end;
        assert_eq!(reports(&sandbox.pass()), Vec::<String>::new(), "what is unfinished is not reported");
    }
    assert_eq!(sandbox.counted(), (2, 11));
    sandbox.append("a.jsonl", "\n");
    assert_eq!(reports(&sandbox.pass()), ["a.jsonl:0 several records on one line; all were read"]);
    assert_eq!(sandbox.counted(), (2, 11));
}

#[test]
fn what_is_wrong_with_a_line_is_said_with_its_place_and_kept() {
    let mut sandbox = Sandbox::new();
    sandbox
        .collector()
        .reload(
            OneEach,
            CollectOptions { tail: TailOptions { max_line_bytes: 1_000 }, ..CollectOptions::default() },
        )
        .unwrap();
    let long = format!("{{\"usage\":\"{}\"}}", "x".repeat(300_000));
    let texts = ["oops\n", &line("A", 1), &long, "\n", &line("B", 1)[..90], "\n", &line("C", 1)];
    sandbox.write("a.jsonl", &texts.concat());
    let at = [0, 5, 5 + texts[1].len(), 5 + texts[1].len() + long.len() + 1];
    let summary = sandbox.pass();
    assert_eq!(
        reports(&summary),
        [
            "a.jsonl:0 not JSON; skipped (loss)".to_owned(),
            format!("a.jsonl:{} a line of {} bytes, longer than allowed; skipped (loss)", at[2], long.len()),
            format!("a.jsonl:{} a record that was cut off; what it said is not in the log (loss)", at[3]),
        ]
    );
    assert_eq!(sandbox.counted(), (2, 2));
    assert_eq!(sandbox.places()["msg_01C"], [format!("a.jsonl:{}", at[3] + 91)]);
    let sql = rusqlite::Connection::open(sandbox.state().join(LEDGER_FILE)).unwrap();
    let faults: String = sql
        .query_row("SELECT group_concat(offset || ' ' || kind, ',') FROM fault", [], |row| row.get(0))
        .unwrap();
    assert_eq!(faults, format!("0 malformed,{} too-long,{} torn", at[2], at[3]));
    assert_eq!(sandbox.pass().reports.len(), 0, "and said once");
}

#[test]
fn of_many_bad_lines_some_are_listed_and_all_are_counted() {
    let mut sandbox = Sandbox::new();
    sandbox.write("a.jsonl", &("oops\n".repeat(250) + &line("A", 1)));
    let summary = sandbox.pass();
    let said = reports(&summary);
    assert_eq!((said.len(), summary.losses, sandbox.counted()), (101, 250, (1, 1)));
    assert_eq!(
        (said[99].as_str(), said[100].as_str()),
        ("a.jsonl:495 not JSON; skipped (loss)", "a.jsonl and 150 more")
    );
}
