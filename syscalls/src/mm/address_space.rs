//! The address space of a process.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering;

use abi::Errno;
use abi::process::{RLIM_INFINITY, Resource};
use spin::{Mutex, Once};

use crate::error::{Because, Result};
use crate::machine::{Machine, OutOfMemory, Page, Space};
use crate::process::Limits;
use crate::process::exec::Places;
use crate::system::System;

use super::area::{Area, AreaFlags, PAGE, Share};
use super::areas::Areas;
use super::layout::Layout;
use super::pages::{Pages, Resident};

/// Most areas that an address space may have, unless somebody sets another number
/// (`vm.max_map_count`).
pub(crate) const MAX_AREAS: usize = 65530;

/// The address space of a process: what lies where in its half of memory.
pub struct AddressSpace {
    /// For the files that are mapped.
    pub(super) this: Weak<Self>,
    pub(super) machine: Arc<dyn Machine>,
    /// Dropped before the pages in the state.
    pub(super) space: Arc<dyn Space>,
    pub(super) layout: Layout,
    pub(super) state: Mutex<State>,
    /// Set once the program is there.
    places: Once<Places>,
}

/// Limits of a process that concern its memory, mostly in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// All mappings: `RLIMIT_AS`.
    pub address_space: u64,
    /// Private writable mappings: `RLIMIT_DATA`.
    pub data: u64,
    /// The stack: `RLIMIT_STACK`.
    pub stack: u64,
    /// The number of areas: `vm.max_map_count`.
    pub areas: usize,
}

impl MemoryLimits {
    /// Those of a process with these limits.
    #[must_use]
    pub fn of(limits: &Limits, system: &System) -> Self {
        Self {
            address_space: limits.current(Resource::AddressSpace),
            data: limits.current(Resource::Data),
            stack: limits.current(Resource::Stack),
            areas: system.max_areas.load(Ordering::Relaxed),
        }
    }
}

impl Default for MemoryLimits {
    fn default() -> Self {
        let most = RLIM_INFINITY;
        Self { address_space: most, data: most, stack: 8 << 20, areas: MAX_AREAS }
    }
}

/// How much memory a process uses, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All mapped pages: `VmSize`.
    pub mapped: u64,
    /// Pages in memory: `VmRSS`.
    pub resident: u64,
    /// Most pages that have been in memory at a time: `VmHWM`.
    pub resident_peak: u64,
    /// Private writable pages but the stack: `VmData`.
    pub data: u64,
    /// Growing stacks: `VmStk`.
    pub stack: u64,
    /// Locked pages: `VmLck`.
    pub locked: u64,
}

/// What changes in an address space.
pub(super) struct State {
    pub(super) areas: Areas,
    pub(super) pages: Pages,
    /// From the start of the program break's area to the break itself.
    pub(super) program_break: Range<u64>,
    pub(super) limits: MemoryLimits,
    /// What mlockall(2) wants of new areas.
    pub(super) future: AreaFlags,
    /// Changes with the areas, so that who let go of the lock knows.
    pub(super) generation: u64,
    /// Whether a monitor has ever watched an area: most never ask further.
    pub(super) is_monitored: bool,
    /// The page of zeros that untouched anonymous memory shows.
    pub(super) zeros: Option<Arc<dyn Page>>,
    pub(super) resident_peak: usize,
}

