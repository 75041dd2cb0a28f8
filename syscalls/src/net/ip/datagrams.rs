//! Sockets that take whole messages: UDP, ICMP echo and raw ones.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use abi::Errno;
use hashbrown::HashMap;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, Icmpv6DstUnreachable, Icmpv6Message,
    Icmpv6Packet, IpAddress, IpProtocol, UdpPacket, UdpRepr,
};

use crate::buffer;
use crate::error::{Because, Result};
use crate::fs::PollEvents;

use super::bindings::BindingId;
use super::flow::Readiness;
use super::frame::{self, Parts, Tuple};
use super::groups::{Membership, OtherGroups};
use super::interface::LOOPBACK;
use super::state::{State, is_for_many};

/// The header of a UDP datagram, in bytes.
const UDP_HEADER_LEN: usize = 8;
/// The header of an echo message (RFC 792, RFC 4443), in bytes.
const ECHO_HEADER_LEN: usize = 8;
/// What programs call the loopback interface.
const LOOPBACK_INDEX: u32 = LOOPBACK as u32 + 1;
/// What a queued message costs beside its bytes.
const OVERHEAD: usize = 256;

/// What kind of messages a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// UDP.
    Udp,
    /// ICMP echo: the local port is the identifier.
    Echo,
    /// All packets of a protocol.
    Raw(u8),
}

/// What is known of a message beside who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Where it went.
    pub(crate) to: IpAddr,
    /// The number of the interface at which it arrived, from 1.
    pub(crate) interface: u32,
    /// Over how many routers more it could have gone.
    pub(crate) hop_limit: u8,
    /// Its type of service, or traffic class.
    pub(crate) service: u8,
}

/// How a message goes, where it does not go as all of its socket's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// From which address.
    pub(crate) source: Option<IpAddr>,
    /// Through which interface: its number, from 1.
    pub(crate) interface: Option<u32>,
    /// Over how many routers.
    pub(crate) hop_limit: Option<u8>,
    /// Whether what goes to a group also goes to its members on this machine:
    /// `IP_MULTICAST_LOOP`.
    pub(crate) comes_back: bool,
}

/// A message that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// How it came.
    pub(crate) arrival: Arrival,
    /// What it says.
    pub(crate) bytes: Vec<u8>,
}

/// A socket that takes messages.
pub(super) struct Endpoint {
    pub(super) kind: Kind,
    /// Where it is bound; unspecified and port 0 before.
    pub(super) local: SocketAddr,
    /// The only one it talks to.
    pub(super) remote: Option<SocketAddr>,
    /// It hears of errors also without such a one: `IP_RECVERR`.
    pub(super) hears_errors: bool,
    pub(super) only_v6: bool,
    pub(super) binding: Option<BindingId>,
    pub(super) queue: VecDeque<Message>,
    queued_len: usize,
    /// How many bytes may wait: `SO_RCVBUF`.
    pub(super) limit: usize,
    /// `SO_ERROR`.
    pub(super) error: Option<Errno>,
    pub(super) hop_limit: Option<u8>,
    /// The number of the only interface that it uses, from 1.
    pub(super) device: Option<u32>,
    /// The groups it has joined.
    pub(super) groups: Vec<Membership>,
    pub(super) other_groups: OtherGroups,
    pub(super) readiness: Arc<Readiness>,
}

impl Endpoint {
    /// A socket of a family that is bound to nothing.
    pub(super) fn new(kind: Kind, is_v6: bool, limit: usize) -> Self {
        let unspecified: IpAddr = match is_v6 {
            true => Ipv6Addr::UNSPECIFIED.into(),
            false => core::net::Ipv4Addr::UNSPECIFIED.into(),
        };
        Self {
            kind,
            local: SocketAddr::new(unspecified, 0),
            remote: None,
            hears_errors: false,
            only_v6: false,
            binding: None,
            queue: VecDeque::new(),
            queued_len: 0,
            limit,
            error: None,
            hop_limit: None,
            device: None,
            groups: Vec::new(),
            other_groups: OtherGroups::default(),
            readiness: Arc::default(),
        }
    }

    /// Takes the next message.
    pub(super) fn take(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.queued_len -= message.bytes.len() + OVERHEAD;
        Some(message)
    }

