//! Sockets to the kernel: netlink(7), of which there is rtnetlink(7), for reading.
//!
//! A request is answered while it is sent: the answers wait in the socket's queue.
//!
//! - `message`: requests and answers as bytes
//! - `route`: what they ask; `answers`: what is said
//! - `ports`: the numbers of sockets

mod answers;
mod message;
mod ports;
mod route;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::net::netlink::{GROUPS, Sockaddr, flag, kind, option, protocol};
use abi::net::{MessageFlags, family, level};
use spin::Mutex;
use zerocopy::{FromBytes, IntoBytes};

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::PollEvents;
use crate::io::{Sink, Source};
use crate::process::Capability;
use crate::wait::WaitQueue;

use super::{
    Control, Directions, Incoming, Kind, Options, Outgoing, Socket, Status, not_supported,
};

use message::{AckStyle, Request};

pub(crate) use ports::Ports;

/// What Linux keeps of the room for sending, in bytes.
const SEND_OVERHEAD: usize = 32;

/// What a queued message costs beside its bytes.
const OVERHEAD: usize = 256;

/// Options that are on or off.
const SWITCHES: [u32; 6] = [
    option::PKTINFO,
    option::BROADCAST_ERROR,
    option::NO_ENOBUFS,
    option::CAP_ACK,
    option::EXT_ACK,
    option::GET_STRICT_CHK,
];

/// A socket of netlink(7).
pub(crate) struct NetlinkSocket {
    this: Weak<Self>,
    kind: Kind,
    options: Options,
    ports: Arc<Ports>,
    state: Mutex<State>,
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    port: Option<u32>,
    /// Bit `n` for group `n + 1`.
    groups: u64,
    /// To whom it sends where it names nobody.
    peer: Sockaddr,
    /// Bit `n` for option `SWITCHES[n]`.
    switches: u32,
    queue: VecDeque<Datagram>,
    queued_len: usize,
    error: Option<Errno>,
}

/// What can be received.
#[derive(Clone)]
struct Datagram {
    from: Sockaddr,
    bytes: Vec<u8>,
}

impl State {
    fn is_on(&self, number: u32) -> bool {
        let at = SWITCHES.iter().position(|&switch| switch == number);
        at.is_some_and(|at| self.switches & 1 << at != 0)
    }

    fn take(&mut self) -> Option<Datagram> {
        let datagram = self.queue.pop_front()?;
        self.queued_len -= datagram.bytes.len() + OVERHEAD;
        Some(datagram)
    }
}

/// Makes a socket: socket(2).
///
/// # Errors
/// `ESOCKTNOSUPPORT`, `EPROTONOSUPPORT`.
pub(super) fn create(cx: &Context<'_>, kind: u32, protocol: i32) -> Result<Arc<dyn Socket>> {
    let kind = match kind {
        abi::net::kind::RAW => Kind::Raw,
        abi::net::kind::DATAGRAM => Kind::Datagram,
        _ => return Err(Errno::ESOCKTNOSUPPORT.because("the family has no such type of socket")),
    };
    if protocol != protocol::ROUTE {
        return Err(Errno::EPROTONOSUPPORT.because("the kernel does not speak this protocol"));
    }
    // Who asks for addresses wants to hear of the one that the network gives.
    cx.system.net.await_address(cx)?;
    Ok(Arc::new_cyclic(|this| NetlinkSocket {
        this: this.clone(),
        kind,
        options: Options::new(),
        ports: cx.system.sockets.netlink_ports.clone(),
        state: Mutex::default(),
        changed: WaitQueue::new(),
    }))
}

fn decode(address: &[u8]) -> Result<Sockaddr> {
    let (address, _) = Sockaddr::read_from_prefix(address)
        .map_err(|_| Errno::EINVAL.because("the address is too short"))?;
    if address.family != family::NETLINK {
        return Err(Errno::EINVAL.because("an address of another family"));
    }
    Ok(address)
}

fn address_of(port: u32, groups: u32) -> Sockaddr {
    Sockaddr { family: family::NETLINK, padding: 0, port, groups }
}

/// The bit of a group.
fn group_bit(number: i32) -> Result<u64> {
    let number = u32::try_from(number).ok().filter(|number| (1..=GROUPS).contains(number));
    number.map(|number| 1 << (number - 1)).ok_or_else(|| Errno::EINVAL.because("no such group"))
}

impl NetlinkSocket {
    /// Its number, which it gets if it has none.
    fn port(&self, cx: &Context<'_>) -> Result<u32> {
        let mut state = self.state.lock();
        if let Some(port) = state.port {
            return Ok(port);
        }
        let port = self.ports.bind(&self.this, None, cx.process.id())?;
        state.port = Some(port);
        Ok(port)
    }

