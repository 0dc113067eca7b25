//! One file's state machine: what happens to a file, and where reading goes on.

use super::*;
use crate::domain::{Cursor, FileStat};
use pretty_assertions::assert_eq;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A line with usage in it, long enough for a few of them to go beyond what fingerprints cover.
fn line(number: usize) -> String {
    format!("{{\"usage\":{number:0>300}}}\n")
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(line).collect()
}

/// A folder with one log, read from time to time.
struct Log {
    folder: TempDir,
    known: Option<Cursor>,
    /// Raised with each change, so that a change shows in the file's time.
    seconds: u64,
}

impl Log {
    /// A log with ten lines that have been read.
    fn read_once() -> Self {
        let mut log = Self { folder: tempfile::tempdir().unwrap(), known: None, seconds: 0 };
        log.put(&lines(0..10));
        assert_eq!(log.read(), (Start::Beginning, lines(0..10)));
        log
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("a.jsonl")
    }

    /// Overwrites the file in place: it keeps its inode.
    fn put(&mut self, text: &str) {
        fs::write(self.path(), text).unwrap();
        self.touch();
    }

    fn append(&mut self, text: &str) {
        self.put(&format!("{}{text}", fs::read_to_string(self.path()).unwrap()));
    }

    fn touch(&mut self) {
        self.seconds += 1;
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + self.seconds);
        fs::File::options().append(true).open(self.path()).unwrap().set_modified(at).unwrap();
    }

    /// What is read, newlines included, and from where.
    fn read(&mut self) -> (Start, String) {
        let file = LogFile::open(&self.path(), self.known.as_ref()).unwrap();
        let mut text = String::new();
        let mut visit = |_, line: Line<'_>| match line {
            Line::Whole(bytes) => {
                text.push_str(std::str::from_utf8(bytes).unwrap());
                text.push('\n');
            }
            Line::Unfinished(bytes) => text.push_str(std::str::from_utf8(bytes).unwrap()),
            Line::Odd(odd) => panic!("{odd:?}"),
        };
        let mut reader = LineReader::new(1 << 20);
        let cursor = file.read(&mut reader, &mut visit, &mut |_, _| Flow::Continue(())).unwrap();
        self.known = Some(cursor);
        (file.start(), text)
    }

    fn stat(&self) -> FileStat {
        file_stat(&fs::metadata(self.path()).unwrap())
    }
}

#[test]
fn an_appended_file_is_read_on() {
    let mut log = Log::read_once();
    assert!(LogFile::is_unchanged(&log.known.unwrap(), &log.stat()), "nothing was written");
    log.append(&lines(10..12));
    assert!(!LogFile::is_unchanged(&log.known.unwrap(), &log.stat()));
    assert_eq!(log.read(), (Start::Resume, lines(10..12)));
    assert_eq!(log.known.unwrap().offset, lines(0..12).len() as u64);
    assert_eq!(log.read(), (Start::Resume, String::new()));
}

#[test]
fn an_unfinished_line_is_read_again_when_it_is_whole() {
    let mut log = Log::read_once();
    let whole = line(10);
    for length in [9, 100, whole.len() - 1] {
        log.put(&format!("{}{}", lines(0..10), &whole[..length]));
        assert_eq!(log.read(), (Start::Resume, whole[..length].to_owned()), "{length} bytes of it");
        assert_eq!(log.known.unwrap().offset, lines(0..10).len() as u64);
    }
    log.append("\n");
    assert_eq!(log.read(), (Start::Resume, whole));
}

#[test]
fn what_is_known_of_a_file_is_what_was_there_when_it_was_opened() {
    let mut log = Log::read_once();
    let file = LogFile::open(&log.path(), log.known.as_ref()).unwrap();
    log.append(&line(10));
    let mut reader = LineReader::new(1 << 20);
    let cursor = file.read(&mut reader, &mut |_, _| {}, &mut |_, _| Flow::Continue(())).unwrap();
    assert_eq!(cursor.offset, lines(0..10).len() as u64);
    assert!(!LogFile::is_unchanged(&cursor, &log.stat()), "the file is looked at again");
    log.known = Some(cursor);
    assert_eq!(log.read(), (Start::Resume, line(10)));
}

