//! Scheduling: sched(7).

use alloc::sync::Arc;

use abi::process::{SCHED_ATTR_SIZE_VER0, SCHED_RESET_ON_FORK, SchedAttr};
use abi::time::Timespec;
use abi::{Errno, PAGE_SIZE};
use zerocopy::{FromZeros, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::scheduling::{Policy, Reservation, Scheduling};
use crate::process::{Capability, Thread};
use crate::user::UserPtr;

use super::limits::{check_nice, check_owner};

/// Flags of [`SchedAttr`].
const FLAG_RESET_ON_FORK: u64 = 1;
const FLAG_KEEP_POLICY: u64 = 8;
const FLAG_KEEP_PARAMS: u64 = 16;

/// Bytes of the affinity mask that this kernel knows.
const MASK_LEN: usize = size_of::<u64>();

/// How long a thread runs while others wait, in nanoseconds, as sched_rr_get_interval(2) tells
/// it.
const SLICE_NS: u64 = 10_000_000;

/// The thread with this number, where 0 is the caller.
pub(super) fn thread(cx: &Context<'_>, tid: i32) -> Result<Arc<Thread>> {
    let tid = u32::try_from(tid).map_err(|_| Errno::EINVAL.because("negative thread number"))?;
    let found = match tid {
        0 => cx.thread.downgrade().upgrade(),
        _ if tid == cx.shown_id(cx.thread.id()) => cx.thread.downgrade().upgrade(),
        _ => cx.outside_id(tid).and_then(|id| cx.system.thread(id)),
    };
    found.ok_or_else(|| Errno::ESRCH.because("no such thread"))
}

/// How the thread with this number is scheduled, also one that has ended and not been waited
/// for.
fn scheduling(cx: &Context<'_>, tid: i32) -> Result<Scheduling> {
    match thread(cx, tid) {
        Ok(thread) => Ok(thread.scheduling()),
        Err(error) => match cx.known_id(tid).ok().and_then(|id| cx.system.processes.get(id)) {
            Some(_) => Ok(Scheduling::default()),
            None => Err(error),
        },
    }
}

/// Lets `thread` be scheduled so, if the caller may; its nice value stays.
fn change(cx: &Context<'_>, thread: &Thread, new: Scheduling) -> Result<()> {
    let (own, other) = (cx.credentials(), thread.credentials());
    let is_own = [other.users.real, other.users.effective].contains(&own.users.effective);
    if !is_own && !own.has(Capability::SysNice) {
        return Err(Errno::EPERM.because("the thread belongs to another user"));
    }
    thread.scheduling().permit(new, &own, thread.process().limits())?;
    thread.set_scheduling(Scheduling { nice: thread.scheduling().nice, ..new });
    Ok(())
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

/// The thread with this number for the calls about processors, for which a negative number is
/// only one that no thread has.
fn thread_on_processors(cx: &Context<'_>, tid: i32) -> Result<Arc<Thread>> {
    if tid < 0 {
        return Err(Errno::ESRCH.because("no thread has a negative number"));
    }
    thread(cx, tid)
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
    thread_on_processors(cx, tid)?;
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
    check_owner(cx, &*thread_on_processors(cx, tid)?)?;
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
    Ok(scheduling(cx, tid)?.number())
}

/// sched_setscheduler(2): sets the policy of a thread.
///
/// # Differences from Linux
/// The policy is kept and told; but for their nice values and `SCHED_IDLE`, threads take turns
/// alike.
pub(crate) fn sched_setscheduler(
    cx: &Context<'_>,
    tid: i32,
    policy: i32,
    priority: UserPtr<i32>,
) -> Result<()> {
    if policy < 0 || tid < 0 || priority.is_null() {
        return Err(Errno::EINVAL.because("a negative number, or no parameters"));
    }
    let priority = priority.read(cx)?;
    let thread = thread(cx, tid)?;
    change(cx, &thread, Scheduling::new(policy, priority)?)
}

/// sched_getparam(2): the priority of a thread.
///
/// # Differences from Linux
/// None.
pub(crate) fn sched_getparam(cx: &Context<'_>, tid: i32, to: UserPtr<i32>) -> Result<()> {
    if to.is_null() {
        return Err(Errno::EINVAL.because("no place for the parameters"));
    }
    to.write(cx, &scheduling(cx, tid)?.priority)
}

/// sched_setparam(2): sets the priority of a thread.
///
/// # Differences from Linux
/// As sched_setscheduler(2).
pub(crate) fn sched_setparam(cx: &Context<'_>, tid: i32, from: UserPtr<i32>) -> Result<()> {
    if tid < 0 || from.is_null() {
        return Err(Errno::EINVAL.because("negative thread number, or no parameters"));
    }
    let priority = from.read(cx)?;
    let thread = thread(cx, tid)?;
    change(cx, &thread, Scheduling::new(thread.scheduling().number(), priority)?)
}

/// sched_getattr(2): the policy of a thread, with all its parameters.
///
/// # Differences from Linux
/// No utilisation is told, and no slice.
pub(crate) fn sched_getattr(
    cx: &Context<'_>,
    tid: i32,
    to: UserPtr<u8>,
    size: u32,
    flags: u32,
) -> Result<()> {
    let size = size as usize;
    if to.is_null() || flags != 0 || !(SCHED_ATTR_SIZE_VER0..=PAGE_SIZE).contains(&size) {
        return Err(Errno::EINVAL.because("flags, or no place of a sensible size"));
    }
    let thread = thread(cx, tid)?;
    let scheduling = thread.scheduling();
    let len = size.min(size_of::<SchedAttr>());
    let attributes = SchedAttr {
        size: len as u32,
        policy: scheduling.policy.number().cast_unsigned(),
        flags: if scheduling.resets_on_fork { FLAG_RESET_ON_FORK } else { 0 },
        nice: if scheduling.policy.is_real_time() { 0 } else { scheduling.nice },
        priority: scheduling.priority.cast_unsigned(),
        runtime_ns: scheduling.reservation.runtime_ns,
        deadline_ns: scheduling.reservation.deadline_ns,
        period_ns: scheduling.reservation.period_ns,
        ..SchedAttr::default()
    };
    cx.memory().write(to.address(), &attributes.as_bytes()[..len])
}

/// sched_setattr(2): sets the policy of a thread, with all its parameters.
///
/// # Differences from Linux
/// As sched_setscheduler(2); any reservation is taken, and utilisation is `EOPNOTSUPP`.
pub(crate) fn sched_setattr(
    cx: &Context<'_>,
    tid: i32,
    from: UserPtr<u8>,
    flags: u32,
) -> Result<()> {
    if from.is_null() || tid < 0 || flags != 0 {
        return Err(Errno::EINVAL.because("flags, a negative number, or no parameters"));
    }
    let attributes = read_attributes(cx, from)?;
    if attributes.policy.cast_signed() < 0 {
        return Err(Errno::EINVAL.because("no such policy"));
    }
    check_flags(attributes.flags)?;
    let thread = thread(cx, tid)?;
    let old = thread.scheduling();
    let keeps = |flag| attributes.flags & flag != 0;
    let policy = match keeps(FLAG_KEEP_POLICY) {
        true => old.policy.number(),
        false => attributes.policy.cast_signed(),
    };
    let reset = if keeps(FLAG_RESET_ON_FORK) { SCHED_RESET_ON_FORK } else { 0 };
    let (priority, reservation) = match keeps(FLAG_KEEP_PARAMS) {
        true => (old.priority, old.reservation),
        false => (attributes.priority.cast_signed(), reservation(&attributes)),
    };
    let new = Scheduling::with_reservation(policy | reset, priority, reservation)?;
    let has_nice = matches!(new.policy, Policy::Other | Policy::Batch);
    if has_nice && !keeps(FLAG_KEEP_PARAMS) {
        let nice = attributes.nice.clamp(-20, 19);
        check_nice(cx, &thread, nice)?;
        change(cx, &thread, new)?;
        thread.set_nice(nice);
        return Ok(());
    }
    change(cx, &thread, new)
}

fn reservation(attributes: &SchedAttr) -> Reservation {
    Reservation {
        runtime_ns: attributes.runtime_ns,
        deadline_ns: attributes.deadline_ns,
        period_ns: attributes.period_ns,
    }
}

/// Loads the structure, of which later versions of Linux may have more: what is unknown must
/// be 0.
fn read_attributes(cx: &Context<'_>, from: UserPtr<u8>) -> Result<SchedAttr> {
    let size = UserPtr::<u32>::new(from.address()).read(cx)? as usize;
    let size = if size == 0 { SCHED_ATTR_SIZE_VER0 } else { size };
    let mut attributes = SchedAttr::new_zeroed();
    let is_known = (SCHED_ATTR_SIZE_VER0..=PAGE_SIZE).contains(&size) && {
        let bytes = from.read_array(cx, size)?;
        let known = size.min(size_of::<SchedAttr>());
        attributes.as_mut_bytes()[..known].copy_from_slice(&bytes[..known]);
        bytes[known..].iter().all(|&byte| byte == 0)
    };
    if is_known {
        return Ok(attributes);
    }
    // As on Linux, the size that would do is told; nobody learns of a bad address.
    let _ = UserPtr::new(from.address()).write(cx, &(size_of::<SchedAttr>() as u32));
    Err(Errno::E2BIG.because("the structure is too short or has unknown fields"))
}

fn check_flags(flags: u64) -> Result<()> {
    const UTILISATION: u64 = 32 | 64;
    const KNOWN: u64 = 127;
    if flags & !KNOWN != 0 {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    if flags & UTILISATION != 0 {
        return Err(Errno::EOPNOTSUPP.because("utilisation is not looked at"));
    }
    Ok(())
}

/// sched_rr_get_interval(2): how long a thread runs while others wait.
///
/// # Differences from Linux
/// All threads have the same slice.
pub(crate) fn sched_rr_get_interval(
    cx: &Context<'_>,
    tid: i32,
    to: UserPtr<Timespec>,
) -> Result<()> {
    let is_endless = thread(cx, tid)?.scheduling().policy == Policy::Fifo;
    to.write(cx, &Timespec::from_ns(if is_endless { 0 } else { SLICE_NS }))
}

/// sched_get_priority_max(2): the highest priority of a policy.
///
/// # Differences from Linux
/// None.
pub(crate) fn sched_get_priority_max(_: &Context<'_>, policy: i32) -> Result<i32> {
    Ok(if Policy::from_number(policy)?.is_real_time() { 99 } else { 0 })
}

/// sched_get_priority_min(2): the lowest priority of a policy.
///
/// # Differences from Linux
/// None.
pub(crate) fn sched_get_priority_min(_: &Context<'_>, policy: i32) -> Result<i32> {
    Ok(if Policy::from_number(policy)?.is_real_time() { 1 } else { 0 })
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
        let negative = u64::from((-1_i32).cast_unsigned());
        for call in ["sched_getaffinity", "sched_setaffinity"] {
            assert_eq!(kit.call(call, [negative, 8, to, 0, 0, 0]), Err(Errno::ESRCH));
        }
        assert_eq!(kit.call("sched_setaffinity", [0, 8, none, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("sched_setaffinity", [0, 8, all, 0, 0, 0]), Ok(0));
    }

    #[test]
    fn policies_are_kept_and_told() {
        let kit = kit::process();
        let (zero, five) = (kit.put_value(&0_i32), kit.put_value(&5_i32));
        let to = kit.room(64);
        assert_eq!(kit.call("sched_getscheduler", [0; 6]), Ok(0));
        assert_eq!(kit.call("sched_setscheduler", [0, 0, zero, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("sched_setscheduler", [0, 0, five, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("sched_setscheduler", [0, 1, five, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("sched_getscheduler", [0; 6]), Ok(1));
        assert_eq!(kit.call("sched_getparam", [0, to, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<i32>(to), 5);
        assert_eq!(kit.call("sched_setparam", [0, zero, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("sched_get_priority_max", [2, 0, 0, 0, 0, 0]), Ok(99));
        assert_eq!(kit.call("sched_get_priority_min", [77, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn attributes_are_read_in_any_version() {
        let kit = kit::process();
        let attributes = SchedAttr { size: 48, policy: 3, nice: 7, ..SchedAttr::default() };
        let (from, to) = (kit.put_value(&attributes), kit.room(64));
        assert_eq!(kit.call("sched_setattr", [0, from, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("sched_getattr", [0, to, 56, 0, 0, 0]), Ok(0));
        let told: SchedAttr = kit.get_value(to);
        assert_eq!((told.size, told.policy, told.nice), (56, 3, 7));
        kit.set(from, &47_u32.to_le_bytes());
        assert_eq!(kit.call("sched_setattr", [0, from, 0, 0, 0, 0]), Err(Errno::E2BIG));
        assert_eq!(kit.get_value::<u32>(from), 56);
        assert_eq!(kit.call("sched_getattr", [0, to, 47, 0, 0, 0]), Err(Errno::EINVAL));
    }
}
