//! Blocks of metadata in memory, written when they have to be; and the way to those of files.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::buffer;
use crate::error::Result;
use crate::fs::storage::Storage;

use super::damaged;

/// How many bytes of metadata are kept at most before some are let go.
const KEPT: usize = 4 << 20;

/// Longest transfer, in bytes.
pub(super) const TRANSFER: usize = 128 << 10;

/// The blocks of a file system.
pub(super) struct Blocks {
    storage: Arc<dyn Storage>,
    size: usize,
    count: u64,
    kept: BTreeMap<u64, Block>,
}

struct Block {
    bytes: Vec<u8>,
    changed: bool,
}

impl Blocks {
    /// The `count` blocks of `size` bytes of `storage`.
    pub(super) fn new(storage: Arc<dyn Storage>, size: usize, count: u64) -> Self {
        Self { storage, size, count, kept: BTreeMap::new() }
    }

    /// What they are stored in.
    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The bytes of a block.
    ///
    /// # Errors
    /// `EUCLEAN` where there is no such block; `ENOMEM`; those of the device.
    pub(super) fn read(&mut self, block: u64) -> Result<&[u8]> {
        Ok(&self.get(block)?.bytes)
    }

    /// The bytes of a block, to be changed.
    ///
    /// # Errors
    /// As [`Blocks::read`].
    pub(super) fn edit(&mut self, block: u64) -> Result<&mut [u8]> {
        let block = self.get(block)?;
        block.changed = true;
        Ok(&mut block.bytes)
    }

    /// A block whose bytes do not matter any more: zeros, to be changed.
    ///
    /// # Errors
    /// As [`Blocks::read`].
    pub(super) fn fresh(&mut self, block: u64) -> Result<&mut [u8]> {
        self.check(block, 1)?;
        let bytes = buffer::zeroed(self.size)?;
        self.kept.insert(block, Block { bytes, changed: true });
        self.edit(block)
    }

    /// Lets go of a block that is free now.
    pub(super) fn forget(&mut self, block: u64) {
        self.kept.remove(&block);
    }

    fn get(&mut self, block: u64) -> Result<&mut Block> {
        self.check(block, 1)?;
        if !self.kept.contains_key(&block) {
            self.limit()?;
            let mut bytes = buffer::zeroed(self.size)?;
            self.storage.read(block * self.size as u64, &mut bytes)?;
            self.kept.insert(block, Block { bytes, changed: false });
        }
        self.kept.get_mut(&block).ok_or_else(damaged)
    }

    fn check(&self, block: u64, count: u64) -> Result<()> {
        match block.checked_add(count) {
            Some(end) if block != 0 && end <= self.count => Ok(()),
            _ => Err(damaged()),
        }
    }

    fn limit(&mut self) -> Result<()> {
        if self.kept.len() * self.size >= KEPT {
            self.flush()?;
            self.kept.clear();
        }
        Ok(())
    }

    /// Writes the blocks that were changed.
    ///
    /// # Errors
    /// Those of the device; what could not be written is kept.
    pub(super) fn flush(&mut self) -> Result<()> {
        let mut changed = self.kept.iter_mut().filter(|(_, block)| block.changed).peekable();
        let mut run = Vec::new();
        while let Some((&first, block)) = changed.next() {
            run.clear();
            run.extend_from_slice(&block.bytes);
            let mut written = alloc::vec![block];
            while let Some(next) = changed.peek().map(|(next, _)| **next)
                && next == first + written.len() as u64
                && run.len() + self.size <= TRANSFER
                && let Some((_, block)) = changed.next()
            {
                run.extend_from_slice(&block.bytes);
                written.push(block);
            }
            self.storage.write(first * self.size as u64, &run)?;
            written.into_iter().for_each(|block| block.changed = false);
        }
        Ok(())
    }

    /// Fills `to` with the whole blocks of a file from `block` on, past what is kept.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn read_data(&self, block: u64, to: &mut [u8]) -> Result<()> {
        self.check(block, (to.len() / self.size) as u64)?;
        self.storage.read(block * self.size as u64, to)
    }

    /// Writes whole blocks of a file from `block` on, past what is kept.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn write_data(&self, block: u64, bytes: &[u8]) -> Result<()> {
        self.check(block, (bytes.len() / self.size) as u64)?;
        self.storage.write(block * self.size as u64, bytes)
    }
}
