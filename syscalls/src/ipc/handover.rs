//! What somebody else does for a thread that waits: it gets the answer, and need not compete
//! for it.

use alloc::sync::Weak;

use spin::Mutex;

use crate::context::Context;
use crate::error::Result;
use crate::process::Thread;
use crate::wait::Interruption;

/// A thread that waits, and the answer that it is given.
pub(super) struct Handover<T> {
    thread: Weak<Thread>,
    answer: Mutex<Option<T>>,
}

impl<T> Handover<T> {
    /// For the caller, which will wait.
    pub(super) fn new(cx: &Context<'_>) -> Self {
        // Whoever gives the answer must find the machine's side of the waiter.
        cx.thread.machine();
        Self { thread: cx.thread.downgrade(), answer: Mutex::new(None) }
    }

    /// Gives the answer.
    pub(super) fn give(&self, answer: T) {
        *self.answer.lock() = Some(answer);
        if let Some(thread) = self.thread.upgrade() {
            thread.unpark();
        }
    }

    /// The answer, if it has been given.
    pub(super) fn take(&self) -> Option<T> {
        self.answer.lock().take()
    }

    /// Waits for the answer; `None` when the monotonic deadline comes first.
    ///
    /// # Errors
    /// `ERESTARTNOHAND` when a signal comes.
    pub(super) fn wait(&self, cx: &Context<'_>, deadline_ns: Option<u64>) -> Result<Option<T>> {
        cx.wait_until(&[], deadline_ns, Interruption::NoRestart, || Ok(self.take()))
    }
}
