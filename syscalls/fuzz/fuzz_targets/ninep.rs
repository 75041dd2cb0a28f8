//! Arbitrary answers of a server for a directory of the host.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| syscalls::fuzz::ninep(input));
