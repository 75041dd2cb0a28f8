//! Arbitrary bytes as an ELF file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| loader::fuzz::elf(input));
