//! Texts from outside, such as a path or the name of a model, as a terminal may show them; numbers in groups.
//!
//! Owns: which characters do harm: those that could move a cursor, forge a line, or make a text look like
//! another one. Refuses nothing and cannot fail; ordinary names in any language come out as they went in.

/// True for control characters, line separators, and characters that are invisible or turn the direction of
/// writing. Joiners inside words and emoji (U+200C, U+200D, variation selectors) are part of ordinary names.
pub fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with every harmful character written as an escape: nothing is hidden, and nothing obeyed.
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_harmful(letter) { safe.extend(letter.escape_default()) } else { safe.push(letter) }
    }
    safe
}

/// The first letters of a text, with an ellipsis where there are more.
pub fn beginning(text: &str, letters: usize) -> String {
    let mut short: String = text.chars().take(letters).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A whole number with a comma every three digits.
pub fn grouped(number: u64) -> String {
    group_digits(&number.to_string())
}

/// Digits with a comma every three from their end.
pub fn group_digits(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_groups() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (123_456, "123,456"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_beginning_says_that_there_is_more() {
        assert_eq!((beginning("äöü", 3), beginning("äöü", 2)), ("äöü".to_owned(), "äö…".to_owned()));
    }

    #[test]
    fn harmful_characters_are_written_as_escapes() {
        for (text, safe) in [
            ("plain/päth", "plain/päth"),
            ("Füße 日本 🧑‍💻 ☁️ क्‍ष", "Füße 日本 🧑‍💻 ☁️ क्‍ष"),
            ("a\u{1b}[31mred\nforged", "a\\u{1b}[31mred\\nforged"),
            ("\u{202e}nosj.a\u{2066}\u{200b}", "\\u{202e}nosj.a\\u{2066}\\u{200b}"),
            ("nul\0 bell\u{7} c1\u{9b}2J", "nul\\u{0} bell\\u{7} c1\\u{9b}2J"),
            ("tag\u{e0041}\u{ad}\u{2028}", "tag\\u{e0041}\\u{ad}\\u{2028}"),
        ] {
            assert_eq!(shown(text), safe, "{text:?}");
        }
    }
}
