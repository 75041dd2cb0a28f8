//! The memory of fork(2): a copy of an address space whose pages are copied only when one
//! side writes to them.

use alloc::sync::{Arc, Weak};
use core::mem::size_of;

use abi::memory::Protection;
use abi::{Errno, PAGE_SIZE};

use crate::error::{Because, Result};
use crate::machine::Machine;

use super::address_space::{AddressSpace, State};
use super::area::{Area, AreaFlags, Backing, Share, access_of};
use super::lock::LOCK_FLAGS;
use super::monitor::Told;
use super::object::Object;
use super::pages::Resident;

/// Bytes of the kernel's heap that one resident page of the child takes at most: an entry of
/// a B-tree whose nodes are at least half full.
const BYTES_PER_PAGE: usize = 2 * (size_of::<(u64, Resident)>() + size_of::<usize>());
/// The same for an area.
const BYTES_PER_AREA: usize = 2 * (size_of::<(u64, Area)>() + size_of::<usize>());

impl AddressSpace {
    /// A copy for a child process: what is private is shared until one side writes to it,
    /// what is shared stays shared. Memory locks are not inherited.
    ///
    /// It costs as much as the parent has areas and resident pages, whatever their length, and
    /// waits until monitors have heard of it. Called with no lock held.
    ///
    /// # Errors
    /// `ENOMEM`; the parent is as it was.
    pub fn fork(&self) -> Result<Arc<Self>> {
        let child = Self::empty(&self.machine, self.layout, State::new(self.limits()))?;
        if let Some(places) = self.places() {
            child.set_places(places.clone());
        }
        let mut told = Told::default();
        {
            let mut parent = self.state.lock();
            parent.check_memory(&*self.machine)?;
            // Nobody else can hold both, for nobody knows the child.
            let mut new = child.state.lock();
            parent.fork_to(&mut new, &child.this, &mut told);
            parent.protect_private(self);
        }
        told.tell();
        Ok(child)
    }
}

impl State {
    /// Fails unless the kernel has memory for a copy of the tables.
    fn check_memory(&self, machine: &dyn Machine) -> Result<()> {
        let bytes = self.pages.len() * BYTES_PER_PAGE + self.areas.len() * BYTES_PER_AREA;
        if bytes.div_ceil(PAGE_SIZE) as u64 > machine.memory().free_pages {
            return Err(Errno::ENOMEM.because("no memory for the tables of the child"));
        }
        Ok(())
    }

    /// Makes `child`, which is empty, a copy of this.
    fn fork_to(&mut self, child: &mut Self, memory: &Weak<AddressSpace>, told: &mut Told) {
        child.program_break = self.program_break.clone();
        child.zeros = self.zeros.clone();
        child.pages = self.pages.clone();
        let mut last: Option<&Object> = None;
        for area in self.areas.iter() {
            if area.flags.contains(AreaFlags::DONT_FORK) {
                child.pages.forget(&area.range);
                continue;
            }
            if area.flags.contains(AreaFlags::WIPE_ON_FORK) {
                child.pages.forget(&area.range);
            }
            if let Backing::Object(object, _) = &area.backing
                && !last.replace(object).is_some_and(|last| last.is(object))
                && let Some(mappings) = object.mappings()
            {
                mappings.add(memory);
            }
            let mut copy = area.clone();
            copy.flags.remove(LOCK_FLAGS);
            child.inherit(&mut copy, memory, told);
            child.areas.insert(copy);
        }
        child.resident_peak = child.pages.len();
    }

    /// Takes the right to write from pages that are no longer the process's alone.
    fn protect_private(&self, memory: &AddressSpace) {
        for area in self.areas.iter() {
            if area.share == Share::Private && area.protection.contains(Protection::WRITE) {
                let access = access_of(area.protection);
                self.pages.protect(&*memory.space, &area.range, access, Share::Private);
            }
        }
    }
}
