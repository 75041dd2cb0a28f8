//! Namespaces: namespaces(7), ioctl_nsfs(2).

/// Requests of ioctl(2) to descriptors of namespaces: `linux/nsfs.h`.
pub mod ioctl {
    /// A descriptor of the user namespace that owns it.
    pub const GET_USERNS: u32 = 0xb701;
    /// A descriptor of its parent.
    pub const GET_PARENT: u32 = 0xb702;
    /// Its type, a flag of clone(2).
    pub const GET_NSTYPE: u32 = 0xb703;
    /// Who made a user namespace.
    pub const GET_OWNER_UID: u32 = 0xb704;
    /// The number of a namespace of mounts.
    pub const GET_MNTNS_ID: u32 = 0x8008_b705;
    /// The number here of the thread that has a number there.
    pub const GET_PID_FROM_PIDNS: u32 = 0x8004_b706;
    /// The number here of the process of the thread that has a number there.
    pub const GET_TGID_FROM_PIDNS: u32 = 0x8004_b707;
    /// The number there of the thread that has a number here.
    pub const GET_PID_IN_PIDNS: u32 = 0x8004_b708;
    /// The number there of the process of the thread that has a number here.
    pub const GET_TGID_IN_PIDNS: u32 = 0x8004_b709;
}

/// Numbers of the inodes of the first namespaces: `linux/nsfs.h`.
pub mod first {
    /// Of System V objects.
    pub const IPC: u32 = 0xefff_ffff;
    /// Of host names.
    pub const UTS: u32 = 0xefff_fffe;
    /// Of users.
    pub const USER: u32 = 0xefff_fffd;
    /// Of numbers of processes.
    pub const PID: u32 = 0xefff_fffc;
    /// Of control groups.
    pub const CGROUP: u32 = 0xefff_fffb;
    /// Of clocks.
    pub const TIME: u32 = 0xefff_fffa;
    /// Of networks.
    pub const NET: u32 = 0xefff_fff9;
    /// Of mounts.
    pub const MOUNTS: u32 = 0xefff_fff8;
    /// All others come from here on (`PROC_DYNAMIC_FIRST`).
    pub const DYNAMIC: u32 = 0xf000_0000;
}

/// What a user or group is shown as that a user namespace does not map
/// (/proc/sys/kernel/overflowuid).
pub const OVERFLOW_ID: u32 = 65534;

/// Most extents of a map of users or groups: user_namespaces(7).
pub const MAP_EXTENTS_MAX: usize = 340;

/// How many namespaces of users or of processes may lie within each other, beside the first.
pub const DEPTH_MAX: u32 = 32;
