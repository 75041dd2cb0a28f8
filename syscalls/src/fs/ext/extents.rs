//! The map of a file's blocks as a list of extents, and the tree on disk that it comes from.
//!
//! In memory the list is whole; when the inode is stored, the tree is written anew over the
//! blocks that it has. Those are taken when the list grows, so that storing never lacks room.

use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Result;

use super::bytes::{put_u16, put_u32, u16_at, u32_at};
use super::checksum::crc32c;
use super::damaged;
use super::record::MAP_LEN;
use super::volume::Volume;

const MAGIC: u16 = 0xf30a;

/// Length of the head of a node, and of an entry, in bytes.
const HEAD: usize = 12;
const ENTRY: usize = 12;

/// Entries of the root, which is in the inode.
const ROOT_ENTRIES: usize = (MAP_LEN - HEAD) / ENTRY;

/// Most levels below the root.
const DEPTH_MAX: u16 = 5;

/// Longest extent; one that was never written is stored as longer by this.
const LEN_MAX: u32 = 1 << 15;

/// Blocks of a file that follow each other on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first one, in the file.
    pub(super) first: u32,
    /// How many.
    pub(super) len: u32,
    /// The first one, on the device.
    pub(super) start: u64,
    /// They were taken, but hold nothing yet.
    pub(super) unwritten: bool,
}

impl Extent {
    /// The first block of the file behind it.
    pub(super) fn end(&self) -> u32 {
        self.first.saturating_add(self.len)
    }

    /// The part of it that lies in `range`.
    fn part(&self, range: &Range<u32>) -> Option<Self> {
        let (first, end) = (self.first.max(range.start), self.end().min(range.end));
        let len = end.checked_sub(first).filter(|&len| len > 0)?;
        Some(Self { first, len, start: self.start + u64::from(first - self.first), ..*self })
    }

    /// Takes `next` over, if that goes on where this one ends.
    fn join(&mut self, next: &Self) -> bool {
        let longest = if self.unwritten { LEN_MAX - 1 } else { LEN_MAX };
        let follows = self.end() == next.first
            && self.start + u64::from(self.len) == next.start
            && self.unwritten == next.unwritten
            && self.len + next.len <= longest;
        if follows {
            self.len += next.len;
        }
        follows
    }
}

/// The extents of a file.
#[derive(Debug, Default)]
pub(super) struct Extents {
    list: Vec<Extent>,
    /// The blocks that hold the tree.
    nodes: Vec<u64>,
    changed: bool,
}

impl Extents {
    /// The first one that ends behind `block`.
    pub(super) fn at_or_after(&self, block: u32) -> Option<&Extent> {
        self.list.get(self.position(block))
    }

    fn position(&self, block: u32) -> usize {
        self.list.partition_point(|extent| extent.end() <= block)
    }

    /// Adds an extent where there is none.
    fn insert(&mut self, extent: Extent) {
        self.changed = true;
        let at = self.position(extent.first);
        let joined = at > 0 && self.list[at - 1].join(&extent);
        if !joined {
            self.list.insert(at, extent);
        }
        let last = if joined { at - 1 } else { at };
        if let Some(next) = self.list.get(last + 1).copied()
            && self.list[last].join(&next)
        {
            self.list.remove(last + 1);
        }
    }

    /// Takes out what lies in `range`, and returns it.
    fn remove(&mut self, range: Range<u32>) -> Vec<Extent> {
        let (from, to) = (self.position(range.start), self.position(range.end));
        let last = to + usize::from(self.list.get(to).is_some_and(|it| it.first < range.end));
        let touched: Vec<_> = self.list.get(from..last).unwrap_or_default().to_vec();
        if touched.is_empty() {
            return touched;
        }
        self.changed = true;
        let before = touched.first().and_then(|extent| extent.part(&(0..range.start)));
        let after = touched.last().and_then(|extent| extent.part(&(range.end..u32::MAX)));
        self.list.splice(from..last, before.into_iter().chain(after));
        touched.iter().filter_map(|extent| extent.part(&range)).collect()
    }
}

/// How many blocks a tree of so many extents needs, where a block holds `capacity` entries.
fn nodes_needed(extents: usize, capacity: usize) -> usize {
    let mut total = 0;
    let mut level = extents;
    while level > ROOT_ENTRIES {
        level = level.div_ceil(capacity);
        total += level;
    }
    total
}

impl Volume {
    fn node_capacity(&self) -> usize {
        (self.shape.block_size - HEAD) / ENTRY
    }

    /// The extents of a file.
    ///
    /// # Errors
    /// `EUCLEAN` where they contradict each other; those of the device.
    pub(super) fn extents(&mut self, number: u32) -> Result<&mut Extents> {
        if self.inode(number)?.extents.is_none() {
            let record = &self.inode(number)?.record;
            let (root, generation) = (record.map().to_vec(), record.generation());
            let seed = self.inode_seed(number, generation);
            let mut found = Extents::default();
            self.read_node(&mut found, &root, None, seed)?;
            self.inode(number)?.extents = Some(found);
        }
        self.inode(number)?.extents.as_mut().ok_or_else(damaged)
    }

