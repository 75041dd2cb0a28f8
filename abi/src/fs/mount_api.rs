//! The calls that mount step by step: fsopen(2), fsconfig(2), fsmount(2), move_mount(2),
//! open_tree(2), mount_setattr(2), statmount(2), listmount(2). Source: `linux/mount.h`. Field
//! names are those of the header.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags! {
    /// Flags of a mount: fsmount(2), mount_setattr(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MountAttributes: u64 {
        /// Nothing can be written.
        const RDONLY = 0x1;
        /// Set-user-ID bits have no effect.
        const NOSUID = 0x2;
        /// Device nodes cannot be opened.
        const NODEV = 0x4;
        /// Programs cannot be executed.
        const NOEXEC = 0x8;
        /// Access times are not updated.
        const NOATIME = 0x10;
        /// Access times are always updated.
        const STRICTATIME = 0x20;
        /// Part of the mask of when access times are updated.
        const ATIME_BIT = 0x40;
        /// Access times of directories are not updated.
        const NODIRATIME = 0x80;
        /// Symbolic links are not followed.
        const NOSYMFOLLOW = 0x20_0000;
    }

    /// Flags of move_mount(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MoveMountFlags: u32 {
        /// The source is followed if it is a symbolic link.
        const F_SYMLINKS = 0x1;
        /// Has no effect.
        const F_AUTOMOUNTS = 0x2;
        /// An empty source is the descriptor itself.
        const F_EMPTY_PATH = 0x4;
        /// The target is followed if it is a symbolic link.
        const T_SYMLINKS = 0x10;
        /// Has no effect.
        const T_AUTOMOUNTS = 0x20;
        /// An empty target is the descriptor itself.
        const T_EMPTY_PATH = 0x40;
        /// The target joins the group of the source.
        const SET_GROUP = 0x100;
        /// Below what is mounted at the target.
        const BENEATH = 0x200;
    }

    /// What statmount(2) is asked for, and what it gives.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct StatmountMask: u64 {
        /// The file system: number, type, flags.
        const SB_BASIC = 0x1;
        /// The mount: numbers, flags, propagation.
        const MNT_BASIC = 0x2;
        /// Whom it follows, as far as it can be seen.
        const PROPAGATE_FROM = 0x4;
        /// Which directory of the file system is mounted.
        const MNT_ROOT = 0x8;
        /// Where.
        const MNT_POINT = 0x10;
        /// The type of the file system.
        const FS_TYPE = 0x20;
        /// The number of the namespace.
        const MNT_NS_ID = 0x40;
        /// The options of the file system.
        const MNT_OPTS = 0x80;
        /// What is mounted.
        const SB_SOURCE = 0x200;
        /// All that there is here.
        const SUPPORTED_MASK = 0x1000;
    }
}

impl MountAttributes {
    /// When access times are updated: one of three values, 0 for relatively.
    pub const ATIME: Self = Self::NOATIME.union(Self::STRICTATIME).union(Self::ATIME_BIT);
}

/// Commands of fsconfig(2).
#[allow(missing_docs)]
pub mod fsconfig {
    pub const SET_FLAG: u32 = 0;
    pub const SET_STRING: u32 = 1;
    pub const SET_BINARY: u32 = 2;
    pub const SET_PATH: u32 = 3;
    pub const SET_PATH_EMPTY: u32 = 4;
    pub const SET_FD: u32 = 5;
    pub const CMD_CREATE: u32 = 6;
    pub const CMD_RECONFIGURE: u32 = 7;
    pub const CMD_CREATE_EXCL: u32 = 8;
}

/// The number that means the root in listmount(2).
pub const LSMT_ROOT: u64 = u64::MAX;

/// `struct mount_attr`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct MountAttr {
    pub attr_set: u64,
    pub attr_clr: u64,
    pub propagation: u64,
    pub userns_fd: u64,
}

/// `struct mnt_id_req`, as long as it was first.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct MountIdRequest {
    pub size: u32,
    pub mnt_ns_fd: u32,
    pub mnt_id: u64,
    pub param: u64,
}

/// `struct statmount`, without the strings that follow.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Statmount {
    pub size: u32,
    /// Where the string begins, in those that follow; so have the other strings.
    pub mnt_opts: u32,
    pub mask: u64,
    pub sb_dev_major: u32,
    pub sb_dev_minor: u32,
    pub sb_magic: u64,
    pub sb_flags: u32,
    pub fs_type: u32,
    pub mnt_id: u64,
    pub mnt_parent_id: u64,
    pub mnt_id_old: u32,
    pub mnt_parent_id_old: u32,
    pub mnt_attr: u64,
    pub mnt_propagation: u64,
    pub mnt_peer_group: u64,
    pub mnt_master: u64,
    pub propagate_from: u64,
    pub mnt_root: u32,
    pub mnt_point: u32,
    pub mnt_ns_id: u64,
    pub fs_subtype: u32,
    pub sb_source: u32,
    pub opt_num: u32,
    pub opt_array: u32,
    pub opt_sec_num: u32,
    pub opt_sec_array: u32,
    pub supported_mask: u64,
    pub uidmap: [u32; 4],
    pub spare: [u64; 43],
}

const _: () = {
    assert!(size_of::<MountAttr>() == 32);
    assert!(size_of::<MountIdRequest>() == 24);
    assert!(size_of::<Statmount>() == 512);
};
