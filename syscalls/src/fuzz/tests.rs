//! A bounded run of the fuzz target.

use alloc::vec::Vec;

use super::ninep;

#[test]
fn right_answers_and_the_seeds_break_nothing() {
    ninep(&[]);
    ninep(include_bytes!("../../fuzz/seeds/ninep/right"));
    ninep(include_bytes!("../../fuzz/seeds/ninep/error"));
}

/// Up to a hundred right answers, and then some that are not.
#[test]
fn wrong_answers_break_nothing() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |end: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % end as u64) as usize
    };
    for _ in 0..300 {
        let mut input: Vec<u8> = (0..random(100)).map(|_| 0).collect();
        for _ in 0..random(60) {
            // Silence takes long, and the end of the device ends it all.
            input.push(random(256) as u8);
        }
        ninep(&input);
    }
}
