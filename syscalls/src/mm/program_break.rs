//! brk(2).

use alloc::vec::Vec;
use core::ops::Range;

use abi::memory::Protection;
use abi::{Errno, TASK_SIZE};

use crate::error::{Because, Result};

use super::address_space::{AddressSpace, State, check_commit};
use super::area::{Area, AreaFlags, PAGE, whole_pages};
use super::monitor::Told;

impl AddressSpace {
    /// Sets where the program break begins: at the end of a new program.
    pub fn set_program_break(&self, start: u64) {
        self.state.lock().program_break = start..start;
    }

    /// From where to where the program break's area is.
    #[must_use]
    pub fn program_break(&self) -> Range<u64> {
        self.state.lock().program_break.clone()
    }

    /// Moves the program break to `wanted` if that is possible; returns where it is then.
    /// `lock_limit` is how much memory may be locked, in bytes.
    pub fn move_program_break(&self, wanted: u64, lock_limit: u64) -> u64 {
        let mut removed = (Vec::new(), Told::default());
        let mut state = self.state.lock();
        let Ok(grown) = state.move_break(self, wanted, lock_limit, &mut removed) else {
            return state.program_break.end;
        };
        let now = state.program_break.end;
        let fill =
            grown.filter(|grown| state.areas.at(grown.start).is_some_and(Area::is_filled_at_once));
        drop(state);
        drop(removed.0);
        removed.1.tell();
        if let Some(grown) = fill {
            let _ = self.populate(&grown);
        }
        now
    }
}

impl State {
    /// Moves the break; returns the pages that are new.
    fn move_break(
        &mut self,
        memory: &AddressSpace,
        wanted: u64,
        lock_limit: u64,
        removed: &mut (Vec<Area>, Told),
    ) -> Result<Option<Range<u64>>> {
        let start = self.program_break.start;
        if wanted < start || start == 0 {
            return Err(Errno::EINVAL.because("below the program"));
        }
        let end = |address| {
            whole_pages(address)
                .filter(|&end| end < TASK_SIZE)
                .ok_or_else(|| Errno::ENOMEM.because("beyond the end of the address space"))
        };
        let (old_end, new_end) = (end(self.program_break.end)?, end(wanted)?);
        let mut grown = None;
        if new_end < old_end {
            self.check_unsealed(&(new_end..old_end))?;
            let told = self.unmapping(&(new_end..old_end));
            *removed = (self.clear(&*memory.space, &(new_end..old_end)), told);
        } else if new_end > old_end {
            let mut area =
                Area::anonymous(old_end..new_end, Protection::READ.union(Protection::WRITE));
            area.name = "[heap]";
            area.flags = self.future;
            self.check_break(memory, &area, lock_limit)?;
            grown = Some(area.range.clone());
            self.insert(area);
        }
        self.program_break.end = wanted;
        Ok(grown)
    }

    fn check_break(&self, memory: &AddressSpace, new: &Area, lock_limit: u64) -> Result<()> {
        if new.range.end - self.program_break.start > self.limits.data {
            return Err(Errno::ENOMEM.because("RLIMIT_DATA is reached"));
        }
        // Linux keeps a page between the break and what is above.
        if !self.areas.is_free(&(new.range.start..new.range.end + PAGE)) {
            return Err(Errno::ENOMEM.because("something is mapped there"));
        }
        if new.flags.contains(AreaFlags::LOCKED) {
            self.check_locked(new.pages(), lock_limit, Errno::EAGAIN)?;
        }
        self.check_count(1)?;
        self.check_growth(new, new.pages(), 0)?;
        check_commit(&*memory.machine, new.pages())
    }
}
