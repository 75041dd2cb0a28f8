//! What is in a regular file.
//!
//! Each page of it is a hole, a part of the boot archive, or a page of its own, which it gets
//! when it is first written. No lock is held while bytes go to or come from the application.

mod holes;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ops::Range;

use abi::fs::{FallocateFlags, Seals};
use abi::{Errno, PAGE_SIZE};
use spin::Mutex;

use crate::error::{Because, Result};
use crate::fs::file::Extent;
use crate::fs::seal::SealSet;
use crate::fs::turn::Turn;
use crate::fs::write_access::Writers;
use crate::io::{Sink, Source};
use crate::machine::Page;
use crate::mm::{Mappings, Presence};

use super::Tmpfs;

const PAGE: u64 = PAGE_SIZE as u64;

/// Longest file, in bytes: the largest offset.
pub(super) const MAX_SIZE: u64 = i64::MAX as u64;

/// What is in a regular file.
#[derive(Default)]
pub(super) struct Content {
    state: Mutex<State>,
    /// Taken by whoever writes, so that appends do not overlap.
    pub(super) writers: Turn,
    open_for_writing: Writers,
    mappings: Mappings,
    pub(super) seals: SealSet,
}

#[derive(Default)]
struct State {
    size: u64,
    /// What the file begins with, except where `own` says otherwise; not longer than `size`.
    archive: &'static [u8],
    /// Pages that are neither in the archive nor, beyond it, holes.
    own: BTreeMap<u64, Own>,
    /// Number of pages that are not holes.
    stored: u64,
}

enum Own {
    Page(Arc<dyn Page>),
    /// A hole where the archive has bytes.
    Hole,
}

/// What is at some offset, with nothing locked.
enum Piece {
    Page(Arc<dyn Page>),
    Archive(&'static [u8]),
    Hole,
}

impl Content {
    /// A file that consists of `archive`, where it lies.
    pub(super) fn in_archive(archive: &'static [u8]) -> Self {
        let size = archive.len() as u64;
        let stored = size.div_ceil(PAGE);
        let state = State { size, archive, own: BTreeMap::new(), stored };
        Self { state: Mutex::new(state), ..Self::default() }
    }

    /// Makes an empty file consist of `archive`, where it lies.
    pub(super) fn place_in_archive(&self, archive: &'static [u8]) {
        *self.state.lock() = Self::in_archive(archive).state.into_inner();
    }

    pub(super) fn size(&self) -> u64 {
        self.state.lock().size
    }

    /// Storage it takes, in units of 512 bytes.
    pub(super) fn blocks(&self) -> u64 {
        self.state.lock().stored * (PAGE / 512)
    }

