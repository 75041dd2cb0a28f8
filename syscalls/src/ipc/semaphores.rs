//! Semaphores of System V: semget(2), semop(2), semctl(2).

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::ipc::semaphore::{
    SEM_UNDO, SemaphoreInfo, SemaphoreOperation, SemaphoreStatus, VALUE_MAX,
};
use abi::ipc::{GetFlags, IpcPermission};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Process;

use super::handover::Handover;
use super::permission::{Asked, Permission};
use super::registry::Registry;
use super::set::{Operations, SemaphoreSet, WaitingFor};
use super::undo::UndoKey;
use super::{Limits, now};

/// Size of a structure that Linux has no more (`SEMUSZ`), in bytes.
const UNDO_SIZE: i32 = 20;

/// All sets.
pub(crate) struct SemaphoreSets {
    state: Mutex<State>,
    /// How many names of owners of adjustments have been given out.
    undo_keys: AtomicU64,
}

struct State {
    registry: Registry<SemaphoreSet>,
    /// Number of semaphores of all sets.
    count: usize,
}

/// What semctl(2) asks of one semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// Its value.
    Value,
    /// The process that last changed it.
    LastUser,
    /// How many wait for it to grow.
    WaitingForGrowth,
    /// How many wait for it to become 0.
    WaitingForZero,
}

impl Default for SemaphoreSets {
    fn default() -> Self {
        let state = State { registry: Registry::new(), count: 0 };
        Self { state: Mutex::new(state), undo_keys: AtomicU64::new(0) }
    }
}

impl SemaphoreSets {
    /// The number of the set with `key`, which is made where `flags` say so.
    ///
    /// # Errors
    /// Those of semget(2).
    pub(crate) fn get(
        &self,
        cx: &Context<'_>,
        key: i32,
        count: usize,
        flags: GetFlags,
    ) -> Result<i32> {
        let who = cx.credentials();
        let limits = cx.ipc().limits();
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(number) = state.registry.find(key, flags)? {
            if count > state.registry.get(number)?.len() {
                return Err(Errno::EINVAL.because("the set is smaller"));
            }
            state.registry.check(cx, number, flags)?;
            return Ok(number);
        }
        if count == 0 {
            return Err(Errno::EINVAL.because("a set without semaphores"));
        }
        if (state.count + count) as u64 > limits.semaphores {
            return Err(Errno::ENOSPC.because("too many semaphores"));
        }
        let permission = Permission::new(&who, key, flags.bits());
        let number = state
            .registry
            .insert(limits.sets, |_| SemaphoreSet::new(permission, count, now(cx)))?;
        state.count += count;
        Ok(number)
    }

    /// Does operations on a set, all at once, and waits until that is possible or until the
    /// monotonic deadline.
    ///
    /// # Errors
    /// Those of semop(2).
    pub(crate) fn operate(
        &self,
        cx: &Context<'_>,
        number: i32,
        list: Vec<SemaphoreOperation>,
        deadline_ns: Option<u64>,
    ) -> Result<()> {
        let undoes = list.iter().any(|operation| operation.flags & SEM_UNDO != 0);
        let undo = undoes.then(|| cx.process.undo.name(|| self.new_undo_key()));
        let operations = Operations { list, process: cx.process.id(), undo };
        let asked = if operations.change_values() { Asked::WRITE } else { Asked::READ };
        let waiter = {
            let mut state = self.state.lock();
            let set = state.registry.get_mut(number)?;
            set.permission.check(cx, asked)?;
            set.operate(operations, now(cx), || Handover::new(cx))?
        };
        let Some(waiter) = waiter else {
            return Ok(());
        };
        let result = waiter.handover.wait(cx, deadline_ns);
        if let Ok(Some(answer)) = result {
            return answer;
        }
        if let Ok(set) = self.state.lock().registry.get_mut(number) {
            set.forget(&waiter);
        }
        // It may have been done in the last moment.
        waiter.handover.take().unwrap_or(match result {
            Ok(_) => Err(Errno::EAGAIN.because("it was not possible in time")),
            Err(_) => Err(Errno::EINTR.because("interrupted by a signal")),
        })
    }

    fn new_undo_key(&self) -> UndoKey {
        UndoKey(self.undo_keys.fetch_add(1, Ordering::Relaxed))
    }

    /// A process ends, or undoes nothing together with others any more: what only it had to
    /// undo is undone.
    pub(crate) fn leave(&self, process: &Process, now: i64) {
        let Some(key) = process.undo.leave() else {
            return;
        };
        for set in self.state.lock().registry.iter_mut() {
            set.undo(key, process.id(), now);
        }
    }

