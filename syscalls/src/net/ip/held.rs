//! Requests for connections that found no room at their listener, and wait for it.
//!
//! They come in bursts: when a program has been busy, or all clients of a service start at
//! once. Whoever asks repeats a lost request only after seconds (QEMU's user network after
//! six), and gives up at last; so a request is kept for as long as that.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use hashbrown::HashSet;

use super::frame::Tuple;
use crate::buffer;

/// How many requests wait at a listener.
const LIMIT: usize = 4096;

/// The longest frame of a request, in bytes: one without data, with all options there can be.
const LEN_LIMIT: usize = 192;

/// How long a request waits, in nanoseconds.
const KEPT_NS: u64 = 5_000_000_000;

/// A request for a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The number of the interface at which it arrived.
    pub(super) interface: usize,
    /// The ends of the connection.
    pub(super) tuple: Tuple,
    /// All of it.
    pub(super) frame: Vec<u8>,
    expires_ns: u64,
}

/// Those of a listener, in the order in which they came.
#[derive(Default)]
pub(super) struct Held {
    order: VecDeque<Request>,
    known: HashSet<Tuple>,
}

impl Held {
    /// Keeps a request, where there is room; a repeated one is the same.
    pub(super) fn keep(&mut self, now_ns: u64, interface: usize, tuple: Tuple, frame: &[u8]) {
        self.expire(now_ns);
        let fits = frame.len() <= LEN_LIMIT && self.order.len() < LIMIT;
        let has_memory = self.order.try_reserve(1).is_ok() && self.known.try_reserve(1).is_ok();
        if !fits || !has_memory || self.known.contains(&tuple) {
            return;
        }
        let Ok(frame) = buffer::copied(frame) else { return };
        self.known.insert(tuple);
        let expires_ns = now_ns.saturating_add(KEPT_NS);
        self.order.push_back(Request { interface, tuple, frame, expires_ns });
    }

    /// The next request.
    pub(super) fn next(&mut self, now_ns: u64) -> Option<Request> {
        self.expire(now_ns);
        self.pop()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn expire(&mut self, now_ns: u64) {
        while self.order.front().is_some_and(|first| first.expires_ns <= now_ns) {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<Request> {
        let request = self.order.pop_front()?;
        self.known.remove(&request.tuple);
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16) -> Tuple {
        let (local, remote) = ("10.0.0.1:80".parse().unwrap(), ([10, 0, 0, 2], port).into());
        Tuple { local, remote }
    }

    #[test]
    fn requests_wait_once_in_order_and_for_some_time() {
        let mut held = Held::default();
        for port in [1, 2, 1] {
            held.keep(u64::from(port), 1, tuple(port), b"frame");
        }
        held.keep(0, 1, tuple(3), &[0; LEN_LIMIT + 1]);
        assert_eq!(held.next(0).map(|one| one.tuple), Some(tuple(1)));
        assert_eq!(held.next(KEPT_NS + 2), None);
        assert!(held.is_empty() && held.known.is_empty());
    }

    #[test]
    fn a_flood_keeps_no_more_than_the_limit() {
        let mut held = Held::default();
        for port in 0..=u16::MAX {
            held.keep(0, 1, tuple(port), b"frame");
        }
        assert_eq!((held.order.len(), held.known.len()), (LIMIT, LIMIT));
    }
}
