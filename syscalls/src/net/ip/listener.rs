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

/// How many connections of a listener may be half open; then the oldest goes.
const HALF_OPEN_LIMIT: usize = 64;

/// A socket that waits for connections.
pub(super) struct Listener {
    /// What it is bound to.
    pub(super) wish: Wish,
    pub(super) binding: BindingId,
    /// How many connections may wait to be accepted.
    pub(super) backlog: usize,
    /// Connections that are half open.
    pub(super) half_open: VecDeque<u64>,
    /// Connections to be accepted.
    pub(super) ready: VecDeque<u64>,
    pub(super) readiness: Arc<Readiness>,
    /// What its connections begin with.
    pub(super) wants: Wants,
}

impl Listener {
    /// Whether a further connection may wait; as on Linux, one more than the backlog.
    pub(super) fn has_room(&self) -> bool {
        self.ready.len() <= self.backlog
    }

    /// The connection that has to go before another one is half open.
    pub(super) fn surplus(&mut self) -> Option<u64> {
        let limit = HALF_OPEN_LIMIT.min(self.backlog.max(1));
        (self.half_open.len() >= limit).then(|| self.half_open.pop_front()).flatten()
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

    /// The one for a connection; among several that fit as well, the tuple decides
    /// (`SO_REUSEPORT`).
    pub(super) fn find(&self, tuple: &Tuple) -> Option<u64> {
        let ids = self.by_port.get(&tuple.local.port())?;
        let fit = |id: &u64| self.all.get(id).and_then(|listener| listener.fit(tuple.local));
        let best = ids.iter().filter_map(fit).max()?;
        let mut fitting = ids.iter().filter(|id| fit(id) == Some(best));
        let count = fitting.clone().count();
        fitting.nth((self.hash.hash_one(tuple) % count as u64) as usize).copied()
    }
}
