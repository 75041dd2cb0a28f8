//! What is in regular files: their pages, which read(2), write(2) and mappings share.
//!
//! A page gets its blocks before it is written to, so that a full device is known in time, and
//! is written to them later: by fsync(2) and its kin, and when too many wait for it. Where a
//! page is being written to, its writer has it, and no lock is held.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::PAGE_SIZE;

use crate::buffer;
use crate::error::Result;
use crate::fs::file::Extent;
use crate::machine::Page;

use super::blocks::TRANSFER;
use super::shape::{field, writable};
use super::volume::Volume;

pub(super) const PAGE: u64 = PAGE_SIZE as u64;

/// How many pages are read where one is needed.
const WINDOW: u64 = 16;

/// Which part of memory may hold pages, and pages that have to be written.
const KEPT_SHARE: u64 = 8;
const CHANGED_SHARE: u64 = 32;

/// The pages of a regular file that are in memory.
#[derive(Default)]
pub(super) struct Content {
    pages: BTreeMap<u64, Arc<dyn Page>>,
    /// Those that have to be written.
    changed: BTreeSet<u64>,
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.pages.len()
    }

    pub(super) fn changes(&self) -> usize {
        self.changed.len()
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }
}

/// What is at some place of a file.
pub(super) enum Piece {
    /// The bytes of this page.
    Page(Arc<dyn Page>),
    /// So many zeros.
    Hole(u64),
}

impl Volume {
    /// Blocks of a page.
    pub(super) fn page_blocks(&self) -> u32 {
        (PAGE_SIZE / self.shape.block_size) as u32
    }

    /// The block of a file that a byte lies in.
    pub(super) fn block_of(&self, offset: u64) -> u32 {
        u32::try_from(offset / self.shape.block_size as u64).unwrap_or(u32::MAX)
    }

    /// What is at `offset` of a file, which lies before its end.
    ///
    /// # Errors
    /// `ENOMEM`; those of the device.
    pub(super) fn piece(&mut self, number: u32, offset: u64) -> Result<Piece> {
        let index = offset / PAGE;
        if let Some(page) = self.inode(number)?.content.pages.get(&index) {
            return Ok(Piece::Page(page.clone()));
        }
        let block = self.block_of(offset);
        let run = self.run(number, block)?;
        if run.data().is_none() {
            let end = (u64::from(block) + u64::from(run.len)) * self.shape.block_size as u64;
            // What is kept in memory may not be a hole.
            let next = self.inode(number)?.content.pages.range(index..).next();
            let end = end.min(next.map_or(u64::MAX, |(&next, _)| next * PAGE));
            return Ok(Piece::Hole(end - offset));
        }
        Ok(Piece::Page(self.load(number, index)?))
    }

    /// The page with this index; `None` beyond the end.
    ///
    /// # Errors
    /// `ENOMEM`; those of the device.
    pub(super) fn page(&mut self, number: u32, index: u64) -> Result<Option<Arc<dyn Page>>> {
        let kept = self.inode(number)?;
        if index.checked_mul(PAGE).is_none_or(|start| start >= kept.record.size()) {
            return Ok(None);
        }
        if let Some(page) = kept.content.pages.get(&index) {
            return Ok(Some(page.clone()));
        }
        self.load(number, index).map(Some)
    }

    /// Reads the page with this index, and some behind it, which are not in memory.
    fn load(&mut self, number: u32, index: u64) -> Result<Arc<dyn Page>> {
        self.limit()?;
        let kept = self.inode(number)?;
        let next = kept.content.pages.range(index..).next().map_or(u64::MAX, |(&next, _)| next);
        let end = kept.record.size().div_ceil(PAGE).min(next).min(index + WINDOW).max(index + 1);
        let mut bytes = buffer::zeroed((end - index) as usize * PAGE_SIZE)?;
        self.read_blocks(number, index, &mut bytes)?;
        let mut found = None;
        for (at, bytes) in (index..end).zip(bytes.chunks(PAGE_SIZE)) {
            let page = match self.machine.allocate_page() {
                Ok(page) => page,
                Err(_) if found.is_some() => break,
                Err(error) => return Err(error.into()),
            };
            page.write(0, bytes);
            self.inode(number)?.content.pages.insert(at, page.clone());
            self.pages += 1;
            found.get_or_insert(page);
        }
        found.ok_or_else(super::damaged)
    }

