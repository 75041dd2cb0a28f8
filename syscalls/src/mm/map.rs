//! mmap(2) and munmap(2).

use alloc::sync::Arc;
use core::ops::Range;

use abi::fs::{Seals, mount_flags};
use abi::memory::{MapFlags, Protection};
use abi::{Errno, TASK_SIZE};
use loader::MMAP_MIN_ADDR;

use crate::error::{Because, Result};
use crate::fs::OpenFile;
use crate::fs::file::Mapping;
use crate::fs::seal::SealSet;

use super::address_space::{AddressSpace, State, check_commit};
use super::area::{
    ALL_ACCESS, Area, AreaFlags, Backing, PAGE, Share, let_go, page_start, pages_of, whole_pages,
};
use super::fault::Wanted;
use super::layout::{FALLBACK_ROOM, LOW_ROOM, Layout};
use super::object::{Object, SharedMemory};

/// How many pages are filled or freed before others may run.
const PART: usize = 1024;

/// What mmap(2) is asked for.
#[derive(Clone)]
pub struct MapRequest {
    /// Where, or where preferably; 0 for anywhere.
    pub address: u64,
    /// Length in bytes.
    pub len: u64,
    /// What may be done with it.
    pub protection: Protection,
    /// How.
    pub flags: MapFlags,
    /// What is mapped.
    pub source: MapSource,
    /// How much memory may be locked, in bytes.
    pub lock_limit: u64,
}

/// What mmap(2) maps.
#[derive(Clone)]
pub enum MapSource {
    /// Zeros.
    Anonymous,
    /// Zeros, as a descriptor of /dev/zero allows them.
    Zeros(Arc<OpenFile>),
    /// A file from a byte offset on.
    File(Arc<OpenFile>, u64),
    /// Shared memory that there is already, and what mprotect(2) may make of it.
    Memory(Arc<SharedMemory>, Protection),
}

impl AddressSpace {
    /// Maps memory; returns its address.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn map(&self, request: &MapRequest) -> Result<u64> {
        if request.len == 0 {
            return Err(Errno::EINVAL.because("the length is zero"));
        }
        let len = whole_pages(request.len)
            .filter(|&len| len <= TASK_SIZE)
            .ok_or_else(|| Errno::ENOMEM.because("longer than the address space"))?;
        check_offset(&request.source, len)?;
        check_fixed(request, len)?;
        let mut area = self.area_of(request, len / PAGE)?;

