//! Where reading stands in a file, and the bytes that this place is known by.
//!
//! Fingerprints are of bytes as they were read, never of the file as it is by then: a log that is written
//! anew while it is read must not be known by what was not read of it.

use crate::domain::fnv1a;

/// How many bytes at the beginning and before the place a fingerprint covers.
pub(super) const FINGERPRINT_BYTES: usize = 1024;

/// A place in a file, with the first and the last bytes before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    offset: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Position {
    /// A place from which reading goes on.
    pub(super) fn new(offset: u64, head: Vec<u8>, tail: Vec<u8>) -> Self {
        Self { offset, head, tail }
    }

    /// Bytes before the place.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The last bytes before the place.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Fingerprints of the first and of the last bytes before the place.
    pub(super) fn fingerprints(&self) -> (u64, u64) {
        (fnv1a(&self.head), fnv1a(&self.tail))
    }

    /// Goes on behind these bytes, which have been read.
    pub(super) fn advance(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        let room = FINGERPRINT_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        let newest = bytes.len().saturating_sub(FINGERPRINT_BYTES);
        self.tail.extend_from_slice(bytes.get(newest..).unwrap_or_default());
        self.tail.drain(..self.tail.len().saturating_sub(FINGERPRINT_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_known_of_a_place_is_what_stands_before_it(
            sizes in prop::collection::vec(prop_oneof![0_usize..40, 900_usize..1_200, Just(5_000)], 0..8),
        ) {
            let (mut position, mut all) = (Position::default(), Vec::new());
            for size in sizes {
                let bytes: Vec<u8> = (0..size).map(|at| u8::try_from((all.len() + at) % 251).unwrap()).collect();
                position.advance(&bytes);
                all.extend(bytes);
                let length = all.len().min(FINGERPRINT_BYTES);
                let (head, tail) = (&all[..length], &all[all.len() - length..]);
                prop_assert_eq!(&position, &Position::new(all.len() as u64, head.to_vec(), tail.to_vec()));
                prop_assert_eq!(position.fingerprints(), (fnv1a(head), fnv1a(tail)));
            }
        }
    }
}
