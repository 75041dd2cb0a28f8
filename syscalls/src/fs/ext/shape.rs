//! What the superblock says once and for all: sizes, counts and features.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;

use crate::error::{Because, Result};
use crate::fs::storage::Storage;

use super::bytes::{u16_at, u32_at};
use super::checksum::crc32c;
use super::damaged;

/// Where the superblock is, and how long, in bytes.
pub(super) const SUPERBLOCK: usize = 1024;

const MAGIC: u16 = 0xef53;

/// Places of fields of the superblock, in bytes.
pub(super) mod field {
    pub(in super::super) const FREE_BLOCKS: usize = 12;
    pub(in super::super) const FREE_INODES: usize = 16;
    pub(in super::super) const MOUNT_TIME: usize = 44;
    pub(in super::super) const WRITE_TIME: usize = 48;
    pub(in super::super) const MOUNT_COUNT: usize = 52;
    pub(in super::super) const STATE: usize = 58;
    pub(in super::super) const COMPATIBLE: usize = 92;
    pub(in super::super) const INCOMPATIBLE: usize = 96;
    pub(in super::super) const READ_ONLY: usize = 100;
    pub(in super::super) const UUID: usize = 104;
    pub(in super::super) const JOURNAL_INODE: usize = 224;
    pub(in super::super) const LAST_ORPHAN: usize = 232;
    pub(in super::super) const FREE_BLOCKS_HIGH: usize = 344;
    pub(in super::super) const CHECKSUM: usize = 1020;
}

/// The file system was unmounted in order ([`field::STATE`]).
pub(super) const STATE_VALID: u16 = 1;

/// Errors were found ([`field::STATE`]).
pub(super) const STATE_ERRORS: u16 = 2;

/// Features that any writer may ignore.
pub(super) mod compatible {
    pub(in super::super) const JOURNAL: u32 = 0x4;
    pub(in super::super) const ATTRIBUTES: u32 = 0x8;
    pub(in super::super) const SPARSE_SUPER_2: u32 = 0x200;
}

/// Features without which nothing can be read.
pub(super) mod incompatible {
    pub(in super::super) const FILE_TYPE: u32 = 0x2;
    pub(in super::super) const RECOVER: u32 = 0x4;
    pub(in super::super) const EXTENTS: u32 = 0x40;
    pub(in super::super) const WIDE: u32 = 0x80;
    pub(in super::super) const FLEXIBLE_GROUPS: u32 = 0x200;
    pub(in super::super) const SEED: u32 = 0x2000;
    pub(in super::super) const KNOWN: u32 =
        FILE_TYPE | RECOVER | EXTENTS | WIDE | FLEXIBLE_GROUPS | SEED;
}

/// Features without which nothing can be written.
pub(super) mod writable {
    pub(in super::super) const SPARSE_SUPER: u32 = 0x1;
    pub(in super::super) const LARGE_FILE: u32 = 0x2;
    pub(in super::super) const HUGE_FILE: u32 = 0x8;
    pub(in super::super) const GROUP_CHECKSUM: u32 = 0x10;
    pub(in super::super) const MANY_LINKS: u32 = 0x20;
    pub(in super::super) const EXTRA_SIZE: u32 = 0x40;
    pub(in super::super) const CHECKSUMS: u32 = 0x400;
    pub(in super::super) const KNOWN: u32 = SPARSE_SUPER
        | LARGE_FILE
        | HUGE_FILE
        | GROUP_CHECKSUM
        | MANY_LINKS
        | EXTRA_SIZE
        | CHECKSUMS;
}

