//! Hands what the fuzzer found to `wsrelayd::fuzz::backlog`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsrelayd::fuzz::backlog(data));
