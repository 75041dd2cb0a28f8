//! How much is stored: truncate(2), fallocate(2), fsync(2).

use abi::Errno;
use abi::events::InotifyMask;
use abi::fs::{AT_FDCWD, AccessRequest, FallocateFlags, FileType, InodeFlags};
use abi::landlock::AccessFs;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::path::{self, Follow};
use crate::fs::write_access::WriteAccess;
use crate::fs::{Fd, OpenFile, permission};
use crate::landlock;
use crate::user::UserPath;

/// truncate(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn truncate(cx: &Context<'_>, path: UserPath, len: i64) -> Result<()> {
    let len = checked_len(len)?;
    let found = path::resolve(cx, Fd(AT_FDCWD), path.read(cx)?, Follow::Last)?;
    match found.inode().kind() {
        FileType::Regular => {}
        FileType::Directory => return Err(Errno::EISDIR.because("a directory")),
        _ => return Err(Errno::EINVAL.because("not a regular file")),
    }
    found.mount.check_writable()?;
    let metadata = found.inode().metadata()?;
    permission::check(&cx.credentials(), &metadata, AccessRequest::WRITE)?;
    permission::check_not_append_only(&metadata)?;
    permission::check_new_size(cx, len)?;
    let _writing = WriteAccess::begin(&found)?;
    landlock::check(cx, &found, AccessFs::TRUNCATE)?;
    found.inode().truncate(len)?;
    cx.system.notifier.happened(cx.into(), &found, InotifyMask::MODIFY);
    Ok(())
}

/// ftruncate(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn ftruncate(cx: &Context<'_>, fd: Fd, len: i64) -> Result<()> {
    let len = checked_len(len)?;
    let open = usable(cx, fd)?;
    let regular = open.file.inode().kind() == FileType::Regular;
    if !regular || !open.access_mode().can_write() {
        return Err(Errno::EINVAL.because("not a regular file that is open for writing"));
    }
    permission::check_not_append_only(&open.file.inode().metadata()?)?;
    open.check_right(AccessFs::TRUNCATE)?;
    permission::check_new_size(cx, len)?;
    open.file.inode().truncate(len)?;
    cx.system.notifier.happened(cx.into(), open.location(), InotifyMask::MODIFY);
    Ok(())
}

fn checked_len(len: i64) -> Result<u64> {
    u64::try_from(len).map_err(|_| Errno::EINVAL.because("the length is negative"))
}

/// fallocate(2).
///
/// # Differences from Linux
/// The modes that move what is in the file (`FALLOC_FL_COLLAPSE_RANGE`,
/// `FALLOC_FL_INSERT_RANGE`), `FALLOC_FL_ZERO_RANGE` and `FALLOC_FL_UNSHARE_RANGE` are refused with `EOPNOTSUPP`, as
/// by Linux's tmpfs.
pub(crate) fn fallocate(
    cx: &Context<'_>,
    fd: Fd,
    flags: FallocateFlags,
    offset: i64,
    len: i64,
) -> Result<()> {
    allocate(cx, &*cx.files().get(fd)?, flags, (offset, len))
}

/// Changes how much of a file is stored.
///
/// # Errors
/// Those of fallocate(2).
pub(crate) fn allocate(
    cx: &Context<'_>,
    open: &OpenFile,
    flags: FallocateFlags,
    (offset, len): (i64, i64),
) -> Result<()> {
    let (Ok(offset), Ok(len @ 1..)) = (u64::try_from(offset), u64::try_from(len)) else {
        return Err(Errno::EINVAL.because("offset or length is out of range"));
    };
    check_fallocate(flags)?;
    open.check_writable()?;
    let inode = open.file.inode();
    let metadata = inode.metadata()?;
    if metadata.has_flag(InodeFlags::IMMUTABLE) || !FallocateFlags::KEEP_SIZE.contains(flags) {
        permission::check_changeable(&metadata)?;
    }
    match inode.kind() {
        FileType::Fifo => return Err(Errno::ESPIPE.because("a pipe")),
        FileType::Directory => return Err(Errno::EISDIR.because("a directory")),
        FileType::Regular => {}
        _ => return Err(Errno::ENODEV.because("not a regular file")),
    }
    if !flags.contains(FallocateFlags::KEEP_SIZE) {
        permission::check_new_size(cx, offset.saturating_add(len))?;
    }
    inode.allocate(flags, offset, len)
}

