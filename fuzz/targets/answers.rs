//! See `tallyd_fuzz::answers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tallyd_fuzz::answers::check(data));
