//! mremap(2).

use alloc::vec::Vec;
use core::ops::Range;

use abi::memory::RemapFlags;
use abi::{Errno, TASK_SIZE};

use crate::error::{Because, Result};

use super::address_space::{AddressSpace, State, check_commit};
use super::area::{Area, AreaFlags, Backing, PAGE, Share, let_go, page_start, whole_pages};
use super::map::check_place;
use super::monitor::Told;

/// What a call has taken out, to be dealt with once nothing is locked.
#[derive(Default)]
struct Removed {
    areas: Vec<Area>,
    told: Told,
}

impl Removed {
    /// Takes everything out of `range`.
    fn unmap(&mut self, state: &mut State, memory: &AddressSpace, range: &Range<u64>) {
        self.told.append(state.unmapping(range));
        self.areas.append(&mut state.clear(&*memory.space, range));
    }
}

/// What mremap(2) is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemapRequest {
    /// Where the mapping is.
    pub address: u64,
    /// Its length in bytes; 0 to map shared memory a second time.
    pub len: u64,
    /// Its new length in bytes.
    pub new_len: u64,
    /// Whether it may move.
    pub flags: RemapFlags,
    /// Where to, with `FIXED`.
    pub new_address: u64,
    /// How much memory may be locked, in bytes.
    pub lock_limit: u64,
}

impl AddressSpace {
    /// Changes the length or the address of a mapping; returns its new address.
    ///
    /// # Errors
    /// Those of mremap(2).
    pub fn remap(&self, request: &RemapRequest) -> Result<u64> {
        check_flags(request)?;
        let lengths = whole_pages(request.len).zip(whole_pages(request.new_len));
        let (len, new_len) =
            lengths.ok_or_else(|| Errno::EINVAL.because("longer than the address space"))?;
        if new_len == 0 {
            return Err(Errno::EINVAL.because("the new length is zero"));
        }
        if request.address.checked_add(len).is_none_or(|end| end > TASK_SIZE) {
            return Err(Errno::EFAULT.because("no memory is mapped there"));
        }
        let request = RemapRequest { len, new_len, ..*request };
        let mut removed = Removed::default();
        let (address, fill) = {
            let mut state = self.state.lock();
            let address = state.remap(self, &request, &mut removed)?;
            let fill = state.areas.at(address).is_some_and(Area::is_filled_at_once);
            (address, fill)
        };
        let_go(removed.areas);
        removed.told.tell();
        if fill {
            let _ = self.populate(&(address..address + new_len));
        }
        Ok(address)
    }
}

fn check_flags(request: &RemapRequest) -> Result<()> {
    let flags = request.flags;
    let known = RemapFlags::MAYMOVE | RemapFlags::FIXED | RemapFlags::DONTUNMAP;
    if !known.contains(flags) {
        return Err(Errno::EINVAL.because("an unknown flag"));
    }
    let moves = RemapFlags::FIXED | RemapFlags::DONTUNMAP;
    if flags.intersects(moves) && !flags.contains(RemapFlags::MAYMOVE) {
        return Err(Errno::EINVAL.because("a new address without MREMAP_MAYMOVE"));
    }
    if flags.contains(RemapFlags::DONTUNMAP) && request.len != request.new_len {
        return Err(Errno::EINVAL.because("MREMAP_DONTUNMAP cannot change the length"));
    }
    if page_start(request.address) != request.address {
        return Err(Errno::EINVAL.because("the address is not a multiple of the page size"));
    }
    Ok(())
}

impl State {
    fn remap(
        &mut self,
        memory: &AddressSpace,
        request: &RemapRequest,
        removed: &mut Removed,
    ) -> Result<u64> {
        let RemapRequest { address, len, new_len, flags, .. } = *request;
        if self.areas.at(address).is_none() {
            return Err(Errno::EFAULT.because("no memory is mapped there"));
        }
        self.check_unsealed(&(address..address + len.max(PAGE)))?;
        if flags.intersects(RemapFlags::FIXED | RemapFlags::DONTUNMAP) {
            return self.remap_to(memory, request, removed);
        }
        if new_len <= len {
            if new_len < len {
                let tail = address + new_len..address + len;
                self.check_count(self.areas.splits(&tail))?;
                removed.unmap(self, memory, &tail);
            }
            return Ok(address);
        }
        let area = self.resizable(memory, request)?;
        let end = address + len;
        let wanted = end..address.saturating_add(new_len);
        if len != 0
            && area.range.end == end
            && wanted.end <= TASK_SIZE
            && self.areas.is_free(&wanted)
        {
            self.insert(part_of(&area, &(address..end), address..wanted.end).from(end));
            return Ok(address);
        }
        if !flags.contains(RemapFlags::MAYMOVE) {
            return Err(Errno::ENOMEM.because("no room to grow, and it may not move"));
        }
        let to = self
            .room(&memory.layout, new_len)
            .ok_or_else(|| Errno::ENOMEM.because("no room in the address space"))?;
        self.move_area(memory, &area, request, to, removed)?;
        Ok(to)
    }

