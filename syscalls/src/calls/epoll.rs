//! epoll(7).

use alloc::sync::Arc;

use abi::Errno;
use abi::events::{EpollEvent, epoll_ctl as operation};
use abi::fs::OpenFlags;
use abi::poll::SizedMask;
use abi::time::Timespec;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::events::Epoll;
use crate::fs::{Fd, OnExec, OpenFile};
use crate::named::EpollOperation;
use crate::user::UserPtr;

use super::{open, poll};

/// Most events that one call can ask for (`EP_MAX_EVENTS`).
const MAX_EVENTS: i32 = i32::MAX / size_of::<EpollEvent>() as i32;

/// epoll_create(2): makes an epoll instance. The size has no meaning.
///
/// # Differences from Linux
/// None.
pub(crate) fn epoll_create(cx: &Context<'_>, size: i32) -> Result<i32> {
    if size <= 0 {
        return Err(Errno::EINVAL.because("the size is not positive"));
    }
    epoll_create1(cx, OpenFlags::empty())
}

/// epoll_create1(2): makes an epoll instance, with flags.
///
/// # Differences from Linux
/// None.
pub(crate) fn epoll_create1(cx: &Context<'_>, flags: OpenFlags) -> Result<i32> {
    if !OpenFlags::CLOEXEC.contains(flags) {
        return Err(Errno::EINVAL.because("flags other than EPOLL_CLOEXEC"));
    }
    open::add(cx, Epoll::open(), 0, OnExec::of(flags))
}

/// epoll_ctl(2): says which files an epoll instance watches, and for what.
///
/// # Differences from Linux
/// `EPOLLWAKEUP` has no effect: the machine is never suspended. The number of files that a user
/// watches is limited by the descriptors only.
pub(crate) fn epoll_ctl(
    cx: &Context<'_>,
    epoll: Fd,
    operation: EpollOperation,
    fd: Fd,
    event: UserPtr<EpollEvent>,
) -> Result<()> {
    let event = match operation.0 {
        operation::DEL => EpollEvent::default(),
        _ => event.read(cx)?,
    };
    let instance = cx.files().get(epoll)?;
    let open = cx.files().get(fd)?;
    if instance.is_path() || open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    if !open.file.can_be_watched() {
        return Err(Errno::EPERM.because("the file cannot be watched"));
    }
    if Arc::ptr_eq(&instance, &open) {
        return Err(Errno::EINVAL.because("an instance does not watch itself"));
    }
    let instance = instance_of(&instance)?;
    match operation.0 {
        operation::ADD => instance.add(cx, fd, &open, event),
        operation::MOD => instance.modify(fd, &open, event),
        operation::DEL => instance.delete(fd, &open),
        _ => Err(Errno::EINVAL.because("no such operation")),
    }
}

fn instance_of(open: &OpenFile) -> Result<&Arc<Epoll>> {
    open.file.epoll().ok_or_else(|| Errno::EINVAL.because("not an epoll instance"))
}

/// epoll_wait(2): waits for events of the files that an instance watches, up to a time in
/// milliseconds.
///
/// # Differences from Linux
/// None.
pub(crate) fn epoll_wait(
    cx: &Context<'_>,
    epoll: Fd,
    events: UserPtr<EpollEvent>,
    count: i32,
    timeout_ms: i32,
) -> Result<usize> {
    wait(cx, epoll, events, count, poll::deadline_of_ms(cx, timeout_ms))
}

/// epoll_pwait(2): as epoll_wait(2), with another signal mask meanwhile.
///
/// # Differences from Linux
/// None.
pub(crate) fn epoll_pwait(
    cx: &Context<'_>,
    epoll: Fd,
    events: UserPtr<EpollEvent>,
    count: i32,
    timeout_ms: i32,
    mask: UserPtr<u64>,
    mask_size: u64,
) -> Result<usize> {
    poll::set_mask(cx, SizedMask { mask: mask.address(), size: mask_size })?;
    epoll_wait(cx, epoll, events, count, timeout_ms)
}

/// epoll_pwait2(2): as epoll_pwait(2), with a finer timeout.
///
/// # Differences from Linux
/// None.
pub(crate) fn epoll_pwait2(
    cx: &Context<'_>,
    epoll: Fd,
    events: UserPtr<EpollEvent>,
    count: i32,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<u64>,
    mask_size: u64,
) -> Result<usize> {
    let deadline_ns = poll::read_timespec(cx, timeout)?;
    poll::set_mask(cx, SizedMask { mask: mask.address(), size: mask_size })?;
    wait(cx, epoll, events, count, deadline_ns)
}

fn wait(
    cx: &Context<'_>,
    epoll: Fd,
    events: UserPtr<EpollEvent>,
    count: i32,
    deadline_ns: Option<u64>,
) -> Result<usize> {
    let count = usize::try_from(count).ok().filter(|_| (1..=MAX_EVENTS).contains(&count));
    let count = count.ok_or_else(|| Errno::EINVAL.because("no sensible number of events"))?;
    let end = events.address().checked_add((count * size_of::<EpollEvent>()) as u64);
    if end.is_none_or(|end| end > abi::TASK_SIZE) {
        return Err(Errno::EFAULT.because("not an address of the application"));
    }
    let open = cx.files().get(epoll)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    instance_of(&open)?.wait(cx, events, count, deadline_ns)
}
