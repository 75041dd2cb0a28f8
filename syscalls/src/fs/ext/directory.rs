//! Directories: entries one behind the other in blocks.
//!
//! An index (`dir_index`) is not used, and is taken away when the directory is changed, for
//! its blocks look like empty ones to whoever does not know it; e2fsck(8) makes a new one.

use alloc::vec::Vec;

use abi::Errno;
use abi::fs::FileType;

use crate::error::{Because, Error, Result};
use crate::fs::inode::DirectoryEntry;

use super::bytes::{put, put_u16, put_u32, u16_at, u32_at};
use super::checksum::crc32c;
use super::damaged;
use super::record::flag;
use super::volume::Volume;

/// Length of an entry without its name, in bytes.
const HEAD: usize = 8;

/// Length of what is behind the entries of a block with a checksum: it looks like an entry
/// that leads nowhere.
const TAIL: usize = 12;
const TAIL_KIND: u8 = 0xde;

/// An entry, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The inode it leads to.
    pub(super) number: u32,
    /// The block of the device that it lies in.
    block: u64,
    /// Where in the block, in bytes.
    at: usize,
    /// Where the entry before it is, if it is not the first of its block.
    before: Option<usize>,
}

/// An entry in a block.
struct Entry<'a> {
    at: usize,
    len: usize,
    number: u32,
    kind: u8,
    name: &'a [u8],
}

impl Entry<'_> {
    fn end(&self) -> usize {
        self.at + self.len
    }

    /// How many bytes of it are in use.
    fn used(&self) -> usize {
        if self.number == 0 { 0 } else { entry_len(self.name.len()) }
    }

    fn is_tail(&self) -> bool {
        self.number == 0 && self.len == TAIL && self.kind == TAIL_KIND
    }
}

fn entry_len(name_len: usize) -> usize {
    (HEAD + name_len).next_multiple_of(4)
}

/// The entry at `at` of a block; `None` at the end.
fn entry(block: &[u8], at: usize) -> Result<Option<Entry<'_>>> {
    if at == block.len() {
        return Ok(None);
    }
    let len = usize::from(u16_at(block, at + 4));
    let name_len = usize::from(block.get(at + 6).copied().unwrap_or_default());
    let sound = len >= HEAD && len % 4 == 0 && at + len <= block.len() && HEAD + name_len <= len;
    if !sound {
        log::warn!("ext: an entry of a directory is damaged");
        return Err(damaged());
    }
    let name = block.get(at + HEAD..at + HEAD + name_len).unwrap_or_default();
    Ok(Some(Entry { at, len, number: u32_at(block, at), kind: block[at + 7], name }))
}

fn write_entry(block: &mut [u8], at: usize, len: usize, number: u32, kind: u8, name: &[u8]) {
    put_u32(block, at, number);
    put_u16(block, at + 4, len as u16);
    put(block, at + 6, &[name.len() as u8, kind]);
    put(block, at + HEAD, name);
}

/// What an entry says of the kind of file it leads to.
pub(super) fn kind_byte(kind: FileType) -> u8 {
    match kind {
        FileType::Regular => 1,
        FileType::Directory => 2,
        FileType::CharacterDevice => 3,
        FileType::BlockDevice => 4,
        FileType::Fifo => 5,
        FileType::Socket => 6,
        FileType::SymbolicLink => 7,
        FileType::Anonymous => 0,
    }
}

fn kind_of(byte: u8) -> Option<FileType> {
    use FileType as F;
    let all = [F::Regular, F::Directory, F::CharacterDevice, F::BlockDevice, F::Fifo, F::Socket];
    all.into_iter().chain([F::SymbolicLink]).find(|&kind| kind_byte(kind) == byte)
}

impl Volume {
    /// The blocks of the device that hold a directory, in order.
    fn directory_blocks(&mut self, number: u32) -> Result<Vec<u64>> {
        let count = self.inode(number)?.record.size() / self.shape.block_size as u64;
        let count = u32::try_from(count).map_err(|_| damaged())?;
        if u64::from(count) > self.shape.blocks {
            return Err(damaged());
        }
        let mut blocks = Vec::new();
        let mut at = 0;
        while at < count {
            let run = self.run(number, at)?;
            let len = run.len.min(count - at);
            // A hole would make every later entry move.
            let start = run.data().ok_or_else(damaged)?;
            blocks.try_reserve(len as usize).map_err(|_| crate::machine::OutOfMemory)?;
            blocks.extend((0..u64::from(len)).map(|index| start + index));
            at += len;
        }
        Ok(blocks)
    }

