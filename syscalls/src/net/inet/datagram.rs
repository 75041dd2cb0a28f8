//! Messages: udp(7), icmp(7) and raw(7).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use abi::Errno;
use abi::net::{MessageFlags, family, ip_option, ipv6_option, level, option, state};
use spin::Mutex;
use zerocopy::FromBytes;

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::PollEvents;
use crate::io::{Sink, Source};
use crate::net::ip::{self, Message, OtherGroups, Readiness, Reuse, Route, Stack, Wish};
use crate::net::{Directions, Incoming, Kind, Options, Outgoing, ReadValue, Socket, Status};
use crate::wait::WaitQueue;

use super::address::{self, Version};
use super::groups::{self, Groups};
use super::{control, options, protocol_of, stream};

/// The longest message, in bytes.
const MESSAGE_LIMIT: usize = 65535;

/// A socket of messages.
pub(super) struct MessageSocket {
    stack: Arc<Stack>,
    version: Version,
    kind: ip::Kind,
    id: u64,
    readiness: Arc<Readiness>,
    options: Options,
    levels: options::Options,
    groups: Groups,
    state: Mutex<State>,
    begun: Mutex<Option<Begun>>,
}

#[derive(Clone, Copy, Default)]
struct State {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    has_receive_ended: bool,
    has_send_ended: bool,
    /// From where messages go to groups, and the address by which it was named: its number,
    /// from 1. `IP_MULTICAST_IF`, `IPV6_MULTICAST_IF`.
    group_interface: Option<u32>,
    group_address: Option<Ipv4Addr>,
}

/// A message of which more is to come: `MSG_MORE` of send(2).
struct Begun {
    remote: SocketAddr,
    way: Route,
    bytes: Vec<u8>,
}

impl Begun {
    /// Adds all of `from`; how much that is.
    fn add(&mut self, from: &mut dyn Source) -> Result<usize> {
        let (begun, len) = (self.bytes.len(), from.remaining());
        if len > MESSAGE_LIMIT - begun {
            return Err(Errno::EMSGSIZE.because("the message is too long"));
        }
        let mut bytes = buffer::zeroed(len)?;
        if from.take(&mut bytes)? < len {
            return Err(Errno::EFAULT.because("the message cannot be read"));
        }
        if begun == 0 {
            self.bytes = bytes;
        } else {
            self.bytes.try_reserve(len).map_err(|_| Errno::ENOMEM.because("no memory for it"))?;
            self.bytes.extend_from_slice(&bytes);
        }
        Ok(len)
    }
}

impl MessageSocket {
    /// A new socket.
    pub(super) fn new(stack: Arc<Stack>, version: Version, kind: ip::Kind) -> Arc<Self> {
        let options = Options::new();
        let (id, readiness) =
            stack.open_endpoint(kind, version == Version::V6, options.receive_buffer());
        let groups = Groups::new(stack.clone());
        let (levels, state) = (options::Options::default(), Mutex::default());
        let begun = Mutex::default();
        Arc::new(Self {
            stack,
            version,
            kind,
            id,
            readiness,
            options,
            levels,
            groups,
            state,
            begun,
        })
    }

    /// Gives it an address.
    fn bind_to(&self, cx: &Context<'_>, address: SocketAddr) -> Result<()> {
        if self.kind == ip::Kind::Udp && self.state.lock().local.is_some() {
            return Err(Errno::EINVAL.because("the socket has an address"));
        }
        let reuse = Reuse {
            address: self.options.is_on(option::SO_REUSEADDR),
            port: self.options.is_on(option::SO_REUSEPORT),
            user: cx.credentials().users.effective,
        };
        let only_v6 = self.levels.is_on(level::IPV6, ipv6_option::V6ONLY);
        let wish = Wish { address, only_v6, reuse };
        let local = self.stack.bind_endpoint(self.id, wish)?;
        self.state.lock().local = Some(local);
        Ok(())
    }

