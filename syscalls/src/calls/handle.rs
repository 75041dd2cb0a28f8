//! Files by handles: name_to_handle_at(2), open_by_handle_at(2).

use abi::Errno;
use abi::fs::{AT_FDCWD, FileType, Mode, OpenFlags, ResolveFlags};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::handle::{HANDLE_LEN, Handle, OPENS};
use crate::fs::open::{How, open_location};
use crate::fs::path::{self, Follow};
use crate::fs::{Fd, Location, OnExec};
use crate::process::Capability;
use crate::user::{UserPath, UserPtr};

/// The start of `struct file_handle`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    /// Length of what follows, in bytes.
    bytes: u32,
    /// What it is, as the file system has it.
    kind: i32,
}

/// Most bytes of a handle (`MAX_HANDLE_SZ`).
const BYTES_MAX: u32 = 128;

/// Bytes of the handles here.
const BYTES: u32 = HANDLE_LEN as u32;

/// `AT_SYMLINK_FOLLOW`, `AT_EMPTY_PATH`, `AT_HANDLE_FID`, `AT_HANDLE_MNT_ID_UNIQUE` and
/// `AT_HANDLE_CONNECTABLE`.
const FOLLOW: u32 = 0x400;
const EMPTY_PATH: u32 = 0x1000;
const FID: u32 = 0x200;
const UNIQUE: u32 = 1;
const CONNECTABLE: u32 = 2;

/// name_to_handle_at(2).
///
/// # Differences from Linux
/// Only files in memory have handles that can be opened.
pub(crate) fn name_to_handle_at(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    handle: UserPtr<u8>,
    mount_id: UserPtr<u8>,
    flags: u32,
) -> Result<()> {
    let known = FOLLOW | EMPTY_PATH | FID | UNIQUE | CONNECTABLE;
    if flags & !known != 0 || flags & FID != 0 && flags & CONNECTABLE != 0 {
        return Err(Errno::EINVAL.because("flags are not known, or exclude each other"));
    }
    let follow = if flags & FOLLOW != 0 { Follow::Last } else { Follow::NotLast };
    let file = file.read(cx)?;
    let found = match file.is_empty() && flags & EMPTY_PATH != 0 {
        true => path::base(cx, directory)?,
        false => path::resolve(cx, directory, file, follow)?,
    };
    let header: UserPtr<Header> = UserPtr::new(handle.address());
    let room = header.read(cx)?.bytes;
    if room > BYTES_MAX {
        return Err(Errno::EINVAL.because("no handle is that long"));
    }
    let identity = identity(&found, flags)?;
    let result = if room < BYTES {
        Err(Errno::EOVERFLOW.because("the handle does not fit"))
    } else {
        let to = handle.address().wrapping_add(size_of::<Header>() as u64);
        cx.memory().write(to, &identity.bytes)
    };
    if flags & UNIQUE != 0 {
        UserPtr::new(mount_id.address()).write(cx, &found.mount.unique_id())?;
    } else {
        UserPtr::new(mount_id.address()).write(cx, &found.mount.id())?;
    }
    header.write(cx, &Header { bytes: BYTES, kind: identity.kind })?;
    result
}

fn identity(found: &Location, flags: u32) -> Result<Handle> {
    if flags & FID != 0 {
        return Handle::to_identify(found.inode());
    }
    Handle::to_open(found.inode())
        .ok_or_else(|| Errno::EOPNOTSUPP.because("the file system has no handles"))
}

/// open_by_handle_at(2).
///
/// # Differences from Linux
/// A directory that nobody else uses has no `..`.
pub(crate) fn open_by_handle_at(
    cx: &Context<'_>,
    mount: Fd,
    handle: UserPtr<u8>,
    flags: OpenFlags,
) -> Result<i32> {
    if !cx.credentials().has(Capability::DacReadSearch) {
        return Err(Errno::EPERM.because("handles need CAP_DAC_READ_SEARCH"));
    }
    let header = UserPtr::<Header>::new(handle.address()).read(cx)?;
    if header.bytes == 0 || header.bytes > BYTES_MAX || header.kind < 0 {
        return Err(Errno::EINVAL.because("no handle is that long"));
    }
    let bytes: UserPtr<u8> = handle.element(size_of::<Header>());
    let bytes = bytes.read_array(cx, header.bytes as usize)?;
    let at = match mount.0 {
        AT_FDCWD => cx.paths().working_directory(),
        _ => cx.files().get(mount)?.location().clone(),
    };
    let number = match bytes.first_chunk() {
        Some(number) if header.kind == OPENS && bytes.len() == BYTES as usize => *number,
        _ => return Err(stale()),
    };
    let inode =
        at.mount.file_system().clone().by_handle(u64::from_le_bytes(number)).ok_or_else(stale)?;
    if inode.kind() == FileType::SymbolicLink && !flags.contains(OpenFlags::PATH) {
        return Err(Errno::ELOOP.because("a symbolic link"));
    }
    let found = Location::by_handle(&at.mount, inode);
    let how = How { flags, mode: Mode::empty(), resolve: ResolveFlags::empty() };
    super::open::add(cx, open_location(cx, found, how)?, 0, OnExec::of(flags))
}

fn stale() -> Error {
    Errno::ESTALE.because("the handle leads to nothing in that file system")
}

#[cfg(test)]
mod tests {
    use crate::fake::kit;

    use super::*;

    #[test]
    fn a_file_is_found_by_its_handle_as_long_as_it_is_there() {
        let kit = kit::process();
        drop(kit.file("f", b"crab"));
        let (path, here) = (kit.string("/f"), AT_FDCWD as u64);
        let (handle, id) = (kit.put(&[0; 20]), kit.room(8));
        let name = |flags: u64| kit.call("name_to_handle_at", [here, path, handle, id, flags, 0]);
        let open = || kit.call("open_by_handle_at", [here, handle, 0, 0, 0, 0]);
        assert_eq!(open(), Err(Errno::EINVAL));
        assert_eq!(name(0), Err(Errno::EOVERFLOW));
        assert_eq!(kit.get_value::<u32>(handle), BYTES);
        assert_eq!((name(0), name(8)), (Ok(0), Err(Errno::EINVAL)));
        let fd = open().expect("the file");
        assert_eq!(kit.call("read", [fd, id, 8, 0, 0, 0]), Ok(4));
        assert_eq!(kit.get(id, 4), b"crab");
        assert_eq!(kit.call("close", [fd, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(kit.call("unlink", [path, 0, 0, 0, 0, 0]), Ok(0));
        assert_eq!(open(), Err(Errno::ESTALE));
        let null = kit.string("/proc/version");
        let call = |flags: u64| kit.call("name_to_handle_at", [here, null, handle, id, flags, 0]);
        assert_eq!((call(0), call(u64::from(FID))), (Err(Errno::EOPNOTSUPP), Ok(0)));
    }
}
