//! How a row of `day` is written: numbers of seven bits a byte, the lowest first, each byte but the last with its
//! top bit set.
//!
//! Owns: both columns. `quarters` has, by quarter of the day and model: both, a bit for each of the sums that is not
//! 0, these, and the cost. `sessions` has, by session: how much its number is above the one before, the first quarter
//! hour in which it has a cell, and a bit for that one and each later one. One content has one form, so that bytes
//! can be compared. Refuses: bytes that are not whole, which is damage.

use super::super::cells::Sums;
use super::{DaySession, DaySlot};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

/// The column `quarters`.
pub(super) struct Slots(pub(super) Vec<DaySlot>);

/// The column `sessions`.
pub(super) struct Sessions(pub(super) Vec<DaySession>);

impl FromSql for Slots {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let mut bytes = Bytes(value.as_blob()?);
        let mut slots = Vec::with_capacity(bytes.0.len() / TYPICAL_SLOT);
        while !bytes.0.is_empty() {
            slots.push(bytes.slot().ok_or(FromSqlError::InvalidType)?);
        }
        Ok(Self(slots))
    }
}

impl FromSql for Sessions {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let mut bytes = Bytes(value.as_blob()?);
        let (mut sessions, mut before) = (Vec::new(), 0);
        while !bytes.0.is_empty() {
            let session = bytes.session(before).ok_or(FromSqlError::InvalidType)?;
            before = session.session;
            sessions.push(session);
        }
        Ok(Self(sessions))
    }
}

/// Bytes of a slot of a million tokens.
const TYPICAL_SLOT: usize = 24;

/// The column `quarters` of these slots, which are in order.
pub(super) fn slots(slots: &[DaySlot]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(slots.len() * 2 * TYPICAL_SLOT);
    for DaySlot { quarter, model, sums } in slots {
        put(&mut bytes, u64::from(*quarter));
        put(&mut bytes, model.cast_unsigned());
        let numbers = sums.numbers();
        let is_there = numbers.iter().rev().fold(0, |bits, number| bits << 1 | u64::from(*number != 0));
        put(&mut bytes, is_there);
        for number in numbers.into_iter().filter(|number| *number != 0) {
            put(&mut bytes, number.cast_unsigned());
        }
        put_wide(&mut bytes, sums.cost.cast_unsigned());
    }
    bytes
}

/// The column `sessions` of these, which are in order.
pub(super) fn sessions(sessions: &[DaySession]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(sessions.len() * 8);
    let mut before = 0;
    for DaySession { session, quarters } in sessions {
        put(&mut bytes, session.wrapping_sub(before).cast_unsigned());
        let first = quarters.trailing_zeros();
        put(&mut bytes, u64::from(first));
        put_wide(&mut bytes, quarters.checked_shr(first).unwrap_or(0));
        before = *session;
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(low(number) | 0x80);
        number >>= 7;
    }
    bytes.push(low(number));
}

fn put_wide(bytes: &mut Vec<u8>, mut number: u128) {
    while number >= 1 << 63 {
        bytes.push(low(number.to_le_bytes()[0].into()) | 0x80);
        number >>= 7;
    }
    put(bytes, u64::try_from(number).unwrap_or(0));
}

/// The lowest seven bits.
fn low(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn slot(&mut self) -> Option<DaySlot> {
        let (quarter, model) = (u8::try_from(self.number()?).ok()?, self.number()?.cast_signed());
        let (mut numbers, mut is_there) = ([0; Sums::NUMBERS], self.number()?);
        while is_there != 0 {
            let place = usize::try_from(is_there.trailing_zeros()).ok()?;
            *numbers.get_mut(place)? = self.number()?.cast_signed();
            is_there &= is_there - 1;
        }
        Some(DaySlot { quarter, model, sums: Sums::new(numbers, self.wide()?.cast_signed()) })
    }

    fn session(&mut self, before: i64) -> Option<DaySession> {
        let session = before.wrapping_add(self.number()?.cast_signed());
        let first = u32::try_from(self.number()?).ok()?;
        Some(DaySession { session, quarters: self.wide()?.checked_shl(first)? })
    }

    /// Goes through tens of thousands of them for a report over a year.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for (place, byte) in self.0.iter().enumerate().take(LONGEST) {
            number |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                self.0 = self.0.get(place + 1..)?;
                return Some(number);
            }
        }
        None
    }

    fn wide(&mut self) -> Option<u128> {
        let last = self.0.iter().position(|byte| *byte < 0x80)?;
        if last + 1 < LONGEST {
            return self.number().map(u128::from);
        }
        let (bytes, rest) = self.0.split_at_checked(last + 1)?;
        self.0 = rest;
        let number = bytes.iter().rev().fold(0, |number, byte| number << 7 | u128::from(byte & 0x7f));
        (last < LONGEST_WIDE).then_some(number)
    }
}

/// Bytes of 64 bits.
const LONGEST: usize = 10;
/// Bytes of 128 bits.
const LONGEST_WIDE: usize = 19;
