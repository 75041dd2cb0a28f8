//! The ring of results.

use alloc::collections::VecDeque;

use abi::io_uring::{CQ_EVENTFD_DISABLED, CQE_F_MORE, Completion, SQ_CQ_OVERFLOW};
use spin::Mutex;

use crate::fs::PollEvents;

use super::memory::{RingMemory, at};
use super::registered::Notice;
use super::request::Request;
use super::ring::Ring;

/// What is known of the ring of results.
#[derive(Default)]
pub(super) struct Results {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many there have been.
    tail: u32,
    /// Those that do not fit.
    backlog: VecDeque<Completion>,
}

/// When there is a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// While the request is submitted.
    AtOnce,
    /// Some time after.
    Later,
}

impl State {
    /// How many results the application has not taken; all of them, where it says nonsense.
    fn untaken(&self, memory: &RingMemory) -> u32 {
        let untaken = self.tail.wrapping_sub(memory.get(at::CQ_HEAD));
        untaken.min(memory.cq_entries())
    }

    /// Stores a result, where there is room.
    fn put(&mut self, memory: &RingMemory, completion: &Completion) -> bool {
        if self.untaken(memory) >= memory.cq_entries() {
            return false;
        }
        memory.put(self.tail, completion);
        self.tail = self.tail.wrapping_add(1);
        memory.set(at::CQ_TAIL, self.tail);
        true
    }
}

impl Results {
    /// How many results wait to be taken.
    pub(super) fn count(&self, memory: &RingMemory) -> u32 {
        self.state.lock().untaken(memory)
    }

    /// Whether some wait that did not fit.
    pub(super) fn has_backlog(&self) -> bool {
        !self.state.lock().backlog.is_empty()
    }

    /// Whether more results wait outside the ring than there is room for in it.
    pub(super) fn is_behind(&self, memory: &RingMemory) -> bool {
        self.state.lock().backlog.len() > memory.cq_entries() as usize
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self, memory: &RingMemory) -> bool {
        let state = self.state.lock();
        state.backlog.is_empty() && state.untaken(memory) < memory.cq_entries()
    }

    /// Adds a result; where it does not fit it waits, and the application is told.
    fn add(&self, memory: &RingMemory, completion: &Completion) {
        let mut state = self.state.lock();
        if state.backlog.is_empty() && state.put(memory, completion) {
            return;
        }
        if state.backlog.try_reserve(1).is_err() {
            memory.set(at::CQ_OVERFLOW, memory.get(at::CQ_OVERFLOW).wrapping_add(1));
            return;
        }
        state.backlog.push_back(*completion);
        memory.set_flag(at::SQ_FLAGS, SQ_CQ_OVERFLOW, true);
    }

    /// Stores what did not fit before and does now.
    pub(super) fn flush(&self, memory: &RingMemory) {
        let mut state = self.state.lock();
        while let Some(first) = state.backlog.front().copied() {
            if !state.put(memory, &first) {
                return;
            }
            state.backlog.pop_front();
        }
        memory.set_flag(at::SQ_FLAGS, SQ_CQ_OVERFLOW, false);
    }
}

impl Ring {
    /// Adds a result of a request that goes on, as long as there is room. Where there is none the
    /// request ends, so that none fills the memory by itself: returns whether it goes on.
    pub(super) fn post_more(&self, request: &Request, result: i32) -> bool {
        let goes_on = self.results.has_room(&self.memory);
        if goes_on {
            self.post(&request.completion(result, CQE_F_MORE), Moment::Later);
        }
        goes_on
    }

    /// Adds a result, and tells who waits for one.
    pub(super) fn post(&self, completion: &Completion, moment: Moment) {
        self.results.add(&self.memory, completion);
        self.changed.wake(PollEvents::IN | PollEvents::RDNORM);
        if self.memory.get(at::CQ_FLAGS) & CQ_EVENTFD_DISABLED != 0 {
            return;
        }
        let event = self.registered.lock().event.clone();
        if let Some((open, notice)) = event
            && (notice == Notice::OfAll || moment == Moment::Later)
            && let Some(counter) = open.file.counter()
        {
            counter.signal();
        }
    }
}
