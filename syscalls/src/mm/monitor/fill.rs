//! How missing pages get there: `UFFDIO_COPY` and its kin.

use alloc::sync::Arc;
use core::ops::Range;

use abi::Errno;
use abi::PAGE_SIZE;
use abi::userfault::RegisterModes;

use crate::error::{Because, Result};
use crate::machine::Page;
use crate::mm::address_space::{AddressSpace, State};
use crate::mm::area::{Area, Backing, PAGE, Share, access_of};
use crate::mm::fault::{Place, Wanted};
use crate::mm::object::{Object, Presence};
use crate::mm::pages::Resident;

use super::{Monitor, Monitored};

/// How many pages are filled before others may run.
const PART: u64 = 256;

/// What missing pages are filled with.
pub(crate) enum Filling<'a> {
    /// The bytes from this address on of this memory.
    Copy(&'a AddressSpace, u64),
    /// Zeros.
    Zeros,
    /// What the shared memory has there.
    Stored,
    /// Nothing: accesses fail.
    Poison,
}

/// A missing page, and what is needed to fill it.
struct Gap {
    share: Share,
    /// The shared memory that is shown there, and the number of its page.
    object: Option<(Object, u64)>,
}

impl Monitor {
    /// Fills the pages of `range` one after the other; returns how many bytes, and why that was
    /// not all. The pages are guarded where `guarded` says so.
    ///
    /// # Errors
    /// When not even one is filled: `ENOENT` where nothing is watched; `EINVAL` for what does not
    /// fit; `EEXIST` where a page is; `EFAULT` for a bad source, or beyond the end of the shared
    /// memory; `ENOMEM`, `ENOSPC`; `EAGAIN` while the memory changes; `ESRCH` when it is gone.
    pub(crate) fn fill(
        &self,
        range: &Range<u64>,
        filling: &Filling<'_>,
        guarded: bool,
    ) -> Result<u64> {
        self.check_steady()?;
        let memory = self.memory(Errno::ESRCH)?;
        memory.state.lock().check_filling(range, filling, guarded)?;
        self.each(range, |at| match filling {
            Filling::Copy(from, source) => {
                let page = memory.machine.allocate_page()?;
                let source = source.wrapping_add(at - range.start);
                from.read_to_page(source, &*page, 0, PAGE_SIZE).1?;
                memory.fill_gap(at, Some(page), guarded)
            }
            Filling::Zeros => memory.fill_gap(at, None, guarded),
            Filling::Stored => memory.map_stored(at, guarded),
            Filling::Poison => memory.poison(at),
        })
    }

    /// Calls `act` for each page of `range`; how many bytes, or the error of the first page.
    pub(super) fn each(
        &self,
        range: &Range<u64>,
        mut act: impl FnMut(u64) -> Result<()>,
    ) -> Result<u64> {
        let mut at = range.start;
        while at < range.end {
            match act(at) {
                Ok(()) => at += PAGE,
                Err(error) if at == range.start => return Err(error),
                Err(_) => break,
            }
            if ((at - range.start) / PAGE).is_multiple_of(PART) {
                self.system.machine.reschedule();
                // As on Linux, what is left is tried again after the change.
                if self.check_steady().is_err() {
                    break;
                }
            }
        }
        Ok(at - range.start)
    }
}

impl State {
    /// Fails unless `range` lies in one watched area that the filling fits.
    fn check_filling(
        &self,
        range: &Range<u64>,
        filling: &Filling<'_>,
        guarded: bool,
    ) -> Result<()> {
        let area = self.watched(range)?;
        let watches = |one: &Arc<Monitored>| one.modes.contains(RegisterModes::WP);
        if guarded && !area.monitored.as_ref().is_some_and(watches) {
            return Err(Errno::EINVAL.because("writes are not watched there"));
        }
        let is_anonymous = matches!(area.backing, Backing::Anonymous);
        if matches!(filling, Filling::Stored) && is_anonymous {
            return Err(Errno::EINVAL.because("not shared memory"));
        }
        Ok(())
    }

