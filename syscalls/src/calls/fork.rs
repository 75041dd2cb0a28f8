//! New processes and threads.

use alloc::vec::Vec;

use abi::namespaces::DEPTH_MAX;
use abi::process::{CLONE_ARGS_SIZE_VER0, CloneArgs, CloneFlags};
use abi::signal::Signal;
use abi::{Errno, PAGE_SIZE, TASK_SIZE};
use zerocopy::{FromZeros, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::fork::NewTask;
use crate::user::UserPtr;

/// The part of the flags of clone(2) that is the signal for the parent (`CSIGNAL`).
const EXIT_SIGNAL: u64 = 0xff;

/// fork(2): makes a child that is a copy of the caller.
///
/// # Differences from Linux
/// None.
pub(crate) fn fork(cx: &Context<'_>) -> Result<u32> {
    cx.fork(&NewTask { exit_signal: Some(Signal::SIGCHLD), ..NewTask::default() })
}

/// vfork(2): makes a child that uses the caller's memory while the caller waits.
///
/// # Differences from Linux
/// None.
pub(crate) fn vfork(cx: &Context<'_>) -> Result<u32> {
    let flags = CloneFlags::VFORK | CloneFlags::VM;
    cx.fork(&NewTask { flags, exit_signal: Some(Signal::SIGCHLD), ..NewTask::default() })
}

/// clone(2): makes a child or a thread that shares with the caller what the flags say.
///
/// # Differences from Linux
/// There is no I/O context for `CLONE_IO` to matter to, and one network for all:
/// `CLONE_NEWNET` is `EINVAL`.
pub(crate) fn clone(
    cx: &Context<'_>,
    flags: u64,
    stack: u64,
    parent_id: UserPtr<u32>,
    child_id: UserPtr<u32>,
    thread_pointer: u64,
) -> Result<u32> {
    // The call takes an unsigned long, of which Linux uses the lower half.
    let flags = flags & 0xffff_ffff;
    let both = CloneFlags::PIDFD | CloneFlags::PARENT_SETTID;
    if CloneFlags::from_bits_retain(flags).contains(both) {
        return Err(Errno::EINVAL.because("one place for two numbers"));
    }
    cx.fork(&NewTask {
        flags: CloneFlags::from_bits_retain(flags & !EXIT_SIGNAL),
        exit_signal: Signal::new((flags & EXIT_SIGNAL) as u8),
        stack_pointer: stack,
        parent_id_at: parent_id.address(),
        child_id_at: child_id.address(),
        thread_pointer: check_thread_pointer(CloneFlags::from_bits_retain(flags), thread_pointer)?,
        descriptor_at: parent_id.address(),
        wanted_ids: Vec::new(),
    })
}

/// clone3(2): makes a child or a thread that shares with the caller what the flags say.
///
/// # Differences from Linux
/// As clone(2); control groups cannot be chosen.
pub(crate) fn clone3(cx: &Context<'_>, arguments: UserPtr<u8>, size: usize) -> Result<u32> {
    let arguments = read_arguments(cx, arguments, size)?;
    let flags = check_flags(&arguments)?;
    let stack_pointer = check_stack(&arguments)?;
    let wanted_ids = read_ids(cx, &arguments)?;
    cx.fork(&NewTask {
        flags,
        exit_signal: Signal::new(arguments.exit_signal as u8),
        stack_pointer,
        parent_id_at: arguments.parent_tid,
        child_id_at: arguments.child_tid,
        thread_pointer: check_thread_pointer(flags, arguments.tls)?,
        descriptor_at: arguments.pidfd,
        wanted_ids,
    })
}

/// The numbers that the child shall have.
fn read_ids(cx: &Context<'_>, arguments: &CloneArgs) -> Result<Vec<u32>> {
    let count = arguments.set_tid_size;
    if count > u64::from(DEPTH_MAX) || (count == 0) != (arguments.set_tid == 0) {
        return Err(Errno::EINVAL.because("numbers without a place, or too many"));
    }
    UserPtr::new(arguments.set_tid).read_array(cx, count as usize)
}

/// Loads the structure, of which later versions of Linux may have more: what is unknown must
/// be 0.
fn read_arguments(cx: &Context<'_>, from: UserPtr<u8>, size: usize) -> Result<CloneArgs> {
    if size < CLONE_ARGS_SIZE_VER0 {
        return Err(Errno::EINVAL.because("the structure is too short"));
    }
    if size > PAGE_SIZE {
        return Err(Errno::E2BIG.because("the structure is longer than a page"));
    }
    let bytes = from.read_array(cx, size)?;
    let mut arguments = CloneArgs::new_zeroed();
    let known = size.min(size_of::<CloneArgs>());
    arguments.as_mut_bytes()[..known].copy_from_slice(&bytes[..known]);
    if bytes[known..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.because("the structure has unknown fields"));
    }
    Ok(arguments)
}

fn check_flags(arguments: &CloneArgs) -> Result<CloneFlags> {
    const HIGHEST: u64 = CloneFlags::INTO_CGROUP.bits();
    let flags = CloneFlags::from_bits_retain(arguments.flags);
    // The low bits are a signal in clone(2), but for the one of CLONE_NEWTIME.
    let are_known = arguments.flags < HIGHEST << 1
        && arguments.flags & (EXIT_SIGNAL & !CloneFlags::NEWTIME.bits()) == 0
        && !flags.contains(CloneFlags::DETACHED);
    if !are_known {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let is_signal = arguments.exit_signal == 0
        || u8::try_from(arguments.exit_signal).ok().and_then(Signal::new).is_some();
    if !is_signal {
        return Err(Errno::EINVAL.because("no such signal"));
    }
    let has_own = flags.intersects(CloneFlags::THREAD | CloneFlags::PARENT);
    if has_own && arguments.exit_signal != 0 {
        return Err(Errno::EINVAL.because("the signal is the caller's"));
    }
    Ok(flags)
}

/// The stack pointer to start with.
fn check_stack(arguments: &CloneArgs) -> Result<u64> {
    let (stack, len) = (arguments.stack, arguments.stack_size);
    match (stack, len) {
        (0, 0) => Ok(0),
        (0, _) | (_, 0) => Err(Errno::EINVAL.because("a stack has an address and a size")),
        _ => stack
            .checked_add(len)
            .filter(|&end| end <= TASK_SIZE)
            .ok_or_else(|| Errno::EINVAL.because("not an address of the application")),
    }
}

fn check_thread_pointer(flags: CloneFlags, thread_pointer: u64) -> Result<u64> {
    if flags.contains(CloneFlags::SETTLS) && thread_pointer >= TASK_SIZE {
        return Err(Errno::EPERM.because("not an address of the application"));
    }
    Ok(thread_pointer)
}