    /// Gives it a free port, where it has none and needs one.
    fn bind_if_needed(&self, cx: &Context<'_>) -> Result<()> {
        match self.state.lock().local {
            Some(_) => return Ok(()),
            None if matches!(self.kind, ip::Kind::Raw(_)) => return Ok(()),
            None => {}
        }
        self.bind_to(cx, self.version.unspecified())
    }

    /// An empty message to where `how` says.
    fn begin(&self, cx: &Context<'_>, how: &Outgoing) -> Result<Begun> {
        let remote = self.destination(how)?;
        let mut way = control::wanted(self.version, &how.controls)?;
        if remote.ip().is_multicast() {
            self.group_way(&mut way, remote.ip());
        }
        self.bind_if_needed(cx)?;
        Ok(Begun { remote, way, bytes: Vec::new() })
    }

    /// The next message, or a copy of it.
    fn next(&self, cx: &Context<'_>, flags: MessageFlags) -> Result<Option<Message>> {
        let leave = flags.contains(MessageFlags::PEEK);
        let ready = || match self.stack.receive(self.id, leave)? {
            Some(message) => Ok(Some(Some(message))),
            None if self.state.lock().has_receive_ended => Ok(Some(None)),
            None => Ok(None),
        };
        let patience = self.options.receive_timeout().patience(cx, flags);
        cx.block_on(&[&self.readiness.queue], patience, ready)
    }

    /// Says from where messages go to groups.
    fn set_group_interface(&self, at: u32, value: &[u8]) -> Result<()> {
        let (address, index) = match at {
            level::IP => groups::read_interface4(value)?,
            _ => match u32::read_from_prefix(value) {
                Ok((index, _)) => (None, index),
                Err(_) => return Err(Errno::EINVAL.because("the value is too short")),
            },
        };
        let error = if at == level::IP { Errno::EADDRNOTAVAIL } else { Errno::ENODEV };
        let missing = || error.because("there is no such interface");
        let interface = match (index, address) {
            (0, None) => None,
            (0, Some(address)) => {
                let group = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1));
                Some(self.stack.interface_of(group, Some(address.into())).map_err(|_| missing())?)
            }
            (index, _) if self.stack.has_interface(index) => Some(index),
            _ => return Err(missing()),
        };
        let mut state = self.state.lock();
        state.group_interface = interface;
        state.group_address = address;
        Ok(())
    }

    /// How a message goes that goes to a group, where it is not said of it.
    fn group_way(&self, way: &mut Route, group: IpAddr) {
        let (at, hops, back) = match group {
            IpAddr::V4(_) => (level::IP, ip_option::MULTICAST_TTL, ip_option::MULTICAST_LOOP),
            IpAddr::V6(_) => {
                (level::IPV6, ipv6_option::MULTICAST_HOPS, ipv6_option::MULTICAST_LOOP)
            }
        };
        let hops = self.levels.get(at, hops).ok().and_then(|hops| u8::try_from(hops).ok());
        way.hop_limit = way.hop_limit.or(hops);
        way.interface = way.interface.or(self.state.lock().group_interface);
        way.comes_back = self.levels.is_on(at, back);
    }

    /// Tells the endpoint which groups were joined.
    fn apply_groups(&self) -> Result<()> {
        let (at, all) = match self.version {
            Version::V4 => (level::IP, ip_option::MULTICAST_ALL),
            Version::V6 => (level::IPV6, ipv6_option::MULTICAST_ALL),
        };
        let others =
            if self.levels.is_on(at, all) { OtherGroups::Taken } else { OtherGroups::Ignored };
        self.stack.set_groups(self.id, &self.groups.joined(), others)
    }

    /// To whom a message goes.
    fn destination(&self, how: &Outgoing) -> Result<SocketAddr> {
        let remote = match &how.address {
            Some(bytes) => address::decode(self.version, bytes)?,
            None => self
                .state
                .lock()
                .remote
                .ok_or_else(|| Errno::EDESTADDRREQ.because("the message has no destination"))?,
        };
        if self.kind == ip::Kind::Udp && remote.port() == 0 {
            return Err(Errno::EINVAL.because("there is no port 0"));
        }
        let is_broadcast = matches!(remote, SocketAddr::V4(to) if to.ip().is_broadcast());
        if is_broadcast && !self.options.is_on(option::SO_BROADCAST) {
            return Err(Errno::EACCES.because("broadcasts need SO_BROADCAST"));
        }
        Ok(remote)
    }
}

