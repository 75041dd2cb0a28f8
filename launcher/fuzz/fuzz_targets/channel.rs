//! Arbitrary bytes at the control channel.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| birgus::vmm::fuzz::channel(input));
