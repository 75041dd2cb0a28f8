//! In which order requests begin, and what their end is for others: links, and what waits until
//! all before it has ended.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use abi::Errno;
use abi::io_uring::RequestFlags;

use super::operation::Operation;
use super::request::{Finished, Request};
use super::ring::Ring;
use super::timeout::Counted;

/// The requests that have not ended.
#[derive(Default)]
pub(super) struct Order {
    next_number: u64,
    /// All, by number.
    all: BTreeMap<u64, Arc<Request>>,
    /// The first of chains that cannot begin yet.
    waiting: VecDeque<Chain>,
    /// Those that others must wait for.
    draining: Option<RangeInclusive<u64>>,
    /// How many have ended that are no timeouts.
    ended: u32,
    /// The timeouts that wait for that.
    counted: Vec<Counted>,
}

/// Requests that are linked to each other, or one alone.
pub(super) struct Chain {
    first: Arc<Request>,
    last: u64,
    /// Whether it waits for all before it.
    drains: bool,
}

impl Chain {
    /// The chain of these requests, which are in order and not none.
    pub(super) fn of(requests: Vec<Arc<Request>>) -> Option<Self> {
        let drains = requests.iter().any(|one| one.flags.contains(RequestFlags::IO_DRAIN));
        let last = requests.last()?.number;
        let mut later = None;
        for request in requests.into_iter().rev() {
            *request.next.lock() = later;
            later = Some(request);
        }
        later.map(|first| Self { first, last, drains })
    }

    /// The first of them.
    pub(super) fn into_first(self) -> Arc<Request> {
        self.first
    }
}

impl Order {
    /// A number for a new request.
    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Notes a request.
    pub(super) fn add(&mut self, request: &Arc<Request>) {
        self.all.insert(request.number, request.clone());
    }

    /// How many requests have not ended.
    pub(super) fn under_way(&self) -> usize {
        self.all.len()
    }

    /// All that match.
    pub(super) fn find(&self, matches: impl Fn(&Request) -> bool) -> Vec<Arc<Request>> {
        self.all.values().filter(|one| matches(one)).cloned().collect()
    }

    /// Lets a timeout end after `count` more requests.
    pub(super) fn count(&mut self, timeout: Arc<Request>, count: u32) {
        self.counted.push(Counted::new(timeout, self.ended.wrapping_add(count)));
    }

    /// Takes the timeouts after whose number of requests there have been.
    pub(super) fn take_counted(&mut self) -> Vec<Arc<Request>> {
        let ended = self.ended;
        let over = self.counted.extract_if(.., |one| one.is_over(ended));
        over.map(Counted::into_timeout).collect()
    }

    /// Takes the next chain that can begin.
    fn next(&mut self) -> Option<Arc<Request>> {
        if let Some(draining) = &self.draining {
            if self.all.range(draining.clone()).next().is_some() {
                return None;
            }
            self.draining = None;
        }
        let front = self.waiting.front()?;
        let first_of_all = self.all.first_key_value().map(|(number, _)| *number);
        if front.drains && first_of_all.is_some_and(|number| number < front.first.number) {
            return None;
        }
        let chain = self.waiting.pop_front()?;
        if chain.drains {
            self.draining = Some(chain.first.number..=chain.last);
        }
        Some(chain.first)
    }
}

impl Ring {
    /// Lets a chain begin as soon as it can; returns its first request where that is now.
    pub(super) fn queue(&self, chain: Chain) -> Option<Arc<Request>> {
        let mut order = self.order.lock();
        let is_next = order.waiting.is_empty();
        order.waiting.push_back(chain);
        if is_next { order.next() } else { None }
    }

    /// Ends a request, unless it has ended; what was linked to it begins, or ends with it.
    pub(super) fn end(&self, request: &Request, result: i32) {
        let Some(finished) = request.finish() else { return };
        self.leave(request, result, &finished);
        if let Some(limit) = finished.limit {
            self.end_with(&limit, Errno::ECANCELED);
        }
        let next = request.next.lock().take();
        if let Some(next) = next {
            let goes_on = request.is_linked_firmly() || !request.has_failed(result);
            if !goes_on || !next.go_on() {
                self.cancel_chain(next);
            }
        }
        self.begin_waiting();
        self.end_counted_timeouts();
    }

    /// Ends a request with an error.
    pub(super) fn end_with(&self, request: &Request, errno: Errno) {
        self.end(request, -i32::from(errno.number()));
    }

    /// Ends requests that were linked to one that failed. What could not have begun says why.
    pub(super) fn cancel_chain(&self, first: Arc<Request>) {
        let mut next = Some(first);
        while let Some(request) = next {
            next = request.next.lock().take();
            let errno = match &request.operation {
                Operation::Invalid(errno) => *errno,
                _ => Errno::ECANCELED,
            };
            if let Some(finished) = request.finish() {
                self.leave(&request, -i32::from(errno.number()), &finished);
            }
        }
    }

    /// Takes a request that has ended out, and tells its result.
    fn leave(&self, request: &Request, result: i32, finished: &Finished) {
        let taken = {
            let mut order = self.order.lock();
            if !request.operation.is_timeout() {
                order.ended = order.ended.wrapping_add(1);
            }
            order.all.remove(&request.number)
        };
        let is_silent = request.flags.contains(RequestFlags::CQE_SKIP_SUCCESS);
        if !is_silent || request.has_failed(result) {
            self.post(&request.completion(result, 0), finished.moment);
        }
        drop(taken);
    }

    /// Lets what waited for its turn begin.
    fn begin_waiting(&self) {
        loop {
            let Some(next) = self.order.lock().next() else { return };
            if !next.go_on() {
                self.cancel_chain(next);
            }
        }
    }

    /// Takes a chain out that has not begun; returns whether it was there.
    pub(super) fn take_waiting(&self, first: &Request) -> bool {
        let mut order = self.order.lock();
        let at = order.waiting.iter().position(|chain| core::ptr::eq(&*chain.first, first));
        let taken = at.and_then(|at| order.waiting.remove(at));
        drop(order);
        taken.is_some()
    }
}
