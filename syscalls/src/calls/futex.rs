//! Futexes.

use abi::Errno;
use abi::time::Timespec;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::named::FutexOperation;
use crate::process::futex::ANY;
use crate::user::UserPtr;

/// Commands of futex(2), below their flags.
const WAIT: i32 = 0;
const WAKE: i32 = 1;
const REQUEUE: i32 = 3;
const CMP_REQUEUE: i32 = 4;
const WAIT_BITSET: i32 = 9;
const WAKE_BITSET: i32 = 10;

/// Flags of futex(2).
const PRIVATE_FLAG: i32 = 128;
const CLOCK_REALTIME: i32 = 256;

/// futex(2): waits for a word of memory to change, and wakes those who wait.
///
/// # Differences from Linux
/// A word in memory that processes share is waited for by address, as a private one; the
/// commands of priority inheritance and `FUTEX_WAKE_OP` are not offered (`ENOSYS`).
pub(crate) fn futex(
    cx: &Context<'_>,
    word: UserPtr<u32>,
    operation: FutexOperation,
    value: u32,
    timeout: UserPtr<Timespec>,
    other: UserPtr<u32>,
    value3: u32,
) -> Result<Outcome> {
    let (address, other, operation) = (word.address(), other.address(), operation.0);
    let futexes = &cx.system.futexes;
    // Commands without a timeout take a number in its place.
    let second_count = timeout.address() as u32;
    let is_realtime = operation & CLOCK_REALTIME != 0;
    match operation & !(PRIVATE_FLAG | CLOCK_REALTIME) {
        WAIT => {
            let deadline_ns = relative(cx, timeout)?;
            wait(cx, address, value, deadline_ns, ANY)
        }
        WAIT_BITSET => {
            let deadline_ns = absolute(cx, timeout, is_realtime)?;
            wait(cx, address, value, deadline_ns, bits(value3)?)
        }
        _ if is_realtime => Err(Errno::ENOSYS.because("the command has no clock")),
        WAKE => Ok(futexes.wake(cx.memory(), address, value, ANY)?.into()),
        WAKE_BITSET => Ok(futexes.wake(cx.memory(), address, value, bits(value3)?)?.into()),
        REQUEUE => {
            let (woken, moved) =
                futexes.requeue(cx.memory(), address, other, value, second_count, None)?;
            Ok((woken + moved).into())
        }
        CMP_REQUEUE => {
            let expected = Some(value3);
            let (woken, moved) =
                futexes.requeue(cx.memory(), address, other, value, second_count, expected)?;
            Ok((woken + moved).into())
        }
        _ => Err(Errno::ENOSYS.because("the command is not offered")),
    }
}

fn bits(bits: u32) -> Result<u32> {
    if bits == 0 { Err(Errno::EINVAL.because("no bit to wait for")) } else { Ok(bits) }
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

/// The monotonic deadline of a timeout that is a moment, of the time of day or monotonic.
fn absolute(
    cx: &Context<'_>,
    timeout: UserPtr<Timespec>,
    is_realtime: bool,
) -> Result<Option<u64>> {
    let at_ns = time(cx, timeout)?;
    if !is_realtime {
        return Ok(at_ns);
    }
    let (wall_ns, now_ns) = (cx.system.machine.wall_clock_ns(), cx.system.machine.monotonic_ns());
    Ok(at_ns.map(|at_ns| now_ns.saturating_add(at_ns.saturating_sub(wall_ns))))
}

fn wait(
    cx: &Context<'_>,
    address: u64,
    value: u32,
    deadline_ns: Option<u64>,
    bits: u32,
) -> Result<Outcome> {
    match cx.system.futexes.wait(cx, address, value, deadline_ns, bits) {
        Ok(true) => Ok(0_u64.into()),
        Ok(false) => Err(Errno::ETIMEDOUT.because("nobody woke the waiter in time")),
        // With a time limit, only what remains of it is waited after a signal.
        Err(error) if error.errno == Errno::ERESTARTSYS && deadline_ns.is_some() => {
            Err(cx.restart_with(move |cx| wait(cx, address, value, deadline_ns, bits)))
        }
        Err(error) => Err(error),
    }
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
        assert_eq!(kit.call("futex", [word, 128 | 6, 7, 0, 0, 0]), Err(Errno::ENOSYS));
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
