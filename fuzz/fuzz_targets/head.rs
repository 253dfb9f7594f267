//! Hands what the fuzzer found to `wsrelayd::fuzz::head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsrelayd::fuzz::head(data));
