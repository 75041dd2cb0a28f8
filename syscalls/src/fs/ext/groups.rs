//! Descriptors of groups: where the bitmaps and inodes of each are, and how many are free.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::buffer;
use crate::error::Result;

use super::blocks::Blocks;
use super::bytes::{put_u16, u16_at, u32_at, u64_at};
use super::checksum::{crc16, crc32c};
use super::damaged;
use super::shape::Shape;

/// The inode bitmap was never written: nothing in it is in use.
pub(super) const INODES_UNUSED: u16 = 1;

/// The block bitmap was never written: only what every group has is in use.
pub(super) const BLOCKS_UNUSED: u16 = 2;

/// Where the checksum of a descriptor is.
const CHECKSUM: usize = 30;

/// A count of a descriptor: where its low half is; the high one follows 32 bytes later.
#[derive(Clone, Copy)]
pub(super) enum Count {
    /// Blocks that are free.
    FreeBlocks = 12,
    /// Inodes that are free.
    FreeInodes = 14,
    /// Inodes that are directories.
    Directories = 16,
    /// Inodes at the end that were never used.
    NeverUsed = 28,
}

/// A block of a descriptor: where its low half is; the high one follows 32 bytes later.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// The bitmap of blocks.
    BlockBitmap = 0,
    /// The bitmap of inodes.
    InodeBitmap = 4,
    /// The first block of the inodes.
    InodeTable = 8,
}

/// The descriptors of all groups.
pub(super) struct Groups {
    raw: Vec<u8>,
    len: usize,
    changed: BTreeSet<u32>,
}

impl Groups {
    /// Reads them.
    ///
    /// # Errors
    /// `EUCLEAN` where a place lies outside of the file system, or a checksum is wrong;
    /// `ENOMEM`; those of the device.
    pub(super) fn read(shape: &Shape, blocks: &mut Blocks, uuid: &[u8]) -> Result<Self> {
        let count = shape.descriptor_blocks();
        let mut raw = buffer::zeroed(count as usize * shape.block_size)?;
        blocks.read_data(shape.first_block + 1, &mut raw)?;
        let groups = Self { raw, len: shape.descriptor_size, changed: BTreeSet::new() };
        for group in 0..shape.groups {
            let table = groups.place(group, Place::InodeTable);
            let ends = [
                (table, shape.table_blocks()),
                (groups.place(group, Place::BlockBitmap), 1),
                (groups.place(group, Place::InodeBitmap), 1),
            ];
            let outside = |&(start, len): &(u64, u64)| {
                start <= shape.first_block || start.saturating_add(len) > shape.blocks
            };
            let wrong = shape.has_group_checksums()
                && groups.checksum(shape, uuid, group) != u16_at(groups.get(group), CHECKSUM);
            if ends.iter().any(outside) || wrong {
                log::warn!("ext: the descriptor of group {group} is damaged");
                return Err(damaged());
            }
        }
        Ok(groups)
    }

    fn get(&self, group: u32) -> &[u8] {
        let start = group as usize * self.len;
        self.raw.get(start..start + self.len).unwrap_or_default()
    }

    fn edit(&mut self, group: u32) -> &mut [u8] {
        self.changed.insert(group);
        let start = group as usize * self.len;
        self.raw.get_mut(start..start + self.len).unwrap_or_default()
    }

    /// Whether descriptors have the high halves of numbers.
    fn is_wide(&self) -> bool {
        self.len >= 64
    }

    /// Where something of a group is.
    pub(super) fn place(&self, group: u32, place: Place) -> u64 {
        let (raw, at) = (self.get(group), place as usize);
        if self.is_wide() { u64_at(raw, at, at + 32) } else { u32_at(raw, at).into() }
    }

    /// A count of a group.
    pub(super) fn count(&self, group: u32, count: Count) -> u32 {
        let (raw, at) = (self.get(group), count as usize);
        let high = if self.is_wide() { u16_at(raw, high(count)) } else { 0 };
        u32::from(u16_at(raw, at)) | u32::from(high) << 16
    }

    /// Sets a count of a group.
    pub(super) fn set_count(&mut self, group: u32, count: Count, value: u32) {
        let wide = self.is_wide();
        let raw = self.edit(group);
        put_u16(raw, count as usize, value as u16);
        if wide {
            put_u16(raw, high(count), (value >> 16) as u16);
        }
    }

    /// Adds to a count of a group.
    pub(super) fn add(&mut self, group: u32, count: Count, difference: i32) {
        let value = self.count(group, count).saturating_add_signed(difference);
        self.set_count(group, count, value);
    }

    /// Its flags.
    pub(super) fn flags(&self, group: u32) -> u16 {
        u16_at(self.get(group), 18)
    }

    /// Something of it is used for the first time.
    pub(super) fn clear_flag(&mut self, group: u32, flag: u16) {
        let flags = self.flags(group) & !flag;
        put_u16(self.edit(group), 18, flags);
    }

    /// Sets the checksum of one of its bitmaps.
    pub(super) fn set_bitmap_checksum(&mut self, group: u32, bitmap: Place, value: u32) {
        let (low, high) = match bitmap {
            Place::BlockBitmap => (24, 56),
            Place::InodeBitmap | Place::InodeTable => (26, 58),
        };
        let wide = self.is_wide();
        let raw = self.edit(group);
        put_u16(raw, low, value as u16);
        if wide {
            put_u16(raw, high, (value >> 16) as u16);
        }
    }

    /// The sum of a count over all groups.
    pub(super) fn total(&self, shape: &Shape, count: Count) -> u64 {
        (0..shape.groups).map(|group| u64::from(self.count(group, count))).sum()
    }

    fn checksum(&self, shape: &Shape, uuid: &[u8], group: u32) -> u16 {
        let raw = self.get(group);
        let (before, after) = (&raw[..CHECKSUM], raw.get(CHECKSUM + 2..).unwrap_or_default());
        let number = group.to_le_bytes();
        if shape.has_checksums() {
            let parts: [&[u8]; 4] = [&number, before, &[0; 2], after];
            return parts.iter().fold(shape.seed, |sum, part| crc32c(sum, part)) as u16;
        }
        let parts: [&[u8]; 4] = [uuid, &number, before, after];
        parts.iter().fold(!0, |sum, part| crc16(sum, part))
    }

    /// Hands the descriptors that were changed to `blocks`.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn store(&mut self, shape: &Shape, blocks: &mut Blocks, uuid: &[u8]) -> Result<()> {
        while let Some(&group) = self.changed.first() {
            if shape.has_group_checksums() {
                let sum = self.checksum(shape, uuid, group);
                put_u16(self.edit(group), CHECKSUM, sum);
            }
            let start = group as usize * self.len;
            let block = shape.first_block + 1 + (start / shape.block_size) as u64;
            let at = start % shape.block_size;
            let to = blocks.edit(block)?;
            super::bytes::put(to, at, self.get(group));
            self.changed.remove(&group);
        }
        Ok(())
    }
}

fn high(count: Count) -> usize {
    match count {
        Count::NeverUsed => 50,
        count => count as usize + 32,
    }
}
