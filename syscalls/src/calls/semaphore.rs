//! Semaphores of System V.

use abi::Errno;
use abi::ipc::semaphore::{self as command, SemaphoreOperation, SemaphoreStatus};
use abi::ipc::{self, GetFlags};
use abi::time::Timespec;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::ipc::{Asked, Query};
use crate::named::SemaphoreCommand;
use crate::user::UserPtr;

/// semget(2): finds or makes a set of semaphores.
///
/// # Differences from Linux
/// None.
pub(crate) fn semget(cx: &Context<'_>, key: i32, count: i32, flags: u32) -> Result<i32> {
    let limit = cx.ipc().limits().set_len;
    let count = usize::try_from(count).ok().filter(|&count| count as u64 <= limit);
    let count = count.ok_or_else(|| Errno::EINVAL.because("the number is not possible"))?;
    cx.ipc().semaphores.get(cx, key, count, GetFlags::from_bits_retain(flags))
}

/// semop(2): does operations on semaphores of a set, all at once.
///
/// # Differences from Linux
/// None.
pub(crate) fn semop(
    cx: &Context<'_>,
    number: i32,
    operations: UserPtr<SemaphoreOperation>,
    count: usize,
) -> Result<()> {
    semtimedop(cx, number, operations, count, UserPtr::new(0))
}

/// semtimedop(2): semop(2) with a limit of the time to wait.
///
/// # Differences from Linux
/// None.
pub(crate) fn semtimedop(
    cx: &Context<'_>,
    number: i32,
    operations: UserPtr<SemaphoreOperation>,
    count: usize,
    timeout: UserPtr<Timespec>,
) -> Result<()> {
    let timeout = timeout.non_null().map(|timeout| timeout.read(cx)).transpose()?;
    if count as u64 > cx.ipc().limits().operations {
        return Err(Errno::E2BIG.because("too many operations"));
    }
    if count == 0 || number < 0 {
        return Err(Errno::EINVAL.because("no operations, or a negative number"));
    }
    let list = operations.read_array(cx, count)?;
    let timeout_ns = timeout
        .map(|timeout| timeout.to_ns().ok_or_else(|| Errno::EINVAL.because("invalid time")))
        .transpose()?;
    let now_ns = cx.system.machine.monotonic_ns();
    let deadline_ns = timeout_ns.map(|timeout_ns| now_ns.saturating_add(timeout_ns));
    cx.ipc().semaphores.operate(cx, number, list, deadline_ns)
}

/// semctl(2): tells of semaphores and changes them.
///
/// # Differences from Linux
/// None.
pub(crate) fn semctl(
    cx: &Context<'_>,
    number: i32,
    at: i32,
    command: SemaphoreCommand,
    argument: u64,
) -> Result<i32> {
    let semaphores = &cx.ipc().semaphores;
    if number < 0 {
        return Err(Errno::EINVAL.because("a negative number"));
    }
    match command.0 {
        ipc::IPC_INFO | command::SEM_INFO => {
            let limits = cx.ipc().limits();
            let (info, highest) = match command.0 {
                ipc::IPC_INFO => semaphores.limits(&limits),
                _ => semaphores.usage(&limits),
            };
            UserPtr::new(argument).write(cx, &info)?;
            Ok(highest)
        }
        ipc::IPC_STAT => {
            let status = semaphores.status(cx, number, Asked::READ)?;
            UserPtr::new(argument).write(cx, &status)?;
            Ok(0)
        }
        command::SEM_STAT | command::SEM_STAT_ANY => {
            let number = semaphores.at(number)?;
            let is_open = command.0 == command::SEM_STAT_ANY;
            let asked = if is_open { Asked::NOTHING } else { Asked::READ };
            UserPtr::new(argument).write(cx, &semaphores.status(cx, number, asked)?)?;
            Ok(number)
        }
        ipc::IPC_SET => {
            let new: SemaphoreStatus = UserPtr::new(argument).read(cx)?;
            semaphores.set(cx, number, &new.permission).map(|()| 0)
        }
        ipc::IPC_RMID => semaphores.remove(cx, number).map(|()| 0),
        command::GETVAL => semaphores.query(cx, number, at, Query::Value),
        command::GETPID => semaphores.query(cx, number, at, Query::LastUser),
        command::GETNCNT => semaphores.query(cx, number, at, Query::WaitingForGrowth),
        command::GETZCNT => semaphores.query(cx, number, at, Query::WaitingForZero),
        command::SETVAL => semaphores.set_value(cx, number, at, argument as i32).map(|()| 0),
        command::GETALL => {
            let values = semaphores.values(cx, number)?;
            let to = UserPtr::new(argument);
            values
                .iter()
                .enumerate()
                .try_for_each(|(at, value)| to.element(at).write(cx, value))?;
            Ok(0)
        }
        command::SETALL => {
            let count = semaphores.count_to_change(cx, number)?;
            let values = UserPtr::new(argument).read_array(cx, count)?;
            semaphores.set_values(cx, number, &values).map(|()| 0)
        }
        _ => Err(Errno::EINVAL.because("an unknown command")),
    }
}
