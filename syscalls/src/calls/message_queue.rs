//! Message queues of POSIX.

use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{Mode, OpenFlags};
use abi::ipc::posix::{PRIORITIES, QueueAttributes};
use abi::signal::{SigEvent, sigev};
use abi::time::Timespec;

use crate::args::SignalNumber;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Fd, OnExec};
use crate::ipc::posix::{Notification, queue_of};
use crate::user::{UserPath, UserPtr};

use super::open;

/// mq_open(2): opens or makes a queue of messages.
///
/// # Differences from Linux
/// The file system of the queues cannot be mounted.
pub(crate) fn mq_open(
    cx: &Context<'_>,
    name: UserPath,
    flags: OpenFlags,
    mode: Mode,
    size: UserPtr<QueueAttributes>,
) -> Result<i32> {
    let makes = flags.contains(OpenFlags::CREAT);
    let size = size.non_null().filter(|_| makes).map(|size| size.read(cx)).transpose()?;
    let name = name.read(cx)?;
    let opened = cx.ipc().posix.open(cx, &name, flags, mode, size)?;
    open::add(cx, opened, 0, OnExec::Close)
}

/// mq_unlink(2): takes a queue its name.
///
/// # Differences from Linux
/// None.
pub(crate) fn mq_unlink(cx: &Context<'_>, name: UserPath) -> Result<()> {
    cx.ipc().posix.unlink(cx, &name.read(cx)?)
}

/// mq_timedsend(2): sends a message.
///
/// # Differences from Linux
/// None.
pub(crate) fn mq_timedsend(
    cx: &Context<'_>,
    fd: Fd,
    from: UserPtr<u8>,
    len: usize,
    priority: u32,
    timeout: UserPtr<Timespec>,
) -> Result<()> {
    let deadline_ns = deadline(cx, timeout)?;
    if priority >= PRIORITIES {
        return Err(Errno::EINVAL.because("there is no such priority"));
    }
    let open = cx.files().get(fd)?;
    let queue = queue_of(&open)?;
    open.check_writable()?;
    if len as u64 > queue.message_len() {
        return Err(Errno::EMSGSIZE.because("the message is too long for the queue"));
    }
    let message: Vec<u8> = from.read_array(cx, len)?;
    queue.send(cx, &open, message, priority, deadline_ns)
}

/// mq_timedreceive(2): receives the oldest message of the highest priority; returns its
/// length.
///
/// # Differences from Linux
/// None.
pub(crate) fn mq_timedreceive(
    cx: &Context<'_>,
    fd: Fd,
    to: UserPtr<u8>,
    len: usize,
    priority_to: UserPtr<u32>,
    timeout: UserPtr<Timespec>,
) -> Result<usize> {
    let deadline_ns = deadline(cx, timeout)?;
    let open = cx.files().get(fd)?;
    let queue = queue_of(&open)?;
    open.check_readable()?;
    if (len as u64) < queue.message_len() {
        return Err(Errno::EMSGSIZE.because("the longest message does not fit"));
    }
    let (message, priority) = queue.receive(cx, &open, deadline_ns)?;
    priority_to.non_null().map_or(Ok(()), |to| to.write(cx, &priority))?;
    cx.memory().write(to.address(), &message)?;
    Ok(message.len())
}

/// mq_notify(2): asks to be told when a message comes to an empty queue.
///
/// # Differences from Linux
/// `SIGEV_THREAD`, for which a C library has a socket, is `EINVAL`.
pub(crate) fn mq_notify(cx: &Context<'_>, fd: Fd, how: UserPtr<SigEvent>) -> Result<()> {
    let how = how.non_null().map(|how| how.read(cx)).transpose()?;
    let notification = match how {
        None => None,
        Some(how) => Some(match how.notify {
            sigev::NONE => Notification::Nothing,
            sigev::SIGNAL => match SignalNumber(how.signo).signal_if_any()? {
                Some(signal) => Notification::Signal(signal, how.value),
                None => Notification::Nothing,
            },
            _ => return Err(Errno::EINVAL.because("no such way to tell")),
        }),
    };
    let open = cx.files().get(fd)?;
    queue_of(&open)?.notify(cx, notification)
}

/// mq_getsetattr(2): tells the size and state of a queue, and sets `O_NONBLOCK`.
///
/// # Differences from Linux
/// None.
pub(crate) fn mq_getsetattr(
    cx: &Context<'_>,
    fd: Fd,
    new: UserPtr<QueueAttributes>,
    old: UserPtr<QueueAttributes>,
) -> Result<()> {
    let nonblock = i64::from(OpenFlags::NONBLOCK.bits());
    let new = new.non_null().map(|new| new.read(cx)).transpose()?;
    if new.is_some_and(|new| new.flags & !nonblock != 0) {
        return Err(Errno::EINVAL.because("only O_NONBLOCK can be set"));
    }
    let open = cx.files().get(fd)?;
    let attributes = queue_of(&open)?.attributes();
    let before = if open.is_nonblocking() { nonblock } else { 0 };
    if let Some(new) = new {
        let mut flags = open.flags();
        flags.set(OpenFlags::NONBLOCK, new.flags != 0);
        open.set_flags(flags);
    }
    let told = QueueAttributes { flags: before, ..attributes };
    old.non_null().map_or(Ok(()), |old| old.write(cx, &told))
}

/// The monotonic deadline of a timeout that is a time of day.
fn deadline(cx: &Context<'_>, timeout: UserPtr<Timespec>) -> Result<Option<u64>> {
    let Some(timeout) = timeout.non_null() else {
        return Ok(None);
    };
    let at_ns = timeout.read(cx)?.to_ns();
    let at_ns = at_ns.ok_or_else(|| Errno::EINVAL.because("invalid time"))?;
    let (wall_ns, now_ns) = (cx.system.machine.wall_clock_ns(), cx.system.machine.monotonic_ns());
    Ok(Some(now_ns.saturating_add(at_ns.saturating_sub(wall_ns))))
}
