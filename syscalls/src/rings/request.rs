//! A request and what becomes of it.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use abi::io_uring::{Completion, RequestFlags, Submission};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Fd, File, OpenFile, PollEvents};
use crate::process::Thread;
use crate::time::{Again, Owner, Timer};
use crate::wait::{Observer, Sharing, WaitQueue};

use super::operation::Operation;
use super::results::Moment;
use super::ring::Ring;

/// A request.
pub(crate) struct Request {
    pub(super) this: Weak<Self>,
    pub(super) ring: Weak<Ring>,
    /// Who submitted it, and does it.
    pub(super) thread: Weak<Thread>,
    /// Its number among those of the ring.
    pub(super) number: u64,
    pub(super) entry: Submission,
    pub(super) flags: RequestFlags,
    pub(super) operation: Operation,
    /// What begins after it: a link.
    pub(super) next: Mutex<Option<Arc<Self>>>,
    state: Mutex<State>,
    /// Whether it is in the queue of its thread.
    is_queued: AtomicBool,
}

#[derive(Default)]
struct State {
    has_begun: bool,
    has_ended: bool,
    /// What it waits for.
    watched: Option<Watched>,
    timer: Option<Arc<Timer>>,
    /// What ends it when it takes too long.
    limit: Option<Arc<Request>>,
}

/// A file that a request waits for.
#[derive(Clone)]
struct Watched {
    open: Arc<OpenFile>,
    /// The file as the caller sees it.
    view: Option<Arc<dyn File>>,
}

impl Watched {
    fn queue(&self) -> Option<&WaitQueue> {
        self.view.as_ref().unwrap_or(&self.open.file).wait_queue()
    }

    /// Lets `request` hear of it no more.
    fn forget(&self, request: &Request) {
        let observer: *const dyn Observer = core::ptr::from_ref(request);
        if let Some(queue) = self.queue() {
            queue.forget(observer);
        }
    }
}

/// How far an attempt came.
pub(super) enum Step {
    /// The request has ended with this.
    Ended(Result<i32>),
    /// It waits.
    Waits,
}