    /// Reads from `offset` on.
    pub(super) fn read(&self, offset: u64, to: &mut dyn Sink) -> Result<usize> {
        let mut done = 0;
        while to.remaining() > 0 {
            let at = offset.saturating_add(done as u64);
            let Some((piece, len)) = self.state.lock().piece(at, to.remaining()) else {
                break;
            };
            let put = match piece {
                Piece::Page(page) => to.put_page(&*page, (at % PAGE) as usize, len),
                Piece::Archive(bytes) => to.put(bytes),
                Piece::Hole => to.put_zeros(len),
            };
            match put {
                Ok(put) => {
                    done += put;
                    if put < len {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Writes from `offset` on, up to `end`, which is at most [`MAX_SIZE`].
    pub(super) fn write(
        &self,
        fs: &Tmpfs,
        offset: u64,
        end: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let end = self.sealed_end(offset, end, from.remaining())?;
        let mut done = 0;
        while from.remaining() > 0 && offset + (done as u64) < end {
            let at = offset + done as u64;
            let within = (at % PAGE) as usize;
            let len = from.remaining().min(PAGE_SIZE - within);
            let len = len.min(usize::try_from(end - at).unwrap_or(len));
            match self.write_piece(fs, at, within, len, from) {
                Ok(taken) => {
                    done += taken;
                    if taken < len {
                        break;
                    }
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Up to where `len` bytes at `offset` may be written, which is `end` or before.
    fn sealed_end(&self, offset: u64, end: u64, len: usize) -> Result<u64> {
        self.seals.check(Seals::WRITE | Seals::FUTURE_WRITE)?;
        let size = self.size();
        if !self.seals.get().contains(Seals::GROW) || offset.saturating_add(len as u64) <= size {
            return Ok(end);
        }
        // As on Linux, the page with the end of the file is not even begun.
        let end = end.min(size - size % PAGE);
        if end <= offset {
            return Err(Errno::EPERM.because("the file is sealed against growing"));
        }
        Ok(end)
    }

    fn write_piece(
        &self,
        fs: &Tmpfs,
        at: u64,
        within: usize,
        len: usize,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let page = self.own_page(fs, at / PAGE)?;
        let taken = from.take_to_page(&*page, within, len)?;
        let mut state = self.state.lock();
        state.size = state.size.max(at + taken as u64);
        Ok(taken)
    }

    /// The page for a private mapping; see [`crate::fs::Inode::page`].
    pub(super) fn page(&self, fs: &Tmpfs, index: u64) -> Result<Option<Arc<dyn Page>>> {
        let mut state = self.state.lock();
        if !state.has_page(index) {
            return Ok(None);
        }
        if let Piece::Archive(bytes) = state.whole_page(index) {
            let whole = bytes.len() == PAGE_SIZE;
            if let Some(page) = whole.then(|| fs.machine.archive_page(bytes)).flatten() {
                return Ok(Some(page));
            }
        }
        state.own_page(fs, index).map(Some)
    }

    /// The page for a shared mapping; see [`crate::fs::Inode::shared_page`].
    pub(super) fn shared_page(&self, fs: &Tmpfs, index: u64) -> Result<Option<Arc<dyn Page>>> {
        if !self.state.lock().has_page(index) {
            return Ok(None);
        }
        self.own_page(fs, index).map(Some)
    }

    /// What the page with this index is; see [`crate::fs::Inode::presence`].
    pub(super) fn presence(&self, index: u64) -> Presence {
        let state = self.state.lock();
        match state.whole_page(index) {
            _ if !state.has_page(index) => Presence::Beyond,
            Piece::Hole => Presence::Hole,
            Piece::Page(_) | Piece::Archive(_) => Presence::Stored,
        }
    }

    /// The page with this index, made the file's own. Whoever maps the archive's page in its
    /// place must look again.
    fn own_page(&self, fs: &Tmpfs, index: u64) -> Result<Arc<dyn Page>> {
        let mut state = self.state.lock();
        let was_in_archive = matches!(state.whole_page(index), Piece::Archive(_));
        let page = state.own_page(fs, index)?;
        drop(state);
        if was_in_archive {
            let start = index * PAGE;
            self.mappings.punch(&(start..start + PAGE));
        }
        Ok(page)
    }

    /// Sets the length.
    pub(super) fn truncate(&self, fs: &Tmpfs, len: u64) -> Result<()> {
        if len > MAX_SIZE {
            return Err(Errno::EFBIG.because("the file would be too large"));
        }
        let mut state = self.state.lock();
        self.seals.check_size(state.size, len)?;
        if len < state.size {
            let dropped = state.cut(fs, len);
            state.size = len;
            drop(state);
            drop(dropped);
            self.mappings.cut(len);
        } else {
            state.size = len;
        }
        Ok(())
    }

    /// fallocate(2). The range ends at [`MAX_SIZE`] at most.
    pub(super) fn allocate(
        &self,
        fs: &Tmpfs,
        flags: FallocateFlags,
        range: Range<u64>,
    ) -> Result<()> {
        use FallocateFlags as F;
        let keep_size = flags.contains(F::KEEP_SIZE);
        let mut state = self.state.lock();
        if flags.contains(F::PUNCH_HOLE) {
            self.seals.check(Seals::WRITE | Seals::FUTURE_WRITE)?;
        }
        if !flags.contains(F::PUNCH_HOLE) {
            self.seals.check_size(state.size, range.end.max(state.size))?;
        }
        match flags.difference(F::KEEP_SIZE) {
            F::PUNCH_HOLE if keep_size => {
                state.punch(fs, range.clone());
                drop(state);
                self.mappings.punch(&range);
                return Ok(());
            }
            flags if flags.is_empty() => state.fill(fs, range.clone())?,
            _ => return Err(Errno::EOPNOTSUPP.because("the file system cannot do this")),
        }
        if !keep_size {
            state.size = state.size.max(range.end);
        }
        Ok(())
    }

    /// Who has it open for writing, or executes it.
    pub(super) fn open_for_writing(&self) -> &Writers {
        &self.open_for_writing
    }

    /// Who maps the file.
    pub(super) fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    /// The first offset from `offset` that lies in such an extent.
    pub(super) fn find(&self, offset: u64, extent: Extent) -> Result<u64> {
        let state = self.state.lock();
        let mut at = offset;
        while let Some((piece, len)) = state.piece(at, usize::MAX) {
            let is_hole = matches!(piece, Piece::Hole);
            if is_hole == (extent == Extent::Hole) {
                return Ok(at);
            }
            at += len as u64;
        }
        if extent == Extent::Hole && offset < state.size {
            return Ok(state.size);
        }
        Err(Errno::ENXIO.because("there is nothing like that up to the end"))
    }

    /// Gives all pages back.
    pub(super) fn clear(&self, fs: &Tmpfs) {
        let dropped = self.state.lock().cut(fs, 0);
        drop(dropped);
    }
}

impl State {
    /// What is at `at` and how much of it follows, at most `limit` bytes; `None` at the end.
    fn piece(&self, at: u64, limit: usize) -> Option<(Piece, usize)> {
        let left = self.size.checked_sub(at).filter(|&left| left > 0)?;
        let limit = left.min(limit as u64);
        let index = at / PAGE;
        match self.own.get(&index) {
            Some(own) => {
                let len = limit.min(PAGE - at % PAGE) as usize;
                let piece = match own {
                    Own::Page(page) => Piece::Page(page.clone()),
                    Own::Hole => Piece::Hole,
                };
                Some((piece, len))
            }
            None => {
                let next = self.own.range(index..).next().map_or(u64::MAX, |(&next, _)| next);
                let limit = limit.min(next.saturating_mul(PAGE) - at);
                let rest = usize::try_from(at).ok().and_then(|at| self.archive.get(at..));
                Some(match rest {
                    Some(bytes) if !bytes.is_empty() => {
                        let len = limit.min(bytes.len() as u64) as usize;
                        (Piece::Archive(&bytes[..len]), len)
                    }
                    _ => (Piece::Hole, limit as usize),
                })
            }
        }
    }

    /// What the page with this index is, whatever the size says.
    fn whole_page(&self, index: u64) -> Piece {
        match self.own.get(&index) {
            Some(Own::Page(page)) => Piece::Page(page.clone()),
            Some(Own::Hole) => Piece::Hole,
            None => {
                let start = index.checked_mul(PAGE).and_then(|start| usize::try_from(start).ok());
                let rest = start.and_then(|start| self.archive.get(start..)).unwrap_or(&[]);
                match rest {
                    [] => Piece::Hole,
                    rest => Piece::Archive(&rest[..rest.len().min(PAGE_SIZE)]),
                }
            }
        }
    }

    /// Whether the page with this index begins before the end.
    fn has_page(&self, index: u64) -> bool {
        index.checked_mul(PAGE).is_some_and(|start| start < self.size)
    }

    /// The page with this index, made the file's own.
    fn own_page(&mut self, fs: &Tmpfs, index: u64) -> Result<Arc<dyn Page>> {
        let bytes = match self.whole_page(index) {
            Piece::Page(page) => return Ok(page),
            Piece::Archive(bytes) => bytes,
            Piece::Hole => &[],
        };
        let page = fs.charge_page()?;
        page.write(0, bytes);
        if bytes.is_empty() {
            self.stored += 1;
        }
        self.own.insert(index, Own::Page(page.clone()));
        Ok(page)
    }

    /// Drops what lies beyond `len`; returns it, to be freed with nothing locked.
    fn cut(&mut self, fs: &Tmpfs, len: u64) -> BTreeMap<u64, Own> {
        let end = len.div_ceil(PAGE);
        let archived = |state: &Self| (state.archive.len() as u64).div_ceil(PAGE);
        let dropped = self.own.split_off(&end);
        let pages = |own: &BTreeMap<u64, Own>, archived: u64| {
            let pages = own.values().filter(|own| matches!(own, Own::Page(_))).count() as u64;
            let in_archive = own.range(..archived).count() as u64;
            (pages, in_archive)
        };
        fs.return_pages(pages(&dropped, 0).0);
        if let Some(archive) = usize::try_from(len).ok().and_then(|len| self.archive.get(..len)) {
            self.archive = archive;
        }
        if let (Some(Own::Page(page)), within @ 1..) = (self.own.get(&(len / PAGE)), len % PAGE) {
            zero(&**page, within as usize, PAGE_SIZE);
        }
        let archived = archived(self);
        let (own, in_archive) = pages(&self.own, archived);
        self.stored = own + archived - in_archive;
        dropped
    }
}

/// Zeroes the bytes of `page` from `from` up to `to`.
fn zero(page: &dyn Page, from: usize, to: usize) {
    const ZEROS: [u8; 256] = [0; 256];
    let mut at = from;
    while at < to {
        let len = ZEROS.len().min(to - at);
        page.write(at, &ZEROS[..len]);
        at += len;
    }
}
