//! Sockets that wait for connections.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use hashbrown::{DefaultHashBuilder, HashMap};

use super::bindings::{BindingId, Wish};
use super::flow::{Readiness, Wants};
use super::frame::Tuple;
use super::held::Held;

/// How many connections of a listener may be half open.
const HALF_OPEN_LIMIT: usize = 512;

/// How long a half open connection keeps its place from others, in nanoseconds: whoever asked
/// for it in earnest has answered by then, or asks again.
const HALF_OPEN_NS: u64 = 1_000_000_000;

/// A connection that was asked for and answered, and the answer to that is missing.
pub(super) struct HalfOpen {
    pub(super) id: u64,
    /// When it was asked for, monotonic.
    pub(super) since_ns: u64,
}

/// There is no place for a further connection: it is asked for again.
pub(super) struct Full;

/// A socket that waits for connections.
pub(super) struct Listener {
    /// What it is bound to.
    pub(super) wish: Wish,
    pub(super) binding: BindingId,
    /// How many connections may wait to be accepted.
    pub(super) backlog: usize,
    /// Connections that are half open.
    pub(super) half_open: VecDeque<HalfOpen>,
    /// Connections to be accepted.
    pub(super) ready: VecDeque<u64>,
    /// Requests for which there is no room yet.
    pub(super) held: Held,
    pub(super) readiness: Arc<Readiness>,
    /// What its connections begin with.
    pub(super) wants: Wants,
}

impl Listener {
    /// Makes room for a further connection; the one that has to go before. As on Linux, one
    /// more than the backlog may wait to be accepted.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn make_room(&mut self, now_ns: u64) -> Result<Option<u64>, Full> {
        if self.has_room() {
            return Ok(None);
        }
        if self.ready.len() > self.backlog {
            return Err(Full);
        }
        let is_old = |one: &HalfOpen| now_ns.saturating_sub(one.since_ns) >= HALF_OPEN_NS;
        if !self.half_open.front().is_some_and(is_old) {
            return Err(Full);
        }
        Ok(self.half_open.pop_front().map(|one| one.id))
    }

    /// Whether there is room for a further connection without that.
    pub(super) fn has_room(&self) -> bool {
        self.ready.len() <= self.backlog
            && self.half_open.len() < HALF_OPEN_LIMIT.min(self.backlog.max(1))
    }

    /// How well it fits a connection to `local`: the more exactly it names it, the better.
    fn fit(&self, local: SocketAddr) -> Option<u8> {
        match (self.wish.address.ip(), local.ip()) {
            (mine, theirs) if mine == theirs => Some(2),
            (IpAddr::V4(mine), IpAddr::V4(_)) if mine.is_unspecified() => Some(1),
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(_)) => Some(1),
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(_)) if !self.wish.only_v6 => Some(0),
            _ => None,
        }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Listeners {
    all: HashMap<u64, Listener>,
    by_port: HashMap<u16, Vec<u64>>,
    hash: DefaultHashBuilder,
}

impl Listeners {
    /// Adds one.
    pub(super) fn insert(&mut self, id: u64, listener: Listener) {
        self.by_port.entry(listener.wish.address.port()).or_default().push(id);
        self.all.insert(id, listener);
    }

    /// Takes one away.
    pub(super) fn remove(&mut self, id: u64) -> Option<Listener> {
        let listener = self.all.remove(&id)?;
        let port = listener.wish.address.port();
        if let Some(ids) = self.by_port.get_mut(&port) {
            ids.retain(|&known| known != id);
            if ids.is_empty() {
                self.by_port.remove(&port);
            }
        }
        Some(listener)
    }

    /// One of them.
    pub(super) fn get(&self, id: u64) -> Option<&Listener> {
        self.all.get(&id)
    }

    /// One of them.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Listener> {
        self.all.get_mut(&id)
    }

    /// The one for a connection through the interface with a number, from 1; among several that fit as well, the tuple decides
    /// (`SO_REUSEPORT`).
    pub(super) fn find(&self, tuple: &Tuple, device: u32) -> Option<u64> {
        let ids = self.by_port.get(&tuple.local.port())?;
        let hears = |one: &&Listener| one.wants.device.is_none_or(|wanted| wanted == device);
        let fit = |id: &u64| self.all.get(id).filter(hears)?.fit(tuple.local);
        let best = ids.iter().filter_map(fit).max()?;
        let mut fitting = ids.iter().filter(|id| fit(id) == Some(best));
        let count = fitting.clone().count();
        fitting.nth((self.hash.hash_one(tuple) % count as u64) as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::bindings::{Bindings, Reuse, Transport};
    use super::*;

    #[test]
    fn a_flood_takes_the_places_of_old_requests_only() {
        let address: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let wish = Wish { address, only_v6: false, reuse: Reuse::default() };
        let wants = Wants {
            receive_len: 1024,
            send_len: 1024,
            no_delay: false,
            keep_alive_s: None,
            hop_limit: None,
            device: None,
        };
        let mut listener = Listener {
            wish,
            binding: Bindings::default().insert(Transport::Tcp, wish),
            backlog: 2,
            half_open: VecDeque::from([HalfOpen { id: 1, since_ns: 0 }]),
            ready: VecDeque::new(),
            held: Held::default(),
            readiness: Arc::default(),
            wants,
        };
        assert!(matches!(listener.make_room(0), Ok(None)));
        listener.half_open.push_back(HalfOpen { id: 2, since_ns: 0 });
        assert!(matches!(listener.make_room(HALF_OPEN_NS - 1), Err(Full)));
        assert!(matches!(listener.make_room(HALF_OPEN_NS), Ok(Some(1))));
        listener.ready.extend([3, 4, 5]);
        assert!(matches!(listener.make_room(HALF_OPEN_NS), Err(Full)));
    }
}
