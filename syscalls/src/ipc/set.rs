//! A set of semaphores, and who waits for it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::Errno;
use abi::ipc::IPC_NOWAIT;
use abi::ipc::semaphore::{SEM_UNDO, SemaphoreOperation, SemaphoreStatus, VALUE_MAX};

use crate::context::Context;
use crate::error::{Because, Error, Result};

use super::handover::Handover;
use super::permission::Permission;
use super::registry::Object;
use super::undo::UndoKey;

/// A set of semaphores.
pub(super) struct SemaphoreSet {
    pub(super) permission: Permission,
    semaphores: Vec<Semaphore>,
    /// Last semop(2) and last change, in seconds since 1970 UTC.
    operated: i64,
    changed: i64,
    /// In the order in which they came.
    waiting: VecDeque<Arc<Waiter>>,
    /// What is added to each semaphore when its owner ends.
    adjustments: BTreeMap<UndoKey, Vec<i32>>,
}

/// One of them.
#[derive(Clone, Copy, Default)]
struct Semaphore {
    /// 0 to [`VALUE_MAX`].
    value: i32,
    /// The process that last changed it.
    last_user: u32,
}

/// What one call of semop(2) does: all of it or nothing.
pub(super) struct Operations {
    pub(super) list: Vec<SemaphoreOperation>,
    pub(super) process: u32,
    /// Who undoes what is to be undone, if there is something.
    pub(super) undo: Option<UndoKey>,
}

impl Operations {
    /// Whether it changes values.
    pub(super) fn change_values(&self) -> bool {
        self.list.iter().any(|operation| operation.change != 0)
    }
}

/// Who waits until its operations can be done.
pub(super) struct Waiter {
    operations: Operations,
    /// Which of them cannot be done.
    blocking: AtomicUsize,
    pub(super) handover: Handover<Result<()>>,
}

/// What came of an attempt.
enum Attempt {
    Done,
    /// This operation has to wait.
    Blocked(usize),
    Failed(Error),
}

/// What semctl(2) counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitingFor {
    Growth,
    Zero,
}

impl Object for SemaphoreSet {
    fn permission(&self) -> &Permission {
        &self.permission
    }
}

