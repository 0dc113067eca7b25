//! Texts from outside in lines of the log: nothing in them can forge a line or drive a terminal.

/// A text from outside, such as a path, as a terminal may show it: control characters, which could move
/// the cursor or forge a line of the log, are written as escapes.
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { safe.extend(letter.escape_default()) } else { safe.push(letter) }
    }
    safe
}

/// An error with its causes, on one line, safe to show.
pub struct Chain<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.0.to_string()))?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {}", shown(&error.to_string()))?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_as_escapes() {
        assert_eq!(shown("plain/päth"), "plain/päth");
        assert_eq!(shown("a\u{1b}[31mred\nforged"), "a\\u{1b}[31mred\\nforged");
    }

    #[test]
    fn causes_follow_on_the_same_line() {
        let inner = std::io::Error::other("disk\nfull");
        let outer = crate::tail::TailError::Read { path: "a\nb".into(), offset: 7, source: inner };
        assert_eq!(Chain(&outer).to_string(), "a\\nb: cannot be read at byte 7: disk\\nfull");
    }
}