impl AddressSpace {
    /// An empty address space with a random layout.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(machine: &Arc<dyn Machine>, limits: MemoryLimits) -> Result<Arc<Self>> {
        Self::with_layout(machine, limits, Layout::random(&**machine, limits.stack))
    }

    /// An empty address space with this layout.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn with_layout(
        machine: &Arc<dyn Machine>,
        limits: MemoryLimits,
        layout: Layout,
    ) -> Result<Arc<Self>> {
        Self::empty(machine, layout, State::new(limits))
    }

    /// An address space with this layout and without pages.
    pub(super) fn empty(
        machine: &Arc<dyn Machine>,
        layout: Layout,
        state: State,
    ) -> Result<Arc<Self>> {
        let space = machine.create_space()?;
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            machine: machine.clone(),
            space,
            layout,
            state: Mutex::new(state),
            places: Once::new(),
        }))
    }

    /// The machine's side of it.
    #[must_use]
    pub fn space(&self) -> &Arc<dyn Space> {
        &self.space
    }

    /// Where things go in it.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where the parts of the program are, once it has been loaded.
    #[must_use]
    pub fn places(&self) -> Option<&Places> {
        self.places.get()
    }

    /// Says, once, where the parts of the program are.
    pub fn set_places(&self, places: Places) {
        self.places.call_once(|| places);
    }

    /// The limits that hold now.
    pub(super) fn limits(&self) -> MemoryLimits {
        self.state.lock().limits
    }

    /// Replaces the limits that hold for later calls: setrlimit(2).
    pub fn set_limits(&self, limits: MemoryLimits) {
        self.state.lock().limits = limits;
    }

    /// All areas as they are now, in ascending order.
    #[must_use]
    pub fn areas(&self) -> Vec<Area> {
        self.state.lock().areas.iter().cloned().collect()
    }

    /// Which of the pages of `range` are in memory, in pages: all, and those that are the
    /// process's own.
    #[must_use]
    pub fn resident(&self, range: &Range<u64>) -> (u64, u64) {
        let state = self.state.lock();
        let within = state.pages.within(range.clone());
        within.fold((0, 0), |(all, own), (_, page)| (all + 1, own + u64::from(page.own)))
    }

    /// How many resident pages nobody else holds.
    #[must_use]
    pub(crate) fn private_pages(&self) -> u64 {
        let state = self.state.lock();
        let is_private = |resident: &Resident| resident.is_writable(Share::Private);
        state.pages.within(0..abi::TASK_SIZE).filter(|(_, page)| is_private(page)).count() as u64
    }

    /// Brings what was written to shared mappings of files to the files. Called with no lock
    /// held.
    pub fn settle(&self) {
        let written = |state: &State| -> Vec<_> {
            state.areas.iter().filter_map(Area::written_file).cloned().collect()
        };
        let files = written(&self.state.lock());
        files.iter().for_each(|open| open.file.settle());
    }

    /// How much memory is used.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let state = self.state.lock();
        let totals = state.areas.totals();
        Usage {
            mapped: totals.all,
            resident: state.pages.len() as u64,
            resident_peak: state.resident_peak as u64,
            data: totals.data,
            stack: totals.stack,
            locked: totals.locked,
        }
    }
}

impl State {
    /// Nothing, with these limits.
    pub(super) fn new(limits: MemoryLimits) -> Self {
        Self {
            areas: Areas::default(),
            pages: Pages::default(),
            program_break: 0..0,
            limits,
            future: AreaFlags::empty(),
            generation: 0,
            is_monitored: false,
            zeros: None,
            resident_peak: 0,
        }
    }

    /// Fails unless `pages` more pages may be mapped as `area` in place of `replaced` ones.
    pub(super) fn check_growth(&self, area: &Area, pages: u64, replaced: u64) -> Result<()> {
        let totals = self.areas.totals();
        if totals.all - replaced + pages > self.limits.address_space / PAGE {
            return Err(Errno::ENOMEM.because("RLIMIT_AS is reached"));
        }
        if area.is_data() && totals.data + pages > self.limits.data / PAGE {
            return Err(Errno::ENOMEM.because("RLIMIT_DATA is reached"));
        }
        Ok(())
    }

    /// Fails unless `pages` more locked pages are within `lock_limit` bytes.
    pub(super) fn check_locked(&self, pages: u64, lock_limit: u64, errno: Errno) -> Result<()> {
        if self.areas.totals().locked + pages > lock_limit / PAGE {
            return Err(errno.because("RLIMIT_MEMLOCK is reached"));
        }
        Ok(())
    }

    /// Fails when `more` areas on top of those there are would be too many.
    pub(super) fn check_count(&self, more: usize) -> Result<()> {
        if self.areas.len() + more > self.limits.areas {
            return Err(Errno::ENOMEM.because("too many memory areas"));
        }
        Ok(())
    }

    /// Takes everything out of `range`. The caller drops the areas after letting go of the
    /// lock: the last use of a file may be among them.
    #[must_use]
    pub(super) fn clear(&mut self, space: &dyn Space, range: &Range<u64>) -> Vec<Area> {
        self.generation += 1;
        self.pages.release(space, range);
        self.areas.remove(range)
    }

    /// Adds an area where nothing is.
    pub(super) fn insert(&mut self, area: Area) {
        self.generation += 1;
        self.areas.insert(area);
    }

    /// The page of zeros.
    pub(super) fn zeros(&mut self, machine: &dyn Machine) -> Result<Arc<dyn Page>, OutOfMemory> {
        if let Some(zeros) = &self.zeros {
            return Ok(zeros.clone());
        }
        let zeros = machine.allocate_page()?;
        Ok(self.zeros.insert(zeros).clone())
    }
}

/// Fails when `pages` are more than the machine could ever have, as Linux's heuristic does.
pub(super) fn check_commit(machine: &dyn Machine, pages: u64) -> Result<()> {
    if pages > machine.memory().total_pages {
        return Err(Errno::ENOMEM.because("more than all memory"));
    }
    Ok(())
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // No page may be mapped when it is freed; but a space that nobody else holds goes first.
        if Arc::strong_count(&self.space) > 1 {
            let state = self.state.get_mut();
            state.pages.unmap(&*self.space, &(0..abi::TASK_SIZE));
        }
    }
}
