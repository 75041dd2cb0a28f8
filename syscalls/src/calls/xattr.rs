//! Extended attributes: xattr(7).

use alloc::vec::Vec;

use abi::Errno;
use abi::fs::AT_FDCWD;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::path::{self, Follow};
use crate::fs::xattr::{self, NAME_MAX, Presence, SIZE_MAX};
use crate::fs::{Fd, Location};
use crate::user::{UserPath, UserPtr, read_c_string};

fn at_path(cx: &Context<'_>, path: UserPath, follow: Follow) -> Result<Location> {
    path::resolve(cx, Fd(AT_FDCWD), path.read(cx)?, follow)
}

fn at_fd(cx: &Context<'_>, fd: Fd) -> Result<Location> {
    let open = cx.files().get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor only names a place"));
    }
    Ok(open.location().clone())
}

fn read_name(cx: &Context<'_>, name: UserPtr<u8>) -> Result<Vec<u8>> {
    let name = read_c_string(cx.memory(), name.address(), NAME_MAX + 1)?;
    let name = name.filter(|name| !name.is_empty());
    name.ok_or_else(|| Errno::ERANGE.because("the name is empty or too long"))
}

/// Gives `bytes` to a caller with so much room; without any, only their length.
fn give(cx: &Context<'_>, bytes: &[u8], to: UserPtr<u8>, size: usize) -> Result<usize> {
    if size > 0 {
        if size < bytes.len() {
            return Err(Errno::ERANGE.because("the buffer is too small"));
        }
        cx.memory().write(to.address(), bytes)?;
    }
    Ok(bytes.len())
}

fn get(
    cx: &Context<'_>,
    found: &Location,
    name: UserPtr<u8>,
    to: UserPtr<u8>,
    size: usize,
) -> Result<usize> {
    give(cx, &xattr::get(cx, found, &read_name(cx, name)?)?, to, size)
}

fn set(
    cx: &Context<'_>,
    found: &Location,
    name: UserPtr<u8>,
    (value, size): (UserPtr<u8>, usize),
    flags: u32,
) -> Result<()> {
    /// `XATTR_CREATE` and `XATTR_REPLACE`.
    const CREATE: u32 = 1;
    const REPLACE: u32 = 2;
    let presence = match flags {
        0 => Presence::Any,
        CREATE => Presence::Absent,
        REPLACE => Presence::Present,
        _ => return Err(Errno::EINVAL.because("flags are not valid")),
    };
    let name = read_name(cx, name)?;
    if size > SIZE_MAX {
        return Err(Errno::E2BIG.because("the value is too long"));
    }
    xattr::set(cx, found, name, value.read_array(cx, size)?, presence)
}

/// getxattr(2).
///
/// # Differences from Linux
/// In tmpfs only. Access control lists (`system.`) are refused, and `security.` attributes
/// have no effect.
pub(crate) fn getxattr(
    cx: &Context<'_>,
    path: UserPath,
    name: UserPtr<u8>,
    to: UserPtr<u8>,
    size: usize,
) -> Result<usize> {
    get(cx, &at_path(cx, path, Follow::Last)?, name, to, size)
}

/// setxattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn setxattr(
    cx: &Context<'_>,
    path: UserPath,
    name: UserPtr<u8>,
    value: UserPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<()> {
    set(cx, &at_path(cx, path, Follow::Last)?, name, (value, size), flags)
}

/// removexattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn removexattr(cx: &Context<'_>, path: UserPath, name: UserPtr<u8>) -> Result<()> {
    xattr::remove(cx, &at_path(cx, path, Follow::Last)?, &read_name(cx, name)?)
}

/// listxattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn listxattr(
    cx: &Context<'_>,
    path: UserPath,
    to: UserPtr<u8>,
    size: usize,
) -> Result<usize> {
    give(cx, &xattr::list(cx, &at_path(cx, path, Follow::Last)?)?, to, size)
}

/// lgetxattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn lgetxattr(
    cx: &Context<'_>,
    path: UserPath,
    name: UserPtr<u8>,
    to: UserPtr<u8>,
    size: usize,
) -> Result<usize> {
    get(cx, &at_path(cx, path, Follow::NotLast)?, name, to, size)
}

/// lsetxattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn lsetxattr(
    cx: &Context<'_>,
    path: UserPath,
    name: UserPtr<u8>,
    value: UserPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<()> {
    set(cx, &at_path(cx, path, Follow::NotLast)?, name, (value, size), flags)
}

/// lremovexattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn lremovexattr(cx: &Context<'_>, path: UserPath, name: UserPtr<u8>) -> Result<()> {
    xattr::remove(cx, &at_path(cx, path, Follow::NotLast)?, &read_name(cx, name)?)
}

/// llistxattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn llistxattr(
    cx: &Context<'_>,
    path: UserPath,
    to: UserPtr<u8>,
    size: usize,
) -> Result<usize> {
    give(cx, &xattr::list(cx, &at_path(cx, path, Follow::NotLast)?)?, to, size)
}

/// fgetxattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn fgetxattr(
    cx: &Context<'_>,
    fd: Fd,
    name: UserPtr<u8>,
    to: UserPtr<u8>,
    size: usize,
) -> Result<usize> {
    get(cx, &at_fd(cx, fd)?, name, to, size)
}

/// fsetxattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn fsetxattr(
    cx: &Context<'_>,
    fd: Fd,
    name: UserPtr<u8>,
    value: UserPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<()> {
    set(cx, &at_fd(cx, fd)?, name, (value, size), flags)
}

/// fremovexattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn fremovexattr(cx: &Context<'_>, fd: Fd, name: UserPtr<u8>) -> Result<()> {
    xattr::remove(cx, &at_fd(cx, fd)?, &read_name(cx, name)?)
}

/// flistxattr(2).
///
/// # Differences from Linux
/// As [`getxattr`].
pub(crate) fn flistxattr(cx: &Context<'_>, fd: Fd, to: UserPtr<u8>, size: usize) -> Result<usize> {
    give(cx, &xattr::list(cx, &at_fd(cx, fd)?)?, to, size)
}

#[cfg(test)]
mod tests {
    use crate::fake::kit;

    use super::*;

    #[test]
    fn attributes_are_kept_listed_and_removed() {
        let kit = kit::process();
        let fd = kit.descriptor(kit.file("f", b""));
        let (path, name) = (kit.string("/f"), kit.string("user.crab"));
        let (value, room) = (kit.put(b"latro"), kit.room(64));
        let set = |flags: u64| kit.call("setxattr", [path, name, value, 5, flags, 0]);
        assert_eq!(set(2), Err(Errno::ENODATA));
        assert_eq!(set(1), Ok(0));
        assert_eq!(set(1), Err(Errno::EEXIST));
        assert_eq!(set(4), Err(Errno::EINVAL));
        assert_eq!(kit.call("fgetxattr", [fd, name, 0, 0, 0, 0]), Ok(5));
        assert_eq!(kit.call("fgetxattr", [fd, name, room, 4, 0, 0]), Err(Errno::ERANGE));
        assert_eq!(kit.call("getxattr", [path, name, room, 64, 0, 0]), Ok(5));
        assert_eq!(kit.get(room, 5), b"latro");
        let trusted = kit.string("trusted.x");
        assert_eq!(kit.call("lsetxattr", [path, trusted, value, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("listxattr", [path, room, 64, 0, 0, 0]), Ok(20));
        assert_eq!(kit.get(room, 20), b"trusted.x\0user.crab\0");
        assert_eq!(kit.call("setuid", [1, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("flistxattr", [fd, room, 64, 0, 0, 0]), Ok(10));
        assert_eq!(kit.call("getxattr", [path, trusted, 0, 0, 0, 0]), Err(Errno::ENODATA));
        assert_eq!(kit.call("removexattr", [path, trusted, 0, 0, 0, 0]), Err(Errno::EPERM));
        assert_eq!(kit.call("removexattr", [path, name, 0, 0, 0, 0]), Err(Errno::EACCES));
    }

    #[test]
    fn names_and_values_have_limits() {
        let kit = kit::process();
        drop(kit.file("f", b""));
        let path = kit.string("/f");
        let set = |name: &str, size: u64| {
            kit.call("setxattr", [path, kit.string(name), kit::AREA, size, 0, 0])
        };
        assert_eq!(set("", 0), Err(Errno::ERANGE));
        assert_eq!(set(&"user.x".repeat(50), 0), Err(Errno::ERANGE));
        assert_eq!(set("user.", 0), Err(Errno::EINVAL));
        assert_eq!(set("system.posix_acl_access", 0), Err(Errno::EOPNOTSUPP));
        assert_eq!(set("crab", 0), Err(Errno::EOPNOTSUPP));
        assert_eq!(set("user.a", 65537), Err(Errno::E2BIG));
        for name in ["user.a", "user.b", "user.c"] {
            assert_eq!(set(name, 65536), Ok(0));
        }
        assert_eq!(set("user.d", 65536), Err(Errno::ENOSPC));
        let null = kit.string("/dev/null");
        let name = kit.string("user.a");
        assert_eq!(kit.call("setxattr", [null, name, 0, 0, 0, 0]), Err(Errno::EPERM));
        let version = kit.string("/proc/version");
        assert_eq!(kit.call("getxattr", [version, name, 0, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
    }
}
