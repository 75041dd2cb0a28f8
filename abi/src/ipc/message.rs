//! Messages of System V: msgop(2), msgctl(2); layouts of `linux/msg.h` and `asm/msgbuf.h`.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::IpcPermission;

/// As `IPC_STAT`, by index.
pub const MSG_STAT: i32 = 11;
/// Tells how much is used.
pub const MSG_INFO: i32 = 12;
/// As `MSG_STAT`, for everybody.
pub const MSG_STAT_ANY: i32 = 13;

bitflags! {
    /// Flags of msgsnd(2) and msgrcv(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MessageFlags: u32 {
        /// Fails rather than waits.
        const NOWAIT = super::IPC_NOWAIT;
        /// A message that is too long is cut.
        const NOERROR = 0o10000;
        /// A message of any type but this.
        const EXCEPT = 0o20000;
        /// Copies the message at a place of the queue, and leaves it there.
        const COPY = 0o40000;
        const _ = !0;
    }
}

/// A queue of messages: `struct msqid64_ds`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct MessageQueueStatus {
    /// Who may use it.
    pub permission: IpcPermission,
    /// Last msgsnd(2), in seconds since 1970 UTC.
    pub sent: i64,
    /// Last msgrcv(2).
    pub received: i64,
    /// Last changed by msgctl(2).
    pub changed: i64,
    /// Bytes of all messages.
    pub bytes: u64,
    /// Number of messages.
    pub messages: u64,
    /// Most bytes of all messages.
    pub max_bytes: u64,
    /// Process that last sent.
    pub last_sender: i32,
    /// Process that last received.
    pub last_receiver: i32,
    /// Zeros.
    pub unused: [u64; 2],
}

/// Limits of messages, or how much is used: `struct msginfo`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct MessageInfo {
    /// Not used by Linux; or how many queues there are.
    pub pool_or_queues: i32,
    /// Not used by Linux; or how many messages there are.
    pub map_or_messages: i32,
    /// Longest message, in bytes.
    pub message_max: i32,
    /// Most bytes of a queue.
    pub queue_bytes_max: i32,
    /// Most queues.
    pub queues: i32,
    /// Not used by Linux.
    pub segment_size: i32,
    /// Not used by Linux; or how many bytes all messages have.
    pub headers_or_bytes: i32,
    /// Not used by Linux.
    pub segments: u16,
    /// Zero.
    pub padding: u16,
}

const _: () = {
    assert!(size_of::<MessageQueueStatus>() == 120);
    assert!(size_of::<MessageInfo>() == 32);
};
