//! Splitting into lines, against a splitter that has everything in memory.

use super::*;
use pretty_assertions::assert_eq;
use proptest::prelude::*;

/// A line as a reader hands it on, in values of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Whole(Vec<u8>),
    Unfinished(Vec<u8>),
    TooLong(u64),
}

impl From<Line<'_>> for Seen {
    fn from(line: Line<'_>) -> Self {
        match line {
            Line::Whole(bytes) => Self::Whole(bytes.to_vec()),
            Line::Unfinished(bytes) => Self::Unfinished(bytes.to_vec()),
            Line::Odd(Oddity::TooLong { bytes }) => Self::TooLong(bytes),
        }
    }
}

type Lines = Vec<(u64, Seen)>;

/// Hands out bytes, which stand at `start`, in pieces of the given sizes, over and over, and is interrupted before
/// each.
struct Dribble<'a> {
    all: &'a [u8],
    start: u64,
    bytes: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    interrupted: bool,
    most_asked: usize,
}

impl<'a> Dribble<'a> {
    fn new(bytes: &'a [u8], start: u64, sizes: &'a [usize]) -> Self {
        Self { all: bytes, start, bytes, sizes: sizes.iter().cycle(), interrupted: false, most_asked: 0 }
    }
}

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        self.most_asked = self.most_asked.max(buffer.len());
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = self.sizes.next().map_or(1, |size| *size).min(buffer.len()).min(self.bytes.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}

impl Source for Dribble<'_> {
    fn go_back(&mut self, position: &Position) {
        self.bytes = &self.all[usize::try_from(position.offset() - self.start).unwrap()..];
    }
}

fn reader(buffer_bytes: usize, max_line_bytes: usize) -> LineReader {
    LineReader { buffer_bytes, ..LineReader::new(max_line_bytes) }
}

/// The same, for which lines that do not fit the buffer are too long for an account.
fn skimmer(buffer_bytes: usize, max_line_bytes: usize) -> LineReader {
    LineReader { account_line_bytes: buffer_bytes - 1, ..reader(buffer_bytes, max_line_bytes) }
}

/// All lines of `bytes`, which stand at `start`, and where reading goes on.
fn read(reader: &mut LineReader, bytes: &[u8], start: u64, sizes: &[usize]) -> (Lines, u64) {
    let mut lines = Lines::new();
    let mut source = Dribble::new(bytes, start, sizes);
    let mut visit = |offset, line: Line<'_>| lines.push((offset, Seen::from(line)));
    let mut position = Position::new(start, Vec::new(), Vec::new());
    reader.read(&mut source, &mut position, &mut visit, &mut |_| Flow::Continue(())).unwrap();
    let read = &bytes[..usize::try_from(position.offset() - start).unwrap()];
    let mut expected = Position::new(start, Vec::new(), Vec::new());
    expected.advance(read);
    assert_eq!(position, expected, "it is known by the bytes that were read");
    (lines, position.offset())
}

