//! Extended attributes: in what an inode has left behind its fields, and in one block.

use alloc::vec::Vec;

use abi::Errno;

use crate::error::{Because, Result};

use super::bytes::{put, put_u16, put_u32, u16_at, u32_at};
use super::checksum::crc32c;
use super::damaged;
use super::record::BASE;
use super::shape::{compatible, field};
use super::volume::Volume;

const MAGIC: u32 = 0xea02_0000;

/// Length of what a block begins with, and of an entry without its name, in bytes.
const BLOCK_HEAD: usize = 32;
const ENTRY: usize = 16;

/// Starts of names by the numbers that stand for them.
const SPACES: [(u8, &[u8]); 6] = [
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (1, b"user."),
    (4, b"trusted."),
    (6, b"security."),
    (7, b"system."),
];

/// An attribute: its whole name and its value.
pub(super) type Attribute = (Vec<u8>, Vec<u8>);

/// The number of a name's start, and the rest of the name.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    SPACES.iter().find_map(|&(number, start)| Some((number, name.strip_prefix(start)?)))
}

fn joined(number: u8, rest: &[u8]) -> Vec<u8> {
    let start = SPACES.iter().find(|(other, _)| *other == number);
    [start.map_or(&b""[..], |(_, start)| start), rest].concat()
}

/// Reads entries from `from` on; values lie at offsets from `base`.
fn parse(bytes: &[u8], from: usize, base: usize, into: &mut Vec<Attribute>) -> Result<()> {
    let mut at = from;
    while u32_at(bytes, at) != 0 {
        let name_len = usize::from(bytes[at]);
        let name = bytes.get(at + ENTRY..at + ENTRY + name_len).ok_or_else(damaged)?;
        let start = base + usize::from(u16_at(bytes, at + 2));
        let len = u32_at(bytes, at + 8) as usize;
        let value = bytes.get(start..start.saturating_add(len)).ok_or_else(damaged)?;
        if u32_at(bytes, at + 4) != 0 {
            return Err(damaged());
        }
        into.push((joined(bytes[at + 1], name), value.to_vec()));
        at += (ENTRY + name_len).next_multiple_of(4);
    }
    Ok(())
}

/// Bytes that an attribute takes.
fn taken((name, value): &Attribute) -> usize {
    let rest = split(name).map_or(name.len(), |(_, rest)| rest.len());
    (ENTRY + rest).next_multiple_of(4) + value.len().next_multiple_of(4)
}

/// The hash of an entry in a block.
fn entry_hash(name: &[u8], value: &[u8]) -> u32 {
    let hash = name
        .iter()
        .fold(0_u32, |hash, &byte| hash << 5 ^ hash >> (32 - 5) ^ u32::from(byte as i8 as u8));
    value.chunks(4).fold(hash, |hash, word| {
        let mut whole = [0; 4];
        whole[..word.len()].copy_from_slice(word);
        hash << 16 ^ hash >> 16 ^ u32::from_le_bytes(whole)
    })
}

/// Writes entries from `from` on, and their values from the end; values lie at offsets from
/// `base`. Returns the hashes of the entries.
fn write(bytes: &mut [u8], from: usize, base: usize, all: &[&Attribute], hashed: bool) -> Vec<u32> {
    let (mut at, mut end) = (from, bytes.len());
    let mut hashes = Vec::new();
    for (name, value) in all {
        let Some((number, rest)) = split(name) else { continue };
        end -= value.len().next_multiple_of(4);
        put(bytes, at, &[rest.len() as u8, number]);
        put_u16(bytes, at + 2, if value.is_empty() { 0 } else { (end - base) as u16 });
        put_u32(bytes, at + 8, value.len() as u32);
        let hash = if hashed { entry_hash(rest, value) } else { 0 };
        put_u32(bytes, at + 12, hash);
        put(bytes, at + ENTRY, rest);
        put(bytes, end, value);
        hashes.push(hash);
        at += (ENTRY + rest.len()).next_multiple_of(4);
    }
    hashes
}