    /// Fills `to` with what the device has of the pages from `index` on.
    fn read_blocks(&mut self, number: u32, index: u64, to: &mut [u8]) -> Result<()> {
        let size = self.shape.block_size;
        let mut block = self.block_of(index * PAGE);
        let mut rest = to;
        while !rest.is_empty() {
            let run = self.run(number, block)?;
            let mut len = (run.len as usize).min(rest.len() / size);
            if let Some(start) = run.data() {
                // Blocks of files without extents come one by one.
                while len * size < rest.len()
                    && self.run(number, block + len as u32)?.data() == Some(start + len as u64)
                {
                    len += 1;
                }
                self.blocks.read_data(start, &mut rest[..len * size])?;
            }
            block += len as u32;
            rest = &mut rest[len * size..];
        }
        Ok(())
    }

    /// The page with this index, of which the bytes of `within` are about to be written. It
    /// may lie behind the end.
    ///
    /// # Errors
    /// `EROFS`; `ENOSPC`; `ENOMEM`; those of the device.
    pub(super) fn page_to_write(
        &mut self,
        number: u32,
        index: u64,
        within: Range<usize>,
    ) -> Result<Arc<dyn Page>> {
        self.check_writable()?;
        let first = self.block_of(index * PAGE);
        let size = self.shape.block_size;
        let range = first + (within.start / size) as u32..first + within.end.div_ceil(size) as u32;
        let known = self.inode(number)?.content.pages.get(&index).cloned();
        let is_inside = index * PAGE < self.inode(number)?.record.size();
        let is_known = known.is_some();
        let page = match known {
            Some(page) => page,
            // Fewer bytes than announced may come: what is there has to be known in any case.
            None if is_inside && !self.is_hole(number, first)? => self.load(number, index)?,
            None => {
                self.limit()?;
                let page = self.machine.allocate_page()?;
                self.inode(number)?.content.pages.insert(index, page.clone());
                self.pages += 1;
                page
            }
        };
        if let Err(error) = self.fill(number, range.clone()) {
            if is_inside {
                // Some blocks may have been taken, and hold anything until they are written.
                self.page_changed(number, index, &page)?;
            } else if !is_known {
                self.forget_clean(number, index)?;
            }
            self.free_behind_end(number, range)?;
            return Err(error);
        }
        self.page_changed(number, index, &page)?;
        Ok(page)
    }

    /// Frees those of some blocks of a file that lie behind its end.
    ///
    /// # Errors
    /// As [`Volume::free`].
    pub(super) fn free_behind_end(&mut self, number: u32, range: Range<u32>) -> Result<()> {
        let size = self.inode(number)?.record.size();
        let end = self.block_of(size.next_multiple_of(self.shape.block_size as u64));
        let range = range.start.max(end)..range.end;
        if range.is_empty() { Ok(()) } else { self.free(number, range) }
    }