fn check_fallocate(flags: FallocateFlags) -> Result<()> {
    use FallocateFlags as F;
    let unsupported = || Errno::EOPNOTSUPP.because("the mode is not supported");
    if !F::all().contains(flags) || flags.contains(F::PUNCH_HOLE | F::ZERO_RANGE) {
        return Err(unsupported());
    }
    if flags.contains(F::PUNCH_HOLE) && !flags.contains(F::KEEP_SIZE) {
        return Err(unsupported());
    }
    Ok(())
}

/// sync(2): what was written in directories of the host and on devices is stored there; all
/// else lives in memory.
///
/// # Differences from Linux
/// Files of the host that were closed so long ago that nothing is known of them any more are
/// left to the host, which has all that was written to them.
pub(crate) fn sync(cx: &Context<'_>) -> Result<()> {
    cx.system.vfs.disks.sync();
    cx.system.vfs.shares.sync();
    Ok(())
}

/// syncfs(2).
///
/// # Differences from Linux
/// As for sync(2).
pub(crate) fn syncfs(cx: &Context<'_>, fd: Fd) -> Result<()> {
    usable(cx, fd)?.file.inode().file_system().sync()
}

/// fsync(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fsync(cx: &Context<'_>, fd: Fd) -> Result<()> {
    usable(cx, fd)?.file.sync()
}

/// fdatasync(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fdatasync(cx: &Context<'_>, fd: Fd) -> Result<()> {
    fsync(cx, fd)
}

fn usable(cx: &Context<'_>, fd: Fd) -> Result<alloc::sync::Arc<OpenFile>> {
    let open = cx.files().get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    Ok(open)
}

/// posix_fadvise(2): files live in memory, and no advice changes that.
///
/// # Differences from Linux
/// None.
pub(crate) fn fadvise64(
    cx: &Context<'_>,
    fd: Fd,
    _offset: i64,
    len: i64,
    advice: u32,
) -> Result<()> {
    /// `POSIX_FADV_NOREUSE`, the last advice there is.
    const ADVICE_MAX: u32 = 5;
    let open = usable(cx, fd)?;
    if open.file.inode().kind() == FileType::Fifo {
        return Err(Errno::ESPIPE.because("a pipe"));
    }
    if len < 0 || advice > ADVICE_MAX {
        return Err(Errno::EINVAL.because("the length is negative or the advice unknown"));
    }
    Ok(())
}

/// readahead(2): files are in memory ahead of any read.
///
/// # Differences from Linux
/// None.
pub(crate) fn readahead(cx: &Context<'_>, fd: Fd, _offset: i64, _count: usize) -> Result<()> {
    let open = usable(cx, fd)?;
    open.check_readable()?;
    match open.file.inode().kind() {
        FileType::Regular | FileType::BlockDevice => Ok(()),
        _ => Err(Errno::EINVAL.because("not a regular file")),
    }
}

/// sync_file_range(2): files live in memory, and there is nothing else to bring them to.
///
/// # Differences from Linux
/// None.
pub(crate) fn sync_file_range(
    cx: &Context<'_>,
    fd: Fd,
    offset: i64,
    len: i64,
    flags: u32,
) -> Result<()> {
    /// The three bits of `SYNC_FILE_RANGE_*`.
    const KNOWN: u32 = 7;
    let open = usable(cx, fd)?;
    if flags & !KNOWN != 0 || offset < 0 || len < 0 || offset.checked_add(len).is_none() {
        return Err(Errno::EINVAL.because("flags are not known or the range is not valid"));
    }
    match open.file.inode().kind() {
        FileType::Regular
        | FileType::BlockDevice
        | FileType::Directory
        | FileType::SymbolicLink => Ok(()),
        _ => Err(Errno::ESPIPE.because("a file without a range to write")),
    }
}
