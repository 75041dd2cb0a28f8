//! A file system on a device as it is in memory: everything that one lock guards.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::FileType;

use crate::buffer;
use crate::error::{Because, Result};
use crate::fs::inode::Timestamp;
use crate::fs::storage::Storage;
use crate::machine::Machine;

use super::blocks::Blocks;
use super::bytes::{put, put_u16, put_u32, u16_at, u32_at};
use super::checksum::crc32c;
use super::content::Content;
use super::extents::Extents;
use super::groups::{Count, Groups, Place};
use super::record::{BASE, Record, flag};
use super::shape::{
    STATE_ERRORS, STATE_VALID, SUPERBLOCK, Shape, compatible, field, incompatible,
    superblock_checksum,
};
use super::{ROOT, damaged};

/// Most inodes that are kept though nobody uses them.
const KEPT_INODES: usize = 4096;

/// Whether the device may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// It may.
    Allowed,
    /// It may not.
    Never,
}

/// A file system on a device.
pub(super) struct Volume {
    pub(super) machine: Arc<dyn Machine>,
    pub(super) shape: Shape,
    pub(super) blocks: Blocks,
    pub(super) groups: Groups,
    pub(super) stale_block_bitmaps: BTreeSet<u32>,
    pub(super) stale_inode_bitmaps: BTreeSet<u32>,
    /// How many pages of files are kept, and how many of them have to be written.
    pub(super) pages: usize,
    pub(super) changed_pages: usize,
    superblock: Vec<u8>,
    inodes: BTreeMap<u32, Kept>,
    writing: Writing,
    /// What [`field::STATE`] becomes when it is unmounted.
    state: u16,
}

/// An inode in memory.
pub(super) struct Kept {
    pub(super) record: Record,
    /// It has to be written.
    pub(super) changed: bool,
    /// Its map of blocks, where that is one of extents and was needed.
    pub(super) extents: Option<Extents>,
    /// The pages of a regular file.
    pub(super) content: Content,
}

impl Volume {
    /// Reads what is on `storage`, which is not to be changed before [`Volume::set_writing`],
    /// except by what its journal has.
    ///
    /// # Errors
    /// `EINVAL` where there is no such file system, or one with features that are not known;
    /// `EUCLEAN` where it is damaged; `EROFS` where it cannot be written.
    pub(super) fn open(machine: &Arc<dyn Machine>, storage: Arc<dyn Storage>) -> Result<Self> {
        let mut volume = Self::read(machine, storage.clone())?;
        if volume.shape.incompatible & incompatible::RECOVER != 0 {
            volume.replay()?;
            volume = Self::read(machine, storage)?;
        }
        if volume.state & STATE_VALID == 0 || volume.state & STATE_ERRORS != 0 {
            log::warn!("ext: the file system was not unmounted in order: e2fsck should check it");
        }
        Ok(volume)
    }

    fn read(machine: &Arc<dyn Machine>, storage: Arc<dyn Storage>) -> Result<Self> {
        let (shape, superblock) = Shape::read(&storage)?;
        let mut blocks = Blocks::new(storage, shape.block_size, shape.blocks);
        let uuid = &superblock[field::UUID..field::UUID + 16];
        let groups = Groups::read(&shape, &mut blocks, uuid)?;
        let state = u16_at(&superblock, field::STATE);
        Ok(Self {
            machine: machine.clone(),
            shape,
            blocks,
            groups,
            stale_block_bitmaps: BTreeSet::new(),
            stale_inode_bitmaps: BTreeSet::new(),
            pages: 0,
            changed_pages: 0,
            superblock,
            inodes: BTreeMap::new(),
            writing: Writing::Never,
            state,
        })
    }

    /// The superblock, as it was read or is to be written.
    pub(super) fn superblock(&self) -> &[u8] {
        &self.superblock
    }

