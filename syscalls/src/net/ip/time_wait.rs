//! Connections that have ended but whose last segments may still come: only their tuples.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use hashbrown::HashMap;
use smoltcp::wire::{IpAddress, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

use super::bindings::BindingId;
use super::frame::Tuple;

/// How long a tuple is kept, in nanoseconds: as long as smoltcp keeps a socket.
const KEPT_NS: u64 = 10_000_000_000;

/// How many are kept; then the oldest goes.
const LIMIT: usize = 16384;

/// The tuples, in the order in which they expire.
#[derive(Default)]
pub(super) struct TimeWait {
    known: HashMap<Tuple, Entry>,
    order: VecDeque<(u64, Tuple)>,
}

struct Entry {
    binding: Option<BindingId>,
    expires_ns: u64,
}

impl TimeWait {
    /// Keeps a tuple, with the port that it occupies. What had to go for it.
    pub(super) fn add(
        &mut self,
        tuple: Tuple,
        binding: Option<BindingId>,
        now_ns: u64,
    ) -> Option<BindingId> {
        let expires_ns = now_ns + KEPT_NS;
        let gone = if self.order.len() < LIMIT { None } else { self.pop() };
        self.order.push_back((expires_ns, tuple));
        self.known.insert(tuple, Entry { binding, expires_ns });
        gone
    }

    /// Whether the tuple is kept.
    pub(super) fn has(&self, tuple: &Tuple) -> bool {
        self.known.contains_key(tuple)
    }

    /// All tuples that are kept.
    pub(super) fn tuples(&self) -> impl Iterator<Item = &Tuple> {
        self.known.keys()
    }

    /// Forgets a tuple, for it begins anew; the port that it occupied.
    pub(super) fn forget(&mut self, tuple: &Tuple) -> Option<BindingId> {
        self.known.remove(tuple)?.binding
    }

    /// Forgets the tuples whose time has come; the ports that they occupied.
    pub(super) fn expire(&mut self, now_ns: u64) -> Vec<BindingId> {
        let mut gone = Vec::new();
        while self.order.front().is_some_and(|(expires_ns, _)| *expires_ns <= now_ns) {
            gone.extend(self.pop());
        }
        gone
    }

    /// When the first tuple is forgotten.
    pub(super) fn deadline_ns(&self) -> Option<u64> {
        self.order.front().map(|(expires_ns, _)| *expires_ns)
    }

    fn pop(&mut self) -> Option<BindingId> {
        let (expires_ns, tuple) = self.order.pop_front()?;
        // A later connection may have the same tuple.
        if self.known.get(&tuple).is_none_or(|entry| entry.expires_ns != expires_ns) {
            return None;
        }
        self.forget(&tuple)
    }
}

/// The answer to a segment of a connection that has ended: RFC 9293, 3.10.7.4, where only a
/// repeated FIN is acknowledged.
pub(super) fn answer(tuple: &Tuple, segment: &[u8]) -> Option<Vec<u8>> {
    let packet = TcpPacket::new_checked(segment).ok()?;
    if packet.rst() || !packet.fin() || !packet.ack() {
        return None;
    }
    let len = packet.segment_len();
    let repr = TcpRepr {
        src_port: tuple.local.port(),
        dst_port: tuple.remote.port(),
        control: TcpControl::None,
        seq_number: packet.ack_number(),
        ack_number: Some(TcpSeqNumber(packet.seq_number().0.wrapping_add(len as i32))),
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let mut bytes = alloc::vec![0; repr.buffer_len()];
    let (local, remote) = (IpAddress::from(tuple.local.ip()), IpAddress::from(tuple.remote.ip()));
    let mut packet = TcpPacket::new_unchecked(&mut bytes);
    repr.emit(&mut packet, &local, &remote, &smoltcp::phy::ChecksumCapabilities::default());
    Some(bytes)
}
