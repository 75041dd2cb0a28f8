//! inotify(7).

use abi::Errno;
use abi::events::InotifyMask;
use abi::fs::{AccessRequest, OpenFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::events::inotify::{Instance, Presence};
use crate::fs::path::{self, Follow};
use crate::fs::{Fd, OnExec, OpenFile, permission};
use crate::user::UserPath;

use super::open;

/// inotify_init(2): makes an instance that watches nothing.
///
/// # Differences from Linux
/// None.
pub(crate) fn inotify_init(cx: &Context<'_>) -> Result<i32> {
    inotify_init1(cx, OpenFlags::empty())
}

/// inotify_init1(2): makes an instance that watches nothing, with flags.
///
/// # Differences from Linux
/// None.
pub(crate) fn inotify_init1(cx: &Context<'_>, flags: OpenFlags) -> Result<i32> {
    if !(OpenFlags::NONBLOCK | OpenFlags::CLOEXEC).contains(flags) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    let opened = Instance::open(cx, flags.intersection(OpenFlags::NONBLOCK))?;
    open::add(cx, opened, 0, OnExec::of(flags))
}

fn instance(open: &OpenFile) -> Result<&Instance> {
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    open.file.inotify().ok_or_else(|| Errno::EINVAL.because("not an instance of inotify"))
}

/// inotify_add_watch(2): watches a file, or changes for what.
///
/// # Differences from Linux
/// Of directories of the host, only what this machine does is told. A file that is open when it
/// loses its last name is gone at once (`IN_DELETE_SELF`).
pub(crate) fn inotify_add_watch(
    cx: &Context<'_>,
    fd: Fd,
    path: UserPath,
    mask: InotifyMask,
) -> Result<i32> {
    use InotifyMask as M;
    if !mask.intersects(M::all()) {
        return Err(Errno::EINVAL.because("no events to watch for"));
    }
    let opened = cx.files().get(fd)?;
    if mask.contains(M::MASK_ADD | M::MASK_CREATE) {
        return Err(Errno::EINVAL.because("IN_MASK_ADD and IN_MASK_CREATE exclude each other"));
    }
    let instance = instance(&opened)?;
    let follow = if mask.contains(M::DONT_FOLLOW) { Follow::NotLast } else { Follow::Last };
    let found = path::resolve(cx, Fd(abi::fs::AT_FDCWD), path.read(cx)?, follow)?;
    if mask.contains(M::ONLYDIR) && !found.is_directory() {
        return Err(Errno::ENOTDIR.because("not a directory"));
    }
    permission::check_inode(cx, found.inode(), AccessRequest::READ)?;
    let presence = match () {
        () if mask.contains(M::MASK_CREATE) => Presence::Refuse,
        () if mask.contains(M::MASK_ADD) => Presence::Add,
        () => Presence::Replace,
    };
    let kept = mask.intersection(M::ALL_EVENTS | M::EXCL_UNLINK | M::ONESHOT);
    instance.watch(cx, found.inode(), kept, presence)
}

/// inotify_rm_watch(2): watches a file no more.
///
/// # Differences from Linux
/// None.
pub(crate) fn inotify_rm_watch(cx: &Context<'_>, fd: Fd, watch: i32) -> Result<()> {
    let opened = cx.files().get(fd)?;
    instance(&opened)?.unwatch(watch)
}
