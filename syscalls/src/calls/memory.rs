//! Memory mappings.

use abi::fs::mount_flags;
use abi::memory::{Advice, LockAllFlags, LockFlags, MapFlags, Protection, RemapFlags, SyncFlags};
use abi::process::{RLIM_INFINITY, Resource};
use abi::{Errno, PAGE_SIZE, TASK_SIZE};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::Fd;
use crate::mm::{Address, AreaFlags, MapRequest, MapSource, RemapRequest};
use crate::process::Capability;
use crate::user::UserPtr;

/// brk(2): moves the program break; returns where it is then.
///
/// # Differences from Linux
/// None.
pub(crate) fn brk(cx: &Context<'_>, address: Address) -> Result<u64> {
    Ok(cx.memory().move_program_break(address.value(), lock_limit(cx)))
}

/// mmap(2): maps a file or memory of zeros.
///
/// # Differences from Linux
/// There are no huge pages to reserve, so `MAP_HUGETLB` is `ENOMEM`. Nothing can be mapped
/// below 64 KiB, whatever the privileges.
pub(crate) fn mmap(
    cx: &Context<'_>,
    address: Address,
    len: u64,
    protection: Protection,
    flags: MapFlags,
    fd: Fd,
    offset: Address,
) -> Result<u64> {
    if !offset.value().is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL.because("the offset is not a multiple of the page size"));
    }
    let source = if flags.contains(MapFlags::ANONYMOUS) {
        MapSource::Anonymous
    } else {
        let file = cx.files().get(fd)?;
        if file.is_path() {
            return Err(Errno::EBADF.because("the descriptor only names a place"));
        }
        let executes = protection.contains(Protection::EXEC);
        if executes && file.location().mount.has(mount_flags::ST_NOEXEC) {
            return Err(Errno::EPERM.because("the file system is mounted without execution"));
        }
        match file.file.memory(offset.value()) {
            Some(memory) => MapSource::Memory(memory?, Protection::READ | Protection::WRITE),
            None if file.file.maps_as_anonymous() => MapSource::Zeros(file),
            None => MapSource::File(file, offset.value()),
        }
    };
    if flags.contains(MapFlags::HUGETLB) {
        return Err(match source {
            MapSource::Anonymous | MapSource::Zeros(_) => {
                Errno::ENOMEM.because("no huge pages are reserved")
            }
            MapSource::File(..) | MapSource::Memory(..) => {
                Errno::EINVAL.because("not a file of huge pages")
            }
        });
    }
    let request = MapRequest {
        address: address.value(),
        len,
        protection,
        flags,
        source,
        lock_limit: lock_limit(cx),
    };
    cx.memory().map(&request)
}

/// munmap(2): unmaps what is in a range.
///
/// # Differences from Linux
/// None.
pub(crate) fn munmap(cx: &Context<'_>, address: Address, len: u64) -> Result<()> {
    cx.memory().unmap(address.value(), len)
}

/// mprotect(2): changes what may be done with memory.
///
/// # Differences from Linux
/// None.
pub(crate) fn mprotect(
    cx: &Context<'_>,
    address: Address,
    len: u64,
    protection: Protection,
) -> Result<()> {
    cx.memory().protect(address.value(), len, protection)
}

/// mremap(2): changes length or address of a mapping.
///
/// # Differences from Linux
/// None.
pub(crate) fn mremap(
    cx: &Context<'_>,
    address: Address,
    len: u64,
    new_len: u64,
    flags: RemapFlags,
    new_address: Address,
) -> Result<u64> {
    let request = RemapRequest {
        address: address.value(),
        len,
        new_len,
        flags,
        new_address: new_address.value(),
        lock_limit: lock_limit(cx),
    };
    cx.memory().remap(&request)
}

/// madvise(2): says how memory will be used.
///
/// # Differences from Linux
/// `MADV_FREE` frees at once. `MADV_COLLAPSE` is `EINVAL`, for there are no huge pages.
pub(crate) fn madvise(cx: &Context<'_>, address: Address, len: u64, advice: i32) -> Result<()> {
    let advice =
        Advice::from_number(advice).ok_or_else(|| Errno::EINVAL.because("unknown advice"))?;
    cx.memory().advise(address.value(), len, advice)
}