    /// The number of the set with this index.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(crate) fn at(&self, index: i32) -> Result<i32> {
        self.state.lock().registry.at(index)
    }

    /// Tells of a set.
    ///
    /// # Errors
    /// `EACCES`; `EINVAL` and `EIDRM` for a number that leads to none.
    pub(crate) fn status(
        &self,
        cx: &Context<'_>,
        number: i32,
        asked: Asked,
    ) -> Result<SemaphoreStatus> {
        self.with(cx, number, asked, |set| Ok(set.show(cx, number)))
    }

    /// All sets with their numbers.
    pub(crate) fn all(&self, cx: &Context<'_>) -> Vec<(i32, SemaphoreStatus)> {
        let state = self.state.lock();
        state.registry.numbered().map(|(number, set)| (number, set.show(cx, number))).collect()
    }

    /// Tells of one semaphore.
    ///
    /// # Errors
    /// As [`SemaphoreSets::status`]; `EINVAL` where there is no such semaphore.
    pub(crate) fn query(
        &self,
        cx: &Context<'_>,
        number: i32,
        at: i32,
        query: Query,
    ) -> Result<i32> {
        self.with(cx, number, Asked::READ, |set| {
            let at = index(set, at)?;
            let count = |reason| i32::try_from(set.count_waiting(at, reason)).unwrap_or(i32::MAX);
            Ok(match query {
                Query::Value => set.value(at).0,
                Query::LastUser => cx.shown_id(set.value(at).1).cast_signed(),
                Query::WaitingForGrowth => count(WaitingFor::Growth),
                Query::WaitingForZero => count(WaitingFor::Zero),
            })
        })
    }

    /// The values of all semaphores of a set.
    ///
    /// # Errors
    /// As [`SemaphoreSets::status`]; `ENOMEM`.
    pub(crate) fn values(&self, cx: &Context<'_>, number: i32) -> Result<Vec<u16>> {
        self.with(cx, number, Asked::READ, |set| set.values())
    }

    /// How many semaphores a set has, to somebody who may change them.
    ///
    /// # Errors
    /// As [`SemaphoreSets::status`].
    pub(crate) fn count_to_change(&self, cx: &Context<'_>, number: i32) -> Result<usize> {
        self.with(cx, number, Asked::WRITE, |set| Ok(set.len()))
    }

    /// Sets the value of one semaphore.
    ///
    /// # Errors
    /// As [`SemaphoreSets::query`]; `ERANGE`.
    pub(crate) fn set_value(
        &self,
        cx: &Context<'_>,
        number: i32,
        at: i32,
        value: i32,
    ) -> Result<()> {
        let value = u16::try_from(value).map_err(|_| out_of_range())?;
        check_value(value)?;
        // As on Linux, first the number of the semaphore counts, then the mode.
        self.with(cx, number, Asked::NOTHING, |set| index(set, at).map(drop))?;
        self.with(cx, number, Asked::WRITE, |set| {
            let at = index(set, at)?;
            set.set_values(at, &[value], cx.process.id(), now(cx));
            Ok(())
        })
    }

    /// Sets the values of all semaphores.
    ///
    /// # Errors
    /// As [`SemaphoreSets::status`]; `ERANGE`.
    pub(crate) fn set_values(&self, cx: &Context<'_>, number: i32, values: &[u16]) -> Result<()> {
        values.iter().try_for_each(|&value| check_value(value))?;
        self.with(cx, number, Asked::WRITE, |set| {
            set.set_values(0, values, cx.process.id(), now(cx));
            Ok(())
        })
    }

    /// Changes owner and mode.
    ///
    /// # Errors
    /// `EPERM`; as [`SemaphoreSets::status`].
    pub(crate) fn set(&self, cx: &Context<'_>, number: i32, new: &IpcPermission) -> Result<()> {
        self.with(cx, number, Asked::NOTHING, |set| {
            set.permission.check_owner(cx)?;
            set.set(cx, new, now(cx))
        })
    }

    /// Removes a set; whoever waits for it learns of that.
    ///
    /// # Errors
    /// As [`SemaphoreSets::set`].
    pub(crate) fn remove(&self, cx: &Context<'_>, number: i32) -> Result<()> {
        let mut state = self.state.lock();
        state.registry.get(number)?.permission.check_owner(cx)?;
        let mut set = state.registry.remove(number)?;
        state.count -= set.len();
        drop(state);
        set.dismiss();
        Ok(())
    }

    fn with<T>(
        &self,
        cx: &Context<'_>,
        number: i32,
        asked: Asked,
        work: impl FnOnce(&mut SemaphoreSet) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.state.lock();
        let set = state.registry.get_mut(number)?;
        set.permission.check(cx, asked)?;
        work(set)
    }

    /// The limits, and the highest index in use.
    pub(crate) fn limits(&self, limits: &Limits) -> (SemaphoreInfo, i32) {
        let info = SemaphoreInfo {
            map: small(limits.semaphores),
            sets: small(limits.sets),
            semaphores: small(limits.semaphores),
            undo_structures: small(limits.semaphores),
            set_len: small(limits.set_len),
            operations: small(limits.operations),
            undo_entries: small(limits.operations),
            undo_size_or_sets: UNDO_SIZE,
            value_max: VALUE_MAX,
            adjustment_max_or_semaphores: VALUE_MAX,
        };
        (info, self.state.lock().registry.highest())
    }

    /// How much is used, and the highest index in use.
    pub(crate) fn usage(&self, limits: &Limits) -> (SemaphoreInfo, i32) {
        let (info, highest) = self.limits(limits);
        let state = self.state.lock();
        let usage = SemaphoreInfo {
            undo_size_or_sets: small(state.registry.len() as u64),
            adjustment_max_or_semaphores: small(state.count as u64),
            ..info
        };
        (usage, highest)
    }

    /// Which number the next set gets, if somebody has asked for one.
    pub(crate) fn wanted(&self) -> Option<i32> {
        self.state.lock().registry.wanted()
    }

    /// Asks for a number for the next set.
    pub(crate) fn set_wanted(&self, number: Option<i32>) {
        self.state.lock().registry.set_wanted(number);
    }
}

fn index(set: &SemaphoreSet, at: i32) -> Result<usize> {
    let at = usize::try_from(at).ok().filter(|&at| at < set.len());
    at.ok_or_else(|| Errno::EINVAL.because("there is no semaphore with this number"))
}

fn check_value(value: u16) -> Result<()> {
    if i32::from(value) <= VALUE_MAX { Ok(()) } else { Err(out_of_range()) }
}

fn out_of_range() -> crate::error::Error {
    Errno::ERANGE.because("the value is too large or negative")
}

fn small(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