    fn read_node(
        &mut self,
        found: &mut Extents,
        node: &[u8],
        expected: Option<u16>,
        seed: u32,
    ) -> Result<()> {
        let (count, depth) = (u16_at(node, 2), u16_at(node, 6));
        let capacity = (node.len() - HEAD) / ENTRY;
        let fits = u16_at(node, 0) == MAGIC
            && usize::from(count) <= capacity.min(u16_at(node, 4).into())
            && expected.map_or(depth <= DEPTH_MAX, |expected| depth == expected && count > 0);
        if !fits {
            log::warn!("ext: the extents of a file are damaged");
            return Err(damaged());
        }
        for entry in node[HEAD..].chunks_exact(ENTRY).take(count.into()) {
            if depth == 0 {
                self.read_extent(found, entry)?;
                continue;
            }
            let block = u64::from(u32_at(entry, 4)) | u64::from(u16_at(entry, 8)) << 32;
            self.check_data(block)?;
            if found.nodes.len() as u64 >= self.shape.blocks {
                return Err(damaged());
            }
            found.nodes.push(block);
            let child = crate::buffer::copied(self.blocks.read(block)?)?;
            let sum = u32_at(&child, checksum_place(&child));
            if self.shape.has_checksums() && node_checksum(seed, &child) != sum {
                log::warn!("ext: the checksum of a block of extents is wrong");
                return Err(damaged());
            }
            self.read_node(found, &child, Some(depth - 1), seed)?;
        }
        Ok(())
    }

    fn read_extent(&self, found: &mut Extents, entry: &[u8]) -> Result<()> {
        let len = u32::from(u16_at(entry, 4));
        let unwritten = len > LEN_MAX;
        let extent = Extent {
            first: u32_at(entry, 0),
            len: if unwritten { len - LEN_MAX } else { len },
            start: u64::from(u32_at(entry, 8)) | u64::from(u16_at(entry, 6)) << 32,
            unwritten,
        };
        let last = found.list.last().map_or(0, Extent::end);
        let fits = extent.len > 0 && extent.first.checked_add(extent.len).is_some();
        self.check_data(extent.start)?;
        self.check_data(extent.start + u64::from(extent.len.max(1)) - 1)?;
        if !fits || extent.first < last {
            return Err(damaged());
        }
        found.list.try_reserve(1).map_err(|_| crate::machine::OutOfMemory)?;
        found.list.push(extent);
        Ok(())
    }

    /// Adds an extent to a file where it has none.
    ///
    /// # Errors
    /// `ENOSPC` for the tree; those of the device.
    pub(super) fn add_extent(&mut self, number: u32, extent: Extent) -> Result<()> {
        self.edit(number)?;
        self.extents(number)?.insert(extent);
        if let Err(error) = self.reserve_nodes(number, extent.start) {
            self.extents(number)?.remove(extent.first..extent.end());
            return Err(error);
        }
        Ok(())
    }

    /// Takes what lies in `range` out of a file's map, and returns it.
    ///
    /// # Errors
    /// As [`Volume::add_extent`]: what is left may be more extents than before.
    pub(super) fn take_extents(&mut self, number: u32, range: Range<u32>) -> Result<Vec<Extent>> {
        self.edit(number)?;
        let taken = self.extents(number)?.remove(range);
        if let Err(error) = self.reserve_nodes(number, 0) {
            let extents = self.extents(number)?;
            taken.into_iter().for_each(|extent| extents.insert(extent));
            return Err(error);
        }
        Ok(taken)
    }

    /// Blocks of a file that were taken, but held nothing, hold something from now on.
    ///
    /// # Errors
    /// As [`Volume::add_extent`]; the map is what it was then.
    pub(super) fn mark_written(&mut self, number: u32, range: Range<u32>) -> Result<()> {
        self.edit(number)?;
        let extents = self.extents(number)?;
        let before = extents.remove(range.clone());
        for extent in &before {
            extents.insert(Extent { unwritten: false, ..*extent });
        }
        let goal = before.first().map_or(0, |extent| extent.start);
        if let Err(error) = self.reserve_nodes(number, goal) {
            let extents = self.extents(number)?;
            extents.remove(range);
            before.into_iter().for_each(|extent| extents.insert(extent));
            return Err(error);
        }
        Ok(())
    }

    /// Takes the blocks that the tree will need, near `goal`.
    fn reserve_nodes(&mut self, number: u32, goal: u64) -> Result<()> {
        let capacity = self.node_capacity();
        let needed = nodes_needed(self.extents(number)?.list.len(), capacity);
        while self.extents(number)?.nodes.len() < needed {
            let (block, _) = self.take_blocks(goal, 1)?;
            self.extents(number)?.nodes.push(block);
            let block_size = self.shape.block_size;
            self.edit(number)?.record.add_blocks(1, block_size);
        }
        Ok(())
    }

