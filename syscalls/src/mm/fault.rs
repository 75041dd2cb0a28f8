//! What a page fault does.

use alloc::sync::Arc;

use abi::memory::Protection;
use abi::{Errno, TASK_SIZE};
use loader::MMAP_MIN_ADDR;

use crate::error::{Because, Result};
use crate::machine::{Access, OutOfMemory, Page};
use crate::process::Thread;

use super::address_space::{AddressSpace, State};
use super::area::{Area, AreaFlags, Backing, PAGE, STACK_GUARD_GAP, Share, access_of, page_start};
use super::monitor::Ask;
use super::object::Object;
use super::pages::Resident;

/// What an access to memory wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Load.
    Read,
    /// Store.
    Write,
    /// Fetch an instruction.
    Execute,
}

/// Why an access to memory cannot be; the signals are those of sigaction(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSignal {
    /// Nothing is mapped there: `SIGSEGV` with `SEGV_MAPERR`.
    NotMapped,
    /// The area does not allow it: `SIGSEGV` with `SEGV_ACCERR`.
    NotAllowed,
    /// The page is beyond the end of its file, or cannot be read, or who resolves faults
    /// there may not be asked: `SIGBUS` with `BUS_ADRERR`.
    NoPage,
    /// The page is said to be damaged: `SIGBUS` with `BUS_MCEERR_AR`.
    Poisoned,
    /// There is no memory left: the process is killed.
    OutOfMemory,
    /// The thread has given up waiting for the page: it is to end, or a signal has come
    /// while the application waited.
    Interrupted,
}

/// Who makes an access to memory: that decides how a wait for its page can end.
#[derive(Clone, Copy)]
pub enum Accessor<'a> {
    /// The application, with an instruction of this thread.
    Application(&'a Thread),
    /// A system call of the thread that runs.
    Call,
    /// A debugger, who does not wait for others.
    Debugger,
}

impl From<OutOfMemory> for FaultSignal {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// A page that must be taken from an object, without the lock.
pub(super) struct Fetch {
    object: Object,
    index: u64,
    share: Share,
    wanted: Wanted,
    generation: u64,
}

/// What is to be done next to resolve a fault.
pub(super) enum Next {
    /// Nothing.
    Done,
    /// A page must be taken from its object.
    Fetch(Fetch),
    /// A monitor must be asked to resolve it.
    Ask(Ask),
}

/// A page of an area.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) at: u64,
    /// What the area allows.
    access: Access,
    share: Share,
}

impl Place {
    pub(super) fn in_area(area: &Area, address: u64) -> Result<Self, FaultSignal> {
        let access = access_of(area.protection).ok_or(FaultSignal::NotAllowed)?;
        Ok(Self { at: page_start(address), access, share: area.share })
    }

    /// Maps the page that is resident there again, with all that is allowed now.
    fn map(self, memory: &AddressSpace, resident: &Resident) -> Result<(), FaultSignal> {
        let access = resident.access(self.access, self.share);
        Ok(memory.space.map(self.at, &*resident.page, access)?)
    }
}

impl AddressSpace {
    /// Fills the page at `address` so that the access works: the answer to a page fault.
    /// Called with no lock held.
    ///
    /// # Errors
    /// [`FaultSignal`] when it cannot work.
    pub fn fault(
        &self,
        address: u64,
        wanted: Wanted,
        accessor: Accessor<'_>,
    ) -> Result<(), FaultSignal> {
        if address >= TASK_SIZE {
            return Err(FaultSignal::NotMapped);
        }
        loop {
            let next = self.state.lock().try_fault(self, address, wanted)?;
            let fetch = match next {
                Next::Done => return Ok(()),
                Next::Fetch(fetch) => fetch,
                Next::Ask(ask) => {
                    self.ask(&ask, address, wanted, accessor)?;
                    continue;
                }
            };
            let page = match fetch.object.page(fetch.index, fetch.share, fetch.wanted) {
                Ok(Some(page)) => page,
                Err(error) if error.errno == Errno::ENOMEM => return Err(FaultSignal::OutOfMemory),
                Err(error) if error.errno == Errno::EINTR => return Err(FaultSignal::Interrupted),
                Ok(None) | Err(_) => return Err(FaultSignal::NoPage),
            };
            let mut state = self.state.lock();
            // While the lock was free, the area may have changed: then look again.
            if state.generation == fetch.generation {
                return state.fill(self, address, wanted, page);
            }
        }
    }

    /// As [`AddressSpace::fault`], for an access by a system call.
    ///
    /// # Errors
    /// `EFAULT`; `ENOMEM`.
    pub(super) fn resolve(&self, address: u64, wanted: Wanted) -> Result<()> {
        self.fault(address, wanted, Accessor::Call).map_err(|signal| match signal {
            FaultSignal::NotMapped => Errno::EFAULT.because("no memory is mapped there"),
            FaultSignal::NotAllowed => Errno::EFAULT.because("the memory does not allow that"),
            FaultSignal::NoPage => Errno::EFAULT.because("beyond the end of a mapped file"),
            FaultSignal::Poisoned => Errno::EFAULT.because("the memory is damaged"),
            FaultSignal::OutOfMemory => Errno::ENOMEM.because("out of memory"),
            FaultSignal::Interrupted => Errno::EINTR.because("the thread is to end"),
        })
    }
}

