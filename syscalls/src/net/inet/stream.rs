//! Connections: tcp(7).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use abi::Errno;
use abi::net::{
    MessageFlags, family, ip_option, ipv6_option, level, option, protocol, state, tcp_option,
};
use spin::Mutex;

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::PollEvents;
use crate::fs::turn::Turn;
use crate::io::{Sink, Source};
use crate::net::ip::{
    BindingId, Connection, Progress, Readiness, Reuse, Stack, Transport, Wants, Wish,
};
use crate::net::{
    Directions, Incoming, Kind, Options, Outgoing, ReadValue, Socket, Status, Timeout,
};
use crate::process::Capability;
use crate::wait::{Patience, WaitQueue};

use super::address::{self, Version};
use super::groups::Groups;
use super::options;

/// Nanoseconds of a second.
const NS_PER_SECOND: u64 = 1_000_000_000;

/// How many bytes are copied at once between a program and a connection.
const CHUNK: usize = 64 * 1024;

/// The largest buffer of a connection, in bytes, and the one where none is asked for: a fixed
/// one, for it does not grow with its use.
const LARGEST_BUFFER: usize = 1024 * 1024;
const DEFAULT_BUFFER: usize = 64 * 1024;

/// The first port that everybody may bind (/proc/sys/net/ipv4/ip_unprivileged_port_start).
const FIRST_COMMON_PORT: u16 = 1024;

/// A socket of tcp(7).
pub(super) struct StreamSocket {
    stack: Arc<Stack>,
    version: Version,
    options: Options,
    levels: options::Options,
    groups: Groups,
    readiness: Arc<Readiness>,
    phase: Mutex<Phase>,
    /// Taken by whoever sends or receives, so that no lock is held during a copy.
    sending: Turn,
    receiving: Turn,
}

/// How far a socket has come.
#[derive(Clone)]
enum Phase {
    /// Nowhere, but it may have an address.
    Idle(Option<(SocketAddr, BindingId)>),
    /// Connections come to it.
    Listening { id: u64, local: SocketAddr },
    /// It is one end of a connection; whether a call has said that it is there.
    Connected { connection: Connection, is_known: bool },
}

impl StreamSocket {
    /// A new socket.
    pub(super) fn new(stack: Arc<Stack>, version: Version) -> Arc<Self> {
        let groups = Groups::new(stack.clone());
        Arc::new(Self {
            stack,
            version,
            groups,
            options: Options::new(),
            levels: options::Options::default(),
            readiness: Arc::default(),
            phase: Mutex::new(Phase::Idle(None)),
            sending: Turn::new(),
            receiving: Turn::new(),
        })
    }

    /// The socket of a connection that came to this one.
    fn accepted(&self, connection: Connection) -> Self {
        let (stack, version) = (self.stack.clone(), self.version);
        let readiness = connection.readiness.clone();
        let levels = options::Options::default();
        levels.inherit(&self.levels);
        // Groups are joined anew.
        let groups = Groups::new(stack.clone());
        Self {
            stack,
            version,
            groups,
            options: self.options.inherited(),
            levels,
            readiness,
            phase: Mutex::new(Phase::Connected { connection, is_known: true }),
            sending: Turn::new(),
            receiving: Turn::new(),
        }
    }

    fn phase(&self) -> Phase {
        self.phase.lock().clone()
    }

    /// Its connection.
    fn connection(&self) -> Result<Connection> {
        match &*self.phase.lock() {
            Phase::Connected { connection, .. } => Ok(connection.clone()),
            _ => Err(not_connected()),
        }
    }

    fn wish(&self, cx: &Context<'_>, address: SocketAddr) -> Wish {
        let reuse = Reuse {
            address: self.options.is_on(option::SO_REUSEADDR),
            port: self.options.is_on(option::SO_REUSEPORT),
            user: cx.credentials().users.effective,
        };
        let only_v6 = self.levels.is_on(level::IPV6, ipv6_option::V6ONLY);
        Wish { address, only_v6, reuse }
    }

