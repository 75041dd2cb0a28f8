//! From one word to another: `FUTEX_REQUEUE`, `FUTEX_WAKE_OP`.

use abi::Errno;

use crate::error::{Because, Result};

use super::{
    ANY, Attempt, Futexes, Key, Place, Queues, Word, bring_to_change, bring_to_load, waits_to_own,
};

/// What `FUTEX_WAKE_OP` does to the second word, and which value it has to have had for its
/// waiters to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    operation: u32,
    operand: u32,
    comparison: u32,
    compared: i32,
}

impl Change {
    /// Takes the argument apart: futex(2), `FUTEX_WAKE_OP`.
    ///
    /// # Errors
    /// `ENOSYS` for an unknown operation or comparison.
    pub(crate) fn decode(encoded: u32) -> Result<Self> {
        const OPERATIONS: u32 = 5;
        const COMPARISONS: u32 = 6;
        /// The operand is the number of a bit.
        const SHIFT: u32 = 8;
        let signed_12_bits = |value: u32| (value << 20).cast_signed() >> 20;
        let (operation, comparison) = (encoded >> 28, encoded >> 24 & 0xf);
        if operation & !SHIFT >= OPERATIONS || comparison >= COMPARISONS {
            return Err(Errno::ENOSYS.because("no such operation or comparison"));
        }
        let operand = signed_12_bits(encoded >> 12).cast_unsigned();
        Ok(Self {
            operation: operation & !SHIFT,
            operand: if operation & SHIFT == 0 { operand } else { 1 << (operand & 31) },
            comparison,
            compared: signed_12_bits(encoded),
        })
    }

    fn apply(self, old: u32) -> u32 {
        match self.operation {
            0 => self.operand,
            1 => old.wrapping_add(self.operand),
            2 => old | self.operand,
            3 => old & !self.operand,
            _ => old ^ self.operand,
        }
    }

    fn holds(self, old: u32) -> bool {
        let (old, compared) = (old.cast_signed(), self.compared);
        match self.comparison {
            0 => old == compared,
            1 => old != compared,
            2 => old < compared,
            3 => old <= compared,
            4 => old > compared,
            _ => old >= compared,
        }
    }
}

impl Futexes {
    /// Wakes up to `wake` waiters of `from`, and lets up to `requeue` others wait for `to`.
    /// Returns how many both were. With `expected`, only if `from` has that value.
    ///
    /// # Errors
    /// `EAGAIN` when the word is another; `EFAULT` for a bad address; `EINVAL` when one of the
    /// waiters waits to own a word.
    pub(crate) fn requeue(
        &self,
        from: &Word<'_>,
        to: &Word<'_>,
        wake: u32,
        requeue: u32,
        expected: Option<u32>,
    ) -> Result<u32> {
        self.attempt(from, bring_to_load, |queues| {
            if let Some(expected) = expected
                && from.load()? != expected
            {
                return Ok(Err(Errno::EAGAIN.because("the word has another value")));
            }
            Ok(queues.requeue(from, to, wake, requeue))
        })
    }

    /// Changes the word `second`, wakes up to `count` waiters of `first`, and up to
    /// `second_count` of `second` if its old value was as `change` says. Returns how many.
    ///
    /// # Errors
    /// `EFAULT` for a bad address; `EINVAL` when one of the waiters waits to own a word.
    pub(crate) fn wake_and_change(
        &self,
        first: &Word<'_>,
        count: u32,
        second: &Word<'_>,
        second_count: u32,
        change: Change,
    ) -> Result<u32> {
        self.attempt(second, bring_to_change, |queues| -> Attempt<u32> {
            let old = loop {
                let old = second.load()?;
                if second.replace(old, change.apply(old))? {
                    break old;
                }
            };
            let mut wake = || {
                let woken = queues.wake(first.key, count, ANY)?;
                match change.holds(old) {
                    true => Ok(woken + queues.wake(second.key, second_count, ANY)?),
                    false => Ok(woken),
                }
            };
            Ok(wake())
        })
    }
}

impl Queues {
    fn requeue(&mut self, from: &Word<'_>, to: &Word<'_>, wake: u32, requeue: u32) -> Result<u32> {
        let woken = self.wake(from.key, wake, ANY)?;
        if self.owned.contains_key(&to.key) {
            return Err(waits_to_own());
        }
        if from.key == to.key {
            let there = self.waiting.get(&from.key).map_or(0, |queue| queue.len() as u32);
            return Ok(woken + there.min(requeue));
        }
        Ok(woken + self.shift(from.key, to, requeue)?)
    }

    fn shift(&mut self, from: Key, to: &Word<'_>, count: u32) -> Result<u32> {
        let Some(mut queue) = self.waiting.remove(&from) else {
            return Ok(0);
        };
        let count = queue.len().min(count as usize);
        let is_plain = queue.iter().take(count).all(|waiter| waiter.target.is_none());
        if is_plain && count > 0 {
            let target = self.waiting.entry(to.key).or_default();
            for waiter in queue.drain(..count) {
                waiter.go(Place::Waits(to.key), to);
                target.push_back(waiter);
            }
        }
        if !queue.is_empty() {
            self.waiting.insert(from, queue);
        }
        if is_plain { Ok(count as u32) } else { Err(waits_to_own()) }
    }
}
