//! Which areas are watched: `UFFDIO_REGISTER`, `UFFDIO_UNREGISTER`.

use alloc::sync::Arc;
use core::ops::Range;
use core::ptr;

use abi::Errno;
use abi::memory::Protection;
use abi::userfault::RegisterModes;

use crate::error::{Because, Result};
use crate::mm::address_space::{AddressSpace, State};
use crate::mm::area::{Area, Backing, Share, access_of};

use super::{Monitor, Monitored};

impl Monitor {
    /// Watches all that is mapped in `range`, whole pages.
    ///
    /// # Errors
    /// `EINVAL` where nothing is mapped, or what cannot be watched in this way; `EPERM` for
    /// files that could not be written; `EBUSY` where another monitor watches; `ENOMEM` for too
    /// many areas, or memory that is gone.
    pub(crate) fn register(
        self: &Arc<Self>,
        range: &Range<u64>,
        modes: RegisterModes,
    ) -> Result<()> {
        let memory = self.memory(Errno::ENOMEM)?;
        let mut state = memory.state.lock();
        let mut is_empty = true;
        for area in state.areas.overlapping(range.clone()) {
            is_empty = false;
            area.check_monitoring(modes)?;
            if !area.allowed.contains(Protection::WRITE) {
                return Err(Errno::EPERM.because("the memory can never be written"));
            }
            if area.monitored.as_ref().is_some_and(|other| !other.is_by(self)) {
                return Err(Errno::EBUSY.because("another descriptor watches the memory"));
            }
        }
        if is_empty {
            return Err(Errno::EINVAL.because("nothing is mapped there"));
        }
        state.check_count(state.areas.splits(range))?;
        state.generation += 1;
        state.is_monitored = true;
        let monitored = Some(Arc::new(Monitored { monitor: self.clone(), modes }));
        state.areas.change(range, |area| area.monitored = monitored.clone());
        state.drop_stray_guards(&memory, range);
        Ok(())
    }

    /// Watches nothing in `range` any more; who waits there goes on.
    ///
    /// # Errors
    /// `EINVAL` where nothing is mapped, or what cannot be watched, or another monitor watches;
    /// `ENOMEM` as [`Monitor::register`].
    pub(crate) fn unregister(&self, range: &Range<u64>) -> Result<()> {
        let memory = self.memory(Errno::ENOMEM)?;
        {
            let mut state = memory.state.lock();
            let mut is_empty = true;
            for area in state.areas.overlapping(range.clone()) {
                is_empty = false;
                area.check_monitoring(RegisterModes::empty())?;
                if area.monitored.as_ref().is_some_and(|other| !other.is_by(self)) {
                    return Err(Errno::EINVAL.because("another descriptor watches the memory"));
                }
            }
            if is_empty {
                return Err(Errno::EINVAL.because("nothing is mapped there"));
            }
            state.check_count(state.areas.splits(range))?;
            state.generation += 1;
            state.areas.change(range, |area| area.monitored = None);
            state.drop_stray_guards(&memory, range);
        }
        self.wake(range);
        Ok(())
    }
}

impl Monitored {
    pub(super) fn is_by(&self, monitor: &Monitor) -> bool {
        ptr::eq(Arc::as_ptr(&self.monitor), monitor)
    }
}

impl Area {
    /// Fails unless such faults of it can be watched.
    fn check_monitoring(&self, modes: RegisterModes) -> Result<()> {
        let is_memory = match &self.backing {
            Backing::Anonymous => self.share == Share::Private,
            Backing::Object(object, _) => object.presence(0).is_some(),
        };
        let is_anonymous = matches!(self.backing, Backing::Anonymous);
        let has_modes = match is_anonymous {
            true => !modes.contains(RegisterModes::MINOR),
            false => !modes.contains(RegisterModes::WP),
        };
        if is_memory && has_modes {
            return Ok(());
        }
        Err(Errno::EINVAL.because("faults of this memory cannot be watched"))
    }
}

impl State {
    /// Lets the pages of `range` be written again where nobody watches writes.
    fn drop_stray_guards(&mut self, memory: &AddressSpace, range: &Range<u64>) {
        for area in self.areas.overlapping(range.clone()) {
            let watches = |one: &Arc<Monitored>| one.modes.contains(RegisterModes::WP);
            if area.monitored.as_ref().is_some_and(watches) {
                continue;
            }
            let part = area.range.start.max(range.start)..area.range.end.min(range.end);
            self.pages.set_guarded(part.clone(), false);
            self.pages.protect(&*memory.space, &part, access_of(area.protection), area.share);
        }
    }
}

impl AddressSpace {
    /// Watches nothing any more for `monitor`, which is going.
    pub(super) fn forget_monitor(&self, monitor: &Monitor) {
        let mut state = self.state.lock();
        state.generation += 1;
        let is_watched = |area: &&Area| area.monitored.as_ref().is_some_and(|it| it.is_by(monitor));
        let watched: alloc::vec::Vec<_> =
            state.areas.iter().filter(is_watched).map(|area| area.range.clone()).collect();
        for range in watched {
            state.areas.change(&range, |area| area.monitored = None);
            state.drop_stray_guards(self, &range);
        }
    }
}