impl Volume {
    /// Where the attributes in an inode begin, if it has room for any.
    fn inner_start(&mut self, number: u32) -> Result<Option<usize>> {
        let record = &self.inode(number)?.record;
        let start = BASE + record.extra();
        Ok((record.extra() > 0 && start + 4 + ENTRY < record.0.len()).then_some(start))
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn attributes(&mut self, number: u32) -> Result<Vec<Attribute>> {
        let mut all = Vec::new();
        if let Some(start) = self.inner_start(number)? {
            let raw = &self.inode(number)?.record.0;
            if u32_at(raw, start) == MAGIC {
                parse(raw, start + 4, start + 4, &mut all)?;
            }
        }
        let block = self.inode(number)?.record.attribute_block();
        if block != 0 {
            self.check_data(block)?;
            let bytes = self.blocks.read(block)?;
            if u32_at(bytes, 0) != MAGIC {
                return Err(damaged());
            }
            parse(bytes, BLOCK_HEAD, 0, &mut all)?;
        }
        Ok(all)
    }

    /// Sets an attribute, or removes it.
    ///
    /// # Errors
    /// `ENOSPC` where there is no room; `EUCLEAN`; those of the device.
    pub(super) fn set_attribute(
        &mut self,
        number: u32,
        name: &[u8],
        value: Option<&[u8]>,
    ) -> Result<()> {
        self.check_writable()?;
        let mut all = self.attributes(number)?;
        all.retain(|(other, _)| other != name);
        if let Some(value) = value {
            all.push((name.to_vec(), value.to_vec()));
        }
        let start = self.inner_start(number)?;
        let room = match start {
            Some(start) => self.inode(number)?.record.0.len() - start - 4 - 4,
            None => 0,
        };
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        let (mut inner_len, mut outer_len) = (0, BLOCK_HEAD + 4);
        for attribute in &all {
            let len = taken(attribute);
            if inner_len + len <= room {
                inner_len += len;
                inner.push(attribute);
            } else {
                outer_len += len;
                outer.push(attribute);
            }
        }
        if outer_len > self.shape.block_size {
            return Err(Errno::ENOSPC.because("the file has no room for more attributes"));
        }
        self.store_outer(number, outer)?;
        if let Some(start) = start {
            let raw = &mut self.edit(number)?.record.0;
            raw[start..].fill(0);
            if !inner.is_empty() {
                put_u32(raw, start, MAGIC);
                write(&mut raw[start + 4..], 0, 0, &inner, false);
            }
        }
        self.edit(number)?;
        self.add_feature(field::COMPATIBLE, compatible::ATTRIBUTES);
        Ok(())
    }

    /// Stores attributes in a block of the inode's own; without any, it has none.
    fn store_outer(&mut self, number: u32, mut all: Vec<&Attribute>) -> Result<()> {
        let old = self.inode(number)?.record.attribute_block();
        if all.is_empty() {
            return self.free_attributes(number);
        }
        all.sort_by_key(|(name, _)| {
            let (space, rest) = split(name).unwrap_or((0, name));
            (space, rest.len(), rest)
        });
        let is_own = old != 0 && u32_at(self.blocks.read(old)?, 4) == 1;
        let block = if is_own { old } else { self.take_blocks(old, 1)?.0 };
        if !is_own {
            self.free_attributes(number)?;
            self.count_blocks(number, 1)?;
            self.edit(number)?.record.set_attribute_block(block);
        }
        let bytes = self.blocks.fresh(block)?;
        put_u32(bytes, 0, MAGIC);
        put_u32(bytes, 4, 1);
        put_u32(bytes, 8, 1);
        let hashes = write(bytes, BLOCK_HEAD, 0, &all, true);
        let hash = hashes.iter().fold(0_u32, |hash, one| hash << 16 ^ hash >> 16 ^ one);
        put_u32(bytes, 12, hash);
        self.seal_attributes(block)
    }

    fn seal_attributes(&mut self, block: u64) -> Result<()> {
        if !self.shape.has_checksums() {
            return Ok(());
        }
        let seed = crc32c(self.shape.seed, &block.to_le_bytes());
        let bytes = self.blocks.edit(block)?;
        put_u32(bytes, 16, 0);
        let sum = crc32c(seed, bytes);
        put_u32(bytes, 16, sum);
        Ok(())
    }

    /// Takes the block of attributes away from an inode.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn free_attributes(&mut self, number: u32) -> Result<()> {
        let block = self.inode(number)?.record.attribute_block();
        if block == 0 {
            return Ok(());
        }
        self.check_data(block)?;
        self.edit(number)?.record.set_attribute_block(0);
        self.count_blocks(number, -1)?;
        let users = u32_at(self.blocks.read(block)?, 4);
        if users <= 1 {
            return self.free_blocks(block..block + 1);
        }
        put_u32(self.blocks.edit(block)?, 4, users - 1);
        self.seal_attributes(block)
    }
}
