//! Shared memory of System V.

use abi::Errno;
use abi::ipc::{self, AttachFlags, GetFlags, SharedMemoryStatus};
use abi::memory::{MapFlags, Protection};
use abi::process::Resource;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::ipc::{Asked, Permission, is_privileged};
use crate::mm::{Address, MapRequest, MapSource};
use crate::named::SharedMemoryCommand;
use crate::process::Capability;
use crate::user::UserPtr;

use super::memory::lock_limit;

/// shmget(2): finds or makes a segment.
///
/// # Differences from Linux
/// There are no huge pages to reserve, so `SHM_HUGETLB` is `ENOMEM`.
pub(crate) fn shmget(cx: &Context<'_>, key: i32, len: u64, flags: u32) -> Result<i32> {
    cx.ipc().segments.get(cx, key, len, GetFlags::from_bits_retain(flags))
}

/// shmat(2): attaches a segment; returns its address.
///
/// # Differences from Linux
/// None.
pub(crate) fn shmat(cx: &Context<'_>, number: i32, address: Address, flags: u32) -> Result<u64> {
    let flags = AttachFlags::from_bits_retain(flags);
    let address = place(address.value(), flags)?;
    let (mut asked, mut protection) = (Asked::READ, Protection::READ);
    if !flags.contains(AttachFlags::RDONLY) {
        (asked, protection) = (Asked::READ_WRITE, protection | Protection::WRITE);
    }
    if flags.contains(AttachFlags::EXEC) {
        asked.0 |= 0o111;
        protection |= Protection::EXEC;
    }
    let attach = cx.ipc().segments.attach(cx, number, asked)?;
    let mut how = MapFlags::SHARED;
    if address != 0 {
        let replaces = flags.contains(AttachFlags::REMAP);
        how |= if replaces { MapFlags::FIXED } else { MapFlags::FIXED_NOREPLACE };
    }
    let request = MapRequest {
        address,
        len: attach.len,
        protection,
        flags: how,
        source: MapSource::Memory(attach.memory, attach.allowed),
        lock_limit: lock_limit(cx),
    };
    let address = cx.memory().map(&request).map_err(|error| match error.errno {
        Errno::EEXIST => Errno::EINVAL.because("something is mapped there"),
        _ => error,
    })?;
    cx.ipc().segments.was_attached(cx, number);
    Ok(address)
}

/// Where the segment goes; 0 for anywhere.
fn place(address: u64, flags: AttachFlags) -> Result<u64> {
    let offset = address % abi::PAGE_SIZE as u64;
    if offset != 0 && !flags.contains(AttachFlags::RND) {
        return Err(Errno::EINVAL.because("the address is not a multiple of the page size"));
    }
    if address - offset == 0 && flags.contains(AttachFlags::REMAP) {
        return Err(Errno::EINVAL.because("SHM_REMAP without an address"));
    }
    Ok(address - offset)
}

/// shmdt(2): detaches the segment that was attached at an address.
///
/// # Differences from Linux
/// Only this call, not munmap(2) or the end of a process, sets the time of the last detach.
pub(crate) fn shmdt(cx: &Context<'_>, address: Address) -> Result<()> {
    let number = cx.memory().detach(address.value())?;
    cx.ipc().segments.was_detached(cx, number);
    Ok(())
}

/// shmctl(2): tells of segments and changes them.
///
/// # Differences from Linux
/// As nothing is swapped out, a lock is only a mark.
pub(crate) fn shmctl(
    cx: &Context<'_>,
    number: i32,
    command: SharedMemoryCommand,
    argument: Address,
) -> Result<i32> {
    let segments = &cx.ipc().segments;
    let address = argument.value();
    if number < 0 || command.0 < 0 {
        return Err(Errno::EINVAL.because("a negative number"));
    }
    match command.0 {
        ipc::IPC_INFO => {
            let (limits, highest) = segments.limits(&cx.ipc().limits());
            UserPtr::new(address).write(cx, &limits)?;
            Ok(highest)
        }
        ipc::SHM_INFO => {
            let (usage, highest) = segments.usage();
            UserPtr::new(address).write(cx, &usage)?;
            Ok(highest)
        }
        ipc::IPC_STAT => {
            UserPtr::new(address).write(cx, &segments.status(cx, number, Asked::READ)?)?;
            Ok(0)
        }
        ipc::SHM_STAT | ipc::SHM_STAT_ANY => {
            let number = segments.at(number)?;
            let asked = if command.0 == ipc::SHM_STAT { Asked::READ } else { Asked(0) };
            UserPtr::new(address).write(cx, &segments.status(cx, number, asked)?)?;
            Ok(number)
        }
        ipc::IPC_SET => {
            let new: SharedMemoryStatus = UserPtr::new(address).read(cx)?;
            segments.set(cx, number, &new.permission).map(|()| 0)
        }
        ipc::IPC_RMID => segments.remove(cx, number).map(|()| 0),
        ipc::SHM_LOCK | ipc::SHM_UNLOCK => {
            let locks = command.0 == ipc::SHM_LOCK;
            let who = cx.credentials();
            let limit = cx.process.limits().current(Resource::LockedMemory);
            let may = |permission: &Permission| {
                let owner_may = permission.belongs_to(&who) && (!locks || limit != 0);
                owner_may || is_privileged(cx, Capability::IpcLock)
            };
            segments.set_locked(number, locks, may).map(|()| 0)
        }
        _ => Err(Errno::EINVAL.because("an unknown command")),
    }
}
