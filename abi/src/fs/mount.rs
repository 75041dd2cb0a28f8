//! Flags of mount(2) and umount2(2). Source: `linux/mount.h`, `sys/mount.h`.

use bitflags::bitflags;
use linux_raw_sys::general as raw;

bitflags! {
    /// Flags of mount(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MountFlags: u32 {
        /// Nothing can be written.
        const RDONLY = raw::MS_RDONLY;
        /// Set-user-ID bits have no effect.
        const NOSUID = raw::MS_NOSUID;
        /// Device nodes cannot be opened.
        const NODEV = raw::MS_NODEV;
        /// Programs cannot be executed.
        const NOEXEC = raw::MS_NOEXEC;
        /// Writes are stored at once.
        const SYNCHRONOUS = raw::MS_SYNCHRONOUS;
        /// Change the flags of what is mounted.
        const REMOUNT = raw::MS_REMOUNT;
        /// Mandatory locks; Linux ignores it.
        const MANDLOCK = raw::MS_MANDLOCK;
        /// Changes of directories are stored at once.
        const DIRSYNC = raw::MS_DIRSYNC;
        /// Symbolic links are not followed.
        const NOSYMFOLLOW = raw::MS_NOSYMFOLLOW;
        /// Access times are not updated.
        const NOATIME = raw::MS_NOATIME;
        /// Access times of directories are not updated.
        const NODIRATIME = raw::MS_NODIRATIME;
        /// Mount a part of the tree once more.
        const BIND = raw::MS_BIND;
        /// Move what is mounted.
        const MOVE = raw::MS_MOVE;
        /// With what is mounted below.
        const REC = raw::MS_REC;
        /// Say nothing in the kernel's log.
        const SILENT = raw::MS_SILENT;
        /// Access control lists, where the file system has them.
        const POSIXACL = raw::MS_POSIXACL;
        /// The mount cannot be the source of a bind mount.
        const UNBINDABLE = raw::MS_UNBINDABLE;
        /// Mounts on it are not propagated.
        const PRIVATE = raw::MS_PRIVATE;
        /// Mounts on it are only propagated to it.
        const SLAVE = raw::MS_SLAVE;
        /// Mounts on it are propagated.
        const SHARED = raw::MS_SHARED;
        /// Access times are updated relative to modification times.
        const RELATIME = raw::MS_RELATIME;
        /// Versions of inodes.
        const I_VERSION = raw::MS_I_VERSION;
        /// Access times are always updated.
        const STRICTATIME = raw::MS_STRICTATIME;
        /// Times are stored later.
        const LAZYTIME = raw::MS_LAZYTIME;
    }

    /// Flags of umount2(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct UnmountFlags: u32 {
        /// Even if that loses data.
        const FORCE = 1;
        /// Take it from the tree now, and end it when nobody uses it any more.
        const DETACH = 2;
        /// Mark it, or unmount it if it is marked and has not been used since.
        const EXPIRE = 4;
        /// The path is not followed if it is a symbolic link.
        const NOFOLLOW = 8;
    }
}

impl MountFlags {
    /// What the upper half of the flags was in old programs, and may still be.
    pub const MAGIC: u32 = raw::MS_MGC_VAL;
    /// The bits that [`MountFlags::MAGIC`] is compared with.
    pub const MAGIC_MASK: u32 = raw::MS_MGC_MSK;
    /// The kinds of propagation.
    pub const PROPAGATION: Self =
        Self::UNBINDABLE.union(Self::PRIVATE).union(Self::SLAVE).union(Self::SHARED);
    /// What says when access times are updated.
    pub const ACCESS_TIMES: Self =
        Self::NOATIME.union(Self::NODIRATIME).union(Self::RELATIME).union(Self::STRICTATIME);
}
