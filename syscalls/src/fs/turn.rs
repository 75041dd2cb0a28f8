//! A lock that may be held while its holder waits or copies from the application, which no
//! spin lock may: for the position of an open file and for the writers of an inode.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::context::Context;
use crate::error::Result;
use crate::wait::{Interruption, WaitQueue};

/// Whose turn it is.
#[derive(Default)]
pub(crate) struct Turn {
    taken: AtomicBool,
    waiting: WaitQueue,
}

/// It is the turn of whoever holds this.
pub(crate) struct Taken<'a>(&'a Turn);

impl Turn {
    /// Nobody's turn.
    pub(crate) const fn new() -> Self {
        Self { taken: AtomicBool::new(false), waiting: WaitQueue::new() }
    }

    /// Waits until it is nobody's turn and takes it.
    ///
    /// # Errors
    /// `ERESTARTSYS` when a signal is to be delivered.
    pub(crate) fn take<'a>(&'a self, cx: &Context<'_>) -> Result<Taken<'a>> {
        if !self.try_take() {
            let take = || Ok(self.try_take().then_some(()));
            cx.with_waiting(|| cx.wait_until(&[&self.waiting], None, Interruption::Restart, take))?;
        }
        Ok(Taken(self))
    }

    fn try_take(&self) -> bool {
        self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::SeqCst);
        self.0.waiting.wake_all();
    }
}
