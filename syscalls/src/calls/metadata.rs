//! What files are: stat(2), statx(2), access(2), statfs(2).

use abi::Errno;
use abi::fs::records::{STATX_ATTR_FLAGS, STATX_ATTR_MOUNT_ROOT};
use abi::fs::{
    AT_FDCWD, AccessRequest, AtFlags, FileType, NAME_MAX, Stat, Statfs, Statx, StatxMask,
    StatxTime, mount_flags,
};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::path::{self, Follow};
use crate::fs::{Fd, Location, Timestamp, permission};
use crate::process::credentials::CapabilitySet;
use crate::user::{UserPath, UserPtr};

/// The working directory.
const HERE: Fd = Fd(AT_FDCWD);

/// stat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn stat(cx: &Context<'_>, file: UserPath, to: UserPtr<Stat>) -> Result<()> {
    let found = path::resolve(cx, HERE, file.read(cx)?, Follow::Last)?;
    to.write(cx, &stat_of(cx, &found)?)
}

/// lstat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn lstat(cx: &Context<'_>, file: UserPath, to: UserPtr<Stat>) -> Result<()> {
    let found = path::resolve(cx, HERE, file.read(cx)?, Follow::NotLast)?;
    to.write(cx, &stat_of(cx, &found)?)
}

/// fstat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fstat(cx: &Context<'_>, fd: Fd, to: UserPtr<Stat>) -> Result<()> {
    let open = cx.files().get(fd)?;
    to.write(cx, &stat_of(cx, open.location())?)
}

/// fstatat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn newfstatat(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    to: UserPtr<Stat>,
    flags: AtFlags,
) -> Result<()> {
    check_flags(flags, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH)?;
    let found = path::resolve_at(cx, directory, read_path(cx, file, flags)?, flags)?;
    to.write(cx, &stat_of(cx, &found)?)
}

/// statx(2).
///
/// # Differences from Linux
/// No direct I/O alignment.
pub(crate) fn statx(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    flags: AtFlags,
    mask: StatxMask,
    to: UserPtr<Statx>,
) -> Result<()> {
    let sync = AtFlags::STATX_FORCE_SYNC | AtFlags::STATX_DONT_SYNC;
    check_flags(
        flags,
        AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH | sync,
    )?;
    if mask.contains(StatxMask::RESERVED) || flags.contains(sync) {
        return Err(Errno::EINVAL.because("a reserved bit of the mask, or both kinds of sync"));
    }
    let found = path::resolve_at(cx, directory, read_path(cx, file, flags)?, flags)?;
    to.write(cx, &statx_of(cx, &found, mask)?)
}

/// The path; null is as good as empty where an empty one is allowed.
pub(super) fn read_path(
    cx: &Context<'_>,
    path: UserPath,
    flags: AtFlags,
) -> Result<alloc::vec::Vec<u8>> {
    if flags.contains(AtFlags::EMPTY_PATH) {
        return Ok(path.read_if_any(cx)?.unwrap_or_default());
    }
    path.read(cx)
}

pub(super) fn check_flags(flags: AtFlags, known: AtFlags) -> Result<()> {
    if !known.contains(flags) {
        return Err(Errno::EINVAL.because("flags are not known"));
    }
    Ok(())
}

fn stat_of(cx: &Context<'_>, found: &Location) -> Result<Stat> {
    let inode = found.inode();
    let metadata = inode.metadata()?;
    let (owner, group) = cx.shown_owner(metadata.owner, metadata.group);
    Ok(Stat {
        dev: inode.file_system().device().encode(),
        ino: metadata.number,
        nlink: metadata.links,
        mode: metadata.mode_bits(),
        uid: owner,
        gid: group,
        rdev: metadata.device.encode(),
        size: metadata.size as i64,
        blksize: i64::from(metadata.block_size),
        blocks: metadata.blocks as i64,
        atime: metadata.accessed.seconds,
        atime_nsec: u64::from(metadata.accessed.nanoseconds),
        mtime: metadata.modified.seconds,
        mtime_nsec: u64::from(metadata.modified.nanoseconds),
        ctime: metadata.changed.seconds,
        ctime_nsec: u64::from(metadata.changed.nanoseconds),
        ..Stat::default()
    })
}