    fn wants(&self) -> Wants {
        let tcp = |number| self.levels.get(level::TCP, number).unwrap_or(0);
        let hops = match self.version {
            Version::V4 => self.levels.get(level::IP, ip_option::TTL),
            Version::V6 => self.levels.get(level::IPV6, ipv6_option::UNICAST_HOPS),
        };
        let keep_alive = self.options.is_on(option::SO_KEEPALIVE);
        // Linux counts its own bookkeeping, half of a buffer, with the bytes.
        let len = |asked: Option<usize>| match asked {
            Some(len) => (len / 2).clamp(2048, LARGEST_BUFFER),
            None => DEFAULT_BUFFER,
        };
        Wants {
            receive_len: len(self.options.asked_receive_buffer()),
            send_len: len(self.options.asked_send_buffer()),
            no_delay: tcp(tcp_option::NODELAY) != 0,
            keep_alive_s: keep_alive.then(|| tcp(tcp_option::KEEPIDLE).unsigned_abs()),
            hop_limit: hops.ok().and_then(|hops| u8::try_from(hops).ok()).filter(|&hops| hops > 0),
            device: self.options.device(),
        }
    }

    /// Applies options to what is there already.
    fn apply(&self) {
        let wants = self.wants();
        match self.phase() {
            Phase::Idle(_) => {}
            Phase::Listening { id, .. } => self.stack.set_listener(id, None, &wants),
            Phase::Connected { connection, .. } => self.stack.set_wants(connection.id, &wants),
        }
    }

    /// Waits on behalf of a call with these flags until `ready` has a value.
    fn wait<T>(
        &self,
        cx: &Context<'_>,
        flags: MessageFlags,
        timeout: Timeout,
        ready: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        cx.block_on(&[&self.readiness.queue], timeout.patience(cx, flags), ready)
    }

    /// Asks for a connection, if there is none yet; its number.
    fn ask(&self, cx: &Context<'_>, remote: SocketAddr) -> Result<u64> {
        let mut phase = self.phase.lock();
        let bound = match &*phase {
            Phase::Idle(bound) => *bound,
            Phase::Listening { .. } => return Err(Errno::EISCONN.because("the socket listens")),
            Phase::Connected { connection, is_known } => {
                return match self.stack.progress(connection.id) {
                    Progress::Connecting => Err(Errno::EALREADY.because("it is under way")),
                    Progress::Open if !is_known => Ok(connection.id),
                    Progress::Open => Err(Errno::EISCONN.because("the socket is connected")),
                    Progress::Closed if !is_known => Ok(connection.id),
                    Progress::Closed => Err(Errno::EISCONN.because("the socket was connected")),
                };
            }
        };
        let unspecified = match remote {
            SocketAddr::V4(_) => Version::V4.unspecified(),
            SocketAddr::V6(_) => Version::V6.unspecified(),
        };
        let local = bound.map_or(unspecified, |(local, _)| local);
        let local = match local.ip().is_unspecified() {
            true => SocketAddr::new(unspecified.ip(), local.port()),
            false => local,
        };
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(Errno::EINVAL.because("the socket has an address of another version"));
        }
        let wish = self.wish(cx, local);
        let bound = bound.map(|(_, binding)| binding);
        let wants = self.wants();
        let connection = self.stack.connect(wish, bound, remote, &wants, &self.readiness)?;
        let id = connection.id;
        *phase = Phase::Connected { connection, is_known: false };
        Ok(id)
    }

    /// What comes of asking for a connection; `None` while nothing does.
    fn answered(&self, id: u64) -> Result<Option<()>> {
        match self.stack.progress(id) {
            Progress::Connecting => Ok(None),
            Progress::Open => {
                if let Phase::Connected { is_known, .. } = &mut *self.phase.lock() {
                    *is_known = true;
                }
                Ok(Some(()))
            }
            Progress::Closed => {
                let error = self.stack.take_error(id).unwrap_or(Errno::ECONNABORTED);
                *self.phase.lock() = Phase::Idle(None);
                self.stack.close(id, true);
                Err(error.because("there is no connection"))
            }
        }
    }

    /// Gives it an address, where it has none.
    fn bind_to(&self, cx: &Context<'_>, address: SocketAddr) -> Result<(SocketAddr, BindingId)> {
        let mut phase = self.phase.lock();
        match &*phase {
            Phase::Idle(None) => {}
            _ => return Err(Errno::EINVAL.because("the socket has an address")),
        }
        let bound = self.stack.bind(Transport::Tcp, self.wish(cx, address))?;
        *phase = Phase::Idle(Some(bound));
        Ok(bound)
    }

    /// Sends part of `from`; how much. `None` when it has to wait.
    fn send_some(
        &self,
        id: u64,
        from: &mut dyn Source,
        flags: MessageFlags,
    ) -> Result<Option<usize>> {
        let Some(room) = self.stack.room(id)? else { return Err(broken()) };
        let len = room.min(from.remaining()).min(CHUNK);
        if len == 0 {
            return Ok(None);
        }
        let mut bytes = buffer::zeroed(len)?;
        let taken = from.take(&mut bytes)?;
        let is_corked = self.levels.is_on(level::TCP, tcp_option::CORK);
        if is_corked || flags.contains(MessageFlags::MORE) {
            return self.stack.send_before_more(id, &bytes[..taken]).map(Some);
        }
        self.stack.send(id, &bytes[..taken]).map(Some)
    }

    /// Receives into `to`; how much. `None` when it has to wait.
    fn receive_some(
        &self,
        id: u64,
        to: &mut dyn Sink,
        flags: MessageFlags,
    ) -> Result<Option<usize>> {
        let (received, _) = self.stack.queued(id);
        let mut bytes = buffer::zeroed(received.min(to.remaining()).min(CHUNK))?;
        let Some(len) = self.stack.peek(id, &mut bytes)? else { return Ok(None) };
        let put = match flags.contains(MessageFlags::TRUNC) {
            // tcp(7): the bytes are thrown away.
            true => len,
            false => to.put(&bytes[..len])?,
        };
        if !flags.contains(MessageFlags::PEEK) {
            self.stack.consume(id, put);
        }
        Ok(Some(put))
    }
}