impl SemaphoreSet {
    /// A set of `count` semaphores that are 0.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn new(permission: Permission, count: usize, now: i64) -> Result<Self> {
        let mut semaphores = Vec::new();
        semaphores.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        semaphores.resize(count, Semaphore::default());
        Ok(Self {
            permission,
            semaphores,
            operated: 0,
            changed: now,
            waiting: VecDeque::new(),
            adjustments: BTreeMap::new(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.semaphores.len()
    }

    /// Does the operations at once, or returns how to wait for them.
    ///
    /// # Errors
    /// `EAGAIN` for one that must not wait; `ERANGE` for a value that is too large; `EFBIG` for
    /// a semaphore that is not there; `ENOMEM`.
    pub(super) fn operate(
        &mut self,
        operations: Operations,
        now: i64,
        handover: impl FnOnce() -> Handover<Result<()>>,
    ) -> Result<Option<Arc<Waiter>>> {
        let is_there = |one: &SemaphoreOperation| usize::from(one.number) < self.len();
        if !operations.list.iter().all(is_there) {
            return Err(Errno::EFBIG.because("there is no semaphore with this number"));
        }
        self.prepare_adjustments(operations.undo)?;
        match self.attempt(&operations) {
            Attempt::Done => {
                self.operated = now;
                if operations.change_values() {
                    self.serve(now);
                }
                Ok(None)
            }
            Attempt::Failed(error) => Err(error),
            Attempt::Blocked(at) => {
                self.waiting.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                let blocking = AtomicUsize::new(at);
                let waiter = Arc::new(Waiter { operations, blocking, handover: handover() });
                self.waiting.push_back(waiter.clone());
                Ok(Some(waiter))
            }
        }
    }

    fn prepare_adjustments(&mut self, undo: Option<UndoKey>) -> Result<()> {
        let Some(key) = undo.filter(|key| !self.adjustments.contains_key(key)) else {
            return Ok(());
        };
        let mut zeros = Vec::new();
        zeros.try_reserve_exact(self.len()).map_err(|_| Errno::ENOMEM)?;
        zeros.resize(self.len(), 0);
        self.adjustments.insert(key, zeros);
        Ok(())
    }

    fn attempt(&mut self, operations: &Operations) -> Attempt {
        for (at, operation) in operations.list.iter().enumerate() {
            let stop = match self.operate_one(operation, operations.undo) {
                Ok(true) => continue,
                Ok(false) => Attempt::Blocked(at),
                Err(error) => Attempt::Failed(error),
            };
            for done in operations.list[..at].iter().rev() {
                self.add(done, operations.undo, -i32::from(done.change));
            }
            return stop;
        }
        for operation in &operations.list {
            self.semaphores[usize::from(operation.number)].last_user = operations.process;
        }
        Attempt::Done
    }

    /// Does one operation; false when it has to wait.
    fn operate_one(
        &mut self,
        operation: &SemaphoreOperation,
        undo: Option<UndoKey>,
    ) -> Result<bool> {
        let at = usize::from(operation.number);
        let (value, change) = (self.semaphores[at].value, i32::from(operation.change));
        if (change == 0 && value != 0) || value + change < 0 {
            if u32::from(operation.flags) & IPC_NOWAIT != 0 {
                return Err(Errno::EAGAIN.because("the operation would wait"));
            }
            return Ok(false);
        }
        if value + change > VALUE_MAX {
            return Err(Errno::ERANGE.because("the value would be too large"));
        }
        if operation.flags & SEM_UNDO != 0 {
            let adjustments = undo.and_then(|key| self.adjustments.get(&key));
            let adjusted = adjustments.map_or(0, |all| all[at]) - change;
            if !(-VALUE_MAX - 1..=VALUE_MAX).contains(&adjusted) {
                return Err(Errno::ERANGE.because("too much would be undone"));
            }
        }
        self.add(operation, undo, change);
        Ok(true)
    }

    fn add(&mut self, operation: &SemaphoreOperation, undo: Option<UndoKey>, change: i32) {
        let at = usize::from(operation.number);
        self.semaphores[at].value += change;
        if operation.flags & SEM_UNDO != 0
            && let Some(all) = undo.and_then(|key| self.adjustments.get_mut(&key))
        {
            all[at] -= change;
        }
    }

    /// Does what those who wait can do now, the first first.
    fn serve(&mut self, now: i64) {
        let mut next = 0;
        while let Some(waiter) = self.waiting.get(next).cloned() {
            let answer = match self.attempt(&waiter.operations) {
                Attempt::Blocked(at) => {
                    waiter.blocking.store(at, Ordering::Relaxed);
                    next += 1;
                    continue;
                }
                Attempt::Done => Ok(()),
                Attempt::Failed(error) => Err(error),
            };
            self.waiting.remove(next);
            if answer.is_ok() {
                self.operated = now;
                if waiter.operations.change_values() {
                    next = 0;
                }
            }
            waiter.handover.give(answer);
        }
    }

    /// Somebody does not wait any more.
    pub(super) fn forget(&mut self, waiter: &Arc<Waiter>) {
        self.waiting.retain(|other| !Arc::ptr_eq(other, waiter));
    }

    /// Tells all who wait that the set is removed.
    pub(super) fn dismiss(&mut self) {
        for waiter in self.waiting.drain(..) {
            waiter.handover.give(Err(Errno::EIDRM.because("the set was removed")));
        }
    }

    /// The value of a semaphore, and the process that last changed it.
    pub(super) fn value(&self, at: usize) -> (i32, u32) {
        (self.semaphores[at].value, self.semaphores[at].last_user)
    }

    /// All values.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn values(&self) -> Result<Vec<u16>> {
        let mut values = Vec::new();
        values.try_reserve_exact(self.len()).map_err(|_| Errno::ENOMEM)?;
        values.extend(self.semaphores.iter().map(|semaphore| semaphore.value as u16));
        Ok(values)
    }

    /// How many wait for a semaphore.
    pub(super) fn count_waiting(&self, at: usize, reason: WaitingFor) -> usize {
        let waits = |waiter: &&Arc<Waiter>| {
            let blocking = waiter.operations.list.get(waiter.blocking.load(Ordering::Relaxed));
            blocking.is_some_and(|operation| {
                let for_zero = operation.change == 0;
                usize::from(operation.number) == at && for_zero == (reason == WaitingFor::Zero)
            })
        };
        self.waiting.iter().filter(waits).count()
    }

    /// Sets the values from the semaphore `first` on; nobody undoes anything there any more.
    pub(super) fn set_values(&mut self, first: usize, values: &[u16], process: u32, now: i64) {
        for (semaphore, value) in self.semaphores[first..].iter_mut().zip(values) {
            *semaphore = Semaphore { value: i32::from(*value), last_user: process };
        }
        for adjustments in self.adjustments.values_mut() {
            adjustments[first..].iter_mut().zip(values).for_each(|(adjustment, _)| *adjustment = 0);
        }
        self.changed = now;
        self.serve(now);
    }

    /// Undoes what the owner with this name has to undo; as much of it as is possible.
    pub(super) fn undo(&mut self, key: UndoKey, process: u32, now: i64) {
        let Some(adjustments) = self.adjustments.remove(&key) else {
            return;
        };
        for (semaphore, adjustment) in self.semaphores.iter_mut().zip(adjustments) {
            if adjustment != 0 {
                semaphore.value = (semaphore.value + adjustment).clamp(0, VALUE_MAX);
                semaphore.last_user = process;
            }
        }
        self.operated = now;
        self.serve(now);
    }

    /// Takes over what `IPC_SET` can change.
    ///
    /// # Errors
    /// Those of [`Permission::set`].
    pub(super) fn set(
        &mut self,
        cx: &Context<'_>,
        new: &abi::ipc::IpcPermission,
        now: i64,
    ) -> Result<()> {
        self.permission.set(cx, new)?;
        self.changed = now;
        Ok(())
    }

    /// As the application sees it.
    pub(super) fn show(&self, cx: &Context<'_>, number: i32) -> SemaphoreStatus {
        SemaphoreStatus {
            permission: self.permission.show(cx, number),
            operated: self.operated,
            changed: self.changed,
            count: self.len() as u64,
            ..SemaphoreStatus::default()
        }
    }
}
