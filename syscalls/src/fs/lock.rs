//! Locks of files: flock(2), and the record locks of fcntl(2).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::Errno;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::wait::{Interruption, WaitQueue};

use super::open_file::OpenFile;

/// Who has a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process: `F_SETLK`.
    Process(u32),
    /// An open file description, by its address: `F_OFD_SETLK`.
    Open(usize),
    /// An open file description, for flock(2), which knows nothing of the others.
    Flock(usize),
}

impl Owner {
    /// Whether locks of `other` can be in the way of locks of this owner.
    fn competes(self, other: Self) -> bool {
        let is_flock = |owner| matches!(owner, Self::Flock(_));
        self != other && is_flock(self) == is_flock(other)
    }
}

/// What a lock allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Other shared locks.
    Shared,
    /// No other lock.
    Exclusive,
}

/// A lock of a part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who has it.
    pub owner: Owner,
    /// What it allows.
    pub sharing: Sharing,
    /// Which bytes; [`WHOLE`] for the whole file.
    pub range: Range<u64>,
}

/// All bytes of a file.
pub const WHOLE: Range<u64> = 0..u64::MAX;

impl Lock {
    fn conflicts(&self, other: &Self) -> bool {
        self.owner.competes(other.owner)
            && (self.sharing == Sharing::Exclusive || other.sharing == Sharing::Exclusive)
            && self.range.start < other.range.end
            && other.range.start < self.range.end
    }
}

/// Whether to wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Fail with `EAGAIN`.
    None,
    /// Wait until it is free.
    Wait,
}

/// The locks of all files, by the address of their inode, which lives as long as somebody has
/// it open.
#[derive(Default)]
pub struct LockTable {
    locks: Mutex<BTreeMap<usize, Vec<Lock>>>,
    /// Number of files with locks: closing others costs one load.
    files: AtomicUsize,
    changed: WaitQueue,
}

impl LockTable {
    /// No locks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `lock` on the file of `open`, in place of what its owner had there.
    ///
    /// # Errors
    /// `EAGAIN` when somebody else has it; `ERESTARTSYS` when a signal ends the wait.
    pub fn take(
        self: &Arc<Self>,
        cx: &Context<'_>,
        open: &OpenFile,
        lock: &Lock,
        patience: Patience,
    ) -> Result<()> {
        if !matches!(lock.owner, Owner::Process(_)) {
            open.will_lock(self);
        }
        let key = key(open);
        if patience == Patience::None {
            return if self.try_take(key, lock) { Ok(()) } else { Err(is_taken()) };
        }
        let attempt = || Ok(self.try_take(key, lock).then_some(()));
        cx.wait_until(&[&self.changed], None, Interruption::Restart, attempt).map(drop)
    }

    fn try_take(&self, key: usize, lock: &Lock) -> bool {
        let mut files = self.locks.lock();
        let locks = files.entry(key).or_default();
        let free = !locks.iter().any(|other| lock.conflicts(other));
        if free {
            subtract(locks, lock.owner, &lock.range);
            locks.push(lock.clone());
        }
        self.files.store(files.len(), Ordering::SeqCst);
        drop(files);
        if free {
            // An exclusive lock may have become a shared one.
            self.changed.wake_all();
        }
        free
    }

    /// Releases what `owner` has in `range` of the file of `open`.
    pub fn release(&self, open: &OpenFile, owner: Owner, range: &Range<u64>) {
        self.change(key(open), |locks| subtract(locks, owner, range));
    }

    /// The first lock that is in the way of `lock` on the file of `open`.
    pub fn conflict(&self, open: &OpenFile, lock: &Lock) -> Option<Lock> {
        let files = self.locks.lock();
        let locks = files.get(&key(open))?;
        locks
            .iter()
            .filter(|other| lock.conflicts(other))
            .min_by_key(|lock| lock.range.start)
            .cloned()
    }

    /// A process closed a descriptor of the file: all its record locks there go.
    pub(super) fn release_process(&self, process: u32, open: &OpenFile) {
        self.change(key(open), |locks| {
            locks.retain(|lock| lock.owner != Owner::Process(process));
        });
    }

    /// The last descriptor of `open` is closed.
    pub(super) fn release_open(&self, open: &OpenFile) {
        let address = owner_address(open);
        let gone = [Owner::Open(address), Owner::Flock(address)];
        self.change(key(open), |locks| locks.retain(|lock| !gone.contains(&lock.owner)));
    }

    fn change(&self, key: usize, change: impl FnOnce(&mut Vec<Lock>)) {
        if self.files.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut files = self.locks.lock();
        let Some(locks) = files.get_mut(&key) else {
            return;
        };
        change(locks);
        if locks.is_empty() {
            files.remove(&key);
        }
        self.files.store(files.len(), Ordering::SeqCst);
        drop(files);
        self.changed.wake_all();
    }
}

/// Takes `range` away from the locks of `owner`; what sticks out stays.
fn subtract(locks: &mut Vec<Lock>, owner: Owner, range: &Range<u64>) {
    let mut rest = Vec::new();
    locks.retain(|lock| {
        let apart = lock.range.end <= range.start || range.end <= lock.range.start;
        if lock.owner != owner || apart {
            return true;
        }
        let parts = [lock.range.start..range.start, range.end..lock.range.end];
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            rest.push(Lock { range: part, ..lock.clone() });
        }
        false
    });
    locks.append(&mut rest);
}

fn key(open: &OpenFile) -> usize {
    Arc::as_ptr(open.file.inode()).cast::<()>() as usize
}

/// What names `open` as an owner of locks.
#[must_use]
pub fn owner_address(open: &OpenFile) -> usize {
    core::ptr::from_ref(open) as usize
}

fn is_taken() -> Error {
    Errno::EAGAIN.because("somebody else has the lock")
}
