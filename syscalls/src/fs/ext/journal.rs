//! The journal of ext3 and ext4: what it has of changes that never got to their places is
//! brought there before anything else is read. Nothing new is written to it; whoever comes
//! later sees from the state of the file system whether that was unmounted in order.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use abi::Errno;

use crate::buffer;
use crate::error::{Because, Result};

use super::bytes::{big_u32_at, put, put_u32, u32_at};
use super::checksum::crc32c;
use super::damaged;
use super::shape::{SUPERBLOCK, field, incompatible, superblock_checksum};
use super::volume::Volume;

const MAGIC: u32 = 0xc03b_3998;

/// Length of what each block of the journal's own begins with, in bytes.
const HEAD: usize = 12;

/// Kinds of blocks of the journal's own.
mod kind {
    pub(super) const DESCRIPTOR: u32 = 1;
    pub(super) const COMMIT: u32 = 2;
    pub(super) const REVOKE: u32 = 5;
}

/// Features without which a journal cannot be read.
mod feature {
    pub(super) const WIDE: u32 = 0x2;
    pub(super) const CHECKSUMS_3: u32 = 0x10;
    /// Not: commits that only a checksum tells from unfinished ones (0x4), and tags with short
    /// checksums (0x8), which nothing makes any more.
    pub(super) const KNOWN: u32 = 0x1 | WIDE | CHECKSUMS_3;
}

/// Flags of a tag.
const ESCAPED: u32 = 1;
const SAME_UUID: u32 = 2;
const LAST: u32 = 8;

/// What the journal's superblock says.
struct Journal {
    inode: u32,
    len: u32,
    first: u32,
    features: u32,
}

/// A block that a transaction changes: its place in the journal and its own, and whether its
/// first bytes had to be replaced.
struct Change {
    copy: u32,
    place: u64,
    escaped: bool,
}

/// Transactions in order, and by block the last one that said that earlier copies of it are
/// not to be used.
#[derive(Default)]
struct Log {
    transactions: Vec<(u32, Vec<Change>)>,
    revoked: BTreeMap<u64, u32>,
}

impl Journal {
    fn after(&self, block: u32) -> u32 {
        if block + 1 >= self.len { self.first } else { block + 1 }
    }

    /// Length of a tag without its UUID, in bytes.
    fn tag_len(&self) -> usize {
        match self.features {
            features if features & feature::CHECKSUMS_3 != 0 => 16,
            features if features & feature::WIDE != 0 => 12,
            _ => 8,
        }
    }

    fn tail_len(&self) -> usize {
        if self.features & feature::CHECKSUMS_3 == 0 { 0 } else { 4 }
    }

    /// The changes that a descriptor names; their copies follow it. Returns the block behind
    /// them, too.
    fn changes(&self, descriptor: &[u8], at: u32) -> (Vec<Change>, u32) {
        let mut changes = Vec::new();
        let mut copy = self.after(at);
        let mut tag = HEAD;
        let end = descriptor.len() - self.tail_len();
        while tag + self.tag_len() <= end {
            let (flags, high) = match self.features & feature::CHECKSUMS_3 {
                0 => (big_u32_at(descriptor, tag + 4) & 0xffff, 8),
                _ => (big_u32_at(descriptor, tag + 4), 8),
            };
            let mut place = u64::from(big_u32_at(descriptor, tag));
            if self.features & feature::WIDE != 0 {
                place |= u64::from(big_u32_at(descriptor, tag + high)) << 32;
            }
            changes.push(Change { copy, place, escaped: flags & ESCAPED != 0 });
            copy = self.after(copy);
            tag += self.tag_len() + if flags & SAME_UUID == 0 { 16 } else { 0 };
            if flags & LAST != 0 {
                break;
            }
        }
        (changes, copy)
    }

    /// The blocks that a revoke block names.
    fn revoked(&self, block: &[u8]) -> Vec<u64> {
        let end = (big_u32_at(block, HEAD) as usize).min(block.len());
        let numbers = block.get(HEAD + 4..end).unwrap_or_default();
        match self.features & feature::WIDE {
            0 => numbers.chunks_exact(4).map(|one| big_u32_at(one, 0).into()).collect(),
            _ => {
                let wide =
                    |one| u64::from(big_u32_at(one, 0)) << 32 | u64::from(big_u32_at(one, 4));
                numbers.chunks_exact(8).map(wide).collect()
            }
        }
    }
}

