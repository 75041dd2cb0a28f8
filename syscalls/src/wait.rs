//! Waiting: the one mechanism on which blocking reads, poll, futexes and sleep are built.
//!
//! Who may have to wait calls [`Context::wait_until`]; who changes something that others may
//! wait for calls [`WaitQueue::wake_all`] after the change, with no lock held.

use alloc::sync::Weak;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::Errno;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::process::{Attention, Thread};

/// Threads that wait for a change of the object this queue belongs to.
#[derive(Default)]
pub struct WaitQueue {
    waiters: Mutex<Vec<Weak<Thread>>>,
    /// Length of `waiters`: waking nobody costs one load.
    count: AtomicUsize,
}

impl WaitQueue {
    /// A queue in which nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiters: Mutex::new(Vec::new()), count: AtomicUsize::new(0) }
    }

    /// Lets every waiting thread look again.
    pub fn wake_all(&self) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        for waiter in self.waiters.lock().iter().filter_map(Weak::upgrade) {
            waiter.unpark();
        }
    }

    fn add(&self, thread: &Thread) {
        let mut waiters = self.waiters.lock();
        waiters.push(thread.downgrade());
        self.count.store(waiters.len(), Ordering::SeqCst);
    }

    fn remove(&self, thread: &Thread) {
        let mut waiters = self.waiters.lock();
        if let Some(at) = waiters.iter().position(|waiter| core::ptr::eq(waiter.as_ptr(), thread)) {
            waiters.swap_remove(at);
        }
        self.count.store(waiters.len(), Ordering::SeqCst);
    }
}

/// Whether a wait may be ended by a signal, and how its call goes on then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Restarted after a handler with `SA_RESTART`, otherwise `EINTR` (read, wait4 …).
    Restart,
    /// Always `EINTR` when a handler ran; restarted when none did (poll, pause, nanosleep …).
    NoRestart,
    /// Only by the end of the process (vfork).
    Never,
}

impl Interruption {
    /// The error of a wait of `thread` that a signal ends; `None` while nothing ends it.
    fn of(self, thread: &Thread) -> Option<Error> {
        let (errno, ends) = match self {
            Self::Restart => (Errno::ERESTARTSYS, Attention::SIGNAL | Attention::EXIT),
            Self::NoRestart => (Errno::ERESTARTNOHAND, Attention::SIGNAL | Attention::EXIT),
            Self::Never => (Errno::EINTR, Attention::EXIT),
        };
        thread.attention.has(ends).then(|| errno.because("interrupted by a signal"))
    }
}

impl Context<'_> {
    /// Waits until `ready` has a value, looking first at once and then whenever one of
    /// `queues` is woken. Returns `None` when the monotonic `deadline_ns` comes first.
    ///
    /// `ready` is called with no lock held; it may take locks but not wait.
    ///
    /// # Errors
    /// `ERESTARTSYS` or `ERESTARTNOHAND`, as `interruption` says, when a signal is to be
    /// delivered; the errors of `ready`.
    pub fn wait_until<T>(
        &self,
        queues: &[&WaitQueue],
        deadline_ns: Option<u64>,
        interruption: Interruption,
        mut ready: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if let Some(value) = ready()? {
            return Ok(Some(value));
        }
        // Whoever wakes a queue must find the machine's side of its waiters.
        self.thread.machine();
        for queue in queues {
            queue.add(self.thread);
        }
        let result = self.park_until(deadline_ns, interruption, &mut ready);
        for queue in queues {
            queue.remove(self.thread);
        }
        result
    }

    fn park_until<T>(
        &self,
        deadline_ns: Option<u64>,
        interruption: Interruption,
        ready: &mut impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        loop {
            if let Some(value) = ready()? {
                return Ok(Some(value));
            }
            if let Some(interrupted) = interruption.of(self.thread) {
                return Err(interrupted);
            }
            if deadline_ns.is_some_and(|at| self.system.machine.monotonic_ns() >= at) {
                return Ok(None);
            }
            self.thread.park(deadline_ns);
        }
    }
}
