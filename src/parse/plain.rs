//! A reader of JSON as Claude Code writes it; whatever else stands in a line is left to `serde_json`.
//!
//! Owns: speed, and nothing but speed. It reads a line that is one JSON value in UTF-8 on one row, whose wanted
//! texts have no escapes and whose wanted numbers are whole; what it says of such a line is what `serde_json`
//! says, which tests compare. Of any other line it says [`NotPlain`], also of one that is no
//! JSON, so that what is wrong with a line is decided in one place. Skipped values are checked as strictly as
//! wanted ones: a cut-off line must not look whole.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Values nest no deeper than this in plain lines: one bit each.
const MOST_NESTED: u32 = u64::BITS;

/// A count of more digits may be more than 64 bits hold.
const MOST_DIGITS: usize = 18;

/// The value that `bytes` are, if they are plain.
pub(super) fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Option<T> {
    // No string may hold control characters; white space is blanks then.
    if bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ' {
        return None;
    }
    let mut reader = Reader { line: std::str::from_utf8(bytes).ok()?, rest: bytes };
    let value = T::deserialize(&mut reader).ok()?;
    reader.rest.is_empty().then_some(value)
}

/// For `serde_json` to read.
#[derive(Debug)]
struct NotPlain;

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not plain")
    }
}

impl std::error::Error for NotPlain {}

impl de::Error for NotPlain {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// A line, and what is left of it to be read.
struct Reader<'de> {
    line: &'de str,
    rest: &'de [u8],
}