        let mut state = self.state.lock();
        area.flags |= state.future;
        let pages = len / PAGE;
        if area.flags.contains(AreaFlags::LOCKED) {
            state.check_locked(pages, request.lock_limit, Errno::EAGAIN)?;
        }
        let start = state.choose(&self.layout, request, len)?;
        area.range = start..start + len;
        state.check_unsealed(&area.range)?;
        let overlapped = state.areas.overlapping(area.range.clone());
        let replaced = overlapped.map(|old| common_pages(&old.range, &area.range)).sum();
        state.check_count(1 + state.areas.splits(&area.range))?;
        state.check_growth(&area, pages, replaced)?;
        if area.is_accounted() {
            check_commit(&*self.machine, pages)?;
        }
        obey_seals(&mut area)?;
        let told = state.unmapping(&area.range);
        let old = state.clear(&*self.space, &area.range);
        let range = area.range.clone();
        let populate = request.flags.contains(MapFlags::POPULATE)
            && !request.flags.contains(MapFlags::NONBLOCK)
            || area.is_filled_at_once();
        state.insert(area);
        drop(state);
        let_go(old);
        told.tell();
        if populate {
            // As on Linux, the mapping stands even where a page cannot be filled.
            let _ = self.populate(&range);
        }
        Ok(start)
    }

    /// Maps a stack of at least `len` bytes that ends at `top` and grows.
    ///
    /// # Errors
    /// `ENOMEM` when there is no room.
    pub fn map_stack(&self, top: u64, len: u64, protection: Protection) -> Result<()> {
        let start = whole_pages(len)
            .and_then(|len| top.checked_sub(len))
            .filter(|&start| start >= MMAP_MIN_ADDR)
            .ok_or_else(|| Errno::ENOMEM.because("no room for a stack"))?;
        let mut area = Area::anonymous(start..top, protection);
        area.flags = AreaFlags::GROWS_DOWN;
        area.name = "[stack]";
        let mut state = self.state.lock();
        if !state.areas.is_free(&area.range) {
            return Err(Errno::ENOMEM.because("the program is where the stack must be"));
        }
        state.check_growth(&area, area.pages(), 0)?;
        state.insert(area);
        Ok(())
    }

    /// Unmaps what is in a range of whole pages.
    ///
    /// # Errors
    /// `EINVAL` for an address or length that is no range; `ENOMEM` when cutting an area
    /// would make too many.
    pub fn unmap(&self, address: u64, len: u64) -> Result<()> {
        let range = range_of(address, len)?;
        if range.is_empty() {
            return Err(Errno::EINVAL.because("the length is zero"));
        }
        let told = {
            let state = self.state.lock();
            state.check_unsealed(&range)?;
            // Cutting a hole makes one more, all else none.
            if state.areas.splits(&range) == 2
                && state.areas.at(range.start).map(|area| area.range.end)
                    == state.areas.at(range.end).map(|area| area.range.end)
            {
                state.check_count(1)?;
            }
            state.unmapping(&range)
        };
        self.clear_in_parts(range);
        told.tell();
        Ok(())
    }

    /// Takes everything out of `range`; others run in between where that is much.
    fn clear_in_parts(&self, mut range: Range<u64>) {
        loop {
            let (old, end) = {
                let mut state = self.state.lock();
                let end = state.pages.after(&range, PART).unwrap_or(range.end);
                (state.clear(&*self.space, &(range.start..end)), end)
            };
            let_go(old);
            if end == range.end {
                return;
            }
            range.start = end;
            self.machine.reschedule();
        }
    }

    /// Lets go of it: what was written to files through it gets there, and its last holder
    /// gives back its pages. Called with no lock held.
    pub fn release(self: Arc<Self>) {
        self.settle();
        let is_large = || self.state.lock().pages.len() > PART;
        // A small one is faster dropped as a whole.
        if Arc::strong_count(&self) == 1 && is_large() {
            self.clear_in_parts(0..TASK_SIZE);
        }
    }

    /// Fills all pages of `range` that are mapped, for writing where that makes them the
    /// process's own.
    ///
    /// # Errors
    /// The first of: `EFAULT` for areas that cannot be filled, `ENOMEM`, which ends it.
    pub(super) fn populate(&self, range: &Range<u64>) -> Result<()> {
        let mut result = Ok(());
        let mut at = range.start;
        while at < range.end {
            let Some((area, wanted)) = self.state.lock().how_to_populate(at) else {
                break;
            };
            let part = area.start.max(at)..area.end.min(range.end);
            let filled = match wanted {
                Some(wanted) => self.fill(&part, wanted),
                None => Err(Errno::EFAULT.because("the memory does not allow any access")),
            };
            at = area.end;
            if filled.is_err_and(|error| error.errno == Errno::ENOMEM) {
                return filled;
            }
            result = result.and(filled);
        }
        result
    }

    /// Fills the pages of `range`, up to the first that cannot be.
    pub(super) fn fill(&self, range: &Range<u64>, wanted: Wanted) -> Result<()> {
        let mut pages = (range.start..range.end).step_by(PAGE as usize).enumerate();
        pages.try_for_each(|(done, address)| {
            if done % PART == PART - 1 {
                self.machine.reschedule();
            }
            self.resolve(address, wanted)
        })
    }

    /// The area of `pages` pages that `request` makes, without its place.
    fn area_of(&self, request: &MapRequest, pages: u64) -> Result<Area> {
        let share = match (request.flags & MapFlags::TYPE, &request.source) {
            (MapFlags::PRIVATE, _) => Share::Private,
            (MapFlags::SHARED, _) => Share::Shared,
            (MapFlags::SHARED_VALIDATE, MapSource::File(..)) => Share::Shared,
            _ => return Err(Errno::EINVAL.because("neither shared nor private")),
        };
        let (backing, allowed) = match &request.source {
            MapSource::Anonymous => (self.anonymous(share, pages), ALL_ACCESS),
            MapSource::Zeros(open) => {
                let allowed = allowed_for(open, share, request.protection)?;
                (self.anonymous(share, pages), allowed)
            }
            MapSource::Memory(memory, allowed) => {
                (self.backed_by(Object::Memory(memory.clone()), 0), *allowed)
            }
            MapSource::File(open, offset) => {
                check_file_flags(request.flags)?;
                let allowed = allowed_for(open, share, request.protection)?;
                (self.file_backing(open, *offset, share, pages)?, allowed)
            }
        };
        let mut flags = AreaFlags::empty();
        if request.flags.contains(MapFlags::GROWSDOWN) {
            if share == Share::Shared {
                return Err(Errno::EINVAL.because("shared memory cannot grow"));
            }
            flags |= AreaFlags::GROWS_DOWN;
        }
        flags.set(AreaFlags::NO_RESERVE, request.flags.contains(MapFlags::NORESERVE));
        flags.set(AreaFlags::LOCKED, request.flags.contains(MapFlags::LOCKED));
        let protection = request.protection & ALL_ACCESS;
        Ok(Area { allowed, share, flags, backing, ..Area::anonymous(0..0, protection) })
    }

    fn anonymous(&self, share: Share, pages: u64) -> Backing {
        match share {
            Share::Private => Backing::Anonymous,
            Share::Shared => {
                let memory = SharedMemory::new(self.machine.clone(), pages);
                self.backed_by(Object::Memory(memory), 0)
            }
        }
    }

    /// What shows `object` from `offset` on; the object learns who maps it.
    fn backed_by(&self, object: Object, offset: u64) -> Backing {
        if let Some(mappings) = object.mappings() {
            mappings.add(&self.this);
        }
        Backing::Object(object, offset)
    }

    fn file_backing(
        &self,
        open: &Arc<OpenFile>,
        offset: u64,
        share: Share,
        pages: u64,
    ) -> Result<Backing> {
        let inode = open.file.inode();
        match open.file.mapping()? {
            Mapping::Zeros => Ok(self.anonymous(share, pages)),
            Mapping::Pages => {
                let object = Object::File { inode: inode.clone(), open: open.clone() };
                Ok(self.backed_by(object, offset))
            }
        }
    }
}

