//! Counters that can be waited for: eventfd(2).

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{File, Inode, OpenFile, PollEvents, Positions, anonymous};
use crate::io::{Sink, Source};
use crate::wait::WaitQueue;

/// The largest value that a write can leave.
const LARGEST: u64 = u64::MAX - 1;

/// What a read takes from a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// All of it.
    All,
    /// 1, as from a semaphore.
    One,
}

/// A counter.
pub struct Counter {
    inode: Arc<dyn Inode>,
    number: u32,
    take: Take,
    value: Mutex<u64>,
    /// Woken when the value has changed.
    changed: WaitQueue,
}

impl Counter {
    /// A counter that stands at `value`.
    pub(crate) fn new(value: u32, take: Take) -> Self {
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        Self {
            inode: anonymous::inode("[eventfd]"),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            take,
            value: Mutex::new(u64::from(value)),
            changed: WaitQueue::new(),
        }
    }

    /// Takes what a read gives, unless the counter stands at 0.
    fn take(&self) -> Option<u64> {
        let mut value = self.value.lock();
        let taken = match self.take {
            Take::All => *value,
            Take::One => 1.min(*value),
        };
        *value -= taken;
        (taken > 0).then_some(taken)
    }

    /// Adds `more`, unless that would be too much.
    fn add(&self, more: u64) -> Option<()> {
        let mut value = self.value.lock();
        *value = value.checked_add(more).filter(|&sum| sum <= LARGEST)?;
        Some(())
    }

    /// Adds 1 on behalf of the kernel, which does not wait: a counter that is full overflows.
    pub(crate) fn signal(&self) {
        {
            let mut value = self.value.lock();
            *value = value.saturating_add(1);
        }
        self.changed.wake(PollEvents::IN | PollEvents::ERR);
    }

    fn wait<T>(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        cx.block_on(&[&self.changed], open.patience(), || Ok(ready()))
    }
}

impl File for Counter {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        if to.remaining() < size_of::<u64>() {
            return Err(Errno::EINVAL.because("the buffer is shorter than 8 bytes"));
        }
        let taken = self.wait(cx, open, || self.take())?;
        self.changed.wake(PollEvents::OUT);
        to.put(&taken.to_ne_bytes())
    }

    fn write(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let mut bytes = [0; size_of::<u64>()];
        if from.remaining() < bytes.len() {
            return Err(Errno::EINVAL.because("the buffer is shorter than 8 bytes"));
        }
        if from.take(&mut bytes)? < bytes.len() {
            return Err(Errno::EFAULT.because("bad address"));
        }
        let more = u64::from_ne_bytes(bytes);
        if more > LARGEST {
            return Err(Errno::EINVAL.because("more than can ever be added"));
        }
        self.wait(cx, open, || self.add(more))?;
        self.changed.wake(PollEvents::IN);
        Ok(bytes.len())
    }

    fn poll(&self) -> PollEvents {
        let value = *self.value.lock();
        let mut events = PollEvents::empty();
        events.set(PollEvents::IN, value > 0);
        events.set(PollEvents::ERR, value == u64::MAX);
        events.set(PollEvents::OUT, value < LARGEST);
        events
    }

    fn counter(&self) -> Option<&Counter> {
        Some(self)
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn describe(&self, _: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(out, "eventfd-count: {:16x}", *self.value.lock())?;
        writeln!(out, "eventfd-id: {}", self.number)?;
        writeln!(out, "eventfd-semaphore: {}", u32::from(self.take == Take::One))
    }
}