impl Socket for MessageSocket {
    fn family(&self) -> u16 {
        self.version.family()
    }

    fn kind(&self) -> Kind {
        match self.kind {
            ip::Kind::Raw(_) => Kind::Raw,
            _ => Kind::Datagram,
        }
    }

    fn protocol(&self) -> u32 {
        protocol_of(self.version, self.kind)
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn option(&self, level: u32, number: u32) -> Result<i32> {
        match level {
            level::TCP => Err(Errno::EOPNOTSUPP.because("the socket has no such options")),
            _ => self.levels.of(self.version, level, number),
        }
    }

    fn set_option(&self, _: &Context<'_>, level: u32, number: u32, value: i32) -> Result<()> {
        if level == level::TCP {
            return Err(Errno::EOPNOTSUPP.because("the socket has no such options"));
        }
        self.levels.set(level, number, value)?;
        let hops = match self.version {
            Version::V4 => self.levels.get(level::IP, ip_option::TTL),
            Version::V6 => self.levels.get(level::IPV6, ipv6_option::UNICAST_HOPS),
        };
        let hops = hops.ok().and_then(|hops| u8::try_from(hops).ok()).filter(|&hops| hops > 0);
        self.stack.set_hop_limit(self.id, hops)?;
        let hears = self.levels.is_on(level::IP, ip_option::RECVERR)
            || self.levels.is_on(level::IPV6, ipv6_option::RECVERR);
        self.stack.set_hears_errors(self.id, hears)?;
        self.apply_groups()
    }

    fn long_option(&self, at: u32, number: u32) -> Option<Vec<u8>> {
        let state = *self.state.lock();
        match (at, number) {
            (level::IP, ip_option::MULTICAST_IF) => {
                let address = state.group_address.unwrap_or(Ipv4Addr::UNSPECIFIED);
                Some(address.octets().into())
            }
            (level::IPV6, ipv6_option::MULTICAST_IF) => {
                Some(state.group_interface.unwrap_or(0).to_ne_bytes().into())
            }
            _ => None,
        }
    }

    fn set_long_option(&self, at: u32, number: u32, value: &ReadValue<'_>) -> Option<Result<()>> {
        match (at, number) {
            (level::IP, ip_option::MULTICAST_IF) | (level::IPV6, ipv6_option::MULTICAST_IF) => {
                Some(value().and_then(|value| self.set_group_interface(at, &value)))
            }
            _ => {
                let set = self.groups.set(at, number, value)?;
                Some(set.and_then(|()| self.apply_groups()))
            }
        }
    }

    fn options_changed(&self) {
        // The endpoint is there as long as the socket.
        let _ = self.stack.set_limit(self.id, self.options.receive_buffer());
        let _ = self.stack.set_device(self.id, self.options.device());
    }

    fn bind(&self, cx: &Context<'_>, address: &[u8]) -> Result<()> {
        let address = address::decode(self.version, address)?;
        let address = match self.kind {
            ip::Kind::Udp => stream::permitted(cx, address)?,
            _ => address,
        };
        self.bind_to(cx, address)
    }

    fn connect(&self, cx: &Context<'_>, address: &[u8], _: MessageFlags) -> Result<()> {
        if address::family_of(address) == Some(family::UNSPEC) {
            self.state.lock().remote = None;
            return self.stack.set_remote(self.id, None);
        }
        let remote = address::decode(self.version, address)?;
        let source = self.stack.source_for(remote.ip())?;
        self.bind_if_needed(cx)?;
        let mut state = self.state.lock();
        state.remote = Some(remote);
        if let Some(local) = &mut state.local
            && local.ip().is_unspecified()
        {
            local.set_ip(source);
        }
        self.stack.set_remote(self.id, Some(remote))
    }

    fn shutdown(&self, _: &Context<'_>, directions: Directions) -> Result<()> {
        let mut state = self.state.lock();
        if state.remote.is_none() {
            return Err(Errno::ENOTCONN.because("the socket is not connected"));
        }
        state.has_receive_ended |= directions.receive;
        state.has_send_ended |= directions.send;
        drop(state);
        self.readiness.queue.wake_all();
        Ok(())
    }

    fn name(&self) -> Vec<u8> {
        let local = self.state.lock().local.unwrap_or(self.version.unspecified());
        address::encode(self.version, local)
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        let remote = self.state.lock().remote;
        let remote = remote.ok_or_else(|| Errno::ENOTCONN.because("the socket is not connected"));
        Ok(address::encode(self.version, remote?))
    }

    fn send(&self, cx: &Context<'_>, from: &mut dyn Source, how: Outgoing) -> Result<usize> {
        if how.flags.contains(MessageFlags::OOB) {
            return Err(Errno::EOPNOTSUPP.because("no out-of-band data"));
        }
        if self.state.lock().has_send_ended {
            return Err(Errno::EPIPE.because("sending has ended"));
        }
        // Where the first part goes, all go.
        let begun = self.begun.lock().take();
        let mut message = match begun {
            Some(begun) => begun,
            None => self.begin(cx, &how)?,
        };
        // What has begun is lost with a part that cannot be added.
        let added = message.add(from)?;
        if self.kind == ip::Kind::Udp && how.flags.contains(MessageFlags::MORE) {
            *self.begun.lock() = Some(message);
            return Ok(added);
        }
        self.stack.send_message(self.id, message.remote, &message.way, &message.bytes)?;
        Ok(added)
    }

    fn raises_pipe_signal(&self) -> bool {
        false
    }

    fn receive(
        &self,
        cx: &Context<'_>,
        to: &mut dyn Sink,
        flags: MessageFlags,
    ) -> Result<Incoming> {
        if flags.contains(MessageFlags::ERRQUEUE) {
            return Err(Errno::EAGAIN.because("no errors are queued"));
        }
        if flags.contains(MessageFlags::OOB) {
            return Err(Errno::EOPNOTSUPP.because("no out-of-band data"));
        }
        let Some(message) = self.next(cx, flags)? else { return Ok(Incoming::default()) };
        let put = if to.remaining() == 0 { 0 } else { to.put(&message.bytes)? };
        let (whole, is_cut) = (message.bytes.len(), put < message.bytes.len());
        Ok(Incoming {
            len: if flags.contains(MessageFlags::TRUNC) { whole } else { put },
            address: Some(address::encode(self.version, message.from)),
            flags: if is_cut { MessageFlags::TRUNC } else { MessageFlags::empty() },
            controls: control::told(self.version, &self.levels, &message),
            ..Incoming::default()
        })
    }

    fn status(&self) -> Status {
        let remote = self.state.lock().remote;
        Status {
            state: if remote.is_some() { state::ESTABLISHED } else { state::CLOSED },
            peer: remote.map(|remote| address::encode(self.version, remote)),
            sending: 0,
            receiving: self.stack.queued_messages_len(self.id),
        }
    }

    fn take_error(&self) -> Option<Errno> {
        self.stack.take_endpoint_error(self.id)
    }

    fn receivable_bytes(&self) -> Result<usize> {
        self.stack.next_len(self.id)
    }

    fn unreceived_bytes(&self) -> Result<usize> {
        Ok(0)
    }

    fn poll(&self) -> PollEvents {
        let state = *self.state.lock();
        let mut events = self.stack.endpoint_events(self.id);
        if state.has_receive_ended {
            events |= PollEvents::IN | PollEvents::RDNORM | PollEvents::RDHUP;
        }
        if state.has_receive_ended && state.has_send_ended {
            events |= PollEvents::HUP;
        }
        events
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.readiness.queue
    }
}

impl Drop for MessageSocket {
    fn drop(&mut self) {
        self.stack.close_endpoint(self.id);
    }
}
