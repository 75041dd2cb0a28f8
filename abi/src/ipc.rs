//! System V interprocess communication: shmget(2), shmctl(2); layouts of `asm/ipcbuf.h`,
//! `asm/shmbuf.h` and `linux/shm.h`.
//!
//! - [`semaphore`], [`message`]: those of semaphores and messages
//! - [`posix`]: message queues of POSIX

pub mod message;
pub mod posix;
pub mod semaphore;

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The key of an object that only its number leads to.
pub const IPC_PRIVATE: i32 = 0;

/// In the flags of a call: fail rather than wait (`IPC_NOWAIT`).
pub const IPC_NOWAIT: u32 = 0o4000;

/// Commands of shmctl(2), semctl(2) and msgctl(2).
pub const IPC_RMID: i32 = 0;
/// Sets owner and mode.
pub const IPC_SET: i32 = 1;
/// Tells of one object.
pub const IPC_STAT: i32 = 2;
/// Tells the limits.
pub const IPC_INFO: i32 = 3;
/// Keeps a segment in memory.
pub const SHM_LOCK: i32 = 11;
/// Lets a segment be swapped out again.
pub const SHM_UNLOCK: i32 = 12;
/// As `IPC_STAT`, by index.
pub const SHM_STAT: i32 = 13;
/// Tells how much is used.
pub const SHM_INFO: i32 = 14;
/// As `SHM_STAT`, for everybody.
pub const SHM_STAT_ANY: i32 = 15;

bitflags! {
    /// Flags of shmget(2), semget(2) and msgget(2); the lowest nine bits are a mode.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct GetFlags: u32 {
        /// Makes the object where there is none with the key.
        const CREAT = 0o1000;
        /// Fails where there is one.
        const EXCL = 0o2000;
        /// shmget(2): from the pool of huge pages.
        const HUGETLB = 0o4000;
        const _ = !0;
    }
}

bitflags! {
    /// Flags of shmat(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AttachFlags: u32 {
        /// Only for reading.
        const RDONLY = 0o10000;
        /// The address is rounded down to a page.
        const RND = 0o20000;
        /// In place of what is mapped there.
        const REMAP = 0o40000;
        /// Also for execution.
        const EXEC = 0o100_000;
        const _ = !0;
    }
}

/// In the mode of a segment: it goes when the last process detaches it.
pub const SHM_DEST: u32 = 0o1000;
/// In the mode of a segment: it is locked.
pub const SHM_LOCKED: u32 = 0o2000;

/// Who may use an object: `struct ipc64_perm`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct IpcPermission {
    /// The key it was made with.
    pub key: i32,
    /// Owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Creator.
    pub cuid: u32,
    /// The creator's group.
    pub cgid: u32,
    /// Permissions, and flags of the object.
    pub mode: u32,
    /// Sequence number: the upper part of the object's number.
    pub seq: u16,
    /// Zeros.
    pub pad: [u16; 3],
    /// Zeros.
    pub unused: [u64; 2],
}

/// A segment of shared memory: `struct shmid64_ds`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SharedMemoryStatus {
    /// Who may use it.
    pub permission: IpcPermission,
    /// Length in bytes.
    pub len: u64,
    /// Last attached, in seconds since 1970 UTC.
    pub attached: i64,
    /// Last detached.
    pub detached: i64,
    /// Last changed by shmctl(2).
    pub changed: i64,
    /// Process that made it.
    pub creator: i32,
    /// Process that last attached or detached it.
    pub last_user: i32,
    /// How often it is attached.
    pub attachments: u64,
    /// Zeros.
    pub unused: [u64; 2],
}

/// Limits of shared memory: `struct shminfo64`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SharedMemoryLimits {
    /// Greatest length of a segment, in bytes.
    pub max_len: u64,
    /// Least length of a segment, in bytes.
    pub min_len: u64,
    /// Most segments.
    pub segments: u64,
    /// Most segments of a process.
    pub process_segments: u64,
    /// Most pages of all segments.
    pub pages: u64,
    /// Zeros.
    pub unused: [u64; 4],
}

/// How much shared memory is used: `struct shm_info`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SharedMemoryUsage {
    /// Number of segments.
    pub segments: i32,
    /// Zeros.
    pub pad: i32,
    /// Pages of all segments.
    pub pages: u64,
    /// Pages in memory.
    pub resident: u64,
    /// Pages swapped out.
    pub swapped: u64,
    /// Not used by Linux.
    pub swap_attempts: u64,
    /// Not used by Linux.
    pub swap_successes: u64,
}

const _: () = {
    assert!(size_of::<IpcPermission>() == 48);
    assert!(size_of::<SharedMemoryStatus>() == 112);
    assert!(size_of::<SharedMemoryLimits>() == 72);
    assert!(size_of::<SharedMemoryUsage>() == 48);
};
