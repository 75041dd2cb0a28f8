//! Locks of files: flock(2) and the record locks of fcntl(2).

/// The locks of all files.
#[derive(Default)]
pub struct LockTable {}

impl LockTable {
    /// No locks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
