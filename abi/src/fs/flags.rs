//! Flags and small numbers of the file calls. Source: `asm-generic/fcntl.h`,
//! `linux/{fcntl,stat,fs,falloc,openat2,memfd,close_range}.h`.

use bitflags::bitflags;
use linux_raw_sys::general as raw;

bitflags! {
    /// Flags of open(2) beside the access mode, and the status flags of `F_GETFL`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        /// Low bit of the access mode ([`OpenFlags::access_mode`]).
        const WRONLY = raw::O_WRONLY;
        /// High bit of the access mode.
        const RDWR = raw::O_RDWR;
        /// Create the file if it is not there.
        const CREAT = raw::O_CREAT;
        /// With `CREAT`: fail if it is there.
        const EXCL = raw::O_EXCL;
        /// A terminal does not become the controlling one.
        const NOCTTY = raw::O_NOCTTY;
        /// Cut a regular file to length 0.
        const TRUNC = raw::O_TRUNC;
        /// Every write goes to the end.
        const APPEND = raw::O_APPEND;
        /// Do not wait.
        const NONBLOCK = raw::O_NONBLOCK;
        /// Writes wait for the data to be stored.
        const DSYNC = raw::O_DSYNC;
        /// Signal when the file becomes ready (`FASYNC`).
        const ASYNC = 0o20000;
        /// Bypass caches.
        const DIRECT = raw::O_DIRECT;
        /// Files beyond 2 GiB; always true here.
        const LARGEFILE = raw::O_LARGEFILE;
        /// Fail if it is not a directory.
        const DIRECTORY = raw::O_DIRECTORY;
        /// Fail if the last component is a symbolic link.
        const NOFOLLOW = raw::O_NOFOLLOW;
        /// Reads leave the access time alone.
        const NOATIME = raw::O_NOATIME;
        /// The descriptor closes on execve(2).
        const CLOEXEC = raw::O_CLOEXEC;
        /// The bit that `O_SYNC` has beyond `O_DSYNC`.
        const SYNC_BIT = 0o4_000_000;
        /// A descriptor that only names a place.
        const PATH = raw::O_PATH;
        /// The bit that `O_TMPFILE` has beyond `O_DIRECTORY`.
        const TMPFILE_BIT = 0o20_000_000;
    }
}

impl OpenFlags {
    /// `O_TMPFILE`: a regular file without a name.
    pub const TMPFILE: Self = Self::TMPFILE_BIT.union(Self::DIRECTORY);

    /// The flags that fcntl(2) `F_SETFL` changes.
    pub const SETTABLE: Self = Self::APPEND
        .union(Self::NONBLOCK)
        .union(Self::ASYNC)
        .union(Self::DIRECT)
        .union(Self::NOATIME);

    /// The flags that act only while opening and that `F_GETFL` does not show.
    pub const CREATION: Self =
        Self::CREAT.union(Self::EXCL).union(Self::NOCTTY).union(Self::TRUNC).union(Self::CLOEXEC);

    /// What the file is opened for.
    #[must_use]
    pub const fn access_mode(self) -> AccessMode {
        match self.bits() & raw::O_ACCMODE {
            raw::O_RDONLY => AccessMode::Read,
            raw::O_WRONLY => AccessMode::Write,
            raw::O_RDWR => AccessMode::ReadWrite,
            _ => AccessMode::Neither,
        }
    }
}

/// What a file was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// `O_RDONLY`.
    Read,
    /// `O_WRONLY`.
    Write,
    /// `O_RDWR`.
    ReadWrite,
    /// 3: permissions are checked as for `O_RDWR`, and only ioctl(2) may be used.
    Neither,
}

