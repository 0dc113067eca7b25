//! The worker over folders that come, go and are moved.

use super::*;
use crate::ledger::{Ledger, LedgerLock};
use crate::price::PriceTable;
use std::fs;
use std::sync::mpsc::{Receiver, channel};
use tempfile::TempDir;

/// A worker that has looked at everything once, and what the system told it since.
struct Bench {
    home: TempDir,
    /// Where the ledger is: nobody watches it.
    _state: TempDir,
    worker: Worker,
    hints: Receiver<Hint>,
}

impl Bench {
    /// Roots and folders that there are, both below the home.
    fn new(roots: &[&str], folders: &[&str]) -> Self {
        let (home, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in folders {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        let lock = LedgerLock::acquire(state.path(), "test").unwrap();
        let ledger = Ledger::open(state.path(), lock).unwrap();
        let roots = roots.iter().map(|root| home.path().join(root)).collect();
        let options = CollectOptions { roots, ..CollectOptions::default() };
        let pricing = TablePricing::new(PriceTable::shipped());
        let (collector, _) = Collector::new(ledger, pricing, options).unwrap();
        let (sender, hints) = channel();
        let worker = Worker::new(collector, FollowOptions::default(), false, Arc::default(), move |hint| {
            drop(sender.send(hint));
        });
        let mut bench = Self { home, _state: state, worker, hints };
        bench.work(&Work::Everything);
        bench
    }

    /// How many files had something new.
    fn work(&mut self, work: &Work) -> usize {
        let outcome = self.worker.work(work);
        assert!(outcome.watching, "{:?}", outcome.problems);
        outcome.result.unwrap().files_read
    }

    /// A log is made, and read as soon as the system tells of it.
    fn check_that_a_log_is_read(&mut self, name: &str) {
        let log = self.home.path().join(name);
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        fs::write(log, "{}\n").unwrap();
        loop {
            let work = match self.hints.recv().unwrap() {
                Hint::Everything => Work::Everything,
                Hint::Folder(folder) => Work::Paths { folders: vec![folder], files: Vec::new() },
                Hint::File(file) => Work::Paths { folders: Vec::new(), files: vec![file] },
            };
            if self.work(&work) > 0 {
                break;
            }
        }
    }
}

#[test]
fn a_root_whose_end_is_seen_before_it_is_told_of_is_waited_for() {
    let mut bench = Bench::new(&["claude/projects"], &["claude/projects/-p"]);
    assert_eq!(bench.worker.watcher.watched(), 2);
    fs::remove_dir_all(bench.home.path().join("claude")).unwrap();
    // The first event told of the folder in the root; the root's own event may never come.
    let folders = vec![bench.home.path().join("claude/projects/-p")];
    bench.work(&Work::Paths { folders, files: Vec::new() });
    assert_eq!(bench.worker.watcher.watched(), 1, "the home");
    bench.check_that_a_log_is_read("claude/projects/-p/s.jsonl");
}

#[test]
fn a_root_is_watched_before_what_lies_above_it_is_let_go_of() {
    let mut bench = Bench::new(&["claude/projects"], &["claude"]);
    let root = bench.home.path().join("claude/projects");
    fs::create_dir(&root).unwrap();
    bench.worker.watch_ways_to(std::slice::from_ref(&root), &mut Vec::new());
    assert_eq!(bench.worker.watcher.watched(), 1, "the root");
    // It goes before it is walked: that is told of.
    fs::remove_dir(&root).unwrap();
    bench.work(&Work::Paths { folders: vec![root], files: Vec::new() });
    bench.check_that_a_log_is_read("claude/projects/s.jsonl");
}

#[test]
fn a_folder_that_a_root_appears_in_stays_watched_though_it_lies_above_another_root() {
    let roots = [".claude/projects", ".config/claude/projects"];
    for there in [&[".config/claude/projects"][..], &[".config"]] {
        let mut bench = Bench::new(&roots, there);
        assert_eq!(bench.worker.watcher.watched(), 2, "the home and {there:?}");
        bench.check_that_a_log_is_read(".claude/projects/-p/s.jsonl");
        bench.check_that_a_log_is_read(".config/claude/projects/-p/s.jsonl");
    }
}

#[test]
fn logs_that_are_read_in_turns_are_compared_with_a_damaged_ledger_when_all_are_read() {
    let mut bench = Bench::new(&["projects"], &["projects/-p"]);
    fs::write(bench.home.path().join("projects/-p/a.jsonl"), "{}\n".repeat(9)).unwrap();
    let path = bench.worker.collector.ledger().path().to_owned();
    bench.worker.mend(&LedgerError::Damaged { path, what: "found so".to_owned() }).unwrap();
    bench.worker.collector.read_in_turns(12);
    let first = bench.worker.work(&Work::Everything).result.unwrap();
    assert!(first.lost.is_none() && !first.unfinished.is_empty(), "{first:?}");
    let rest = Work::Paths { folders: Vec::new(), files: first.unfinished };
    let second = bench.worker.work(&rest).result.unwrap();
    assert!(second.lost.is_some() && second.unfinished.is_empty(), "{second:?}");
}

#[test]
fn a_folder_in_another_is_walked_with_it() {
    let folders = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    let all = folders(&["/a/b", "/ab", "/a", "/a/b/c", "/a", "/b/c"]);
    assert_eq!(outermost(all), folders(&["/a", "/ab", "/b/c"]));
}
