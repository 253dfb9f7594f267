//! Hands what the fuzzer found to `wsrelayd::fuzz::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsrelayd::fuzz::frames(data));