impl State {
    /// Where the mapping goes.
    fn choose(&self, layout: &Layout, request: &MapRequest, len: u64) -> Result<u64> {
        if let Some(fixed) = fixed(request) {
            let range = request.address..request.address + len;
            if fixed == MapFlags::FIXED_NOREPLACE && self.areas.overlapping(range).next().is_some()
            {
                return Err(Errno::EEXIST.because("something is mapped there"));
            }
            return Ok(request.address);
        }
        let hint = page_start(request.address).max(MMAP_MIN_ADDR);
        let wanted = hint..hint.saturating_add(len);
        let low = request.flags.contains(MapFlags::BIT32);
        let end = if low { LOW_ROOM.end } else { TASK_SIZE };
        if page_start(request.address) != 0 && wanted.end <= end && self.areas.is_free(&wanted) {
            return Ok(hint);
        }
        let found =
            if low { self.areas.lowest_room(LOW_ROOM, len) } else { self.room(layout, len) };
        found.ok_or_else(|| Errno::ENOMEM.because("no room in the address space"))
    }

    /// Free room of `len` bytes anywhere.
    pub(super) fn room(&self, layout: &Layout, len: u64) -> Option<u64> {
        let top_down = self.areas.highest_room(layout.room(), len);
        top_down.or_else(|| self.areas.lowest_room(FALLBACK_ROOM, len))
    }

    /// The first area that ends above `address`, and the access with which its pages are
    /// filled in advance; `None` where they cannot be.
    fn how_to_populate(&self, address: u64) -> Option<(Range<u64>, Option<Wanted>)> {
        let area = self.areas.at_or_above(address)?;
        let wanted = if area.protection.is_empty() {
            None
        } else if area.share == Share::Private && area.protection.contains(Protection::WRITE) {
            Some(Wanted::Write)
        } else {
            Some(Wanted::Read)
        };
        Some((area.range.clone(), wanted))
    }
}

/// The flag that demands the exact address.
fn fixed(request: &MapRequest) -> Option<MapFlags> {
    [MapFlags::FIXED_NOREPLACE, MapFlags::FIXED]
        .into_iter()
        .find(|&flag| request.flags.contains(flag))
}

