//! Whole packets, in and out: smoltcp verifies, reassembles, splits and addresses them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;

use abi::Errno;
use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::raw::{PacketBuffer, PacketMetadata, Socket};
use smoltcp::wire::{IpProtocol, IpRepr};

use crate::buffer;
use crate::error::{Because, Result};

use super::interface::{Interface, LOOPBACK};
use super::state::State;

/// The longest packet: the length in its header has 16 bits.
const PACKET_LIMIT: usize = 65535;

/// Up to how many bytes smoltcp splits a packet for a device with shorter frames.
const SPLIT_LIMIT: usize = smoltcp::config::FRAGMENTATION_BUFFER_SIZE;

/// How long a packet waits for the address of a neighbour, in nanoseconds.
const WAIT_NS: u64 = 3_000_000_000;

/// How many packets wait; then the oldest is lost.
const WAITING_LIMIT: usize = 64;

/// The hop limit of packets whose socket names none.
const HOP_LIMIT: u8 = 64;

/// What takes packets in and sends them.
pub(super) struct Packets {
    set: SocketSet<'static>,
    handle: SocketHandle,
    waiting: VecDeque<Waiting>,
}

/// A packet that waits for the address of a neighbour, or for room.
struct Waiting {
    interface: usize,
    set: SocketSet<'static>,
    handle: SocketHandle,
    expires_ns: u64,
    retry_ns: Option<u64>,
}

/// A socket for one packet in, and one out, with room in these buffers.
fn socket(received: Vec<u8>, sent: Vec<u8>) -> (SocketSet<'static>, SocketHandle) {
    let packets = |bytes| PacketBuffer::new([PacketMetadata::EMPTY; 1].to_vec(), bytes);
    let mut set = SocketSet::new(Vec::from([SocketStorage::EMPTY]));
    let handle = set.add(Socket::new(None, None, packets(received), packets(sent)));
    (set, handle)
}

impl Packets {
    pub(super) fn new() -> Self {
        let (set, handle) = socket(alloc::vec![0; PACKET_LIMIT], Vec::new());
        Self { set, handle, waiting: VecDeque::new() }
    }

    /// The sockets that take a packet in.
    pub(super) fn set(&mut self) -> &mut SocketSet<'static> {
        &mut self.set
    }

    /// The packet that was taken in; it is lost where there is no memory for it.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.set
            .get_mut::<Socket<'_>>(self.handle)
            .recv()
            .ok()
            .and_then(|packet| buffer::copied(packet).ok())
    }

    /// Tries again to send what waits; forgets what has waited too long.
    pub(super) fn retry(&mut self, interfaces: &mut [Interface], now_ns: u64) {
        self.waiting.retain_mut(|one| {
            let interface = &mut interfaces[one.interface];
            interface.egress(now_ns, &mut one.set);
            one.retry_ns = interface.deadline_ns(now_ns, &one.set);
            let is_sent = one.set.get::<Socket<'_>>(one.handle).send_queue() == 0;
            !is_sent && now_ns < one.expires_ns
        });
    }

    /// When something that waits has to be looked at.
    pub(super) fn deadline_ns(&self) -> Option<u64> {
        self.waiting.iter().map(|one| one.retry_ns.unwrap_or(u64::MAX).min(one.expires_ns)).min()
    }
}

impl State {
    /// Sends a packet from one address to another through an interface. It may wait for a
    /// neighbour, and may be lost.
    ///
    /// # Errors
    /// `EMSGSIZE` when it is too long; `ENOMEM`.
    pub(super) fn send_packet(
        &mut self,
        number: usize,
        (from, to): (IpAddr, IpAddr),
        protocol: IpProtocol,
        payload: &[u8],
        hop_limit: Option<u8>,
    ) -> Result<()> {
        let packet = self.packet(number, (from, to), protocol, payload, hop_limit)?;
        self.send_whole(number, packet)
    }

    /// A packet as [`State::send_packet`] sends it.
    ///
    /// # Errors
    /// As there.
    pub(super) fn packet(
        &self,
        number: usize,
        (from, to): (IpAddr, IpAddr),
        protocol: IpProtocol,
        payload: &[u8],
        hop_limit: Option<u8>,
    ) -> Result<Vec<u8>> {
        let hop_limit = hop_limit.unwrap_or(HOP_LIMIT);
        let repr = IpRepr::new(from.into(), to.into(), protocol, payload.len(), hop_limit);
        let (head, len) = (repr.header_len(), repr.buffer_len());
        let interface = &self.interfaces[number];
        let limit = match number {
            LOOPBACK => interface.mtu(),
            _ if to.is_ipv4() => SPLIT_LIMIT.max(interface.mtu()),
            _ => interface.mtu(),
        };
        if len > limit.min(PACKET_LIMIT) {
            return Err(Errno::EMSGSIZE.because("the packet is too long"));
        }
        let mut packet = buffer::zeroed(len)?;
        repr.emit(&mut packet[..head], &ChecksumCapabilities::default());
        packet[head..].copy_from_slice(payload);
        Ok(packet)
    }

    /// Sends a packet with its header through an interface, as [`State::send_packet`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn send_whole(&mut self, number: usize, packet: Vec<u8>) -> Result<()> {
        let interface = &mut self.interfaces[number];
        if number == LOOPBACK {
            interface.put(packet);
            return Ok(());
        }
        let (mut set, handle) = socket(Vec::new(), buffer::zeroed(packet.len())?);
        // There is room for just this one.
        let _ = set.get_mut::<Socket<'_>>(handle).send_slice(&packet);
        interface.egress(self.now_ns, &mut set);
        if set.get::<Socket<'_>>(handle).send_queue() > 0 {
            let retry_ns = interface.deadline_ns(self.now_ns, &set);
            let expires_ns = self.now_ns + WAIT_NS;
            let waiting = &mut self.packets.waiting;
            if waiting.len() >= WAITING_LIMIT {
                waiting.pop_front();
            }
            let interface = number;
            waiting.push_back(Waiting { interface, set, handle, expires_ns, retry_ns });
        }
        Ok(())
    }
}
