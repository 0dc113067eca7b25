//! See `tallyd_fuzz::record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyd_fuzz::record::check(data));