    /// Says whether the device may be changed from now on.
    ///
    /// # Errors
    /// `EROFS` where it cannot be; those of the device.
    pub(super) fn set_writing(&mut self, writing: Writing) -> Result<()> {
        if writing == self.writing {
            return Ok(());
        }
        if writing == Writing::Never {
            self.flush()?;
            put_u16(&mut self.superblock, field::STATE, self.state);
            self.write_superblock()?;
            self.writing = writing;
            return self.blocks.storage().sync();
        }
        let unknown = self.shape.writable & !super::shape::writable::KNOWN;
        if unknown != 0 {
            log::warn!("ext: features without which nothing can be written: {unknown:#x}");
            return Err(Errno::EINVAL.because("the file system has features that are not known"));
        }
        if self.blocks.storage().is_read_only() {
            return Err(Errno::EROFS.because("nothing can be written to the device"));
        }
        self.writing = writing;
        self.state = u16_at(&self.superblock, field::STATE);
        put_u16(&mut self.superblock, field::STATE, self.state & !STATE_VALID);
        let count = u16_at(&self.superblock, field::MOUNT_COUNT).saturating_add(1);
        put_u16(&mut self.superblock, field::MOUNT_COUNT, count);
        let now = self.now().seconds as u32;
        put_u32(&mut self.superblock, field::MOUNT_TIME, now);
        self.write_superblock()?;
        self.free_orphans()
    }