impl AccessMode {
    /// Whether read(2) is allowed.
    #[must_use]
    pub const fn can_read(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    /// Whether write(2) is allowed.
    #[must_use]
    pub const fn can_write(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

bitflags! {
    /// Flags of the calls whose name ends in `at`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AtFlags: u32 {
        /// The last component is not followed if it is a symbolic link.
        const SYMLINK_NOFOLLOW = raw::AT_SYMLINK_NOFOLLOW;
        /// unlinkat(2): remove a directory. faccessat(2) gives the same bit the meaning
        /// [`AtFlags::EACCESS`].
        const REMOVEDIR = raw::AT_REMOVEDIR;
        /// linkat(2): the last component is followed.
        const SYMLINK_FOLLOW = raw::AT_SYMLINK_FOLLOW;
        /// Has no effect.
        const NO_AUTOMOUNT = raw::AT_NO_AUTOMOUNT;
        /// An empty path means the descriptor itself.
        const EMPTY_PATH = raw::AT_EMPTY_PATH;
        /// statx(2): attributes must be fresh.
        const STATX_FORCE_SYNC = raw::AT_STATX_FORCE_SYNC;
        /// statx(2): cached attributes will do.
        const STATX_DONT_SYNC = raw::AT_STATX_DONT_SYNC;
    }
}

impl AtFlags {
    /// faccessat(2): check with the effective identity, not the real one.
    pub const EACCESS: Self = Self::REMOVEDIR;
}

bitflags! {
    /// Permission bits of a file, with set-user-ID, set-group-ID and sticky bit.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Mode: u16 {
        /// The program runs as its owner.
        const SET_USER_ID = 0o4000;
        /// The program runs as its group; new entries of a directory take its group.
        const SET_GROUP_ID = 0o2000;
        /// Only owners remove or rename entries of the directory.
        const STICKY = 0o1000;
        /// The owner may read.
        const OWNER_READ = 0o400;
        /// The owner may write.
        const OWNER_WRITE = 0o200;
        /// The owner may execute or search.
        const OWNER_EXECUTE = 0o100;
        /// The group may read.
        const GROUP_READ = 0o040;
        /// The group may write.
        const GROUP_WRITE = 0o020;
        /// The group may execute or search.
        const GROUP_EXECUTE = 0o010;
        /// Others may read.
        const OTHERS_READ = 0o004;
        /// Others may write.
        const OTHERS_WRITE = 0o002;
        /// Others may execute or search.
        const OTHERS_EXECUTE = 0o001;
    }
}

impl Mode {
    /// Read, write and execute for everybody.
    pub const ALL: Self = Self::from_bits_retain(0o777);

    /// The bits of `mode` that are not a file type.
    #[must_use]
    pub const fn of(mode: u32) -> Self {
        Self::from_bits_retain((mode & 0o7777) as u16)
    }
}

/// The type of a file; the value is that of `S_IFMT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum FileType {
    /// None of the others: what epoll(7), eventfd(2) and their kin are behind.
    Anonymous = 0,
    /// A FIFO or pipe.
    Fifo = 0o010_000,
    /// A character device.
    CharacterDevice = 0o020_000,
    /// A directory.
    Directory = 0o040_000,
    /// A block device.
    BlockDevice = 0o060_000,
    /// A regular file.
    Regular = 0o100_000,
    /// A symbolic link.
    SymbolicLink = 0o120_000,
    /// A socket.
    Socket = 0o140_000,
}

impl FileType {
    /// The type in the bits of `mode`; `None` when they hold none.
    #[must_use]
    pub const fn of(mode: u32) -> Option<Self> {
        Some(match mode & raw::S_IFMT {
            raw::S_IFIFO => Self::Fifo,
            raw::S_IFCHR => Self::CharacterDevice,
            raw::S_IFDIR => Self::Directory,
            raw::S_IFBLK => Self::BlockDevice,
            raw::S_IFREG => Self::Regular,
            raw::S_IFLNK => Self::SymbolicLink,
            raw::S_IFSOCK => Self::Socket,
            _ => return None,
        })
    }

    /// The `d_type` of a directory entry: getdents64(2).
    #[must_use]
    pub const fn directory_entry_type(self) -> u8 {
        (self as u16 >> 12) as u8
    }

    /// Whether it is a device node.
    #[must_use]
    pub const fn is_device(self) -> bool {
        matches!(self, Self::CharacterDevice | Self::BlockDevice)
    }
}