    /// With a new address, or a copy of the areas left behind.
    fn remap_to(
        &mut self,
        memory: &AddressSpace,
        request: &RemapRequest,
        removed: &mut Removed,
    ) -> Result<u64> {
        let mut request = *request;
        let fixed = request.flags.contains(RemapFlags::FIXED);
        let to = if fixed {
            let to = request.new_address;
            let in_space = to.checked_add(request.new_len).is_some_and(|end| end <= TASK_SIZE);
            if !in_space || page_start(to) != to {
                return Err(Errno::EINVAL.because("the new address cannot be"));
            }
            self.check_unsealed(&(to..to + request.new_len))?;
            if to < request.address + request.len && request.address < to + request.new_len {
                return Err(Errno::EINVAL.because("the new place overlaps the old one"));
            }
            check_place(to, request.new_len)?;
            self.check_count(4)?;
            removed.unmap(self, memory, &(to..to + request.new_len));
            to
        } else {
            self.room(&memory.layout, request.new_len)
                .ok_or_else(|| Errno::ENOMEM.because("no room in the address space"))?
        };
        if request.new_len < request.len {
            let tail = request.address + request.new_len..request.address + request.len;
            removed.unmap(self, memory, &tail);
            request.len = request.new_len;
        }
        let area = self.resizable(memory, &request)?;
        self.move_area(memory, &area, &request, to, removed)?;
        Ok(to)
    }

    /// The area to be changed, if it may be.
    fn resizable(&self, memory: &AddressSpace, request: &RemapRequest) -> Result<Area> {
        let RemapRequest { address, len, new_len, .. } = *request;
        let area = self
            .areas
            .at(address)
            .ok_or_else(|| Errno::EFAULT.because("no memory is mapped there"))?;
        if len == 0 && area.share == Share::Private {
            return Err(Errno::EINVAL.because("private memory cannot be mapped twice"));
        }
        if address + len > area.range.end {
            return Err(Errno::EFAULT.because("more than one mapping"));
        }
        if let Backing::Object(..) = area.backing
            && area.object_offset(address).checked_add(new_len).is_none()
        {
            return Err(Errno::EINVAL.because("beyond the greatest length of a file"));
        }
        let stays = request.flags.contains(RemapFlags::DONTUNMAP);
        let more = if stays { new_len } else { new_len - len } / PAGE;
        if area.flags.contains(AreaFlags::LOCKED) {
            self.check_locked((new_len - len) / PAGE, request.lock_limit, Errno::EAGAIN)?;
        }
        self.check_growth(area, more, 0)?;
        if more > 0 && area.is_accounted() {
            check_commit(&*memory.machine, more)?;
        }
        Ok(area.clone())
    }

    /// Moves the request's part of `area` to `to`, where nothing is.
    fn move_area(
        &mut self,
        memory: &AddressSpace,
        area: &Area,
        request: &RemapRequest,
        to: u64,
        removed: &mut Removed,
    ) -> Result<()> {
        let old = request.address..request.address + request.len;
        self.check_count(3)?;
        let mut new = part_of(area, &old, to..to + request.new_len);
        new.name = "";
        self.generation += 1;
        self.pages.move_to(&*memory.space, &old, to);
        self.moving(&mut new, old.start, request.len, &mut removed.told);
        if request.flags.contains(RemapFlags::DONTUNMAP) {
            self.areas.change(&old, |left| left.flags.remove(AreaFlags::LOCKED));
        } else if !old.is_empty() {
            removed.unmap(self, memory, &old);
        }
        self.insert(new);
        Ok(())
    }
}

/// `area` from `part` on, placed at `range`.
fn part_of(area: &Area, part: &Range<u64>, range: Range<u64>) -> Area {
    let mut new = area.clone();
    if let Backing::Object(_, offset) = &mut new.backing {
        *offset += part.start - area.range.start;
    }
    new.range = range;
    new
}

impl Area {
    /// Its part from `address` on.
    fn from(mut self, address: u64) -> Self {
        if address > self.range.start { self.split_off(address) } else { self }
    }
}
