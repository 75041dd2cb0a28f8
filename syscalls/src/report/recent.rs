//! The latest system calls of a thread, for the report of its death.
//!
//! Only the thread itself writes and reads them; relaxed atomics cost what plain memory costs
//! and need no lock. Calls that the machine answers by itself
//! ([`crate::machine::Thread::publish_answers`]) are not among them.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::error::{Outcome, Result};
use crate::machine::Registers;

/// How many are kept; a power of two.
const KEPT: usize = 32;

/// How many arguments of each are kept.
pub(super) const ARGUMENTS: usize = 4;

/// In the place of a call's number: the registers that held its arguments have been replaced.
const REPLACED: u64 = 1 << 63;

/// Number, result, arguments.
type Slot = [AtomicU64; 2 + ARGUMENTS];

/// The latest system calls of a thread.
pub(crate) struct RecentCalls {
    slots: [Slot; KEPT],
    /// How many there have been.
    count: AtomicUsize,
}

/// A system call that has been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecentCall {
    /// Its number.
    pub(super) number: u64,
    /// Its first arguments, unless it replaced the registers.
    pub(super) arguments: Option<[u64; ARGUMENTS]>,
    /// What it returned.
    pub(super) result: u64,
}

impl Default for RecentCalls {
    fn default() -> Self {
        Self {
            slots: [const { [const { AtomicU64::new(0) }; 2 + ARGUMENTS] }; KEPT],
            count: AtomicUsize::new(0),
        }
    }
}

impl RecentCalls {
    /// Adds call `number`, made with `registers`, that returns `value`.
    #[inline]
    pub(crate) fn add(&self, number: u64, registers: &Registers, value: u64) {
        let count = self.count.load(Ordering::Relaxed);
        self.count.store(count.wrapping_add(1), Ordering::Relaxed);
        let [a, b, c, d, ..] = registers.arguments();
        for (slot, word) in self.slots[count % KEPT].iter().zip([number, value, a, b, c, d]) {
            slot.store(word, Ordering::Relaxed);
        }
    }

    /// Adds call `number` that came to `result` in any way.
    #[cold]
    pub(crate) fn add_result(&self, number: u64, registers: &Registers, result: &Result<Outcome>) {
        match result {
            Ok(Outcome::Value(value)) => self.add(number, registers, *value),
            Ok(Outcome::Replaced | Outcome::Ended) => self.add(number | REPLACED, registers, 0),
            Err(error) => self.add(number, registers, error.errno.as_return_value()),
        }
    }

    /// Those that are kept, the oldest first.
    pub(super) fn all(&self) -> Vec<RecentCall> {
        let count = self.count.load(Ordering::Relaxed);
        (count.saturating_sub(KEPT)..count).map(|at| read(&self.slots[at % KEPT])).collect()
    }
}

fn read(slot: &Slot) -> RecentCall {
    let [number, result, arguments @ ..] =
        [0, 1, 2, 3, 4, 5].map(|at: usize| slot[at].load(Ordering::Relaxed));
    let arguments = (number & REPLACED == 0).then_some(arguments);
    RecentCall { number: number & !REPLACED, arguments, result }
}

#[cfg(test)]
mod tests {
    use abi::Errno;

    use super::*;
    use crate::error::Because;
    use crate::fake::kit;

    #[test]
    fn the_latest_calls_are_kept_in_order() {
        let recent = RecentCalls::default();
        assert_eq!(recent.all(), []);
        for number in 0..40 {
            let registers = Registers { rdi: number, r10: 7, ..Registers::default() };
            recent.add(number, &registers, number + 100);
        }
        let all = recent.all();
        assert_eq!(all.len(), KEPT);
        let first = RecentCall { number: 8, arguments: Some([8, 0, 0, 7]), result: 108 };
        assert_eq!((all[0], all[31].number), (first, 39));
    }

    #[test]
    fn failures_and_replaced_registers_are_told() {
        let recent = RecentCalls::default();
        let registers = Registers::default();
        recent.add_result(3, &registers, &Err(Errno::EBADF.because("no such descriptor")));
        recent.add_result(15, &registers, &Ok(Outcome::Replaced));
        let all = recent.all();
        assert_eq!(all[0].result as i64, -9);
        assert_eq!((all[1].number, all[1].arguments), (15, None));
    }

    #[test]
    fn every_system_call_is_kept() {
        let kit = kit::process();
        let _ = kit.call("umask", [0o22, 0, 0, 0, 0, 0]);
        let _ = kit.call("close", [77, 0, 0, 0, 0, 0]);
        let all = kit.thread.recent.all();
        assert_eq!((all[0].number, all[0].arguments.unwrap()[0]), (95, 0o22));
        assert_eq!((all[1].number, all[1].result as i64), (3, -9));
    }
}
