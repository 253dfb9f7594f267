//! Hands what the fuzzer found to `wsrelayd::fuzz::log_line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsrelayd::fuzz::log_line(data));
