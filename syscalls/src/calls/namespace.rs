//! Namespaces: unshare(2), setns(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::process::CloneFlags;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::Fd;
use crate::namespaces::{Kind, file};

/// unshare(2): makes what the caller shares with other processes its own.
///
/// # Differences from Linux
/// Memory and signal actions can only be unshared where they are not shared, and there is one
/// network for all: `CLONE_NEWNET` is `EINVAL`.
pub(crate) fn unshare(cx: &Context<'_>, flags: u64) -> Result<()> {
    let mut flags = CloneFlags::from_bits_retain(flags);
    let shared = CloneFlags::FILES | CloneFlags::FS | CloneFlags::SYSVSEM;
    let alone = CloneFlags::THREAD | CloneFlags::SIGHAND | CloneFlags::VM;
    if flags.contains(CloneFlags::NEWUSER) {
        flags |= CloneFlags::THREAD | CloneFlags::FS;
    }
    if flags.contains(CloneFlags::NEWNS) {
        flags |= CloneFlags::FS;
    }
    if !(shared | alone | CloneFlags::NAMESPACES).contains(flags) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    // The process and this call hold its memory.
    let has_own_memory = Arc::strong_count(cx.memory()) <= 2;
    let needs_memory = flags.intersects(CloneFlags::SIGHAND | CloneFlags::VM);
    let is_alone = cx.process.threads().len() == 1 && (has_own_memory || !needs_memory);
    if flags.intersects(alone) && !is_alone {
        return Err(Errno::EINVAL.because("memory that is shared cannot be unshared"));
    }
    if flags.contains(CloneFlags::FILES) {
        cx.check_copy_of_files()?;
    }
    let new = cx.renew(flags)?;
    if flags.contains(CloneFlags::FS) {
        cx.thread.part_from_paths();
    }
    if let Some(mounts) = new.mounts {
        cx.separate_mounts(cx.thread, mounts)?;
    }
    if flags.contains(CloneFlags::FILES) {
        cx.thread.part_from_files();
    }
    if flags.intersects(CloneFlags::SYSVSEM | CloneFlags::NEWIPC) {
        cx.leave_semaphores();
    }
    if let Some(namespaces) = new.namespaces {
        cx.thread.set_namespaces(Arc::new(namespaces));
    }
    if let Some(credentials) = new.credentials {
        cx.change_credentials(|old| {
            *old = credentials;
            Ok(())
        })?;
        cx.thread.publish_answers();
    }
    Ok(())
}

/// setns(2): goes over to the namespace that a descriptor refers to, or to those of a process.
///
/// # Differences from Linux
/// None.
pub(crate) fn setns(cx: &Context<'_>, fd: Fd, wanted: u32) -> Result<()> {
    let wanted = CloneFlags::from_bits_retain(u64::from(wanted));
    let open = cx.files().get(fd)?;
    if let Some(process) = open.file.process() {
        if wanted.is_empty() || !CloneFlags::NAMESPACES.contains(wanted) {
            return Err(Errno::EINVAL.because("no namespaces, or unknown ones"));
        }
        let gone = || Errno::ESRCH.because("the process has ended");
        if process.has_ended() {
            return Err(gone());
        }
        cx.check_access(process)?;
        // What remains of a first thread that has ended is in no namespace.
        let thread = process.first_thread().filter(|one| !one.has_ended()).ok_or_else(gone)?;
        // Users first, for that gives the privileges for the others.
        let mut kinds: Vec<Kind> = Kind::ALL.into_iter().collect();
        kinds.sort_by_key(|&kind| kind != Kind::User);
        let meant = kinds.into_iter().filter(|kind| wanted.contains(kind.flag()));
        let found: Vec<_> =
            meant.filter_map(|kind| file::of_thread(&thread, kind, false)).collect();
        return cx.enter(&found);
    }
    let namespace = file::namespace_at(cx, fd)?;
    if !wanted.is_empty() && wanted != namespace.kind().flag() {
        return Err(Errno::EINVAL.because("the namespace is of another kind"));
    }
    cx.enter(&[namespace])
}