bitflags! {
    /// What access(2) asks for; nothing is whether the file is there.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AccessRequest: u32 {
        /// Execute or search.
        const EXECUTE = 1;
        /// Write.
        const WRITE = 2;
        /// Read.
        const READ = 4;
    }

    /// Flags of renameat2(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RenameFlags: u32 {
        /// Fail if the new name is there.
        const NOREPLACE = raw::RENAME_NOREPLACE;
        /// Exchange the two files.
        const EXCHANGE = raw::RENAME_EXCHANGE;
        /// Leave a whiteout in the old place.
        const WHITEOUT = raw::RENAME_WHITEOUT;
    }

    /// Mode of fallocate(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FallocateFlags: u32 {
        /// The size stays.
        const KEEP_SIZE = raw::FALLOC_FL_KEEP_SIZE;
        /// The range becomes a hole.
        const PUNCH_HOLE = raw::FALLOC_FL_PUNCH_HOLE;
        /// The range is removed, and what follows moves down.
        const COLLAPSE_RANGE = raw::FALLOC_FL_COLLAPSE_RANGE;
        /// The range becomes zeros.
        const ZERO_RANGE = raw::FALLOC_FL_ZERO_RANGE;
        /// A hole is inserted, and what follows moves up.
        const INSERT_RANGE = raw::FALLOC_FL_INSERT_RANGE;
        /// Shared extents become private.
        const UNSHARE_RANGE = raw::FALLOC_FL_UNSHARE_RANGE;
    }

    /// How openat2(2) resolves its path.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ResolveFlags: u64 {
        /// Do not cross mount points.
        const NO_XDEV = raw::RESOLVE_NO_XDEV as u64;
        /// Do not follow links such as those of /proc/self/fd.
        const NO_MAGICLINKS = raw::RESOLVE_NO_MAGICLINKS as u64;
        /// Do not follow symbolic links.
        const NO_SYMLINKS = raw::RESOLVE_NO_SYMLINKS as u64;
        /// Stay below the directory.
        const BENEATH = raw::RESOLVE_BENEATH as u64;
        /// The directory is the root.
        const IN_ROOT = raw::RESOLVE_IN_ROOT as u64;
        /// Only what is cached.
        const CACHED = raw::RESOLVE_CACHED as u64;
    }

    /// What statx(2) is asked for, and what it gives.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct StatxMask: u32 {
        /// All that stat(2) gives.
        const BASIC_STATS = raw::STATX_BASIC_STATS;
        /// The time of creation.
        const BTIME = raw::STATX_BTIME;
        /// The number of the mount.
        const MNT_ID = raw::STATX_MNT_ID;
        /// How transfers past all caches have to be aligned.
        const DIOALIGN = 0x2000;
        /// The number of the mount that no other has had or will have.
        const MNT_ID_UNIQUE = 0x4000;
        /// Reserved: refused.
        const RESERVED = raw::STATX__RESERVED;
    }

    /// Flags of preadv2(2) and pwritev2(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TransferFlags: u32 {
        /// High priority.
        const HIPRI = raw::RWF_HIPRI;
        /// As `O_DSYNC`.
        const DSYNC = raw::RWF_DSYNC;
        /// As `O_SYNC`.
        const SYNC = raw::RWF_SYNC;
        /// Fail rather than wait.
        const NOWAIT = raw::RWF_NOWAIT;
        /// Write at the end.
        const APPEND = raw::RWF_APPEND;
    }

    /// Flags of splice(2), tee(2) and vmsplice(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SpliceFlags: u32 {
        /// Hand over pages rather than copy; a hint.
        const MOVE = 1;
        /// Do not wait for pipes.
        const NONBLOCK = 2;
        /// More will follow; a hint.
        const MORE = 4;
        /// The pages are a gift to the kernel; a hint.
        const GIFT = 8;
    }

    /// Flags of close_range(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CloseRangeFlags: u32 {
        /// Stop sharing the table first.
        const UNSHARE = 2;
        /// Set the close-on-exec flag instead of closing.
        const CLOEXEC = 4;
    }

    /// Operation of flock(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LockOperation: u32 {
        /// A shared lock.
        const SHARED = raw::LOCK_SH;
        /// An exclusive lock.
        const EXCLUSIVE = raw::LOCK_EX;
        /// Fail rather than wait.
        const NONBLOCK = raw::LOCK_NB;
        /// Remove the lock.
        const UNLOCK = raw::LOCK_UN;
    }

    /// What can never be done to a file again: `F_ADD_SEALS` of fcntl(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Seals: u32 {
        /// Add seals.
        const SEAL = raw::F_SEAL_SEAL;
        /// Make it shorter.
        const SHRINK = raw::F_SEAL_SHRINK;
        /// Make it longer.
        const GROW = raw::F_SEAL_GROW;
        /// Write to it.
        const WRITE = raw::F_SEAL_WRITE;
        /// Write to it but by mappings that there are already.
        const FUTURE_WRITE = raw::F_SEAL_FUTURE_WRITE;
        /// Change whether it can be executed.
        const EXEC = raw::F_SEAL_EXEC;
    }

    /// What is special about a file: ioctl_iflags(2), as `FS_IOC_GETFLAGS` gives it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InodeFlags: u32 {
        /// It is to be compressed.
        const COMPRESSED = 0x4;
        /// It cannot be changed, renamed, linked or removed.
        const IMMUTABLE = 0x10;
        /// It can only be appended to.
        const APPEND = 0x20;
        /// It is no part of a backup.
        const NODUMP = 0x40;
        /// Reads leave the access time alone.
        const NOATIME = 0x80;
    }

    /// The same as `FS_IOC_FSGETXATTR` and file_getattr(2) give it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ExtendedFlags: u64 {
        /// As [`InodeFlags::IMMUTABLE`].
        const IMMUTABLE = 0x08;
        /// As [`InodeFlags::APPEND`].
        const APPEND = 0x10;
        /// Writes are stored at once.
        const SYNC = 0x20;
        /// As [`InodeFlags::NOATIME`].
        const NOATIME = 0x40;
        /// As [`InodeFlags::NODUMP`].
        const NODUMP = 0x80;
        /// How much storage is taken at a time is set.
        const EXTSIZE = 0x800;
        /// New entries take the project of the directory.
        const PROJINHERIT = 0x200;
        /// How much is copied at a time is set.
        const COWEXTSIZE = 0x1_0000;
        /// All that there are (`FS_XFLAGS_MASK`).
        const KNOWN = 0x8001_ffff;
    }

    /// Flags of memfd_create(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MemfdFlags: u32 {
        /// The descriptor closes on execve(2).
        const CLOEXEC = raw::MFD_CLOEXEC;
        /// Seals may be added.
        const ALLOW_SEALING = raw::MFD_ALLOW_SEALING;
        /// Huge pages.
        const HUGETLB = raw::MFD_HUGETLB;
        /// Not executable, and sealed so.
        const NOEXEC_SEAL = raw::MFD_NOEXEC_SEAL;
        /// Executable.
        const EXEC = raw::MFD_EXEC;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compound_flags_have_the_values_of_the_headers() {
        assert_eq!(OpenFlags::TMPFILE.bits(), raw::O_TMPFILE);
        assert_eq!((OpenFlags::SYNC_BIT | OpenFlags::DSYNC).bits(), raw::O_SYNC);
        assert_eq!(AtFlags::EACCESS.bits(), raw::AT_EACCESS);
    }

    #[test]
    fn every_file_type_is_found_in_its_mode_bits() {
        for (kind, entry) in [
            (FileType::Fifo, raw::DT_FIFO),
            (FileType::CharacterDevice, raw::DT_CHR),
            (FileType::Directory, raw::DT_DIR),
            (FileType::BlockDevice, raw::DT_BLK),
            (FileType::Regular, raw::DT_REG),
            (FileType::SymbolicLink, raw::DT_LNK),
            (FileType::Socket, raw::DT_SOCK),
        ] {
            assert_eq!(FileType::of(u32::from(kind as u16) | 0o7777), Some(kind));
            assert_eq!(u32::from(kind.directory_entry_type()), entry);
        }
        assert_eq!(FileType::of(0o644), None);
    }

    #[test]
    fn access_mode_three_allows_neither() {
        let mode = OpenFlags::from_bits_retain(3).access_mode();
        assert!(!mode.can_read() && !mode.can_write());
    }
}
