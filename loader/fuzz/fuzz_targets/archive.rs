//! Arbitrary bytes as a boot archive.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| loader::fuzz::archive(input));
