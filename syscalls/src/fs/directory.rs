//! Open directories: getdents64(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{Dirent, Dirent64, FileType};
use zerocopy::IntoBytes;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::io::{Sink, Source};

use super::file::{File, Positions};
use super::inode::{DirectoryEntry, Inode};
use super::mount::Location;
use super::open_file::OpenFile;

/// How many positions come before those of the inode's entries: `.` and `..`.
const DOTS: u64 = 2;

/// Records are aligned to so many bytes.
const ALIGNMENT: usize = 8;

/// An open directory, of any file system.
pub struct Directory {
    inode: Arc<dyn Inode>,
}

impl Directory {
    /// Opens the directory `inode`.
    #[must_use]
    pub fn open(inode: Arc<dyn Inode>) -> Arc<dyn File> {
        Arc::new(Self { inode })
    }
}

impl File for Directory {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn read(&self, _: &Context<'_>, _: &OpenFile, _: u64, _: &mut dyn Sink) -> Result<usize> {
        Err(is_a_directory())
    }

    fn write(&self, _: &Context<'_>, _: &OpenFile, _: u64, _: &mut dyn Source) -> Result<usize> {
        Err(is_a_directory())
    }

    fn sync(&self) -> Result<()> {
        self.inode.file_system().sync()
    }
}

fn is_a_directory() -> Error {
    Errno::EISDIR.because("a directory")
}

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `struct linux_dirent`.
    Old,
    /// `struct linux_dirent64`.
    New,
}

/// Records of directory entries, up to a length.
struct Records {
    layout: Layout,
    bytes: Vec<u8>,
    limit: usize,
    /// Whether an entry did not fit.
    full: bool,
}

impl Records {
    /// Adds an entry; false where it does not fit.
    fn push(&mut self, number: u64, next: u64, kind: FileType, name: &[u8]) -> bool {
        let name_offset = match self.layout {
            Layout::Old => Dirent::NAME_OFFSET + 1,
            Layout::New => Dirent64::NAME_OFFSET,
        };
        let len = (name_offset + name.len() + 1).next_multiple_of(ALIGNMENT);
        let room = self.bytes.try_reserve(len).is_ok();
        let (Ok(reclen), true) = (u16::try_from(len), room && self.bytes.len() + len <= self.limit)
        else {
            self.full = true;
            return false;
        };
        let start = self.bytes.len();
        let (ino, off) = (number, next as i64);
        let kind = kind.directory_entry_type();
        match self.layout {
            Layout::Old => {
                self.bytes.extend_from_slice(Dirent { ino, off, reclen }.as_bytes());
            }
            Layout::New => {
                self.bytes.extend_from_slice(Dirent64 { ino, off, reclen, kind }.as_bytes());
            }
        }
        self.bytes.extend_from_slice(name);
        self.bytes.resize(start + len, 0);
        if let (Layout::Old, Some(last)) = (self.layout, self.bytes.last_mut()) {
            *last = kind;
        }
        true
    }
}

/// Reads entries of the directory `open` from its position on, at most `limit` bytes of them,
/// and hands them to `put`; returns how many bytes. The position moves where `put` succeeds.
///
/// # Errors
/// `ENOTDIR`; `EINVAL` when not even one entry fits; `ENOENT` when the directory has been
/// removed; those of `put`.
pub(crate) fn read_entries(
    cx: &Context<'_>,
    open: &OpenFile,
    layout: Layout,
    limit: usize,
    put: impl FnOnce(&[u8]) -> Result<()>,
) -> Result<usize> {
    let location = open.location();
    if !location.is_directory() {
        return Err(Errno::ENOTDIR.because("not a directory"));
    }
    if location.dentry.is_removed() {
        return Err(Errno::ENOENT.because("the directory has been removed"));
    }
    open.with_position(cx, |position| {
        let mut records = Records { layout, bytes: Vec::new(), limit, full: false };
        let mut next = position;
        if push_dots(cx, location, &mut records, &mut next)? {
            location.inode().read_directory(cx, next - DOTS, &mut |entry| {
                let DirectoryEntry { name, number, kind, next: after } = entry;
                let fits = records.push(number, after + DOTS, kind, name);
                if fits {
                    next = after + DOTS;
                }
                fits
            })?;
        }
        if records.bytes.is_empty() && records.full {
            return Err(Errno::EINVAL.because("the buffer is too small"));
        }
        put(&records.bytes)?;
        location.inode().was_listed(open.directory_access_times())?;
        Ok((records.bytes.len(), next))
    })
}

/// Adds `.` and `..` where `next` has not passed them; whether they fit.
fn push_dots(
    cx: &Context<'_>,
    location: &Location,
    records: &mut Records,
    next: &mut u64,
) -> Result<bool> {
    for (position, name) in [&b"."[..], b".."].into_iter().enumerate() {
        if *next != position as u64 {
            continue;
        }
        let inode = match position {
            0 => location.inode().clone(),
            _ => location.parent(&cx.paths().root()).inode().clone(),
        };
        let number = inode.metadata()?.number;
        if !records.push(number, *next + 1, FileType::Directory, name) {
            return Ok(false);
        }
        *next += 1;
    }
    Ok(true)
}
