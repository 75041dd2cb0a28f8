//! Waiting for files: poll(2), select(2). The events are in the personality's `PollEvents`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct pollfd`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PollFd {
    /// The descriptor; a negative one is skipped.
    pub fd: i32,
    /// The events that are waited for.
    pub events: u16,
    /// The events that have come.
    pub revents: u16,
}

const _: () = assert!(size_of::<PollFd>() == 8);

/// The sixth argument of pselect6(2): a signal mask with its size.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SizedMask {
    /// Address of the mask; 0 for none.
    pub mask: u64,
    /// Its size in bytes.
    pub size: u64,
}

const _: () = assert!(size_of::<SizedMask>() == 16);