impl Volume {
    /// Brings what the journal has to its place, and marks the journal as empty. All that was
    /// read before is to be read again.
    ///
    /// # Errors
    /// `EROFS` where nothing can be written to the device; `EINVAL` for a journal of a kind
    /// that is not known; `EUCLEAN`; those of the device.
    pub(super) fn replay(&mut self) -> Result<()> {
        if self.blocks.storage().is_read_only() {
            log::warn!("ext: the journal has to be replayed, but the device is read-only");
            return Err(Errno::EROFS.because("the journal cannot be replayed"));
        }
        let inode = u32_at(self.superblock(), field::JOURNAL_INODE);
        let mut head = self.journal_block(inode, 0)?;
        let journal = Journal {
            inode,
            len: big_u32_at(&head, 16),
            first: big_u32_at(&head, 20),
            features: big_u32_at(&head, 40),
        };
        let version_2 = big_u32_at(&head, 4) == 4;
        let journal = Journal { features: if version_2 { journal.features } else { 0 }, ..journal };
        let room = self.inode(inode)?.record.size() / self.shape.block_size as u64;
        let fits = big_u32_at(&head, 0) == MAGIC
            && u64::from(journal.len) <= room.min(self.shape.blocks)
            && big_u32_at(&head, 12) as usize == self.shape.block_size
            && (1..journal.len).contains(&journal.first);
        if !fits {
            log::warn!("ext: the journal is damaged");
            return Err(damaged());
        }
        if journal.features & !feature::KNOWN != 0 {
            log::warn!("ext: the journal has features that are not known");
            return Err(Errno::EINVAL.because("the journal has features that are not known"));
        }
        let (sequence, start) = (big_u32_at(&head, 24), big_u32_at(&head, 28));
        let log = self.scan(&journal, sequence, start)?;
        let done = self.apply(&journal, &log)?;
        log::info!("ext: {done} blocks were brought from the journal to their places");
        let next = sequence.wrapping_add(log.transactions.len() as u32).wrapping_add(1);
        put(&mut head, 24, &next.to_be_bytes());
        put(&mut head, 28, &0_u32.to_be_bytes());
        if journal.tail_len() > 0 {
            put(&mut head, 252, &[0; 4]);
            let sum = crc32c(!0, &head[..1024]);
            put(&mut head, 252, &sum.to_be_bytes());
        }
        let place = self.run(inode, 0)?.data().ok_or_else(damaged)?;
        self.blocks.storage().sync()?;
        self.blocks.write_data(place, &head)?;
        self.end_recovery()
    }

    /// The superblock, as the journal has left it, says that nothing is left to be done.
    fn end_recovery(&mut self) -> Result<()> {
        let mut raw = alloc::vec![0; SUPERBLOCK];
        self.blocks.storage().read(SUPERBLOCK as u64, &mut raw)?;
        let features = u32_at(&raw, field::INCOMPATIBLE) & !incompatible::RECOVER;
        put_u32(&mut raw, field::INCOMPATIBLE, features);
        if self.shape.has_checksums() {
            let sum = superblock_checksum(&raw);
            put_u32(&mut raw, field::CHECKSUM, sum);
        }
        self.blocks.storage().write(SUPERBLOCK as u64, &raw)?;
        self.blocks.storage().sync()
    }

    fn journal_block(&mut self, inode: u32, block: u32) -> Result<Vec<u8>> {
        let place = self.run(inode, block)?.data().ok_or_else(damaged)?;
        let mut bytes = buffer::zeroed(self.shape.block_size)?;
        self.blocks.read_data(place, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads the transactions that were ended.
    fn scan(&mut self, journal: &Journal, first: u32, start: u32) -> Result<Log> {
        let mut log = Log::default();
        let (mut sequence, mut at, mut read) = (first, start, 0);
        let (mut changes, mut revoked) = (Vec::new(), Vec::new());
        while start != 0 && at < journal.len && read <= journal.len {
            let block = self.journal_block(journal.inode, at)?;
            if big_u32_at(&block, 0) != MAGIC || big_u32_at(&block, 8) != sequence {
                break;
            }
            read += 1;
            match big_u32_at(&block, 4) {
                kind::DESCRIPTOR => {
                    let (more, behind) = journal.changes(&block, at);
                    read += more.len() as u32;
                    changes.try_reserve(more.len()).map_err(|_| crate::machine::OutOfMemory)?;
                    changes.extend(more);
                    at = behind;
                }
                kind::REVOKE => {
                    revoked.extend(journal.revoked(&block));
                    at = journal.after(at);
                }
                kind::COMMIT => {
                    log.transactions.push((sequence, core::mem::take(&mut changes)));
                    log.revoked.extend(revoked.drain(..).map(|block| (block, sequence)));
                    sequence = sequence.wrapping_add(1);
                    at = journal.after(at);
                }
                _ => break,
            }
        }
        Ok(log)
    }

    fn apply(&mut self, journal: &Journal, log: &Log) -> Result<usize> {
        let mut changes = log.transactions.iter().flat_map(|(_, changes)| changes);
        if changes.any(|change| change.place >= self.shape.blocks) {
            log::warn!("ext: the journal has blocks that there are none of");
            return Err(damaged());
        }
        let mut done = 0;
        for (sequence, changes) in &log.transactions {
            for change in changes {
                let later = |&by: &u32| by.wrapping_sub(*sequence) as i32 >= 0;
                if log.revoked.get(&change.place).is_some_and(later) {
                    continue;
                }
                let mut bytes = self.journal_block(journal.inode, change.copy)?;
                if change.escaped {
                    put(&mut bytes, 0, &MAGIC.to_be_bytes());
                }
                let at = change.place.checked_mul(bytes.len() as u64).ok_or_else(damaged)?;
                self.blocks.storage().write(at, &bytes)?;
                done += 1;
            }
        }
        Ok(done)
    }
}