/// The address, where binding to it needs no privilege that the caller lacks.
pub(super) fn permitted(cx: &Context<'_>, address: SocketAddr) -> Result<SocketAddr> {
    let is_low = (1..FIRST_COMMON_PORT).contains(&address.port());
    if is_low && !cx.credentials().has(Capability::NetBindService) {
        return Err(Errno::EACCES.because("a port below 1024 needs CAP_NET_BIND_SERVICE"));
    }
    Ok(address)
}

fn not_connected() -> Error {
    Errno::ENOTCONN.because("the socket is not connected")
}

fn broken() -> Error {
    Errno::EPIPE.because("the connection takes nothing any more")
}

impl Socket for StreamSocket {
    fn family(&self) -> u16 {
        self.version.family()
    }

    fn kind(&self) -> Kind {
        Kind::Stream
    }

    fn protocol(&self) -> u32 {
        protocol::TCP.unsigned_abs()
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn option(&self, level: u32, number: u32) -> Result<i32> {
        self.levels.of(self.version, level, number)
    }

    /// Of `TCP_INFO`, the state is told, and 0 of what is not measured.
    fn long_option(&self, level: u32, number: u32) -> Option<Vec<u8>> {
        match (level, number) {
            (level::TCP, tcp_option::INFO) => {
                let mut info = [0; tcp_option::INFO_LEN];
                info[0] = self.status().state;
                Some(info.into())
            }
            // The name has this much room, on Linux.
            (level::TCP, tcp_option::CONGESTION) => Some(b"reno\0\0\0\0\0\0\0\0\0\0\0\0".into()),
            _ => None,
        }
    }

    fn set_option(&self, _: &Context<'_>, level: u32, number: u32, value: i32) -> Result<()> {
        self.levels.set(level, number, value)?;
        self.apply();
        Ok(())
    }

    fn set_long_option(&self, at: u32, number: u32, value: &ReadValue<'_>) -> Option<Result<()>> {
        match (at, number) {
            (level::IPV6, ipv6_option::ADD_MEMBERSHIP | ipv6_option::DROP_MEMBERSHIP) => {
                Some(Err(Errno::EPROTO.because("connections have one machine at their end")))
            }
            (level::IP, ip_option::MULTICAST_IF) | (level::IPV6, ipv6_option::MULTICAST_IF) => {
                Some(Err(Errno::EINVAL.because("connections have one machine at their end")))
            }
            _ => self.groups.set(at, number, value),
        }
    }

    fn options_changed(&self) {
        self.apply();
    }

    fn bind(&self, cx: &Context<'_>, address: &[u8]) -> Result<()> {
        let address = permitted(cx, address::decode(self.version, address)?)?;
        self.bind_to(cx, address).map(drop)
    }

    fn listen(&self, cx: &Context<'_>, backlog: u32) -> Result<()> {
        let backlog = backlog as usize;
        let bound = match self.phase() {
            Phase::Idle(Some(bound)) => bound,
            Phase::Idle(None) => self.bind_to(cx, self.version.unspecified())?,
            Phase::Listening { id, .. } => {
                self.stack.set_listener(id, Some(backlog), &self.wants());
                return Ok(());
            }
            Phase::Connected { .. } => return Err(Errno::EINVAL.because("it is connected")),
        };
        let (local, binding) = bound;
        let (wish, readiness) = (self.wish(cx, local), self.readiness.clone());
        let id = self.stack.listen(wish, binding, backlog, self.wants(), readiness)?;
        *self.phase.lock() = Phase::Listening { id, local };
        Ok(())
    }

    fn accept(&self, cx: &Context<'_>, flags: MessageFlags) -> Result<Arc<dyn Socket>> {
        let connection = self.wait(cx, flags, self.options.receive_timeout(), || {
            let Phase::Listening { id, .. } = self.phase() else {
                return Err(Errno::EINVAL.because("the socket does not listen"));
            };
            Ok(self.stack.accept(id))
        })?;
        Ok(Arc::new(self.accepted(connection)))
    }

    fn connect(&self, cx: &Context<'_>, address: &[u8], flags: MessageFlags) -> Result<()> {
        if address::family_of(address) == Some(family::UNSPEC) {
            let phase = self.phase();
            if let Phase::Connected { connection, .. } = phase {
                *self.phase.lock() = Phase::Idle(None);
                self.stack.close(connection.id, true);
            }
            return Ok(());
        }
        let remote = address::decode(self.version, address)?;
        let is_new = matches!(self.phase(), Phase::Idle(_));
        let id = self.ask(cx, remote)?;
        if is_new && flags.contains(MessageFlags::DONTWAIT) {
            return Err(Errno::EINPROGRESS.because("the connection is under way"));
        }
        self.wait(cx, flags, self.options.send_timeout(), || self.answered(id)).map_err(|error| {
            match error.errno {
                Errno::EAGAIN => Errno::EINPROGRESS.because("the connection is under way"),
                _ => error,
            }
        })
    }

    fn shutdown(&self, _: &Context<'_>, directions: Directions) -> Result<()> {
        match self.phase() {
            Phase::Idle(_) => Err(not_connected()),
            Phase::Listening { id, .. } => {
                if directions.receive {
                    self.stack.close_listener(id);
                    *self.phase.lock() = Phase::Idle(None);
                    self.readiness.queue.wake_all();
                }
                Ok(())
            }
            Phase::Connected { connection, .. } => {
                let Directions { receive, send } = directions;
                self.stack.shut_down(connection.id, receive, send)?;
                self.readiness.queue.wake_all();
                Ok(())
            }
        }
    }

    fn name(&self) -> Vec<u8> {
        let local = match &*self.phase.lock() {
            Phase::Idle(bound) => bound.map_or(self.version.unspecified(), |(local, _)| local),
            Phase::Listening { local, .. } => *local,
            Phase::Connected { connection, .. } => connection.local,
        };
        address::encode(self.version, local)
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        let connection = self.connection()?;
        match self.stack.progress(connection.id) {
            Progress::Open => Ok(address::encode(self.version, connection.remote)),
            _ => Err(not_connected()),
        }
    }

    fn send(&self, cx: &Context<'_>, from: &mut dyn Source, how: Outgoing) -> Result<usize> {
        if how.flags.contains(MessageFlags::OOB) {
            return Err(Errno::EOPNOTSUPP.because("no urgent data"));
        }
        let Ok(Connection { id, .. }) = self.connection() else { return Err(broken()) };
        let _turn = self.sending.take(cx)?;
        let (timeout, mut done) = (self.options.send_timeout(), 0);
        while from.remaining() > 0 {
            match self.wait(cx, how.flags, timeout, || self.send_some(id, from, how.flags)) {
                Ok(sent) => done += sent,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// As on Linux, also a socket that does not wait lingers; input that nobody has read ends
    /// the connection at once.
    fn linger(&self, cx: &Context<'_>) {
        let seconds = self.options.linger_seconds().unwrap_or(0);
        let Ok(Connection { id, .. }) = self.connection() else { return };
        if seconds == 0 || self.stack.queued(id).0 > 0 {
            return;
        }
        if self.stack.shut_down(id, false, true).is_ok() {
            let now_ns = cx.system.machine.monotonic_ns();
            let until = now_ns.saturating_add(u64::from(seconds) * NS_PER_SECOND);
            let ready = || Ok((!self.stack.awaits_end(id)).then_some(()));
            // However the wait ends, the descriptor is closed.
            let _ = cx.block_on(&[&self.readiness.queue], Patience::Until(until), ready);
        }
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
            return Err(Errno::EINVAL.because("no urgent data"));
        }
        let id = self.connection()?.id;
        let _turn = self.receiving.take(cx)?;
        let wants_all =
            flags.contains(MessageFlags::WAITALL) && !flags.contains(MessageFlags::PEEK);
        let (timeout, mut len) = (self.options.receive_timeout(), 0);
        while to.remaining() > 0 {
            // What is there is taken at once; only the first byte is waited for.
            let how = if len > 0 && !wants_all { flags | MessageFlags::DONTWAIT } else { flags };
            match self.wait(cx, how, timeout, || self.receive_some(id, to, flags)) {
                Ok(0) => break,
                Ok(received) => len += received,
                Err(_) if len > 0 => break,
                Err(error) => return Err(error),
            }
            if flags.intersects(MessageFlags::PEEK | MessageFlags::TRUNC) {
                break;
            }
        }
        Ok(Incoming { len, ..Incoming::default() })
    }

    fn status(&self) -> Status {
        let phase = self.phase();
        let (state, (sending, receiving)) = match &phase {
            Phase::Idle(_) => (state::CLOSED, (0, 0)),
            Phase::Listening { id, .. } => (state::LISTEN, (0, self.stack.waiting(*id))),
            Phase::Connected { connection, .. } => self.stack.connection_state(connection.id),
        };
        let peer = match &phase {
            Phase::Connected { connection, .. } => {
                Some(address::encode(self.version, connection.remote))
            }
            _ => None,
        };
        Status { state, peer, sending, receiving }
    }

    fn take_error(&self) -> Option<Errno> {
        self.stack.take_error(self.connection().ok()?.id)
    }

    fn is_listening(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Listening { .. })
    }

    fn receivable_bytes(&self) -> Result<usize> {
        match self.phase() {
            Phase::Idle(_) => Ok(0),
            Phase::Listening { .. } => Err(Errno::EINVAL.because("the socket listens")),
            Phase::Connected { connection, .. } => Ok(self.stack.queued(connection.id).0),
        }
    }

    fn unreceived_bytes(&self) -> Result<usize> {
        match self.phase() {
            Phase::Idle(_) => Ok(0),
            Phase::Listening { .. } => Err(Errno::EINVAL.because("the socket listens")),
            Phase::Connected { connection, .. } => Ok(self.stack.queued(connection.id).1),
        }
    }

    fn poll(&self) -> PollEvents {
        match self.phase() {
            Phase::Idle(_) => PollEvents::OUT | PollEvents::WRNORM | PollEvents::HUP,
            Phase::Listening { id, .. } if self.stack.has_connections(id) => {
                PollEvents::IN | PollEvents::RDNORM
            }
            Phase::Listening { .. } => PollEvents::empty(),
            Phase::Connected { connection, .. } => self.stack.events(connection.id),
        }
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.readiness.queue
    }
}

impl Drop for StreamSocket {
    fn drop(&mut self) {
        match self.phase.get_mut() {
            Phase::Idle(None) => {}
            Phase::Idle(Some((_, binding))) => self.stack.release(*binding),
            Phase::Listening { id, .. } => self.stack.close_listener(*id),
            Phase::Connected { connection, .. } => {
                let is_hard = self.options.linger_seconds() == Some(0);
                self.stack.close(connection.id, is_hard);
            }
        }
    }
}