    /// Queues what can be received; where there is no room, it is lost, and that is told.
    fn push(&self, datagram: Datagram) -> Result<()> {
        let mut state = self.state.lock();
        let len = datagram.bytes.len() + OVERHEAD;
        let has_room = state.queued_len + len <= self.options.receive_buffer().max(len);
        if !has_room || state.queue.try_reserve(1).is_err() {
            if !state.is_on(option::NO_ENOBUFS) {
                state.error = Some(Errno::ENOBUFS);
            }
            return Err(Errno::ENOBUFS.because("the receiver has no room"));
        }
        state.queued_len += len;
        state.queue.push_back(datagram);
        drop(state);
        self.changed.wake(PollEvents::IN | PollEvents::RDNORM);
        Ok(())
    }

    fn answer(&self, bytes: Vec<u8>) {
        // What is lost is told to the receiver.
        let _ = self.push(Datagram { from: address_of(0, 0), bytes });
    }

    /// Does what requests ask for.
    fn ask_kernel(&self, cx: &Context<'_>, datagram: &[u8], port: u32) -> Result<()> {
        for request in message::requests(datagram) {
            if request.has(flag::REQUEST) {
                self.ask(cx, &request, port)?;
            }
        }
        Ok(())
    }

    fn ask(&self, cx: &Context<'_>, request: &Request<'_>, port: u32) -> Result<()> {
        let (is_strict, style) = {
            let state = self.state.lock();
            let is_capped = state.is_on(option::CAP_ACK);
            let has_reason = state.is_on(option::EXT_ACK);
            (state.is_on(option::GET_STRICT_CHK), AckStyle { is_capped, has_reason })
        };
        let result = if request.header.kind < kind::FIRST {
            Ok(None)
        } else {
            route::answer(cx, request, is_strict, port)
        };
        let is_dump = matches!(&result, Ok(Some(answers)) if answers.is_dump);
        let result = result.map(|answers| {
            for bytes in answers.into_iter().flat_map(|answers| answers.datagrams) {
                self.answer(bytes);
            }
        });
        if result.is_err() || request.has(flag::ACK) && !is_dump {
            self.answer(message::acknowledge(request, &result, style, port)?);
        }
        Ok(())
    }

    /// Hands a message to another socket.
    fn tell(&self, to: Sockaddr, from: u32, bytes: &[u8]) -> Result<()> {
        let refused = || Errno::ECONNREFUSED.because("no socket has this number");
        let receiver = self.ports.find(to.port).ok_or_else(refused)?;
        let (from, bytes) = (address_of(from, 0), buffer::copied(bytes)?);
        receiver.push(Datagram { from, bytes }).map_err(|_| Errno::EAGAIN.because("it is full"))
    }

    fn check_addressed(cx: &Context<'_>, to: &Sockaddr) -> Result<()> {
        let is_kernel = to.port == 0 && to.groups == 0;
        if !is_kernel && !cx.credentials().has(Capability::NetAdmin) {
            return Err(Errno::EPERM.because("others than the kernel need CAP_NET_ADMIN"));
        }
        Ok(())
    }
}

