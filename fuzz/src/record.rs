//! The record parser: any bytes as a line. What it counts agrees with a simple reading of the same JSON;
//! text inside of strings counts for nothing; and the splitter's prefilter lets through all that it counts.

mod simple;

use super::{contains, spread};
use serde_json::json;
use tallyd::domain::{MessageKey, ResponseLine, UnixMillis};
use tallyd::parse::{LineContext, Notice, Statement, parse_line, parse_unfinished};
use tallyd::tail::{Flow, Line, LineReader, Position};

const CONTEXT: LineContext<'static> =
    LineContext { session: "file-session", agent_file: false, fallback_time: UnixMillis(42) };

/// Longer lines are not searched for a `cost-state` record.
const ACCOUNT_LINE_BYTES: usize = 16 << 10;

/// Everything that a line says, and what was wrong with it.
type Said = (Vec<Statement>, Option<Notice>);

fn read(line: &[u8]) -> Said {
    let mut said = Vec::new();
    let notice = parse_line(line, CONTEXT, &mut |statement| said.push(statement));
    (said, notice)
}

fn read_unfinished(line: &[u8]) -> Vec<Statement> {
    let mut said = Vec::new();
    parse_unfinished(line, CONTEXT, &mut |statement| said.push(statement));
    said
}

fn responses(said: &[Statement]) -> Vec<&ResponseLine> {
    let mut found = Vec::new();
    for statement in said {
        if let Statement::Response(line) = statement {
            found.push(&**line);
        }
    }
    found
}

/// The bytes as a line, and as text inside of lines.
pub fn check(data: &[u8]) {
    let line: Vec<u8> = data.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    let (said, notice) = read(&line);
    assert_eq!(read(&line), (said.clone(), notice), "the same line, read again");
    responses(&said).into_iter().for_each(could_be);
    agrees_with_a_simple_reading(&line, &said, notice);
    early_is_not_otherwise(&line, &said);
    passes_the_prefilter(&line, &said);
    a_record_glued_on_counts(&line, &said, notice);
    text_counts_for_nothing(&String::from_utf8_lossy(data), spread(data, 1));
}

/// What no response is without.
fn could_be(line: &ResponseLine) {
    let usage = &line.usage;
    assert!(usage.tokens.as_array().iter().all(|count| *count <= 200_000_000), "{usage:?}");
    assert!(usage.web_searches <= 100_000_000, "{usage:?}");
    assert!(usage.thinking <= usage.tokens.output, "{usage:?}");
    assert_eq!(line.rank.output, usage.tokens.output);
    assert!(!line.model.0.is_empty() && line.model.0 != "<synthetic>", "{:?}", line.model);
    assert!(line.time_is_guessed || line.rank.at == line.attribution.at);
    if let MessageKey::Aliases { names, .. } = &line.key {
        assert!(!names.is_empty(), "a response without a name");
    }
}

/// The records before the first thing that is no JSON say the same as by a simple reading.
fn agrees_with_a_simple_reading(line: &[u8], said: &[Statement], notice: Option<Notice>) {
    let Some(simple) = simple::read(line) else { return };
    let counted: Vec<simple::Response> = responses(said).into_iter().map(simple::Response::from).collect();
    if simple.is_whole {
        assert_eq!(counted, simple.responses, "a line that is JSON from end to end");
        let is_loss = notice.is_some_and(|notice| notice.is_loss() && notice != Notice::Implausible);
        assert!(!is_loss, "{notice:?} of a line that is JSON from end to end");
    } else {
        assert!(counted.starts_with(&simple.responses), "{counted:?} for {:?}", simple.responses);
    }
}

/// What is counted of a line that is still being written is what it says when it is whole.
fn early_is_not_otherwise(line: &[u8], said: &[Statement]) {
    let early = read_unfinished(line);
    assert!(said.starts_with(&early), "{early:?} early, and then {said:?}");
    let length = usize::try_from(spread(line, 2) % (line.len() as u64 + 1)).expect("a length");
    let earlier = read_unfinished(&line[..length]);
    assert!(early.starts_with(&earlier), "{earlier:?} at {length} bytes, and then {early:?}");
}

/// A line that says something is handed on by the splitter, whole or unfinished.
fn passes_the_prefilter(line: &[u8], said: &[Statement]) {
    let is_account_line = line.len() <= ACCOUNT_LINE_BYTES && contains(line, "\"cost-state\"");
    if responses(said).is_empty() && (said.is_empty() || !is_account_line) {
        return;
    }
    let visited = |source: &[u8]| {
        let (mut source, mut visited) = (std::io::Cursor::new(source), Vec::new());
        let mut visit = |_, line: Line<'_>| match line {
            Line::Whole(bytes) | Line::Unfinished(bytes) => visited.push(bytes.to_vec()),
            Line::Odd(odd) => panic!("{odd:?}"),
        };
        LineReader::new(line.len())
            .read(&mut source, &mut Position::default(), &mut visit, &mut |_| Flow::Continue(()))
            .expect("memory can be read");
        visited
    };
    assert_eq!(visited(&[line, b"\n"].concat()), [line], "the prefilter drops what counts");
    if !read_unfinished(line).is_empty() {
        assert_eq!(visited(line), [line], "the prefilter drops what counts already");
    }
}

/// A whole record right behind a line that is in order counts, and so does that line.
fn a_record_glued_on_counts(line: &[u8], said: &[Statement], notice: Option<Notice>) {
    if notice.is_some() || line.trim_ascii_end().last() != Some(&b'}') {
        return;
    }
    let (behind, _) = read(record(&json!("glued on"), "msg_01glued").as_bytes());
    let glued = [line, record(&json!("glued on"), "msg_01glued").as_bytes()].concat();
    assert_eq!(read(&glued).0, [said, &behind[..]].concat());
}

/// A record of a reply with 3 input and 50 output tokens.
fn record(content: &serde_json::Value, id: &str) -> String {
    json!({
        "type": "assistant", "uuid": "uuid-1", "parentUuid": "uuid-0", "isSidechain": false,
        "timestamp": "2026-08-20T12:21:42.909Z", "sessionId": "session-1", "version": "2.1.330",
        "message": {
            "id": id, "model": "claude-opus-5-5", "content": content, "stop_reason": "end_turn",
            "usage": {"input_tokens": 3, "output_tokens": 50}
        }
    })
    .to_string()
}

/// Whatever stands in a text, a tool's input or its result: it is not counted, whole or cut off.
fn text_counts_for_nothing(text: &str, place: u64) {
    let user = json!({
        "type": "user", "uuid": "uuid-1", "parentUuid": "uuid-0", "sessionId": "session-1",
        "timestamp": "2026-08-20T12:21:42.909Z", "message": {"role": "user", "content": text},
        "toolUseResult": {"stdout": text, (text): text}
    })
    .to_string();
    assert_eq!(read(user.as_bytes()), (vec![], None), "a user's text");
    let content = json!([{"type": "text", "text": text}, {"type": "tool_use", "input": {"command": text}}]);
    let assistant = record(&content, "msg_01text");
    let (said, notice) = read(assistant.as_bytes());
    let counted: Vec<u64> = responses(&said).iter().map(|line| line.usage.tokens.output).collect();
    assert_eq!((counted, notice), (vec![50], None), "an assistant's text");
    for whole in [user, assistant] {
        let length = usize::try_from(place % (whole.len() as u64 - 1)).expect("a length") + 1;
        let (said, _) = read(&whole.as_bytes()[..length]);
        assert!(said.is_empty(), "cut off at {length}: {said:?}");
    }
}
