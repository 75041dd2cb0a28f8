//! mlock(2), mlock2(2), munlock(2), mlockall(2), munlockall(2).
//!
//! Nothing is ever swapped out, so a locked page is one that is filled in advance and counted.

use core::ops::Range;

use abi::memory::LockAllFlags;
use abi::{Errno, TASK_SIZE};

use crate::error::{Because, Result};

use super::address_space::{AddressSpace, State};
use super::area::{AreaFlags, PAGE, page_start, whole_pages};

/// Both flags of locked areas.
pub(super) const LOCK_FLAGS: AreaFlags = AreaFlags::LOCKED.union(AreaFlags::ON_FAULT);

impl AddressSpace {
    /// Locks the pages that the bytes of a range lie in. `how` is `LOCKED`, with `ON_FAULT`
    /// when they are to be filled only when they are used.
    ///
    /// # Errors
    /// `ENOMEM` beyond `lock_limit` bytes, for a part that is not mapped, or a page that
    /// cannot be filled; `EPERM` when nothing may be locked; `EINVAL` for a range that is
    /// none.
    pub fn lock(&self, address: u64, len: u64, how: AreaFlags, lock_limit: u64) -> Result<()> {
        check_permission(lock_limit)?;
        let range = pages_around(address, len)?;
        {
            let mut state = self.state.lock();
            let overlapping = state.areas.overlapping(range.clone());
            let already: u64 = overlapping
                .filter(|area| area.flags.contains(AreaFlags::LOCKED))
                .map(|area| area.range.end.min(range.end) - area.range.start.max(range.start))
                .sum();
            let pages = (range.end - range.start - already) / PAGE;
            state.check_locked(pages, lock_limit, Errno::ENOMEM)?;
            state.set_locks(&range, how)?;
        }
        if how.contains(AreaFlags::ON_FAULT) {
            return Ok(());
        }
        self.populate(&range).map_err(|_| Errno::ENOMEM.because("a page cannot be filled"))
    }

    /// Takes locks off the pages that the bytes of a range lie in.
    ///
    /// # Errors
    /// `ENOMEM` for a part that is not mapped; `EINVAL` for a range that is none.
    pub fn unlock(&self, address: u64, len: u64) -> Result<()> {
        let range = pages_around(address, len)?;
        self.state.lock().set_locks(&range, AreaFlags::empty())
    }

    /// Locks all memory, that of now or that to come.
    ///
    /// # Errors
    /// `EINVAL` for flags that say nothing; `EPERM` when nothing may be locked; `ENOMEM`
    /// beyond `lock_limit` bytes.
    pub fn lock_all(&self, flags: LockAllFlags, lock_limit: u64) -> Result<()> {
        let known = LockAllFlags::CURRENT | LockAllFlags::FUTURE | LockAllFlags::ONFAULT;
        if !known.contains(flags) || flags.difference(LockAllFlags::ONFAULT).is_empty() {
            return Err(Errno::EINVAL.because("bad flags"));
        }
        check_permission(lock_limit)?;
        let mut how = AreaFlags::LOCKED;
        how.set(AreaFlags::ON_FAULT, flags.contains(LockAllFlags::ONFAULT));
        let all = 0..TASK_SIZE;
        {
            let mut state = self.state.lock();
            if flags.contains(LockAllFlags::CURRENT) {
                if state.areas.totals().all > lock_limit / PAGE {
                    return Err(Errno::ENOMEM.because("RLIMIT_MEMLOCK is reached"));
                }
                state.replace_locks(&all, how);
            }
            let future = flags.contains(LockAllFlags::FUTURE);
            state.future = if future { how } else { AreaFlags::empty() };
        }
        if flags.contains(LockAllFlags::CURRENT) && !flags.contains(LockAllFlags::ONFAULT) {
            // As on Linux, the lock stands even where a page cannot be filled.
            let _ = self.populate(&all);
        }
        Ok(())
    }

    /// Takes all locks off.
    pub fn unlock_all(&self) {
        let mut state = self.state.lock();
        state.future = AreaFlags::empty();
        state.replace_locks(&(0..TASK_SIZE), AreaFlags::empty());
    }
}

impl State {
    /// Sets the locks of `range`, up to the first page that is not mapped.
    fn set_locks(&mut self, range: &Range<u64>, locks: AreaFlags) -> Result<()> {
        self.check_count(self.areas.splits(range))?;
        let mut covered = range.start;
        for area in self.areas.overlapping(range.clone()) {
            if area.range.start > covered {
                break;
            }
            covered = area.range.end.min(range.end);
        }
        self.replace_locks(&(range.start..covered), locks);
        if covered < range.end {
            return Err(Errno::ENOMEM.because("no memory is mapped there"));
        }
        Ok(())
    }

    fn replace_locks(&mut self, range: &Range<u64>, locks: AreaFlags) {
        if range.is_empty() {
            return;
        }
        self.generation += 1;
        self.areas.change(range, |area| {
            area.flags = area.flags.difference(LOCK_FLAGS).union(locks);
        });
    }
}

fn check_permission(lock_limit: u64) -> Result<()> {
    if lock_limit == 0 {
        return Err(Errno::EPERM.because("RLIMIT_MEMLOCK is zero"));
    }
    Ok(())
}

/// The pages that the bytes of a range lie in.
fn pages_around(address: u64, len: u64) -> Result<Range<u64>> {
    let start = page_start(address);
    let end = len.checked_add(address - start).and_then(whole_pages);
    let end = end.and_then(|len| start.checked_add(len));
    end.map(|end| start..end).ok_or_else(|| Errno::EINVAL.because("the range wraps around"))
}
