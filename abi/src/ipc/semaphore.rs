//! Semaphores of System V: semop(2), semctl(2); layouts of `linux/sem.h` and `asm/sembuf.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::IpcPermission;

/// Tells the process that last changed a semaphore.
pub const GETPID: i32 = 11;
/// Tells the value of a semaphore.
pub const GETVAL: i32 = 12;
/// Tells the values of all semaphores.
pub const GETALL: i32 = 13;
/// Tells how many wait for a semaphore to grow.
pub const GETNCNT: i32 = 14;
/// Tells how many wait for a semaphore to become 0.
pub const GETZCNT: i32 = 15;
/// Sets the value of a semaphore.
pub const SETVAL: i32 = 16;
/// Sets the values of all semaphores.
pub const SETALL: i32 = 17;
/// As `IPC_STAT`, by index.
pub const SEM_STAT: i32 = 18;
/// Tells how much is used.
pub const SEM_INFO: i32 = 19;
/// As `SEM_STAT`, for everybody.
pub const SEM_STAT_ANY: i32 = 20;

/// In the flags of an operation: undone at the end of the process.
pub const SEM_UNDO: u16 = 0o10000;

/// Greatest value of a semaphore, and greatest adjustment at the end of a process (`SEMVMX`,
/// `SEMAEM`).
pub const VALUE_MAX: i32 = 32767;

/// An operation on a semaphore: `struct sembuf`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SemaphoreOperation {
    /// Which semaphore of the set.
    pub number: u16,
    /// What is added to it; 0 to wait until it is 0.
    pub change: i16,
    /// `IPC_NOWAIT`, [`SEM_UNDO`].
    pub flags: u16,
}

/// A set of semaphores: `struct semid64_ds`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SemaphoreStatus {
    /// Who may use it.
    pub permission: IpcPermission,
    /// Last semop(2), in seconds since 1970 UTC.
    pub operated: i64,
    /// Zero.
    pub unused1: u64,
    /// Last changed by semctl(2).
    pub changed: i64,
    /// Zero.
    pub unused2: u64,
    /// Number of semaphores.
    pub count: u64,
    /// Zeros.
    pub unused: [u64; 2],
}

/// Limits of semaphores, or how much is used: `struct seminfo`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SemaphoreInfo {
    /// Not used by Linux.
    pub map: i32,
    /// Most sets.
    pub sets: i32,
    /// Most semaphores of all sets.
    pub semaphores: i32,
    /// Not used by Linux.
    pub undo_structures: i32,
    /// Most semaphores of a set.
    pub set_len: i32,
    /// Most operations of a call.
    pub operations: i32,
    /// Not used by Linux.
    pub undo_entries: i32,
    /// Size of an undo structure, which Linux does not use; or how many sets there are.
    pub undo_size_or_sets: i32,
    /// Greatest value.
    pub value_max: i32,
    /// Greatest adjustment at the end of a process; or how many semaphores there are.
    pub adjustment_max_or_semaphores: i32,
}

const _: () = {
    assert!(size_of::<SemaphoreOperation>() == 6);
    assert!(size_of::<SemaphoreStatus>() == 104);
    assert!(size_of::<SemaphoreInfo>() == 40);
};
