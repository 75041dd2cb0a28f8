//! A bounded run of the fuzz targets.

use alloc::vec::Vec;

use super::{net, ninep};

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

#[test]
fn frames_and_calls_on_sockets_break_nothing() {
    net(include_bytes!("../../fuzz/seeds/net/listen"));
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..400 {
        let input: Vec<u8> = (0..600)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                (seed >> 24) as u8
            })
            .collect();
        net(&input);
    }
}