/// What is done to a file of ten lines that have been read.
type Happening = (&'static str, fn(&mut Log), Start, std::ops::Range<usize>);

#[test]
fn a_file_that_is_not_what_it_was_is_read_from_its_beginning() {
    let cases: [Happening; 11] = [
        ("cut off", |log| log.put(&lines(0..5)), Start::Beginning, 0..5),
        ("emptied", |log| log.put(""), Start::Beginning, 0..0),
        ("emptied and filled with less", |log| log.put(&lines(50..53)), Start::Beginning, 50..53),
        ("emptied and filled with as much", |log| log.put(&lines(50..60)), Start::Beginning, 50..60),
        ("emptied and filled with more", |log| log.put(&lines(50..70)), Start::Beginning, 50..70),
        (
            "changed before the end, and appended to",
            |log| log.put(&(lines(0..9) + &lines(50..60))),
            Start::Beginning,
            0..19,
        ),
        (
            "changed at the beginning, and appended to",
            |log| log.put(&(line(50) + &lines(1..12))),
            Start::Beginning,
            0..12,
        ),
        (
            "changed in the middle, with the same size",
            |log| log.put(&(lines(0..5) + &line(50) + &lines(6..10))),
            Start::Beginning,
            0..10,
        ),
        ("touched", Log::touch, Start::Beginning, 0..10),
        ("replaced by a copy that goes on", |log| replace(log, &lines(0..12)), Start::Beginning, 0..12),
        ("replaced by another file", |log| replace(log, &lines(50..70)), Start::Beginning, 50..70),
    ];
    for (what, happen, start, numbers) in cases {
        let mut log = Log::read_once();
        happen(&mut log);
        let text = fs::read_to_string(log.path()).unwrap();
        let expected = if start == Start::Resume { lines(numbers) } else { text };
        assert_eq!(log.read(), (start, expected), "{what}");
        assert_eq!(log.read(), (Start::Resume, String::new()), "{what}, and then nothing");
    }
}

/// Puts another file in the place of the log, as editors and sync tools do.
fn replace(log: &mut Log, text: &str) {
    let beside = log.folder.path().join("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, log.path()).unwrap();
    log.touch();
}

#[test]
fn a_file_that_got_the_inode_of_a_deleted_one_is_another_file() {
    let mut log = Log::read_once();
    log.put(&lines(50..70));
    // As if the file that was read had been another one, with this one's number.
    let known = log.known.unwrap();
    let stat = FileStat { size: known.stat.size, modified_ns: 1, ..log.stat() };
    log.known = Some(Cursor { stat, ..known });
    assert_eq!(log.read(), (Start::Beginning, lines(50..70)));
}

#[test]
fn an_empty_file_is_read_on_like_any_other() {
    let mut log = Log { folder: tempfile::tempdir().unwrap(), known: None, seconds: 0 };
    log.put("");
    assert_eq!(log.read(), (Start::Beginning, String::new()));
    log.append(&line(1));
    assert_eq!(log.read(), (Start::Resume, line(1)));
    log.append(&line(2));
    assert_eq!(log.read(), (Start::Resume, line(2)), "from within what fingerprints cover");
}

#[test]
fn a_checkpoint_is_as_good_a_cursor_as_the_end() {
    let mut log = Log::read_once();
    log.put(&lines(0..2_000));
    let file = LogFile::open(&log.path(), None).unwrap();
    let mut checkpoint = None;
    let mut seen = 0;
    let end = file.read(&mut LineReader::new(1 << 20), &mut |_, _| seen += 1, &mut |file, position| {
        checkpoint = Some(file.cursor(position));
        Flow::Break(())
    });
    assert_eq!(end.unwrap(), checkpoint.unwrap());
    assert!(!LogFile::is_unchanged(&checkpoint.unwrap(), &log.stat()), "there is more in the file");
    assert!((1..2_000).contains(&seen), "{seen} lines before the first checkpoint");
    log.known = checkpoint;
    assert_eq!(log.read(), (Start::Resume, lines(seen..2_000)));
}

#[test]
fn a_log_that_is_rewritten_while_it_is_read_is_not_known_by_its_new_beginning() {
    let mut log = Log::read_once();
    log.put(&lines(0..2_000));
    let file = LogFile::open(&log.path(), None).unwrap();
    let mut chunks = 0;
    let cursor = file.read(&mut LineReader::new(1 << 20), &mut |_, _| {}, &mut |_, _| {
        chunks += 1;
        if chunks == 1 {
            log.put(&(line(5_000) + &lines(1..2_010)));
        }
        Flow::Continue(())
    });
    assert!(chunks > 1, "it was rewritten in the middle of reading");
    log.known = Some(cursor.unwrap());
    assert_eq!(log.read(), (Start::Beginning, line(5_000) + &lines(1..2_010)));
}

#[test]
fn no_line_is_half_of_one_version_and_half_of_another() {
    let mut log = Log::read_once();
    let version = |letter: &str| lines(0..2_000).replace('0', letter);
    log.put(&version("0"));
    let file = LogFile::open(&log.path(), None).unwrap();
    let (mut seen, mut chunks) = (Vec::new(), 0);
    let cursor = file.read(
        &mut LineReader::new(1 << 20),
        &mut |_, read| {
            if let Line::Whole(bytes) = read {
                seen.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
        },
        &mut |_, _| {
            chunks += 1;
            if chunks == 1 {
                log.put(&version("x"));
            }
            Flow::Continue(())
        },
    );
    assert!(seen.len() > 100 && seen.len() < 2_000, "rewritten in the middle of reading: {}", seen.len());
    let old = version("0");
    assert!(seen.iter().zip(old.lines()).all(|(seen, old)| seen == old), "a line of two versions");
    log.known = Some(cursor.unwrap());
    assert_eq!(log.read(), (Start::Beginning, version("x")));
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let open = |path: &std::path::Path| LogFile::open(path, None).map(|_| ()).unwrap_err();
    assert!(matches!(open(&path), TailError::Gone { path: gone } if gone == path));
    symlink(folder.path().join("nothing"), &path).unwrap();
    assert!(matches!(open(&path), TailError::Gone { .. }), "a link that leads nowhere");
    fs::remove_file(&path).unwrap();
    symlink(&path, &path).unwrap();
    let error = open(&path);
    assert!(matches!(&error, TailError::Read { path: broken, offset: 0, .. } if *broken == path), "{error}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(open(&path), TailError::NotRegular { path: folder } if folder == path));
}

#[test]
fn a_file_that_grows_while_it_is_read_is_left_where_it_ended_and_read_on_later() {
    let mut log = Log::read_once();
    log.append(&lines(10..20));
    let file = LogFile::open(&log.path(), log.known.as_ref()).unwrap();
    let mut writer = fs::File::options().append(true).open(log.path()).unwrap();
    let mut seen = 0;
    // A writer that is as fast as the reader, up to a length at which the test would have failed.
    let mut visit = |_, _: Line<'_>| {
        seen += 1;
        if seen < 10_000 {
            std::io::Write::write_all(&mut writer, line(20).as_bytes()).unwrap();
        }
    };
    let mut reader = LineReader::new(1 << 20);
    let cursor = file.read(&mut reader, &mut visit, &mut |_, _| Flow::Continue(())).unwrap();
    assert_eq!((seen, cursor.offset), (10, lines(0..20).len() as u64));
    log.known = Some(cursor);
    assert!(!LogFile::is_unchanged(&cursor, &log.stat()), "it is looked at again");
    assert_eq!(log.read(), (Start::Resume, line(20).repeat(10)));
}