impl<'de> Reader<'de> {
    /// Takes the next byte.
    fn take(&mut self) -> Result<u8, NotPlain> {
        let (byte, rest) = self.rest.split_first().ok_or(NotPlain)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// Takes the next byte that is no blank.
    fn token(&mut self) -> Result<u8, NotPlain> {
        loop {
            match self.take()? {
                b' ' => {}
                byte => return Ok(byte),
            }
        }
    }

    /// Takes the next byte that is no blank, if it is this one.
    fn takes(&mut self, wanted: u8) -> bool {
        while let Some((b' ', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        let is_next = self.rest.first() == Some(&wanted);
        if is_next {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        is_next
    }

    fn expect(&mut self, wanted: u8) -> Result<(), NotPlain> {
        if self.token()? == wanted { Ok(()) } else { Err(NotPlain) }
    }

    /// Takes what is left of a word whose first letter was taken.
    fn word(&mut self, rest: &[u8]) -> Result<(), NotPlain> {
        self.rest = self.rest.strip_prefix(rest).ok_or(NotPlain)?;
        Ok(())
    }

    /// The text up to the closing quote, the opening one having been taken.
    fn text(&mut self) -> Result<&'de str, NotPlain> {
        let begin = self.line.len() - self.rest.len();
        let length = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).ok_or(NotPlain)?;
        self.rest = self.rest.get(length..).and_then(|rest| rest.strip_prefix(b"\"")).ok_or(NotPlain)?;
        self.line.get(begin..begin + length).ok_or(NotPlain)
    }

    /// Skips to behind the closing quote, the opening one having been taken.
    fn skip_text(&mut self) -> Result<(), NotPlain> {
        loop {
            let end = memchr::memchr2(b'"', b'\\', self.rest).ok_or(NotPlain)?;
            self.rest = self.rest.get(end..).unwrap_or_default();
            if self.take()? == b'"' {
                return Ok(());
            }
            match self.take()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' => {
                    let (digits, rest) = self.rest.split_first_chunk::<4>().ok_or(NotPlain)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return Err(NotPlain);
                    }
                    self.rest = rest;
                }
                _ => return Err(NotPlain),
            }
        }
    }

    /// Takes digits.
    fn digits(&mut self) -> &'de [u8] {
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        digits
    }

    /// The whole number that begins with this digit. What makes it a float is left, and is no plain end of it.
    fn count(&mut self, first: u8) -> Result<u64, NotPlain> {
        let digits = self.digits();
        if digits.len() > MOST_DIGITS || (first == b'0' && !digits.is_empty()) {
            return Err(NotPlain);
        }
        let number = u64::from(first - b'0');
        Ok(digits.iter().fold(number, |number, digit| number * 10 + u64::from(digit - b'0')))
    }

    /// Skips the number that begins with this byte.
    fn skip_number(&mut self, first: u8) -> Result<(), NotPlain> {
        let first = if first == b'-' { self.take()? } else { first };
        let digits = self.digits();
        if !first.is_ascii_digit() || (first == b'0' && !digits.is_empty()) {
            return Err(NotPlain);
        }
        if let Some(rest) = self.rest.strip_prefix(b".") {
            self.rest = rest;
            self.some_digits()?;
        }
        if let Some((b'e' | b'E', rest)) = self.rest.split_first() {
            self.rest = rest.strip_prefix(b"+").or(rest.strip_prefix(b"-")).unwrap_or(rest);
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), NotPlain> {
        if self.digits().is_empty() { Err(NotPlain) } else { Ok(()) }
    }

    /// Skips a value.
    fn skip(&mut self) -> Result<(), NotPlain> {
        // The lowest bit is of the innermost value that is open: set for an object.
        let (mut objects, mut open) = (0_u64, 0_u32);
        loop {
            let is_object = match self.token()? {
                b'{' if self.takes(b'}') => None,
                b'{' => Some(true),
                b'[' if self.takes(b']') => None,
                b'[' => Some(false),
                first => {
                    self.skip_scalar(first)?;
                    None
                }
            };
            if let Some(is_object) = is_object {
                if open == MOST_NESTED {
                    return Err(NotPlain);
                }
                (objects, open) = (objects << 1 | u64::from(is_object), open + 1);
            } else {
                while open > 0 && !self.takes(b',') {
                    self.expect(if objects & 1 == 1 { b'}' } else { b']' })?;
                    (objects, open) = (objects >> 1, open - 1);
                }
                if open == 0 {
                    return Ok(());
                }
            }
            if objects & 1 == 1 {
                self.expect(b'"')?;
                self.skip_text()?;
                self.expect(b':')?;
            }
        }
    }

    fn skip_scalar(&mut self, first: u8) -> Result<(), NotPlain> {
        match first {
            b'"' => self.skip_text(),
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            _ => self.skip_number(first),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = NotPlain;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        match self.token()? {
            b'"' => visitor.visit_borrowed_str(self.text()?),
            b'{' => {
                let mut inside = Inside::new(self, b'}');
                let value = visitor.visit_map(&mut inside)?;
                inside.at_end(value)
            }
            b'[' => {
                let mut inside = Inside::new(self, b']');
                let value = visitor.visit_seq(&mut inside)?;
                inside.at_end(value)
            }
            b't' => self.word(b"rue").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word(b"alse").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word(b"ull").and_then(|()| visitor.visit_unit()),
            first @ b'0'..=b'9' => visitor.visit_u64(self.count(first)?),
            _ => Err(NotPlain),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        self.skip()?;
        visitor.visit_unit()
    }

    /// What `serde_json` alone can give: the text of a number.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, NotPlain> {
        Err(NotPlain)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The inside of an object or a list.
struct Inside<'a, 'de> {
    reader: &'a mut Reader<'de>,
    close: u8,
    is_first: bool,
    is_closed: bool,
}

impl<'a, 'de> Inside<'a, 'de> {
    fn new(reader: &'a mut Reader<'de>, close: u8) -> Self {
        Self { reader, close, is_first: true, is_closed: false }
    }

    /// True where another entry follows.
    fn goes_on(&mut self) -> Result<bool, NotPlain> {
        self.is_closed = self.is_closed || self.reader.takes(self.close);
        if self.is_closed {
            return Ok(false);
        }
        if !std::mem::take(&mut self.is_first) {
            self.reader.expect(b',')?;
        }
        Ok(true)
    }

    /// The value, if it was made of all that is inside.
    fn at_end<T>(self, value: T) -> Result<T, NotPlain> {
        if self.is_closed { Ok(value) } else { Err(NotPlain) }
    }
}

impl<'de> MapAccess<'de> for &mut Inside<'_, 'de> {
    type Error = NotPlain;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NotPlain> {
        if !self.goes_on()? {
            return Ok(None);
        }
        self.reader.expect(b'"')?;
        let key = self.reader.text()?;
        self.reader.expect(b':')?;
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NotPlain> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for &mut Inside<'_, 'de> {
    type Error = NotPlain;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, NotPlain> {
        if self.goes_on()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}
