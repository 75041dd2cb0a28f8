//! Message queues of POSIX: mq_overview(7); layouts of `linux/mqueue.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One more than the highest priority of a message (`MQ_PRIO_MAX`).
pub const PRIORITIES: u32 = 32768;

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

const _: () = assert!(size_of::<QueueAttributes>() == 64);