    /// The entry `name` of a directory.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn find_entry(&mut self, directory: u32, name: &[u8]) -> Result<Option<Found>> {
        for number in self.directory_blocks(directory)? {
            let block = self.blocks.read(number)?;
            let (mut at, mut before) = (0, None);
            while let Some(found) = entry(block, at)? {
                if found.number != 0 && found.name == name {
                    return Ok(Some(Found { number: found.number, block: number, at, before }));
                }
                before = Some(at);
                at = found.end();
            }
        }
        Ok(None)
    }

    /// Shows the entries of a directory from a position on, until `each` returns false.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn list(
        &mut self,
        directory: u32,
        from: u64,
        each: &mut dyn FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<()> {
        let size = self.shape.block_size as u64;
        let has_kinds = self.shape.has_file_types();
        let blocks = self.directory_blocks(directory)?;
        for (start, number) in (0..).step_by(size as usize).zip(blocks) {
            if start + size <= from {
                continue;
            }
            let block = crate::buffer::copied(self.blocks.read(number)?)?;
            let mut at = 0;
            while let Some(found) = entry(&block, at)? {
                let is_shown = found.number != 0 && !matches!(found.name, b"." | b"..");
                if is_shown && start + at as u64 >= from {
                    let kind = match kind_of(found.kind).filter(|_| has_kinds) {
                        Some(kind) => kind,
                        None => self.inode(found.number)?.record.kind().ok_or_else(damaged)?,
                    };
                    let next = start + found.end() as u64;
                    let (name, number) = (found.name, found.number.into());
                    if !each(DirectoryEntry { name, number, kind, next }) {
                        return Ok(());
                    }
                }
                at = found.end();
            }
        }
        Ok(())
    }

    /// Whether a directory has no entries but `.` and `..`.
    ///
    /// # Errors
    /// As [`Volume::list`].
    pub(super) fn is_empty(&mut self, directory: u32) -> Result<bool> {
        let mut is_empty = true;
        self.list(directory, 0, &mut |_| {
            is_empty = false;
            false
        })?;
        Ok(is_empty)
    }

    /// Adds an entry to a directory, which has none of that name.
    ///
    /// # Errors
    /// `ENOSPC`; `EUCLEAN`; those of the device.
    pub(super) fn add_entry(
        &mut self,
        directory: u32,
        name: &[u8],
        number: u32,
        kind: FileType,
    ) -> Result<()> {
        self.forget_index(directory)?;
        let kind = if self.shape.has_file_types() { kind_byte(kind) } else { 0 };
        let needed = entry_len(name.len());
        for block in self.directory_blocks(directory)? {
            let bytes = self.blocks.read(block)?;
            let mut at = 0;
            let room = loop {
                match entry(bytes, at)? {
                    None => break None,
                    Some(found) if !found.is_tail() && found.len - found.used() >= needed => {
                        break Some((found.at, found.used(), found.len));
                    }
                    Some(found) => at = found.end(),
                }
            };
            if let Some((at, used, len)) = room {
                let bytes = self.blocks.edit(block)?;
                if used > 0 {
                    put_u16(bytes, at + 4, used as u16);
                }
                write_entry(bytes, at + used, len - used, number, kind, name);
                return self.seal(directory, block);
            }
        }
        self.add_block(directory, name, number, kind)
    }

    /// Adds a block with one entry to a directory.
    fn add_block(&mut self, directory: u32, name: &[u8], number: u32, kind: u8) -> Result<()> {
        let size = self.inode(directory)?.record.size();
        let next = u32::try_from(size / self.shape.block_size as u64);
        let next = next.map_err(|_| Errno::ENOSPC.because("the directory is full"))?;
        self.fill(directory, next..next + 1)?;
        let block = self.run(directory, next)?.data().ok_or_else(damaged)?;
        let room = self.entries_end();
        write_entry(self.blocks.fresh(block)?, 0, room, number, kind, name);
        let size = size + self.shape.block_size as u64;
        self.edit(directory)?.record.set_size(size);
        self.seal(directory, block)
    }

    /// Makes the first block of a new directory.
    ///
    /// # Errors
    /// `ENOSPC`; those of the device.
    pub(super) fn begin_directory(&mut self, directory: u32, parent: u32) -> Result<()> {
        let kind = if self.shape.has_file_types() { kind_byte(FileType::Directory) } else { 0 };
        self.add_block(directory, b".", directory, kind)?;
        let block = self.run(directory, 0)?.data().ok_or_else(damaged)?;
        let (room, dot) = (self.entries_end(), entry_len(1));
        let bytes = self.blocks.edit(block)?;
        put_u16(bytes, 4, dot as u16);
        write_entry(bytes, dot, room - dot, parent, kind, b"..");
        self.seal(directory, block)
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// `ENOENT`; `EUCLEAN`; those of the device.
    pub(super) fn remove_entry(&mut self, directory: u32, name: &[u8]) -> Result<()> {
        self.forget_index(directory)?;
        let found = self.find_entry(directory, name)?.ok_or_else(no_entry)?;
        let bytes = self.blocks.edit(found.block)?;
        match found.before {
            None => put_u32(bytes, found.at, 0),
            Some(before) => {
                let len = u16_at(bytes, before + 4) + u16_at(bytes, found.at + 4);
                put_u16(bytes, before + 4, len);
            }
        }
        self.seal(directory, found.block)
    }

    /// Lets an entry lead to another inode.
    ///
    /// # Errors
    /// As [`Volume::remove_entry`].
    pub(super) fn set_entry(
        &mut self,
        directory: u32,
        name: &[u8],
        number: u32,
        kind: FileType,
    ) -> Result<()> {
        self.forget_index(directory)?;
        let found = self.find_entry(directory, name)?.ok_or_else(no_entry)?;
        let has_kinds = self.shape.has_file_types();
        let bytes = self.blocks.edit(found.block)?;
        put_u32(bytes, found.at, number);
        if has_kinds {
            put(bytes, found.at + 7, &[kind_byte(kind)]);
        }
        self.seal(directory, found.block)
    }

    /// Where the entries of a block end.
    fn entries_end(&self) -> usize {
        self.shape.block_size - if self.shape.has_checksums() { TAIL } else { 0 }
    }

    /// Writes the checksum of a block of a directory that was changed.
    fn seal(&mut self, directory: u32, block: u64) -> Result<()> {
        self.edit(directory)?;
        if !self.shape.has_checksums() {
            return Ok(());
        }
        let generation = self.inode(directory)?.record.generation();
        let seed = self.inode_seed(directory, generation);
        let end = self.entries_end();
        let bytes = self.blocks.edit(block)?;
        write_entry(bytes, end, TAIL, 0, TAIL_KIND, b"");
        let sum = crc32c(seed, &bytes[..end]);
        put_u32(bytes, end + HEAD, sum);
        Ok(())
    }

    /// Makes a directory with an index one without.
    fn forget_index(&mut self, directory: u32) -> Result<()> {
        let record = &mut self.edit(directory)?.record;
        let flags = record.flags();
        if flags & flag::INDEX == 0 {
            return Ok(());
        }
        record.set_flags(flags & !flag::INDEX);
        if !self.shape.has_checksums() {
            return Ok(());
        }
        let blocks = self.directory_blocks(directory)?;
        let root = *blocks.first().ok_or_else(damaged)?;
        let nodes = self.index_nodes(&blocks, root)?;
        let (end, dots) = (self.entries_end(), 2 * entry_len(2));
        let bytes = self.blocks.edit(root)?;
        bytes[dots..].fill(0);
        put_u16(bytes, entry_len(1) + 4, (end - entry_len(1)) as u16);
        self.seal(directory, root)?;
        for node in nodes {
            write_entry(self.blocks.fresh(node)?, 0, end, 0, 0, b"");
            self.seal(directory, node)?;
        }
        Ok(())
    }

    /// The blocks between the root of an index and the blocks with entries.
    fn index_nodes(&mut self, blocks: &[u64], root: u64) -> Result<Vec<u64>> {
        let levels = self.blocks.read(root)?[30];
        let mut nodes = Vec::new();
        let mut above = alloc::vec![(root, 32)];
        for _ in 0..levels {
            let mut level = Vec::new();
            for (node, at) in above {
                let bytes = self.blocks.read(node)?;
                let count = usize::from(u16_at(bytes, at + 2));
                if count > (bytes.len() - at) / 8 || nodes.len() + level.len() > blocks.len() {
                    return Err(damaged());
                }
                for index in 0..count {
                    let child = u32_at(bytes, at + 8 * index + 4) as usize;
                    level.push((*blocks.get(child).ok_or_else(damaged)?, 8));
                }
            }
            nodes.extend(level.iter().map(|&(node, _)| node));
            if nodes.len() > blocks.len() {
                return Err(damaged());
            }
            above = level;
        }
        Ok(nodes)
    }
}

pub(super) fn no_entry() -> Error {
    Errno::ENOENT.because("no such file or directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_cannot_be_are_damage() {
        let mut block = [0; 64];
        write_entry(&mut block, 0, 64, 12, 1, b"crab");
        let found = entry(&block, 0).unwrap().unwrap();
        assert_eq!((found.name, found.number, found.used()), (&b"crab"[..], 12, 12));
        for len in [0, 4, 10, 68, 65532] {
            put_u16(&mut block, 4, len);
            assert!(entry(&block, 0).is_err());
        }
        put_u16(&mut block, 4, 12);
        block[6] = 5;
        assert!(entry(&block, 0).is_err());
        assert!(entry(&block, 64).unwrap().is_none());
    }
}
