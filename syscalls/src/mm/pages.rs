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
    /// area, nor for the common page of zeros, nor for a shared page of which the file must
    /// know before it is written.
    pub(super) own: bool,
}

impl Resident {
    /// Whether a store may go to this page, or needs a copy first.
    pub(super) fn is_writable(&self, share: Share) -> bool {
        match share {
            Share::Shared => self.own,
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

    /// Makes `resident` the page at `address`, where none is mapped.
    pub(super) fn replace(&mut self, address: u64, resident: Resident) {
        self.by_address.insert(address, resident);
    }

    /// The address of the page of `range` that comes after `count` others.
    pub(super) fn after(&self, range: &Range<u64>, count: usize) -> Option<u64> {
        self.by_address.range(range.clone()).nth(count).map(|(&address, _)| address)
    }

    /// Those in `range`, in ascending order.
    pub(super) fn within(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &Resident)> {
        self.by_address.range(range).map(|(&address, resident)| (address, resident))
    }

    /// Unmaps what is in `range`, and keeps the pages.
    pub(super) fn unmap(&self, space: &dyn Space, range: &Range<u64>) {
        // All of the range, so that tables can go which map nothing else.
        if self.by_address.range(range.clone()).next().is_some() {
            space.unmap(range.clone());
        }
    }

    /// Unmaps and frees what is in `range`.
    pub(super) fn release(&mut self, space: &dyn Space, range: &Range<u64>) {
        self.unmap(space, range);
        self.forget(range);
    }

    /// Frees what is in `range` and is not mapped.
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
        let within = self.within(range.clone());
        let wanted = within.map(|(address, resident)| (address, resident.access(access, share)));
        each_run(wanted, |run, access| space.protect(run, access));
    }

    /// Moves what is in `range` to where it begins at `to`, mapped nowhere at first.
    pub(super) fn move_to(&mut self, space: &dyn Space, range: &Range<u64>, to: u64) {
        self.unmap(space, range);
        let moved: alloc::vec::Vec<_> =
            self.by_address.extract_if(range.clone(), |_, _| true).collect();
        for (address, resident) in moved {
            self.by_address.insert(address - range.start + to, resident);
        }
    }
}

/// Calls `act` with ranges that have the same property and contain all `pages`, which ascend,
/// and otherwise only gaps so short that passing over them costs less than beginning again.
fn each_run<T: PartialEq>(
    pages: impl Iterator<Item = (u64, T)>,
    mut act: impl FnMut(Range<u64>, T),
) {
    /// Longest gap, in bytes.
    const GAP: u64 = 16 * PAGE;
    let mut run: Option<(Range<u64>, T)> = None;
    for (address, property) in pages {
        match &mut run {
            Some((run, same)) if *same == property && address - run.end <= GAP => {
                run.end = address + PAGE;
            }
            _ => {
                if let Some((run, property)) = run.replace((address..address + PAGE, property)) {
                    act(run, property);
                }
            }
        }
    }
    if let Some((run, property)) = run {
        act(run, property);
    }
}
