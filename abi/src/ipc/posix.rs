//! Message queues of POSIX: mq_overview(7); layouts of `linux/mqueue.h` and
//! `asm-generic/siginfo.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One more than the highest priority of a message (`MQ_PRIO_MAX`).
pub const PRIORITIES: u32 = 32768;

/// In [`SignalEvent::notify`]: a signal tells (`SIGEV_SIGNAL`).
pub const SIGEV_SIGNAL: i32 = 0;
/// Nothing tells (`SIGEV_NONE`).
pub const SIGEV_NONE: i32 = 1;
/// A thread tells, which the C library makes (`SIGEV_THREAD`).
pub const SIGEV_THREAD: i32 = 2;

/// Size and state of a queue: `struct mq_attr`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct QueueAttributes {
    /// `O_NONBLOCK` or 0.
    pub flags: i64,
    /// Most messages.
    pub max_messages: i64,
    /// Longest message, in bytes.
    pub message_len: i64,
    /// Number of messages.
    pub messages: i64,
    /// Zeros.
    pub reserved: [i64; 4],
}

/// How somebody is told of an event: `struct sigevent`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SignalEvent {
    /// What comes along with the signal.
    pub value: u64,
    /// Which signal.
    pub signal: i32,
    /// `SIGEV_SIGNAL` or one of the others.
    pub notify: i32,
    /// Of `SIGEV_THREAD` and `SIGEV_THREAD_ID`.
    pub rest: [u64; 6],
}

const _: () = {
    assert!(size_of::<QueueAttributes>() == 64);
    assert!(size_of::<SignalEvent>() == 64);
};
