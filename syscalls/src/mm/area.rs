//! Memory areas: what lies where in an address space, and with which permissions.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::PAGE_SIZE;
use abi::memory::Protection;
use bitflags::bitflags;

use crate::fs::OpenFile;
use crate::machine::Access;

use super::monitor::Monitored;
use super::object::Object;

/// Page size, as addresses are.
pub(super) const PAGE: u64 = PAGE_SIZE as u64;

/// Number of pages of a range of whole pages.
pub(super) const fn pages_of(range: &Range<u64>) -> u64 {
    (range.end - range.start) / PAGE
}

/// The page that `address` lies in.
pub(super) const fn page_start(address: u64) -> u64 {
    address & !(PAGE - 1)
}

/// The length in whole pages of `len` bytes, in bytes; `None` when that overflows.
pub(super) const fn whole_pages(len: u64) -> Option<u64> {
    match len.checked_add(PAGE - 1) {
        Some(sum) => Some(page_start(sum)),
        None => None,
    }
}

bitflags! {
    /// What is special about an area.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AreaFlags: u16 {
        /// It grows downwards by page faults below it.
        const GROWS_DOWN = 1 << 0;
        /// No memory is set apart for it (`MAP_NORESERVE`).
        const NO_RESERVE = 1 << 1;
        /// Its pages are locked (mlock(2)).
        const LOCKED = 1 << 2;
        /// With `LOCKED`: only once they are used.
        const ON_FAULT = 1 << 6;
        /// Not inherited by fork(2) (`MADV_DONTFORK`).
        const DONT_FORK = 1 << 3;
        /// Not part of a core dump (`MADV_DONTDUMP`).
        const DONT_DUMP = 1 << 4;
        /// Zeros after fork(2) (`MADV_WIPEONFORK`).
        const WIPE_ON_FORK = 1 << 5;
        /// It stays as it is (mseal(2)).
        const SEALED = 1 << 7;
    }
}

/// Whether changes of memory are seen by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// They are the process's own (`MAP_PRIVATE`).
    Private,
    /// Others that map the same see them (`MAP_SHARED`).
    Shared,
}

/// What an area shows.
#[derive(Clone)]
pub enum Backing {
    /// Zeros, and what the process writes.
    Anonymous,
    /// An object from a byte offset on, a multiple of the page size.
    Object(Object, u64),
}

/// A memory area: consecutive pages with the same attributes.
#[derive(Clone)]
pub struct Area {
    /// Its addresses, whole pages.
    pub range: Range<u64>,
    /// What the application may do with it: a subset of `READ`, `WRITE` and `EXEC`.
    pub protection: Protection,
    /// What mprotect(2) may make of it.
    pub allowed: Protection,
    /// Whether others see changes.
    pub share: Share,
    /// What is special about it.
    pub flags: AreaFlags,
    /// What it shows.
    pub backing: Backing,
    /// Who resolves some of its faults.
    pub(super) monitored: Option<Arc<Monitored>>,
    /// Its name in /proc/self/maps where it has a special one: `[stack]`, `[heap]`.
    pub name: &'static str,
}

impl Area {
    /// Private memory of zeros.
    #[must_use]
    pub fn anonymous(range: Range<u64>, protection: Protection) -> Self {
        Self {
            range,
            protection,
            allowed: ALL_ACCESS,
            share: Share::Private,
            flags: AreaFlags::empty(),
            backing: Backing::Anonymous,
            monitored: None,
            name: "",
        }
    }

    /// Number of its pages.
    #[must_use]
    pub fn pages(&self) -> u64 {
        pages_of(&self.range)
    }

    /// The offset in its object, in bytes, of the page at `address` inside of it.
    pub(super) fn object_offset(&self, address: u64) -> u64 {
        match self.backing {
            Backing::Anonymous => 0,
            Backing::Object(_, offset) => offset + (address - self.range.start),
        }
    }

