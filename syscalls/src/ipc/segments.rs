//! Shared memory of System V, sysvipc(7): segments that processes attach.
//!
//! A segment's memory is an object like any other shared memory; how often it is attached is
//! the number of areas that show it. Once it is removed, only those areas hold it.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::ipc::{
    GetFlags, IpcPermission, SHM_DEST, SHM_LOCKED, SharedMemoryLimits, SharedMemoryStatus,
    SharedMemoryUsage,
};
use abi::memory::Protection;
use abi::{Errno, PAGE_SIZE};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::mm::SharedMemory;

use super::permission::{Asked, Permission};
use super::registry::{Object, Registry};
use super::{Limits, now};

/// All segments.
pub(crate) struct Segments {
    registry: Mutex<Registry<Segment>>,
}

/// One of them.
struct Segment {
    permission: Permission,
    memory: Hold,
    /// Length in bytes.
    len: u64,
    is_locked: bool,
    /// Times in seconds since 1970 UTC.
    attached: i64,
    detached: i64,
    changed: i64,
    creator: u32,
    last_user: u32,
}

/// Who keeps a segment's memory.
enum Hold {
    /// The segment.
    Kept(Arc<SharedMemory>),
    /// Those who have attached it: it was removed.
    Left(Weak<SharedMemory>),
}

impl Object for Segment {
    fn permission(&self) -> &Permission {
        &self.permission
    }
}

impl Segment {
    fn memory(&self) -> Option<Arc<SharedMemory>> {
        match &self.memory {
            Hold::Kept(memory) => Some(memory.clone()),
            Hold::Left(memory) => memory.upgrade(),
        }
    }

    fn pages(&self) -> u64 {
        self.len.div_ceil(PAGE_SIZE as u64)
    }
}

/// What shmat(2) attaches.
pub(crate) struct Attach {
    /// The memory.
    pub(crate) memory: Arc<SharedMemory>,
    /// Length in bytes.
    pub(crate) len: u64,
    /// What mprotect(2) may make of it.
    pub(crate) allowed: Protection,
}

impl Default for Segments {
    fn default() -> Self {
        Self { registry: Mutex::new(Registry::new()) }
    }
}

impl Segments {
    /// The number of the segment with `key`, which is made where `flags` say so.
    ///
    /// # Errors
    /// Those of shmget(2).
    pub(crate) fn get(&self, cx: &Context<'_>, key: i32, len: u64, flags: GetFlags) -> Result<i32> {
        let who = cx.credentials();
        let limits = cx.ipc().limits();
        let mut registry = self.current();
        if let Some(number) = registry.find(key, flags)? {
            if len > registry.get(number)?.len {
                return Err(Errno::EINVAL.because("the segment is shorter"));
            }
            registry.check(cx, number, flags)?;
            return Ok(number);
        }
        if len == 0 || len > limits.segment_len {
            return Err(Errno::EINVAL.because("the length is not possible"));
        }
        if flags.contains(GetFlags::HUGETLB) {
            return Err(Errno::ENOMEM.because("no huge pages are reserved"));
        }
        let used: u64 = registry.iter().map(Segment::pages).sum();
        if used.saturating_add(len.div_ceil(PAGE_SIZE as u64)) > limits.segment_pages {
            return Err(Errno::ENOSPC.because("too much shared memory"));
        }
        let permission = Permission::new(&who, key, flags.bits());
        registry.insert(limits.segments, |number| {
            Ok(Segment {
                permission,
                memory: Hold::Kept(SharedMemory::segment(&cx.system.machine, len, number)?),
                len,
                is_locked: false,
                attached: 0,
                detached: 0,
                changed: now(cx),
                creator: cx.process.id(),
                last_user: 0,
            })
        })
    }

    /// What to map for shmat(2).
    ///
    /// # Errors
    /// `EACCES`; `EINVAL` and `EIDRM` for a number that leads to none.
    pub(crate) fn attach(&self, cx: &Context<'_>, number: i32, asked: Asked) -> Result<Attach> {
        let registry = self.current();
        let segment = registry.get(number)?;
        segment.permission.check(cx, asked)?;
        let memory = segment.memory().ok_or_else(removed)?;
        let mut allowed = Protection::READ | Protection::WRITE | Protection::EXEC;
        if asked.0 & 0o222 == 0 {
            allowed.remove(Protection::WRITE);
        }
        Ok(Attach { memory, len: segment.len, allowed })
    }

    /// The caller has attached a segment.
    pub(crate) fn was_attached(&self, cx: &Context<'_>, number: i32) {
        if let Ok(segment) = self.current().get_mut(number) {
            segment.attached = now(cx);
            segment.last_user = cx.process.id();
        }
    }

    /// The caller has detached a segment.
    pub(crate) fn was_detached(&self, cx: &Context<'_>, number: i32) {
        if let Ok(segment) = self.current().get_mut(number) {
            segment.detached = now(cx);
            segment.last_user = cx.process.id();
        }
    }

