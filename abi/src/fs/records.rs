//! Structures that the file calls exchange with the application, laid out as in the headers
//! of Linux. Field names are those of the headers, without their prefix.

use core::mem::offset_of;

use linux_raw_sys::general as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A device number: major and minor, makedev(3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// Which driver; 12 bits.
    pub major: u32,
    /// Which of its devices; 20 bits.
    pub minor: u32,
}

impl Device {
    /// The device with these numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// The number as the application passes and sees it (`new_encode_dev` of Linux).
    #[must_use]
    pub const fn encode(self) -> u64 {
        ((self.minor & 0xff) | (self.major & 0xfff) << 8 | (self.minor & 0xfff00) << 12) as u64
    }

    /// The device with this number; bits beyond 32 are ignored as Linux does.
    #[must_use]
    pub const fn decode(number: u64) -> Self {
        let number = number as u32;
        Self { major: (number & 0xfff00) >> 8, minor: (number & 0xff) | (number >> 12 & 0xfff00) }
    }
}

/// `struct stat`: stat(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub nlink: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub pad: u32,
    pub rdev: u64,
    pub size: i64,
    pub blksize: i64,
    /// In units of 512 bytes.
    pub blocks: i64,
    pub atime: i64,
    pub atime_nsec: u64,
    pub mtime: i64,
    pub mtime_nsec: u64,
    pub ctime: i64,
    pub ctime_nsec: u64,
    pub unused: [i64; 3],
}

/// `struct statx_timestamp`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct StatxTime {
    pub sec: i64,
    pub nsec: u32,
    pub reserved: i32,
}

/// `struct statx`: statx(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Statx {
    pub mask: u32,
    pub blksize: u32,
    pub attributes: u64,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    pub spare0: u16,
    pub ino: u64,
    pub size: u64,
    /// In units of 512 bytes.
    pub blocks: u64,
    pub attributes_mask: u64,
    pub atime: StatxTime,
    pub btime: StatxTime,
    pub ctime: StatxTime,
    pub mtime: StatxTime,
    pub rdev_major: u32,
    pub rdev_minor: u32,
    pub dev_major: u32,
    pub dev_minor: u32,
    pub mnt_id: u64,
    /// In bytes.
    pub dio_mem_align: u32,
    /// In bytes.
    pub dio_offset_align: u32,
    pub spare: [u64; 12],
}

/// `struct file_attr`: file_getattr(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct FileAttributes {
    pub xflags: u64,
    pub extsize: u32,
    pub nextents: u32,
    pub projid: u32,
    pub cowextsize: u32,
}

/// `struct fsxattr`: ioctl_fsgetxattr(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct FileSystemAttributes {
    pub xflags: u32,
    pub extsize: u32,
    pub nextents: u32,
    pub projid: u32,
    pub cowextsize: u32,
    pub pad: [u8; 8],
}

/// `STATX_ATTR_COMPRESSED`, `STATX_ATTR_IMMUTABLE`, `STATX_ATTR_APPEND` and `STATX_ATTR_NODUMP`
/// of [`Statx::attributes`]: the bits of [`crate::fs::InodeFlags`].
pub const STATX_ATTR_FLAGS: u64 = 0x74;

/// The head of `struct fiemap`: the map of a file, which pieces follow.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct FileMap {
    pub start: u64,
    pub length: u64,
    pub flags: u32,
    pub mapped_extents: u32,
    pub extent_count: u32,
    pub reserved: u32,
}

/// `struct fiemap_extent`: a piece of a file.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct FileExtent {
    pub logical: u64,
    pub physical: u64,
    pub length: u64,
    pub reserved64: [u64; 2],
    pub flags: u32,
    pub reserved: [u32; 3],
}

