//! Files: the flags, numbers and structures of the calls in `calls` that take files or paths.
//!
//! - [`block`]: requests of block devices and loop devices
//! - [`flags`]: [`OpenFlags`], [`AtFlags`], [`Mode`], [`FileType`] and their kin
//! - [`mount`]: [`MountFlags`], [`UnmountFlags`]
//! - [`records`]: [`Stat`], [`Statx`], [`Statfs`], [`Dirent64`] and their kin, laid out as in
//!   the headers of Linux

pub mod block;
pub mod flags;
pub mod mount;
pub mod mount_api;
pub mod records;

pub use flags::{
    AccessMode, AccessRequest, AtFlags, CloseRangeFlags, ExtendedFlags, FallocateFlags, FileType,
    InodeFlags, LockOperation, MemfdFlags, Mode, OpenFlags, RenameFlags, ResolveFlags, Seals,
    SpliceFlags, StatxMask, TransferFlags,
};
pub use mount::{MountFlags, UnmountFlags};
pub use records::file_map;
pub use records::{
    Device, Dirent, Dirent64, FileAttributes, FileExtent, FileMap, FileSystemAttributes, Flock,
    Iovec, OpenHow, Stat, Statfs, Statx, StatxTime,
};

/// The directory descriptor that means the working directory.
pub const AT_FDCWD: i32 = linux_raw_sys::general::AT_FDCWD;

/// Longest name of a directory entry, in bytes.
pub const NAME_MAX: usize = 255;

/// Most pieces of a vector: readv(2).
pub const IOV_MAX: usize = 1024;

/// Commands of fcntl(2).
pub mod fcntl {
    pub use linux_raw_sys::general::{
        F_ADD_SEALS, F_DUPFD, F_DUPFD_CLOEXEC, F_DUPFD_QUERY, F_GET_SEALS, F_GETFD, F_GETFL,
        F_GETLEASE, F_GETLK, F_GETOWN, F_GETOWN_EX, F_GETPIPE_SZ, F_GETSIG, F_NOTIFY, F_OFD_GETLK,
        F_OFD_SETLK, F_OFD_SETLKW, F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID, F_RDLCK, F_SETFD,
        F_SETFL, F_SETLEASE, F_SETLK, F_SETLKW, F_SETOWN, F_SETOWN_EX, F_SETPIPE_SZ, F_SETSIG,
        F_UNLCK, F_WRLCK,
    };

    /// The descriptor flag of `F_GETFD` and `F_SETFD`.
    pub const FD_CLOEXEC: u32 = 1;
}

/// Requests of ioctl(2) that every file knows.
pub mod ioctl {
    pub use linux_raw_sys::ioctl::{
        FIGETBSZ, FIOASYNC, FIOCLEX, FIOGETOWN, FIONBIO, FIONCLEX, FIONREAD, FIOQSIZE, FIOSETOWN,
        SIOCGPGRP, SIOCSPGRP,
    };
}

/// Requests of ioctl(2) that file systems know.
pub mod file_system_ioctl {
    #![allow(missing_docs)]
    pub const FS_IOC_GETFLAGS: u32 = 0x8008_6601;
    pub const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
    pub const FS_IOC_FSGETXATTR: u32 = 0x801c_581f;
    pub const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;
    pub const FICLONE: u32 = 0x4004_9409;
    pub const FICLONERANGE: u32 = 0x4020_940d;
    pub const FIDEDUPERANGE: u32 = 0xc018_9436;
    pub const FS_IOC_FIEMAP: u32 = 0xc020_660b;
    pub const FIFREEZE: u32 = 0xc004_5877;
    pub const FITHAW: u32 = 0xc004_5878;
    pub const FS_IOC_GETFSUUID: u32 = 0x8011_1500;
    pub const FS_IOC_GETFSSYSFSPATH: u32 = 0x8081_1501;
}

/// Values of `whence`: lseek(2).
pub mod seek {
    pub use linux_raw_sys::general::{SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET};
}

/// Identities of file systems: statfs(2).
pub mod magic {
    pub use linux_raw_sys::general::{
        EXT4_SUPER_MAGIC, PIPEFS_MAGIC, PROC_SUPER_MAGIC, RAMFS_MAGIC, SYSFS_MAGIC, TMPFS_MAGIC,
        V9FS_MAGIC,
    };

    /// Slaves of pseudoterminals (`linux/magic.h`).
    pub const DEVPTS_SUPER_MAGIC: u32 = 0x1cd1;

    /// Sockets (`linux/magic.h`).
    pub const SOCKFS_MAGIC: u32 = 0x534f_434b;

    /// Message queues of POSIX (`ipc/mqueue.c`).
    pub const MQUEUE_MAGIC: u32 = 0x1980_0202;

    /// Namespaces (`linux/magic.h`).
    pub const NSFS_MAGIC: u32 = 0x6e73_6673;

    /// Anonymous inodes (`linux/magic.h`).
    pub const ANON_INODE_FS_MAGIC: u32 = 0x0904_1934;
}

/// Flags of a mount as statfs(2) shows them.
pub mod mount_flags {
    /// The file system cannot be written.
    pub const ST_RDONLY: u64 = 0x0001;
    /// Set-user-ID bits have no effect.
    pub const ST_NOSUID: u64 = 0x0002;
    /// Device nodes cannot be opened.
    pub const ST_NODEV: u64 = 0x0004;
    /// Programs cannot be executed.
    pub const ST_NOEXEC: u64 = 0x0008;
    /// The other bits are valid.
    pub const ST_VALID: u64 = 0x0020;
    /// Access times are not updated.
    pub const ST_NOATIME: u64 = 0x0400;
    /// Access times of directories are not updated.
    pub const ST_NODIRATIME: u64 = 0x0800;
    /// Access times are updated relative to modification times.
    pub const ST_RELATIME: u64 = 0x1000;
    /// Symbolic links are not followed.
    pub const ST_NOSYMFOLLOW: u64 = 0x2000;
}
