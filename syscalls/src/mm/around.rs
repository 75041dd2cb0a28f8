//! Single areas and pages, for who looks at an address space from outside.

use alloc::sync::Arc;

use abi::memory::PageMapFlags;

use super::area::PAGE;
use super::{AddressSpace, Area, Backing};

impl AddressSpace {
    /// The area that holds `address`.
    #[must_use]
    pub fn area_at(&self, address: u64) -> Option<Area> {
        self.state.lock().areas.at(address).cloned()
    }

    /// The areas next to `address`, which is in none: below and above.
    #[must_use]
    pub fn areas_beside(&self, address: u64) -> [Option<Area>; 2] {
        let state = self.state.lock();
        [state.areas.below(address).cloned(), state.areas.at_or_above(address).cloned()]
    }

    /// The first area that ends above `address`.
    #[must_use]
    pub fn area_from(&self, address: u64) -> Option<Area> {
        self.state.lock().areas.at_or_above(address).cloned()
    }

    /// What is where, for the pages from `address` on, a word for each: the number of the frame
    /// and [`PageMapFlags`]; 0 where nothing is.
    pub(crate) fn page_map(&self, address: u64, words: &mut [u64]) {
        words.fill(0);
        let state = self.state.lock();
        let end = address.saturating_add(words.len() as u64 * PAGE);
        for (at, resident) in state.pages.within(address..end) {
            let mut flags = PageMapFlags::PRESENT;
            let is_anonymous = |area: &Area| matches!(area.backing, Backing::Anonymous);
            let of_file = !resident.own || !state.areas.at(at).is_some_and(is_anonymous);
            let is_zeros =
                state.zeros.as_ref().is_some_and(|zeros| Arc::ptr_eq(zeros, &resident.page));
            flags.set(PageMapFlags::FILE, of_file && !is_zeros);
            flags.set(PageMapFlags::EXCLUSIVE, Arc::strong_count(&resident.page) == 1);
            flags.set(PageMapFlags::GUARDED, resident.guarded);
            words[((at - address) / PAGE) as usize] = flags.bits() | resident.page.frame();
        }
    }
}