impl State {
    /// Resolves a fault, or says what must be done first.
    pub(super) fn try_fault(
        &mut self,
        memory: &AddressSpace,
        address: u64,
        wanted: Wanted,
    ) -> Result<Next, FaultSignal> {
        let area = match self.areas.at(address) {
            Some(area) => area,
            None => {
                self.grow_stack(address)?;
                self.areas.at(address).ok_or(FaultSignal::NotMapped)?
            }
        };
        if !allows(area, wanted) {
            return Err(FaultSignal::NotAllowed);
        }
        let place = Place::in_area(area, address)?;
        if let Some(resident) = self.pages.get(place.at) {
            if wanted != Wanted::Write || resident.is_writable(place.share) {
                return place.map(memory, resident).map(|()| Next::Done);
            }
            if resident.guarded {
                return area.ask_to_write();
            }
            if place.share == Share::Private {
                let page = resident.page.clone();
                return self.copy_on_write(memory, place, &*page).map(|()| Next::Done);
            }
        } else if self.pages.is_poisoned(place.at) {
            return Err(FaultSignal::Poisoned);
        } else if area.monitored.is_some()
            && let Some(ask) = area.ask_for_page(place.at, wanted)
        {
            return Ok(Next::Ask(ask));
        }
        match &area.backing {
            Backing::Object(object, _) => Ok(Next::Fetch(Fetch {
                object: object.clone(),
                index: area.object_offset(place.at) / PAGE,
                share: area.share,
                wanted,
                generation: self.generation,
            })),
            Backing::Anonymous if wanted == Wanted::Write => {
                let page = memory.machine.allocate_page()?;
                self.put(memory, place, Resident::new(page, true)).map(|()| Next::Done)
            }
            Backing::Anonymous => {
                let page = self.zeros(&*memory.machine)?;
                self.put(memory, place, Resident::new(page, false)).map(|()| Next::Done)
            }
        }
    }

    /// Puts a page that was fetched where the fault was.
    fn fill(
        &mut self,
        memory: &AddressSpace,
        address: u64,
        wanted: Wanted,
        page: Arc<dyn Page>,
    ) -> Result<(), FaultSignal> {
        let area = self.areas.at(address).ok_or(FaultSignal::NotMapped)?;
        let place = Place::in_area(area, address)?;
        // Another thread may have been faster.
        let is_there = |resident: &Resident| {
            place.share == Share::Private
                || wanted != Wanted::Write
                || resident.is_writable(place.share)
        };
        if self.pages.get(place.at).is_some_and(is_there) {
            return Ok(());
        }
        match (place.share, wanted) {
            (Share::Private, Wanted::Write) => self.copy_on_write(memory, place, &*page),
            (Share::Private, _) => self.put(memory, place, Resident::new(page, false)),
            (Share::Shared, _) => {
                let tracks = matches!(&area.backing, Backing::Object(it, _) if it.tracks_writes());
                let own = wanted == Wanted::Write || !tracks;
                self.put(memory, place, Resident::new(page, own))
            }
        }
    }

    /// Puts a copy of `page` there.
    fn copy_on_write(
        &mut self,
        memory: &AddressSpace,
        place: Place,
        page: &dyn Page,
    ) -> Result<(), FaultSignal> {
        let page = memory.machine.copy_page(page)?;
        self.put(memory, place, Resident::new(page, true))
    }

    /// Makes `resident` the page there.
    pub(super) fn put(
        &mut self,
        memory: &AddressSpace,
        place: Place,
        resident: Resident,
    ) -> Result<(), FaultSignal> {
        let access = resident.access(place.access, place.share);
        self.pages.map(&*memory.space, place.at, resident, access)?;
        self.resident_peak = self.resident_peak.max(self.pages.len());
        Ok(())
    }

    /// Extends the stack above `address` down to it.
    fn grow_stack(&mut self, address: u64) -> Result<(), FaultSignal> {
        let start = page_start(address);
        let stack = self.areas.at_or_above(address).ok_or(FaultSignal::NotMapped)?;
        let may_grow = stack.flags.contains(AreaFlags::GROWS_DOWN)
            && stack.range.end - start <= self.limits.stack
            && start >= MMAP_MIN_ADDR;
        let has_distance = self.areas.below(address).is_none_or(|below| {
            below.protection.is_empty()
                || below.flags.contains(AreaFlags::GROWS_DOWN)
                || start - below.range.end >= STACK_GUARD_GAP
        });
        let growth = stack.range.start - start;
        if !may_grow || !has_distance || self.check_growth(stack, growth / PAGE, 0).is_err() {
            return Err(FaultSignal::NotMapped);
        }
        let mut grown = Area { range: start..stack.range.start, ..stack.clone() };
        if let Backing::Object(_, offset) = &mut grown.backing {
            *offset = offset.checked_sub(growth).ok_or(FaultSignal::NotMapped)?;
        }
        self.insert(grown);
        Ok(())
    }
}

fn allows(area: &Area, wanted: Wanted) -> bool {
    match wanted {
        // x86-64 cannot forbid only loads.
        Wanted::Read => !area.protection.is_empty(),
        Wanted::Write => area.protection.contains(Protection::WRITE),
        Wanted::Execute => area.protection.contains(Protection::EXEC),
    }
}
