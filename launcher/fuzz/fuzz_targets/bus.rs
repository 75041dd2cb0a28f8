//! Arbitrary bytes at the virtual machine's devices.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| birgus::vmm::fuzz::bus(input));
