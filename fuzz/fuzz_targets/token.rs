//! Hands what the fuzzer found to `wsrelayd::fuzz::token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsrelayd::fuzz::token(data));
