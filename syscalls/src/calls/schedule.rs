//! Scheduling: sched(7).

use abi::Errno;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::user::UserPtr;

/// Scheduling policies.
const SCHED_OTHER: i32 = 0;
const SCHED_FIFO: i32 = 1;
const SCHED_RR: i32 = 2;
const SCHED_BATCH: i32 = 3;
const SCHED_IDLE: i32 = 5;
const SCHED_DEADLINE: i32 = 6;

/// Flag of a policy that children do not inherit.
const SCHED_RESET_ON_FORK: i32 = 0x4000_0000;

/// Bytes of the affinity mask that this kernel knows.
const MASK_LEN: usize = size_of::<u64>();

/// Checks that `tid` names a thread, where 0 is the caller.
fn check_thread(cx: &Context<'_>, tid: i32) -> Result<()> {
    match u32::try_from(tid) {
        Err(_) => Err(Errno::EINVAL.because("negative thread number")),
        Ok(0) => Ok(()),
        Ok(tid) if tid == cx.thread.id() || cx.system.thread(tid).is_some() => Ok(()),
        Ok(_) => Err(Errno::ESRCH.because("no such thread")),
    }
}

/// sched_yield(2): lets others run.
///
/// # Differences from Linux
/// None.
pub(crate) fn sched_yield(cx: &Context<'_>) -> Result<()> {
    cx.system.machine.yield_now();
    Ok(())
}

/// The processors there are, as a mask.
fn all_processors(cx: &Context<'_>) -> u64 {
    match cx.system.machine.processor().count {
        0 | 1 => 1,
        64.. => u64::MAX,
        count => (1 << count) - 1,
    }
}

/// sched_getaffinity(2): the processors a thread may run on.
///
/// # Differences from Linux
/// Always all processors.
pub(crate) fn sched_getaffinity(
    cx: &Context<'_>,
    tid: i32,
    len: u32,
    to: UserPtr<u64>,
) -> Result<usize> {
    if (len as usize) < MASK_LEN || !(len as usize).is_multiple_of(MASK_LEN) {
        return Err(Errno::EINVAL.because("the mask's length is no multiple of 8"));
    }
    check_thread(cx, tid)?;
    to.write(cx, &all_processors(cx))?;
    Ok(MASK_LEN)
}

/// sched_setaffinity(2): the processors a thread shall run on.
///
/// # Differences from Linux
/// A mask that leaves out a processor is refused.
pub(crate) fn sched_setaffinity(
    cx: &Context<'_>,
    tid: i32,
    len: u32,
    from: UserPtr<u8>,
) -> Result<()> {
    let mut mask = [0; MASK_LEN];
    let len = (len as usize).min(MASK_LEN);
    cx.memory().read(from.address(), &mut mask[..len])?;
    check_thread(cx, tid)?;
    let all = all_processors(cx);
    if u64::from_le_bytes(mask) & all == all {
        Ok(())
    } else {
        Err(Errno::EINVAL.because("threads run on all processors"))
    }
}

/// sched_getscheduler(2): the policy of a thread.
///
/// # Differences from Linux
/// None.
pub(crate) fn sched_getscheduler(cx: &Context<'_>, tid: i32) -> Result<i32> {
    check_thread(cx, tid)?;
    Ok(SCHED_OTHER)
}

/// sched_setscheduler(2): sets the policy of a thread.
///
/// # Differences from Linux
/// Only `SCHED_OTHER`; the other policies are refused.
pub(crate) fn sched_setscheduler(
    cx: &Context<'_>,
    tid: i32,
    policy: i32,
    priority: UserPtr<i32>,
) -> Result<()> {
    if tid < 0 || priority.is_null() {
        return Err(Errno::EINVAL.because("negative thread number, or no parameters"));
    }
    let priority = priority.read(cx)?;
    check_thread(cx, tid)?;
    match policy & !SCHED_RESET_ON_FORK {
        SCHED_OTHER if priority == 0 => Ok(()),
        SCHED_OTHER => Err(Errno::EINVAL.because("SCHED_OTHER has no priorities")),
        SCHED_FIFO | SCHED_RR | SCHED_BATCH | SCHED_IDLE => {
            Err(Errno::EPERM.because("only SCHED_OTHER is offered"))
        }
        _ => Err(Errno::EINVAL.because("no such policy")),
    }
}

/// sched_getparam(2): the priority of a thread.
///
/// # Differences from Linux
/// None.
pub(crate) fn sched_getparam(cx: &Context<'_>, tid: i32, to: UserPtr<i32>) -> Result<()> {
    if to.is_null() {
        return Err(Errno::EINVAL.because("no place for the parameters"));
    }
    check_thread(cx, tid)?;
    to.write(cx, &0)
}

/// sched_setparam(2): sets the priority of a thread.
///
/// # Differences from Linux
/// Only 0, the priority of `SCHED_OTHER`.
pub(crate) fn sched_setparam(cx: &Context<'_>, tid: i32, from: UserPtr<i32>) -> Result<()> {
    sched_setscheduler(cx, tid, SCHED_OTHER, from)
}

/// sched_get_priority_max(2): the highest priority of a policy.
///
/// # Differences from Linux
/// None.
pub(crate) fn sched_get_priority_max(_: &Context<'_>, policy: i32) -> Result<i32> {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(99),
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => Err(Errno::EINVAL.because("no such policy")),
    }
}

/// sched_get_priority_min(2): the lowest priority of a policy.
///
/// # Differences from Linux
/// None.
pub(crate) fn sched_get_priority_min(_: &Context<'_>, policy: i32) -> Result<i32> {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(1),
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => Err(Errno::EINVAL.because("no such policy")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit;

    #[test]
    fn a_thread_may_run_on_all_processors_and_on_no_others() {
        let kit = kit::process();
        let (to, none) = (kit.room(16), kit.put_value(&0_u64));
        let all = kit.put_value(&u64::MAX);
        assert_eq!(kit.call("sched_getaffinity", [0, 16, to, 0, 0, 0]), Ok(8));
        assert_ne!(kit.get_value::<u64>(to), 0);
        assert_eq!(kit.call("sched_getaffinity", [0, 4, to, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("sched_getaffinity", [99, 8, to, 0, 0, 0]), Err(Errno::ESRCH));
        assert_eq!(kit.call("sched_setaffinity", [0, 8, none, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("sched_setaffinity", [0, 8, all, 0, 0, 0]), Ok(0));
    }

    #[test]
    fn there_is_one_policy() {
        let kit = kit::process();
        let (zero, one) = (kit.put_value(&0_i32), kit.put_value(&1_i32));
        assert_eq!(kit.call("sched_getscheduler", [0; 6]), Ok(0));
        assert_eq!(kit.call("sched_setscheduler", [0, 0, zero, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("sched_setscheduler", [0, 0, one, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("sched_setscheduler", [0, 1, one, 0, 0, 0]), Err(Errno::EPERM));
        assert_eq!(kit.call("sched_get_priority_max", [2, 0, 0, 0, 0, 0]), Ok(99));
        assert_eq!(kit.call("sched_get_priority_min", [77, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }
}
