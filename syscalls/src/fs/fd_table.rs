//! The descriptors of a process.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;

use spin::Mutex;

use crate::error::{Because, Result};
use crate::joint::Joint;

use super::open_file::OpenFile;

/// A file descriptor: the index into a process's [`FdTable`]; anything an application passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fd(pub i32);

impl Fd {
    /// The index; `None` for a negative number.
    #[must_use]
    pub fn index(self) -> Option<usize> {
        usize::try_from(self.0).ok()
    }
}

/// One descriptor.
#[derive(Clone)]
struct Slot {
    open: Arc<OpenFile>,
    /// Whether it closes on execve(2).
    closes_on_exec: bool,
}

/// The descriptors of a process.
#[derive(Default)]
pub struct FdTable {
    slots: Joint<Slots>,
    /// By its address: who owns the record locks that are taken with these descriptors.
    lock_owner: Mutex<Arc<()>>,
}

#[derive(Default, Clone)]
struct Slots {
    /// By number.
    slots: Vec<Option<Slot>>,
    /// No number below this one is free.
    first_free: usize,
}

impl FdTable {
    /// A table without descriptors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What `fd` refers to.
    ///
    /// # Errors
    /// `EBADF` when it is not open.
    pub fn get(&self, fd: Fd) -> Result<Arc<OpenFile>> {
        self.slots.with(|slots| match slots.slots.get(fd.0 as usize) {
            Some(Some(slot)) => Ok(slot.open.clone()),
            _ => Err(not_open()),
        })
    }

    /// Makes the lowest free descriptor from `lowest` on refer to `open`; `limit` is
    /// `RLIMIT_NOFILE`.
    ///
    /// # Errors
    /// `EMFILE` when there is none below the limit; `ENOMEM`.
    pub fn add(
        &self,
        open: Arc<OpenFile>,
        lowest: usize,
        on_exec: OnExec,
        limit: u64,
    ) -> Result<Fd> {
        self.slots.with(|slots| {
            let start = lowest.max(slots.first_free);
            let free = slots.slots.iter().skip(start).position(Option::is_none);
            let index = free.map_or(start.max(slots.slots.len()), |free| start + free);
            let fd = checked(index, limit)
                .ok_or_else(|| Errno::EMFILE.because("too many descriptors are open"))?;
            slots.put(index, Slot { open, closes_on_exec: on_exec == OnExec::Close })?;
            if start == slots.first_free {
                slots.first_free = index + 1;
            }
            Ok(fd)
        })
    }

    /// Makes exactly `fd` refer to `open`, and returns what it referred to before: dup3(2).
    ///
    /// # Errors
    /// `EBADF` when it is out of range; `ENOMEM`.
    pub fn set(
        &self,
        fd: Fd,
        open: Arc<OpenFile>,
        on_exec: OnExec,
        limit: u64,
    ) -> Result<Option<Arc<OpenFile>>> {
        let index = fd
            .index()
            .filter(|&index| checked(index, limit).is_some())
            .ok_or_else(|| Errno::EBADF.because("the new descriptor is out of range"))?;
        let slot = Slot { open, closes_on_exec: on_exec == OnExec::Close };
        self.slots.with(|slots| Ok(slots.put(index, slot)?.map(|slot| slot.open)))
    }

    /// Frees `fd` and returns what it referred to. The caller drops that with no lock held.
    ///
    /// # Errors
    /// `EBADF` when it is not open.
    pub fn remove(&self, fd: Fd) -> Result<Arc<OpenFile>> {
        let index = fd.index().ok_or_else(not_open)?;
        self.slots.with(|slots| slots.take(index)).map(|slot| slot.open).ok_or_else(not_open)
    }

    /// Frees the descriptors from `first` to `last` and returns what they referred to:
    /// close_range(2).
    pub fn remove_range(&self, first: usize, last: usize) -> Vec<Arc<OpenFile>> {
        self.slots.with(|slots| {
            let end = slots.slots.len().min(last.saturating_add(1));
            let open = (first..end).filter_map(|index| slots.take(index)).map(|slot| slot.open);
            open.collect()
        })
    }

    /// Ends the use of the table and returns what its descriptors referred to, unless another
    /// process uses it still: the end of a process.
    pub(crate) fn leave(&self) -> Vec<Arc<OpenFile>> {
        let slots = self.slots.leave(Slots::default()).unwrap_or_default().slots;
        slots.into_iter().flatten().map(|slot| slot.open).collect()
    }

