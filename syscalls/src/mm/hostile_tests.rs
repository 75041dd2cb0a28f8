//! Memory calls with arguments that nobody in his right mind would pass.

use alloc::vec;
use alloc::vec::Vec;

use abi::{PAGE_SIZE, TASK_SIZE};

use crate::fake::kit::{self, AREA, AREA_LEN, Kit};
use crate::mm::{Accessor, Wanted};

const PAGE: u64 = PAGE_SIZE as u64;
const CALLS: [&str; 13] = [
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "brk",
    "madvise",
    "msync",
    "mincore",
    "mlock",
    "mlock2",
    "munlock",
    "mlockall",
    "munlockall",
];

/// Flags of mmap(2), some of which make sense for mremap(2) too.
const FLAGS: [u64; 9] = [1, 2, 3, 0x11, 0x21, 0x22, 0x32, 0x122, 0x8032];

/// Numbers around every border there is.
fn borders() -> Vec<u64> {
    let around = [0, PAGE, 0x1_0000, AREA, AREA + AREA_LEN, 1 << 31, 1 << 47, TASK_SIZE, 1 << 63];
    let mut numbers = vec![2, 7, 0x22, 0x10_0032, 0x1_0022, 0x4_0022, u64::MAX / 2];
    for border in around {
        for distance in [0, 1, PAGE, 5 * PAGE] {
            numbers.push(border.wrapping_add(distance));
            numbers.push(border.wrapping_sub(distance));
        }
    }
    numbers
}

fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random >> 9
}

/// What must hold whatever has been called.
fn check(kit: &Kit) {
    let memory = kit.process.memory();
    let areas = memory.areas();
    let mut last = 0x1_0000;
    for area in &areas {
        assert!(area.range.start >= last && area.range.end > area.range.start);
        assert!(area.range.start.is_multiple_of(PAGE) && area.range.end.is_multiple_of(PAGE));
        last = area.range.end;
    }
    assert!(last <= TASK_SIZE);
    let usage = memory.usage();
    assert_eq!(usage.mapped, areas.iter().map(crate::mm::Area::pages).sum());
    assert!(usage.locked <= usage.mapped && usage.data <= usage.mapped);
    assert_eq!(usage.resident, memory.resident(&(0..TASK_SIZE)).0);
}

#[test]
fn no_arguments_break_the_address_space() {
    let borders = borders();
    for seed in 1..=8_u64 {
        let kit = kit::process();
        // So that filling a large mapping soon finds no more memory.
        kit.machine.set_page_limit(2000);
        kit.process.memory().set_program_break(AREA + (1 << 30));
        let fd = kit.descriptor(kit.file("hostile", &[1; 3 * PAGE_SIZE]));
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for _ in 0..1500 {
            let call = CALLS[(next(&mut random) % CALLS.len() as u64) as usize];
            let mut arguments = [0; 6].map(|_: u64| match next(&mut random) % 4 {
                0 => next(&mut random),
                _ => borders[(next(&mut random) % borders.len() as u64) as usize],
            });
            // Half of the calls begin like sensible ones, so that there is something to break.
            if next(&mut random).is_multiple_of(2) {
                arguments[0] = AREA + next(&mut random) % AREA_LEN / PAGE * PAGE;
                arguments[1] = next(&mut random) % (64 * PAGE);
                arguments[2] = next(&mut random) % 24;
                arguments[3] = FLAGS[(next(&mut random) % FLAGS.len() as u64) as usize];
                arguments[4] = if next(&mut random).is_multiple_of(4) { fd } else { AREA };
                arguments[5] = next(&mut random) % 5 * PAGE;
            }
            let _ = kit.call(call, arguments);
            let address = arguments[(next(&mut random) % 3) as usize];
            let _ = kit.process.memory().fault(address, Wanted::Write, Accessor::Call);
            let _ = kit.process.memory().read(address, &mut [0; 3]);
        }
        check(&kit);
        let machine = kit.machine.clone();
        drop(kit);
        assert_eq!(machine.live_pages(), 0, "seed {seed} leaks pages");
    }
}
