//! What happens to logs: they grow, whole or torn, are moved, copied, cut, written anew, replaced and deleted. What
//! destroys lines waits until the ledger has them: what nobody could count is no loss.
#![cfg(test)]

use super::scene::Scene;
use super::writer::Writer;
use crate::random::Random;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A log that is there, or will be with its first line.
pub(super) struct Log {
    pub(super) path: PathBuf,
    /// Its last line has no end yet.
    is_open: bool,
}

fn open(path: &Path) -> File {
    fs::create_dir_all(path.parent().expect("is in a folder")).expect("a folder can be made");
    OpenOptions::new().create(true).append(true).open(path).expect("a log can be opened")
}

impl Log {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, is_open: false }
    }

    /// A line, in so many writes: the cuts fall anywhere, between the bytes of one letter too.
    pub(super) fn append(&mut self, scene: &Scene, random: &mut Random, text: &str, pieces: u64) {
        let line = [text.as_bytes(), b"\n"].concat();
        let mut file = open(&self.path);
        let mut written = 0;
        for piece in 1..=pieces {
            let rest = line.len() - written;
            let length = if piece == pieces { rest } else { random.index(rest) };
            file.write_all(&line[written..written + length]).expect("a log can be written");
            written += length;
            if piece < pieces {
                scene.pause(Duration::from_millis(random.range(0, 60)));
            }
        }
        self.is_open = false;
    }

    /// The beginning of a line. What comes next stands right behind it, behind NUL bytes, or on a line of its own.
    pub(super) fn crash(&mut self, random: &mut Random, text: &str) {
        let length = random.index(text.len());
        let mut bytes = text.as_bytes()[..length].to_vec();
        // A record right behind one that was cut off in what a tool gave back may be the tool's: nobody knows.
        let most = if text[..text.floor_char_boundary(length)].contains("toolUseResult") { 2 } else { 3 };
        match random.range(0, most) {
            0 => bytes.extend(vec![0; random.index(5_000)]),
            1 => bytes.extend([vec![0; 64], b"\n".to_vec()].concat()),
            2 => bytes.push(b'\n'),
            _ => {}
        }
        self.is_open = bytes.last().map_or(self.is_open, |last| *last != b'\n');
        open(&self.path).write_all(&bytes).expect("a log can be written");
    }

    /// Ends a line that a crash has left.
    pub(super) fn end_line(&mut self) {
        if std::mem::take(&mut self.is_open) {
            open(&self.path).write_all(b"\n").expect("a log can be written");
        }
    }

    /// What it holds up to a line's end, about in the middle.
    fn first_half(&self) -> Vec<u8> {
        let mut bytes = fs::read(&self.path).expect("a log can be read");
        let half = bytes.iter().take(bytes.len() / 2).rposition(|byte| *byte == b'\n');
        bytes.truncate(half.map_or(0, |end| end + 1));
        bytes
    }
}