    /// Cuts it at `address`, which lies inside; it keeps the lower part.
    pub(super) fn split_off(&mut self, address: u64) -> Self {
        let mut upper = self.clone();
        if let Backing::Object(_, offset) = &mut upper.backing {
            *offset += address - self.range.start;
        }
        upper.range.start = address;
        self.range.end = address;
        upper
    }

    /// Whether `next` begins where this ends and differs in nothing else.
    pub(super) fn continues_in(&self, next: &Self) -> bool {
        self.range.end == next.range.start
            && self.protection == next.protection
            && self.allowed == next.allowed
            && self.share == next.share
            && self.flags == next.flags
            && self.name == next.name
            && self.monitored == next.monitored
            && match (&self.backing, &next.backing) {
                (Backing::Anonymous, Backing::Anonymous) => true,
                (Backing::Object(a, _), Backing::Object(b, offset)) => {
                    a.is(b) && self.object_offset(self.range.end) == *offset
                }
                (Backing::Anonymous, Backing::Object(..))
                | (Backing::Object(..), Backing::Anonymous) => false,
            }
    }

    /// Whether its pages are filled before they are used.
    pub(super) fn is_filled_at_once(&self) -> bool {
        self.flags.contains(AreaFlags::LOCKED) && !self.flags.contains(AreaFlags::ON_FAULT)
    }

    /// Whether its pages count as the process's data (`RLIMIT_DATA`).
    pub(super) fn is_data(&self) -> bool {
        self.share == Share::Private
            && self.protection.contains(Protection::WRITE)
            && !self.flags.contains(AreaFlags::GROWS_DOWN)
    }

    /// Whether memory is set apart for it when it becomes writable.
    pub(super) fn is_accounted(&self) -> bool {
        self.share == Share::Private
            && self.protection.contains(Protection::WRITE)
            && !self.flags.contains(AreaFlags::NO_RESERVE)
    }

    /// The file that others see what is written to it in.
    pub(super) fn written_file(&self) -> Option<&Arc<OpenFile>> {
        match &self.backing {
            Backing::Object(Object::File { open, .. }, _)
                if self.share == Share::Shared && self.allowed.contains(Protection::WRITE) =>
            {
                Some(open)
            }
            Backing::Object(..) | Backing::Anonymous => None,
        }
    }

    /// The lowest address that a mapping below it must end at: a stack keeps a distance.
    pub(super) fn start_with_gap(&self) -> u64 {
        if self.flags.contains(AreaFlags::GROWS_DOWN) {
            self.range.start.saturating_sub(STACK_GUARD_GAP)
        } else {
            self.range.start
        }
    }
}

/// Lets go of areas that have been taken out of an address space: what was written to files
/// through them gets there. Called with no lock held: the last use of a file may be among them.
pub(super) fn let_go(areas: Vec<Area>) {
    for area in &areas {
        if let Some(open) = area.written_file() {
            open.file.settle();
        }
    }
}

/// All that mprotect(2) can give.
pub(super) const ALL_ACCESS: Protection =
    Protection::READ.union(Protection::WRITE).union(Protection::EXEC);

/// Distance that a growing stack keeps from the area below, in bytes (`stack_guard_gap`).
pub(super) const STACK_GUARD_GAP: u64 = 256 * PAGE;

/// How a page is mapped with this protection; `None` when it is not.
pub(super) fn access_of(protection: Protection) -> Option<Access> {
    let write = protection.contains(Protection::WRITE);
    let execute = protection.contains(Protection::EXEC);
    match (write, execute) {
        (true, true) => Some(Access::ReadWriteExecute),
        (true, false) => Some(Access::ReadWrite),
        (false, true) => Some(Access::ReadExecute),
        (false, false) => protection.contains(Protection::READ).then_some(Access::Read),
    }
}

/// The same access without stores.
pub(super) const fn read_only(access: Access) -> Access {
    match access {
        Access::Read | Access::ReadWrite => Access::Read,
        Access::ReadExecute | Access::ReadWriteExecute => Access::ReadExecute,
    }
}
