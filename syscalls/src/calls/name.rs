//! Names of files: link(2), unlink(2), rename(2), symlink(2), mknod(2), mkdir(2).

use abi::Errno;
use abi::fs::{AT_FDCWD, AtFlags, Device, FileType, Mode, RenameFlags};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::path::{self, End};
use crate::fs::{Fd, NewKind, tree};
use crate::process::Capability;
use crate::user::{UserPath, UserPtr};

use super::metadata::{check_flags, read_path};

/// The working directory.
const HERE: Fd = Fd(AT_FDCWD);

fn end(cx: &Context<'_>, directory: Fd, path: UserPath) -> Result<End> {
    path::parent(cx, directory, path.read(cx)?)
}

/// mkdir(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn mkdir(cx: &Context<'_>, path: UserPath, mode: Mode) -> Result<()> {
    mkdirat(cx, HERE, path, mode)
}

/// mkdirat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn mkdirat(cx: &Context<'_>, directory: Fd, path: UserPath, mode: Mode) -> Result<()> {
    let mode = mode & (Mode::ALL | Mode::STICKY);
    tree::create(cx, &end(cx, directory, path)?, NewKind::Directory, mode).map(drop)
}

/// mknod(2).
///
/// # Differences from Linux
/// As [`mknodat`].
pub(crate) fn mknod(cx: &Context<'_>, path: UserPath, mode: u32, device: u64) -> Result<()> {
    mknodat(cx, HERE, path, mode, device)
}

/// mknodat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn mknodat(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    mode: u32,
    device: u64,
) -> Result<()> {
    let kind = match FileType::of(mode) {
        None if mode & 0o170_000 == 0 => NewKind::Regular,
        Some(FileType::Regular) => NewKind::Regular,
        Some(FileType::Directory) => {
            return Err(Errno::EPERM.because("a directory is made by mkdir"));
        }
        Some(kind @ (FileType::Fifo | FileType::Socket)) => {
            NewKind::Special(kind, Device::default())
        }
        Some(kind @ (FileType::CharacterDevice | FileType::BlockDevice)) => {
            NewKind::Special(kind, Device::decode(device))
        }
        Some(FileType::SymbolicLink | FileType::Anonymous) | None => {
            return Err(Errno::EINVAL.because("the type of file is not valid"));
        }
    };
    let end = end(cx, directory, path)?;
    let is_device = matches!(kind, NewKind::Special(kind, _) if kind.is_device());
    if is_device && !cx.credentials().has(Capability::Mknod) {
        return Err(Errno::EPERM.because("a device node needs CAP_MKNOD"));
    }
    tree::create(cx, &end, kind, Mode::of(mode)).map(drop)
}

/// symlink(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn symlink(cx: &Context<'_>, target: UserPath, path: UserPath) -> Result<()> {
    symlinkat(cx, target, HERE, path)
}

/// symlinkat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn symlinkat(
    cx: &Context<'_>,
    target: UserPath,
    directory: Fd,
    path: UserPath,
) -> Result<()> {
    let target = target.read(cx)?;
    if target.is_empty() {
        return Err(Errno::ENOENT.because("the target is empty"));
    }
    let end = end(cx, directory, path)?;
    tree::create(cx, &end, NewKind::SymbolicLink(&target), Mode::ALL).map(drop)
}

/// readlink(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn readlink(
    cx: &Context<'_>,
    path: UserPath,
    to: UserPtr<u8>,
    len: i32,
) -> Result<usize> {
    readlinkat(cx, HERE, path, to, len)
}

/// readlinkat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn readlinkat(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    to: UserPtr<u8>,
    len: i32,
) -> Result<usize> {
    let len = usize::try_from(len).ok().filter(|&len| len > 0);
    let len = len.ok_or_else(|| Errno::EINVAL.because("the buffer has no room"))?;
    let path = path.read(cx)?;
    let is_empty = path.is_empty();
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    let found = path::resolve_at(cx, directory, path, flags)?;
    let target = match found.inode().read_link(cx) {
        Err(error) if is_empty && error.errno == Errno::EINVAL => {
            return Err(Errno::ENOENT.because("the descriptor is no symbolic link"));
        }
        other => other?,
    };
    let target = &target[..len.min(target.len())];
    cx.memory().write(to.address(), target)?;
    Ok(target.len())
}

/// link(2).
///
/// # Differences from Linux
/// As [`linkat`].
pub(crate) fn link(cx: &Context<'_>, old: UserPath, new: UserPath) -> Result<()> {
    linkat(cx, HERE, old, HERE, new, AtFlags::empty())
}

/// linkat(2).
///
/// # Differences from Linux
/// `AT_EMPTY_PATH` needs no privilege, also where the process had other credentials when it
/// opened the file.
pub(crate) fn linkat(
    cx: &Context<'_>,
    old_directory: Fd,
    old: UserPath,
    new_directory: Fd,
    new: UserPath,
    flags: AtFlags,
) -> Result<()> {
    check_flags(flags, AtFlags::SYMLINK_FOLLOW | AtFlags::EMPTY_PATH)?;
    let mut how = flags & AtFlags::EMPTY_PATH;
    how.set(AtFlags::SYMLINK_NOFOLLOW, !flags.contains(AtFlags::SYMLINK_FOLLOW));
    let old = path::resolve_at(cx, old_directory, read_path(cx, old, flags)?, how)?;
    tree::link(cx, &old, &end(cx, new_directory, new)?)
}

/// unlink(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn unlink(cx: &Context<'_>, path: UserPath) -> Result<()> {
    tree::unlink(cx, &end(cx, HERE, path)?)
}

/// rmdir(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn rmdir(cx: &Context<'_>, path: UserPath) -> Result<()> {
    tree::remove_directory(cx, &end(cx, HERE, path)?)
}

/// unlinkat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn unlinkat(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    flags: AtFlags,
) -> Result<()> {
    check_flags(flags, AtFlags::REMOVEDIR)?;
    let end = end(cx, directory, path)?;
    if flags.contains(AtFlags::REMOVEDIR) {
        return tree::remove_directory(cx, &end);
    }
    tree::unlink(cx, &end)
}

/// rename(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn rename(cx: &Context<'_>, old: UserPath, new: UserPath) -> Result<()> {
    renameat2(cx, HERE, old, HERE, new, RenameFlags::empty())
}

/// renameat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn renameat(
    cx: &Context<'_>,
    old_directory: Fd,
    old: UserPath,
    new_directory: Fd,
    new: UserPath,
) -> Result<()> {
    renameat2(cx, old_directory, old, new_directory, new, RenameFlags::empty())
}

/// renameat2(2).
///
/// # Differences from Linux
/// `RENAME_WHITEOUT` is refused with `EINVAL`.
pub(crate) fn renameat2(
    cx: &Context<'_>,
    old_directory: Fd,
    old: UserPath,
    new_directory: Fd,
    new: UserPath,
    flags: RenameFlags,
) -> Result<()> {
    let both = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
    if !both.contains(flags) || flags == both {
        return Err(Errno::EINVAL.because("flags are not known or contradict each other"));
    }
    let old = end(cx, old_directory, old)?;
    let new = end(cx, new_directory, new)?;
    tree::rename(cx, &old, &new, flags)
}