type Damage = (&'static str, fn(&mut Writer, usize));

/// What may happen to a log, by the name that the figures have it under.
const DAMAGES: [Damage; 10] = [
    ("logs: moved to another project", |writer, log| writer.move_away(log)),
    ("logs: renamed", |writer, log| writer.rename(log)),
    ("logs: copied", |writer, log| writer.copy(log)),
    ("logs: cut in half", |writer, log| writer.cut(log)),
    ("logs: emptied", |writer, log| writer.empty(log)),
    ("logs: rewritten in place from the start", |writer, log| writer.rewrite(log)),
    ("logs: replaced by rename", |writer, log| writer.replace(log)),
    ("logs: deleted", |writer, log| writer.delete(log)),
    ("logs: deleted and made again", |writer, log| writer.make_again(log)),
    ("project folders deleted", |writer, log| writer.delete_folder(log)),
];

/// The place of deletion among them.
const DELETED: usize = 7;

/// How many logs a client keeps; beyond, one is deleted, as a clean-up does.
const KEPT: usize = 12;

impl Writer<'_> {
    /// Something happens to one of the logs.
    pub(super) fn damage(&mut self) {
        let there: Vec<usize> = (0..self.logs.len()).filter(|log| self.logs[*log].path.exists()).collect();
        if there.is_empty() {
            return;
        }
        let log = *self.random.pick(&there);
        let (what, damage) =
            if self.logs.len() > KEPT { DAMAGES[DELETED] } else { *self.random.pick(&DAMAGES) };
        self.logs[log].end_line();
        damage(self, log);
        self.scene.count(what);
    }

    fn is_counted(&self, log: usize) -> bool {
        let path = &self.logs[log].path;
        fs::metadata(path).is_ok_and(|there| there.len() == 0) || self.scene.is_counted_in_time(path)
    }

    fn put(&mut self, log: usize, to: &Path) {
        fs::create_dir_all(to.parent().expect("is in a folder")).expect("a folder can be made");
        fs::rename(&self.logs[log].path, to).expect("a log can be moved");
        let from = std::mem::replace(&mut self.logs[log].path, to.to_owned());
        self.moved(&from, to);
    }

    fn new_name(&mut self) -> String {
        format!("{}.jsonl", self.random.uuid())
    }

    fn move_away(&mut self, log: usize) {
        let (project, name) = (self.project(), self.new_name());
        self.put(log, &project.join(name));
    }

    fn rename(&mut self, log: usize) {
        let name = self.new_name();
        let to = self.logs[log].path.with_file_name(name);
        self.put(log, &to);
    }

    /// As a session that is resumed under another name begins.
    fn copy(&mut self, log: usize) {
        let copy = self.project().join(self.new_name());
        fs::create_dir_all(copy.parent().expect("is in a folder")).expect("a folder can be made");
        fs::copy(&self.logs[log].path, &copy).expect("a log can be copied");
        self.logs.push(Log::new(copy));
    }

    fn cut(&mut self, log: usize) {
        if self.is_counted(log) {
            let length = self.logs[log].first_half().len();
            let file =
                OpenOptions::new().write(true).open(&self.logs[log].path).expect("a log can be opened");
            file.set_len(u64::try_from(length).expect("fits")).expect("a log can be cut");
        }
    }

    fn empty(&mut self, log: usize) {
        if self.is_counted(log) {
            fs::write(&self.logs[log].path, "").expect("a log can be emptied");
        }
    }

    /// Other lines from the first byte on, the old ones behind them; the same file all the while.
    fn rewrite(&mut self, log: usize) {
        if self.is_counted(log) {
            let old = self.logs[log].first_half();
            let bytes = [self.more(), old].concat();
            let path = &self.logs[log].path;
            let mut file = OpenOptions::new().write(true).open(path).expect("a log can be opened");
            file.write_all(&bytes).expect("a log can be written");
            file.set_len(u64::try_from(bytes.len()).expect("fits")).expect("a log can be cut");
        }
    }

    fn replace(&mut self, log: usize) {
        if self.is_counted(log) {
            let (old, more) = (self.logs[log].first_half(), self.more());
            let path = &self.logs[log].path;
            let new = path.with_extension("new");
            fs::write(&new, [old, more].concat()).expect("a log can be written");
            fs::rename(&new, path).expect("a log can be replaced");
        }
    }

    fn delete(&mut self, log: usize) {
        if self.is_counted(log) {
            let gone = self.logs.swap_remove(log);
            fs::remove_file(gone.path).expect("a log can be deleted");
        }
    }

    fn make_again(&mut self, log: usize) {
        if self.is_counted(log) {
            let (path, more) = (self.logs[log].path.clone(), self.more());
            fs::remove_file(&path).expect("a log can be deleted");
            fs::write(&path, more).expect("a log can be written");
        }
    }

    /// The whole project, and all that is below it.
    fn delete_folder(&mut self, log: usize) {
        let projects = self.scene.sandbox.projects();
        let below = self.logs[log].path.strip_prefix(&projects).expect("is below");
        let folder = projects.join(below.components().next().expect("is in a folder"));
        let inside: Vec<usize> =
            (0..self.logs.len()).filter(|log| self.logs[*log].path.starts_with(&folder)).collect();
        for log in &inside {
            self.logs[*log].end_line();
        }
        if inside.iter().all(|log| !self.logs[*log].path.exists() || self.is_counted(*log)) {
            self.logs.retain(|log| !log.path.starts_with(&folder));
            fs::remove_dir_all(folder).expect("a folder can be deleted");
        }
    }

    /// Lines of another session, as one text; they count from now on.
    fn more(&mut self) -> Vec<u8> {
        let lines = self.new_session();
        self.scene.add("lines", u64::try_from(lines.len()).expect("fits"));
        for line in &lines {
            self.scene.hear(&line.says);
        }
        lines.iter().flat_map(|line| [line.text.as_bytes(), b"\n"].concat()).collect()
    }
}
