//! An inode as it is on disk.

use alloc::vec::Vec;

use abi::fs::{Device, FileType, Mode};

use crate::fs::inode::Timestamp;

use super::bytes::{put_u16, put_u32, u16_at, u32_at, u64_at};

/// Where the map of blocks is, and how long: extents, addresses of blocks, or a short link.
pub(super) const MAP: usize = 40;
pub(super) const MAP_LEN: usize = 60;

/// The part that every inode has, in bytes.
pub(super) const BASE: usize = 128;

/// Flags of inodes.
pub(super) mod flag {
    /// What an application may set and see, as far as it is stored here.
    pub(in super::super) const VISIBLE: u32 = 0xf4;
    /// The directory has an index.
    pub(in super::super) const INDEX: u32 = 0x1000;
    /// Blocks are counted in blocks of the file system.
    pub(in super::super) const HUGE: u32 = 0x4_0000;
    /// The map of blocks is one of extents.
    pub(in super::super) const EXTENTS: u32 = 0x8_0000;
    /// What a new file has of its directory (`NODUMP`, `NOATIME`, `SYNC`).
    pub(in super::super) const INHERITED: u32 = 0xc8;
    /// What nothing here can read: compressed blocks, encrypted, verified, large values, data in
    /// the inode.
    pub(in super::super) const UNKNOWN: u32 = 0x1030_0a00;
}

/// A time of an inode: where its seconds are, and what makes them more exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    Accessed,
    Changed,
    Modified,
    Created,
}

impl Time {
    const fn places(self) -> (usize, usize) {
        match self {
            Self::Accessed => (8, 140),
            Self::Changed => (12, 132),
            Self::Modified => (16, 136),
            Self::Created => (144, 148),
        }
    }
}

/// An inode as it is on disk.
#[derive(Clone, Debug)]
pub(super) struct Record(pub(super) Vec<u8>);

impl Record {
    /// Type and permission bits.
    pub(super) fn mode_bits(&self) -> u16 {
        u16_at(&self.0, 0)
    }

    /// What it is.
    pub(super) fn kind(&self) -> Option<FileType> {
        FileType::of(self.mode_bits().into()).filter(|&kind| kind != FileType::Anonymous)
    }

    /// Permission bits.
    pub(super) fn mode(&self) -> Mode {
        Mode::from_bits_retain(self.mode_bits() & 0o7777)
    }

    pub(super) fn set_mode(&mut self, mode: Mode) {
        let bits = self.mode_bits() & 0o170_000 | mode.bits() & 0o7777;
        put_u16(&mut self.0, 0, bits);
    }

    pub(super) fn owner(&self) -> u32 {
        u32::from(u16_at(&self.0, 2)) | u32::from(u16_at(&self.0, 120)) << 16
    }

    pub(super) fn set_owner(&mut self, owner: u32) {
        put_u16(&mut self.0, 2, owner as u16);
        put_u16(&mut self.0, 120, (owner >> 16) as u16);
    }

    pub(super) fn group(&self) -> u32 {
        u32::from(u16_at(&self.0, 24)) | u32::from(u16_at(&self.0, 122)) << 16
    }

    pub(super) fn set_group(&mut self, group: u32) {
        put_u16(&mut self.0, 24, group as u16);
        put_u16(&mut self.0, 122, (group >> 16) as u16);
    }

    /// Length, in bytes.
    pub(super) fn size(&self) -> u64 {
        u64_at(&self.0, 4, 108)
    }

    pub(super) fn set_size(&mut self, size: u64) {
        put_u32(&mut self.0, 4, size as u32);
        put_u32(&mut self.0, 108, (size >> 32) as u32);
    }

    /// Number of names; of a directory with too many others in it, 1.
    pub(super) fn links(&self) -> u16 {
        u16_at(&self.0, 26)
    }

    pub(super) fn set_links(&mut self, links: u16) {
        put_u16(&mut self.0, 26, links);
    }

    pub(super) fn flags(&self) -> u32 {
        u32_at(&self.0, 32)
    }

    pub(super) fn set_flags(&mut self, flags: u32) {
        put_u32(&mut self.0, 32, flags);
    }

    pub(super) fn has_extents(&self) -> bool {
        self.flags() & flag::EXTENTS != 0
    }

    pub(super) fn generation(&self) -> u32 {
        u32_at(&self.0, 100)
    }

    pub(super) fn set_generation(&mut self, generation: u32) {
        put_u32(&mut self.0, 100, generation);
    }

    /// When it was removed, in seconds; of an orphan, the next one.
    pub(super) fn removed(&self) -> u32 {
        u32_at(&self.0, 20)
    }

    pub(super) fn set_removed(&mut self, seconds: u32) {
        put_u32(&mut self.0, 20, seconds);
    }

    /// Storage it takes, in the unit its flags say.
    fn raw_blocks(&self) -> u64 {
        u64::from(u32_at(&self.0, 28)) | u64::from(u16_at(&self.0, 116)) << 32
    }

