//! Single areas, for who looks at an address space from outside.

use super::{AddressSpace, Area};

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
}
