//! Waiting for many files at once, and files that stand for events: epoll(7), eventfd(2).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags! {
    /// The flags of `struct epoll_event` beside the events of poll(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EpollFlags: u32 {
        /// Of several instances that watch a file, only some are woken.
        const EXCLUSIVE = 1 << 28;
        /// The system does not suspend while the event is handled.
        const WAKEUP = 1 << 29;
        /// The file is not watched any more after one event.
        const ONESHOT = 1 << 30;
        /// Edge triggered: only changes are events.
        const ET = 1 << 31;
    }
}

/// Operations of epoll_ctl(2).
pub mod epoll_ctl {
    /// Watch a file.
    pub const ADD: i32 = 1;
    /// Do not watch it any more.
    pub const DEL: i32 = 2;
    /// Watch it for other events.
    pub const MOD: i32 = 3;
}

/// `struct epoll_event`, which is packed on x86-64.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed)]
pub struct EpollEvent {
    /// Events of poll(2) and [`EpollFlags`].
    pub events: u32,
    /// What the application gave with the file.
    pub data: u64,
}

const _: () = assert!(size_of::<EpollEvent>() == 12);

/// Flag of epoll_create1(2): the value of `O_CLOEXEC`.
pub const EPOLL_CLOEXEC: u32 = linux_raw_sys::general::O_CLOEXEC;

bitflags! {
    /// Flags of eventfd2(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EventFlags: u32 {
        /// A read takes 1 from the counter rather than all.
        const SEMAPHORE = 1;
        /// Reads and writes do not wait.
        const NONBLOCK = linux_raw_sys::general::O_NONBLOCK;
        /// The descriptor closes on execve(2).
        const CLOEXEC = linux_raw_sys::general::O_CLOEXEC;
    }
}