impl Request {
    /// A request of the caller, which is not begun.
    pub(super) fn new(
        cx: &Context<'_>,
        ring: &Ring,
        number: u64,
        (entry, operation): (Submission, Operation),
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            ring: ring.this.clone(),
            thread: cx.thread.downgrade(),
            number,
            entry,
            flags: RequestFlags::from_bits_retain(entry.flags),
            operation,
            next: Mutex::default(),
            state: Mutex::default(),
            is_queued: AtomicBool::new(false),
        })
    }

    /// Whether it was submitted by `thread`.
    pub(super) fn is_of(&self, thread: &Thread) -> bool {
        core::ptr::eq(self.thread.as_ptr(), thread)
    }

    /// Whether it has begun, and has not ended.
    pub(super) fn is_under_way(&self) -> bool {
        let state = self.state.lock();
        state.has_begun && !state.has_ended
    }

    /// Whether what begins after it begins also when it fails.
    pub(super) fn is_linked_firmly(&self) -> bool {
        self.flags.contains(RequestFlags::IO_HARDLINK)
    }

    /// Lets its thread begin it or go on with it; returns whether that can be.
    pub(super) fn go_on(&self) -> bool {
        let (Some(this), Some(thread)) = (self.this.upgrade(), self.thread.upgrade()) else {
            return false;
        };
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            thread.go_on_with(this);
        }
        true
    }

    /// Begins it or goes on with it. Called by its thread.
    pub(super) fn run(&self, cx: &Context<'_>) {
        self.is_queued.store(false, Ordering::SeqCst);
        let Some(ring) = self.ring.upgrade() else { return };
        let is_first = {
            let mut state = self.state.lock();
            if state.has_ended {
                return;
            }
            !core::mem::replace(&mut state.has_begun, true)
        };
        if is_first {
            self.take_limit();
        }
        match self.operation.attempt(cx, &ring, self) {
            Step::Ended(result) => ring.end(self, number_of(result)),
            Step::Waits if is_first => self.begin_limit(cx),
            Step::Waits => {}
        }
    }

    /// The file it is about.
    ///
    /// # Errors
    /// `EBADF`.
    pub(super) fn file(&self, cx: &Context<'_>, ring: &Ring) -> Result<Arc<OpenFile>> {
        if let Some(watched) = &self.state.lock().watched {
            return Ok(watched.open.clone());
        }
        let open = match self.flags.contains(RequestFlags::FIXED_FILE) {
            true => ring.registered.lock().file(self.entry.fd)?,
            false => cx.files().get(Fd(self.entry.fd))?,
        };
        if open.is_path() {
            return Err(Errno::EBADF.because("the descriptor only names a place"));
        }
        Ok(open)
    }

    /// The file it waits for.
    pub(super) fn waits_for(&self) -> Option<Arc<OpenFile>> {
        self.state.lock().watched.as_ref().map(|watched| watched.open.clone())
    }

    /// What is true of the file, as the caller sees it.
    pub(super) fn poll(&self, cx: &Context<'_>, open: &OpenFile) -> PollEvents {
        let watched = self.state.lock().watched.clone();
        match watched.and_then(|watched| watched.view).or_else(|| open.file.seen_by(cx)) {
            Some(view) => view.poll(),
            None => open.file.poll(),
        }
    }

    /// Does `work` with a file, now or when that is ready: `work` fails with `EAGAIN` as long
    /// as it is not.
    pub(super) fn when_ready(
        &self,
        cx: &Context<'_>,
        open: &Arc<OpenFile>,
        work: impl Fn() -> Result<i32>,
    ) -> Step {
        let is_unready =
            |result: &Result<i32>| matches!(result, Err(error) if error.errno == Errno::EAGAIN);
        let result = work();
        if !is_unready(&result) || !self.operation.is_patient(&self.entry) {
            return Step::Ended(result);
        }
        if self.watch(cx, open) {
            // It may have become ready just before.
            let result = work();
            if !is_unready(&result) {
                return Step::Ended(result);
            }
        }
        match self.state.lock().watched {
            Some(_) => Step::Waits,
            None => Step::Ended(result),
        }
    }

    /// Begins to hear of a file; returns whether that is new. There is nothing to hear of where
    /// the file is always ready.
    fn watch(&self, cx: &Context<'_>, open: &Arc<OpenFile>) -> bool {
        let watched = Watched { open: open.clone(), view: open.file.seen_by(cx) };
        if self.state.lock().watched.is_some() || watched.queue().is_none() {
            return false;
        }
        // Whoever wakes the queue must find the machine's side of the thread.
        cx.thread.machine();
        let observer: Weak<dyn Observer> = self.this.clone();
        if let Some(queue) = watched.queue() {
            queue.observe(observer, Sharing::All);
        }
        self.state.lock().watched = Some(watched);
        true
    }

    /// Takes the timeout that is linked to it out of the chain.
    fn take_limit(&self) {
        let mut next = self.next.lock();
        if !next.as_ref().is_some_and(|next| next.operation.is_limit()) {
            return;
        }
        let limit = next.take();
        *next = limit.as_ref().and_then(|limit| limit.next.lock().take());
        drop(next);
        self.state.lock().limit = limit;
    }

    fn begin_limit(&self, cx: &Context<'_>) {
        let limit = self.state.lock().limit.clone();
        if let Some(limit) = limit {
            limit.begin_limit_of(cx, self);
        }
    }

    /// Lets a timer end it, which `set` arms.
    pub(super) fn begin_timer(&self, cx: &Context<'_>, set: impl FnOnce(&Timer)) {
        let owner: Weak<dyn Owner> = self.this.clone();
        let timer = Timer::new(cx.system, owner, Again::WhenTold);
        let old = {
            let mut state = self.state.lock();
            state.has_begun = true;
            state.timer.replace(timer.clone())
        };
        drop(old);
        set(&timer);
    }

    /// Its timer, while it waits for that.
    pub(super) fn timer(&self) -> Option<Arc<Timer>> {
        let state = self.state.lock();
        if state.has_ended { None } else { state.timer.clone() }
    }

    /// Parts from all that it waits for; returns the timeout linked to it, and `None` where it
    /// had ended before.
    pub(super) fn finish(&self) -> Option<Finished> {
        let (watched, timer, limit) = {
            let mut state = self.state.lock();
            if core::mem::replace(&mut state.has_ended, true) {
                return None;
            }
            (state.watched.take(), state.timer.take(), state.limit.take())
        };
        let has_waited = watched.is_some() || timer.is_some();
        if let Some(watched) = watched {
            watched.forget(self);
        }
        if let Some(timer) = timer {
            timer.stop();
        }
        let moment = if has_waited { Moment::Later } else { Moment::AtOnce };
        Some(Finished { moment, limit })
    }

    /// Its result.
    pub(super) fn completion(&self, result: i32, flags: u32) -> Completion {
        Completion { user_data: self.entry.user_data, result, flags }
    }
}

/// What a request leaves when it ends.
pub(super) struct Finished {
    pub(super) moment: Moment,
    /// The timeout that was linked to it.
    pub(super) limit: Option<Arc<Request>>,
}

/// A result as the ring has it.
fn number_of(result: Result<i32>) -> i32 {
    match result {
        Ok(value) => value,
        Err(error) => -i32::from(told(error.errno).number()),
    }
}

/// The error that applications see: a request is not restarted.
fn told(errno: Errno) -> Errno {
    match errno {
        Errno::ERESTARTSYS | Errno::ERESTARTNOHAND => Errno::EINTR,
        errno => errno,
    }
}

impl Observer for Request {
    fn notify(&self, events: PollEvents) -> bool {
        let wanted = self.operation.wanted() | PollEvents::ERR | PollEvents::HUP;
        events.intersects(wanted) && self.go_on()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let watched = self.state.get_mut().watched.take();
        if let Some(watched) = watched {
            watched.forget(self);
        }
        // A long chain must not be dropped one inside the other.
        let mut next = self.next.get_mut().take();
        while let Some(request) = next {
            next = request.next.lock().take();
        }
    }
}
