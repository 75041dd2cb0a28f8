//! madvise(2), msync(2) and mincore(2).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::memory::{Advice, Protection, SyncFlags};
use abi::{Errno, TASK_SIZE};

use crate::error::{Because, Result};
use crate::fs::OpenFile;

use super::address_space::{AddressSpace, State};
use super::area::{Area, AreaFlags, Backing, PAGE, Share, page_start, whole_pages};
use super::fault::Wanted;
use super::object::Object;

impl AddressSpace {
    /// Takes advice about the pages of a range.
    ///
    /// # Errors
    /// `EINVAL` for a bad range, or advice that does not fit an area; `ENOMEM` when a part is
    /// not mapped, after the rest has been done.
    pub fn advise(&self, address: u64, len: u64, advice: Advice) -> Result<()> {
        if page_start(address) != address {
            return Err(Errno::EINVAL.because("the address is not a multiple of the page size"));
        }
        let end = whole_pages(len)
            .and_then(|len| address.checked_add(len))
            .ok_or_else(|| Errno::EINVAL.because("beyond the end of the address space"))?;
        let range = address..end;
        if range.is_empty() {
            return Ok(());
        }
        match advice {
            Advice::PopulateRead => self.prefault(&range, Wanted::Read),
            Advice::PopulateWrite => self.prefault(&range, Wanted::Write),
            Advice::Remove => self.punch(&range),
            Advice::DontNeed | Advice::DontNeedLocked | Advice::Free => {
                self.tell_of_removal(&range);
                self.state.lock().advise(self, &range, advice)
            }
            _ => self.state.lock().advise(self, &range, advice),
        }
    }

    /// Lets monitors know that the pages of `range` will be given back.
    fn tell_of_removal(&self, range: &Range<u64>) {
        let told = self.state.lock().removing(range);
        told.tell();
    }

    /// Fills all pages of `range` as an access would.
    fn prefault(&self, range: &Range<u64>, wanted: Wanted) -> Result<()> {
        let allowed = {
            let state = self.state.lock();
            if !state.areas.cover(range) {
                return Err(Errno::ENOMEM.because("no memory is mapped there"));
            }
            state.areas.overlapping(range.clone()).all(|area| match wanted {
                Wanted::Write => area.protection.contains(Protection::WRITE),
                Wanted::Read | Wanted::Execute => !area.protection.is_empty(),
            })
        };
        if !allowed {
            return Err(Errno::EINVAL.because("the memory does not allow that"));
        }
        self.fill(range, wanted)
    }

    /// Punches holes into what is shared in `range`.
    fn punch(&self, range: &Range<u64>) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let (object, hole) = self.state.lock().hole_at(at, range.end)?;
            let next = at + (hole.end - hole.start);
            self.tell_of_removal(&(at..next));
            object.punch(&hole)?;
            at = next;
        }
        Ok(())
    }

    /// Stores what was written to shared mappings of files in a range.
    ///
    /// # Errors
    /// `EINVAL` for a bad address or flags; `ENOMEM` when a part is not mapped; `EBUSY` when
    /// locked memory is to be invalidated; the errors of the files.
    pub fn sync(&self, address: u64, len: u64, flags: SyncFlags) -> Result<()> {
        let both = SyncFlags::ASYNC | SyncFlags::SYNC;
        if !(both | SyncFlags::INVALIDATE).contains(flags) || flags.contains(both) {
            return Err(Errno::EINVAL.because("bad flags"));
        }
        if page_start(address) != address {
            return Err(Errno::EINVAL.because("the address is not a multiple of the page size"));
        }
        let end = whole_pages(len)
            .and_then(|len| address.checked_add(len))
            .ok_or_else(|| Errno::ENOMEM.because("beyond the end of the address space"))?;
        let range = address..end;
        let (files, covered) = {
            let state = self.state.lock();
            (state.files_to_sync(&range, flags)?, state.areas.cover(&range))
        };
        for file in files {
            file.file.sync()?;
        }
        if covered {
            return Ok(());
        }
        Err(Errno::ENOMEM.because("no memory is mapped there"))
    }

    /// Says of the pages from `address` on, one byte each, whether they are in memory.
    ///
    /// # Errors
    /// `ENOMEM` when one is not mapped.
    pub fn residency(&self, address: u64, pages: &mut [u8]) -> Result<()> {
        let state = self.state.lock();
        let mut at = address;
        for page in pages {
            let area = state
                .areas
                .at(at)
                .filter(|_| at < TASK_SIZE)
                .ok_or_else(|| Errno::ENOMEM.because("no memory is mapped there"))?;
            // The pages of our files are always in memory.
            let of_file = matches!(area.backing, Backing::Object(Object::File { .. }, _));
            *page = u8::from(of_file || state.pages.get(at).is_some());
            at += PAGE;
        }
        Ok(())
    }
}

