//! See `tallyd_fuzz::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyd_fuzz::config::check(data));