    /// The watched area that all of `range` lies in.
    ///
    /// # Errors
    /// `ENOENT`.
    pub(super) fn watched(&self, range: &Range<u64>) -> Result<&Area> {
        self.areas
            .at(range.start)
            .filter(|area| area.range.end >= range.end && area.monitored.is_some())
            .ok_or_else(|| Errno::ENOENT.because("not in one area that is watched"))
    }

    /// The page at `at`, where none is.
    fn gap(&self, at: u64) -> Result<Gap> {
        let area = self.watched(&(at..at + PAGE))?;
        if self.pages.get(at).is_some() {
            return Err(Errno::EEXIST.because("there is a page"));
        }
        let object = match &area.backing {
            Backing::Object(object, _) => Some((object.clone(), area.object_offset(at) / PAGE)),
            Backing::Anonymous => None,
        };
        Ok(Gap { share: area.share, object })
    }

    /// Makes `resident` the page at `at`, whatever the area there allows.
    pub(super) fn set(&mut self, memory: &AddressSpace, at: u64, resident: Resident) -> Result<()> {
        let area = self
            .areas
            .at(at)
            .ok_or_else(|| Errno::ENOENT.because("nothing is mapped there any more"))?;
        self.pages.heal(at);
        match (access_of(area.protection), Place::in_area(area, at)) {
            (Some(_), Ok(place)) => self
                .put(memory, place, resident)
                .map_err(|_| Errno::ENOMEM.because("out of memory")),
            _ => {
                self.pages.replace(at, resident);
                Ok(())
            }
        }
    }
}

impl AddressSpace {
    /// Fills the page at `at` with `content`, or with zeros.
    fn fill_gap(&self, at: u64, content: Option<Arc<dyn Page>>, guarded: bool) -> Result<()> {
        let gap = self.state.lock().gap(at)?;
        let (page, own) = match (gap.object, gap.share) {
            (Some((object, index)), Share::Shared) => {
                match object.presence(index) {
                    Some(Presence::Hole) => {}
                    Some(Presence::Stored) => {
                        return Err(Errno::EEXIST.because("there is a page"));
                    }
                    _ => return Err(Errno::EFAULT.because("beyond the end of the memory")),
                }
                let page = object.page(index, Share::Shared, Wanted::Write)?;
                let page = page.ok_or(Errno::EFAULT)?;
                if let Some(content) = content {
                    copy(&*content, &*page);
                }
                (page, true)
            }
            _ => match content {
                Some(content) => (content, true),
                None => (self.state.lock().zeros(&*self.machine)?, false),
            },
        };
        let mut state = self.state.lock();
        // While the lock was free, somebody may have been faster.
        state.gap(at)?;
        state.set(self, at, Resident { page, own, guarded })
    }

    /// Maps the page that shared memory has for `at`.
    fn map_stored(&self, at: u64, guarded: bool) -> Result<()> {
        let gap = self.state.lock().gap(at)?;
        let (object, index) = gap.object.ok_or(Errno::EINVAL)?;
        if object.presence(index) != Some(Presence::Stored) {
            return Err(Errno::EFAULT.because("the shared memory has no page there"));
        }
        let wanted = if gap.share == Share::Shared { Wanted::Write } else { Wanted::Read };
        let page = object.page(index, gap.share, wanted)?.ok_or(Errno::EFAULT)?;
        let mut state = self.state.lock();
        state.gap(at)?;
        let own = gap.share == Share::Shared;
        state.set(self, at, Resident { page, own, guarded })
    }

    /// Lets no page be at `at`.
    fn poison(&self, at: u64) -> Result<()> {
        /// Pages that must be left for all else.
        const RESERVE: u64 = 64;
        let mut state = self.state.lock();
        state.gap(at)?;
        if state.pages.is_poisoned(at) {
            return Err(Errno::EEXIST.because("the page is poisoned"));
        }
        if self.machine.memory().free_pages < RESERVE {
            return Err(Errno::ENOMEM.because("out of memory"));
        }
        state.pages.poison(at);
        Ok(())
    }
}

fn copy(from: &dyn Page, to: &dyn Page) {
    let mut bytes = [0; 256];
    for offset in (0..PAGE_SIZE).step_by(bytes.len()) {
        from.read(offset, &mut bytes);
        to.write(offset, &bytes);
    }
}