    /// How well it fits what comes from `remote` to `local`; `None` where it does not.
    fn fit(&self, tuple: &Tuple) -> Option<u8> {
        let local = match (self.local.ip(), tuple.local.ip()) {
            (mine, theirs) if mine == theirs => 2,
            (IpAddr::V4(mine), IpAddr::V4(_)) if mine.is_unspecified() => 1,
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(_)) => 1,
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(_)) if !self.only_v6 => 0,
            _ => return None,
        };
        match self.remote {
            Some(remote) if remote.ip() != tuple.remote.ip() => None,
            Some(remote) if remote.port() != tuple.remote.port() && self.has_ports() => None,
            Some(_) => Some(local + 3),
            None => Some(local),
        }
    }

    fn has_ports(&self) -> bool {
        self.kind == Kind::Udp
    }

    /// Queues a message, if there is room; what has become true.
    fn push(&mut self, from: SocketAddr, arrival: Arrival, bytes: &[u8]) -> PollEvents {
        let len = bytes.len() + OVERHEAD;
        if self.queued_len + len > self.limit.max(len) || self.queue.try_reserve(1).is_err() {
            return PollEvents::empty();
        }
        let Ok(bytes) = buffer::copied(bytes) else { return PollEvents::empty() };
        self.queued_len += len;
        self.queue.push_back(Message { from, arrival, bytes });
        PollEvents::IN | PollEvents::RDNORM
    }

    /// What poll(2) finds.
    pub(super) fn events(&self) -> PollEvents {
        let mut events = PollEvents::OUT | PollEvents::WRNORM;
        if !self.queue.is_empty() {
            events |= PollEvents::IN | PollEvents::RDNORM;
        }
        if self.error.is_some() {
            events |= PollEvents::ERR;
        }
        events
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Endpoints {
    all: HashMap<u64, Endpoint>,
    /// Those of UDP that are bound.
    by_port: HashMap<u16, Vec<u64>>,
    /// The others.
    without_ports: Vec<u64>,
}

impl Endpoints {
    /// Adds one.
    pub(super) fn insert(&mut self, id: u64, endpoint: Endpoint) {
        if endpoint.kind != Kind::Udp {
            self.without_ports.push(id);
        }
        self.all.insert(id, endpoint);
    }

    /// One of them.
    ///
    /// # Errors
    /// `EBADF` when it is closed.
    pub(super) fn get(&mut self, id: u64) -> Result<&mut Endpoint> {
        self.all.get_mut(&id).ok_or_else(|| Errno::EBADF.because("the socket is closed"))
    }

    /// Says where one is bound; it takes the place of an earlier binding, which is returned.
    pub(super) fn bind(
        &mut self,
        id: u64,
        local: SocketAddr,
        binding: Option<BindingId>,
    ) -> Option<BindingId> {
        let endpoint = self.all.get_mut(&id)?;
        if endpoint.kind == Kind::Udp {
            self.by_port.entry(local.port()).or_default().push(id);
        }
        endpoint.local = local;
        core::mem::replace(&mut endpoint.binding, binding)
    }

    /// Takes one away.
    pub(super) fn remove(&mut self, id: u64) -> Option<Endpoint> {
        let endpoint = self.all.remove(&id)?;
        self.without_ports.retain(|&known| known != id);
        let port = endpoint.local.port();
        if let Some(ids) = self.by_port.get_mut(&port) {
            ids.retain(|&known| known != id);
            if ids.is_empty() {
                self.by_port.remove(&port);
            }
        }
        Some(endpoint)
    }

    /// Whether a datagram is for one of them.
    pub(super) fn wants_datagram(&self, tuple: &Tuple) -> bool {
        self.by_port.contains_key(&tuple.local.port()) || !self.takers(IpProtocol::Udp).is_empty()
    }

    /// Those that take all packets of a protocol.
    fn takers(&self, protocol: IpProtocol) -> Vec<u64> {
        let kind = Some(Kind::Raw(protocol.into()));
        let takes = |id: &&u64| self.all.get(*id).map(|one| one.kind) == kind;
        self.without_ports.iter().filter(takes).copied().collect()
    }

    /// For whom a datagram is that came through an interface, where that is known: the best fitting one, or all that fit where it is for many.
    fn receivers(&self, tuple: &Tuple, through: Option<u32>, is_for_many: bool) -> Vec<u64> {
        let hears =
            |one: &&Endpoint| through.is_none() || one.device.is_none() || one.device == through;
        let fit = |id: &u64| self.all.get(id).filter(hears)?.fit(tuple);
        let ids = self.by_port.get(&tuple.local.port()).map(Vec::as_slice).unwrap_or_default();
        if is_for_many {
            return ids.iter().copied().filter(|id| fit(id).is_some()).collect();
        }
        ids.iter()
            .copied()
            .filter(|id| fit(id).is_some())
            .max_by_key(|id| fit(id))
            .into_iter()
            .collect()
    }
}

impl State {
    /// Hands a packet to the sockets it is for.
    pub(super) fn deliver(&mut self, interface: usize, packet: &[u8]) {
        let Some(parts) = frame::parts(packet) else { return };
        let Some(payload) = parts.payload else { return };
        let to = parts.local;
        let is_for_many = is_for_many(to);
        if !is_for_many && !self.is_local(to) {
            return;
        }
        let arrival = Arrival {
            to,
            interface: interface as u32 + 1,
            hop_limit: parts.hop_limit,
            service: parts.service,
        };
        self.deliver_raw(&parts, arrival, packet, payload);
        match parts.protocol {
            IpProtocol::Udp => self.deliver_udp(&parts, arrival, payload, is_for_many),
            IpProtocol::Icmp => self.deliver_icmp4(&parts, arrival, payload),
            IpProtocol::Icmpv6 => self.deliver_icmp6(&parts, arrival, payload),
            _ => {}
        }
    }

    fn push(&mut self, id: u64, from: SocketAddr, arrival: Arrival, bytes: &[u8]) {
        if let Ok(endpoint) = self.endpoints.get(id) {
            let news = endpoint.push(from, arrival, bytes);
            if !news.is_empty() {
                let readiness = endpoint.readiness.clone();
                self.woken.push((readiness, news));
            }
        }
    }

    fn deliver_udp(&mut self, parts: &Parts<'_>, arrival: Arrival, payload: &[u8], many: bool) {
        let (local, remote) = (IpAddress::from(parts.local), IpAddress::from(parts.remote));
        let Ok(packet) = UdpPacket::new_checked(payload) else { return };
        let checked = match arrival.interface {
            LOOPBACK_INDEX => ChecksumCapabilities::ignored(),
            _ => ChecksumCapabilities::default(),
        };
        let Ok(udp) = UdpRepr::parse(&packet, &remote, &local, &checked) else { return };
        let tuple = Tuple {
            local: SocketAddr::new(parts.local, udp.dst_port),
            remote: SocketAddr::new(parts.remote, udp.src_port),
        };
        let to = Membership { interface: arrival.interface, group: arrival.to };
        let is_for_group = arrival.to.is_multicast();
        if is_for_group && !self.groups.has(&to) {
            return;
        }
        for id in self.endpoints.receivers(&tuple, Some(arrival.interface), many) {
            let takes = |one: &mut Endpoint| {
                !is_for_group || one.other_groups == OtherGroups::Taken || one.groups.contains(&to)
            };
            if self.endpoints.get(id).is_ok_and(takes) {
                self.push(id, tuple.remote, arrival, packet.payload());
            }
        }
    }

    /// Hands a packet to the raw sockets of its protocol: with its header for IPv4, as raw(7)
    /// says, and without it for IPv6.
    fn deliver_raw(&mut self, parts: &Parts<'_>, arrival: Arrival, packet: &[u8], payload: &[u8]) {
        for id in self.endpoints.takers(parts.protocol) {
            let tuple = Tuple {
                local: SocketAddr::new(parts.local, 0),
                remote: SocketAddr::new(parts.remote, 0),
            };
            let fits = self.endpoints.get(id).is_ok_and(|one| {
                one.local.is_ipv4() == parts.local.is_ipv4() && one.fit(&tuple).is_some()
            });
            if fits {
                let bytes = if parts.local.is_ipv4() { packet } else { payload };
                self.push(id, tuple.remote, arrival, bytes);
            }
        }
    }

    fn deliver_icmp4(&mut self, parts: &Parts<'_>, arrival: Arrival, payload: &[u8]) {
        let Ok(icmp) = Icmpv4Packet::new_checked(payload) else { return };
        match icmp.msg_type() {
            Icmpv4Message::EchoReply => {
                self.deliver_echo(parts, arrival, icmp.echo_ident(), payload);
            }
            Icmpv4Message::DstUnreachable => {
                let error = match Icmpv4DstUnreachable::from(icmp.msg_code()) {
                    Icmpv4DstUnreachable::PortUnreachable => Errno::ECONNREFUSED,
                    Icmpv4DstUnreachable::NetUnreachable => Errno::ENETUNREACH,
                    Icmpv4DstUnreachable::FragRequired => Errno::EMSGSIZE,
                    _ => Errno::EHOSTUNREACH,
                };
                self.fail(icmp.data(), error);
            }
            _ => {}
        }
    }

    fn deliver_icmp6(&mut self, parts: &Parts<'_>, arrival: Arrival, payload: &[u8]) {
        let Ok(icmp) = Icmpv6Packet::new_checked(payload) else { return };
        match icmp.msg_type() {
            Icmpv6Message::EchoReply => {
                self.deliver_echo(parts, arrival, icmp.echo_ident(), payload);
            }
            Icmpv6Message::DstUnreachable => {
                let error = match Icmpv6DstUnreachable::from(icmp.msg_code()) {
                    Icmpv6DstUnreachable::PortUnreachable => Errno::ECONNREFUSED,
                    Icmpv6DstUnreachable::NoRoute => Errno::ENETUNREACH,
                    _ => Errno::EHOSTUNREACH,
                };
                self.fail(icmp.payload(), error);
            }
            _ => {}
        }
    }

    /// Hands an answer to the sockets that asked with this identifier.
    fn deliver_echo(&mut self, parts: &Parts<'_>, arrival: Arrival, ident: u16, payload: &[u8]) {
        for id in self.endpoints.without_ports.clone() {
            let asked = self.endpoints.get(id).is_ok_and(|one| {
                one.kind == Kind::Echo
                    && one.local.port() == ident
                    && one.local.is_ipv4() == parts.local.is_ipv4()
            });
            if asked {
                self.push(id, SocketAddr::new(parts.remote, 0), arrival, payload);
            }
        }
    }

    /// Tells the socket that sent `packet`, of which there is at least the beginning, why it
    /// did not arrive.
    fn fail(&mut self, packet: &[u8], error: Errno) {
        let Some((tuple, protocol)) = sent(packet) else { return };
        match protocol {
            IpProtocol::Tcp => self.fail_connecting(&tuple, error),
            IpProtocol::Udp => {
                for id in self.endpoints.receivers(&tuple, None, false) {
                    let Ok(endpoint) = self.endpoints.get(id) else { continue };
                    if endpoint.remote.is_some() || endpoint.hears_errors {
                        endpoint.error = Some(error);
                        let readiness = endpoint.readiness.clone();
                        self.woken.push((readiness, PollEvents::ERR));
                    }
                }
            }
            _ => {}
        }
    }

    /// Sends a message of a socket.
    ///
    /// # Errors
    /// `ENETUNREACH`, `EMSGSIZE`, `ENOMEM`; `EINVAL` for a source that is not this machine's,
    /// `ENODEV` for an interface that there is not.
    pub(super) fn send_message(
        &mut self,
        id: u64,
        remote: SocketAddr,
        way: &Route,
        bytes: &[u8],
    ) -> Result<()> {
        let mut remote = remote;
        if remote.ip().is_unspecified() {
            remote.set_ip(super::state::loopback_of(remote.ip()));
        }
        let device = way.interface.or(self.endpoints.get(id)?.device);
        let (number, source) = self.route_by(remote.ip(), device)?;
        if way.source.is_some_and(|source| !self.is_local(source)) {
            return Err(Errno::EINVAL.because("the source is not this machine's address"));
        }
        let endpoint = self.endpoints.get(id)?;
        let from = match (way.source, endpoint.local.ip()) {
            (Some(wanted), _) => wanted,
            (None, bound) if bound.is_unspecified() || bound.is_multicast() => source,
            (None, bound) => bound,
        };
        if from.is_ipv4() != remote.is_ipv4() {
            return Err(Errno::ENETUNREACH.because("the socket has an address of another version"));
        }
        let (kind, port) = (endpoint.kind, endpoint.local.port());
        let hop_limit = way.hop_limit.or(endpoint.hop_limit);
        let (protocol, payload) = match kind {
            Kind::Udp => (IpProtocol::Udp, udp(SocketAddr::new(from, port), remote, bytes)?),
            Kind::Echo => echo(from, remote.ip(), port, bytes)?,
            Kind::Raw(protocol) => {
                (IpProtocol::from(protocol), raw(from, remote.ip(), protocol, bytes)?)
            }
        };
        let packet = self.packet(number, (from, remote.ip()), protocol, &payload, hop_limit)?;
        if way.comes_back && remote.ip().is_multicast() && number != LOOPBACK {
            self.deliver(number, &packet);
        }
        self.send_whole(number, packet)
    }
}

impl State {
    /// As [`State::route`], through the interface with a number, where that is not `None`.
    pub(super) fn route_by(
        &mut self,
        remote: IpAddr,
        interface: Option<u32>,
    ) -> Result<(usize, IpAddr)> {
        let Some(index) = interface else { return self.route(remote) };
        let number = (index as usize).wrapping_sub(1);
        let way = self.interfaces.get(number);
        let way = way.ok_or_else(|| Errno::ENODEV.because("there is no such interface"))?;
        // As on Linux, groups of IPv6 are not reached over the loopback.
        if number == LOOPBACK && remote.is_multicast() && remote.is_ipv4() {
            return Ok((LOOPBACK, super::state::loopback_of(remote)));
        }
        if number == LOOPBACK || self.is_local(remote) {
            return match self.route(remote)? {
                (LOOPBACK, source) => Ok((LOOPBACK, source)),
                _ => Err(Errno::ENETUNREACH.because("the loopback leads to no other machine")),
            };
        }
        let source = way.source_for(remote);
        let source = source.ok_or_else(|| Errno::ENETUNREACH.because("no way leads there"))?;
        Ok((number, source))
    }
}

/// Whose packet it was that did not arrive.
fn sent(packet: &[u8]) -> Option<(Tuple, IpProtocol)> {
    let is_v4 = packet.first()? >> 4 == 4;
    let (head, protocol, from, to): (_, _, IpAddr, IpAddr) = if is_v4 {
        let word = |at: usize| packet.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let head = usize::from(packet.first()? & 0xf) * 4;
        let address = |at| Some(IpAddr::V4(word(at)?.into()));
        (head, *packet.get(9)?, address(12)?, address(16)?)
    } else {
        let address = |at: usize| {
            let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
            Some(IpAddr::V6(bytes.into()))
        };
        (40, *packet.get(6)?, address(8)?, address(24)?)
    };
    let port = |at: usize| packet.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes);
    let tuple = Tuple {
        local: SocketAddr::new(from, port(head)?),
        remote: SocketAddr::new(to, port(head + 2)?),
    };
    Some((tuple, IpProtocol::from(protocol)))
}

