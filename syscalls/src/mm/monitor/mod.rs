//! Page faults that the application resolves itself: userfaultfd(2).
//!
//! A [`Monitor`] stands between the memory that is watched and the descriptor that is read.
//! An area says which of its faults go to which monitor ([`Monitored`]). A fault that does
//! ([`Ask`]) waits in the monitor's queue until somebody has filled the page; then it is tried
//! again. Whoever changes watched memory tells the monitor and waits until that was read.
//!
//! Lock order: an address space's areas, then a monitor's queue. No lock is held in a wait.
//!
//! - `ask`: a fault that waits; `tell`: a change that does; `queue`: both, and who reads them
//! - `register`: which areas are watched
//! - `fill`: how pages get there; `guard`: how writes to them are watched; `transfer`: how they
//!   come from elsewhere
//! - [`crate::events::userfault`] is the descriptor

mod ask;
mod fill;
mod guard;
mod queue;
mod register;
mod tell;
#[cfg(test)]
mod tests;
mod transfer;

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use abi::userfault::{Features, RegisterModes};
use spin::{Mutex, Once};

use crate::error::{Because, Result};
use crate::system::System;
use crate::wait::WaitQueue;

use super::address_space::AddressSpace;
use queue::Queue;

pub(super) use ask::Ask;
pub(crate) use fill::Filling;
pub(crate) use queue::News;
pub(super) use tell::Told;
pub(crate) use transfer::Holes;

/// Whose faults are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everybody's.
    All,
    /// Those of the application's own instructions: `UFFD_USER_MODE_ONLY`.
    Application,
}

/// Who resolves page faults of an address space.
pub(crate) struct Monitor {
    system: Arc<System>,
    memory: Weak<AddressSpace>,
    pub(crate) scope: Scope,
    /// What was agreed on, once it was.
    features: Once<Features>,
    queue: Mutex<Queue>,
    /// Whether somebody has ever had a descriptor of it.
    has_reader: AtomicBool,
    /// Woken when there is something to read.
    pub(crate) news: WaitQueue,
}

/// That a monitor resolves faults of an area, and which.
#[derive(Clone)]
pub(crate) struct Monitored {
    pub(super) monitor: Arc<Monitor>,
    pub(super) modes: RegisterModes,
}

impl PartialEq for Monitored {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.monitor, &other.monitor) && self.modes == other.modes
    }
}

impl Monitor {
    /// What there is.
    pub(crate) const FEATURES: Features = Features::PAGEFAULT_FLAG_WP
        .union(Features::EVENT_FORK)
        .union(Features::EVENT_REMAP)
        .union(Features::EVENT_REMOVE)
        .union(Features::EVENT_UNMAP)
        .union(Features::MISSING_SHMEM)
        .union(Features::MINOR_SHMEM)
        .union(Features::SIGBUS)
        .union(Features::THREAD_ID)
        .union(Features::EXACT_ADDRESS)
        .union(Features::POISON)
        .union(Features::MOVE);

    /// A monitor of `memory` that watches nothing yet.
    pub(crate) fn new(system: &Arc<System>, memory: &Arc<AddressSpace>, scope: Scope) -> Arc<Self> {
        Self::of(system, &memory.this, scope)
    }

    fn of(system: &Arc<System>, memory: &Weak<AddressSpace>, scope: Scope) -> Arc<Self> {
        Arc::new(Self {
            system: system.clone(),
            memory: memory.clone(),
            scope,
            features: Once::new(),
            queue: Mutex::default(),
            has_reader: AtomicBool::new(false),
            news: WaitQueue::new(),
        })
    }

    /// Agrees on `features`, once: `UFFDIO_API`.
    ///
    /// # Errors
    /// `EINVAL` the second time.
    pub(crate) fn agree(&self, features: Features) -> Result<()> {
        if self.features.is_completed() {
            return Err(Errno::EINVAL.because("features were agreed on before"));
        }
        self.features.call_once(|| features);
        Ok(())
    }

    /// Notes that there is a descriptor of it, whose end will be [`Monitor::release`].
    pub(crate) fn add_reader(&self) {
        self.has_reader.store(true, Ordering::Relaxed);
    }

    fn has_reader(&self) -> bool {
        self.has_reader.load(Ordering::Relaxed)
    }

    /// Whether features were agreed on: nothing works before.
    pub(crate) fn is_ready(&self) -> bool {
        self.features.is_completed()
    }

    /// What was agreed on; nothing before.
    pub(crate) fn features(&self) -> Features {
        self.features.get().copied().unwrap_or_default()
    }

    /// Whether this was agreed on.
    fn has(&self, feature: Features) -> bool {
        self.features.get().is_some_and(|agreed| agreed.contains(feature))
    }

    /// The memory it watches.
    ///
    /// # Errors
    /// `gone` when that is no longer there.
    fn memory(&self, gone: Errno) -> Result<Arc<AddressSpace>> {
        self.memory.upgrade().ok_or_else(|| gone.because("the memory is no longer there"))
    }

    /// Lets go of all that it watches: nobody reads it any more. Called with no lock held.
    pub(crate) fn release(&self) {
        // From here on, whoever is asked goes on at once.
        let waiting = self.queue.lock().release();
        if let Some(memory) = self.memory.upgrade() {
            memory.forget_monitor(self);
        }
        waiting.iter().for_each(|thread| thread.unpark());
    }
}
