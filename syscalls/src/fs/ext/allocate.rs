//! Which blocks and inodes are in use.

use core::mem::take;
use core::ops::Range;

use abi::Errno;

use crate::error::{Because, Error, Result};

use super::checksum::crc32c;
use super::damaged;
use super::groups::{BLOCKS_UNUSED, Count, INODES_UNUSED, Place};
use super::volume::Volume;

impl Volume {
    /// Takes up to `want` blocks that follow each other, near `goal`; returns the first and
    /// how many.
    ///
    /// # Errors
    /// `ENOSPC`; those of the device.
    pub(super) fn take_blocks(&mut self, goal: u64, want: u32) -> Result<(u64, u32)> {
        let goal = if goal < self.shape.blocks { goal } else { 0 };
        let from_first = goal.saturating_sub(self.shape.first_block);
        let home = (from_first / u64::from(self.shape.group_blocks)) as u32;
        for step in 0..self.shape.groups {
            let group = (home + step) % self.shape.groups;
            if self.groups.count(group, Count::FreeBlocks) == 0 {
                continue;
            }
            let start = self.shape.group_start(group);
            let at = if step == 0 { goal.saturating_sub(start) as u32 } else { 0 };
            if let Some((first, len)) = self.take_in_group(group, at, want)? {
                return Ok((start + u64::from(first), len));
            }
        }
        Err(full())
    }

    fn take_in_group(&mut self, group: u32, goal: u32, want: u32) -> Result<Option<(u32, u32)>> {
        let count = self.shape.blocks_in(group);
        let bitmap = self.block_bitmap(group)?;
        let found = first_zero(bitmap, goal..count).or_else(|| first_zero(bitmap, 0..goal));
        let Some(first) = found else {
            log::warn!("ext: group {group} has fewer free blocks than it says");
            self.groups.set_count(group, Count::FreeBlocks, 0);
            return Ok(None);
        };
        let mut len = 0;
        while len < want && first + len < count && !bit(bitmap, first + len) {
            set_bit(bitmap, first + len, true);
            len += 1;
        }
        self.blocks_changed(group, -(len as i32));
        Ok(Some((first, len)))
    }

