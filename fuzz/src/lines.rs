//! The line splitter: however bytes are cut into reads, and wherever reading stops and goes on, the lines,
//! their offsets and the losses are those of a splitter that has everything in memory.

use super::contains;
use std::io::{self, Cursor, Read};
use tallyd::tail::{Flow, Line, LineReader, Oddity, Position, Source};

/// Bytes at the beginning of an input that say how it is read.
const CONTROL_BYTES: usize = 8;

/// `cost-state` is looked for in lines of at most this length.
const ACCOUNT_LINE_BYTES: usize = 16 << 10;

/// A line as it was handed on, in values of its own.
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

/// How an input is read.
struct Plan {
    max_line_bytes: usize,
    buffer_bytes: usize,
    sizes: [usize; 4],
    interrupts: bool,
    stop_every: usize,
}

impl Plan {
    fn new(control: [u8; CONTROL_BYTES]) -> Self {
        let [longest, buffer, _, one, two, three, four, flags] = control.map(usize::from);
        Self {
            max_line_bytes: 1 + longest * 3,
            buffer_bytes: 64 + buffer,
            sizes: [one, two, three, four].map(|size| 1 + size * size / 16),
            interrupts: flags % 2 == 1,
            stop_every: 1 + flags / 2 % 8,
        }
    }

    /// `cost-state` is looked for in lines of at most this length.
    fn account_line_bytes(&self) -> usize {
        ACCOUNT_LINE_BYTES.min(self.buffer_bytes - 1)
    }

    /// The most that may be kept of a file at any time.
    fn most_kept(&self) -> usize {
        self.buffer_bytes.max(self.max_line_bytes + 1)
    }
}

/// Hands out bytes in pieces of the plan's sizes, and notes how much it was asked for at most.
struct Pieces<'a> {
    all: &'a [u8],
    start: u64,
    bytes: &'a [u8],
    plan: &'a Plan,
    reads: usize,
    largest_request: usize,
}

impl<'a> Pieces<'a> {
    /// Of bytes that stand at `start`.
    fn new(bytes: &'a [u8], start: u64, plan: &'a Plan) -> Self {
        Self { all: bytes, start, bytes, plan, reads: 0, largest_request: 0 }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "a read into nothing looks like the end of the file");
        self.largest_request = self.largest_request.max(buffer.len());
        self.reads += 1;
        if self.plan.interrupts && self.reads.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = self.plan.sizes[self.reads % self.plan.sizes.len()];
        let count = size.min(buffer.len()).min(self.bytes.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}

impl Source for Pieces<'_> {
    fn go_back(&mut self, position: &Position) {
        let at = usize::try_from(position.offset() - self.start).expect("an offset in memory");
        self.bytes = &self.all[at..];
    }
}

/// Lines with their offsets, and the offset behind the last whole line.
type Reading = (Vec<(u64, Seen)>, u64);

/// Everything must come out as if it had been read at once.
pub fn check(data: &[u8]) {
    let mut control = [0; CONTROL_BYTES];
    let (head, bytes) = data.split_at(data.len().min(CONTROL_BYTES));
    control[..head.len()].copy_from_slice(head);
    let plan = Plan::new(control);
    let expected = simply(bytes, plan.max_line_bytes, plan.account_line_bytes());

    let at_once = simply(bytes, plan.max_line_bytes, ACCOUNT_LINE_BYTES);
    assert_eq!(read_at_once(bytes, &plan), at_once, "read at once");
    let mut reader = LineReader::with_buffer(plan.max_line_bytes, plan.buffer_bytes);
    assert_eq!(read_in_pieces(&mut reader, bytes, &plan), expected, "read in pieces");
    assert_eq!(read_in_pieces(&mut reader, bytes, &plan), expected, "read again with the same reader");
    assert_eq!(read_with_stops(&mut reader, bytes, &plan), expected, "read with stops");
}

