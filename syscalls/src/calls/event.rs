//! Files that stand for events: eventfd(2), signalfd(2), userfaultfd(2).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::Errno;
use abi::events::EventFlags;
use abi::fs::OpenFlags;
use abi::userfault::UFFD_USER_MODE_ONLY;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::events::counter::Take;
use crate::events::{Counter, SignalFile, userfault};
use crate::fs::{Fd, OnExec, OpenFile};
use crate::process::Capability;
use crate::signal::SignalSet;
use crate::user::UserPtr;

use super::open;

/// eventfd(2): makes a counter that can be waited for.
///
/// # Differences from Linux
/// None.
pub(crate) fn eventfd(cx: &Context<'_>, value: u32) -> Result<i32> {
    eventfd2(cx, value, EventFlags::empty())
}

/// eventfd2(2): makes a counter that can be waited for, with flags.
///
/// # Differences from Linux
/// None.
pub(crate) fn eventfd2(cx: &Context<'_>, value: u32, flags: EventFlags) -> Result<i32> {
    if !EventFlags::all().contains(flags) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let take = if flags.contains(EventFlags::SEMAPHORE) { Take::One } else { Take::All };
    let status = OpenFlags::from_bits_truncate(flags.difference(EventFlags::SEMAPHORE).bits());
    let counter = Arc::new(Counter::new(value, take));
    let opened = Arc::new(OpenFile::new(
        counter,
        OpenFlags::RDWR | status.intersection(OpenFlags::NONBLOCK),
    ));
    open::add(cx, opened, 0, OnExec::of(status))
}

/// signalfd(2): makes a file from which signals are read, or changes which.
///
/// # Differences from Linux
/// An epoll instance hears of the signals of the thread that added the file to it.
pub(crate) fn signalfd(cx: &Context<'_>, fd: Fd, set: UserPtr<u64>, size: u64) -> Result<i32> {
    signalfd4(cx, fd, set, size, OpenFlags::empty())
}

/// signalfd4(2): as signalfd(2), with flags.
///
/// # Differences from Linux
/// As signalfd(2).
pub(crate) fn signalfd4(
    cx: &Context<'_>,
    fd: Fd,
    set: UserPtr<u64>,
    size: u64,
    flags: OpenFlags,
) -> Result<i32> {
    if size != size_of::<u64>() as u64 {
        return Err(Errno::EINVAL.because("a signal set has 8 bytes"));
    }
    let set = SignalSet::blockable(set.read(cx)?);
    if !(OpenFlags::NONBLOCK | OpenFlags::CLOEXEC).contains(flags) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    if fd.0 == -1 {
        let status = OpenFlags::RDWR | flags.intersection(OpenFlags::NONBLOCK);
        let opened = Arc::new(OpenFile::new(Arc::new(SignalFile::new(set)), status));
        return open::add(cx, opened, 0, OnExec::of(flags));
    }
    let opened = cx.files().get(fd)?;
    let file = opened.file.signal_file();
    file.ok_or_else(|| Errno::EINVAL.because("not a file of signals"))?.set(set);
    cx.process.signals.changed.wake_all();
    Ok(fd.0)
}

/// userfaultfd(2): makes a file from which page faults are read that the caller resolves.
///
/// # Differences from Linux
/// Writes can be watched in private anonymous memory only; there are neither
/// `UFFD_FEATURE_WP_ASYNC`, `UFFD_FEATURE_WP_UNPOPULATED` nor huge pages.
pub(crate) fn userfaultfd(cx: &Context<'_>, flags: u32) -> Result<i32> {
    let is_open_to_all = cx.system.all_may_watch_faults.load(Ordering::Relaxed);
    let is_allowed = flags & UFFD_USER_MODE_ONLY != 0
        || is_open_to_all
        || cx.credentials().has(Capability::SysPtrace);
    if !is_allowed {
        return Err(Errno::EPERM.because("faults of system calls need CAP_SYS_PTRACE"));
    }
    userfault::create(cx, flags)
}