impl Socket for NetlinkSocket {
    fn family(&self) -> u16 {
        family::NETLINK
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn protocol(&self) -> u32 {
        protocol::ROUTE.unsigned_abs()
    }

    fn option(&self, level: u32, number: u32) -> Result<i32> {
        if level != level::NETLINK || !SWITCHES.contains(&number) {
            return Err(super::unknown_option());
        }
        Ok(i32::from(self.state.lock().is_on(number)))
    }

    fn set_option(&self, _: &Context<'_>, level: u32, number: u32, value: i32) -> Result<()> {
        if level != level::NETLINK {
            return Err(super::unknown_option());
        }
        let mut state = self.state.lock();
        match number {
            option::ADD_MEMBERSHIP => state.groups |= group_bit(value)?,
            option::DROP_MEMBERSHIP => state.groups &= !group_bit(value)?,
            _ => {
                let at = SWITCHES.iter().position(|&switch| switch == number);
                let at = at.ok_or_else(super::unknown_option)?;
                state.switches &= !(1 << at);
                state.switches |= u32::from(value != 0) << at;
            }
        }
        Ok(())
    }

    fn bind(&self, cx: &Context<'_>, address: &[u8]) -> Result<()> {
        let address = decode(address)?;
        let mut state = self.state.lock();
        match state.port {
            Some(port) if address.port != port => {
                return Err(Errno::EINVAL.because("the socket has another number"));
            }
            Some(_) => {}
            None => {
                let wanted = Some(address.port).filter(|&port| port != 0);
                state.port = Some(self.ports.bind(&self.this, wanted, cx.process.id())?);
            }
        }
        state.groups = state.groups & !u64::from(u32::MAX) | u64::from(address.groups);
        Ok(())
    }

    fn connect(&self, cx: &Context<'_>, address: &[u8], _: MessageFlags) -> Result<()> {
        let peer = match address.first_chunk() {
            Some(head) if u16::from_ne_bytes(*head) == family::UNSPEC => Sockaddr::default(),
            _ => {
                let peer = decode(address)?;
                Self::check_addressed(cx, &peer)?;
                self.port(cx)?;
                peer
            }
        };
        self.state.lock().peer = peer;
        Ok(())
    }

    fn shutdown(&self, _: &Context<'_>, _: Directions) -> Result<()> {
        Err(not_supported())
    }

    fn name(&self) -> Vec<u8> {
        let state = self.state.lock();
        address_of(state.port.unwrap_or(0), state.groups as u32).as_bytes().to_vec()
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        let peer = self.state.lock().peer;
        // As on Linux, one group by its number.
        let group = if peer.groups == 0 { 0 } else { 1 << peer.groups.trailing_zeros() };
        Ok(address_of(peer.port, group).as_bytes().to_vec())
    }

    fn send(&self, cx: &Context<'_>, from: &mut dyn Source, how: Outgoing) -> Result<usize> {
        if how.flags.contains(MessageFlags::OOB) {
            return Err(Errno::EOPNOTSUPP.because("no out-of-band data"));
        }
        let to = match &how.address {
            Some(address) => {
                let to = decode(address)?;
                Self::check_addressed(cx, &to)?;
                to
            }
            None => self.state.lock().peer,
        };
        let port = self.port(cx)?;
        let len = from.remaining();
        if len > self.options.send_buffer().saturating_sub(SEND_OVERHEAD) {
            return Err(Errno::EMSGSIZE.because("the message is too long"));
        }
        let mut bytes = buffer::zeroed(len)?;
        if from.take(&mut bytes)? < len {
            return Err(Errno::EFAULT.because("the message cannot be read"));
        }
        match to.port {
            0 => self.ask_kernel(cx, &bytes, port)?,
            _ => self.tell(to, port, &bytes)?,
        }
        Ok(len)
    }

    fn receive(
        &self,
        cx: &Context<'_>,
        to: &mut dyn Sink,
        flags: MessageFlags,
    ) -> Result<Incoming> {
        if flags.contains(MessageFlags::OOB) {
            return Err(Errno::EOPNOTSUPP.because("no out-of-band data"));
        }
        let ready = || {
            let mut state = self.state.lock();
            if let Some(error) = state.error.take() {
                return Err(error.because("messages were lost"));
            }
            let leave = flags.contains(MessageFlags::PEEK);
            Ok(if leave { state.queue.front().cloned() } else { state.take() })
        };
        let patience = self.options.receive_timeout().patience(cx, flags);
        let datagram = cx.block_on(&[&self.changed], patience, ready)?;
        let put = if to.remaining() == 0 { 0 } else { to.put(&datagram.bytes)? };
        let (whole, is_cut) = (datagram.bytes.len(), put < datagram.bytes.len());
        let tells_group = self.state.lock().is_on(option::PKTINFO);
        let group = Control { level: level::NETLINK, kind: option::PKTINFO, data: [0; 4].into() };
        Ok(Incoming {
            len: if flags.contains(MessageFlags::TRUNC) { whole } else { put },
            address: Some(datagram.from.as_bytes().to_vec()),
            flags: if is_cut { MessageFlags::TRUNC } else { MessageFlags::empty() },
            controls: tells_group.then_some(group).into_iter().collect(),
            ..Incoming::default()
        })
    }

    fn raises_pipe_signal(&self) -> bool {
        false
    }

    fn status(&self) -> Status {
        Status { receiving: self.state.lock().queued_len, ..Status::default() }
    }

    fn take_error(&self) -> Option<Errno> {
        self.state.lock().error.take()
    }

    fn receivable_bytes(&self) -> Result<usize> {
        Err(Errno::ENOTTY.because("the socket does not know this request"))
    }

    fn unreceived_bytes(&self) -> Result<usize> {
        Err(Errno::ENOTTY.because("the socket does not know this request"))
    }

    fn poll(&self) -> PollEvents {
        let state = self.state.lock();
        let mut events = PollEvents::OUT | PollEvents::WRNORM;
        events.set(PollEvents::IN | PollEvents::RDNORM, !state.queue.is_empty());
        events.set(PollEvents::ERR, state.error.is_some());
        events
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.changed
    }
}

impl Drop for NetlinkSocket {
    fn drop(&mut self) {
        if let Some(port) = self.state.get_mut().port {
            self.ports.release(port);
        }
    }
}
