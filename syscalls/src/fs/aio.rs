//! Asynchronous input and output by the kernel: aio(7), io_setup(2).
//!
//! Every operation is done when it is submitted, and its result waits to be fetched: files in
//! memory are never far away.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

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
    /// Woken when there is a result.
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

    /// How many results there are.
    pub(crate) fn len(&self) -> usize {
        self.events.lock().len()
    }

    /// Takes the oldest result.
    pub(crate) fn take(&self) -> Option<IoEvent> {
        self.events.lock().pop_front()
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
        removed.changed.wake_all();
        Ok(())
    }

    /// Removes all: the end of the address space they are in.
    pub(crate) fn clear(&self) {
        let all = core::mem::take(&mut *self.contexts.lock());
        drop(all);
    }
}

fn unknown() -> Error {
    Errno::EINVAL.because("there is no such context")
}