    /// Frees the descriptors that close on execve(2) and returns what they referred to.
    pub fn remove_on_exec(&self) -> Vec<Arc<OpenFile>> {
        let closes = |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.closes_on_exec);
        self.slots.with(|slots| {
            let len = slots.slots.len();
            let closing: Vec<_> = (0..len).filter(|&index| closes(&slots.slots[index])).collect();
            closing
                .into_iter()
                .filter_map(|index| slots.take(index))
                .map(|slot| slot.open)
                .collect()
        })
    }

    /// Whether `fd` closes on execve(2).
    ///
    /// # Errors
    /// `EBADF` when it is not open.
    pub fn on_exec(&self, fd: Fd) -> Result<OnExec> {
        self.slots.with(|slots| match fd.index().and_then(|index| slots.slots.get(index)) {
            Some(Some(slot)) if slot.closes_on_exec => Ok(OnExec::Close),
            Some(Some(_)) => Ok(OnExec::Keep),
            _ => Err(not_open()),
        })
    }

    /// Says whether `fd` closes on execve(2).
    ///
    /// # Errors
    /// `EBADF` when it is not open.
    pub fn set_on_exec(&self, fd: Fd, on_exec: OnExec) -> Result<()> {
        self.slots.with(|slots| match fd.index().and_then(|index| slots.slots.get_mut(index)) {
            Some(Some(slot)) => {
                slot.closes_on_exec = on_exec == OnExec::Close;
                Ok(())
            }
            _ => Err(not_open()),
        })
    }

    /// As [`FdTable::set_on_exec`] for all open descriptors from `first` to `last`.
    pub fn set_range_on_exec(&self, first: usize, last: usize, on_exec: OnExec) {
        let count = last.saturating_add(1).saturating_sub(first);
        self.slots.with(|slots| {
            for slot in slots.slots.iter_mut().skip(first).take(count).flatten() {
                slot.closes_on_exec = on_exec == OnExec::Close;
            }
        });
    }

    /// The open descriptors, in ascending order: /proc/self/fd.
    pub fn open_descriptors(&self) -> Vec<Fd> {
        self.slots.with(|slots| {
            let open = slots.slots.iter().enumerate().filter(|(_, slot)| slot.is_some());
            open.filter_map(|(index, _)| i32::try_from(index).ok().map(Fd)).collect()
        })
    }

    /// A copy that refers to the same open files: fork(2).
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { slots: self.slots.copy(), lock_owner: Mutex::default() }
    }

    /// The same table for one more process: `CLONE_FILES`.
    #[must_use]
    pub(crate) fn share(&self) -> Self {
        let lock_owner = Mutex::new(self.lock_owner.lock().clone());
        Self { slots: self.slots.share(), lock_owner }
    }

    /// Whether both processes have the same table.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        self.slots.is_shared_with(&other.slots)
    }

    /// Makes the table this process's alone: execve(2), unshare(2).
    pub(crate) fn separate(&self) {
        self.slots.separate();
        let mut owner = self.lock_owner.lock();
        if Arc::strong_count(&owner) > 1 {
            *owner = Arc::default();
        }
    }

    /// What names who owns the record locks that are taken with these descriptors: processes
    /// that share them share the locks.
    pub(crate) fn lock_owner(&self) -> usize {
        Arc::as_ptr(&self.lock_owner.lock()).addr()
    }
}

/// What execve(2) does with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExec {
    /// It stays open.
    Keep,
    /// It is closed (`FD_CLOEXEC`).
    Close,
}

impl OnExec {
    /// What the flag `O_CLOEXEC` says.
    #[must_use]
    pub fn of(flags: abi::fs::OpenFlags) -> Self {
        if flags.contains(abi::fs::OpenFlags::CLOEXEC) { Self::Close } else { Self::Keep }
    }
}

impl Slots {
    fn put(&mut self, index: usize, slot: Slot) -> Result<Option<Slot>> {
        if let Some(missing) = (index + 1).checked_sub(self.slots.len()) {
            self.slots.try_reserve(missing).map_err(|_| Errno::ENOMEM)?;
            self.slots.resize(self.slots.len() + missing, None);
        }
        Ok(self.slots[index].replace(slot))
    }

    fn take(&mut self, index: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(index)?.take()?;
        self.first_free = self.first_free.min(index);
        Some(slot)
    }
}

/// The descriptor with this index, if it is below the limit.
fn checked(index: usize, limit: u64) -> Option<Fd> {
    if (index as u64) < limit { i32::try_from(index).ok().map(Fd) } else { None }
}

fn not_open() -> crate::error::Error {
    Errno::EBADF.because("the descriptor is not open")
}
