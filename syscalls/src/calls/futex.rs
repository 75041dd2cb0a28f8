//! Futexes.

use alloc::vec::Vec;

use abi::Errno;
use abi::futex::{
    CLOCK_REALTIME, FUTEX2_PRIVATE, PRIVATE_FLAG, SIZE_MASK, SIZE_U32, WAITV_MAX, Waitv, command,
};
use abi::time::Timespec;

use crate::context::Context;
use crate::error::{Because, Error, Outcome, Result};
use crate::named::{ClockNumber, FutexOperation};
use crate::process::futex::{ANY, Change, Scope, Word};
use crate::user::UserPtr;

/// futex(2): waits for a word of memory to change, wakes those who wait, and hands locks on.
///
/// # Differences from Linux
/// `FUTEX_LOCK_PI` and its family hand on in the order of arrival: all threads have the same
/// priority.
pub(crate) fn futex(
    cx: &Context<'_>,
    word: UserPtr<u32>,
    operation: FutexOperation,
    value: u32,
    timeout: UserPtr<Timespec>,
    other: UserPtr<u32>,
    value3: u32,
) -> Result<Outcome> {
    let is_realtime = operation.0 & CLOCK_REALTIME != 0;
    let command = operation.0 & !(PRIVATE_FLAG | CLOCK_REALTIME);
    let call = Call {
        cx,
        address: word.address(),
        other: other.address(),
        scope: if operation.0 & PRIVATE_FLAG != 0 { Scope::Private } else { Scope::Shared },
        value,
        // Commands without a timeout take a number in its place.
        second_value: timeout.address() as u32,
        value3,
    };
    let has_clock =
        matches!(command, command::WAIT_BITSET | command::WAIT_REQUEUE_PI | command::LOCK_PI2);
    if is_realtime && !has_clock {
        return Err(Errno::ENOSYS.because("the command has no clock"));
    }
    let clock = if is_realtime { Clock::Realtime } else { Clock::Monotonic };
    match command {
        command::WAIT => call.wait(relative(cx, timeout)?, ANY),
        command::WAIT_BITSET => call.wait(clock.deadline_ns(cx, timeout)?, bits(value3)?),
        command::LOCK_PI => call.lock(Clock::Realtime.deadline_ns(cx, timeout)?),
        command::LOCK_PI2 => call.lock(clock.deadline_ns(cx, timeout)?),
        command::WAIT_REQUEUE_PI => call.wait_to_own(clock.deadline_ns(cx, timeout)?),
        _ => call.without_timeout(command),
    }
}

/// The arguments of futex(2).
struct Call<'a> {
    cx: &'a Context<'a>,
    address: u64,
    other: u64,
    scope: Scope,
    value: u32,
    second_value: u32,
    value3: u32,
}

