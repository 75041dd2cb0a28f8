//! What is special about files: ioctl_iflags(2), ioctl_fsgetxattr(2), file_getattr(2).

use abi::Errno;
use abi::fs::file_system_ioctl as request;
use abi::fs::{
    AtFlags, ExtendedFlags, FileAttributes, FileExtent, FileMap, FileSystemAttributes, FileType,
    InodeFlags, file_map,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::{Fd, Location, OpenFile, Stored, path, permission};
use crate::process::Capability;
use crate::user::{UserPath, UserPtr};

use super::metadata::{check_flags, read_path};

/// The flags that are the same in both forms.
const SAME: [(InodeFlags, ExtendedFlags); 4] = [
    (InodeFlags::IMMUTABLE, ExtendedFlags::IMMUTABLE),
    (InodeFlags::APPEND, ExtendedFlags::APPEND),
    (InodeFlags::NODUMP, ExtendedFlags::NODUMP),
    (InodeFlags::NOATIME, ExtendedFlags::NOATIME),
];

fn extend(flags: InodeFlags) -> ExtendedFlags {
    let set = SAME.into_iter().filter(|(flag, _)| flags.contains(*flag));
    set.fold(ExtendedFlags::empty(), |all, (_, extended)| all | extended)
}

/// # Errors
/// `EOPNOTSUPP` for a flag that files in memory do not have.
fn reduce(extended: ExtendedFlags) -> Result<InodeFlags> {
    let set = SAME.into_iter().filter(|(_, flag)| extended.contains(*flag));
    let flags = set.fold(InodeFlags::empty(), |all, (flag, _)| all | flag);
    if extend(flags) != extended {
        return Err(not_stored());
    }
    Ok(flags)
}

fn not_stored() -> Error {
    Errno::EOPNOTSUPP.because("the file system does not store this")
}

fn get(found: &Location) -> Result<InodeFlags> {
    found.inode().metadata()?.flags.ok_or_else(not_stored)
}

/// Sets the flags, where the caller may.
fn set(cx: &Context<'_>, found: &Location, flags: InodeFlags) -> Result<()> {
    found.mount.check_writable()?;
    let who = cx.credentials();
    let metadata = found.inode().metadata()?;
    permission::check_owner(&who, &metadata)?;
    let old = metadata.flags.ok_or_else(not_stored)?;
    if !found.inode().possible_flags().contains(flags) {
        return Err(not_stored());
    }
    let guarded = InodeFlags::IMMUTABLE | InodeFlags::APPEND;
    if (old ^ flags).intersects(guarded) && !who.has(Capability::LinuxImmutable) {
        return Err(Errno::EPERM.because("such files need CAP_LINUX_IMMUTABLE"));
    }
    found.inode().set_flags(flags)
}

/// Requests of ioctl(2) about the file system; `None` where it is none.
///
/// # Errors
/// `ENOTTY` and `EOPNOTSUPP` where the file system does not know it; `EPERM`; `EFAULT`.
pub(super) fn ioctl(
    cx: &Context<'_>,
    open: &OpenFile,
    number: u32,
    argument: u64,
) -> Option<Result<()>> {
    let kind = open.file.inode().kind();
    if !matches!(kind, FileType::Regular | FileType::Directory) {
        return None;
    }
    let has_flags = get(open.location()).is_ok();
    Some(match number {
        request::FS_IOC_GETFLAGS
        | request::FS_IOC_SETFLAGS
        | request::FS_IOC_FSGETXATTR
        | request::FS_IOC_FSSETXATTR
            if has_flags =>
        {
            flags_ioctl(cx, open.location(), number, argument)
        }
        request::FS_IOC_FIEMAP => file_map(cx, open, UserPtr::new(argument)),
        request::FICLONE | request::FICLONERANGE | request::FIDEDUPERANGE => {
            shared_storage(cx, open, number, argument)
        }
        _ => return None,
    })
}

fn flags_ioctl(cx: &Context<'_>, found: &Location, number: u32, argument: u64) -> Result<()> {
    match number {
        request::FS_IOC_GETFLAGS => UserPtr::new(argument).write(cx, &get(found)?.bits()),
        request::FS_IOC_SETFLAGS => {
            let flags: u32 = UserPtr::new(argument).read(cx)?;
            set(cx, found, InodeFlags::from_bits(flags).ok_or_else(not_stored)?)
        }
        request::FS_IOC_FSGETXATTR => {
            let xflags = extend(get(found)?).bits() as u32;
            let attributes = FileSystemAttributes { xflags, ..FileSystemAttributes::default() };
            UserPtr::new(argument).write(cx, &attributes)
        }
        _ => {
            let new: FileSystemAttributes = UserPtr::new(argument).read(cx)?;
            if (new.extsize, new.projid, new.cowextsize) != (0, 0, 0) {
                return Err(not_stored());
            }
            set(cx, found, reduce(ExtendedFlags::from_bits_retain(new.xflags.into()))?)
        }
    }
}

/// Most pieces that are shown at a time.
const PIECES_MAX: u32 = 4096;

/// `FS_IOC_FIEMAP`: where a file is stored.
fn file_map(cx: &Context<'_>, open: &OpenFile, to: UserPtr<FileMap>) -> Result<()> {
    let inode = open.file.inode();
    if inode.stored(0..0, 0)?.is_none() {
        return Err(not_stored());
    }
    let mut map = to.read(cx)?;
    let unknown = map.flags & !file_map::FIEMAP_FLAG_SYNC;
    if unknown != 0 {
        to.write(cx, &FileMap { flags: unknown, ..map })?;
        return Err(Errno::EBADR.because("flags are not known"));
    }
    if map.length == 0 {
        return Err(Errno::EINVAL.because("the range is empty"));
    }
    // Without room for pieces, they are counted.
    let limit = if map.extent_count == 0 { u32::MAX } else { map.extent_count.min(PIECES_MAX) };
    let range = map.start..map.start.saturating_add(map.length);
    let found = inode.stored(range, limit as usize)?.unwrap_or_default();
    map.mapped_extents = u32::try_from(found.len()).unwrap_or(u32::MAX);
    if map.extent_count > 0 {
        let pieces: alloc::vec::Vec<_> = found.iter().map(shown_piece).collect();
        let behind = to.address().wrapping_add(size_of::<FileMap>() as u64);
        cx.memory().write(behind, pieces.as_bytes())?;
    }
    to.write(cx, &map)
}

fn shown_piece(piece: &Stored) -> FileExtent {
    let last = if piece.last { file_map::FIEMAP_EXTENT_LAST } else { 0 };
    let unwritten = if piece.unwritten { file_map::FIEMAP_EXTENT_UNWRITTEN } else { 0 };
    FileExtent {
        logical: piece.offset,
        physical: piece.place,
        length: piece.len,
        flags: last | unwritten,
        ..FileExtent::default()
    }
}

/// No file shares storage.
fn shared_storage(cx: &Context<'_>, open: &OpenFile, number: u32, argument: u64) -> Result<()> {
    let source = match number {
        request::FICLONE => Some(argument as i32),
        request::FICLONERANGE => {
            let range: [u64; 4] = UserPtr::new(argument).read(cx)?;
            Some(range[0] as i32)
        }
        _ => None,
    };
    if let Some(source) = source {
        let source = cx.files().get(Fd(source))?;
        let device = |file: &OpenFile| file.file.inode().file_system().device();
        if device(&source) != device(open) {
            return Err(Errno::EXDEV.because("another file system"));
        }
        source.check_readable()?;
        open.check_writable()?;
    }
    Err(Errno::EOPNOTSUPP.because("the file system cannot do this"))
}

/// Length of the first form of the structure, in bytes.
const FIRST: usize = size_of::<FileAttributes>();

fn check_size(size: usize) -> Result<()> {
    if size > abi::PAGE_SIZE {
        return Err(Errno::E2BIG.because("the structure is too long"));
    }
    if size < FIRST {
        return Err(Errno::EINVAL.because("the structure is too short"));
    }
    Ok(())
}

/// file_getattr(2).
///
/// # Differences from Linux
/// Only files in memory have such attributes, and only those that they have on Linux.
pub(crate) fn file_getattr(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    to: UserPtr<u8>,
    size: usize,
    flags: AtFlags,
) -> Result<()> {
    check_flags(flags, AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH)?;
    check_size(size)?;
    let found = path::resolve_at(cx, directory, read_path(cx, file, flags)?, flags)?;
    let xflags = extend(get(&found)?).bits();
    let attributes = FileAttributes { xflags, ..FileAttributes::default() };
    let mut bytes = alloc::vec::Vec::from(attributes.as_bytes());
    bytes.resize(size, 0);
    cx.memory().write(to.address(), &bytes)
}

/// file_setattr(2).
///
/// # Differences from Linux
/// As [`file_getattr`].
pub(crate) fn file_setattr(
    cx: &Context<'_>,
    directory: Fd,
    file: UserPath,
    from: UserPtr<u8>,
    size: usize,
    flags: AtFlags,
) -> Result<()> {
    check_flags(flags, AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH)?;
    check_size(size)?;
    let bytes = from.read_array(cx, size)?;
    if bytes[FIRST..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.because("the structure has fields that are not known"));
    }
    let new = FileAttributes::read_from_bytes(&bytes[..FIRST]);
    let new = new.map_err(|_| Error::from(Errno::EINVAL))?;
    let xflags = ExtendedFlags::from_bits_retain(new.xflags);
    if !ExtendedFlags::KNOWN.contains(xflags) {
        return Err(Errno::EINVAL.because("attributes are not known"));
    }
    let found = path::resolve_at(cx, directory, read_path(cx, file, flags)?, flags)?;
    get(&found)?;
    if (new.extsize, new.projid, new.cowextsize) != (0, 0, 0) {
        return Err(not_stored());
    }
    set(cx, &found, reduce(xflags)?)
}