impl State {
    fn advise(&mut self, memory: &AddressSpace, range: &Range<u64>, advice: Advice) -> Result<()> {
        let mut at = range.start;
        let mut covered = true;
        while at < range.end {
            let Some(area) = self.areas.at_or_above(at) else {
                covered = false;
                break;
            };
            if area.range.start >= range.end {
                covered = false;
                break;
            }
            covered &= area.range.start <= at;
            let part = area.range.start.max(at)..area.range.end.min(range.end);
            at = part.end;
            check_advice(area, advice)?;
            self.advise_part(memory, &part, advice)?;
        }
        if covered {
            return Ok(());
        }
        Err(Errno::ENOMEM.because("no memory is mapped there"))
    }

    /// Takes advice about a part of one area, which the advice fits.
    fn advise_part(
        &mut self,
        memory: &AddressSpace,
        part: &Range<u64>,
        advice: Advice,
    ) -> Result<()> {
        let (add, remove) = match advice {
            Advice::DontNeed | Advice::DontNeedLocked | Advice::Free => {
                self.pages.discard(&*memory.space, part);
                return Ok(());
            }
            Advice::DontFork => (AreaFlags::DONT_FORK, AreaFlags::empty()),
            Advice::DoFork => (AreaFlags::empty(), AreaFlags::DONT_FORK),
            Advice::DontDump => (AreaFlags::DONT_DUMP, AreaFlags::empty()),
            Advice::DoDump => (AreaFlags::empty(), AreaFlags::DONT_DUMP),
            Advice::WipeOnFork => (AreaFlags::WIPE_ON_FORK, AreaFlags::empty()),
            Advice::KeepOnFork => (AreaFlags::empty(), AreaFlags::WIPE_ON_FORK),
            _ => return Ok(()),
        };
        self.check_count(self.areas.splits(part))?;
        self.generation += 1;
        self.areas.change(part, |area| {
            area.flags.insert(add);
            area.flags.remove(remove);
        });
        Ok(())
    }

    /// What is shared at `address`, and its bytes up to the end of the area or of the range.
    fn hole_at(&self, address: u64, end: u64) -> Result<(Object, Range<u64>)> {
        let area = self
            .areas
            .at(address)
            .ok_or_else(|| Errno::ENOMEM.because("no memory is mapped there"))?;
        let Backing::Object(object, _) = &area.backing else {
            return Err(Errno::EINVAL.because("nothing to punch a hole into"));
        };
        if area.flags.contains(AreaFlags::LOCKED) {
            return Err(Errno::EINVAL.because("the memory is locked"));
        }
        if area.share == Share::Private || !area.protection.contains(Protection::WRITE) {
            return Err(Errno::EACCES.because("not shared and writable"));
        }
        let end = area.range.end.min(end);
        Ok((object.clone(), area.object_offset(address)..area.object_offset(end)))
    }

    fn files_to_sync(&self, range: &Range<u64>, flags: SyncFlags) -> Result<Vec<Arc<OpenFile>>> {
        let mut files = Vec::new();
        for area in self.areas.overlapping(range.clone()) {
            if flags.contains(SyncFlags::INVALIDATE) && area.flags.contains(AreaFlags::LOCKED) {
                return Err(Errno::EBUSY.because("the memory is locked"));
            }
            if let Backing::Object(Object::File { open, .. }, _) = &area.backing
                && area.share == Share::Shared
                && flags.contains(SyncFlags::SYNC)
            {
                files.push(open.clone());
            }
        }
        Ok(files)
    }
}

/// Fails when the advice does not fit the area.
fn check_advice(area: &Area, advice: Advice) -> Result<()> {
    let is_private_anonymous =
        area.share == Share::Private && matches!(area.backing, Backing::Anonymous);
    let is_locked = area.flags.contains(AreaFlags::LOCKED);
    match advice {
        Advice::DontNeed | Advice::Free | Advice::Cold | Advice::PageOut if is_locked => {
            Err(Errno::EINVAL.because("the memory is locked"))
        }
        Advice::Free | Advice::WipeOnFork if !is_private_anonymous => {
            Err(Errno::EINVAL.because("not private anonymous memory"))
        }
        Advice::Mergeable | Advice::Unmergeable => {
            Err(Errno::EINVAL.because("equal pages are not merged"))
        }
        Advice::Collapse => Err(Errno::EINVAL.because("there are no huge pages")),
        _ if is_sealed_against(area, advice) => Err(Errno::EPERM.because("the mapping is sealed")),
        _ => Ok(()),
    }
}

/// Whether the advice would take away what a sealed area shows, and its protection does not
/// let the application change that anyway: mseal(2).
fn is_sealed_against(area: &Area, advice: Advice) -> bool {
    let discards = matches!(
        advice,
        Advice::DontNeed
            | Advice::DontNeedLocked
            | Advice::Free
            | Advice::DontFork
            | Advice::WipeOnFork
            | Advice::Remove
    );
    let is_own = area.share == Share::Private || matches!(area.backing, Backing::Anonymous);
    discards
        && is_own
        && area.flags.contains(AreaFlags::SEALED)
        && !area.protection.contains(Protection::WRITE)
}
