//! The boot archive: a cpio archive in the `newc` format, as cpio(5) and Linux's "initramfs
//! buffer format" describe it.
//!
//! [`entries`] reads one without copying: names and data are parts of the input. [`Writer`]
//! makes one as a stream, such that the data of every file of [`ALIGNED_FROM`] bytes or
//! more begins on a page boundary of the archive and is followed by zeros up to the next
//! one: the kernel uses those pages where they are. Smaller files are not aligned. Aligning
//! costs about a page and a half for each file, used or not, while a small file that is not
//! aligned costs at most the copy of a few pages, and only when it is mapped.
//!
//! Both sides agree on one thing that others need not know: an entry called [`FILLER`] only
//! takes up space, and the reader does not show it.

mod error;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{ArchiveError, Field, WriteError};
pub use reader::{Entries, Entry, entries};
pub use writer::Writer;

/// Name of the entries that exist only to align what follows them.
pub const FILLER: &[u8] = b".birgus/filler";

/// Files of that many bytes are aligned to pages by [`Writer`].
pub const ALIGNED_FROM: u64 = 4 * abi::PAGE_SIZE as u64;

/// Name of the entry that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// Size of the header of an entry, in bytes.
const HEADER_LEN: usize = 110;

/// The bits of a mode that say what kind of file it is (inode(7)).
pub const TYPE_MASK: u32 = 0o170_000;
/// A regular file.
pub const REGULAR: u32 = 0o100_000;
/// A directory.
pub const DIRECTORY: u32 = 0o040_000;
/// A symbolic link; its data is the target.
pub const SYMLINK: u32 = 0o120_000;
/// A character device.
pub const CHARACTER_DEVICE: u32 = 0o020_000;
/// A block device.
pub const BLOCK_DEVICE: u32 = 0o060_000;
/// A FIFO.
pub const FIFO: u32 = 0o010_000;
/// A socket.
pub const SOCKET: u32 = 0o140_000;

/// The numbers of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

/// What an entry's header says about a file, apart from name and length.
///
/// Entries with the same `device` and `inode` whose `links` is more than 1 are names of one
/// file (hard links), unless an end of archive lies between them ([`Entry::archive`]). Its
/// data may come with any of them: GNU cpio writes it with the last, other entries are
/// empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Inode number.
    pub inode: u32,
    /// Kind of file and permissions, as `st_mode` of inode(7).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of hard links.
    pub links: u32,
    /// Time of the last modification, in seconds since 1970 UTC.
    pub mtime: u32,
    /// The device that the file was on.
    pub device: Device,
    /// For a device node: which device it stands for.
    pub rdev: Device,
}

impl Metadata {
    /// The kind of file: [`REGULAR`], [`DIRECTORY`], [`SYMLINK`] …
    #[must_use]
    pub const fn file_type(&self) -> u32 {
        self.mode & TYPE_MASK
    }
}

const fn is_file_type(mode: u32) -> bool {
    matches!(
        mode & TYPE_MASK,
        REGULAR | DIRECTORY | SYMLINK | CHARACTER_DEVICE | BLOCK_DEVICE | FIFO | SOCKET
    )
}