/// What has to come out.
fn simply(bytes: &[u8], max_line_bytes: usize, account_line_bytes: usize) -> Reading {
    let (mut lines, mut at) = (Vec::new(), 0);
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        let offset = at as u64;
        let (line, is_whole) = match piece.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (piece, false),
        };
        let has_usage = contains(line, "\"usage\"");
        let has_account = line.len() <= account_line_bytes && contains(line, "\"cost-state\"");
        let is_too_long = line.len() > max_line_bytes;
        let text = line.trim_ascii();
        let is_object = text.is_empty() || text.starts_with(b"{") && text.ends_with(b"}");
        match (is_whole, is_too_long) {
            (true, true) if has_usage => lines.push((offset, Seen::TooLong(line.len() as u64))),
            (true, false) if has_usage || has_account || !is_object => {
                lines.push((offset, Seen::Whole(line.to_vec())));
            }
            (false, false) if has_usage || has_account => {
                lines.push((offset, Seen::Unfinished(line.to_vec())));
            }
            _ => {}
        }
        at += if is_whole { piece.len() } else { 0 };
    }
    (lines, at as u64)
}

fn read_at_once(bytes: &[u8], plan: &Plan) -> Reading {
    let (mut lines, mut position) = (Vec::new(), Position::default());
    let mut source = Cursor::new(bytes);
    LineReader::new(plan.max_line_bytes)
        .read(&mut source, &mut position, &mut |offset, line| lines.push((offset, line.into())), &mut |_| {
            Flow::Continue(())
        })
        .expect("memory can be read");
    (lines, position.offset())
}

fn read_in_pieces(reader: &mut LineReader, bytes: &[u8], plan: &Plan) -> Reading {
    let mut source = Pieces::new(bytes, 0, plan);
    let (mut lines, mut behind, mut position) = (Vec::new(), 0, Position::default());
    reader
        .read(&mut source, &mut position, &mut |offset, line| lines.push((offset, line.into())), &mut |at| {
            let offset = at.offset();
            assert!(offset >= behind, "the offset goes back: {offset} after {behind}");
            assert!(is_line_start(bytes, offset), "{offset} is inside of a line");
            behind = offset;
            Flow::Continue(())
        })
        .expect("memory can be read");
    assert_eq!(position.offset(), behind, "the end is told with the last chunk");
    let most = plan.most_kept();
    assert!(source.largest_request <= most, "{} bytes asked for, {most} allowed", source.largest_request);
    assert!(source.bytes.is_empty(), "something was left unread");
    (lines, position.offset())
}

/// Stops after every few chunks that got behind a line, and goes on at the position that was told.
fn read_with_stops(reader: &mut LineReader, bytes: &[u8], plan: &Plan) -> Reading {
    let (mut lines, mut position) = (Vec::new(), Position::default());
    loop {
        let from = position.offset();
        let rest = &bytes[usize::try_from(from).expect("an offset in memory")..];
        let mut source = Pieces::new(rest, from, plan);
        let (mut chunks, mut is_stopped) = (0, false);
        reader
            .read(
                &mut source,
                &mut position,
                &mut |offset, line| lines.push((offset, line.into())),
                &mut |at| {
                    chunks += usize::from(at.offset() > from);
                    is_stopped = chunks == plan.stop_every;
                    if is_stopped { Flow::Break(()) } else { Flow::Continue(()) }
                },
            )
            .expect("memory can be read");
        let at = position.offset();
        if !is_stopped {
            return (lines, at);
        }
        assert!(at > from, "a stop that gets nowhere");
        assert!(lines.last().is_none_or(|(offset, _)| *offset < at), "a line behind the stop was handed on");
    }
}

/// Whether a line begins at this place.
fn is_line_start(bytes: &[u8], at: u64) -> bool {
    let before = usize::try_from(at).ok().and_then(|at| at.checked_sub(1));
    before.is_none_or(|before| bytes.get(before) == Some(&b'\n'))
}
