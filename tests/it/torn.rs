//! What a crash leaves of a record, wherever it is cut off, and the whole record that the next writer puts right
//! behind it.
#![cfg(test)]

use crate::logs::Tree;
use crate::random::Random;
use pretty_assertions::assert_eq;
use tallyd::domain::{MessageKey, UnixMillis};
use tallyd::parse::{LineContext, Notice, Statement, parse_line};

/// Names of the responses that a line speaks of, and what was wrong with it.
fn read(line: &[u8]) -> (Vec<String>, Option<Notice>) {
    let mut ids = Vec::new();
    let context = LineContext { session: "s", agent_file: false, fallback_time: UnixMillis(0) };
    let notice = parse_line(line, context, &mut |statement| {
        if let Statement::Response(line) = statement {
            ids.push(match line.key {
                MessageKey::Global(id) => id,
                MessageKey::Aliases { names, .. } => names.concat(),
            });
        }
    });
    (ids, notice)
}

/// Whether a text of that length ends in what a tool gave back: a record in there may be the tool's.
fn is_in_result(text: &str, length: usize) -> bool {
    let key = "\"toolUseResult\":";
    let Some(at) = text.find(key).map(|at| at + key.len()) else { return false };
    let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<serde_json::Value>();
    values.next().expect("a value").expect("a line is JSON");
    (at..at + values.byte_offset()).contains(&length)
}

#[test]
fn a_whole_record_counts_behind_any_part_of_another() {
    let mut random = Random::new(5);
    let (mut tried, mut unknown) = (0, 0);
    for seed in 0..4 {
        let lines = Tree::generate(seed, 1).lines;
        let whole: Vec<_> = lines.iter().filter(|line| !line.says.is_empty()).collect();
        // What holds other records whole, glued on or nested, says something of its own.
        let simple = |text: &str| text.matches("\"message\":").count() == 1;
        for cut_off in lines.iter().filter(|line| line.says.len() <= 1 && simple(&line.text)) {
            let behind = *random.pick(&whole);
            let expected = read(behind.text.as_bytes()).0;
            for length in 0..cut_off.text.len() {
                let glued = [&cut_off.text.as_bytes()[..length], behind.text.as_bytes()].concat();
                let (found, notice) = read(&glued);
                tried += 1;
                if found.is_empty() && is_in_result(&cut_off.text, length) {
                    assert!(notice.is_some_and(Notice::is_loss), "{notice:?}: what is not known is told");
                    unknown += 1;
                    continue;
                }
                assert_eq!(found, expected, "cut at {length} of {}", cut_off.text);
            }
        }
    }
    println!("{unknown} of {tried} may have been what a tool gave back");
    assert!(unknown * 50 < tried);
}

#[test]
fn a_whole_record_counts_behind_parts_of_two_others() {
    let mut random = Random::new(6);
    let mut tried = 0;
    for seed in 0..12 {
        let lines = Tree::generate(seed, 1).lines;
        let whole: Vec<_> = lines.iter().filter(|line| !line.says.is_empty()).collect();
        let simple =
            |text: &str| text.matches("\"message\":").count() == 1 && !text.contains("toolUseResult");
        let cut: Vec<_> = lines.iter().filter(|line| line.says.len() <= 1 && simple(&line.text)).collect();
        for _ in 0..600 {
            let behind = *random.pick(&whole);
            let mut glued = Vec::new();
            for _ in 0..2 {
                let text = &random.pick(&cut).text;
                let length = random.index(text.len());
                if !is_in_result(text, length) {
                    glued.extend_from_slice(&text.as_bytes()[..length]);
                }
                glued.extend(vec![0; if random.chance(20) { random.index(50) } else { 0 }]);
            }
            glued.extend_from_slice(behind.text.as_bytes());
            let (found, notice) = read(&glued);
            tried += 1;
            assert_eq!(
                found,
                read(behind.text.as_bytes()).0,
                "{notice:?}: {}",
                String::from_utf8_lossy(&glued)
            );
        }
    }
    assert!(tried > 7_000);
}
