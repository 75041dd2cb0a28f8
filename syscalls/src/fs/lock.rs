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

use super::fd_table::FdTable;
use super::open_file::OpenFile;

/// Who has a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A table of descriptors, by [`FdTable::lock_owner`]: `F_SETLK`. As on Linux, processes that share
    /// their descriptors share their locks.
    Files(usize),
    /// An open file description, by its address: `F_OFD_SETLK`.
    Open(usize),
    /// An open file description, for flock(2), which knows nothing of the others.
    Flock(usize),
}

impl Owner {
    /// The owner of the record locks that a process with these descriptors takes.
    #[must_use]
    pub fn of_files(files: &FdTable) -> Self {
        Self::Files(files.lock_owner())
    }

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
    /// The process that took it.
    pub process: u32,
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

/// The locks of all files.
#[derive(Default)]
pub struct LockTable {
    state: Mutex<State>,
    /// Number of files with locks: closing others costs one load.
    files: AtomicUsize,
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    /// By the address of their inode, which lives as long as somebody has it open.
    files: BTreeMap<usize, Vec<Lock>>,
    /// The record locks that are waited for, and the files they are of.
    wanted: Vec<(usize, Lock)>,
}

/// What came of an attempt to take a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Taken,
    /// Somebody else has it.
    Refused,
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
    /// `EAGAIN` when somebody else has it; `ERESTARTSYS` when a signal ends the wait;
    /// `EDEADLK` when its present owner waits, perhaps through others, for the owner of
    /// `lock`; `ENOLCK` when there is no memory for it.
    pub fn take(
        self: &Arc<Self>,
        cx: &Context<'_>,
        open: &OpenFile,
        lock: &Lock,
        patience: Patience,
    ) -> Result<()> {
        if !matches!(lock.owner, Owner::Files(_)) {
            open.will_lock(self);
        }
        let key = key(open);
        match self.try_take(key, lock)? {
            Attempt::Taken => Ok(()),
            Attempt::Refused if patience == Patience::None => Err(is_taken()),
            Attempt::Refused => self.wait_for(cx, key, lock),
        }
    }

    fn wait_for(&self, cx: &Context<'_>, key: usize, lock: &Lock) -> Result<()> {
        let waiting = Waiting { table: self, key, lock };
        let attempt = || {
            waiting.forget();
            if self.try_take(key, lock)? == Attempt::Taken {
                return Ok(Some(()));
            }
            waiting.announce()?;
            Ok(None)
        };
        cx.wait_until(&[&self.changed], None, Interruption::Restart, attempt).map(drop)
    }

    fn try_take(&self, key: usize, lock: &Lock) -> Result<Attempt> {
        let mut state = self.state.lock();
        let result = state.try_take(key, lock);
        self.files.store(state.files.len(), Ordering::SeqCst);
        drop(state);
        if result != Ok((Attempt::Refused, Before::Kept)) {
            // An exclusive lock may have become a shared one, or have been given up.
            self.changed.wake_all();
        }
        result.map(|(attempt, _)| attempt)
    }

    /// Releases what `owner` has in `range` of the file of `open`.
    pub fn release(&self, open: &OpenFile, owner: Owner, range: &Range<u64>) {
        self.change(key(open), |locks| subtract(locks, owner, range));
    }

    /// The first lock that is in the way of `lock` on the file of `open`.
    pub fn conflict(&self, open: &OpenFile, lock: &Lock) -> Option<Lock> {
        let state = self.state.lock();
        let locks = state.files.get(&key(open))?;
        locks
            .iter()
            .filter(|other| lock.conflicts(other))
            .min_by_key(|lock| lock.range.start)
            .cloned()
    }

    /// A descriptor of the file was closed in this table: all record locks of it go.
    pub(super) fn release_files(&self, files: &FdTable, open: &OpenFile) {
        let owner = Owner::of_files(files);
        self.change(key(open), |locks| locks.retain(|lock| lock.owner != owner));
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
        let mut state = self.state.lock();
        let Some(locks) = state.files.get_mut(&key) else {
            return;
        };
        change(locks);
        if locks.is_empty() {
            state.files.remove(&key);
        }
        self.files.store(state.files.len(), Ordering::SeqCst);
        drop(state);
        self.changed.wake_all();
    }
}

