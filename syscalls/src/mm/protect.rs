//! mprotect(2).

use core::ops::Range;

use abi::Errno;
use abi::memory::Protection;

use crate::error::{Because, Result};

use super::address_space::{AddressSpace, State, check_commit};
use super::area::{ALL_ACCESS, AreaFlags, PAGE, access_of, page_start, whole_pages};

impl AddressSpace {
    /// Changes what may be done with the pages of a range.
    ///
    /// # Errors
    /// `EINVAL` for a bad address or protection; `ENOMEM` when a part is not mapped (what is
    /// below it has changed), for too many areas, or more memory than there is; `EACCES` when
    /// a file's mapping may not become writable.
    pub fn protect(&self, address: u64, len: u64, protection: Protection) -> Result<()> {
        let grows = Protection::GROWSDOWN | Protection::GROWSUP;
        if protection.contains(grows) {
            return Err(Errno::EINVAL.because("both directions of growth"));
        }
        if page_start(address) != address {
            return Err(Errno::EINVAL.because("the address is not a multiple of the page size"));
        }
        if len == 0 {
            return Ok(());
        }
        let end = whole_pages(len)
            .and_then(|len| address.checked_add(len))
            .filter(|&end| end > address)
            .ok_or_else(|| Errno::ENOMEM.because("beyond the end of the address space"))?;
        if !(ALL_ACCESS | Protection::SEM | grows).contains(protection) {
            return Err(Errno::EINVAL.because("not a protection"));
        }
        self.state.lock().protect(self, address..end, protection)
    }
}

impl State {
    fn protect(
        &mut self,
        memory: &AddressSpace,
        mut range: Range<u64>,
        protection: Protection,
    ) -> Result<()> {
        let first = self.areas.at(range.start);
        let grown_area = match first {
            Some(area) if area.flags.contains(AreaFlags::GROWS_DOWN) => Some(area),
            _ => None,
        };
        if protection.contains(Protection::GROWSDOWN) {
            // Linux looks for the area at or above the address, which may be in the gap.
            let area = grown_area
                .ok_or_else(|| Errno::EINVAL.because("the area does not grow downwards"))?;
            range.start = area.range.start;
        } else if first.is_none() {
            return Err(Errno::ENOMEM.because("no memory is mapped there"));
        }
        if protection.contains(Protection::GROWSUP) {
            return Err(Errno::EINVAL.because("the area does not grow upwards"));
        }
        let wanted = protection & ALL_ACCESS;
        let mut at = range.start;
        while at < range.end {
            let Some(area) = self.areas.at(at) else {
                return Err(Errno::ENOMEM.because("no memory is mapped there"));
            };
            let part = at..area.range.end.min(range.end);
            self.check_unsealed(&part)?;
            if !area.allowed.contains(wanted) {
                return Err(Errno::EACCES.because("the file is not open for that"));
            }
            at = part.end;
            if area.protection != wanted {
                self.protect_part(memory, &part, wanted)?;
            }
        }
        Ok(())
    }

    /// Changes a part of one area.
    fn protect_part(
        &mut self,
        memory: &AddressSpace,
        part: &Range<u64>,
        protection: Protection,
    ) -> Result<()> {
        let Some(area) = self.areas.at(part.start) else {
            return Ok(());
        };
        let mut new = area.clone();
        new.protection = protection;
        let pages = (part.end - part.start) / PAGE;
        if new.is_data()
            && !area.is_data()
            && self.areas.totals().data + pages > self.limits.data / PAGE
        {
            return Err(Errno::ENOMEM.because("RLIMIT_DATA is reached"));
        }
        if new.is_accounted() && !area.is_accounted() {
            check_commit(&*memory.machine, pages)?;
        }
        self.check_count(self.areas.splits(part))?;
        self.generation += 1;
        self.areas.change(part, |area| area.protection = protection);
        self.pages.protect(&*memory.space, part, access_of(protection), new.share);
        Ok(())
    }
}
