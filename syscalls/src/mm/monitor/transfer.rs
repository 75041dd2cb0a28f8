//! Pages that come from elsewhere in the same memory: `UFFDIO_MOVE`.

use alloc::sync::Arc;
use core::ops::Range;

use abi::Errno;
use abi::memory::Protection;

use crate::error::{Because, Result};
use crate::mm::address_space::{AddressSpace, State};
use crate::mm::area::{Area, AreaFlags, Backing, Share};
use crate::mm::pages::Resident;

use super::Monitor;

/// What is done where there is no page to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holes {
    /// It is an error.
    Refused,
    /// They are passed over: `UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES`.
    Allowed,
}

impl Monitor {
    /// Moves the pages from `from` on to `range`; returns how many bytes, as [`Monitor::fill`].
    ///
    /// # Errors
    /// As [`Monitor::fill`]; `ENOENT` for a hole; `EBUSY` for a page that others share.
    pub(crate) fn transfer(&self, range: &Range<u64>, from: u64, holes: Holes) -> Result<u64> {
        self.check_steady()?;
        let memory = self.memory(Errno::ESRCH)?;
        let source = from..from + (range.end - range.start);
        memory.state.lock().check_transfer(self, range, &source)?;
        self.each(range, |at| memory.transfer(at, from + (at - range.start), holes))
    }
}

impl State {
    /// Fails unless pages of `source` can be moved to `range`.
    fn check_transfer(
        &self,
        monitor: &Monitor,
        range: &Range<u64>,
        source: &Range<u64>,
    ) -> Result<()> {
        let to = self.watched(range)?;
        let from = self.areas.at(source.start).filter(|area| area.range.end >= source.end);
        let from = from.ok_or_else(|| Errno::ENOENT.because("the source is not one area"))?;
        let is_own = |area: &Area| {
            area.share == Share::Private && matches!(area.backing, Backing::Anonymous)
        };
        let is_mine = to.monitored.as_ref().is_some_and(|one| one.is_by(monitor));
        let is_locked = |area: &Area| area.flags.contains(AreaFlags::LOCKED);
        if !is_own(to) || !is_own(from) || !is_mine {
            return Err(Errno::EINVAL.because("not private memory, or not watched by this"));
        }
        if to.protection != from.protection
            || !from.protection.contains(Protection::WRITE)
            || is_locked(to) != is_locked(from)
        {
            return Err(Errno::EINVAL.because("source and target differ"));
        }
        Ok(())
    }
}

impl AddressSpace {
    /// Moves the page at `from` to `to`.
    fn transfer(&self, to: u64, from: u64, holes: Holes) -> Result<()> {
        let mut state = self.state.lock();
        if state.pages.get(to).is_some() {
            return Err(Errno::EEXIST.because("there is a page"));
        }
        let Some(resident) = state.pages.get(from) else {
            return match holes {
                Holes::Allowed => Ok(()),
                Holes::Refused => Err(Errno::ENOENT.because("there is no page to move")),
            };
        };
        // The common page of zeros may be in many places; a page of another process's may not.
        if resident.own && Arc::strong_count(&resident.page) > 1 {
            return Err(Errno::EBUSY.because("others share the page"));
        }
        let resident = state.pages.take(&*self.space, from).ok_or(Errno::ENOENT)?;
        state.set(self, to, Resident::new(resident.page, resident.own))
    }
}