fn statx_of(cx: &Context<'_>, found: &Location, mask: StatxMask) -> Result<Statx> {
    let inode = found.inode();
    let metadata = inode.metadata()?;
    let device = inode.file_system().device();
    let mut given = StatxMask::BASIC_STATS | StatxMask::BTIME | StatxMask::MNT_ID;
    if mask.contains(StatxMask::MNT_ID_UNIQUE) {
        given = given.difference(StatxMask::MNT_ID) | StatxMask::MNT_ID_UNIQUE;
    }
    let possible = u64::from(inode.possible_flags().bits());
    let known = metadata.flags.map_or(0, |_| STATX_ATTR_FLAGS & possible);
    let direct = mask.contains(StatxMask::DIOALIGN).then(|| direct_alignment(cx, found)).flatten();
    given.set(StatxMask::DIOALIGN, direct.is_some());
    let [dio_mem_align, dio_offset_align] = direct.unwrap_or_default();
    let (owner, group) = cx.shown_owner(metadata.owner, metadata.group);
    let attributes = metadata.flags.map_or(0, |flags| u64::from(flags.bits())) & known;
    Ok(Statx {
        mask: given.bits(),
        blksize: metadata.block_size,
        attributes: attributes | if found.is_mount_root() { STATX_ATTR_MOUNT_ROOT } else { 0 },
        attributes_mask: known | STATX_ATTR_MOUNT_ROOT,
        nlink: u32::try_from(metadata.links).unwrap_or(u32::MAX),
        uid: owner,
        gid: group,
        mode: metadata.mode_bits() as u16,
        ino: metadata.number,
        size: metadata.size,
        blocks: metadata.blocks,
        atime: statx_time(metadata.accessed),
        btime: statx_time(metadata.created),
        ctime: statx_time(metadata.changed),
        mtime: statx_time(metadata.modified),
        rdev_major: metadata.device.major,
        rdev_minor: metadata.device.minor,
        dev_major: device.major,
        dev_minor: device.minor,
        dio_mem_align,
        dio_offset_align,
        mnt_id: match given.contains(StatxMask::MNT_ID_UNIQUE) {
            true => found.mount.unique_id(),
            false => u64::from(found.mount.id()),
        },
        ..Statx::default()
    })
}

/// How transfers past all caches have to be aligned; `None` where there are none.
fn direct_alignment(cx: &Context<'_>, found: &Location) -> Option<[u32; 2]> {
    match found.inode().kind() {
        FileType::BlockDevice => {
            let device = found.inode().metadata().ok()?.device;
            cx.system.vfs.loops.direct_alignment(device)
        }
        _ => found.inode().direct_alignment(),
    }
}

fn statx_time(time: Timestamp) -> StatxTime {
    StatxTime { sec: time.seconds, nsec: time.nanoseconds, reserved: 0 }
}

/// access(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn access(cx: &Context<'_>, file: UserPath, request: AccessRequest) -> Result<()> {
    faccessat2(cx, HERE, file, request, AtFlags::empty())
}

/// faccessat(2) without flags.
///
/// # Differences from Linux
/// None.
pub(crate) fn faccessat(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    request: AccessRequest,
) -> Result<()> {
    faccessat2(cx, directory, file, request, AtFlags::empty())
}

/// faccessat2(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn faccessat2(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    request: AccessRequest,
    flags: AtFlags,
) -> Result<()> {
    if !AccessRequest::all().contains(request) {
        return Err(Errno::EINVAL.because("the mode is not valid"));
    }
    check_flags(flags, AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH)?;
    let found = path::resolve_at(cx, directory, read_path(cx, file, flags)?, flags)?;
    let metadata = found.inode().metadata()?;
    let mut who = cx.credentials();
    if !flags.contains(AtFlags::EACCESS) {
        let real = alloc::sync::Arc::make_mut(&mut who);
        real.users.file_system = real.users.real;
        real.groups.file_system = real.groups.real;
        let is_root = Some(real.users.real) == real.root_user();
        real.effective = if is_root { real.permitted } else { CapabilitySet::EMPTY };
    }
    if request.contains(AccessRequest::EXECUTE)
        && metadata.kind == FileType::Regular
        && found.mount.flags() & mount_flags::ST_NOEXEC != 0
    {
        return Err(Errno::EACCES.because("the file system is mounted without execution"));
    }
    permission::check(&who, &metadata, request)?;
    let writes = request.contains(AccessRequest::WRITE) && !metadata.kind.is_device();
    if writes && !matches!(metadata.kind, FileType::Fifo | FileType::Socket) {
        found.mount.check_writable()?;
    }
    Ok(())
}

/// statfs(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn statfs(cx: &Context<'_>, file: UserPath, to: UserPtr<Statfs>) -> Result<()> {
    let found = path::resolve(cx, HERE, file.read(cx)?, Follow::Last)?;
    to.write(cx, &statfs_of(&found))
}

/// fstatfs(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fstatfs(cx: &Context<'_>, fd: Fd, to: UserPtr<Statfs>) -> Result<()> {
    let open = cx.files().get(fd)?;
    to.write(cx, &statfs_of(open.location()))
}

fn statfs_of(found: &Location) -> Statfs {
    let file_system = found.inode().file_system();
    let usage = file_system.usage();
    let page = match usage.block_size {
        0 => abi::PAGE_SIZE as i64,
        size => size.into(),
    };
    Statfs {
        kind: i64::from(usage.magic),
        bsize: page,
        blocks: usage.pages,
        bfree: usage.free_pages,
        bavail: usage.free_pages.saturating_sub(usage.reserved_pages),
        files: usage.inodes,
        ffree: usage.free_inodes,
        fsid: [file_system.device().encode() as i32, 0],
        namelen: NAME_MAX as i64,
        frsize: page,
        flags: (found.mount.flags() | mount_flags::ST_VALID) as i64,
        ..Statfs::default()
    }
}
