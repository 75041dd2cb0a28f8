//! Asynchronous input and output by the kernel: aio(7), io_setup(2).
//!
//! Every operation is done when it is submitted, and its result waits to be fetched: files in
//! memory are never far away.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use spin::Mutex;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::error::{Because, Error, Result};
use crate::wait::WaitQueue;

/// Most results that all contexts of a process may hold (/proc/sys/fs/aio-max-nr).
pub(crate) const EVENTS_MAX: u64 = 65_536;

/// `struct io_event`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct IoEvent {
    /// What the application gave along.
    pub(crate) data: u64,
    /// Address of the operation.
    pub(crate) operation: u64,
    /// What it returned, or an errno negated.
    pub(crate) result: i64,
    /// Always 0.
    pub(crate) second: i64,
}

/// Where results wait.
pub(crate) struct IoContext {
    room: usize,
    events: Mutex<VecDeque<IoEvent>>,
    is_dead: AtomicBool,
    /// Woken when there is a result, and at the end.
    pub(crate) changed: WaitQueue,
}

impl IoContext {
    /// Whether `count` more results fit.
    pub(crate) fn has_room(&self) -> bool {
        self.events.lock().len() < self.room
    }

    /// Adds a result.
    pub(crate) fn put(&self, event: IoEvent) {
        self.events.lock().push_back(event);
        self.changed.wake_all();
    }

    /// Whether there are `count` results.
    ///
    /// # Errors
    /// `EINVAL` when there is none, and none will come: io_destroy(2).
    pub(crate) fn has(&self, count: usize) -> Result<bool> {
        let len = self.events.lock().len();
        match self.is_dead.load(Ordering::Relaxed) {
            true if len == 0 && count > 0 => Err(unknown()),
            is_dead => Ok(is_dead || len >= count),
        }
    }

    /// Takes the oldest results, at most so many.
    pub(crate) fn take(&self, most: usize) -> VecDeque<IoEvent> {
        let mut events = self.events.lock();
        let rest = most.min(events.len());
        let rest = events.split_off(rest);
        core::mem::replace(&mut *events, rest)
    }

    /// Gives results back that could not be told.
    pub(crate) fn put_back(&self, mut oldest: VecDeque<IoEvent>) {
        let mut events = self.events.lock();
        oldest.append(&mut events);
        *events = oldest;
        drop(events);
        self.changed.wake_all();
    }

    /// Ends it: who waits for results does not any more.
    fn end(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.changed.wake_all();
    }
}

/// The contexts of a process, by their numbers: the addresses of pages of theirs.
#[derive(Default)]
pub(crate) struct IoContexts {
    contexts: Mutex<BTreeMap<u64, Arc<IoContext>>>,
}

impl IoContexts {
    /// Fails unless a context with so many results may be made.
    ///
    /// # Errors
    /// `EINVAL` for none; `EAGAIN` when they are too many.
    pub(crate) fn check_room(&self, events: u32) -> Result<()> {
        /// More than this makes no sense on any machine.
        const SENSIBLE: u32 = 0x1000_0000;
        if events == 0 || events > SENSIBLE {
            return Err(Errno::EINVAL.because("no context has so many events"));
        }
        let held: usize = self.contexts.lock().values().map(|context| context.room).sum();
        if held as u64 + u64::from(events) > EVENTS_MAX {
            return Err(Errno::EAGAIN.because("too many events"));
        }
        Ok(())
    }

    /// Adds a context.
    pub(crate) fn add(&self, number: u64, events: u32) {
        let context = IoContext {
            room: events as usize,
            events: Mutex::default(),
            is_dead: AtomicBool::new(false),
            changed: WaitQueue::new(),
        };
        self.contexts.lock().insert(number, Arc::new(context));
    }

    /// The context with this number.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(crate) fn get(&self, number: u64) -> Result<Arc<IoContext>> {
        self.contexts.lock().get(&number).cloned().ok_or_else(unknown)
    }

    /// Removes the context with this number.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(crate) fn remove(&self, number: u64) -> Result<()> {
        let removed = self.contexts.lock().remove(&number).ok_or_else(unknown)?;
        removed.end();
        Ok(())
    }

    /// Removes all: the end of the address space they are in.
    pub(crate) fn clear(&self) {
        let all = core::mem::take(&mut *self.contexts.lock());
        all.values().for_each(|context| context.end());
    }
}

fn unknown() -> Error {
    Errno::EINVAL.because("there is no such context")
}