    /// Writes the tree of a file whose extents were changed into its blocks and its inode.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn store_extents(&mut self, number: u32) -> Result<()> {
        let capacity = self.node_capacity();
        let seed = {
            let generation = self.inode(number)?.record.generation();
            self.inode_seed(number, generation)
        };
        let kept = self.inode(number)?;
        let Some(extents) = kept.extents.as_mut().filter(|extents| extents.changed) else {
            return Ok(());
        };
        let needed = nodes_needed(extents.list.len(), capacity);
        if extents.nodes.len() > needed {
            self.return_nodes(number, needed)?;
        }
        let extents = self.inode(number)?.extents.take().ok_or_else(damaged)?;
        let written = self.write_nodes(&extents, seed);
        let kept = self.inode(number)?;
        kept.extents = Some(Extents { changed: written.is_err(), ..extents });
        let (root, depth) = written?;
        kept.record.map_mut().fill(0);
        write_node(kept.record.map_mut(), &root, depth, ROOT_ENTRIES);
        Ok(())
    }

    /// Writes the blocks of a tree; returns the entries of its root, and the levels below that.
    fn write_nodes(&mut self, extents: &Extents, seed: u32) -> Result<(Vec<[u8; ENTRY]>, u16)> {
        let capacity = self.node_capacity();
        let mut nodes = extents.nodes.iter();
        let mut level: Vec<[u8; ENTRY]> = extents.list.iter().map(extent_entry).collect();
        let mut depth = 0;
        while level.len() > ROOT_ENTRIES {
            let mut above = Vec::new();
            for entries in level.chunks(capacity) {
                let block = *nodes.next().ok_or_else(damaged)?;
                let to = self.blocks.fresh(block)?;
                write_node(to, entries, depth, capacity);
                let sum = node_checksum(seed, to);
                put_u32(to, checksum_place(to), sum);
                above.push(index_entry(&entries[0], block));
            }
            level = above;
            depth += 1;
        }
        Ok((level, depth))
    }

    /// Gives back the blocks that the tree does not need any more.
    fn return_nodes(&mut self, number: u32, needed: usize) -> Result<()> {
        while let Some(extents) = self.inode(number)?.extents.as_mut()
            && extents.nodes.len() > needed
            && let Some(block) = extents.nodes.pop()
        {
            self.free_blocks(block..block + 1)?;
            let block_size = self.shape.block_size;
            self.inode(number)?.record.add_blocks(-1, block_size);
        }
        Ok(())
    }
}

fn checksum_place(node: &[u8]) -> usize {
    HEAD + usize::from(u16_at(node, 4)) * ENTRY
}

fn node_checksum(seed: u32, node: &[u8]) -> u32 {
    crc32c(seed, node.get(..checksum_place(node)).unwrap_or_default())
}

fn write_node(to: &mut [u8], entries: &[[u8; ENTRY]], depth: u16, capacity: usize) {
    put_u16(to, 0, MAGIC);
    put_u16(to, 2, entries.len() as u16);
    put_u16(to, 4, capacity as u16);
    put_u16(to, 6, depth);
    for (at, entry) in entries.iter().enumerate() {
        super::bytes::put(to, HEAD + at * ENTRY, entry);
    }
}

fn extent_entry(extent: &Extent) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    put_u32(&mut entry, 0, extent.first);
    let len = extent.len + if extent.unwritten { LEN_MAX } else { 0 };
    put_u16(&mut entry, 4, len as u16);
    put_u16(&mut entry, 6, (extent.start >> 32) as u16);
    put_u32(&mut entry, 8, extent.start as u32);
    entry
}

fn index_entry(first: &[u8; ENTRY], block: u64) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    put_u32(&mut entry, 0, u32_at(first, 0));
    put_u32(&mut entry, 4, block as u32);
    put_u16(&mut entry, 8, (block >> 32) as u16);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(first: u32, len: u32, start: u64) -> Extent {
        Extent { first, len, start, unwritten: false }
    }

    #[test]
    fn neighbours_join_and_what_is_taken_out_splits() {
        let mut extents = Extents::default();
        extents.insert(extent(0, 2, 100));
        extents.insert(extent(4, 2, 104));
        extents.insert(extent(2, 2, 102));
        assert_eq!(extents.list, [extent(0, 6, 100)]);
        assert_eq!(extents.remove(2..4), [extent(2, 2, 102)]);
        assert_eq!(extents.list, [extent(0, 2, 100), extent(4, 2, 104)]);
        extents.insert(Extent { unwritten: true, ..extent(2, 2, 102) });
        assert_eq!(extents.list.len(), 3);
        assert_eq!(extents.remove(1..u32::MAX).len(), 3);
        assert_eq!(extents.list, [extent(0, 1, 100)]);
        assert!(extents.remove(7..9).is_empty());
    }

    #[test]
    fn a_tree_has_as_many_blocks_as_it_needs() {
        assert_eq!(nodes_needed(4, 340), 0);
        assert_eq!(nodes_needed(5, 340), 1);
        assert_eq!(nodes_needed(341, 340), 2);
        assert_eq!(nodes_needed(340 * 5, 340), 5 + 1);
    }
}
