//! What a thread has of rings: the requests of its own that can go on.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;

use crate::context::Context;
use crate::machine::Registers;
use crate::process::{Attention, Thread};

use super::request::Request;
use super::ring::Ring;

/// The requests of a thread.
#[derive(Default)]
pub(crate) struct OwnRequests {
    /// Those that can go on.
    ready: Mutex<VecDeque<Arc<Request>>>,
    /// Whether it goes on with one: what that waits for does not make it begin another.
    is_running: AtomicBool,
    /// Where it has submitted some.
    rings: Mutex<Vec<Weak<Ring>>>,
}

impl Thread {
    /// Lets the thread go on with a request of its own.
    pub(super) fn go_on_with(&self, request: Arc<Request>) {
        self.requests.ready.lock().push_back(request);
        self.attention.set(Attention::REQUESTS);
        self.unpark();
        self.interrupt();
    }

    /// Notes that the thread submits requests to `ring`.
    pub(super) fn uses(&self, ring: &Ring) {
        let mut rings = self.requests.rings.lock();
        if !rings.iter().any(|known| core::ptr::eq(known.as_ptr(), ring)) {
            rings.retain(|known| known.strong_count() > 0);
            rings.push(ring.this.clone());
        }
    }

    /// Goes on with its requests; returns whether there were any. Only the thread itself may.
    pub(crate) fn run_requests(&self, cx: &Context<'_>) -> bool {
        let own = &self.requests;
        if !self.attention.has(Attention::REQUESTS) || own.is_running.swap(true, Ordering::Relaxed)
        {
            return false;
        }
        self.attention.clear(Attention::REQUESTS);
        // Those that come meanwhile have their turn later.
        let mut rest = own.ready.lock().len();
        while rest > 0 && !self.attention.has(Attention::EXIT) {
            let Some(request) = self.next_request() else { break };
            cx.without_waiting(|| request.run(cx));
            cx.system.machine.reschedule();
            rest -= 1;
        }
        if !own.ready.lock().is_empty() {
            self.attention.set(Attention::REQUESTS);
        }
        own.is_running.store(false, Ordering::Relaxed);
        true
    }

    fn next_request(&self) -> Option<Arc<Request>> {
        self.requests.ready.lock().pop_front()
    }

    /// As [`Thread::run_requests`], on the way back to the application.
    pub(crate) fn run_requests_outside(&self, registers: &mut Registers) {
        if self.attention.has(Attention::REQUESTS) {
            let cell = Cell::from_mut(registers);
            let cx = Context::new(self.system(), self.process(), self, cell);
            self.run_requests(&cx);
        }
    }

    /// Ends all its requests: the thread ends, or becomes another program.
    pub(crate) fn cancel_requests(&self) {
        let rings = core::mem::take(&mut *self.requests.rings.lock());
        for ring in rings.iter().filter_map(Weak::upgrade) {
            ring.cancel_of(self);
        }
        let ready = core::mem::take(&mut *self.requests.ready.lock());
        drop(ready);
        self.attention.clear(Attention::REQUESTS);
    }
}