#[cfg(test)]
mod tests {
    use crate::fake::kit;

    use super::*;

    #[test]
    fn an_immutable_file_is_neither_written_nor_renamed_nor_removed() {
        let kit = kit::process();
        let fd = kit.descriptor(kit.file("f", b"crab"));
        let path = kit.string("/f");
        let flags = kit.put_value(&InodeFlags::IMMUTABLE.bits());
        let ioctl = |request: u32| kit.call("ioctl", [fd, request.into(), flags, 0, 0, 0]);
        assert_eq!(ioctl(request::FS_IOC_SETFLAGS), Ok(0));
        assert_eq!(kit.call("open", [path, 1, 0, 0, 0, 0]), Err(Errno::EPERM));
        assert_eq!(kit.call("unlink", [path, 0, 0, 0, 0, 0]), Err(Errno::EPERM));
        assert_eq!(kit.call("chmod", [path, 0o600, 0, 0, 0, 0]), Err(Errno::EPERM));
        assert_eq!(kit.call("link", [path, kit.string("/g"), 0, 0, 0, 0]), Err(Errno::EPERM));
        assert_eq!(kit.call("rename", [path, kit.string("/g"), 0, 0, 0, 0]), Err(Errno::EPERM));
        kit.set(flags, &InodeFlags::APPEND.bits().to_le_bytes());
        assert_eq!(ioctl(request::FS_IOC_SETFLAGS), Ok(0));
        assert_eq!(kit.call("open", [path, 1, 0, 0, 0, 0]), Err(Errno::EPERM));
        assert!(kit.call("open", [path, 0o2001, 0, 0, 0, 0]).is_ok());
        assert_eq!(kit.call("ftruncate", [fd, 0, 0, 0, 0, 0]), Err(Errno::EPERM));
        kit.set(flags, &4_u32.to_le_bytes());
        assert_eq!(ioctl(request::FS_IOC_SETFLAGS), Err(Errno::EOPNOTSUPP));
        assert_eq!(kit.call("setuid", [1, 0, 0, 0, 0, 0]), Ok(0));
        kit.set(flags, &[0; 4]);
        assert_eq!(ioctl(request::FS_IOC_SETFLAGS), Err(Errno::EPERM));
        assert_eq!(ioctl(request::FS_IOC_GETFLAGS), Ok(0));
        assert_eq!(kit.get_value::<u32>(flags), InodeFlags::APPEND.bits());
    }