    /// Fails where the type that was asked for does not know what is there.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(super) fn check_kind(&self, name: &str) -> Result<()> {
        let has_journal = self.shape.compatible & compatible::JOURNAL != 0;
        let newer = self.shape.has_extents() || self.shape.has_checksums();
        if name != "ext4" && newer || name == "ext3" && !has_journal {
            // mount(8) tries one type after the other.
            log::debug!("ext: the file system is not of type {name}");
            return Err(Errno::EINVAL.because("the file system is of another type"));
        }
        Ok(())
    }

    /// Whether the device may be changed.
    pub(super) fn is_writable(&self) -> bool {
        self.writing == Writing::Allowed
    }

    /// Fails where nothing may be changed.
    ///
    /// # Errors
    /// `EROFS`.
    pub(super) fn check_writable(&self) -> Result<()> {
        match self.writing {
            Writing::Allowed => Ok(()),
            Writing::Never => Err(Errno::EROFS.because("the file system cannot be written")),
        }
    }

    /// What time it is.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.machine.wall_clock_ns())
    }

    /// Something on the device contradicts itself: e2fsck(8) should look at it.
    pub(super) fn found_damage(&mut self) {
        self.state = self.state & !STATE_VALID | STATE_ERRORS;
    }

    /// Sets features that are used for the first time.
    pub(super) fn add_feature(&mut self, place: usize, feature: u32) {
        let features = u32_at(&self.superblock, place) | feature;
        put_u32(&mut self.superblock, place, features);
    }

    /// The first of the inodes that were removed while they were in use, and not freed.
    fn free_orphans(&mut self) -> Result<()> {
        let mut next = u32_at(&self.superblock, field::LAST_ORPHAN);
        for _ in 0..self.shape.inodes() {
            if next < self.shape.first_inode || !self.is_in_use(next)? {
                break;
            }
            let number = next;
            next = self.inode(number)?.record.removed();
            log::debug!("ext: inode {number} is freed, or cut");
            match self.inode(number)?.record.links() {
                0 => self.remove_inode(number)?,
                _ => {
                    let record = &mut self.edit(number)?.record;
                    record.set_removed(0);
                    let size = record.size();
                    self.cut(number, size)?;
                }
            }
        }
        put_u32(&mut self.superblock, field::LAST_ORPHAN, 0);
        Ok(())
    }

    /// Writes all that has to be written, except pages of files.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.writing == Writing::Never {
            return Ok(());
        }
        let changed: Vec<u32> =
            self.inodes.iter().filter(|(_, kept)| kept.changed).map(|(&n, _)| n).collect();
        changed.into_iter().try_for_each(|number| self.store_inode(number))?;
        self.store_bitmap_checksums()?;
        let uuid: [u8; 16] =
            self.superblock[field::UUID..].first_chunk().copied().unwrap_or_default();
        self.groups.store(&self.shape, &mut self.blocks, &uuid)?;
        self.blocks.flush()?;
        self.write_superblock()
    }

    fn write_superblock(&mut self) -> Result<()> {
        let free = self.groups.total(&self.shape, Count::FreeBlocks);
        let inodes = self.groups.total(&self.shape, Count::FreeInodes) as u32;
        let now = self.now().seconds as u32;
        let raw = &mut self.superblock;
        put_u32(raw, field::FREE_BLOCKS, free as u32);
        put_u32(raw, field::FREE_BLOCKS_HIGH, (free >> 32) as u32);
        put_u32(raw, field::FREE_INODES, inodes);
        put_u32(raw, field::WRITE_TIME, now);
        if self.shape.has_checksums() {
            let sum = superblock_checksum(raw);
            put_u32(raw, field::CHECKSUM, sum);
        }
        self.blocks.storage().write(SUPERBLOCK as u64, raw)
    }

    /// An inode.
    ///
    /// # Errors
    /// `EUCLEAN` where there is no such inode, or its checksum is wrong; `EOPNOTSUPP` where
    /// it has something that cannot be read; those of the device.
    pub(super) fn inode(&mut self, number: u32) -> Result<&mut Kept> {
        if !self.inodes.contains_key(&number) {
            let record = self.read_record(number)?;
            let kept = Kept { record, changed: false, extents: None, content: Content::default() };
            self.inodes.insert(number, kept);
        }
        self.inodes.get_mut(&number).ok_or_else(damaged)
    }

    /// Fails unless an inode can have a name: it is the root's or no reserved one, and in use.
    ///
    /// # Errors
    /// `EUCLEAN`; as [`Volume::inode`].
    pub(super) fn check_named(&mut self, number: u32) -> Result<()> {
        let may_be = number == ROOT || number >= self.shape.first_inode;
        if may_be && self.is_in_use(number)? && self.inode(number)?.record.links() > 0 {
            return Ok(());
        }
        log::warn!("ext: inode {number} is not in use");
        Err(damaged())
    }

    /// An inode, to be changed.
    ///
    /// # Errors
    /// As [`Volume::inode`]; `EROFS`.
    pub(super) fn edit(&mut self, number: u32) -> Result<&mut Kept> {
        self.check_writable()?;
        let kept = self.inode(number)?;
        kept.changed = true;
        Ok(kept)
    }

    /// A new inode in memory, instead of what was there.
    pub(super) fn put_inode(&mut self, number: u32, record: Record) {
        let content = Content::default();
        let kept = Kept { record, changed: true, extents: None, content };
        self.inodes.insert(number, kept);
    }

    /// All inodes in memory.
    pub(super) fn kept(&mut self) -> impl Iterator<Item = (u32, &mut Kept)> {
        self.inodes.iter_mut().map(|(&number, kept)| (number, kept))
    }

    /// Inodes in memory that have no name, and may be freed.
    pub(super) fn nameless(&self) -> Vec<u32> {
        if !self.is_writable() {
            return Vec::new();
        }
        let gone = self.inodes.iter().filter(|(_, kept)| kept.record.links() == 0);
        gone.map(|(&number, _)| number).collect()
    }

    /// Lets go of inodes that nobody uses, where there are too many and nothing of them has to
    /// be written.
    pub(super) fn limit_inodes(&mut self, is_used: impl Fn(u32) -> bool) {
        if self.inodes.len() <= KEPT_INODES {
            return;
        }
        let idle = |(&number, kept): (&u32, &Kept)| {
            let changed = kept.changed || kept.content.has_changes();
            let stays = changed || kept.record.links() == 0 || is_used(number);
            (!stays).then_some(number)
        };
        let idle: Vec<u32> = self.inodes.iter().filter_map(idle).collect();
        idle.into_iter().for_each(|number| self.drop_inode(number));
    }

    /// Nobody uses an inode any more: it is freed where it has no name, and is let go of where
    /// too many are kept.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn end_use(&mut self, number: u32) -> Result<()> {
        let Some(kept) = self.inodes.get(&number) else { return Ok(()) };
        if kept.record.links() == 0 && self.is_writable() {
            return self.remove_inode(number);
        }
        if self.inodes.len() <= KEPT_INODES {
            return Ok(());
        }
        let Some(kept) = self.inodes.get(&number) else { return Ok(()) };
        if kept.content.has_changes() {
            return Ok(());
        }
        if kept.changed {
            self.store_inode(number)?;
        }
        self.drop_inode(number);
        Ok(())
    }

    /// Forgets an inode, and its pages.
    pub(super) fn drop_inode(&mut self, number: u32) {
        if let Some(kept) = self.inodes.remove(&number) {
            self.pages -= kept.content.len().min(self.pages);
            self.changed_pages -= kept.content.changes().min(self.changed_pages);
        }
    }

    /// The block that an inode lies in, and where in it.
    fn place(&self, number: u32) -> Result<(u64, usize)> {
        if number == 0 || number > self.shape.inodes() {
            return Err(damaged());
        }
        let group = (number - 1) / self.shape.group_inodes;
        let at = ((number - 1) % self.shape.group_inodes) as usize * self.shape.inode_size;
        let table = self.groups.place(group, Place::InodeTable);
        Ok((table + (at / self.shape.block_size) as u64, at % self.shape.block_size))
    }

    fn read_record(&mut self, number: u32) -> Result<Record> {
        let (block, at) = self.place(number)?;
        let len = self.shape.inode_size;
        let bytes = self.blocks.read(block)?.get(at..at + len).ok_or_else(damaged)?;
        let mut record = Record(buffer::copied(bytes)?);
        if self.shape.has_checksums() {
            let stored = checksum_fields(&record);
            set_checksum_fields(&mut record, 0);
            let sum = self.record_checksum(number, &record);
            set_checksum_fields(&mut record, sum);
            if checksum_fields(&record) != stored {
                log::warn!("ext: the checksum of inode {number} is wrong");
                return Err(damaged());
            }
        }
        if record.flags() & flag::UNKNOWN != 0 {
            return Err(Errno::EOPNOTSUPP.because("the file is stored in a way not known"));
        }
        let longest = u64::from(u32::MAX) * self.shape.block_size as u64;
        if record.kind() == Some(FileType::Regular) && record.size() > longest {
            log::warn!("ext: inode {number} is longer than any file can be");
            return Err(damaged());
        }
        Ok(record)
    }

    /// Hands an inode that was changed to the blocks.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn store_inode(&mut self, number: u32) -> Result<()> {
        self.store_extents(number)?;
        let (block, at) = self.place(number)?;
        let has_checksums = self.shape.has_checksums();
        let mut record = self.inode(number)?.record.clone();
        if has_checksums {
            set_checksum_fields(&mut record, 0);
            let sum = self.record_checksum(number, &record);
            set_checksum_fields(&mut record, sum);
        }
        put(self.blocks.edit(block)?, at, &record.0);
        self.inode(number)?.changed = false;
        Ok(())
    }

    fn record_checksum(&self, number: u32, record: &Record) -> u32 {
        crc32c(self.inode_seed(number, record.generation()), &record.0)
    }

    /// What checksums of what belongs to an inode start with.
    pub(super) fn inode_seed(&self, number: u32, generation: u32) -> u32 {
        let sum = crc32c(self.shape.seed, &number.to_le_bytes());
        crc32c(sum, &generation.to_le_bytes())
    }
}

/// Where the halves of an inode's checksum are.
const CHECKSUM: [usize; 2] = [124, 130];

fn has_high_checksum(record: &Record) -> bool {
    record.extra() >= CHECKSUM[1] + 2 - BASE
}

fn checksum_fields(record: &Record) -> (u16, u16) {
    let high = if has_high_checksum(record) { u16_at(&record.0, CHECKSUM[1]) } else { 0 };
    (u16_at(&record.0, CHECKSUM[0]), high)
}

fn set_checksum_fields(record: &mut Record, sum: u32) {
    put_u16(&mut record.0, CHECKSUM[0], sum as u16);
    if has_high_checksum(record) {
        put_u16(&mut record.0, CHECKSUM[1], (sum >> 16) as u16);
    }
}