impl Call<'_> {
    fn word(&self) -> Result<Word<'_>> {
        Word::find(self.cx.memory(), self.address, self.scope)
    }

    fn other(&self) -> Result<Word<'_>> {
        Word::find(self.cx.memory(), self.other, self.scope)
    }

    fn without_timeout(&self, command: i32) -> Result<Outcome> {
        let futexes = &self.cx.system.futexes;
        let count = at_least_one(self.value);
        match command {
            command::WAKE => Ok(futexes.wake(&self.word()?, count, ANY)?.into()),
            command::WAKE_BITSET => {
                let bits = bits(self.value3)?;
                Ok(futexes.wake(&self.word()?, count, bits)?.into())
            }
            command::REQUEUE => self.requeue(None),
            command::CMP_REQUEUE => self.requeue(Some(self.value3)),
            command::WAKE_OP => {
                let (first, second) = (self.word()?, self.other()?);
                let change = Change::decode(self.value3)?;
                let second_count = at_least_one(self.second_value);
                Ok(futexes.wake_and_change(&first, count, &second, second_count, change)?.into())
            }
            command::UNLOCK_PI => futexes.unlock(self.cx, &self.word()?).map(Outcome::from),
            command::TRYLOCK_PI => futexes.try_lock(self.cx, &self.word()?).map(Outcome::from),
            command::CMP_REQUEUE_PI => {
                let [wake, requeue] = counts(self.value, self.second_value)?;
                if wake != 1 {
                    return Err(Errno::EINVAL.because("one waiter can own the word"));
                }
                let (from, to) = (self.word()?, self.other()?);
                Ok(futexes.requeue_to_own(self.cx, &from, &to, requeue, self.value3)?.into())
            }
            _ => Err(Errno::ENOSYS.because("no such command")),
        }
    }

    fn wait(&self, deadline_ns: Option<u64>, bits: u32) -> Result<Outcome> {
        let word = self.word()?;
        match self.cx.system.futexes.wait(self.cx, &word, self.value, deadline_ns, bits) {
            Ok(true) => Ok(0_u64.into()),
            Ok(false) => Err(in_vain()),
            // With a time limit, only what remains of it is waited after a signal.
            Err(error) if error.errno == Errno::ERESTARTSYS && deadline_ns.is_some() => {
                let (address, other, scope) = (self.address, self.other, self.scope);
                let (value, second_value, value3) = (self.value, self.second_value, self.value3);
                Err(self.cx.restart_with(move |cx| {
                    Call { cx, address, other, scope, value, second_value, value3 }
                        .wait(deadline_ns, bits)
                }))
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self, deadline_ns: Option<u64>) -> Result<Outcome> {
        self.cx.system.futexes.lock(self.cx, &self.word()?, deadline_ns).map(Outcome::from)
    }

    fn wait_to_own(&self, deadline_ns: Option<u64>) -> Result<Outcome> {
        let (word, target) = (self.word()?, self.other()?);
        let futexes = &self.cx.system.futexes;
        futexes.wait_to_own(self.cx, &word, self.value, deadline_ns, ANY, &target)?;
        Ok(().into())
    }

    fn requeue(&self, expected: Option<u32>) -> Result<Outcome> {
        let [wake, requeue] = counts(self.value, self.second_value)?;
        let (from, to) = (self.word()?, self.other()?);
        Ok(self.cx.system.futexes.requeue(&from, &to, wake, requeue, expected)?.into())
    }
}

/// How many are to be woken: as on Linux, one where it is not a positive number.
fn at_least_one(count: u32) -> u32 {
    count.cast_signed().max(1).cast_unsigned()
}

fn counts(wake: u32, requeue: u32) -> Result<[u32; 2]> {
    if wake.cast_signed() < 0 || requeue.cast_signed() < 0 {
        return Err(Errno::EINVAL.because("a negative number of waiters"));
    }
    Ok([wake, requeue])
}

fn bits(bits: u32) -> Result<u32> {
    if bits == 0 { Err(Errno::EINVAL.because("no bit to wait for")) } else { Ok(bits) }
}

fn in_vain() -> Error {
    Errno::ETIMEDOUT.because("nobody woke the waiter in time")
}

/// The clock of a timeout that is a moment.
#[derive(Clone, Copy)]
enum Clock {
    Realtime,
    Monotonic,
}

impl Clock {
    /// # Errors
    /// `EINVAL` for another clock.
    fn from_number(number: ClockNumber) -> Result<Self> {
        match number.0 {
            0 => Ok(Self::Realtime),
            1 => Ok(Self::Monotonic),
            _ => Err(Errno::EINVAL.because("neither the time of day nor the monotonic clock")),
        }
    }

    /// The monotonic deadline of a timeout that is a moment.
    fn deadline_ns(self, cx: &Context<'_>, timeout: UserPtr<Timespec>) -> Result<Option<u64>> {
        let at_ns = time(cx, timeout)?;
        match self {
            Self::Monotonic => {
                Ok(at_ns.map(|at_ns| cx.to_machine_ns(abi::time::clock::MONOTONIC, at_ns)))
            }
            Self::Realtime => {
                let machine = &cx.system.machine;
                let (wall_ns, now_ns) = (machine.wall_clock_ns(), machine.monotonic_ns());
                Ok(at_ns.map(|at_ns| now_ns.saturating_add(at_ns.saturating_sub(wall_ns))))
            }
        }
    }
}

fn time(cx: &Context<'_>, timeout: UserPtr<Timespec>) -> Result<Option<u64>> {
    let Some(timeout) = timeout.non_null() else {
        return Ok(None);
    };
    let ns = timeout.read(cx)?.to_ns();
    ns.map(Some).ok_or_else(|| Errno::EINVAL.because("invalid time"))
}

/// The monotonic deadline of a timeout that is a duration.
fn relative(cx: &Context<'_>, timeout: UserPtr<Timespec>) -> Result<Option<u64>> {
    let now_ns = cx.system.machine.monotonic_ns();
    Ok(time(cx, timeout)?.map(|ns| now_ns.saturating_add(ns)))
}

/// What the flags of the newer calls say.
///
/// # Errors
/// `EINVAL` for a word that does not have 32 bits, or unknown flags.
fn scope_of(flags: u32) -> Result<Scope> {
    if flags & !(SIZE_MASK | FUTEX2_PRIVATE) != 0 || flags & SIZE_MASK != SIZE_U32 {
        return Err(Errno::EINVAL.because("unknown flags, or not a word of 32 bits"));
    }
    Ok(if flags & FUTEX2_PRIVATE != 0 { Scope::Private } else { Scope::Shared })
}

/// A value of the newer calls, which has the size of the word.
fn word_value(value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Errno::EINVAL.because("the value has more than 32 bits"))
}

