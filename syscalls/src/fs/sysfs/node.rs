//! Inodes of the sys file system.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::fs::{FileType, Mode, OpenFlags};
use abi::{Errno, PAGE_SIZE};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::directory::Directory;
use crate::fs::file::{File, Positions};
use crate::fs::inode::{DirectoryEntry, FileSystem, Inode, Metadata, NewInode};
use crate::fs::open_file::OpenFile;
use crate::io::Sink;

use super::SysFs;
use super::tree::{Place, ROOT};

/// Number of the root directory.
const ROOT_NUMBER: u64 = 1;

/// An inode. It is made when it is looked up; its number is made of its path.
struct Node {
    file_system: Arc<SysFs>,
    number: u64,
    place: Place,
}

/// The root directory.
pub(super) fn root(file_system: Arc<SysFs>) -> Arc<dyn Inode> {
    Arc::new(Node { file_system, number: ROOT_NUMBER, place: Place::Fixed(&ROOT) })
}

/// The number of the entry `name` in the directory with the number `parent`: a hash (FNV-1a).
fn child_number(parent: u64, name: &[u8]) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = name.iter().fold(parent.wrapping_mul(PRIME) | 1, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    hash >> 1
}

fn no_entry() -> Error {
    Errno::ENOENT.because("no such file or directory")
}

impl Inode for Node {
    fn kind(&self) -> FileType {
        self.place.kind()
    }

    fn metadata(&self) -> Result<Metadata> {
        let (mode, links, size) = match self.kind() {
            FileType::Directory => (0o755, 2, 0),
            FileType::SymbolicLink => (0o777, 1, 0),
            _ => (0o444, 1, PAGE_SIZE as u64),
        };
        let time = self.file_system.booted();
        Ok(Metadata {
            links,
            size,
            accessed: time,
            modified: time,
            changed: time,
            created: time,
            ..Metadata::new(self.number, self.kind(), Mode::from_bits_retain(mode))
        })
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        self.file_system.clone()
    }

    fn open(self: Arc<Self>, _: &Context<'_>, _: OpenFlags) -> Result<Arc<dyn File>> {
        match self.kind() {
            FileType::Directory => Ok(Directory::open(self)),
            FileType::SymbolicLink => Err(Errno::ELOOP.because("a symbolic link")),
            _ => Ok(Arc::new(Text { place: self.place, inode: self })),
        }
    }

    fn lookup(&self, cx: &Context<'_>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if self.kind() != FileType::Directory {
            return Err(Errno::ENOTDIR.because("not a directory"));
        }
        let mut entries = self.place.entries(cx).into_iter();
        let found = entries.find(|(other, _)| other.as_bytes() == name);
        let (_, place) = found.ok_or_else(no_entry)?;
        let (file_system, number) = (self.file_system.clone(), child_number(self.number, name));
        Ok(Arc::new(Self { file_system, number, place }))
    }

    fn read_directory(
        &self,
        cx: &Context<'_>,
        from: u64,
        each: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        for (next, (name, place)) in (1..).zip(self.place.entries(cx)) {
            let name = name.as_bytes();
            let number = child_number(self.number, name);
            let entry = DirectoryEntry { name, number, kind: place.kind(), next };
            if next > from && !each(entry) {
                break;
            }
        }
        Ok(())
    }

    fn create(&self, _: &[u8], _: &NewInode<'_>) -> Result<Arc<dyn Inode>> {
        Err(Errno::EPERM.because("the file system cannot be changed"))
    }

    fn read_link(&self, _: &Context<'_>) -> Result<Vec<u8>> {
        let target = self.place.target();
        let target = target.ok_or_else(|| Errno::EINVAL.because("not a symbolic link"))?;
        Ok(target.into_bytes())
    }
}

/// A file that is open. Its text is made each time.
struct Text {
    inode: Arc<dyn Inode>,
    place: Place,
}

impl File for Text {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn read(
        &self,
        cx: &Context<'_>,
        _: &OpenFile,
        offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        let gone = || Errno::ENODEV.because("the device is gone");
        let text = self.place.text(cx).ok_or_else(gone)?;
        match usize::try_from(offset).ok().and_then(|offset| text.get(offset..)) {
            Some(rest) if !rest.is_empty() => to.put(rest),
            _ => Ok(0),
        }
    }
}
