//! Which blocks of the device are those of a file.

use alloc::vec::Vec;
use core::ops::Range;

use abi::Errno;

use crate::error::{Because, Result};
use crate::fs::inode::Stored;

use super::extents::Extent;
use super::volume::Volume;

/// Most blocks that are taken at a time: an extent that was never written can be so long.
const RUN_MAX: u32 = (1 << 15) - 1;

/// Blocks of a file that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Where they begin on the device; `None` where they are a hole.
    pub(super) start: Option<u64>,
    /// How many there are, at least one.
    pub(super) len: u32,
    /// They were taken, but hold nothing yet.
    pub(super) unwritten: bool,
}

impl Run {
    /// Where the bytes are that they hold; `None` where all are zeros.
    pub(super) fn data(&self) -> Option<u64> {
        self.start.filter(|_| !self.unwritten)
    }
}

impl Volume {
    /// What the blocks of a file from `block` on are.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device.
    pub(super) fn run(&mut self, number: u32, block: u32) -> Result<Run> {
        if !self.inode(number)?.record.has_extents() {
            let (start, len) = self.indirect_block(number, block)?;
            let len = len.min(u64::from(u32::MAX - block).max(1)) as u32;
            return Ok(Run { start: (start != 0).then_some(start), len, unwritten: false });
        }
        Ok(match self.extents(number)?.at_or_after(block) {
            Some(found) if found.first <= block => Run {
                start: Some(found.start + u64::from(block - found.first)),
                len: found.end() - block,
                unwritten: found.unwritten,
            },
            Some(next) => Run { start: None, len: next.first - block, unwritten: false },
            None => Run { start: None, len: (u32::MAX - block).max(1), unwritten: false },
        })
    }