fn udp(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    if bytes.len() > usize::from(u16::MAX) - UDP_HEADER_LEN {
        return Err(Errno::EMSGSIZE.because("the datagram is too long"));
    }
    let repr = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let mut payload = buffer::zeroed(UDP_HEADER_LEN + bytes.len())?;
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut payload),
        &from.ip().into(),
        &to.ip().into(),
        bytes.len(),
        |to| to.copy_from_slice(bytes),
        &ChecksumCapabilities::default(),
    );
    Ok(payload)
}

/// An echo request with the socket's identifier and a checksum, of what the program wrote:
/// icmp(7).
fn echo(from: IpAddr, to: IpAddr, ident: u16, bytes: &[u8]) -> Result<(IpProtocol, Vec<u8>)> {
    if bytes.len() < ECHO_HEADER_LEN {
        return Err(Errno::EINVAL.because("the message has no header"));
    }
    let mut payload = buffer::copied(bytes)?;
    match (from, to) {
        (IpAddr::V4(_), _) => {
            let mut packet = Icmpv4Packet::new_unchecked(&mut payload);
            if packet.msg_type() != Icmpv4Message::EchoRequest || packet.msg_code() != 0 {
                return Err(Errno::EINVAL.because("only echo requests can be sent"));
            }
            packet.set_echo_ident(ident);
            packet.fill_checksum();
            Ok((IpProtocol::Icmp, payload))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut packet = Icmpv6Packet::new_unchecked(&mut payload);
            if packet.msg_type() != Icmpv6Message::EchoRequest || packet.msg_code() != 0 {
                return Err(Errno::EINVAL.because("only echo requests can be sent"));
            }
            packet.set_echo_ident(ident);
            packet.fill_checksum(&from, &to);
            Ok((IpProtocol::Icmpv6, payload))
        }
        (IpAddr::V6(_), IpAddr::V4(_)) => Err(Errno::EINVAL.because("the families differ")),
    }
}

/// What a raw socket sends; ICMPv6 gets its checksum, as RFC 3542 wants.
fn raw(from: IpAddr, to: IpAddr, protocol: u8, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut payload = buffer::copied(bytes)?;
    if let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to)
        && IpProtocol::from(protocol) == IpProtocol::Icmpv6
        && payload.len() >= ECHO_HEADER_LEN
    {
        Icmpv6Packet::new_unchecked(&mut payload).fill_checksum(&from, &to);
    }
    Ok(payload)
}