    /// Whether all blocks of the page that begins with `first` are zeros.
    fn is_hole(&mut self, number: u32, first: u32) -> Result<bool> {
        for block in first..first.saturating_add(self.page_blocks()) {
            if self.run(number, block)?.data().is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A page that was made to be written, and could not be, may not be what the device has.
    fn forget_clean(&mut self, number: u32, index: u64) -> Result<()> {
        let content = &mut self.inode(number)?.content;
        if !content.changed.contains(&index) && content.pages.remove(&index).is_some() {
            self.pages -= 1;
        }
        Ok(())
    }

    /// A page was, or will be, written to, if it still is the file's.
    ///
    /// # Errors
    /// Those of [`Volume::inode`].
    pub(super) fn page_changed(
        &mut self,
        number: u32,
        index: u64,
        page: &Arc<dyn Page>,
    ) -> Result<()> {
        let content = &mut self.inode(number)?.content;
        let is_own = content.pages.get(&index).is_some_and(|known| Arc::ptr_eq(known, page));
        if is_own && content.changed.insert(index) {
            self.changed_pages += 1;
        }
        Ok(())
    }

    /// Whether so many pages wait to be written that it is time.
    pub(super) fn has_many_changes(&self) -> bool {
        let limit = self.machine.memory().total_pages / CHANGED_SHARE;
        self.changed_pages as u64 > limit.max(WINDOW)
    }

    /// The files that have pages to be written.
    pub(super) fn changed_files(&mut self) -> Vec<u32> {
        self.kept()
            .filter(|(_, kept)| kept.content.has_changes())
            .map(|(number, _)| number)
            .collect()
    }

    /// Writes the pages of a file that have to be. Mappings must not have write access to them.
    ///
    /// # Errors
    /// Those of the device; what could not be written is kept.
    pub(super) fn write_back(&mut self, number: u32) -> Result<()> {
        let size = self.inode(number)?.record.size();
        let changed: Vec<u64> = self.inode(number)?.content.changed.iter().copied().collect();
        let mut run = Vec::new();
        let mut start = 0;
        for &index in &changed {
            let Some(page) = self.inode(number)?.content.pages.get(&index).cloned() else {
                continue;
            };
            let mut bytes = buffer::zeroed(PAGE_SIZE)?;
            let len = size.saturating_sub(index * PAGE).min(PAGE) as usize;
            page.read(0, &mut bytes[..len]);
            let first = self.block_of(index * PAGE);
            for (block, bytes) in (first..).zip(bytes.chunks(self.shape.block_size)) {
                let Some(at) = self.run(number, block)?.data() else { continue };
                let next = start + (run.len() / bytes.len()) as u64;
                if at != next || run.len() >= TRANSFER {
                    self.write_run(start, &mut run)?;
                    start = at;
                }
                run.extend_from_slice(bytes);
            }
        }
        self.write_run(start, &mut run)?;
        self.changed_pages -= changed.len().min(self.changed_pages);
        self.inode(number)?.content.changed.clear();
        Ok(())
    }

    fn write_run(&mut self, start: u64, run: &mut Vec<u8>) -> Result<()> {
        if !run.is_empty() {
            self.blocks.write_data(start, run)?;
            run.clear();
        }
        Ok(())
    }

    /// Drops pages that nobody maps and that need not be written, where there are too many.
    fn limit(&mut self) -> Result<()> {
        let memory = self.machine.memory();
        let limit = (memory.total_pages / KEPT_SHARE) as usize;
        if self.pages <= limit && memory.free_pages > WINDOW {
            return Ok(());
        }
        let mut dropped = 0;
        for (_, kept) in self.kept() {
            let Content { pages, changed } = &mut kept.content;
            let before = pages.len();
            pages.retain(|index, page| changed.contains(index) || Arc::strong_count(page) > 1);
            dropped += before - pages.len();
        }
        self.pages -= dropped.min(self.pages);
        Ok(())
    }

    /// Sets the length of a regular file.
    ///
    /// # Errors
    /// `EROFS`; `EFBIG`; those of the device.
    pub(super) fn resize(&mut self, number: u32, size: u64) -> Result<()> {
        let old = self.edit(number)?.record.size();
        let cut = size.min(old);
        if cut % PAGE != 0 {
            self.zero(number, cut..cut.next_multiple_of(PAGE))?;
        }
        if size < old {
            let content = &mut self.inode(number)?.content;
            let dropped = content.pages.split_off(&size.div_ceil(PAGE)).len();
            let unchanged = content.changed.split_off(&size.div_ceil(PAGE)).len();
            self.pages -= dropped.min(self.pages);
            self.changed_pages -= unchanged.min(self.changed_pages);
        }
        self.set_size(number, size)?;
        if size < old { self.cut(number, size) } else { Ok(()) }
    }

    /// Notes the length of a file, and that there are such long ones.
    ///
    /// # Errors
    /// As [`Volume::edit`].
    pub(super) fn set_size(&mut self, number: u32, size: u64) -> Result<()> {
        self.edit(number)?.record.set_size(size);
        if size > i32::MAX as u64 {
            self.add_feature(field::READ_ONLY, writable::LARGE_FILE);
        }
        Ok(())
    }

    /// A file is about to be written at `offset`: what a page has between the end and there
    /// must be zeros.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn zero_gap(&mut self, number: u32, offset: u64) -> Result<()> {
        let size = self.inode(number)?.record.size();
        if offset <= size || size % PAGE == 0 {
            return Ok(());
        }
        self.zero(number, size..size.next_multiple_of(PAGE))
    }

    /// Makes bytes of one page zeros, where it is not zeros anyway.
    fn zero(&mut self, number: u32, range: Range<u64>) -> Result<()> {
        let index = range.start / PAGE;
        let first = self.block_of(index * PAGE);
        let is_kept = self.inode(number)?.content.pages.contains_key(&index);
        if range.is_empty() || !is_kept && self.is_hole(number, first)? {
            return Ok(());
        }
        let page = match self.inode(number)?.content.pages.get(&index) {
            Some(page) => page.clone(),
            None => self.load(number, index)?,
        };
        let from = (range.start % PAGE) as usize;
        let zeros = buffer::zeroed((range.end - range.start) as usize)?;
        page.write(from, &zeros);
        self.page_changed(number, index, &page)
    }

    /// Makes a hole of the bytes of `range` of a file.
    ///
    /// # Errors
    /// `EROFS`; `ENOSPC` where a long list of extents gets longer; those of the device.
    pub(super) fn punch(&mut self, number: u32, range: Range<u64>) -> Result<()> {
        self.check_writable()?;
        let size = self.inode(number)?.record.size();
        let (start, end) = (range.start, range.end.min(size.next_multiple_of(PAGE)));
        if start >= end {
            return Ok(());
        }
        let (first, last) = (start.next_multiple_of(PAGE), end - end % PAGE);
        if first > last {
            self.zero(number, start..end)?;
        } else {
            self.zero(number, start..first)?;
            self.zero(number, last..end)?;
        }
        let size = self.shape.block_size as u64;
        let blocks = self.block_of(start.next_multiple_of(size))..self.block_of(end);
        if !blocks.is_empty() {
            self.free(number, blocks)?;
        }
        // Not earlier: where the blocks stay, what was written to them is not lost.
        self.drop_pages(number, first / PAGE..last / PAGE)
    }

    /// Drops pages of a file, whatever was written to them.
    fn drop_pages(&mut self, number: u32, pages: Range<u64>) -> Result<()> {
        if pages.is_empty() {
            return Ok(());
        }
        let content = &mut self.inode(number)?.content;
        let dropped = content.pages.extract_if(pages.clone(), |_, _| true).count();
        let before = content.changed.len();
        content.changed.retain(|index| !pages.contains(index));
        let unchanged = before - content.changed.len();
        self.pages -= dropped.min(self.pages);
        self.changed_pages -= unchanged.min(self.changed_pages);
        Ok(())
    }

    /// The first offset from `offset` that lies in such an extent; `None` where there is none
    /// up to the end.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn find(&mut self, number: u32, offset: u64, kind: Extent) -> Result<Option<u64>> {
        let size = self.inode(number)?.record.size();
        let mut at = offset;
        while at < size {
            let block = self.block_of(at);
            let run = self.run(number, block)?;
            if run.data().is_none() == (kind == Extent::Hole) {
                return Ok(Some(at));
            }
            at = (u64::from(block) + u64::from(run.len)) * self.shape.block_size as u64;
        }
        Ok((kind == Extent::Hole && offset < size).then_some(size))
    }
}