/// futex_wait(2): waits for a word of memory to change.
///
/// # Differences from Linux
/// None.
pub(crate) fn futex_wait(
    cx: &Context<'_>,
    word: UserPtr<u32>,
    value: u64,
    mask: u64,
    flags: u32,
    timeout: UserPtr<Timespec>,
    clock: ClockNumber,
) -> Result<Outcome> {
    let scope = scope_of(flags)?;
    let (value, mask) = (word_value(value)?, word_value(mask)?);
    let deadline_ns = match timeout.non_null() {
        Some(timeout) => Clock::from_number(clock)?.deadline_ns(cx, timeout)?,
        None => None,
    };
    let word = Word::find(cx.memory(), word.address(), scope)?;
    match cx.system.futexes.wait(cx, &word, value, deadline_ns, bits(mask)?)? {
        true => Ok(0_u64.into()),
        false => Err(in_vain()),
    }
}

/// futex_wake(2): wakes those who wait for a word.
///
/// # Differences from Linux
/// None.
pub(crate) fn futex_wake(
    cx: &Context<'_>,
    word: UserPtr<u32>,
    mask: u64,
    count: i32,
    flags: u32,
) -> Result<u32> {
    let scope = scope_of(flags)?;
    let mask = bits(word_value(mask)?)?;
    let word = Word::find(cx.memory(), word.address(), scope)?;
    if count == 0 {
        return Ok(0);
    }
    cx.system.futexes.wake(&word, at_least_one(count.cast_unsigned()), mask)
}

/// futex_requeue(2): wakes some who wait for a word, and lets others wait for another.
///
/// # Differences from Linux
/// None.
pub(crate) fn futex_requeue(
    cx: &Context<'_>,
    words: UserPtr<Waitv>,
    flags: u32,
    wake: i32,
    requeue: i32,
) -> Result<u32> {
    if flags != 0 || words.is_null() {
        return Err(Errno::EINVAL.because("there are no flags, and two words"));
    }
    let words = words.read_array(cx, 2)?;
    let expected = check_waitv(&words[0])?;
    check_waitv(&words[1])?;
    let [wake, requeue] = counts(wake.cast_unsigned(), requeue.cast_unsigned())?;
    let find = |word: &Waitv| Word::find(cx.memory(), word.address, scope_of(word.flags)?);
    let (from, to) = (find(&words[0])?, find(&words[1])?);
    cx.system.futexes.requeue(&from, &to, wake, requeue, Some(expected))
}

/// Checks one word of several; returns the value that is expected.
fn check_waitv(word: &Waitv) -> Result<u32> {
    scope_of(word.flags)?;
    if word.reserved != 0 {
        return Err(Errno::EINVAL.because("the reserved field is not zero"));
    }
    word_value(word.value)
}

/// futex_waitv(2): waits for one of several words to change.
///
/// # Differences from Linux
/// None.
pub(crate) fn futex_waitv(
    cx: &Context<'_>,
    words: UserPtr<Waitv>,
    count: u32,
    flags: u32,
    timeout: UserPtr<Timespec>,
    clock: ClockNumber,
) -> Result<usize> {
    if flags != 0 || count == 0 || count > WAITV_MAX || words.is_null() {
        return Err(Errno::EINVAL.because("there are no flags, and 1 to 128 words"));
    }
    let deadline_ns = match timeout.non_null() {
        Some(timeout) => Clock::from_number(clock)?.deadline_ns(cx, timeout)?,
        None => None,
    };
    let words = words.read_array(cx, count as usize)?;
    let expected: Vec<u32> = words.iter().map(check_waitv).collect::<Result<_>>()?;
    let mut found = Vec::with_capacity(words.len());
    for (word, expected) in words.iter().zip(expected) {
        let scope = scope_of(word.flags)?;
        found.push((Word::find(cx.memory(), word.address, scope)?, expected));
    }
    let woken = cx.system.futexes.wait_for_any(cx, &found, deadline_ns)?;
    woken.ok_or_else(in_vain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, BAD_ADDRESS};

    #[test]
    fn a_wait_for_a_word_that_has_changed_does_not_begin() {
        let kit = kit::process();
        let word = kit.put_value(&7_u32);
        assert_eq!(kit.call("futex", [word, 128, 8, 0, 0, 0]), Err(Errno::EAGAIN));
        assert_eq!(kit.call("futex", [word + 1, 128, 7, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("futex", [BAD_ADDRESS, 128, 7, 0, 0, 0]), Err(Errno::EFAULT));
        assert_eq!(kit.call("futex", [word, 128 | 9, 7, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("futex", [word, 128 | 2, 7, 0, 0, 0]), Err(Errno::ENOSYS));
    }

    #[test]
    fn a_wait_ends_in_time() {
        let kit = kit::process();
        let (word, second) = (kit.put_value(&7_u32), kit.put_value(&[1_i64, 0]));
        let before = kit.machine_time();
        assert_eq!(kit.call("futex", [word, 128, 7, second, 0, 0]), Err(Errno::ETIMEDOUT));
        assert_eq!(kit.machine_time() - before, 1_000_000_000);
        assert_eq!(kit.call("futex", [word, 129, 1, 0, 0, 0]), Ok(0));
    }
}