    /// Storage it takes, in units of 512 bytes.
    pub(super) fn sectors(&self, block_size: usize) -> u64 {
        match self.flags() & flag::HUGE {
            0 => self.raw_blocks(),
            _ => self.raw_blocks().saturating_mul(block_size as u64 / 512),
        }
    }

    /// It takes so many blocks more.
    pub(super) fn add_blocks(&mut self, count: i64, block_size: usize) {
        let unit = if self.flags() & flag::HUGE == 0 { block_size as i64 / 512 } else { 1 };
        let blocks = self.raw_blocks().saturating_add_signed(count * unit);
        put_u32(&mut self.0, 28, blocks as u32);
        put_u16(&mut self.0, 116, (blocks >> 32) as u16);
    }

    /// The block of attributes; 0 where there is none.
    pub(super) fn attribute_block(&self) -> u64 {
        u64::from(u32_at(&self.0, 104)) | u64::from(u16_at(&self.0, 118)) << 32
    }

    pub(super) fn set_attribute_block(&mut self, block: u64) {
        put_u32(&mut self.0, 104, block as u32);
        put_u16(&mut self.0, 118, (block >> 32) as u16);
    }

    /// The map of blocks.
    pub(super) fn map(&self) -> &[u8] {
        self.0.get(MAP..MAP + MAP_LEN).unwrap_or_default()
    }

    /// The map of blocks, to be changed.
    pub(super) fn map_mut(&mut self) -> &mut [u8] {
        self.0.get_mut(MAP..MAP + MAP_LEN).unwrap_or_default()
    }

    /// The device that a node stands for.
    pub(super) fn device(&self) -> Device {
        match u32_at(&self.0, MAP) {
            0 => Device::decode(u32_at(&self.0, MAP + 4).into()),
            old => Device::new(old >> 8 & 0xff, old & 0xff),
        }
    }

    pub(super) fn set_device(&mut self, device: Device) {
        let old = device.major < 256 && device.minor < 256;
        let (at, number) = match old {
            true => (MAP, device.major << 8 | device.minor),
            false => (MAP + 4, device.encode() as u32),
        };
        put_u32(&mut self.0, at, number);
    }

    /// How many bytes of the inode are in use beyond the part that every inode has.
    pub(super) fn extra(&self) -> usize {
        let room = self.0.len().saturating_sub(BASE);
        usize::from(u16_at(&self.0, BASE)).min(room)
    }

    fn has(&self, at: usize) -> bool {
        at + 4 <= BASE + self.extra()
    }

    /// One of its times.
    pub(super) fn time(&self, time: Time) -> Timestamp {
        let (at, exact) = time.places();
        if at >= BASE && !self.has(at) {
            return Timestamp::default();
        }
        let seconds = i64::from(u32_at(&self.0, at) as i32);
        if !self.has(exact) {
            return Timestamp { seconds, nanoseconds: 0 };
        }
        let more = u32_at(&self.0, exact);
        let seconds = seconds + (i64::from(more & 3) << 32);
        Timestamp { seconds, nanoseconds: (more >> 2).min(999_999_999) }
    }

    /// Sets one of its times, as exactly as there is room for.
    pub(super) fn set_time(&mut self, time: Time, value: Timestamp) {
        let (at, exact) = time.places();
        if at >= BASE && !self.has(at) {
            return;
        }
        let exact = self.has(exact).then_some(exact);
        let last = if exact.is_some() { 0x3_7fff_ffff } else { i64::from(i32::MAX) };
        let seconds = value.seconds.clamp(i32::MIN.into(), last);
        put_u32(&mut self.0, at, seconds as u32);
        if let Some(exact) = exact {
            let epoch = (seconds - i64::from(seconds as i32)) >> 32;
            put_u32(&mut self.0, exact, value.nanoseconds << 2 | epoch as u32 & 3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_from_1901_to_2446() {
        let mut record = Record(alloc::vec![0; 256]);
        put_u16(&mut record.0, BASE, 32);
        for seconds in [i64::from(i32::MIN), -1, 0, 1 << 31, 1 << 33, 0x3_7fff_ffff] {
            let time = Timestamp { seconds, nanoseconds: 999_999_999 };
            record.set_time(Time::Modified, time);
            assert_eq!(record.time(Time::Modified), time);
        }
        let mut old = Record(alloc::vec![0; 128]);
        old.set_time(Time::Created, Timestamp { seconds: 1, nanoseconds: 1 });
        old.set_time(Time::Accessed, Timestamp { seconds: 1 << 33, nanoseconds: 1 });
        let seconds = i32::MAX.into();
        assert_eq!(old.time(Time::Accessed), Timestamp { seconds, nanoseconds: 0 });
        assert_eq!(old.time(Time::Created), Timestamp::default());
    }
}
