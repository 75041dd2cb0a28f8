//! A pair of rings.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use abi::Errno;
use abi::io_uring::{CompletionOffsets, SetupFlags, SubmissionOffsets};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::mm::SharedMemory;
use crate::wait::{Interruption, WaitQueue};

use super::memory::RingMemory;
use super::order::Order;
use super::registered::Registered;
use super::results::Results;

/// A pair of rings: io_uring_setup(2).
pub struct Ring {
    pub(super) this: Weak<Self>,
    pub(super) memory: RingMemory,
    pub(super) flags: SetupFlags,
    /// The only thread that submits; 0 where it is not said.
    issuer: AtomicU32,
    is_enabled: AtomicBool,
    /// How many requests have been taken.
    pub(super) taken: Mutex<u32>,
    pub(super) order: Mutex<Order>,
    pub(super) results: Results,
    pub(super) registered: Mutex<Registered>,
    /// Woken when there is a result, or room for requests.
    pub(super) changed: WaitQueue,
}

impl Ring {
    /// A new pair of rings for so many requests and results, both powers of two.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(cx: &Context<'_>, entries: [u32; 2], flags: SetupFlags) -> Result<Arc<Self>> {
        let memory = RingMemory::new(&cx.system.machine, entries, flags)?;
        let is_enabled = !flags.contains(SetupFlags::R_DISABLED);
        let ring = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            memory,
            flags,
            issuer: AtomicU32::new(0),
            is_enabled: AtomicBool::new(false),
            taken: Mutex::new(0),
            order: Mutex::default(),
            results: Results::default(),
            registered: Mutex::default(),
            changed: WaitQueue::new(),
        });
        if is_enabled {
            ring.enable(cx)?;
        }
        Ok(ring)
    }

    /// Lets requests be submitted: `IORING_REGISTER_ENABLE_RINGS`.
    ///
    /// # Errors
    /// `EBADFD` where they can be already.
    pub(crate) fn enable(&self, cx: &Context<'_>) -> Result<()> {
        if self.is_enabled.swap(true, Ordering::Relaxed) {
            return Err(Errno::EBADFD.because("the ring is enabled"));
        }
        if self.flags.contains(SetupFlags::SINGLE_ISSUER) {
            self.issuer.store(cx.thread.id(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Fails unless the caller may submit requests.
    ///
    /// # Errors
    /// `EBADFD` while the ring is disabled; `EEXIST` for another thread than the only one.
    pub(crate) fn check_issuer(&self, cx: &Context<'_>) -> Result<()> {
        if !self.is_enabled.load(Ordering::Relaxed) {
            return Err(Errno::EBADFD.because("the ring is not enabled yet"));
        }
        let issuer = self.issuer.load(Ordering::Relaxed);
        if issuer != 0 && issuer != cx.thread.id() {
            return Err(Errno::EEXIST.because("another thread is the only one that submits"));
        }
        Ok(())
    }

    /// Where in its memory is what.
    pub(crate) fn offsets(&self) -> (SubmissionOffsets, CompletionOffsets) {
        self.memory.offsets()
    }

    /// What mmap(2) shows of it from this offset on.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(super) fn region(&self, offset: u64) -> Result<Arc<SharedMemory>> {
        self.memory.region(offset)
    }

    /// Waits until there are `least` results, or the monotonic deadline has come: returns
    /// whether there are.
    ///
    /// # Errors
    /// `EINTR`.
    pub(crate) fn wait(
        &self,
        cx: &Context<'_>,
        least: u32,
        deadline_ns: Option<u64>,
    ) -> Result<bool> {
        let least = least.min(self.memory.cq_entries());
        let enough = || {
            self.results.flush(&self.memory);
            Ok((self.results.count(&self.memory) >= least).then_some(()))
        };
        let queues = [&self.changed];
        let waited = cx.wait_until(&queues, deadline_ns, Interruption::Fail, enough)?;
        Ok(waited.is_some())
    }
}