    /// Makes sure that the blocks of `range` of a file can be written.
    ///
    /// # Errors
    /// `ENOSPC`; `EFBIG`; `EUCLEAN`; those of the device.
    pub(super) fn fill(&mut self, number: u32, range: Range<u32>) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let run = self.run(number, at)?;
            let len = run.len.min(range.end - at);
            at += match run.start {
                Some(_) if !run.unwritten => len,
                Some(_) => {
                    self.mark_written(number, at..at + len)?;
                    len
                }
                None => self.take(number, at, len, false)?,
            };
        }
        Ok(())
    }

    /// Fails where a file cannot have blocks that are not written.
    ///
    /// # Errors
    /// `EOPNOTSUPP`; those of [`Volume::inode`].
    pub(super) fn check_reservable(&mut self, number: u32) -> Result<()> {
        match self.inode(number)?.record.has_extents() {
            true => Ok(()),
            false => Err(Errno::EOPNOTSUPP.because("files of this kind cannot be allocated")),
        }
    }

    /// Takes room for the blocks of `range` of a file, which stay zeros.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the file cannot say that blocks are not written; as
    /// [`Volume::fill`].
    pub(super) fn reserve(&mut self, number: u32, range: Range<u32>) -> Result<()> {
        self.check_reservable(number)?;
        let mut at = range.start;
        while at < range.end {
            let run = self.run(number, at)?;
            let len = run.len.min(range.end - at);
            at += match run.start {
                Some(_) => len,
                None => self.take(number, at, len, true)?,
            };
        }
        Ok(())
    }

    /// Takes room for the bytes of `range` of a file, which stay zeros where they were.
    ///
    /// # Errors
    /// As [`Volume::reserve`].
    pub(super) fn reserve_bytes(&mut self, number: u32, range: Range<u64>) -> Result<()> {
        let size = self.shape.block_size as u64;
        let too_large = |_| Errno::EFBIG.because("the file would be too large");
        let first = u32::try_from(range.start / size).map_err(too_large)?;
        let end = u32::try_from(range.end.div_ceil(size)).map_err(too_large)?;
        self.check_writable()?;
        self.reserve(number, first..end)
    }

    /// Where the bytes of `range` of a file are, at most `limit` pieces.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn stored(
        &mut self,
        number: u32,
        range: Range<u64>,
        limit: usize,
    ) -> Result<Vec<Stored>> {
        let size = self.shape.block_size as u64;
        let block = |offset: u64| u32::try_from(offset).unwrap_or(u32::MAX);
        // Blocks that are not those of an extent end with the file.
        let end = match self.inode(number)?.record.has_extents() {
            true => u64::from(u32::MAX),
            false => self.inode(number)?.record.size().div_ceil(size),
        };
        let (mut at, end) = (block(range.start / size), block(end));
        let mut found: Vec<Stored> = Vec::new();
        while at < end {
            let run = self.run(number, at)?;
            if let Some(start) = run.start {
                let (offset, len) = (u64::from(at) * size, u64::from(run.len) * size);
                let (place, unwritten) = (start * size, run.unwritten);
                let is_full = found.len() >= limit || offset >= range.end;
                match found.last_mut() {
                    Some(last)
                        if (last.offset + last.len, last.place + last.len, last.unwritten)
                            == (offset, place, unwritten) =>
                    {
                        last.len += len;
                    }
                    _ if is_full => return Ok(found),
                    _ => found.push(Stored { offset, place, len, unwritten, last: false }),
                }
            }
            at = at.saturating_add(run.len);
        }
        if let Some(last) = found.last_mut() {
            last.last = true;
        }
        Ok(found)
    }

    /// Takes up to `len` blocks for those of a file from `block` on; returns how many.
    fn take(&mut self, number: u32, block: u32, len: u32, unwritten: bool) -> Result<u32> {
        let goal = self.goal(number, block)?;
        let has_extents = self.inode(number)?.record.has_extents();
        let want = if has_extents { len.min(RUN_MAX) } else { 1 };
        let (start, len) = self.take_blocks(goal, want)?;
        let result = if has_extents {
            self.add_extent(number, Extent { first: block, len, start, unwritten })
        } else {
            Self::check_narrow(start).and_then(|()| self.set_indirect(number, block, start))
        };
        if let Err(error) = result {
            self.free_blocks(start..start + u64::from(len))?;
            return Err(error);
        }
        self.count_blocks(number, len.into())?;
        Ok(len)
    }

    /// Where a block of a file should be: behind the one before it.
    fn goal(&mut self, number: u32, block: u32) -> Result<u64> {
        if let Some(before) = block.checked_sub(1)
            && let Some(start) = self.run(number, before)?.start
        {
            return Ok(start + 1);
        }
        Ok(self.shape.group_start((number - 1) / self.shape.group_inodes))
    }

    /// Frees the blocks of `range` of a file; up to `u32::MAX` is to the end.
    ///
    /// # Errors
    /// `EUCLEAN`; those of the device; `ENOSPC` where a long list of extents gets longer.
    pub(super) fn free(&mut self, number: u32, range: Range<u32>) -> Result<()> {
        if !self.inode(number)?.record.has_extents() {
            let end = if range.end == u32::MAX { u64::MAX } else { range.end.into() };
            return self.free_indirect(number, range.start.into()..end);
        }
        for extent in self.take_extents(number, range)? {
            self.free_blocks(extent.start..extent.start + u64::from(extent.len))?;
            self.count_blocks(number, -i64::from(extent.len))?;
        }
        Ok(())
    }

    /// Frees what a file has behind its first `size` bytes.
    ///
    /// # Errors
    /// As [`Volume::free`].
    pub(super) fn cut(&mut self, number: u32, size: u64) -> Result<()> {
        match u32::try_from(size.div_ceil(self.shape.block_size as u64)) {
            Ok(first) => self.free(number, first..u32::MAX),
            Err(_) => Ok(()),
        }
    }

    /// How long a file can be, in bytes.
    ///
    /// # Errors
    /// Those of [`Volume::inode`].
    pub(super) fn longest(&mut self, number: u32) -> Result<u64> {
        let block_size = self.shape.block_size as u64;
        if self.inode(number)?.record.has_extents() {
            return Ok(u64::from(u32::MAX) * block_size);
        }
        let addresses = block_size / 4;
        let blocks = 12 + addresses + addresses.pow(2) + addresses.pow(3);
        // Storage is counted in 32 bits of 512 bytes, as where files cannot be huge.
        Ok((blocks * block_size).min(u64::from(u32::MAX) * 512))
    }
}
