//! Pages whose writers ask first: `UFFDIO_WRITEPROTECT`.

use alloc::sync::Arc;
use core::ops::Range;

use abi::Errno;
use abi::userfault::RegisterModes;

use crate::error::{Because, Result};
use crate::mm::area::access_of;

use super::{Monitor, Monitored};

impl Monitor {
    /// Guards the pages in `range` that are there, or no longer.
    ///
    /// # Errors
    /// `ENOENT` where nothing is mapped, or writes are not watched; `EAGAIN` while the memory
    /// changes; `ESRCH` when it is gone.
    pub(crate) fn guard(&self, range: &Range<u64>, guarded: bool) -> Result<()> {
        self.check_steady()?;
        let memory = self.memory(Errno::ESRCH)?;
        let mut guard = memory.state.lock();
        let state = &mut *guard;
        let mut is_empty = true;
        for area in state.areas.overlapping(range.clone()) {
            let watches = |one: &Arc<Monitored>| one.modes.contains(RegisterModes::WP);
            if !area.monitored.as_ref().is_some_and(watches) {
                return Err(Errno::ENOENT.because("writes are not watched there"));
            }
            is_empty = false;
            let part = area.range.start.max(range.start)..area.range.end.min(range.end);
            state.pages.set_guarded(part.clone(), guarded);
            state.pages.protect(&*memory.space, &part, access_of(area.protection), area.share);
        }
        if is_empty {
            return Err(Errno::ENOENT.because("nothing is mapped there"));
        }
        Ok(())
    }

    /// Fails while watched memory changes.
    ///
    /// # Errors
    /// `EAGAIN`.
    pub(crate) fn check_steady(&self) -> Result<()> {
        if self.queue.lock().is_changing() {
            return Err(Errno::EAGAIN.because("the memory is changing"));
        }
        Ok(())
    }
}
