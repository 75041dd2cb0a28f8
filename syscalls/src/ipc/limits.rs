//! How much there may be: `/proc/sys/kernel/{sem,msg*,shm*}`.

/// The limits, with the values that Linux begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Greatest length of a segment, in bytes (`shmmax`).
    pub(crate) segment_len: u64,
    /// Most pages of all segments (`shmall`).
    pub(crate) segment_pages: u64,
    /// Most segments (`shmmni`).
    pub(crate) segments: u64,
    /// Longest message, in bytes (`msgmax`).
    pub(crate) message_len: u64,
    /// Most bytes of a new queue (`msgmnb`).
    pub(crate) queue_bytes: u64,
    /// Most queues (`msgmni`).
    pub(crate) queues: u64,
    /// Most semaphores of a set (the first of `sem`).
    pub(crate) set_len: u64,
    /// Most semaphores (the second).
    pub(crate) semaphores: u64,
    /// Most operations of a call (the third).
    pub(crate) operations: u64,
    /// Most sets (the fourth).
    pub(crate) sets: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_len: u64::MAX - (1 << 24),
            segment_pages: u64::MAX - (1 << 24),
            segments: 4096,
            message_len: 8192,
            queue_bytes: 16384,
            queues: 32000,
            set_len: 32000,
            semaphores: 1_024_000_000,
            operations: 500,
            sets: 32000,
        }
    }
}
