//! Descriptors of processes: pidfd_open(2) and its kin.

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::OpenFlags;
use abi::signal::{SigInfo, si};

use crate::args::SignalNumber;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Fd, OnExec, procfs};
use crate::process::Process;
use crate::process::descriptor::{ProcessFile, process_of};
use crate::signal::{Target, info};
use crate::user::UserPtr;

use super::open;

/// pidfd_open(2): a descriptor that refers to a process.
///
/// # Differences from Linux
/// Single threads have none: `PIDFD_THREAD` is `EINVAL`.
pub(crate) fn pidfd_open(cx: &Context<'_>, pid: i32, flags: OpenFlags) -> Result<i32> {
    if !OpenFlags::NONBLOCK.contains(flags) {
        return Err(Errno::EINVAL.because("flags other than PIDFD_NONBLOCK"));
    }
    let id = u32::try_from(pid).ok().filter(|&id| id > 0);
    let id = id.ok_or_else(|| Errno::EINVAL.because("not the number of a process"))?;
    let id = cx.outside_id(id).ok_or_else(|| Errno::ESRCH.because("no such process"))?;
    match cx.system.processes.get(id) {
        Some(process) => open::add(cx, ProcessFile::open(process, flags), 0, OnExec::Close),
        None if cx.system.thread(id).is_some() => {
            Err(Errno::EINVAL.because("the number of a thread"))
        }
        None => Err(Errno::ESRCH.because("no such process")),
    }
}

/// pidfd_send_signal(2): sends a signal to the process that a descriptor refers to.
///
/// # Differences from Linux
/// There are no flags.
pub(crate) fn pidfd_send_signal(
    cx: &Context<'_>,
    fd: Fd,
    number: SignalNumber,
    from: UserPtr<SigInfo>,
    flags: u32,
) -> Result<()> {
    if flags != 0 {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let process = target_of(cx, fd)?;
    let signal = number.signal_if_any()?;
    let user = cx.credentials().users.real;
    let target = Target::Process(&process);
    let sent = match from.non_null() {
        Some(from) => Some(target.claimed(cx, checked(cx, from.read(cx)?, number, &process)?)),
        None => signal
            .map(|signal| target.translated(info::user(signal, si::USER, cx.process.id(), user))),
    };
    let known = cx.system.processes.get(process.id());
    if !known.is_some_and(|known| Arc::ptr_eq(&known, &process)) {
        return Err(Errno::ESRCH.because("the process has ended"));
    }
    target.permit(cx, signal)?;
    match (signal, sent) {
        (Some(signal), Some(sent)) => Ok(target.send(signal, sent)?),
        _ => Ok(()),
    }
}

/// The process that a descriptor refers to, which may also be its directory in /proc.
fn target_of(cx: &Context<'_>, fd: Fd) -> Result<Arc<Process>> {
    let open = cx.files().get(fd)?;
    match procfs::process_of(&**open.file.inode()) {
        Some(process) if !open.is_path() => {
            process.upgrade().ok_or_else(|| Errno::ESRCH.because("the process has ended"))
        }
        _ => process_of(cx, fd).map(|(process, _)| process),
    }
}

/// What the caller says of the signal: only to itself it may say anything.
fn checked(
    cx: &Context<'_>,
    told: SigInfo,
    number: SignalNumber,
    process: &Process,
) -> Result<SigInfo> {
    if told.signo != number.0 {
        return Err(Errno::EINVAL.because("the information is of another signal"));
    }
    let is_own = process.id() == cx.process.id();
    if !is_own && (told.code >= 0 || told.code == si::TKILL) {
        return Err(Errno::EPERM.because("the code is the kernel's or tkill's"));
    }
    Ok(told)
}

/// pidfd_getfd(2): a duplicate of a descriptor of another process.
///
/// # Differences from Linux
/// None.
pub(crate) fn pidfd_getfd(cx: &Context<'_>, fd: Fd, wanted: Fd, flags: u32) -> Result<i32> {
    if flags != 0 {
        return Err(Errno::EINVAL.because("there are no flags"));
    }
    let (process, _) = process_of(cx, fd)?;
    if process.has_ended() {
        return Err(Errno::ESRCH.because("the process has ended"));
    }
    cx.check_access(&process)?;
    let thread = process.first_thread().ok_or_else(|| Errno::ESRCH.because("it has ended"))?;
    open::add(cx, thread.files().get(wanted)?, 0, OnExec::Close)
}
