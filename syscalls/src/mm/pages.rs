//! The resident pages of an address space.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ops::Range;

use crate::machine::{Access, OutOfMemory, Page, Space};

use super::area::{PAGE, Share, read_only};

/// A page that has been used.
#[derive(Clone)]
pub(super) struct Resident {
    pub(super) page: Arc<dyn Page>,
    /// Whether writing to it is writing to the area: not for a file's page in a private
    /// area, nor for the common page of zeros.
    pub(super) own: bool,
}

impl Resident {
    /// Whether a store may go to this page, or needs a copy first.
    pub(super) fn is_writable(&self, share: Share) -> bool {
        match share {
            Share::Shared => true,
            Share::Private => self.own && Arc::strong_count(&self.page) == 1,
        }
    }

    /// How it is mapped in an area that allows `access`.
    pub(super) fn access(&self, access: Access, share: Share) -> Access {
        if self.is_writable(share) { access } else { read_only(access) }
    }
}

/// The resident pages, by address.
#[derive(Clone, Default)]
pub(super) struct Pages {
    by_address: BTreeMap<u64, Resident>,
}

impl Pages {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    pub(super) fn get(&self, address: u64) -> Option<&Resident> {
        self.by_address.get(&address)
    }

    /// Makes `resident` the page at `address` and maps it.
    pub(super) fn map(
        &mut self,
        space: &dyn Space,
        address: u64,
        resident: Resident,
        access: Access,
    ) -> Result<(), OutOfMemory> {
        space.map(address, &*resident.page, access)?;
        // The page that was there is no longer mapped, and may go.
        self.by_address.insert(address, resident);
        Ok(())
    }

    /// Those in `range`, in ascending order.
    pub(super) fn within(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &Resident)> {
        self.by_address.range(range).map(|(&address, resident)| (address, resident))
    }

    /// The part of `range` from its first resident page to its last.
    pub(super) fn extent(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let mut within = self.by_address.range(range.clone());
        let (&first, _) = within.next()?;
        let last = within.next_back().map_or(first, |(&last, _)| last);
        Some(first..last + PAGE)
    }

    /// Unmaps what is in `range`, and keeps the pages.
    pub(super) fn unmap(&self, space: &dyn Space, range: &Range<u64>) {
        if let Some(extent) = self.extent(range) {
            space.unmap(extent);
        }
    }

    /// Unmaps and frees what is in `range`.
    pub(super) fn release(&mut self, space: &dyn Space, range: &Range<u64>) {
        if let Some(extent) = self.extent(range) {
            space.unmap(extent.clone());
            self.by_address.extract_if(extent, |_, _| true).for_each(drop);
        }
    }

    /// Frees what is in `range` and was never mapped.
    pub(super) fn forget(&mut self, range: &Range<u64>) {
        self.by_address.extract_if(range.clone(), |_, _| true).for_each(drop);
    }

    /// Unmaps and frees the pages of `range` that `goes` is true for.
    pub(super) fn release_if(
        &mut self,
        space: &dyn Space,
        range: &Range<u64>,
        goes: impl Fn(&Resident) -> bool,
    ) {
        let gone = self.by_address.extract_if(range.clone(), |&address, resident| {
            let goes = goes(resident);
            if goes {
                space.unmap(address..address + PAGE);
            }
            goes
        });
        gone.for_each(drop);
    }

    /// Sets how what is in `range` is mapped, where the area allows `access`.
    pub(super) fn protect(
        &self,
        space: &dyn Space,
        range: &Range<u64>,
        access: Option<Access>,
        share: Share,
    ) {
        let Some(access) = access else {
            return self.unmap(space, range);
        };
        let mut run: Option<(Range<u64>, Access)> = None;
        for (address, resident) in self.within(range.clone()) {
            let wanted = resident.access(access, share);
            match &mut run {
                Some((run, same)) if *same == wanted => run.end = address + PAGE,
                _ => {
                    if let Some((run, access)) = run.take() {
                        space.protect(run, access);
                    }
                    run = Some((address..address + PAGE, wanted));
                }
            }
        }
        if let Some((run, access)) = run {
            space.protect(run, access);
        }
    }

    /// Moves what is in `range` to where it begins at `to`, mapped nowhere at first.
    pub(super) fn move_to(&mut self, space: &dyn Space, range: &Range<u64>, to: u64) {
        let Some(extent) = self.extent(range) else {
            return;
        };
        space.unmap(extent.clone());
        let moved: alloc::vec::Vec<_> = self.by_address.extract_if(extent, |_, _| true).collect();
        for (address, resident) in moved {
            self.by_address.insert(address - range.start + to, resident);
        }
    }
}
