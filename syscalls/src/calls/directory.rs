//! Directories: getdents(2), getcwd(2), chdir(2), chroot(2), umask(2).

use abi::Errno;
use abi::fs::{AT_FDCWD, AccessRequest, Mode};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::directory::{Layout, read_entries};
use crate::fs::path::{self, Follow};
use crate::fs::{Fd, Location, permission};
use crate::process::Capability;
use crate::user::{UserPath, UserPtr};

/// Most bytes of entries that one call returns, whatever the buffer holds.
const ENTRIES_MAX: usize = 64 * 1024;

/// getdents(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn getdents(cx: &Context<'_>, fd: Fd, to: UserPtr<u8>, len: u32) -> Result<usize> {
    entries(cx, fd, to, len, Layout::Old)
}

/// getdents64(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn getdents64(cx: &Context<'_>, fd: Fd, to: UserPtr<u8>, len: u32) -> Result<usize> {
    entries(cx, fd, to, len, Layout::New)
}

fn entries(cx: &Context<'_>, fd: Fd, to: UserPtr<u8>, len: u32, layout: Layout) -> Result<usize> {
    let open = cx.files().get(fd)?;
    open.check_readable()?;
    let limit = (len as usize).min(ENTRIES_MAX);
    read_entries(cx, &open, layout, limit, |bytes| cx.memory().write(to.address(), bytes))
}

/// getcwd(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn getcwd(cx: &Context<'_>, to: UserPtr<u8>, len: usize) -> Result<usize> {
    let working = cx.paths().working_directory();
    if working.dentry.is_removed() {
        return Err(Errno::ENOENT.because("the working directory has been removed"));
    }
    let root = cx.paths().root();
    let mut path = match working.path_below(&root) {
        Some(path) => path,
        None => working.shown_path(&root),
    };
    path.push(0);
    if path.len() > len {
        return Err(Errno::ERANGE.because("the buffer is too small"));
    }
    cx.memory().write(to.address(), &path)?;
    Ok(path.len())
}

/// chdir(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn chdir(cx: &Context<'_>, path: UserPath) -> Result<()> {
    let found = directory(cx, path)?;
    cx.paths().set_working_directory(found);
    Ok(())
}

/// fchdir(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fchdir(cx: &Context<'_>, fd: Fd) -> Result<()> {
    let found = cx.files().get(fd)?.location().clone();
    check_enter(cx, &found)?;
    cx.paths().set_working_directory(found);
    Ok(())
}

/// chroot(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn chroot(cx: &Context<'_>, path: UserPath) -> Result<()> {
    let found = directory(cx, path)?;
    if !cx.credentials().has_within(Capability::SysChroot) {
        return Err(Errno::EPERM.because("changing the root needs CAP_SYS_CHROOT"));
    }
    cx.paths().set_root(found);
    Ok(())
}

fn directory(cx: &Context<'_>, path: UserPath) -> Result<Location> {
    let found = path::resolve(cx, Fd(AT_FDCWD), path.read(cx)?, Follow::Last)?;
    check_enter(cx, &found)?;
    Ok(found)
}

fn check_enter(cx: &Context<'_>, found: &Location) -> Result<()> {
    if !found.is_directory() {
        return Err(Errno::ENOTDIR.because("not a directory"));
    }
    permission::check_inode(cx, found.inode(), AccessRequest::EXECUTE)
}

/// umask(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn umask(cx: &Context<'_>, mask: Mode) -> Result<u32> {
    Ok(u32::from(cx.paths().set_umask(mask).bits()))
}