/// Fails when a demanded address cannot be.
fn check_fixed(request: &MapRequest, len: u64) -> Result<()> {
    if fixed(request).is_none() {
        return Ok(());
    }
    check_place(request.address, len)
}

/// Fails unless an area of `len` bytes may be at exactly `address`.
pub(super) fn check_place(address: u64, len: u64) -> Result<()> {
    if len > TASK_SIZE || address > TASK_SIZE - len {
        return Err(Errno::ENOMEM.because("beyond the end of the address space"));
    }
    if page_start(address) != address {
        return Err(Errno::EINVAL.because("the address is not a multiple of the page size"));
    }
    if address < MMAP_MIN_ADDR {
        return Err(Errno::EPERM.because("below the lowest address that can be mapped"));
    }
    Ok(())
}

/// Fails when a file cannot have these offsets.
fn check_offset(source: &MapSource, len: u64) -> Result<()> {
    let MapSource::File(_, offset) = source else {
        return Ok(());
    };
    match offset.checked_add(len) {
        Some(end) if end <= i64::MAX as u64 => Ok(()),
        _ => Err(Errno::EOVERFLOW.because("beyond the greatest length of a file")),
    }
}

/// Fails for flags that a file mapping with `MAP_SHARED_VALIDATE` does not know.
fn check_file_flags(flags: MapFlags) -> Result<()> {
    let validates = flags & MapFlags::TYPE == MapFlags::SHARED_VALIDATE;
    if validates && !MapFlags::LEGACY.contains(flags) {
        return Err(Errno::EOPNOTSUPP.because("a flag is not supported for this file"));
    }
    Ok(())
}

/// What may ever be done with a mapping of this file.
fn allowed_for(open: &OpenFile, share: Share, protection: Protection) -> Result<Protection> {
    let mode = open.access_mode();
    let mut allowed = ALL_ACCESS;
    if share == Share::Shared && !mode.can_write() {
        if protection.contains(Protection::WRITE) {
            return Err(Errno::EACCES.because("the file is not open for writing"));
        }
        allowed.remove(Protection::WRITE);
    }
    if share == Share::Shared && !open.file.shares_writes() {
        if protection.contains(Protection::WRITE) {
            return Err(Errno::ENODEV.because("the file cannot be written through memory"));
        }
        allowed.remove(Protection::WRITE);
    }
    if !mode.can_read() {
        return Err(Errno::EACCES.because("the file is not open for reading"));
    }
    if open.location().mount.has(mount_flags::ST_NOEXEC) {
        if protection.contains(Protection::EXEC) {
            return Err(Errno::EPERM.because("nothing may be executed from the mount"));
        }
        allowed.remove(Protection::EXEC);
    }
    Ok(allowed)
}

/// Takes the right to write from a mapping of a file that is sealed against it. Called with
/// the areas locked, so that either the mapping sees a new seal, or who seals the mapping.
fn obey_seals(area: &mut Area) -> Result<()> {
    let Backing::Object(Object::File { inode, .. }, _) = &area.backing else {
        return Ok(());
    };
    let sealed = |seals: &SealSet| seals.get().intersects(Seals::WRITE | Seals::FUTURE_WRITE);
    if area.share == Share::Private || !inode.seals().is_some_and(sealed) {
        return Ok(());
    }
    if area.protection.contains(Protection::WRITE) {
        return Err(Errno::EPERM.because("the file is sealed against writing"));
    }
    area.allowed.remove(Protection::WRITE);
    Ok(())
}

fn common_pages(a: &Range<u64>, b: &Range<u64>) -> u64 {
    pages_of(&(a.start.max(b.start)..a.end.min(b.end)))
}

/// The whole pages of a range that a system call names.
///
/// # Errors
/// `EINVAL` when `address` is not a multiple of the page size, or the range leaves the
/// address space.
fn range_of(address: u64, len: u64) -> Result<Range<u64>> {
    if page_start(address) != address {
        return Err(Errno::EINVAL.because("the address is not a multiple of the page size"));
    }
    let end = whole_pages(len).and_then(|len| address.checked_add(len));
    match end {
        Some(end) if end <= TASK_SIZE => Ok(address..end),
        _ => Err(Errno::EINVAL.because("beyond the end of the address space")),
    }
}
