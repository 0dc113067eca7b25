//! See `tallyd_fuzz::prices`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyd_fuzz::prices::check(data));