/// Sizes, counts and features.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Size of a block, in bytes.
    pub(super) block_size: usize,
    /// Number of blocks.
    pub(super) blocks: u64,
    /// Blocks that only the privileged may take.
    pub(super) reserved: u64,
    /// The first block of the first group.
    pub(super) first_block: u64,
    /// Blocks of a group.
    pub(super) group_blocks: u32,
    /// Inodes of a group.
    pub(super) group_inodes: u32,
    /// Number of groups.
    pub(super) groups: u32,
    /// Size of an inode, in bytes.
    pub(super) inode_size: usize,
    /// Size of a group's descriptor, in bytes.
    pub(super) descriptor_size: usize,
    /// The first inode that is nothing special.
    pub(super) first_inode: u32,
    /// Blocks behind the descriptors for more of them.
    pub(super) reserved_descriptors: u64,
    /// Features that any writer may ignore.
    pub(super) compatible: u32,
    /// Features without which nothing can be read.
    pub(super) incompatible: u32,
    /// Features without which nothing can be written.
    pub(super) writable: u32,
    /// Groups with copies of the superblock, where there are only two.
    pub(super) copies: [u32; 2],
    /// What checksums start with.
    pub(super) seed: u32,
}

impl Shape {
    /// Reads the superblock of `storage`; returns it as it is, too.
    ///
    /// # Errors
    /// `EINVAL` where there is no such file system, or one with features that are not known;
    /// `EUCLEAN` where what it says cannot be.
    pub(super) fn read(storage: &Arc<dyn Storage>) -> Result<(Self, Vec<u8>)> {
        if storage.len() < 2 * SUPERBLOCK as u64 {
            return Err(Errno::EINVAL.because("the device is too short for a file system"));
        }
        let mut raw = alloc::vec![0; SUPERBLOCK];
        storage.read(SUPERBLOCK as u64, &mut raw)?;
        if u16_at(&raw, 56) != MAGIC {
            return Err(Errno::EINVAL.because("there is no such file system on the device"));
        }
        let shape = Self::parse(&raw)?;
        shape.check(&raw, storage.len())?;
        Ok((shape, raw))
    }

    fn parse(raw: &[u8]) -> Result<Self> {
        let is_old = u32_at(raw, 76) == 0;
        let dynamic = |at| if is_old { 0 } else { u32_at(raw, at) };
        let (incompatible, writable) = (dynamic(field::INCOMPATIBLE), dynamic(field::READ_ONLY));
        let wide = incompatible & incompatible::WIDE != 0;
        let high = |at| if wide { u64::from(u32_at(raw, at)) << 32 } else { 0 };
        let block_size = 1024_usize.checked_shl(u32_at(raw, 24)).filter(|&size| size <= 4096);
        let seed = match incompatible & incompatible::SEED {
            0 => crc32c(!0, &raw[field::UUID..field::UUID + 16]),
            _ => u32_at(raw, 624),
        };
        let mut shape = Self {
            block_size: block_size.filter(|&size| size > 0).ok_or_else(|| {
                Errno::EINVAL.because("blocks of the file system are larger than a page")
            })?,
            blocks: u64::from(u32_at(raw, 4)) | high(336),
            reserved: u64::from(u32_at(raw, 8)) | high(340),
            first_block: u32_at(raw, 20).into(),
            group_blocks: u32_at(raw, 32),
            group_inodes: u32_at(raw, 40),
            groups: 0,
            inode_size: if is_old { 128 } else { u16_at(raw, 88).into() },
            descriptor_size: if wide { u16_at(raw, 254).into() } else { 32 },
            first_inode: if is_old { 11 } else { u32_at(raw, 84) },
            reserved_descriptors: u16_at(raw, 206).into(),
            compatible: dynamic(field::COMPATIBLE),
            incompatible,
            writable,
            copies: [u32_at(raw, 588), u32_at(raw, 592)],
            seed,
        };
        let blocks = shape.blocks.checked_sub(shape.first_block).ok_or_else(damaged)?;
        let groups = blocks.div_ceil(u64::from(shape.group_blocks).max(1));
        shape.groups = u32::try_from(groups).map_err(|_| damaged())?;
        Ok(shape)
    }