    /// Gives blocks back, and lets go of what is kept of them.
    ///
    /// # Errors
    /// `EUCLEAN` where they are not in use; those of the device.
    pub(super) fn free_blocks(&mut self, range: Range<u64>) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            self.check_data(at)?;
            self.blocks.forget(at);
            let from_first = at - self.shape.first_block;
            let group = (from_first / u64::from(self.shape.group_blocks)) as u32;
            let start = self.shape.group_start(group);
            let end = range.end.min(start + u64::from(self.shape.blocks_in(group)));
            let bits = (at - start) as u32..(end - start) as u32;
            let bitmap = self.block_bitmap(group)?;
            let mut freed = 0;
            for index in bits.clone() {
                freed += i32::from(bit(bitmap, index));
                set_bit(bitmap, index, false);
            }
            (at..end).for_each(|block| self.blocks.forget(block));
            self.blocks_changed(group, freed);
            if freed != bits.len() as i32 {
                log::warn!("ext: blocks of group {group} were free already");
                self.found_damage();
                return Err(damaged());
            }
            at = end;
        }
        Ok(())
    }

    fn blocks_changed(&mut self, group: u32, freed: i32) {
        self.groups.add(group, Count::FreeBlocks, freed);
        self.stale_block_bitmaps.insert(group);
    }

    /// Brings the checksums of bitmaps that were changed up to date.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn store_bitmap_checksums(&mut self) -> Result<()> {
        let stale = [
            (Place::BlockBitmap, self.shape.group_blocks, take(&mut self.stale_block_bitmaps)),
            (Place::InodeBitmap, self.shape.group_inodes, take(&mut self.stale_inode_bitmaps)),
        ];
        if !self.shape.has_checksums() {
            return Ok(());
        }
        for (place, bits, groups) in stale {
            for group in groups {
                let bitmap = self.blocks.read(self.groups.place(group, place))?;
                let sum = crc32c(self.shape.seed, &bitmap[..bits as usize / 8]);
                self.groups.set_bitmap_checksum(group, place, sum);
            }
        }
        Ok(())
    }

    /// The bitmap of the blocks of a group, to be changed.
    fn block_bitmap(&mut self, group: u32) -> Result<&mut [u8]> {
        let block = self.groups.place(group, Place::BlockBitmap);
        if self.groups.flags(group) & BLOCKS_UNUSED == 0 || !self.shape.has_group_checksums() {
            return self.blocks.edit(block);
        }
        self.groups.clear_flag(group, BLOCKS_UNUSED);
        let Self { shape, groups, blocks, .. } = self;
        let (start, count) = (shape.group_start(group), shape.blocks_in(group));
        let places = [
            (groups.place(group, Place::BlockBitmap), 1),
            (groups.place(group, Place::InodeBitmap), 1),
            (groups.place(group, Place::InodeTable), shape.table_blocks()),
        ];
        let head = if shape.has_superblock(group) {
            1 + shape.descriptor_blocks() + shape.reserved_descriptors
        } else {
            0
        };
        let bitmap = blocks.fresh(block)?;
        for (first, len) in places.into_iter().chain([(start, head)]) {
            for at in first..first + len {
                if let Some(index) = at.checked_sub(start)
                    && index < u64::from(count)
                {
                    set_bit(bitmap, index as u32, true);
                }
            }
        }
        for index in count..8 * bitmap.len() as u32 {
            set_bit(bitmap, index, true);
        }
        Ok(bitmap)
    }

    /// The bitmap of the inodes of a group, to be changed.
    fn inode_bitmap(&mut self, group: u32) -> Result<&mut [u8]> {
        let block = self.groups.place(group, Place::InodeBitmap);
        if self.groups.flags(group) & INODES_UNUSED == 0 || !self.shape.has_group_checksums() {
            return self.blocks.edit(block);
        }
        self.groups.clear_flag(group, INODES_UNUSED);
        let count = self.shape.group_inodes;
        let bitmap = self.blocks.fresh(block)?;
        for index in count..8 * bitmap.len() as u32 {
            set_bit(bitmap, index, true);
        }
        Ok(bitmap)
    }

    /// Takes an inode for a file in the directory `parent`; a directory goes to a group with
    /// much room.
    ///
    /// # Errors
    /// `ENOSPC`; those of the device.
    pub(super) fn take_inode(&mut self, parent: u32, is_directory: bool) -> Result<u32> {
        let groups = self.shape.groups;
        let free = |group| self.groups.count(group, Count::FreeInodes);
        let mut home = (parent - 1) / self.shape.group_inodes;
        if is_directory {
            let room = |&group: &u32| (self.groups.count(group, Count::FreeBlocks), free(group));
            home = (0..groups).filter(|&group| free(group) > 0).max_by_key(room).unwrap_or(home);
        }
        for step in 0..groups {
            let group = (home + step) % groups;
            if self.groups.count(group, Count::FreeInodes) == 0 {
                continue;
            }
            if let Some(number) = self.take_inode_in(group, is_directory)? {
                return Ok(number);
            }
        }
        Err(Errno::ENOSPC.because("the file system has no inodes left"))
    }

    fn take_inode_in(&mut self, group: u32, is_directory: bool) -> Result<Option<u32>> {
        let count = self.shape.group_inodes;
        let first = if group == 0 { self.shape.first_inode - 1 } else { 0 };
        let bitmap = self.inode_bitmap(group)?;
        let Some(index) = first_zero(bitmap, first.min(count)..count) else {
            return Ok(None);
        };
        set_bit(bitmap, index, true);
        if self.shape.has_group_checksums() {
            let unused = self.groups.count(group, Count::NeverUsed).min(count - (index + 1));
            self.groups.set_count(group, Count::NeverUsed, unused);
        }
        self.inodes_changed(group, -1, is_directory);
        Ok(Some(group * count + index + 1))
    }

    /// Gives an inode back.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn free_inode(&mut self, number: u32, is_directory: bool) -> Result<()> {
        let group = (number - 1) / self.shape.group_inodes;
        let index = (number - 1) % self.shape.group_inodes;
        let bitmap = self.inode_bitmap(group)?;
        if !bit(bitmap, index) {
            log::warn!("ext: inode {number} was free already");
            self.found_damage();
            return Ok(());
        }
        set_bit(bitmap, index, false);
        self.inodes_changed(group, 1, is_directory);
        Ok(())
    }

    fn inodes_changed(&mut self, group: u32, freed: i32, is_directory: bool) {
        self.groups.add(group, Count::FreeInodes, freed);
        if is_directory {
            self.groups.add(group, Count::Directories, -freed);
        }
        self.stale_inode_bitmaps.insert(group);
    }

    /// Whether an inode is in use.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn is_in_use(&mut self, number: u32) -> Result<bool> {
        if number == 0 || number > self.shape.inodes() {
            return Ok(false);
        }
        let group = (number - 1) / self.shape.group_inodes;
        if self.groups.flags(group) & INODES_UNUSED != 0 && self.shape.has_group_checksums() {
            return Ok(false);
        }
        let block = self.groups.place(group, Place::InodeBitmap);
        Ok(bit(self.blocks.read(block)?, (number - 1) % self.shape.group_inodes))
    }

    /// Fails where a block of a file cannot be one.
    ///
    /// # Errors
    /// `EUCLEAN`.
    pub(super) fn check_data(&self, block: u64) -> Result<()> {
        if block > self.shape.first_block && block < self.shape.blocks {
            return Ok(());
        }
        Err(damaged())
    }
}

/// The file system is full.
pub(super) fn full() -> Error {
    Errno::ENOSPC.because("the file system is full")
}

fn bit(bitmap: &[u8], index: u32) -> bool {
    bitmap.get(index as usize / 8).is_none_or(|byte| byte >> (index % 8) & 1 != 0)
}

fn set_bit(bitmap: &mut [u8], index: u32, value: bool) {
    if let Some(byte) = bitmap.get_mut(index as usize / 8) {
        *byte = *byte & !(1 << (index % 8)) | u8::from(value) << (index % 8);
    }
}

/// The first bit of `range` that is not set.
fn first_zero(bitmap: &[u8], range: Range<u32>) -> Option<u32> {
    let mut index = range.start;
    while index < range.end {
        if index.is_multiple_of(8) && bitmap.get(index as usize / 8) == Some(&0xff) {
            index += 8;
            continue;
        }
        if !bit(bitmap, index) {
            return Some(index);
        }
        index += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_bit_is_found_across_full_bytes() {
        let mut bitmap = [0xff, 0xff, 0b0111_1111, 0];
        assert_eq!(first_zero(&bitmap, 0..32), Some(23));
        assert_eq!(first_zero(&bitmap, 3..23), None);
        set_bit(&mut bitmap, 23, true);
        assert_eq!(first_zero(&bitmap, 0..32), Some(24));
        assert!(bit(&bitmap, 99));
    }
}
