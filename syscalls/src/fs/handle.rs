//! Handles of files: what names a file in its file system for good.

use alloc::sync::Arc;

use super::inode::Inode;

/// Bytes of the handles here: a number, as tmpfs has on Linux, and zeros.
pub(crate) const HANDLE_LEN: usize = 12;

/// The type of handles that can be opened (`FILEID_INO32_GEN`).
pub(crate) const OPENS: i32 = 1;

/// The type of handles that only identify (`FILEID_INO64_GEN`).
const IDENTIFIES: i32 = 0x81;

/// A handle: what `struct file_handle` has beside its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle {
    /// [`OPENS`], or a type that only identifies.
    pub(crate) kind: i32,
    /// What the file system finds it by.
    pub(crate) bytes: [u8; HANDLE_LEN],
}

impl Handle {
    fn new(kind: i32, number: u64) -> Self {
        let mut bytes = [0; HANDLE_LEN];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Self { kind, bytes }
    }

    /// The handle by which the file can be opened; `None` where the file system has none.
    pub(crate) fn to_open(inode: &Arc<dyn Inode>) -> Option<Self> {
        inode.clone().handle().map(|number| Self::new(OPENS, number))
    }

    /// A handle that identifies the file.
    ///
    /// # Errors
    /// Those of [`Inode::metadata`].
    pub(crate) fn to_identify(inode: &Arc<dyn Inode>) -> crate::Result<Self> {
        match Self::to_open(inode) {
            Some(handle) => Ok(handle),
            None => Ok(Self::new(IDENTIFIES, inode.metadata()?.number)),
        }
    }
}
