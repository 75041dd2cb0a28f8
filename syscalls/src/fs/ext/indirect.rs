//! The map of a file's blocks as addresses of blocks, the later ones in blocks of addresses:
//! ext2 and ext3.

use core::ops::Range;

use crate::error::Result;

use super::bytes::{put_u32, u32_at};
use super::damaged;
use super::volume::Volume;

/// Addresses in the inode that lead to blocks of the file.
const DIRECT: u64 = 12;

/// Addresses in the inode that lead to addresses, over one level, two and three.
const LEVELS: u32 = 3;

/// The way to a block of a file: which address of the inode, and over how many levels what
/// place among the blocks below.
struct Way {
    slot: u64,
    levels: u32,
    index: u64,
}

impl Volume {
    fn addresses(&self) -> u64 {
        (self.shape.block_size / 4) as u64
    }

    fn way(&self, block: u32) -> Result<Way> {
        let mut index = u64::from(block);
        if index < DIRECT {
            return Ok(Way { slot: index, levels: 0, index: 0 });
        }
        index -= DIRECT;
        for level in 0..LEVELS {
            let below = self.addresses().pow(level + 1);
            if index < below {
                return Ok(Way { slot: DIRECT + u64::from(level), levels: level + 1, index });
            }
            index -= below;
        }
        Err(abi::Errno::EFBIG.into())
    }

    fn slot(&mut self, number: u32, slot: u64) -> Result<u64> {
        Ok(u32_at(self.inode(number)?.record.map(), slot as usize * 4).into())
    }

    fn set_slot(&mut self, number: u32, slot: u64, block: u64) -> Result<()> {
        put_u32(self.edit(number)?.record.map_mut(), slot as usize * 4, block as u32);
        Ok(())
    }

    fn address(&mut self, node: u64, index: u64) -> Result<u64> {
        self.check_data(node)?;
        Ok(u32_at(self.blocks.read(node)?, index as usize * 4).into())
    }

    /// Where a block of a file is, or 0 and how many blocks from there are nowhere.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn indirect_block(&mut self, number: u32, block: u32) -> Result<(u64, u64)> {
        let Ok(way) = self.way(block) else { return Ok((0, u64::from(u32::MAX))) };
        let mut at = self.slot(number, way.slot)?;
        let mut index = way.index;
        for level in (0..way.levels).rev() {
            let below = self.addresses().pow(level);
            if at == 0 {
                return Ok((0, below * self.addresses() - index));
            }
            at = self.address(at, index / below)?;
            index %= below;
        }
        if at != 0 {
            self.check_data(at)?;
        }
        Ok((at, 1))
    }

    /// Makes a block of the device a block of a file.
    ///
    /// # Errors
    /// `ENOSPC` for blocks of addresses; `EFBIG`; those of the device.
    pub(super) fn set_indirect(&mut self, number: u32, block: u32, to: u64) -> Result<()> {
        let way = self.way(block)?;
        if way.levels == 0 {
            return self.set_slot(number, way.slot, to);
        }
        let mut node = self.slot(number, way.slot)?;
        if node == 0 {
            node = self.take_node(number, to)?;
            self.set_slot(number, way.slot, node)?;
        }
        let mut index = way.index;
        for level in (1..way.levels).rev() {
            let below = self.addresses().pow(level);
            let place = index / below;
            let mut next = self.address(node, place)?;
            if next == 0 {
                next = self.take_node(number, to)?;
                put_u32(self.blocks.edit(node)?, place as usize * 4, next as u32);
            }
            node = next;
            index %= below;
        }
        self.check_data(node)?;
        put_u32(self.blocks.edit(node)?, index as usize * 4, to as u32);
        Ok(())
    }

    fn take_node(&mut self, number: u32, goal: u64) -> Result<u64> {
        let (node, _) = self.take_blocks(goal, 1)?;
        self.blocks.fresh(node)?;
        self.count_blocks(number, 1)?;
        Ok(node)
    }

    /// Frees the blocks of `range` of a file, and the blocks of addresses that are empty then.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn free_indirect(&mut self, number: u32, range: Range<u64>) -> Result<()> {
        let mut first = 0;
        for slot in 0..DIRECT + u64::from(LEVELS) {
            let levels = slot.saturating_sub(DIRECT - 1) as u32;
            let end = first + self.addresses().pow(levels);
            let at = self.slot(number, slot)?;
            if at != 0
                && first < range.end
                && range.start < end
                && self.free_below(number, at, levels, first, &range)?
            {
                self.set_slot(number, slot, 0)?;
            }
            first = end;
        }
        Ok(())
    }

    /// Frees what lies in `range` below the block `at`, whose blocks are those of the file from
    /// `first` on; and the block itself where nothing is left below it, which it returns.
    fn free_below(
        &mut self,
        number: u32,
        at: u64,
        levels: u32,
        first: u64,
        range: &Range<u64>,
    ) -> Result<bool> {
        self.check_data(at)?;
        let mut is_empty = true;
        if levels > 0 {
            let below = self.addresses().pow(levels - 1);
            for index in 0..self.addresses() {
                let next = self.address(at, index)?;
                if next == 0 {
                    continue;
                }
                let start = first + index * below;
                let touched = start < range.end && range.start < start + below;
                if touched && self.free_below(number, next, levels - 1, start, range)? {
                    put_u32(self.blocks.edit(at)?, index as usize * 4, 0);
                } else {
                    is_empty = false;
                }
            }
        }
        if is_empty {
            self.free_blocks(at..at + 1)?;
            self.count_blocks(number, -1)?;
        }
        Ok(is_empty)
    }

    /// A file takes so many blocks more.
    ///
    /// # Errors
    /// As [`Volume::edit`].
    pub(super) fn count_blocks(&mut self, number: u32, count: i64) -> Result<()> {
        let block_size = self.shape.block_size;
        self.edit(number)?.record.add_blocks(count, block_size);
        Ok(())
    }

    /// Fails where a block number does not fit into an address.
    ///
    /// # Errors
    /// `EUCLEAN`.
    pub(super) fn check_narrow(block: u64) -> Result<()> {
        u32::try_from(block).map(drop).map_err(|_| damaged())
    }
}
