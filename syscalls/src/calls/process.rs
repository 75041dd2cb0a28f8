//! The life of processes and threads.

use abi::{Errno, TASK_SIZE};

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::machine::ExitStatus;
use crate::named::ArchOperation;
use crate::user::UserPtr;

/// _exit(2), the system call `exit`: ends the thread.
///
/// # Differences from Linux
/// None.
pub(crate) fn exit(cx: &Context<'_>, status: i32) -> Result<Outcome> {
    cx.thread.set_exit_status(status);
    Ok(Outcome::Ended)
}

/// exit_group(2): ends the process.
///
/// # Differences from Linux
/// None.
pub(crate) fn exit_group(cx: &Context<'_>, status: i32) -> Result<Outcome> {
    cx.process.begin_exit(ExitStatus::Exited(status));
    Ok(Outcome::Ended)
}

/// personality(2): sets what programs are to find; returns what it was before.
///
/// # Differences from Linux
/// Of the flags, `ADDR_NO_RANDOMIZE` and `STICKY_TIMEOUTS` have an effect; the others and the
/// execution domain are kept and told.
pub(crate) fn personality(cx: &Context<'_>, new: u32) -> Result<u32> {
    /// Only asks.
    const QUERY: u32 = u32::MAX;
    let mut properties = cx.process.properties.lock();
    let old = properties.personality;
    if new != QUERY {
        properties.personality = new;
    }
    Ok(old)
}

/// Operations of arch_prctl(2).
pub(super) const ARCH_SET_GS: i32 = 0x1001;
pub(super) const ARCH_SET_FS: i32 = 0x1002;
pub(super) const ARCH_GET_FS: i32 = 0x1003;
pub(super) const ARCH_GET_GS: i32 = 0x1004;
const ARCH_GET_CPUID: i32 = 0x1011;
const ARCH_SET_CPUID: i32 = 0x1012;

/// arch_prctl(2): the bases of the segments FS and GS.
///
/// # Differences from Linux
/// Only these two, and that CPUID cannot be made to fault; the other operations are `EINVAL`, as
/// on a processor without the feature.
pub(crate) fn arch_prctl(
    cx: &Context<'_>,
    operation: ArchOperation,
    to: UserPtr<u64>,
) -> Result<u32> {
    let machine = cx.thread.machine();
    let address = to.address();
    match operation.0 {
        ARCH_SET_FS | ARCH_SET_GS if address >= TASK_SIZE => {
            Err(Errno::EPERM.because("not an address of the application"))
        }
        ARCH_SET_FS => {
            machine.set_fs_base(address);
            Ok(0)
        }
        ARCH_SET_GS => {
            machine.set_gs_base(address);
            Ok(0)
        }
        ARCH_GET_FS => to.write(cx, &machine.fs_base()).map(|()| 0),
        ARCH_GET_GS => to.write(cx, &machine.gs_base()).map(|()| 0),
        ARCH_GET_CPUID => Ok(1),
        ARCH_SET_CPUID => Err(Errno::ENODEV.because("the processor cannot refuse CPUID")),
        _ => Err(Errno::EINVAL.because("no such operation on this processor")),
    }
}

/// set_tid_address(2): where to write 0 when the thread ends; returns its number.
///
/// # Differences from Linux
/// None.
pub(crate) fn set_tid_address(cx: &Context<'_>, address: UserPtr<u32>) -> Result<u32> {
    cx.thread.set_clear_id_at(address.address());
    Ok(cx.shown_id(cx.thread.id()))
}

/// rseq(2): registers the thread's structure of restartable sequences.
///
/// # Differences from Linux
/// On a machine with several processors, `ENOSYS`.
pub(crate) fn rseq(
    cx: &Context<'_>,
    structure: UserPtr<u8>,
    len: u32,
    flags: i32,
    signature: u32,
) -> Result<()> {
    cx.thread.rseq.change(cx, structure.address(), len, flags, signature)
}

/// Size of `struct robust_list_head`, in bytes.
const ROBUST_LIST_HEAD_LEN: u64 = 24;

/// set_robust_list(2): where the thread keeps its list of robust futexes.
///
/// # Differences from Linux
/// None.
pub(crate) fn set_robust_list(cx: &Context<'_>, head: UserPtr<u64>, len: u64) -> Result<()> {
    if len != ROBUST_LIST_HEAD_LEN {
        return Err(Errno::EINVAL.because("the head of a robust list has 24 bytes"));
    }
    cx.thread.set_robust_list(head.address());
    Ok(())
}

/// get_robust_list(2): where a thread keeps its list of robust futexes.
///
/// # Differences from Linux
/// None.
pub(crate) fn get_robust_list(
    cx: &Context<'_>,
    tid: i32,
    head: UserPtr<u64>,
    len: UserPtr<u64>,
) -> Result<()> {
    let id = if tid == 0 { cx.thread.id() } else { cx.known_id(tid)? };
    let address = if id == cx.thread.id() {
        cx.thread.robust_list()
    } else {
        let thread = cx.system.thread(id);
        let thread = thread.ok_or_else(|| Errno::ESRCH.because("no such thread"))?;
        cx.check_access(thread.process())?;
        thread.robust_list()
    };
    len.write(cx, &ROBUST_LIST_HEAD_LEN)?;
    head.write(cx, &address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, BAD_ADDRESS};

    #[test]
    fn segment_bases_are_the_applications() {
        let kit = kit::process();
        let to = kit.room(8);
        assert_eq!(kit.call("arch_prctl", [0x1002, 0x1234_5678, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("arch_prctl", [0x1003, to, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<u64>(to), 0x1234_5678);
        assert_eq!(kit.call("arch_prctl", [0x1003, BAD_ADDRESS, 0, 0, 0, 0]), Err(Errno::EFAULT));
        assert_eq!(kit.call("arch_prctl", [0x1002, 1 << 63, 0, 0, 0, 0]), Err(Errno::EPERM));
        assert_eq!(kit.call("arch_prctl", [0x3001, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn robust_lists_are_remembered() {
        let kit = kit::process();
        let to = kit.room(16);
        assert_eq!(kit.call("set_robust_list", [77, 24, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("set_robust_list", [77, 23, 0, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("get_robust_list", [0, to, to + 8, 0, 0, 0]), Ok(0));
        assert_eq!(kit.get_value::<[u64; 2]>(to), [77, 24]);
    }
}
