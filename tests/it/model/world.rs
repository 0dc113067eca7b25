//! The folder of logs, and what happens in it. Everything is done as writers, editors, sync tools and
//! people do it, on real files. What cannot be done (the log is not there, the name is taken) does
//! nothing: each happening says whether it took effect, and how.
//!
//! Times of files are set, one tick after the other: a change that shows neither in size nor in time is
//! not seen, by documentation.

use super::action::{Era, Happening, Length, Log, Part, Says, Way};
use super::record::Book;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Lines of [`Happening::Many`]: more than a piece of a pass takes by the third read, and not all of them read by then.
const MANY: u16 = 1_600;

/// A log as it is: its inode and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    pub(super) bytes: Vec<u8>,
}

/// How something took effect; `None`: it could not.
pub(super) type Effect = io::Result<Option<&'static str>>;

#[derive(Debug)]
pub(super) struct World {
    folder: TempDir,
    pub(super) book: Book,
    /// The rest of lines that were written in part, with that part.
    torn: BTreeMap<Log, (Vec<u8>, Vec<u8>)>,
    era: Era,
    ticks: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a folder for logs"),
            book: Book::default(),
            torn: BTreeMap::new(),
            era: Era::Present,
            ticks: 0,
        }
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn path(&self, log: Log) -> PathBuf {
        self.root().join(log.path())
    }

    /// The logs that there are, by their places: not by any walk.
    pub(super) fn logs(&self) -> Vec<Found> {
        let found = Log::ALL.map(|log| {
            let path = self.path(log);
            let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
            Some(Found { bytes: fs::read(&path).ok()?, inode: metadata.ino(), path })
        });
        found.into_iter().flatten().collect()
    }

    /// Makes it happen; says how it took effect, if it did.
    pub(super) fn happen(&mut self, what: &Happening) -> Option<&'static str> {
        match what {
            Happening::Append(log, says) => self.append_record(*log, *says),
            Happening::Glued(log, one, other) => {
                let text = format!("{}{}\n", self.book.record(*log, *one), self.book.record(*log, *other));
                self.append(*log, text.as_bytes(), "glued")
            }
            Happening::Torn(log, says, cut) => self.tear(*log, *says, *cut),
            Happening::Completed(log) => self.complete(*log),
            Happening::Padded(log, bytes) => self.append(*log, &vec![0; usize::from(*bytes)], "padded"),
            Happening::Many(log, says) => self.append_many(*log, *says),
            Happening::Renamed(from, to) => self.rename(*from, *to),
            Happening::Rotated(from, to, says) => {
                let renamed = self.rename(*from, *to);
                renamed.and_then(|effect| {
                    effect.map_or(Ok(None), |_| self.append_record(*from, *says).and(Ok(Some("rotated"))))
                })
            }
            Happening::Forked { from, to, marked } => self.fork(*from, *to, *marked),
            Happening::Copied { from, to, with_time } => self.copy(*from, *to, *with_time),
            Happening::Truncated { log, keep, at_line } => self.truncate(*log, *keep, *at_line),
            Happening::Rewritten(log, part, length, way, says) => {
                self.rewrite(*log, (*part, *length), *way, *says)
            }
            Happening::Deleted(log) => fs::remove_file(self.path(*log)).and(Ok(Some("deleted"))),
            Happening::FolderDeleted(log) => {
                let project = log.path().split('/').next().unwrap_or_default();
                fs::remove_dir_all(self.root().join(project)).and(Ok(Some("folder deleted")))
            }
            Happening::HardLinked { from, to } => {
                self.link(*from, *to, |from, to| fs::hard_link(from, to), "hard-linked")
            }
            Happening::SymLinked { from, to } => {
                self.link(*from, *to, |from, to| symlink(from, to), "sym-linked")
            }
            Happening::Hidden(log) => self.hide(*log),
            Happening::Shown => Ok(self.show_all()),
            Happening::Clock(era) => {
                let changed = self.era != *era;
                self.era = *era;
                Ok(changed.then_some("clock jumped"))
            }
        }
        // What the file system refuses has not happened.
        .unwrap_or(None)
    }

    /// Gives a file a time that none had before.
    fn touch(&mut self, file: &File) -> io::Result<()> {
        self.ticks += 1;
        let seconds = match self.era {
            Era::Past => 100_000_000,
            Era::Present => 1_788_300_000,
            Era::Future => 3_800_000_000,
        };
        let since_1970 = Duration::from_secs(seconds) + Duration::from_millis(self.ticks);
        file.set_modified(SystemTime::UNIX_EPOCH + since_1970)
    }

    fn append(&mut self, log: Log, bytes: &[u8], effect: &'static str) -> Effect {
        let path = self.path(log);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(bytes)?;
        self.touch(&file)?;
        Ok(Some(effect))
    }

    fn append_record(&mut self, log: Log, says: Says) -> Effect {
        let text = format!("{}\n", self.book.record(log, says));
        let before = fs::read(self.path(log)).unwrap_or_default();
        let is_glued = before.last().is_some_and(|byte| *byte != b'\n');
        self.append(log, text.as_bytes(), if is_glued { "appended to a torn line" } else { "appended" })
    }

    fn tear(&mut self, log: Log, says: Says, cut: u16) -> Effect {
        let text = format!("{}\n", self.book.record(log, says));
        // A whole record without its line end is a case of its own.
        let end = if cut > 900 { text.len() - 1 } else { share(text.len(), cut).max(1) };
        let (part, rest) = text.as_bytes().split_at(end);
        self.torn.insert(log, (part.to_vec(), rest.to_vec()));
        self.append(log, part, if cut > 900 { "whole but for its line end" } else { "torn" })
    }

    fn complete(&mut self, log: Log) -> Effect {
        let Some((part, rest)) = self.torn.remove(&log) else { return Ok(None) };
        let stands = fs::read(self.path(log))?.ends_with(&part);
        if stands { self.append(log, &rest, "completed") } else { Ok(None) }
    }

    fn append_many(&mut self, log: Log, says: Says) -> Effect {
        let mut text = String::new();
        for number in 0..MANY {
            let output = u8::try_from(number % 5).unwrap_or_default();
            text.push_str(&self.book.record(log, Says { output, text: 0, ..says }));
            text.push('\n');
        }
        self.append(log, text.as_bytes(), "many appended")
    }

    fn rename(&mut self, from: Log, to: Log) -> Effect {
        if from == to {
            return Ok(None);
        }
        let (from, to) = (self.path(from), self.path(to));
        let existed = fs::symlink_metadata(&to).is_ok();
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        let moved = from.parent() != to.parent();
        fs::rename(from, to)?;
        Ok(Some(match (existed, moved) {
            (true, _) => "renamed over another",
            (false, true) => "moved",
            (false, false) => "renamed",
        }))
    }

    fn fork(&mut self, from: Log, to: Log, marked: bool) -> Effect {
        let history = fs::read_to_string(self.path(from))?;
        let mut text = String::new();
        for line in history.lines().take(20) {
            if let Some(copy) = self.book.fork(line, to.session(), marked) {
                text.push_str(&copy);
                text.push('\n');
            }
        }
        if from.session() == to.session() || text.is_empty() {
            return Ok(None);
        }
        self.append(to, text.as_bytes(), if marked { "forked" } else { "forked without a mark" })
    }

    fn copy(&mut self, from: Log, to: Log, with_time: bool) -> Effect {
        let (from, to) = (self.path(from), self.path(to));
        let same = |one: &Path, other: &Path| fs::canonicalize(one).ok() == fs::canonicalize(other).ok();
        let modified = fs::metadata(&from)?.modified()?;
        if same(&from, &to) {
            return Ok(None);
        }
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        fs::copy(from, &to)?;
        let file = OpenOptions::new().append(true).open(to)?;
        if with_time {
            file.set_modified(modified)?;
            return Ok(Some("copied with its time"));
        }
        self.touch(&file)?;
        Ok(Some("copied"))
    }

    fn truncate(&mut self, log: Log, keep: u16, at_line: bool) -> Effect {
        let path = self.path(log);
        let bytes = fs::read(&path)?;
        let kept = share(bytes.len(), keep);
        let line_end = bytes[..kept].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = if at_line { line_end } else { kept };
        if end == bytes.len() {
            return Ok(None);
        }
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(end as u64)?;
        self.touch(&file)?;
        let at_line = end > 0 && bytes.get(end - 1) == Some(&b'\n');
        Ok(Some(match (end, at_line) {
            (0, _) => "emptied",
            (_, true) => "cut behind a line",
            (_, false) => "cut inside a line",
        }))
    }

    fn rewrite(&mut self, log: Log, (part, length): (Part, Length), way: Way, says: Says) -> Effect {
        let path = self.path(log);
        let before = fs::read(&path)?;
        let lines: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
        let Some(place) = (match part {
            Part::First | Part::All => (!lines.is_empty()).then_some(0),
            // Where a line of a long log is changed that has been read in part, no fingerprint lies.
            Part::Middle => (3..100).contains(&lines.len()).then_some(lines.len() / 2),
            Part::Last => lines.len().checked_sub(1),
        }) else {
            return Ok(None);
        };
        let until = if part == Part::All { lines.len() } else { place + 1 };
        let old: usize = lines[place..until].iter().map(|line| line.len()).sum();
        let new = match length {
            Length::None => String::new(),
            Length::Same => format!("{}\n", self.book.record_of(log, says, old - 1)),
            Length::Shorter => format!("{}\n", self.book.record_of(log, says, 0)),
            Length::Longer => format!("{}\n", self.book.record_of(log, says, old + usize::from(says.text))),
        };
        let after = [&lines[..place].concat(), new.as_bytes(), &lines[until..].concat()].concat();
        let inode = fs::symlink_metadata(&path)?.ino();
        self.put(&path, &after, way)?;
        let is_same = fs::symlink_metadata(&path)?.ino() == inode;
        Ok(Some(match (way, part, after.len().cmp(&before.len())) {
            (Way::Rename, ..) => "replaced by rename",
            (Way::Again, ..) if is_same => "made again with the same inode",
            (Way::Again, ..) => "deleted and made again",
            (_, Part::All, _) => "written anew in place",
            (_, Part::Middle, _) => "middle changed in place",
            (.., std::cmp::Ordering::Equal) => "changed in place, same size",
            (.., std::cmp::Ordering::Less) => "changed in place, smaller",
            (.., std::cmp::Ordering::Greater) => "changed in place, larger",
        }))
    }

    /// Gives the log at `path` this content.
    fn put(&mut self, path: &Path, bytes: &[u8], way: Way) -> io::Result<()> {
        let file = match way {
            Way::InPlace => OpenOptions::new().write(true).open(path)?,
            Way::Rename => File::create(path.with_extension("tmp"))?,
            Way::Again => {
                let inode = fs::symlink_metadata(path)?.ino();
                let mut file = None;
                // Some file systems give the number out again at once, others never.
                for _ in 0..4 {
                    if file.as_ref().is_none_or(|file: &File| file.metadata().is_ok_and(|m| m.ino() != inode))
                    {
                        drop(file.take());
                        fs::remove_file(path)?;
                        file = Some(File::create(path)?);
                    }
                }
                file.ok_or(io::ErrorKind::NotFound)?
            }
        };
        file.write_all_at(bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        self.touch(&file)?;
        if way == Way::Rename {
            fs::rename(path.with_extension("tmp"), path)?;
        }
        Ok(())
    }

    fn link(
        &self,
        from: Log,
        to: Log,
        link: fn(&Path, &Path) -> io::Result<()>,
        effect: &'static str,
    ) -> Effect {
        let (from, to) = (self.path(from), self.path(to));
        if from == to || !from.is_file() {
            return Ok(None);
        }
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        link(&from, &to)?;
        Ok(Some(effect))
    }

    fn hide(&self, log: Log) -> Effect {
        let path = self.path(log);
        if path.is_dir() {
            return Ok(None);
        }
        fs::rename(&path, path.with_extension("away"))?;
        fs::create_dir(&path)?;
        Ok(Some("hidden"))
    }

    fn show_all(&self) -> Option<&'static str> {
        let show = |log: &Log| {
            let path = self.path(*log);
            fs::remove_dir(&path).and_then(|()| fs::rename(path.with_extension("away"), path)).is_ok()
        };
        let shown = Log::ALL.iter().filter(|log| show(log)).count();
        (shown > 0).then_some("shown")
    }
}

/// So many thousandths of a length.
pub(super) fn share(length: usize, thousandths: u16) -> usize {
    length * usize::from(thousandths) / 1000
}