    /// The number of the segment with this index.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(crate) fn at(&self, index: i32) -> Result<i32> {
        self.current().at(index)
    }

    /// The key of a segment; `IPC_PRIVATE` where it is gone.
    pub(crate) fn key(&self, number: i32) -> i32 {
        self.current().get(number).map_or(abi::ipc::IPC_PRIVATE, |segment| segment.permission.key)
    }

    /// Tells of a segment; whether its mode counts is up to the caller.
    ///
    /// # Errors
    /// As [`Segments::attach`].
    pub(crate) fn status(
        &self,
        cx: &Context<'_>,
        number: i32,
        asked: Asked,
    ) -> Result<SharedMemoryStatus> {
        let (mut status, memory) = {
            let registry = self.current();
            let segment = registry.get(number)?;
            segment.permission.check(cx, asked)?;
            (segment.show(cx, number), segment.memory().ok_or_else(removed)?)
        };
        // Counting looks into address spaces, with no lock held.
        status.attachments = memory.areas();
        Ok(status)
    }

    /// Changes owner and mode.
    ///
    /// # Errors
    /// `EPERM`; as [`Segments::attach`].
    pub(crate) fn set(&self, cx: &Context<'_>, number: i32, new: &IpcPermission) -> Result<()> {
        let mut registry = self.current();
        let segment = registry.get_mut(number)?;
        segment.permission.check_owner(cx)?;
        segment.permission.set(cx, new)?;
        segment.changed = now(cx);
        Ok(())
    }

    /// Removes a segment: it goes when nobody has it attached any more.
    ///
    /// # Errors
    /// As [`Segments::set`].
    pub(crate) fn remove(&self, cx: &Context<'_>, number: i32) -> Result<()> {
        let memory = {
            let mut registry = self.current();
            let segment = registry.get_mut(number)?;
            segment.permission.check_owner(cx)?;
            segment.permission.key = abi::ipc::IPC_PRIVATE;
            let memory = segment.memory();
            segment.memory = Hold::Left(memory.as_ref().map_or_else(Weak::new, Arc::downgrade));
            memory
        };
        // Its pages go, if they do, with no lock held.
        drop(memory);
        Ok(())
    }

    /// Locks or unlocks a segment, which only marks it: nothing is ever swapped out.
    ///
    /// # Errors
    /// `EPERM` for somebody else without privilege.
    pub(crate) fn set_locked(
        &self,
        number: i32,
        locked: bool,
        may: impl FnOnce(&Permission) -> bool,
    ) -> Result<()> {
        let mut registry = self.current();
        let segment = registry.get_mut(number)?;
        if !may(&segment.permission) {
            return Err(Errno::EPERM.because("neither owner nor privileged"));
        }
        segment.is_locked = locked;
        Ok(())
    }

    /// The limits, and the highest index in use.
    pub(crate) fn limits(&self, limits: &Limits) -> (SharedMemoryLimits, i32) {
        let limits = SharedMemoryLimits {
            max_len: limits.segment_len,
            min_len: 1,
            segments: limits.segments,
            process_segments: limits.segments,
            pages: limits.segment_pages,
            ..SharedMemoryLimits::default()
        };
        (limits, self.current().highest())
    }

    /// All segments with their numbers, and how many of their pages are in memory.
    pub(crate) fn all(&self, cx: &Context<'_>) -> Vec<(i32, SharedMemoryStatus, u64)> {
        let show = |(number, segment): (i32, &Segment)| {
            Some((number, segment.show(cx, number), segment.memory()?))
        };
        let shown: Vec<_> = self.current().numbered().filter_map(show).collect();
        // Counting looks into address spaces, with no lock held.
        let count = |(number, mut status, memory): (i32, SharedMemoryStatus, Arc<SharedMemory>)| {
            status.attachments = memory.areas();
            (number, status, memory.resident())
        };
        shown.into_iter().map(count).collect()
    }

    /// Which number the next segment gets, if somebody has asked for one.
    pub(crate) fn wanted(&self) -> Option<i32> {
        self.registry.lock().wanted()
    }

    /// Asks for a number for the next segment.
    pub(crate) fn set_wanted(&self, number: Option<i32>) {
        self.registry.lock().set_wanted(number);
    }

    /// How much is used, and the highest index in use.
    pub(crate) fn usage(&self) -> (SharedMemoryUsage, i32) {
        let registry = self.current();
        let resident = |segment: &Segment| segment.memory().map_or(0, |memory| memory.resident());
        let usage = SharedMemoryUsage {
            segments: registry.len() as i32,
            pages: registry.iter().map(Segment::pages).sum(),
            resident: registry.iter().map(resident).sum(),
            ..SharedMemoryUsage::default()
        };
        (usage, registry.highest())
    }

    /// Those that still are: what was removed and is nowhere attached is gone.
    fn current(&self) -> spin::MutexGuard<'_, Registry<Segment>> {
        let mut registry = self.registry.lock();
        registry.retain(|segment| match &segment.memory {
            Hold::Kept(_) => true,
            Hold::Left(memory) => memory.strong_count() > 0,
        });
        registry
    }
}

impl Segment {
    /// As the application sees it, but for the attachments.
    fn show(&self, cx: &Context<'_>, number: i32) -> SharedMemoryStatus {
        let mut permission = self.permission.show(cx, number);
        if matches!(self.memory, Hold::Left(_)) {
            permission.mode |= SHM_DEST;
        }
        if self.is_locked {
            permission.mode |= SHM_LOCKED;
        }
        SharedMemoryStatus {
            permission,
            len: self.len,
            attached: self.attached,
            detached: self.detached,
            changed: self.changed,
            creator: cx.shown_id(self.creator).cast_signed(),
            last_user: cx.shown_id(self.last_user).cast_signed(),
            ..SharedMemoryStatus::default()
        }
    }
}

fn removed() -> crate::error::Error {
    Errno::EIDRM.because("the segment was removed")
}
