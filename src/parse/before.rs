//! The time of the line before a reply: when it was asked for.
//!
//! Owns: what of the lines before is read, which is the `timestamp` of the record and nothing else. Never fails.

use super::plain;
use super::raw::{Fields, Maybe, Text, skip};
use crate::domain::UnixMillis;
use serde::de::MapAccess;

/// A record with its time alone.
#[derive(Debug, Default)]
struct Stamped<'a> {
    timestamp: Text<'a>,
}

impl<'de> Fields<'de> for Stamped<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "timestamp" => self.timestamp = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The time of the last line in `bytes` that has one. They end before a line; unless they are the beginning of the
/// file, their first line may lack its beginning, and says nothing.
pub fn latest_time(bytes: &[u8], is_beginning: bool) -> Option<UnixMillis> {
    let first_line = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1);
    let whole = if is_beginning { bytes } else { bytes.get(first_line..).unwrap_or_default() };
    whole.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty()).find_map(time)
}

fn time(line: &[u8]) -> Option<UnixMillis> {
    let record = plain::read::<Maybe<Stamped<'_>>>(line).or_else(|| serde_json::from_slice(line).ok())?;
    UnixMillis::parse(record.0?.timestamp.get()?)
}