    #[test]
    fn attributes_have_a_size_that_may_grow() {
        let kit = kit::process();
        drop(kit.file("f", b""));
        let (path, here) = (kit.string("/f"), abi::fs::AT_FDCWD as u64);
        let room = kit.put(&[0; 40]);
        let get = |size: u64| kit.call("file_getattr", [here, path, room, size, 0, 0]);
        assert_eq!((get(23), get(5000)), (Err(Errno::EINVAL), Err(Errno::E2BIG)));
        assert_eq!((get(24), get(40)), (Ok(0), Ok(0)));
        let set = |xflags: u64| {
            kit.set(room, &xflags.to_le_bytes());
            kit.call("file_setattr", [here, path, room, 24, 0, 0])
        };
        assert_eq!(set(ExtendedFlags::NODUMP.bits()), Ok(0));
        assert_eq!(set(ExtendedFlags::EXTSIZE.bits()), Err(Errno::EOPNOTSUPP));
        assert_eq!(set(1 << 40), Err(Errno::EINVAL));
        assert_eq!(get(24), Ok(0));
        assert_eq!(kit.get_value::<u64>(room), ExtendedFlags::NODUMP.bits());
        assert_eq!(kit.call("file_getattr", [here, path, 0, 24, 0, 0]), Err(Errno::EFAULT));
    }
}
