//! Logs that move, vanish, shrink or are written anew subtract nothing and add what is new: each story
//! is told twice, while `tallyd run` follows and between two scans.
#![cfg(test)]

use crate::logs::Tree;
use crate::process::{Daemon, Sandbox};
use crate::truth::Truth;
use pretty_assertions::assert_eq;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

struct Story {
    sandbox: Sandbox,
    daemon: Option<Daemon>,
    truth: Truth,
    /// The greatest file: the one that something happens to.
    log: PathBuf,
}

impl Story {
    /// Once upon a time there were some logs, all counted.
    fn begin(live: bool) -> Self {
        let (sandbox, tree) = (Sandbox::new(), Tree::generate(41, 5));
        tree.write(&sandbox.projects());
        let daemon = live.then(|| Daemon::following(&sandbox));
        let greatest = tree.files().into_iter().max_by_key(|(_, bytes)| bytes.len());
        let log = sandbox.projects().join(greatest.expect("a tree has files").0);
        let story = Self { sandbox, daemon, truth: tree.truth(), log };
        story.check();
        story
    }

    /// The lines of more sessions, as the content of one file; they count from now on.
    fn more(&mut self, seed: u64, sessions: usize) -> Vec<u8> {
        let tree = Tree::generate(seed, sessions);
        self.truth.hear(tree.lines.iter().flat_map(|line| &line.says));
        tree.lines.iter().flat_map(|line| [line.text.as_bytes(), b"\n"].concat()).collect()
    }

    fn check(&self) {
        if self.daemon.is_none() {
            self.sandbox.scan();
        }
        let truth = self.truth.account();
        assert_eq!(self.sandbox.settled(&truth), truth);
    }

    fn end(self) {
        self.check();
        if let Some(daemon) = self.daemon {
            daemon.stop();
        }
        self.sandbox.scan();
        assert_eq!(self.sandbox.account(), self.truth.account());
        self.sandbox.check_integrity();
    }
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).expect("a log can be opened");
    file.write_all(bytes).expect("a log can be written");
}

/// Tells a story in both ways.
fn tell(what_happens: fn(&mut Story)) {
    for live in [true, false] {
        let mut story = Story::begin(live);
        what_happens(&mut story);
        story.end();
    }
}

#[test]
fn a_moved_log_counts_on() {
    tell(|story| {
        let moved =
            story.sandbox.projects().join("-elsewhere").join(story.log.file_name().expect("has a name"));
        fs::create_dir_all(moved.parent().expect("has a folder")).expect("a folder can be made");
        fs::rename(&story.log, &moved).expect("a log can be moved");
        story.check();
        let more = story.more(42, 1);
        append(&moved, &more);
    });
}

#[test]
fn a_moved_folder_counts_on() {
    tell(|story| {
        let folder = story.log.parent().expect("has a folder").to_owned();
        let moved = story.sandbox.projects().join("-moved");
        fs::rename(&folder, &moved).expect("a folder can be moved");
        let more = story.more(43, 1);
        append(&moved.join(story.log.file_name().expect("has a name")), &more);
    });
}

#[test]
fn a_deleted_log_subtracts_nothing() {
    tell(|story| {
        fs::remove_file(&story.log).expect("a log can be deleted");
        let more = story.more(44, 1);
        fs::write(story.log.with_file_name("other.jsonl"), more).expect("a log can be written");
    });
}

#[test]
fn a_deleted_tree_subtracts_nothing() {
    tell(|story| {
        fs::remove_dir_all(story.sandbox.claude()).expect("a folder can be deleted");
        story.check();
        let more = story.more(45, 1);
        fs::create_dir_all(story.log.parent().expect("has a folder")).expect("a folder can be made");
        fs::write(story.log.with_file_name("other.jsonl"), more).expect("a log can be written");
    });
}

#[test]
fn a_truncated_log_subtracts_nothing() {
    tell(|story| {
        let bytes = fs::read(&story.log).expect("a log can be read");
        let half =
            bytes.iter().take(bytes.len() / 2).rposition(|byte| *byte == b'\n').expect("has lines") + 1;
        let file = OpenOptions::new().write(true).open(&story.log).expect("a log can be opened");
        file.set_len(u64::try_from(half).expect("fits")).expect("a log can be cut");
        let more = story.more(46, 1);
        append(&story.log, &more);
    });
}

#[test]
fn an_emptied_log_counts_on() {
    tell(|story| {
        fs::write(&story.log, "").expect("a log can be emptied");
        story.check();
        let more = story.more(47, 1);
        append(&story.log, &more);
    });
}

#[test]
fn a_log_written_anew_and_longer_counts_as_new() {
    tell(|story| {
        let mut more = story.more(48, 1);
        let old = fs::read(&story.log).expect("a log can be read");
        for seed in 49.. {
            if more.len() > old.len() {
                break;
            }
            more.extend(story.more(seed, 1));
        }
        fs::write(&story.log, &more).expect("a log can be written");
    });
}

#[test]
fn a_log_written_anew_at_the_same_length_counts_as_new() {
    tell(|story| {
        let tree = Tree::generate(41, 5);
        let name = story.log.strip_prefix(story.sandbox.projects()).expect("is below").to_owned();
        let mut bytes = Vec::new();
        for mut line in tree.lines.into_iter().filter(|line| line.file == name) {
            for said in &mut line.says {
                let other = format!("msg_01{}", said.message[6..].chars().rev().collect::<String>());
                line.text = line.text.replace(&said.message, &other);
                said.message = other;
            }
            story.truth.hear(&line.says);
            bytes.extend([line.text.as_bytes(), b"\n"].concat());
        }
        assert_eq!(bytes.len(), fs::read(&story.log).expect("a log can be read").len());
        fs::write(&story.log, bytes).expect("a log can be written");
    });
}

#[test]
fn a_log_made_again_under_its_name_counts_as_new() {
    tell(|story| {
        fs::remove_file(&story.log).expect("a log can be deleted");
        let more = story.more(55, 1);
        fs::write(&story.log, more).expect("a log can be written");
    });
}
