//! Futexes: futex(2), set_robust_list(2), futex_waitv(2), `linux/futex.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands of futex(2), below their flags.
pub mod command {
    /// Waits while the word has a value.
    pub const WAIT: i32 = 0;
    /// Wakes waiters.
    pub const WAKE: i32 = 1;
    /// Wakes some waiters and lets others wait for another word.
    pub const REQUEUE: i32 = 3;
    /// The same, if the word has a value.
    pub const CMP_REQUEUE: i32 = 4;
    /// Changes a second word and wakes waiters of both.
    pub const WAKE_OP: i32 = 5;
    /// Locks, with a timeout by the time of day.
    pub const LOCK_PI: i32 = 6;
    /// Unlocks.
    pub const UNLOCK_PI: i32 = 7;
    /// Locks, if that is possible at once.
    pub const TRYLOCK_PI: i32 = 8;
    /// Waits with some bits.
    pub const WAIT_BITSET: i32 = 9;
    /// Wakes those who wait with some bits.
    pub const WAKE_BITSET: i32 = 10;
    /// Waits to own another word.
    pub const WAIT_REQUEUE_PI: i32 = 11;
    /// Lets waiters wait to own another word, if the word has a value.
    pub const CMP_REQUEUE_PI: i32 = 12;
    /// Locks, with a timeout by either clock.
    pub const LOCK_PI2: i32 = 13;
}

/// Flag of futex(2): the word is not shared with other processes.
pub const PRIVATE_FLAG: i32 = 128;
/// Flag of futex(2): the timeout is by the time of day.
pub const CLOCK_REALTIME: i32 = 256;

/// Bit of a word that a thread owns: others wait.
pub const WAITERS: u32 = 0x8000_0000;
/// Bit of a word that a thread owns: an owner has ended without unlocking.
pub const OWNER_DIED: u32 = 0x4000_0000;
/// The bits that are the number of the owner.
pub const TID_MASK: u32 = 0x3fff_ffff;

/// Which bits of the flags of [`Waitv`] are the size of the word.
pub const SIZE_MASK: u32 = 3;
/// Flag of [`Waitv`]: the word has 32 bits.
pub const SIZE_U32: u32 = 2;
/// Flag of [`Waitv`]: the word is not shared with other processes.
pub const FUTEX2_PRIVATE: u32 = 128;

/// Most words that futex_waitv(2) waits for.
pub const WAITV_MAX: u32 = 128;

/// Most entries of a robust list that are looked at.
pub const ROBUST_LIST_LIMIT: usize = 2048;

/// `struct futex_waitv`: one word of several.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Waitv {
    /// The value that is expected.
    pub value: u64,
    /// The address of the word.
    pub address: u64,
    /// Its size, and [`FUTEX2_PRIVATE`].
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Waitv>() == 24);

/// `struct robust_list_head`: the locks that a thread holds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RobustListHead {
    /// The first entry, or the head's own address; bit 0 is set for one with priority
    /// inheritance.
    pub first: u64,
    /// Distance from an entry to its word, in bytes.
    pub offset: i64,
    /// The entry that is being added or removed; 0 for none.
    pub pending: u64,
}

const _: () = assert!(size_of::<RobustListHead>() == 24);
