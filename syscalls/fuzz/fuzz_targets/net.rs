//! Arbitrary frames, and calls on sockets.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| syscalls::fuzz::net(input));
