//! Extended attributes: xattr(7). No file system here stores them.

use abi::Errno;
use abi::fs::AT_FDCWD;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::Fd;
use crate::fs::path::{self, Follow};
use crate::user::{UserPath, UserPtr};

fn unsupported() -> Error {
    Errno::EOPNOTSUPP.because("the file system does not store extended attributes")
}

fn check_path(cx: &Context<'_>, path: UserPath, follow: Follow) -> Result<()> {
    path::resolve(cx, Fd(AT_FDCWD), path.read(cx)?, follow).map(drop)
}

fn check_fd(cx: &Context<'_>, fd: Fd) -> Result<()> {
    let open = cx.process.files.get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    Ok(())
}

/// getxattr(2), setxattr(2), removexattr(2): the file is looked for, and has none.
///
/// # Differences from Linux
/// No file system stores extended attributes: always `EOPNOTSUPP`.
pub(crate) fn of_path(cx: &Context<'_>, path: UserPath) -> Result<usize> {
    check_path(cx, path, Follow::Last)?;
    Err(unsupported())
}

/// lgetxattr(2), lsetxattr(2), lremovexattr(2).
///
/// # Differences from Linux
/// As [`of_path`].
pub(crate) fn of_link(cx: &Context<'_>, path: UserPath) -> Result<usize> {
    check_path(cx, path, Follow::NotLast)?;
    Err(unsupported())
}

/// fgetxattr(2), fsetxattr(2), fremovexattr(2).
///
/// # Differences from Linux
/// As [`of_path`].
pub(crate) fn of_descriptor(cx: &Context<'_>, fd: Fd) -> Result<usize> {
    check_fd(cx, fd)?;
    Err(unsupported())
}

/// listxattr(2): the list is empty.
///
/// # Differences from Linux
/// No file system stores extended attributes.
pub(crate) fn listxattr(
    cx: &Context<'_>,
    path: UserPath,
    _list: UserPtr<u8>,
    _size: usize,
) -> Result<usize> {
    check_path(cx, path, Follow::Last)?;
    Ok(0)
}

/// llistxattr(2): the list is empty.
///
/// # Differences from Linux
/// As [`listxattr`].
pub(crate) fn llistxattr(
    cx: &Context<'_>,
    path: UserPath,
    _list: UserPtr<u8>,
    _size: usize,
) -> Result<usize> {
    check_path(cx, path, Follow::NotLast)?;
    Ok(0)
}

/// flistxattr(2): the list is empty.
///
/// # Differences from Linux
/// As [`listxattr`].
pub(crate) fn flistxattr(
    cx: &Context<'_>,
    fd: Fd,
    _list: UserPtr<u8>,
    _size: usize,
) -> Result<usize> {
    check_fd(cx, fd)?;
    Ok(0)
}