/// What became of the lock that the owner of a new one had on the file before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Kept,
    Lost,
}

impl State {
    fn try_take(&mut self, key: usize, lock: &Lock) -> Result<(Attempt, Before)> {
        let locks = self.files.entry(key).or_default();
        // A lock is replaced by at most two parts of it and the new one.
        let room = locks.try_reserve(3);
        let conflict = locks.iter().any(|other| lock.conflicts(other));
        let mut before = Before::Kept;
        if conflict && matches!(lock.owner, Owner::Flock(_)) {
            // flock(2): what it was is given up before the new one is asked for.
            let count = locks.len();
            locks.retain(|other| other.owner != lock.owner);
            before = if locks.len() == count { Before::Kept } else { Before::Lost };
        } else if !conflict && room.is_ok() {
            subtract(locks, lock.owner, &lock.range);
            add(locks, lock);
        }
        if locks.is_empty() {
            self.files.remove(&key);
        }
        room.map_err(|_| Errno::ENOLCK.because("out of memory"))?;
        Ok((if conflict { Attempt::Refused } else { Attempt::Taken }, before))
    }

    /// Whether somebody who has what stands in the way of `lock` waits, perhaps through
    /// others, for something that the owner of `lock` has.
    fn would_deadlock(&self, key: usize, lock: &Lock) -> Result<bool> {
        let mut reached = Vec::new();
        self.reach(key, lock, &mut reached)?;
        let mut next = 0;
        while let Some(&owner) = reached.get(next) {
            if owner == lock.owner {
                return Ok(true);
            }
            for (key, wanted) in self.wanted.iter().filter(|(_, wanted)| wanted.owner == owner) {
                self.reach(*key, wanted, &mut reached)?;
            }
            next += 1;
        }
        Ok(false)
    }

    /// Adds the owners of what stands in the way of `lock`.
    fn reach(&self, key: usize, lock: &Lock, reached: &mut Vec<Owner>) -> Result<()> {
        let locks = self.files.get(&key).map_or(&[][..], Vec::as_slice);
        for other in locks.iter().filter(|other| lock.conflicts(other)) {
            if !reached.contains(&other.owner) {
                reached.try_reserve(1).map_err(|_| Errno::ENOLCK)?;
                reached.push(other.owner);
            }
        }
        Ok(())
    }
}

/// A wait for a lock. Only waits for record locks of processes are announced: as on Linux, no
/// others are looked at for deadlocks.
struct Waiting<'a> {
    table: &'a LockTable,
    key: usize,
    lock: &'a Lock,
}

impl Waiting<'_> {
    fn announce(&self) -> Result<()> {
        if !matches!(self.lock.owner, Owner::Files(_)) {
            return Ok(());
        }
        let mut state = self.table.state.lock();
        if state.would_deadlock(self.key, self.lock)? {
            return Err(Errno::EDEADLK.because("everybody would wait for ever"));
        }
        state.wanted.try_reserve(1).map_err(|_| Errno::ENOLCK)?;
        state.wanted.push((self.key, self.lock.clone()));
        Ok(())
    }

    fn forget(&self) {
        let mut state = self.table.state.lock();
        let is_this = |(key, lock): &(usize, Lock)| *key == self.key && lock == self.lock;
        if let Some(at) = state.wanted.iter().position(is_this) {
            state.wanted.swap_remove(at);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Adds `lock` where its owner has none, joined with what touches it and is like it.
fn add(locks: &mut Vec<Lock>, lock: &Lock) {
    let mut lock = lock.clone();
    locks.retain(|other| {
        let touches = other.range.end == lock.range.start || lock.range.end == other.range.start;
        let joins = touches && other.owner == lock.owner && other.sharing == lock.sharing;
        if joins {
            lock.range.start = lock.range.start.min(other.range.start);
            lock.range.end = lock.range.end.max(other.range.end);
        }
        !joins
    });
    locks.push(lock);
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
    core::ptr::from_ref(open).addr()
}

fn is_taken() -> Error {
    Errno::EAGAIN.because("somebody else has the lock")
}
