//! A source file as the tidy rules see it: its lines, the same text with comments and literals blanked
//! out, which lines only exist in tests, and every `a::b::{c, d}` path in it, flattened.
//!
//! This is a lexer of what the rules need, not a parser: macros that build paths are not seen.
#![cfg(test)]

/// A file below `src/`.
pub(super) struct Source {
    /// Path from the package root, with `/`.
    pub(super) path: String,
    /// The text as it stands.
    pub(super) text: String,
    /// The text with the inside of comments, strings and character literals replaced by spaces.
    pub(super) code: String,
    /// For each line, whether it is compiled for tests only.
    pub(super) test_lines: Vec<bool>,
}

/// One path, flattened: `use std::{env, fs}` gives `[std, env]` and `[std, fs]`.
pub(super) struct PathUse {
    pub(super) line: usize,
    pub(super) names: Vec<String>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let test_lines = test_lines(path, &code);
        Self { path: path.to_owned(), text: text.to_owned(), code, test_lines }
    }

    /// The top-level module: `parse` for `src/parse.rs` and everything in `src/parse/`.
    pub(super) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inside.split('/').next().unwrap_or(inside);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many `super::` lead from this file to the crate root.
    pub(super) fn depth(&self) -> usize {
        let parts = self.path.split('/').count() - 1;
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    /// Numbered lines of blanked code (from 1) that are compiled into the product.
    pub(super) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.code.lines().enumerate();
        numbered.filter(|(index, _)| !self.test_lines[*index]).map(|(index, line)| (index + 1, line))
    }

    /// Every path in the product's code.
    pub(super) fn product_paths(&self) -> Vec<PathUse> {
        let mut found = paths(&self.code);
        found.retain(|path| !self.test_lines[path.line - 1]);
        found
    }
}

/// What the lexer is inside of.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Code,
    LineComment,
    BlockComment(usize),
    Text,
    RawText(usize),
}

/// Replaces the inside of comments and literals by spaces, line ends excepted.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let (mut at, mut inside) = (0, Inside::Code);
    while at < chars.len() {
        let (next, length) = step(&chars, at, inside);
        for &c in &chars[at..(at + length).min(chars.len())] {
            let shown = inside == Inside::Code && next == Inside::Code && !is_literal(&chars, at);
            out.push(if c == '\n' || shown { c } else { ' ' });
        }
        (at, inside) = (at + length, next);
    }
    out
}

/// Whether a character literal begins here (and not a lifetime).
fn is_literal(chars: &[char], at: usize) -> bool {
    chars[at] == '\'' && literal_length(chars, at) > 1
}

/// Length of the character literal that begins at a quote; 1 for a lifetime.
fn literal_length(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        let close = chars.iter().skip(at + 3).position(|&c| c == '\'');
        return close.map_or(1, |close| close + 4);
    }
    if chars.get(at + 2) == Some(&'\'') { 3 } else { 1 }
}

/// One step of the lexer: the state after it and the characters it takes.
fn step(chars: &[char], at: usize, inside: Inside) -> (Inside, usize) {
    let starts = |what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    match inside {
        Inside::Code if starts("//") => (Inside::LineComment, 2),
        Inside::Code if starts("/*") => (Inside::BlockComment(1), 2),
        Inside::Code if starts("\"") => (Inside::Text, 1),
        Inside::Code if starts("'") => (Inside::Code, literal_length(chars, at)),
        Inside::Code => match raw_text_opening(chars, at) {
            Some((hashes, length)) => (Inside::RawText(hashes), length),
            None => (Inside::Code, 1),
        },
        Inside::LineComment => (if chars[at] == '\n' { Inside::Code } else { inside }, 1),
        Inside::BlockComment(depth) if starts("/*") => (Inside::BlockComment(depth + 1), 2),
        Inside::BlockComment(1) if starts("*/") => (Inside::Code, 2),
        Inside::BlockComment(depth) if starts("*/") => (Inside::BlockComment(depth - 1), 2),
        Inside::Text if starts("\\") => (inside, 2),
        Inside::Text if starts("\"") => (Inside::Code, 1),
        Inside::RawText(hashes) if starts(&format!("\"{}", "#".repeat(hashes))) => (Inside::Code, 1 + hashes),
        Inside::BlockComment(_) | Inside::Text | Inside::RawText(_) => (inside, 1),
    }
}

