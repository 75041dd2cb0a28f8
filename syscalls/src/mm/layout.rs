//! Where things go in an address space: the layout of x86-64 Linux, randomised.

use core::ops::Range;

use abi::TASK_SIZE;
use loader::MMAP_MIN_ADDR;

use crate::machine::Machine;

use super::area::{PAGE, STACK_GUARD_GAP, page_start};

/// Random bits of mapping addresses, in pages (`vm.mmap_rnd_bits`).
const MAP_RANDOM_BITS: u32 = 28;
/// Random bits of the stack's top, in pages (`STACK_RND_MASK`).
const STACK_RANDOM_BITS: u32 = 22;
/// Random part of the distance from the program's end to the program break, in bytes.
const BREAK_RANDOM: u64 = 0x0200_0000;
/// Least and greatest distance of the mapping area from the top (`mmap_base`).
const GAP: Range<u64> = 128 << 20..TASK_SIZE / 6 * 5;
/// Where position-independent programs go before randomisation (`ELF_ET_DYN_BASE`).
const PROGRAM_BASE: u64 = page_start(TASK_SIZE / 3 * 2);
/// Where mappings with `MAP_32BIT` go.
pub(super) const LOW_ROOM: Range<u64> = 0x4000_0000..0x8000_0000;
/// Where mappings go that do not fit below the mapping area's top (`TASK_UNMAPPED_BASE`).
pub(super) const FALLBACK_ROOM: Range<u64> = page_start(TASK_SIZE / 3)..TASK_SIZE;

/// Where the parts of one address space go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Mappings are put below this address, the first highest (`mmap_base`).
    pub map_top: u64,
    /// The stack ends here.
    pub stack_top: u64,
    /// A position-independent program goes here.
    pub program: u64,
    /// Distance of the program break from the end of the program, in bytes.
    pub break_gap: u64,
}

impl Layout {
    /// A random layout that leaves room for a stack of `stack_limit` bytes.
    #[must_use]
    pub fn random(machine: &dyn Machine, stack_limit: u64) -> Self {
        let stack_random = random_pages(machine, STACK_RANDOM_BITS);
        let room_for_random = (1 << STACK_RANDOM_BITS) * PAGE + STACK_GUARD_GAP;
        let gap = stack_limit.saturating_add(room_for_random).clamp(GAP.start, GAP.end);
        let below_stack = gap + random_pages(machine, MAP_RANDOM_BITS);
        Self {
            map_top: page_start(TASK_SIZE - below_stack),
            stack_top: TASK_SIZE - stack_random,
            program: PROGRAM_BASE + random_pages(machine, MAP_RANDOM_BITS),
            break_gap: random(machine) % (BREAK_RANDOM / PAGE) * PAGE,
        }
    }

    /// The layout without randomisation, for a stack of `stack_limit` bytes
    /// (`ADDR_NO_RANDOMIZE` of personality(2)).
    #[must_use]
    pub fn fixed(stack_limit: u64) -> Self {
        let gap = stack_limit.saturating_add(STACK_GUARD_GAP).clamp(GAP.start, GAP.end);
        Self {
            map_top: page_start(TASK_SIZE - gap),
            stack_top: TASK_SIZE,
            program: PROGRAM_BASE,
            break_gap: 0,
        }
    }

    /// Where mappings go first.
    pub(super) fn room(&self) -> Range<u64> {
        MMAP_MIN_ADDR..self.map_top
    }
}

fn random(machine: &dyn Machine) -> u64 {
    let mut bytes = [0; 8];
    machine.fill_random(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A random number from 0 up to but not including `end`, which is not 0.
pub(super) fn random_below(machine: &dyn Machine, end: u64) -> u64 {
    random(machine) % end
}

fn random_pages(machine: &dyn Machine, bits: u32) -> u64 {
    (random(machine) & ((1 << bits) - 1)) * PAGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeMachine;

    #[test]
    fn layouts_differ_and_keep_their_order() {
        let machine = FakeMachine::new();
        let mut last = 0;
        for stack_limit in [0, 8 << 20, 1 << 40, u64::MAX] {
            let layout = Layout::random(&*machine, stack_limit);
            assert_ne!(layout.map_top, last);
            last = layout.map_top;
            assert!(layout.map_top < layout.stack_top && layout.stack_top <= TASK_SIZE);
            assert!((0x5555_5555_4000..0x6666_6666_6000).contains(&layout.program));
            let of_pages = [layout.map_top, layout.stack_top, layout.program, layout.break_gap];
            assert!(of_pages.iter().all(|address| address.is_multiple_of(PAGE)));
        }
    }
}