/// msync(2): stores what was written to mapped files.
///
/// # Differences from Linux
/// None.
pub(crate) fn msync(cx: &Context<'_>, address: Address, len: u64, flags: SyncFlags) -> Result<()> {
    cx.memory().sync(address.value(), len, flags)
}

/// mseal(2): keeps mappings as they are.
///
/// # Differences from Linux
/// None.
pub(crate) fn mseal(cx: &Context<'_>, address: Address, len: u64, flags: u64) -> Result<()> {
    if flags != 0 {
        return Err(Errno::EINVAL.because("there are no flags"));
    }
    cx.memory().seal(address.value(), len)
}

/// remap_file_pages(2): shows other pages of the object in a part of a shared mapping.
///
/// # Differences from Linux
/// Pages are filled whatever `MAP_NONBLOCK` says.
pub(crate) fn remap_file_pages(
    cx: &Context<'_>,
    address: Address,
    len: u64,
    protection: Protection,
    offset: u64,
    _flags: MapFlags,
) -> Result<()> {
    if !protection.is_empty() {
        return Err(Errno::EINVAL.because("the protection stays as it is"));
    }
    cx.memory().remap_pages(address.value(), len, offset)
}

/// mincore(2): says which pages are in memory.
///
/// # Differences from Linux
/// All pages of files are in memory.
pub(crate) fn mincore(cx: &Context<'_>, address: Address, len: u64, to: UserPtr<u8>) -> Result<()> {
    let page = PAGE_SIZE as u64;
    if !address.value().is_multiple_of(page) {
        return Err(Errno::EINVAL.because("the address is not a multiple of the page size"));
    }
    if address.value().checked_add(len).is_none_or(|end| end > TASK_SIZE) {
        return Err(Errno::ENOMEM.because("beyond the end of the address space"));
    }
    let memory = cx.memory();
    let pages = len.div_ceil(page);
    let mut chunk = [0; 256];
    let mut done = 0;
    while done < pages {
        let part = &mut chunk[..(pages - done).min(256) as usize];
        memory.residency(address.value() + done * page, part)?;
        memory.write(to.address().wrapping_add(done), part)?;
        done += part.len() as u64;
    }
    Ok(())
}

/// mlock(2): locks pages in memory.
///
/// # Differences from Linux
/// None: nothing is swapped out, a lock fills the pages and counts.
pub(crate) fn mlock(cx: &Context<'_>, address: Address, len: u64) -> Result<()> {
    cx.memory().lock(address.value(), len, AreaFlags::LOCKED, lock_limit(cx))
}

/// mlock2(2): locks pages in memory, perhaps only once they are used.
///
/// # Differences from Linux
/// As [`mlock`].
pub(crate) fn mlock2(cx: &Context<'_>, address: Address, len: u64, flags: LockFlags) -> Result<()> {
    if !LockFlags::ONFAULT.contains(flags) {
        return Err(Errno::EINVAL.because("bad flags"));
    }
    let mut how = AreaFlags::LOCKED;
    how.set(AreaFlags::ON_FAULT, flags.contains(LockFlags::ONFAULT));
    cx.memory().lock(address.value(), len, how, lock_limit(cx))
}

/// munlock(2): unlocks pages.
///
/// # Differences from Linux
/// None.
pub(crate) fn munlock(cx: &Context<'_>, address: Address, len: u64) -> Result<()> {
    cx.memory().unlock(address.value(), len)
}

/// mlockall(2): locks all memory.
///
/// # Differences from Linux
/// As [`mlock`].
pub(crate) fn mlockall(cx: &Context<'_>, flags: LockAllFlags) -> Result<()> {
    cx.memory().lock_all(flags, lock_limit(cx))
}

/// munlockall(2): unlocks all memory.
///
/// # Differences from Linux
/// None.
pub(crate) fn munlockall(cx: &Context<'_>) -> Result<()> {
    cx.memory().unlock_all();
    Ok(())
}

/// How much memory the caller may lock, in bytes.
pub(super) fn lock_limit(cx: &Context<'_>) -> u64 {
    if cx.credentials().has(Capability::IpcLock) {
        return RLIM_INFINITY;
    }
    cx.process.limits().current(Resource::LockedMemory)
}
