//! The resident pages of an address space.

use alloc::collections::{BTreeMap, BTreeSet};
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
    /// Whether a monitor is told before it is written: `UFFDIO_WRITEPROTECT`.
    pub(super) guarded: bool,
}

impl Resident {
    /// A page that no monitor guards.
    pub(super) fn new(page: Arc<dyn Page>, own: bool) -> Self {
        Self { page, own, guarded: false }
    }

    /// Whether a store may go to this page, or needs a copy or a monitor's permission first.
    pub(super) fn is_writable(&self, share: Share) -> bool {
        match share {
            _ if self.guarded => false,
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
    /// Where no page is, and none can be: `UFFDIO_POISON`.
    poisoned: BTreeSet<u64>,
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

    /// Whether no page can be at `address`.
    pub(super) fn is_poisoned(&self, address: u64) -> bool {
        !self.poisoned.is_empty() && self.poisoned.contains(&address)
    }

    /// Lets no page be at `address`, where none is.
    pub(super) fn poison(&mut self, address: u64) {
        self.poisoned.insert(address);
    }

    /// Lets a page be at `address` again.
    pub(super) fn heal(&mut self, address: u64) {
        self.poisoned.remove(&address);
    }

    /// Takes the page at `address` out, which is mapped nowhere then.
    pub(super) fn take(&mut self, space: &dyn Space, address: u64) -> Option<Resident> {
        space.unmap(address..address + PAGE);
        self.by_address.remove(&address)
    }

    /// Guards the pages in `range`, or no longer; the caller maps them again.
    pub(super) fn set_guarded(&mut self, range: Range<u64>, guarded: bool) {
        self.by_address.range_mut(range).for_each(|(_, resident)| resident.guarded = guarded);
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

    /// Unmaps and frees what is in `range`, and forgets what could not be there.
    pub(super) fn release(&mut self, space: &dyn Space, range: &Range<u64>) {
        self.discard(space, range);
        self.forget_poison(range);
    }

    /// Unmaps and frees what is in `range`.
    pub(super) fn discard(&mut self, space: &dyn Space, range: &Range<u64>) {
        self.unmap(space, range);
        self.by_address.extract_if(range.clone(), |_, _| true).for_each(drop);
    }

    /// Forgets what is in `range`, where nothing is mapped.
    pub(super) fn forget(&mut self, range: &Range<u64>) {
        self.by_address.extract_if(range.clone(), |_, _| true).for_each(drop);
        self.forget_poison(range);
    }

    fn forget_poison(&mut self, range: &Range<u64>) {
        if !self.poisoned.is_empty() {
            self.poisoned.extract_if(range.clone(), |_| true).for_each(drop);
        }
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
        let poisoned: alloc::vec::Vec<_> =
            self.poisoned.extract_if(range.clone(), |_| true).collect();
        self.poisoned.extend(poisoned.iter().map(|address| address - range.start + to));
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