fn contains(line: &[u8], needle: &str) -> bool {
    line.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// What [`read`] has to return, the simple way.
fn naive(bytes: &[u8], start: u64, reader: &LineReader) -> (Lines, u64) {
    let max_line_bytes = reader.max_line_bytes;
    let has_account =
        |line: &[u8]| line.len() <= reader.account_line_bytes && contains(line, "\"cost-state\"");
    let (mut lines, mut at) = (Lines::new(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let offset = start + at as u64;
        let Some(line) = line.strip_suffix(b"\n") else {
            let matters = contains(line, "\"usage\"") || has_account(line);
            if matters && line.len() <= max_line_bytes {
                lines.push((offset, Seen::Unfinished(line.to_vec())));
            }
            break;
        };
        at += line.len() + 1;
        let text = line.trim_ascii();
        let object = text.is_empty() || (text.starts_with(b"{") && text.ends_with(b"}"));
        if line.len() > max_line_bytes {
            if contains(line, "\"usage\"") {
                lines.push((offset, Seen::TooLong(line.len() as u64)));
            }
        } else if contains(line, "\"usage\"") || has_account(line) || !object {
            lines.push((offset, Seen::Whole(line.to_vec())));
        }
    }
    (lines, start + at as u64)
}

/// Bytes in which lines of every kind and length are likely.
fn log_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\n".to_vec()),
        3 => Just(b"\"usage\"".to_vec()),
        1 => Just(b"\"cost-state\"".to_vec()),
        2 => Just(b"{".to_vec()),
        2 => Just(b"}".to_vec()),
        1 => Just(b" ".to_vec()),
        2 => (0_usize..40).prop_map(|length| vec![b'x'; length]),
        2 => (0_usize..90).prop_map(|length| [&b"{"[..], &vec![b'x'; length], b"}\n"].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn lines_are_those_of_a_splitter_that_has_everything_in_memory(
        bytes in log_bytes(),
        start in 0_u64..1_000,
        skims in any::<bool>(),
        buffer_bytes in 8_usize..64,
        max_line_bytes in 8_usize..48,
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let mut reader = if skims { skimmer } else { reader }(buffer_bytes, max_line_bytes);
        let expected = naive(&bytes, start, &reader);
        prop_assert_eq!(read(&mut reader, &bytes, start, &sizes), expected.clone());
        // What a long line made of the buffer does not show in the next file.
        prop_assert_eq!(read(&mut reader, &bytes, start, &[usize::MAX]), expected);
    }

    #[test]
    fn reading_on_where_it_was_stopped_loses_and_repeats_nothing(
        bytes in log_bytes(),
        skims in any::<bool>(),
        buffer_bytes in 8_usize..64,
        max_line_bytes in 8_usize..48,
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let mut reader = if skims { skimmer } else { reader }(buffer_bytes, max_line_bytes);
        let (mut lines, mut position, mut stopped) = (Lines::new(), Position::default(), true);
        while stopped {
            stopped = false;
            let from = position.offset();
            let rest = &bytes[usize::try_from(from).unwrap()..];
            reader.read(
                &mut Dribble::new(rest, from, &sizes),
                &mut position,
                &mut |offset, line| lines.push((offset, Seen::from(line))),
                // Stopped within its first line, it would begin there again.
                &mut |position| { stopped = position.offset() > from; if stopped { Flow::Break(()) } else { Flow::Continue(()) } },
            ).unwrap();
        }
        prop_assert_eq!((lines, position.offset()), naive(&bytes, 0, &reader));
    }

    #[test]
    fn reading_stops_within_a_line_however_long_it_is(
        length in 64_usize..2_000,
        max_line_bytes in 8_usize..100,
        chunks in 0_usize..4,
    ) {
        let bytes = vec![b'x'; length];
        let mut source = Dribble::new(&bytes, 0, &[16]);
        let (mut asked, mut position) = (0, Position::default());
        reader(16, max_line_bytes).read(&mut source, &mut position, &mut |_, _| {}, &mut |position| {
            assert_eq!(position.offset(), 0, "behind no line");
            asked += 1;
            if asked > chunks { Flow::Break(()) } else { Flow::Continue(()) }
        }).unwrap();
        prop_assert_eq!((position.offset(), asked), (0, chunks + 1));
    }

    #[test]
    fn appending_in_any_pieces_comes_to_the_same_whole_lines(
        bytes in log_bytes(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut reader = reader(16, 32);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let (mut whole, mut at) = (Lines::new(), 0);
        for end in ends {
            let written = &bytes[usize::try_from(at).unwrap()..end];
            let (lines, next) = read(&mut reader, written, at, &[7]);
            whole.extend(lines.into_iter().filter(|(_, line)| !matches!(line, Seen::Unfinished(_))));
            at = next;
        }
        let (mut expected, end) = naive(&bytes, 0, &reader);
        expected.retain(|(_, line)| !matches!(line, Seen::Unfinished(_)));
        prop_assert_eq!((whole, at), (expected, end));
    }
}

/// A line of exactly `length` bytes with usage in it, at its end.
fn usage_line(length: usize) -> Vec<u8> {
    let mut line = vec![b'x'; length - 7];
    line.extend_from_slice(b"\"usage\"");
    line
}

#[test]
fn a_line_may_have_every_length_up_to_the_limit_and_what_follows_is_read() {
    const MAX: usize = 64;
    for buffer_bytes in [8, 16, 63, 64, 65, 66, 128, 300] {
        for length in 7..300 {
            let mut bytes = usage_line(length);
            bytes.extend_from_slice(b"\n\"usage\"1\n\"usage\"2\n\"usage\"3");
            let (lines, end) = read(&mut reader(buffer_bytes, MAX), &bytes, 5, &[usize::MAX]);
            let first =
                if length <= MAX { Seen::Whole(usage_line(length)) } else { Seen::TooLong(length as u64) };
            let next = 5 + length as u64 + 1;
            let expected = vec![
                (5, first),
                (next, Seen::Whole(b"\"usage\"1".to_vec())),
                (next + 9, Seen::Whole(b"\"usage\"2".to_vec())),
                (next + 18, Seen::Unfinished(b"\"usage\"3".to_vec())),
            ];
            assert_eq!((lines, end), (expected, next + 18), "length {length}, buffer {buffer_bytes}");
        }
    }
}

#[test]
fn usage_is_found_wherever_it_stands_in_a_long_line() {
    const LENGTH: usize = 120;
    for at in 0..=LENGTH - 7 {
        let mut bytes = vec![b'x'; LENGTH];
        bytes[at..at + 7].copy_from_slice(b"\"usage\"");
        bytes.push(b'\n');
        for size in [1, 3, 16, 1_000] {
            let (lines, end) = read(&mut reader(16, 32), &bytes, 0, &[size]);
            assert_eq!((lines, end), (vec![(0, Seen::TooLong(120))], 121), "usage at {at}, reads of {size}");
        }
    }
}

#[test]
fn a_long_line_without_usage_is_nobodys_business() {
    let bytes = [vec![b'x'; 100], b"\n\"usage\"\n".to_vec()].concat();
    let (lines, end) = read(&mut reader(16, 32), &bytes, 0, &[usize::MAX]);
    assert_eq!((lines, end), (vec![(101, Seen::Whole(b"\"usage\"".to_vec()))], 109));
}

#[test]
fn a_long_line_that_is_not_finished_is_read_again_from_its_beginning() {
    for length in [33, 64, 200] {
        let unfinished = usage_line(length);
        assert_eq!(read(&mut reader(16, 32), &unfinished, 9, &[usize::MAX]), (vec![], 9), "{length} bytes");
    }
}

#[test]
fn a_long_line_leaves_no_large_buffer_behind() {
    let mut reader = reader(16, 1 << 24);
    for (length, most) in [(KEPT_BYTES / 2, KEPT_BYTES), (KEPT_BYTES * 3, KEPT_BYTES)] {
        read(&mut reader, &usage_line(length), 0, &[usize::MAX]);
        assert!(reader.buffer.capacity() <= most, "{} bytes are kept", reader.buffer.capacity());
    }
    reader.relax();
    assert_eq!(reader.buffer.capacity(), 0);
    let line = [usage_line(32), b"\n".to_vec()].concat();
    assert_eq!(read(&mut reader, &line, 0, &[usize::MAX]).0.len(), 1, "and takes what it needs");
}

#[test]
fn a_long_line_that_does_not_matter_is_not_kept() {
    let line = |end: &str| format!("{{\"a\":\"{}\"{end}\n", "x".repeat(1 << 20)).into_bytes();
    for (end, matters) in [("}", false), ("}]", true), (",\"usage\":1}", true)] {
        let bytes = [line(end), b"{\"usage\":2}\n".to_vec()].concat();
        let mut reader = LineReader::new(1 << 24);
        let (lines, behind) = read(&mut reader, &bytes, 3, &[usize::MAX]);
        assert_eq!((lines.len(), behind), (1 + usize::from(matters), 3 + bytes.len() as u64), "{end}");
        assert_eq!(lines[0].1 == Seen::Whole(line(end).trim_ascii().to_vec()), matters, "{end}");
        assert_eq!(reader.buffer.capacity() > BUFFER_BYTES, matters, "{end}");
    }
}

#[test]
fn behind_a_long_line_that_matters_others_are_not_kept() {
    let long = |bytes: usize, end: &str| format!("{{\"a\":\"{}\"{end}}}\n", "x".repeat(bytes)).into_bytes();
    let bytes = [long(1 << 19, ",\"usage\":1"), long(1 << 22, ""), long(1 << 19, ",\"usage\":2")].concat();
    let mut source = Dribble::new(&bytes, 0, &[usize::MAX]);
    let mut lines = 0;
    let (mut visit, mut go_on) = (|_, _: Line<'_>| lines += 1, |_: &Position| Flow::Continue(()));
    LineReader::new(1 << 24).read(&mut source, &mut Position::default(), &mut visit, &mut go_on).unwrap();
    assert_eq!(lines, 2);
    assert!(source.most_asked <= 1 << 20, "{} bytes were read at once", source.most_asked);
}

#[test]
fn an_account_is_looked_for_in_short_lines_only() {
    let line = |length: usize| [&b"{\"cost-state\""[..], &vec![b' '; length - 14], b"}"].concat();
    for (length, matters) in [(100, true), (ACCOUNT_LINE_BYTES, true), (ACCOUNT_LINE_BYTES + 1, false)] {
        let bytes = [line(length), b"\n".to_vec()].concat();
        let (lines, _) = read(&mut LineReader::new(1 << 20), &bytes, 0, &[usize::MAX]);
        assert_eq!(!lines.is_empty(), matters, "{length} bytes");
    }
}

#[test]
fn only_lines_that_may_matter_are_handed_on() {
    let cases: [(&str, bool); 12] = [
        ("", false),
        ("   ", false),
        ("\r", false),
        ("{}", false),
        ("{\"type\":\"user\"}", false),
        (" {\"a\":1} \r", false),
        ("{\"a\":1", true),
        ("\"a\":1}", true),
        ("x", true),
        ("\u{feff}{}", true),
        ("{\"usage\" : 1}", true),
        ("{\"type\":\"cost-state\"}", true),
    ];
    for (line, handed_on) in cases {
        let (lines, _) = read(&mut LineReader::new(1_000), format!("{line}\n").as_bytes(), 0, &[usize::MAX]);
        assert_eq!(!lines.is_empty(), handed_on, "{line:?}");
    }
}

#[test]
fn an_error_of_the_source_is_the_callers() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    impl Source for Broken {
        fn go_back(&mut self, _: &Position) {}
    }
    let mut reader = LineReader::new(1_000);
    let error = reader
        .read(&mut Broken, &mut Position::default(), &mut |_, _| {}, &mut |_| Flow::Continue(()))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(read(&mut reader, b"\"usage\"\n", 0, &[usize::MAX]).1, 8, "the reader can be used again");
}
