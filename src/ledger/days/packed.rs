//! How a row of `day` is written: numbers of 64 bits, each as how many bytes it has, and these, the lowest first.
//!
//! Owns: both columns. `quarters` has, by quarter of the day and model: both, a bit for each of the sums that is not
//! 0, and these. `sessions` has, by session: how much its number is above the one before, the first quarter hour in
//! which it has a cell, and a bit for that one and each later one, in two numbers. Each ends with eight bytes of
//! nothing, so that eight can be read wherever a number begins: a report over a year reads some hundred thousand.
//! One content has one form, so that bytes can be compared. Refuses: bytes that are not whole, which is damage.

use super::super::cells::Sums;
use super::{DaySession, DaySlot};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

/// The column `quarters`.
pub(super) struct Slots(pub(super) Vec<DaySlot>);

/// The column `sessions`.
pub(super) struct Sessions(pub(super) Vec<DaySession>);

/// Bytes of a number at most, and of nothing in the end.
const LONGEST: usize = 8;
/// Fewer bytes than a slot that has anything in it.
const SLOT_BYTES: usize = 24;
/// The same of a session.
const SESSION_BYTES: usize = 6;

impl FromSql for Slots {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        read(value, SLOT_BYTES, Bytes::slot).map(Self)
    }
}

impl FromSql for Sessions {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let mut before = 0;
        let next = |bytes: &mut Bytes<'_>| {
            let session = bytes.session(before)?;
            before = session.session;
            Some(session)
        };
        read(value, SESSION_BYTES, next).map(Self)
    }
}

fn read<'a, T>(
    value: ValueRef<'a>,
    bytes_of_one: usize,
    mut next: impl FnMut(&mut Bytes<'a>) -> Option<T>,
) -> FromSqlResult<Vec<T>> {
    let mut bytes = Bytes(value.as_blob()?);
    let mut all = Vec::with_capacity(bytes.0.len() / bytes_of_one);
    while bytes.0.len() > LONGEST {
        all.push(next(&mut bytes).ok_or(FromSqlError::InvalidType)?);
    }
    if bytes.0 == [0; LONGEST] { Ok(all) } else { Err(FromSqlError::InvalidType) }
}

/// The column `quarters` of these slots, which are in order.
pub(super) fn slots(slots: &[DaySlot]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(slots.len() * 2 * SLOT_BYTES);
    for DaySlot { quarter, model, sums } in slots {
        let numbers = sums.numbers();
        let is_there = numbers.iter().rev().fold(0, |bits, number| (bits << 1) | u64::from(*number != 0));
        put(&mut bytes, u64::from(*quarter));
        put(&mut bytes, model.cast_unsigned());
        put(&mut bytes, is_there);
        for number in numbers.into_iter().filter(|number| *number != 0) {
            put(&mut bytes, number.cast_unsigned());
        }
    }
    bytes.extend([0; LONGEST]);
    bytes
}

/// The column `sessions` of these, which are in order.
pub(super) fn sessions(sessions: &[DaySession]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(sessions.len() * 2 * SESSION_BYTES);
    let mut before = 0;
    for DaySession { session, quarters } in sessions {
        let first = quarters.trailing_zeros();
        let bits = quarters.checked_shr(first).unwrap_or(0);
        put(&mut bytes, session.wrapping_sub(before).cast_unsigned());
        put(&mut bytes, u64::from(first));
        put(&mut bytes, u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0));
        put(&mut bytes, u64::try_from(bits >> 64).unwrap_or(0));
        before = *session;
    }
    bytes.extend([0; LONGEST]);
    bytes
}

fn put(bytes: &mut Vec<u8>, number: u64) {
    let length = LONGEST - usize::try_from(number.leading_zeros() / 8).unwrap_or(0);
    bytes.push(u8::try_from(length).unwrap_or(0));
    bytes.extend(number.to_le_bytes().into_iter().take(length));
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
        Some(DaySlot { quarter, model, sums: Sums::new(numbers) })
    }

    fn session(&mut self, before: i64) -> Option<DaySession> {
        let session = before.wrapping_add(self.number()?.cast_signed());
        let first = u32::try_from(self.number()?).ok()?;
        let bits = u128::from(self.number()?) | (u128::from(self.number()?) << 64);
        Some(DaySession { session, quarters: bits.checked_shl(first)? })
    }

    fn number(&mut self) -> Option<u64> {
        let (length, rest) = self.0.split_first()?;
        let eight = u64::from_le_bytes(*rest.first_chunk()?);
        self.0 = rest.get(usize::from(*length)..)?;
        match length {
            0 => Some(0),
            1..=8 => Some(eight & (u64::MAX >> (64 - 8 * u32::from(*length)))),
            _ => None,
        }
    }
}
