//! What a file system on a device is stored in.

use crate::error::Result;

/// Bytes at offsets that stay: a block device as a file system uses it. Nobody's limits and
/// rights matter to it. All of it may wait.
pub(crate) trait Storage: Send + Sync {
    /// How many bytes there are.
    fn len(&self) -> u64;

    /// Whether nothing can be written.
    fn is_read_only(&self) -> bool;

    /// Fills `to` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `EIO` beyond the end; those of what is behind it.
    fn read(&self, offset: u64, to: &mut [u8]) -> Result<()>;

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// `EIO` beyond the end; those of what is behind it.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Stores for good what was written.
    ///
    /// # Errors
    /// Those of what is behind it.
    fn sync(&self) -> Result<()>;

    /// Nobody will use it any more.
    fn release(&self);
}

/// A regular file as the kernel itself uses it: its bytes, whatever its times, locks, limits
/// and rights are. None of it is called with a lock held.
pub trait Bytes: Send + Sync {
    /// Reads from `offset` on; returns how many bytes, fewer at the end of the file.
    ///
    /// # Errors
    /// Those of the file system.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// `ENOSPC`; those of the file system.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Stores for good what was written.
    ///
    /// # Errors
    /// Those of the file system.
    fn store(&self) -> Result<()>;
}