/// Flags of [`FileMap::flags`] and [`FileExtent::flags`] (`linux/fiemap.h`).
pub mod file_map {
    #![allow(missing_docs)]
    pub const FIEMAP_FLAG_SYNC: u32 = 0x1;
    pub const FIEMAP_EXTENT_LAST: u32 = 0x1;
    pub const FIEMAP_EXTENT_UNWRITTEN: u32 = 0x800;
}

/// `STATX_ATTR_MOUNT_ROOT` of [`Statx::attributes`].
pub const STATX_ATTR_MOUNT_ROOT: u64 = raw::STATX_ATTR_MOUNT_ROOT as u64;

/// `struct statfs`: statfs(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Statfs {
    pub kind: i64,
    pub bsize: i64,
    /// In units of `frsize`, as the next two.
    pub blocks: u64,
    pub bfree: u64,
    pub bavail: u64,
    pub files: u64,
    pub ffree: u64,
    pub fsid: [i32; 2],
    pub namelen: i64,
    pub frsize: i64,
    pub flags: i64,
    pub spare: [i64; 4],
}

/// The fixed part of `struct linux_dirent64`: getdents64(2). The name and a NUL follow at
/// [`Dirent64::NAME_OFFSET`], and the record is padded to 8 bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C, packed)]
#[allow(missing_docs)]
pub struct Dirent64 {
    pub ino: u64,
    /// Position of the next entry.
    pub off: i64,
    /// Length of the record in bytes.
    pub reclen: u16,
    /// [`super::FileType::directory_entry_type`].
    pub kind: u8,
}

impl Dirent64 {
    /// Where the name begins, in bytes.
    pub const NAME_OFFSET: usize = size_of::<Self>();
}

/// The fixed part of `struct linux_dirent`: getdents(2). The name and a NUL follow at
/// [`Dirent::NAME_OFFSET`]; the record is padded to 8 bytes, and its last byte is the type.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C, packed)]
#[allow(missing_docs)]
pub struct Dirent {
    pub ino: u64,
    /// Position of the next entry.
    pub off: i64,
    /// Length of the record in bytes.
    pub reclen: u16,
}

impl Dirent {
    /// Where the name begins, in bytes.
    pub const NAME_OFFSET: usize = size_of::<Self>();
}

/// `struct iovec`: readv(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Iovec {
    pub base: u64,
    pub len: u64,
}

/// `struct flock`: fcntl(2) `F_SETLK`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Flock {
    pub kind: i16,
    pub whence: i16,
    pub pad0: u32,
    pub start: i64,
    pub len: i64,
    pub pid: i32,
    pub pad1: u32,
}

/// `struct open_how`: openat2(2).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)]
pub struct OpenHow {
    pub flags: u64,
    pub mode: u64,
    pub resolve: u64,
}

const _: () = {
    assert!(size_of::<Stat>() == size_of::<raw::stat>());
    assert!(offset_of!(Stat, atime) == offset_of!(raw::stat, st_atime));
    assert!(size_of::<Statx>() == size_of::<raw::statx>());
    assert!(offset_of!(Statx, mnt_id) == offset_of!(raw::statx, stx_mnt_id));
    assert!(size_of::<Statfs>() == size_of::<raw::statfs>());
    assert!(offset_of!(Statfs, fsid) == offset_of!(raw::statfs, f_fsid));
    assert!(Dirent64::NAME_OFFSET == offset_of!(raw::linux_dirent64, d_name));
    assert!(Dirent::NAME_OFFSET == 18);
    assert!(size_of::<Iovec>() == size_of::<raw::iovec>());
    assert!(size_of::<Flock>() == size_of::<raw::flock>());
    assert!(offset_of!(Flock, pid) == offset_of!(raw::flock, l_pid));
    assert!(size_of::<OpenHow>() == size_of::<raw::open_how>());
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_survive_encoding() {
        assert_eq!(Device::new(1, 3).encode(), 0x103);
        for device in [Device::new(5, 1), Device::new(0xfff, 0xf_ffff), Device::new(136, 300)] {
            assert_eq!(Device::decode(device.encode()), device);
        }
    }
}
