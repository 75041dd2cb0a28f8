//! A bounded run of the fuzz targets: deterministic mutations of the seeds.

use alloc::vec::Vec;

use crate::elf::sample::Sample;

const ELF_SEEDS: [&[u8]; 3] = [
    include_bytes!("../../fuzz/seeds/elf/fixed"),
    include_bytes!("../../fuzz/seeds/elf/static-pie"),
    include_bytes!("../../fuzz/seeds/elf/dynamic"),
];

const ARCHIVE_SEEDS: [&[u8]; 2] = [
    include_bytes!("../../fuzz/seeds/archive/small"),
    include_bytes!("../../fuzz/seeds/archive/two"),
];

/// Values at which comparisons and additions go wrong.
const EDGES: [u64; 16] = [
    0,
    1,
    7,
    0x38,
    0xff,
    0xfff,
    0x1000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_f000,
    0x8000_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_f000,
    u64::MAX,
];

/// xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.next() % 8 {
            0 => bytes.truncate(at),
            1 => bytes.resize(bytes.len() + self.below(64), self.next() as u8),
            2 => put(bytes, at, &[self.next() as u8]),
            3 => {
                let digit = b"0123456789abcdefg"[self.below(17)];
                put(bytes, at, &[digit]);
            }
            4 => {
                let from = self.below(bytes.len());
                let copied: Vec<u8> =
                    bytes.iter().skip(from).take(self.below(64)).copied().collect();
                put(bytes, at, &copied);
            }
            5 => {
                let old = bytes.get(at).copied().unwrap_or_default();
                put(bytes, at, &[old ^ 1 << self.below(8)]);
            }
            6 => {
                let edge = EDGES[self.below(EDGES.len())];
                put(bytes, at & !1, &edge.to_le_bytes()[..1 << self.below(4)]);
            }
            // A whole field of a program header.
            _ => {
                let edge =
                    EDGES[self.below(EDGES.len())].wrapping_add(self.next() % 3).wrapping_sub(1);
                let field = 64 + 8 * self.below(28);
                put(bytes, field, &edge.to_le_bytes());
            }
        }
    }
}

/// Overwrites bytes, cut off at the end.
fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes.iter_mut().skip(at).zip(new).for_each(|(old, new)| *old = *new);
}

/// Runs a target on `count` inputs, the same ones every time.
fn run(count: usize, seeds: &[&[u8]], target: fn(&[u8])) {
    let mut random = Random(0x0123_4567_89ab_cdef);
    for round in 0..count {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..=random.below(4) {
            random.mutate(&mut bytes);
        }
        target(&bytes);
    }
}

#[test]
fn mutated_programs_break_no_promise() {
    ELF_SEEDS.iter().for_each(|seed| super::elf(seed));
    run(50_000, &ELF_SEEDS, super::elf);
}

#[test]
fn mutated_archives_break_no_promise() {
    ARCHIVE_SEEDS.iter().for_each(|seed| super::archive(seed));
    run(30_000, &ARCHIVE_SEEDS, super::archive);
}

#[test]
fn the_seeds_are_good_inputs() {
    let samples = [Sample::fixed(), Sample::static_pie(), Sample::dynamic()];
    for (seed, sample) in ELF_SEEDS.iter().zip(samples) {
        assert_eq!(*seed, sample.bytes());
    }
    for seed in ARCHIVE_SEEDS {
        let entries: Result<Vec<_>, _> = crate::archive::entries(seed).collect();
        assert!(entries.unwrap().len() > 3);
    }
}

#[test]
fn every_truncation_breaks_no_promise() {
    for seed in ELF_SEEDS {
        (0..seed.len()).for_each(|len| super::elf(&seed[..len]));
    }
    for seed in ARCHIVE_SEEDS {
        (0..seed.len()).for_each(|len| super::archive(&seed[..len]));
    }
}
