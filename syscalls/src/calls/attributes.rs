//! Attributes of files: chmod(2), chown(2), utimensat(2).

use abi::Errno;
use abi::fs::{AT_FDCWD, AtFlags, FileType, Mode};
use abi::time::{Timespec, Timeval};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::path::{self, Follow};
use crate::fs::{Fd, Location};
use crate::user::{UserPath, UserPtr};

use super::metadata::{check_flags, read_path};
use crate::fs::change::{self, NewTime};

/// The working directory.
const HERE: Fd = Fd(AT_FDCWD);

/// chmod(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn chmod(cx: &Context<'_>, path: UserPath, mode: Mode) -> Result<()> {
    fchmodat(cx, HERE, path, mode)
}

/// fchmod(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fchmod(cx: &Context<'_>, fd: Fd, mode: Mode) -> Result<()> {
    change::mode(cx, &usable(cx, fd)?, mode)
}

/// fchmodat(2) without flags.
///
/// # Differences from Linux
/// None.
pub(crate) fn fchmodat(cx: &Context<'_>, directory: Fd, path: UserPath, mode: Mode) -> Result<()> {
    fchmodat2(cx, directory, path, mode, AtFlags::empty())
}

/// fchmodat2(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fchmodat2(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    mode: Mode,
    flags: AtFlags,
) -> Result<()> {
    let found = at(cx, directory, path, flags)?;
    if found.inode().kind() == FileType::SymbolicLink {
        return Err(Errno::EOPNOTSUPP.because("a symbolic link has no mode of its own"));
    }
    change::mode(cx, &found, mode)
}

/// chown(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn chown(cx: &Context<'_>, path: UserPath, owner: u32, group: u32) -> Result<()> {
    fchownat(cx, HERE, path, owner, group, AtFlags::empty())
}

/// lchown(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn lchown(cx: &Context<'_>, path: UserPath, owner: u32, group: u32) -> Result<()> {
    fchownat(cx, HERE, path, owner, group, AtFlags::SYMLINK_NOFOLLOW)
}

/// fchown(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fchown(cx: &Context<'_>, fd: Fd, owner: u32, group: u32) -> Result<()> {
    let (owner, group) = given(cx, owner, group)?;
    change::owner(cx, &usable(cx, fd)?, owner, group)
}

/// fchownat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn fchownat(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    owner: u32,
    group: u32,
    flags: AtFlags,
) -> Result<()> {
    let found = at(cx, directory, path, flags)?;
    let (owner, group) = given(cx, owner, group)?;
    change::owner(cx, &found, owner, group)
}

/// Owner and group as the first user namespace knows them; -1 leaves what there is.
///
/// # Errors
/// `EINVAL` for who is not in the caller's.
fn given(cx: &Context<'_>, owner: u32, group: u32) -> Result<(Option<u32>, Option<u32>)> {
    let here = cx.user_namespace();
    let owner = (owner != u32::MAX).then(|| here.user(owner)).transpose()?;
    let group = (group != u32::MAX).then(|| here.group(group)).transpose()?;
    Ok((owner, group))
}

fn at(cx: &Context<'_>, directory: Fd, path: UserPath, flags: AtFlags) -> Result<Location> {
    check_flags(flags, AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH)?;
    path::resolve_at(cx, directory, read_path(cx, path, flags)?, flags)
}

/// Where the file of `fd` is.
///
/// # Errors
/// `EBADF` when it is not open, or only names a place.
fn usable(cx: &Context<'_>, fd: Fd) -> Result<Location> {
    let open = cx.files().get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    Ok(open.location().clone())
}

/// `struct utimbuf`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Utimbuf {
    accessed: i64,
    modified: i64,
}

/// utime(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn utime(cx: &Context<'_>, path: UserPath, times: UserPtr<Utimbuf>) -> Result<()> {
    let times = match times.non_null() {
        None => [NewTime::Now; 2],
        Some(times) => {
            let times = times.read(cx)?;
            [times.accessed, times.modified].map(|seconds| NewTime::at(seconds, 0))
        }
    };
    let found = path::resolve(cx, HERE, path.read(cx)?, Follow::Last)?;
    change::times(cx, &found, times)
}

/// utimes(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn utimes(cx: &Context<'_>, path: UserPath, times: UserPtr<[Timeval; 2]>) -> Result<()> {
    futimesat(cx, HERE, path, times)
}

/// futimesat(2).
///
/// # Differences from Linux
/// None.
pub(crate) fn futimesat(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    times: UserPtr<[Timeval; 2]>,
) -> Result<()> {
    let times = match times.non_null() {
        None => [NewTime::Now; 2],
        Some(times) => {
            let times = times.read(cx)?;
            if times.iter().any(|time| !(0..1_000_000).contains(&time.microseconds)) {
                return Err(Errno::EINVAL.because("microseconds are out of range"));
            }
            times.map(|time| NewTime::at(time.seconds, time.microseconds as u32 * 1000))
        }
    };
    let found = match path.read_if_any(cx)? {
        Some(path) => path::resolve(cx, directory, path, Follow::Last)?,
        None => usable(cx, directory)?,
    };
    change::times(cx, &found, times)
}

/// utimensat(2); without a path, the file of the descriptor itself.
///
/// # Differences from Linux
/// None.
pub(crate) fn utimensat(
    cx: &Context<'_>,
    directory: Fd,
    path: UserPath,
    times: UserPtr<[Timespec; 2]>,
    flags: AtFlags,
) -> Result<()> {
    let times = match times.non_null() {
        None => [NewTime::Now; 2],
        Some(times) => {
            let [accessed, modified] = times.read(cx)?;
            [new_time(accessed)?, new_time(modified)?]
        }
    };
    if times == [NewTime::Unchanged; 2] {
        return Ok(());
    }
    check_flags(flags, AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH)?;
    let found = match path.read_if_any(cx)? {
        Some(path) => path::resolve_at(cx, directory, path, flags)?,
        None if directory == HERE => {
            return Err(Errno::EFAULT.because("neither a path nor a descriptor"));
        }
        None if !flags.is_empty() => {
            return Err(Errno::EINVAL.because("flags without a path"));
        }
        None => usable(cx, directory)?,
    };
    change::times(cx, &found, times)
}

fn new_time(time: Timespec) -> Result<NewTime> {
    /// `UTIME_NOW` of `sys/stat.h`.
    const NOW: i64 = 0x3fff_ffff;
    /// `UTIME_OMIT` of `sys/stat.h`.
    const OMIT: i64 = 0x3fff_fffe;
    match time.nanoseconds {
        NOW => Ok(NewTime::Now),
        OMIT => Ok(NewTime::Unchanged),
        nanoseconds @ 0..1_000_000_000 => Ok(NewTime::at(time.seconds, nanoseconds as u32)),
        _ => Err(Errno::EINVAL.because("nanoseconds are out of range")),
    }
}
