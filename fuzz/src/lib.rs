//! What must hold for any bytes: one module a fuzz target, each with `check`, which panics where something
//! does not hold.
//!
//! The targets in `fuzz/targets` try new inputs; `tests/it/fuzz_corpus.rs` includes this file and runs every
//! input of `fuzz/corpus` through the same functions with the ordinary toolchain. Whatever is expected here is
//! worked out the simple way, from the input alone, never by the code that is checked.

pub mod answers;
pub mod config;
pub mod lines;
pub mod prices;
pub mod record;

/// A number that is spread over all values, from the input alone, so that a check can vary what it does.
fn spread(data: &[u8], salt: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in data {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^ (hash >> 29)
}

/// Whether the bytes of `needle` are in `text`.
fn contains(text: &[u8], needle: &str) -> bool {
    text.windows(needle.len()).any(|window| window == needle.as_bytes())
}