    fn check(&self, raw: &[u8], len: u64) -> Result<()> {
        let unknown = self.incompatible & !incompatible::KNOWN;
        if unknown != 0 {
            log::warn!("ext: the file system has features that are not known: {unknown:#x}");
            return Err(Errno::EINVAL.because("the file system has features that are not known"));
        }
        if self.has_checksums() && u32_at(raw, field::CHECKSUM) != superblock_checksum(raw) {
            log::warn!("ext: the checksum of the superblock is wrong");
            return Err(Errno::EUCLEAN.because("the checksum of the superblock is wrong"));
        }
        let bits = 8 * self.block_size as u32;
        let inode_fits =
            self.inode_size.is_power_of_two() && (128..=self.block_size).contains(&self.inode_size);
        let descriptor_fits = self.descriptor_size.is_power_of_two()
            && (32..=self.block_size).contains(&self.descriptor_size);
        let inodes = u64::from(self.group_inodes) * u64::from(self.groups);
        let sound = (1..=bits).contains(&self.group_blocks)
            && (1..=bits).contains(&self.group_inodes)
            && inode_fits
            && descriptor_fits
            && (self.group_inodes as usize).is_multiple_of(self.block_size / self.inode_size)
            && self.groups > 0
            && self.first_block == u64::from(self.block_size == 1024)
            && inodes == u64::from(u32_at(raw, 0))
            && self.first_inode >= 11
            && self.first_inode < u32_at(raw, 0);
        if !sound {
            log::warn!("ext: what the superblock says cannot be");
            return Err(damaged());
        }
        if self.blocks.checked_mul(self.block_size as u64).is_none_or(|end| end > len) {
            log::warn!("ext: the file system is longer than the device");
            return Err(Errno::EINVAL.because("the file system is longer than the device"));
        }
        Ok(())
    }

    /// Whether metadata has checksums.
    pub(super) fn has_checksums(&self) -> bool {
        self.writable & writable::CHECKSUMS != 0
    }

    /// Whether descriptors of groups have checksums, and say what was never used.
    pub(super) fn has_group_checksums(&self) -> bool {
        self.writable & (writable::CHECKSUMS | writable::GROUP_CHECKSUM) != 0
    }

    /// Whether files are made of extents.
    pub(super) fn has_extents(&self) -> bool {
        self.incompatible & incompatible::EXTENTS != 0
    }

    /// Whether entries of directories say what they lead to.
    pub(super) fn has_file_types(&self) -> bool {
        self.incompatible & incompatible::FILE_TYPE != 0
    }

    /// All inodes.
    pub(super) fn inodes(&self) -> u32 {
        self.group_inodes * self.groups
    }

    /// Blocks of the inodes of a group.
    pub(super) fn table_blocks(&self) -> u64 {
        (self.group_inodes as usize * self.inode_size / self.block_size) as u64
    }

    /// Blocks of the descriptors of all groups.
    pub(super) fn descriptor_blocks(&self) -> u64 {
        let len = u64::from(self.groups) * self.descriptor_size as u64;
        len.div_ceil(self.block_size as u64)
    }

    /// The first block of a group.
    pub(super) fn group_start(&self, group: u32) -> u64 {
        self.first_block + u64::from(group) * u64::from(self.group_blocks)
    }

    /// Blocks that can be those of files.
    pub(super) fn usable_blocks(&self) -> u64 {
        let heads = (0..self.groups).filter(|&group| self.has_superblock(group)).count() as u64;
        let head = 1 + self.descriptor_blocks() + self.reserved_descriptors;
        let taken = heads * head + u64::from(self.groups) * (2 + self.table_blocks());
        self.blocks.saturating_sub(self.first_block + taken)
    }

    /// Blocks of this group: the last one may have fewer.
    pub(super) fn blocks_in(&self, group: u32) -> u32 {
        let left = self.blocks - self.group_start(group);
        left.min(self.group_blocks.into()) as u32
    }

    /// Whether the group begins with a copy of the superblock.
    pub(super) fn has_superblock(&self, group: u32) -> bool {
        if self.compatible & compatible::SPARSE_SUPER_2 != 0 {
            return group == 0 || self.copies.contains(&group);
        }
        let sparse = self.writable & writable::SPARSE_SUPER != 0;
        let is_power = |base: u32| {
            let mut power = base;
            while power < group {
                power = power.saturating_mul(base);
            }
            power == group
        };
        !sparse || group <= 1 || [3, 5, 7].into_iter().any(is_power)
    }
}

/// The checksum of a superblock.
pub(super) fn superblock_checksum(raw: &[u8]) -> u32 {
    crc32c(!0, raw.get(..field::CHECKSUM).unwrap_or_default())
}
