//! What can be wrong with an archive: [`ArchiveError`] when reading, [`WriteError`] when
//! writing.

use core::fmt;

use crate::PATH_MAX;

/// A numeric field of an entry's header, in the order of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `c_ino`
    Inode,
    /// `c_mode`
    Mode,
    /// `c_uid`
    Uid,
    /// `c_gid`
    Gid,
    /// `c_nlink`
    Links,
    /// `c_mtime`
    Mtime,
    /// `c_filesize`
    FileSize,
    /// `c_devmajor`
    DeviceMajor,
    /// `c_devminor`
    DeviceMinor,
    /// `c_rdevmajor`
    RdevMajor,
    /// `c_rdevminor`
    RdevMinor,
    /// `c_namesize`
    NameSize,
    /// `c_check`
    Check,
}

impl Field {
    /// The name in cpio(5).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inode => "c_ino",
            Self::Mode => "c_mode",
            Self::Uid => "c_uid",
            Self::Gid => "c_gid",
            Self::Links => "c_nlink",
            Self::Mtime => "c_mtime",
            Self::FileSize => "c_filesize",
            Self::DeviceMajor => "c_devmajor",
            Self::DeviceMinor => "c_devminor",
            Self::RdevMajor => "c_rdevmajor",
            Self::RdevMinor => "c_rdevminor",
            Self::NameSize => "c_namesize",
            Self::Check => "c_check",
        }
    }
}

/// Why bytes are not an archive. `offset` is the position in the input, in bytes, of the
/// thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveError {
    /// The magic number is not that of the `newc` format.
    BadMagic {
        /// Where an entry should begin.
        offset: usize,
    },
    /// The archive is compressed.
    Compressed {
        /// Where an entry should begin.
        offset: usize,
        /// The name of the compression.
        format: &'static str,
    },
    /// An entry does not begin at a multiple of 4.
    Misaligned {
        /// Where it begins.
        offset: usize,
    },
    /// The input ends inside a header.
    HeaderTruncated {
        /// Where the header begins.
        offset: usize,
    },
    /// A field is not a hexadecimal number.
    NotHexadecimal {
        /// Where the field begins.
        offset: usize,
        /// Which field.
        field: Field,
    },
    /// `c_namesize` is 0 or above [`PATH_MAX`].
    NameSize {
        /// Where the field begins.
        offset: usize,
        /// Its value.
        size: u32,
    },
    /// The input ends inside a name.
    NameTruncated {
        /// Where the name begins.
        offset: usize,
    },
    /// A name does not end with NUL, or something follows the NUL.
    NameNotTerminated {
        /// Where the name begins.
        offset: usize,
    },
    /// A name is empty.
    NameEmpty {
        /// Where the name begins.
        offset: usize,
    },
    /// A name has the component `..`.
    NameWithParent {
        /// Where the name begins.
        offset: usize,
    },
    /// The kind of file in `c_mode` does not exist.
    FileType {
        /// Where the field begins.
        offset: usize,
        /// Its value.
        mode: u32,
    },
    /// The input ends inside the data of a file.
    DataTruncated {
        /// Where the data begins.
        offset: usize,
        /// `c_filesize`.
        len: u32,
    },
    /// The data does not have the sum that the header says (`070702` format only).
    BadChecksum {
        /// Where the data begins.
        offset: usize,
    },
    /// The input ends without an end-of-archive entry.
    TrailerMissing {
        /// Where the input ends.
        offset: usize,
    },
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadMagic { offset } => {
                write!(f, "archive, byte {offset}: c_magic is not 070701 (newc cpio)")
            }
            Self::Compressed { offset, format } => {
                write!(f, "archive, byte {offset}: compressed with {format}; uncompress it first")
            }
            Self::Misaligned { offset } => {
                write!(f, "archive, byte {offset}: an entry that is not aligned to 4 bytes")
            }
            Self::HeaderTruncated { offset } => {
                write!(f, "archive, byte {offset}: the archive ends inside this header")
            }
            Self::NotHexadecimal { offset, field } => {
                write!(f, "archive, byte {offset}: {} is not a hexadecimal number", field.name())
            }
            Self::NameSize { offset, size } => write!(
                f,
                "archive, byte {offset}: c_namesize is {size}, not in the range 1 to {PATH_MAX}"
            ),
            Self::NameTruncated { offset } => {
                write!(f, "archive, byte {offset}: the archive ends inside this name")
            }
            Self::NameNotTerminated { offset } => {
                write!(f, "archive, byte {offset}: the name does not end with NUL bytes")
            }
            Self::NameEmpty { offset } => write!(f, "archive, byte {offset}: the name is empty"),
            Self::NameWithParent { offset } => {
                write!(f, "archive, byte {offset}: the name has the component '..'")
            }
            Self::FileType { offset, mode } => {
                write!(f, "archive, byte {offset}: c_mode {mode:#o} is of no kind of file")
            }
            Self::DataTruncated { offset, len } => write!(
                f,
                "archive, byte {offset}: the archive ends inside these {len} bytes of data"
            ),
            Self::BadChecksum { offset } => {
                write!(f, "archive, byte {offset}: the data does not add up to c_check")
            }
            Self::TrailerMissing { offset } => {
                write!(f, "archive, byte {offset}: the archive ends without TRAILER!!!")
            }
        }
    }
}

impl core::error::Error for ArchiveError {}

/// Why an entry cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The name is longer than the format allows.
    NameTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A name that the reader would refuse or take for something else: empty, with a NUL or
    /// a component `..`, or one that the format uses itself.
    BadName,
    /// The mode is of no kind of file.
    FileType {
        /// The mode.
        mode: u32,
    },
    /// More data than the 32-bit field of the format can say.
    DataTooLong {
        /// The length of the data in bytes.
        len: u64,
    },
    /// No memory for the header.
    OutOfMemory,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NameTooLong { len } => {
                write!(f, "a path name of {len} bytes is longer than {}", PATH_MAX - 1)
            }
            Self::BadName => f.write_str("the path name is not one that an archive can hold"),
            Self::FileType { mode } => write!(f, "mode {mode:#o} is of no kind of file"),
            Self::DataTooLong { len } => {
                write!(f, "a file of {len} bytes is longer than 4 GiB, the most in an archive")
            }
            Self::OutOfMemory => f.write_str("not enough memory for an archive header"),
        }
    }
}

impl core::error::Error for WriteError {}
