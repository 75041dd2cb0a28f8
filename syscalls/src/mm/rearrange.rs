//! remap_file_pages(2) and mseal(2).

use core::ops::Range;

use abi::Errno;

use crate::error::{Because, Result};

use super::address_space::{AddressSpace, State};
use super::area::{Area, AreaFlags, Backing, PAGE, Share, let_go, page_start, whole_pages};

impl AddressSpace {
    /// Shows other pages of a shared mapping's object in a part of it, from the page `offset`
    /// of the object on.
    ///
    /// # Errors
    /// `EINVAL` for a range that is not part of one shared mapping, or an offset that cannot be.
    pub fn remap_pages(&self, address: u64, len: u64, offset: u64) -> Result<()> {
        let invalid = || Errno::EINVAL.because("not a part of a shared mapping");
        let start = page_start(address);
        let len = page_start(len);
        let end = start.checked_add(len).filter(|&end| end > start).ok_or_else(invalid)?;
        let last = offset.checked_add(len / PAGE).and_then(|last| last.checked_mul(PAGE));
        if last.is_none_or(|last| last > i64::MAX as u64) {
            return Err(Errno::EINVAL.because("beyond the greatest length of a file"));
        }
        let range = start..end;
        let (old, told) = {
            let mut state = self.state.lock();
            let area = state.shared_part(&range).ok_or_else(invalid)?;
            let Backing::Object(object, _) = area.backing.clone() else {
                return Err(invalid());
            };
            state.check_unsealed(&range)?;
            state.check_count(1 + state.areas.splits(&range))?;
            let backing = Backing::Object(object, offset * PAGE);
            let area = Area { range: range.clone(), backing, ..area };
            let told = state.unmapping(&range);
            let old = state.clear(&*self.space, &range);
            state.insert(area);
            (old, told)
        };
        let_go(old);
        told.tell();
        // As on Linux, the mapping stands even where a page cannot be filled.
        let _ = self.populate(&range);
        Ok(())
    }

    /// Keeps the mappings of a range as they are for as long as the program runs.
    ///
    /// # Errors
    /// `EINVAL` for a bad address or length; `ENOMEM` when a part is not mapped.
    pub fn seal(&self, address: u64, len: u64) -> Result<()> {
        if page_start(address) != address {
            return Err(Errno::EINVAL.because("the address is not a multiple of the page size"));
        }
        let end = whole_pages(len)
            .and_then(|len| address.checked_add(len))
            .ok_or_else(|| Errno::EINVAL.because("beyond the end of the address space"))?;
        if end == address {
            return Ok(());
        }
        let range = address..end;
        let mut state = self.state.lock();
        if !state.areas.cover(&range) {
            return Err(Errno::ENOMEM.because("no memory is mapped there"));
        }
        state.check_count(state.areas.splits(&range))?;
        state.areas.change(&range, |area| area.flags.insert(AreaFlags::SEALED));
        Ok(())
    }
}

impl State {
    /// The area at the start of `range`, where all of that shows the same shared object.
    fn shared_part(&self, range: &Range<u64>) -> Option<Area> {
        let first = self.areas.at(range.start)?;
        let Backing::Object(object, _) = &first.backing else {
            return None;
        };
        let is_same = |area: &Area| {
            let shows = matches!(&area.backing, Backing::Object(other, _) if other.is(object));
            shows && area.share == Share::Shared
        };
        let mut parts = self.areas.overlapping(range.clone());
        (parts.all(is_same) && self.areas.cover(range)).then(|| first.clone())
    }

    /// Fails where a mapping in `range` is to stay as it is.
    ///
    /// # Errors
    /// `EPERM`.
    pub(super) fn check_unsealed(&self, range: &Range<u64>) -> Result<()> {
        let mut areas = self.areas.overlapping(range.clone());
        if areas.any(|area| area.flags.contains(AreaFlags::SEALED)) {
            return Err(Errno::EPERM.because("the mapping is sealed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use abi::PAGE_SIZE;

    use crate::fake::kit::{self, Kit};

    use super::*;

    const SHARED: u64 = 1;
    const PRIVATE: u64 = 2;
    const FIXED: u64 = 0x10;
    const ANONYMOUS: u64 = 0x20;
    const READ_WRITE: u64 = 3;

    fn map(kit: &Kit, pages: u64, flags: u64) -> u64 {
        let arguments = [0, pages * PAGE, READ_WRITE, flags | ANONYMOUS, u64::MAX, 0];
        kit.call("mmap", arguments).unwrap()
    }

    #[test]
    fn parts_of_shared_memory_change_places() {
        let kit = kit::process();
        let at = map(&kit, 2, SHARED);
        kit.set(at, b"first");
        kit.set(at + PAGE, b"second");
        let show = |address, page| kit.call("remap_file_pages", [address, PAGE, 0, page, 0, 0]);
        assert_eq!((show(at, 1), show(at + PAGE, 0)), (Ok(0), Ok(0)));
        assert_eq!(
            (kit.get(at, 6), kit.get(at + PAGE, 5)),
            (b"second".to_vec(), b"first".to_vec())
        );
        let own = map(&kit, 1, PRIVATE);
        assert_eq!(show(own, 0), Err(Errno::EINVAL));
        assert_eq!(show(at, u64::MAX / PAGE_SIZE as u64), Err(Errno::EINVAL));
    }

    #[test]
    fn sealed_mappings_stay_as_they_are() {
        let kit = kit::process();
        let at = map(&kit, 3, PRIVATE);
        assert_eq!(kit.call("mseal", [at + PAGE, PAGE, 1, 0, 0, 0]), Err(Errno::EINVAL));
        assert_eq!(kit.call("mseal", [at + PAGE, 4 * PAGE, 0, 0, 0, 0]), Err(Errno::ENOMEM));
        assert_eq!(kit.call("mseal", [at + PAGE, PAGE, 0, 0, 0, 0]), Ok(0));
        for (call, arguments) in [
            ("munmap", [at, 3 * PAGE, 0, 0, 0, 0]),
            ("mprotect", [at + PAGE, PAGE, 1, 0, 0, 0]),
            ("mremap", [at + PAGE, PAGE, 2 * PAGE, 1, 0, 0]),
            ("mmap", [at, 3 * PAGE, 1, PRIVATE | FIXED | ANONYMOUS, u64::MAX, 0]),
        ] {
            assert_eq!(kit.call(call, arguments), Err(Errno::EPERM), "{call}");
        }
        kit.set(at + PAGE, b"written all the same");
        assert_eq!(kit.call("munmap", [at, PAGE, 0, 0, 0, 0]), Ok(0));
    }
}
