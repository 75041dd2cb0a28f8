//! Waiting: the one mechanism on which blocking reads, poll, epoll, futexes and sleep are built.
//!
//! Who may have to wait calls [`Context::wait_until`]; who changes something that others may
//! wait for calls [`WaitQueue::wake_all`], or [`WaitQueue::wake`] with what has become true,
//! after the change, with no lock held. Who wants to be told without waiting is an [`Observer`].

use alloc::sync::Weak;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::Errno;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::PollEvents;
use crate::process::{Attention, Thread};

/// Who is told of changes without waiting for them: an epoll instance, for one of its files.
pub(crate) trait Observer: Send + Sync {
    /// Some of `events` may have become true. Returns whether a thread was woken by that.
    ///
    /// Called with the lock of the queue held: it takes no lock but its own and those of the
    /// queues of its own waiters, or those it takes to send a signal, and drops no file.
    fn notify(&self, events: PollEvents) -> bool;
}

/// How an [`Observer`] shares the news with others of the same queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// It hears of everything.
    All,
    /// Of those that say so, only the first is told that then wakes a thread
    /// (`EPOLLEXCLUSIVE`).
    First,
}

/// Threads and observers that wait for a change of the object this queue belongs to.
#[derive(Default)]
pub struct WaitQueue {
    waiters: Mutex<Vec<Waiter>>,
    /// Length of `waiters`: waking nobody costs one load.
    count: AtomicUsize,
}

enum Waiter {
    Thread(Weak<Thread>),
    Observer(Weak<dyn Observer>, Sharing),
}

impl Waiter {
    /// The address of what waits.
    fn address(&self) -> *const () {
        match self {
            Self::Thread(thread) => thread.as_ptr().cast(),
            Self::Observer(observer, _) => observer.as_ptr().cast(),
        }
    }
}

impl WaitQueue {
    /// A queue in which nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiters: Mutex::new(Vec::new()), count: AtomicUsize::new(0) }
    }

    /// Lets every waiting thread look again: anything may have changed.
    pub fn wake_all(&self) {
        self.wake(PollEvents::all());
    }

    /// Lets every waiting thread look again: some of `events` have become true.
    pub fn wake(&self, events: PollEvents) {
        if !self.has_waiters() {
            return;
        }
        let waiters = self.waiters.lock();
        for waiter in waiters.iter() {
            if let Waiter::Thread(thread) = waiter
                && let Some(thread) = thread.upgrade()
            {
                thread.unpark();
            }
        }
        // As on Linux, of the observers the latest is told first.
        let observers = |wanted: Sharing| {
            move |waiter: &Waiter| match waiter {
                Waiter::Observer(observer, sharing) if *sharing == wanted => observer.upgrade(),
                _ => None,
            }
        };
        for observer in waiters.iter().rev().filter_map(observers(Sharing::All)) {
            observer.notify(events);
        }
        let mut sharing = waiters.iter().filter_map(observers(Sharing::First));
        sharing.any(|observer| observer.notify(events));
    }

    /// Whether anybody waits.
    pub(crate) fn has_waiters(&self) -> bool {
        self.count.load(Ordering::SeqCst) != 0
    }

    fn add(&self, thread: &Thread) {
        self.push(Waiter::Thread(thread.downgrade()));
    }

    fn remove(&self, thread: &Thread) {
        self.take(core::ptr::from_ref(thread).cast());
    }

    /// Adds an observer.
    pub(crate) fn observe(&self, observer: Weak<dyn Observer>, sharing: Sharing) {
        self.push(Waiter::Observer(observer, sharing));
    }

    /// Removes an observer, if it is there.
    pub(crate) fn forget(&self, observer: *const dyn Observer) {
        self.take(observer.cast());
    }

    fn push(&self, waiter: Waiter) {
        let mut waiters = self.waiters.lock();
        waiters.push(waiter);
        self.count.store(waiters.len(), Ordering::SeqCst);
    }

    fn take(&self, address: *const ()) {
        let mut waiters = self.waiters.lock();
        let taken = waiters.iter().position(|waiter| waiter.address() == address);
        let taken = taken.map(|at| waiters.remove(at));
        self.count.store(waiters.len(), Ordering::SeqCst);
        drop(waiters);
        drop(taken);
    }
}

/// Whether a wait may be ended by a signal, and how its call goes on then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Restarted after a handler with `SA_RESTART`, otherwise `EINTR` (read, wait4 …).
    Restart,
    /// Always `EINTR` when a handler ran; restarted when none did (poll, pause, nanosleep …).
    NoRestart,
    /// Always `EINTR`, also after a stop without a handler (epoll_wait, inotify …).
    Fail,
    /// Only by the end of the process (vfork).
    Never,
}

impl Thread {
    /// Waits at the end of the thread until `is_done`, which is asked whenever `queue` is woken:
    /// nothing else ends the wait.
    pub(crate) fn wait_at_end(&self, queue: &WaitQueue, is_done: impl Fn() -> bool) {
        // Whoever wakes the queue must find the machine's side of the thread.
        self.machine();
        queue.add(self);
        while !is_done() {
            self.park(None);
        }
        queue.remove(self);
    }
}

/// How long a call waits for what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all: `O_NONBLOCK`, `MSG_DONTWAIT`.
    None,
    /// Until this time of the monotonic clock, in nanoseconds: `SO_RCVTIMEO`. As signal(7) has
    /// it, a signal then always fails the call.
    Until(u64),
    /// Until it is there, or a signal comes after whose handler the call may go on.
    Forever,
}

impl Interruption {
    /// The error of a wait of `thread` that a signal ends; `None` while nothing ends it.
    fn of(self, thread: &Thread) -> Option<Error> {
        let (errno, ends) = match self {
            Self::Restart => (Errno::ERESTARTSYS, Attention::INTERRUPTIONS),
            Self::NoRestart => (Errno::ERESTARTNOHAND, Attention::INTERRUPTIONS),
            Self::Fail => (Errno::EINTR, Attention::INTERRUPTIONS),
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
    /// delivered; `EAGAIN` in [`Context::without_waiting`]; the errors of `ready`.
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
        if interruption != Interruption::Never && !self.may_wait() {
            return Err(Errno::EAGAIN.because("it would have to wait"));
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

    /// Waits as [`Context::wait_until`] does, as long as `patience` lasts.
    ///
    /// # Errors
    /// `EAGAIN` when it does not last; those of [`Context::wait_until`].
    pub(crate) fn block_on<T>(
        &self,
        queues: &[&WaitQueue],
        patience: Patience,
        mut ready: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let done = match patience {
            Patience::None => ready()?,
            Patience::Until(at) => self.wait_until(queues, Some(at), Interruption::Fail, ready)?,
            Patience::Forever => self.wait_until(queues, None, Interruption::Restart, ready)?,
        };
        done.ok_or_else(|| Errno::EAGAIN.because("it would block"))
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
            // What the thread has asked for before may make it ready itself.
            if interruption != Interruption::Never && self.thread.run_requests(self) {
                continue;
            }
            self.thread.park(deadline_ns);
        }
    }
}