/// `r"`, `r#"`, `br##"`: the number of hashes and the length of the opening.
fn raw_text_opening(chars: &[char], at: usize) -> Option<(usize, usize)> {
    if chars[at] != 'r' || (at > 0 && is_name(chars[at - 1]) && chars[at - 1] != 'b') {
        return None;
    }
    let hashes = chars.iter().skip(at + 1).take_while(|&&c| c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some((hashes, hashes + 2))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Marks what stands under `#[cfg(test)]`, up to the end of the item; files named `tests.rs` or `…_tests.rs` are all test.
fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let mut marks = vec![path.ends_with("tests.rs") || path.contains("/tests/"); code.lines().count()];
    let bytes = code.as_bytes();
    for (at, _) in code.match_indices("#[cfg(test)]") {
        let end = item_end(bytes, at + "#[cfg(test)]".len());
        let (first, last) = (line_of(bytes, at), line_of(bytes, end));
        marks.iter_mut().take(last).skip(first - 1).for_each(|mark| *mark = true);
    }
    marks
}

/// Where the item that begins here ends: at a `;` outside of brackets, or at its closing brace.
pub(super) fn item_end(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            b';' if depth == 0 => return at,
            _ => {}
        }
    }
    bytes.len().saturating_sub(1)
}

/// The line (from 1) that holds a byte.
pub(super) fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// Every path of two names or more in blanked code.
fn paths(code: &str) -> Vec<PathUse> {
    let chars: Vec<char> = code.chars().collect();
    let (mut at, mut line, mut found) = (0, 1, Vec::new());
    while at < chars.len() {
        let begins =
            is_name(chars[at]) && (at == 0 || !(is_name(chars[at - 1]) || ".:".contains(chars[at - 1])));
        let mut end = at + 1;
        if begins {
            let mut flat = Vec::new();
            end = tree(&chars, at, &[], &mut flat);
            flat.retain(|names| names.len() > 1);
            found.extend(flat.into_iter().map(|names| PathUse { line, names }));
        }
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    found
}

/// Reads one path, with its groups, and returns where it ends.
fn tree(chars: &[char], mut at: usize, before: &[String], flat: &mut Vec<Vec<String>>) -> usize {
    let mut names = before.to_vec();
    loop {
        at += spaces(chars, at);
        if chars.get(at) == Some(&'{') {
            return group(chars, at + 1, &names, flat);
        }
        let name: String = chars.iter().skip(at).take_while(|c| is_name(**c) || **c == '*').collect();
        at += name.chars().count();
        names.push(name);
        if chars.get(at) != Some(&':') || chars.get(at + 1) != Some(&':') {
            flat.push(names);
            return at;
        }
        at += 2;
    }
}

/// Reads what stands between the braces of a group.
fn group(chars: &[char], mut at: usize, before: &[String], flat: &mut Vec<Vec<String>>) -> usize {
    while let Some(&c) = chars.get(at) {
        match c {
            '}' => return at + 1,
            c if is_name(c) || c == '*' => {
                at = tree(chars, at, before, flat);
                // `name as other`: the other name is not a path.
                while chars.get(at).is_some_and(|c| !",}".contains(*c)) {
                    at += 1;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn spaces(chars: &[char], at: usize) -> usize {
    chars.iter().skip(at).take_while(|c| c.is_whitespace()).count()
}

#[test]
fn comments_and_literals_are_blanked() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("f(\"x\\\"y\", 'z', &'a str)", "f(      ,    , &'a str)"),
        ("r#\"a\"b\"# c", "         c"),
        ("'\\n' x", "     x"),
    ] {
        let blanked = blank(text);
        assert_eq!(blanked.trim_end(), code.trim_end(), "{text}");
        assert_eq!(blanked.chars().count(), text.chars().count(), "{text}");
    }
}

#[test]
fn paths_are_flattened() {
    let source = Source::new(
        "src/x.rs",
        "use std::{env, fs::{self, File as Other}};\nlet a = crate::b::c(d::<e>::f, g.h);\n",
    );
    let found: Vec<String> = source
        .product_paths()
        .iter()
        .map(|path| format!("{} {}", path.line, path.names.join("::")))
        .collect();
    assert_eq!(found, ["1 std::env", "1 std::fs::self", "1 std::fs::File", "2 crate::b::c", "2 d::"]);
}

#[test]
fn what_stands_under_cfg_test_is_test_code() {
    let source =
        Source::new("src/x.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n");
    assert_eq!(source.test_lines, [false, true, true, true, true, false]);
    assert!(Source::new("src/x/tests.rs", "fn a() {}\n").test_lines[0]);
}
