//! fanotify(7).

use alloc::sync::Arc;

use abi::Errno;
use abi::fanotify::{FanotifyInit, FanotifyMarkFlags, FanotifyMask};
use abi::fs::{AT_FDCWD, AccessMode, AccessRequest, OpenFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::events::fanotify::{Group, Ignoring, Marked, Target, Wish};
use crate::fs::path::{self, Follow};
use crate::fs::{Fd, Location, OnExec, permission};
use crate::process::Capability;
use crate::user::UserPath;

use super::open;

/// What files of events can be opened with, beside the access mode.
const EVENT_FLAGS: OpenFlags = OpenFlags::LARGEFILE
    .union(OpenFlags::CLOEXEC)
    .union(OpenFlags::APPEND)
    .union(OpenFlags::DSYNC)
    .union(OpenFlags::NOATIME)
    .union(OpenFlags::NONBLOCK)
    .union(OpenFlags::SYNC_BIT);

/// fanotify_init(2): makes a group that has no marks.
///
/// # Differences from Linux
/// There are no events of mounts (`FAN_REPORT_MNT`).
pub(crate) fn fanotify_init(cx: &Context<'_>, flags: u32, event_flags: OpenFlags) -> Result<i32> {
    use FanotifyInit as F;
    let is_privileged = cx.credentials().has(Capability::SysAdmin);
    let unknown = || Errno::EINVAL.because("unknown flags, or flags that exclude each other");
    let may = F::from_bits_truncate(flags);
    let identifies = may.intersects(F::IDENTIFY);
    if !is_privileged && (may.intersects(F::PRIVILEGED) || !identifies) {
        return Err(Errno::EPERM.because("only handles, without privilege"));
    }
    let flags = F::from_bits(flags).ok_or_else(unknown)?;
    let needs = |flag: F, others: F| !flags.contains(flag) || flags.contains(others);
    let is_asked = flags.intersects(F::CLASS);
    let modes = OpenFlags::RDWR | OpenFlags::WRONLY;
    if flags.contains(F::REPORT_PIDFD | F::REPORT_TID)
        || flags.contains(F::CLASS)
        || identifies && is_asked
        || !needs(F::REPORT_NAME, F::REPORT_DIR_FID)
        || !needs(F::REPORT_TARGET_FID, F::REPORT_NAME | F::REPORT_FID)
        || !(EVENT_FLAGS | modes).contains(event_flags)
        || event_flags.access_mode() == AccessMode::Neither
    {
        return Err(unknown());
    }
    let own_process = (!is_privileged).then(|| cx.process.id());
    let opened = Group::open(cx, flags, event_flags, own_process)?;
    let closes = flags.contains(F::CLOEXEC);
    open::add(cx, opened, 0, if closes { OnExec::Close } else { OnExec::Keep })
}

/// fanotify_mark(2): says which events a group wants, and of what.
///
/// # Differences from Linux
/// There are no errors of file systems to hear of, and marks of namespaces of mounts are
/// `EINVAL`.
pub(crate) fn fanotify_mark(
    cx: &Context<'_>,
    fd: Fd,
    flags: u32,
    mask: u64,
    directory: Fd,
    path: UserPath,
) -> Result<()> {
    use FanotifyMarkFlags as F;
    let unknown = || Errno::EINVAL.because("unknown flags, or flags that exclude each other");
    let mask = u32::try_from(mask).map_err(|_| unknown())?;
    let flags = F::from_bits(flags).ok_or_else(unknown)?;
    let mask = FanotifyMask::from_bits(u64::from(mask)).ok_or_else(unknown)?;
    let what = flags.intersection(F::ADD | F::REMOVE | F::FLUSH);
    let is_flush = what == F::FLUSH;
    let flushable = F::FLUSH | F::MOUNT | F::FILESYSTEM;
    if flags.contains(F::MOUNT | F::FILESYSTEM)
        || flags.contains(F::IGNORE | F::IGNORED_MASK)
        || what.bits().count_ones() != 1
        || is_flush && !flushable.contains(flags)
        || !is_flush && mask.is_empty()
        || !FanotifyMask::MARKABLE.contains(mask)
    {
        return Err(unknown());
    }
    let opened = cx.files().get(fd)?;
    if opened.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    let group = opened.file.fanotify();
    let group = group.ok_or_else(|| Errno::EINVAL.because("not a group of fanotify"))?;
    if is_flush {
        group.flush(flags);
        return Ok(());
    }
    check_events(cx, group, flags, mask)?;
    let found = find(cx, flags, directory, path)?;
    check_place(group, flags, mask, &found)?;
    let (target, marked) = target(flags, &found)?;
    let wish = Wish {
        target,
        events: events(flags, mask, &found),
        ignoring: flags.intersects(F::IGNORE | F::IGNORED_MASK).then(|| Ignoring {
            has_conditions: flags.contains(F::IGNORE),
            survives: flags.contains(F::IGNORED_SURV_MODIFY),
        }),
        is_evictable: flags.contains(F::EVICTABLE),
    };
    match what {
        F::ADD => group.mark(cx, marked, &wish),
        _ => group.unmark(&wish),
    }
}

/// Fails where the group cannot hear of these events in such a mark.
fn check_events(
    cx: &Context<'_>,
    group: &Group,
    flags: FanotifyMarkFlags,
    mask: FanotifyMask,
) -> Result<()> {
    use FanotifyMarkFlags as F;
    let is_asked = group.flags().intersects(FanotifyInit::CLASS);
    let is_whole = flags.intersects(F::MOUNT | F::FILESYSTEM);
    let has_handles = group.identifies() && !flags.contains(F::MOUNT);
    let is_wrong = mask.intersects(FanotifyMask::PERMISSIONS) && !is_asked
        || mask.contains(FanotifyMask::FS_ERROR) && !flags.contains(F::FILESYSTEM)
        || flags.contains(F::EVICTABLE) && is_whole
        || mask.intersects(FanotifyMask::INODE_EVENTS) && !has_handles
        || mask.contains(FanotifyMask::RENAME)
            && !group.flags().contains(FanotifyInit::REPORT_NAME);
    if is_wrong {
        return Err(Errno::EINVAL.because("the group cannot hear of such events"));
    }
    let may = cx.credentials().has(Capability::SysAdmin);
    if is_whole && !may {
        return Err(Errno::EPERM.because("mounts and file systems need CAP_SYS_ADMIN"));
    }
    Ok(())
}

fn find(
    cx: &Context<'_>,
    flags: FanotifyMarkFlags,
    directory: Fd,
    path: UserPath,
) -> Result<Location> {
    let dont_follow = flags.contains(FanotifyMarkFlags::DONT_FOLLOW);
    let follow = if dont_follow { Follow::NotLast } else { Follow::Last };
    let found = match path.read_if_any(cx)? {
        None if directory.0 == AT_FDCWD => path::base(cx, directory)?,
        None => cx.files().get(directory)?.location().clone(),
        Some(path) => path::resolve(cx, directory, path, follow)?,
    };
    if flags.contains(FanotifyMarkFlags::ONLYDIR) && !found.is_directory() {
        return Err(Errno::ENOTDIR.because("not a directory"));
    }
    permission::check_inode(cx, found.inode(), AccessRequest::READ)?;
    Ok(found)
}

/// Fails where what was found cannot have such a mark.
fn check_place(
    group: &Group,
    flags: FanotifyMarkFlags,
    mask: FanotifyMask,
    found: &Location,
) -> Result<()> {
    use FanotifyMarkFlags as F;
    let is_whole = flags.intersects(F::MOUNT | F::FILESYSTEM);
    let is_directory = found.is_directory();
    let has_path = found.mount.table().is_some();
    if is_whole && !has_path {
        return Err(Errno::EINVAL.because("the file system cannot be mounted"));
    }
    let is_strict = group.flags().contains(FanotifyInit::REPORT_TARGET_FID)
        || mask.contains(FanotifyMask::RENAME)
        || flags.contains(F::IGNORE);
    let only_directories = FanotifyMask::ENTRIES | FanotifyMask::CONDITIONS;
    if is_strict && !is_whole && !is_directory && mask.intersects(only_directories) {
        return Err(Errno::ENOTDIR.because("only directories have entries"));
    }
    let is_unlimited = flags.contains(F::IGNORE) && !flags.contains(F::IGNORED_SURV_MODIFY);
    if flags.contains(F::ADD) && is_unlimited {
        if is_whole {
            return Err(Errno::EINVAL.because("the whole is never modified"));
        }
        if is_directory {
            return Err(Errno::EISDIR.because("a directory is never modified"));
        }
    }
    if group.identifies() && (!has_path || found.mount.file_system().device().encode() == 0) {
        return Err(Errno::ENODEV.because("the file system has no identity"));
    }
    Ok(())
}

fn target(flags: FanotifyMarkFlags, found: &Location) -> Result<(Target, Marked)> {
    if flags.contains(FanotifyMarkFlags::MOUNT) {
        let mount = &found.mount;
        return Ok((Target::Mount(mount.unique_id()), Marked::Mount(Arc::downgrade(mount))));
    }
    if flags.contains(FanotifyMarkFlags::FILESYSTEM) {
        let device = found.inode().file_system().device();
        return Ok((Target::FileSystem(device), Marked::FileSystem));
    }
    Ok((Target::inode(found.inode())?, Marked::Inode { _kept: found.inode().clone() }))
}

/// What of a mask is kept: what a file has in it, only a directory can say, and the old kind of
/// ignored events has no conditions.
fn events(flags: FanotifyMarkFlags, mask: FanotifyMask, found: &Location) -> FanotifyMask {
    use FanotifyMarkFlags as F;
    let mut mask = mask;
    if flags.intersects(F::MOUNT | F::FILESYSTEM) || !found.is_directory() {
        mask.remove(FanotifyMask::EVENT_ON_CHILD);
    }
    if flags.contains(F::IGNORED_MASK) {
        mask.remove(FanotifyMask::CONDITIONS);
    }
    mask
}
