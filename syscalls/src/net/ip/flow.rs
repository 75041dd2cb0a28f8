//! One connection of TCP: smoltcp's socket, in a set of its own, and what Linux has besides.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::Duration;
use smoltcp::wire::IpListenEndpoint;

use crate::buffer;
use crate::error::{Because, Result};
use crate::fs::PollEvents;
use crate::wait::WaitQueue;

use super::bindings::BindingId;
use super::frame::Tuple;
use super::interface::Interface;

/// How long an unanswered request for a connection is repeated: about as long as Linux does.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);

/// How long a connection that was asked for, and answered, may stay half open.
const HALF_OPEN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the acknowledgement of what has arrived waits for something to go with it: where
/// each arrival is answered, as long as on Linux; otherwise the other end may be waiting.
const ANSWERED_ACK_DELAY: Duration = Duration::from_millis(40);
const ACK_DELAY: Duration = Duration::from_millis(10);

/// The headers of a segment of TCP over IPv6, without options, in bytes.
const HEADERS_LEN: usize = 60;

/// From which length of a receive buffer on, in bytes, a quarter of it is enough for a sender
/// not to wait for more.
const LEAST_QUIET_CAPACITY: usize = 16 * 1024;

/// What can be read and written, and who waits for it.
#[derive(Default)]
pub(crate) struct Readiness {
    /// Who waits.
    pub(crate) queue: WaitQueue,
}

/// What a socket wants of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    /// `SO_RCVBUF`, in bytes.
    pub(crate) receive_len: usize,
    /// `SO_SNDBUF`, in bytes.
    pub(crate) send_len: usize,
    /// `TCP_NODELAY`.
    pub(crate) no_delay: bool,
    /// `SO_KEEPALIVE` with `TCP_KEEPIDLE`, in seconds.
    pub(crate) keep_alive_s: Option<u32>,
    /// `IP_TTL`.
    pub(crate) hop_limit: Option<u8>,
    /// The number of the only interface that is used, from 1: `SO_BINDTODEVICE`.
    pub(crate) device: Option<u32>,
}

/// To whom a connection belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// To the listener to which it came: it was not accepted yet.
    Listener(u64),
    /// To a socket.
    Socket,
    /// To nobody any more.
    Nobody,
}

/// A connection.
pub(super) struct Flow {
    pub(super) tuple: Tuple,
    /// The number of its interface.
    pub(super) interface: usize,
    pub(super) owner: Owner,
    pub(super) readiness: Arc<Readiness>,
    /// The port it occupies.
    pub(super) binding: Option<BindingId>,
    /// `SO_ERROR`.
    pub(super) error: Option<Errno>,
    /// When it has to be looked at, monotonic.
    pub(super) deadline_ns: Option<u64>,
    /// When nobody waits for its end any more, monotonic.
    pub(super) expires_ns: Option<u64>,
    /// Whether it was established.
    pub(super) was_open: bool,
    /// `SHUT_RD`.
    pub(super) ignores_input: bool,
    set: SocketSet<'static>,
    handle: SocketHandle,
    seen: Seen,
    /// How often input has arrived since something was sent, up to 2.
    unanswered: u8,
}

/// What was the case when somebody was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    state: State,
    received: usize,
    events: PollEvents,
}

impl Flow {
    fn new(tuple: Tuple, interface: usize, wants: &Wants) -> Result<Self> {
        let buffer = |len| -> Result<tcp::SocketBuffer<'static>> {
            Ok(tcp::SocketBuffer::new(buffer::zeroed(len)?))
        };
        let mut socket = tcp::Socket::new(buffer(wants.receive_len)?, buffer(wants.send_len)?);
        socket.set_congestion_control(tcp::CongestionControl::Reno);
        socket.set_ack_delay(Some(ACK_DELAY));
        let mut set = SocketSet::new(Vec::from([SocketStorage::EMPTY]));
        let handle = set.add(socket);
        let seen = Seen { state: State::Closed, received: 0, events: PollEvents::empty() };
        let mut flow = Self {
            tuple,
            interface,
            owner: Owner::Socket,
            readiness: Arc::default(),
            binding: None,
            error: None,
            deadline_ns: None,
            expires_ns: None,
            was_open: false,
            ignores_input: false,
            set,
            handle,
            seen,
            unanswered: 0,
        };
        flow.set_wants(wants);
        Ok(flow)
    }

    /// A connection that is asked for.
    ///
    /// # Errors
    /// `ENOBUFS`; `EADDRNOTAVAIL` for an address no connection can have.
    pub(super) fn connecting(
        tuple: Tuple,
        (number, interface): (usize, &mut Interface),
        wants: &Wants,
    ) -> Result<Self> {
        let mut flow = Self::new(tuple, number, wants)?;
        let socket = flow.set.get_mut::<tcp::Socket>(flow.handle);
        socket.set_timeout(Some(CONNECT_TIMEOUT));
        socket
            .connect(interface.context(), tuple.remote, tuple.local)
            .map_err(|_| Errno::EADDRNOTAVAIL)?;
        flow.seen.state = State::SynSent;
        Ok(flow)
    }

    /// A connection that is about to be asked for by the other end.
    ///
    /// # Errors
    /// `ENOBUFS`.
    pub(super) fn awaited(
        tuple: Tuple,
        interface: usize,
        listener: u64,
        wants: &Wants,
    ) -> Result<Self> {
        let mut flow = Self::new(tuple, interface, wants)?;
        flow.owner = Owner::Listener(listener);
        let socket = flow.socket();
        socket.set_timeout(Some(HALF_OPEN_TIMEOUT));
        let here =
            IpListenEndpoint { addr: Some(tuple.local.ip().into()), port: tuple.local.port() };
        socket.listen(here).map_err(|_| Errno::EADDRNOTAVAIL)?;
        flow.seen.state = State::Listen;
        Ok(flow)
    }

    /// smoltcp's socket.
    pub(super) fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    fn peer(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }

    /// The set that has only this connection.
    pub(super) fn set(&mut self) -> &mut SocketSet<'static> {
        &mut self.set
    }

    /// Its state.
    pub(super) fn state(&self) -> State {
        self.peer().state()
    }

    /// Sets what its socket wants, but for the lengths of buffers.
    pub(super) fn set_wants(&mut self, wants: &Wants) {
        let socket = self.socket();
        socket.set_nagle_enabled(!wants.no_delay);
        let keep_alive = wants.keep_alive_s.map(|seconds| Duration::from_secs(seconds.into()));
        // Setting it, even to what it is, asks at once whether the other end lives.
        if socket.keep_alive() != keep_alive {
            socket.set_keep_alive(keep_alive);
        }
        socket.set_hop_limit(wants.hop_limit);
    }

    /// Sends what there is to send; whether all of it could leave.
    pub(super) fn transmit(&mut self, interface: &mut Interface, now_ns: u64) -> bool {
        interface.egress(now_ns, &mut self.set)
    }

    /// Finds out when it has to be looked at next.
    pub(super) fn plan(&mut self, interface: &mut Interface, now_ns: u64) -> Option<u64> {
        let next = interface.deadline_ns(now_ns, &self.set);
        next.into_iter().chain(self.expires_ns).min()
    }

    /// How many bytes of input there are.
    pub(super) fn received(&self) -> usize {
        if self.ignores_input { 0 } else { self.peer().recv_queue() }
    }

    /// How many bytes of output can be taken now.
    pub(super) fn room(&self) -> usize {
        let peer = self.peer();
        if peer.may_send() { peer.send_capacity() - peer.send_queue() } else { 0 }
    }

    /// Takes output; how much of it.
    ///
    /// # Errors
    /// `EPIPE`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<usize> {
        let is_answer = core::mem::take(&mut self.unanswered) == 1;
        let socket = self.socket();
        if is_answer {
            socket.set_ack_delay(Some(ANSWERED_ACK_DELAY));
        }
        let taken = socket.send_slice(bytes);
        taken.map_err(|_| Errno::EPIPE.because("the connection takes nothing any more"))
    }

    /// Whether output that more follows can wait for it: while it fills no packet of `mtu`
    /// bytes, and there is room.
    pub(super) fn can_wait(&self, mtu: usize) -> bool {
        let peer = self.peer();
        peer.send_queue() < (peer.send_capacity() / 2).min(mtu.saturating_sub(HEADERS_LEN))
    }

    /// Whether its end was sent and may not have arrived.
    pub(super) fn awaits_end(&self) -> bool {
        matches!(self.state(), State::FinWait1 | State::Closing | State::LastAck)
    }

    /// Copies input and leaves it there; how much, at least one byte where there is any.
    pub(super) fn peek(&mut self, to: &mut [u8]) -> usize {
        let input = self.socket().peek(to.len()).unwrap_or_default();
        let len = input.len().min(to.len());
        to[..len].copy_from_slice(&input[..len]);
        len
    }

    /// Takes input away; whether the other end may have to know. It need not while half of
    /// the room was free anyhow: then it was last told of a quarter of it, and whatever it
    /// sends is answered with how much there is now.
    pub(super) fn consume(&mut self, len: usize) -> bool {
        let socket = self.socket();
        let (queued, capacity) = (socket.recv_queue(), socket.recv_capacity());
        // It fails only where there is nothing to take.
        let _ = socket.recv(|input| (len.min(input.len()), ()));
        // What was taken is no longer there: to be readable again, if only by the end, is news.
        self.seen.received = self.received();
        self.seen.events = self.seen.events.intersection(self.events());
        queued > capacity / 2 || capacity < LEAST_QUIET_CAPACITY
    }

    /// Whether no more input comes.
    pub(super) fn is_at_end(&self) -> bool {
        let before = matches!(self.state(), State::SynSent | State::SynReceived | State::Listen);
        self.ignores_input || !before && !self.peer().may_recv()
    }

    /// Whether output is still taken.
    pub(super) fn may_send(&self) -> bool {
        self.peer().may_send()
    }

    /// What poll(2) finds.
    pub(super) fn events(&self) -> PollEvents {
        let (peer, state) = (self.peer(), self.state());
        let mut events = PollEvents::empty();
        if self.error.is_some() {
            events |= PollEvents::ERR;
        }
        if matches!(state, State::SynSent | State::SynReceived | State::Listen) {
            return events;
        }
        let (no_input, no_output) = (self.is_at_end(), !peer.may_send());
        if self.received() > 0 || no_input {
            events |= PollEvents::IN | PollEvents::RDNORM;
        }
        if no_input {
            events |= PollEvents::RDHUP;
        }
        let queued = peer.send_queue();
        // As Linux: when a third is free, so that writers are not woken for each byte.
        if no_output || peer.send_capacity() - queued >= queued / 2 {
            events |= PollEvents::OUT | PollEvents::WRNORM;
        }
        if no_input && no_output {
            events |= PollEvents::HUP;
        }
        events
    }

    /// Looks at what a frame or a moment has changed; what has become true. `has_expired`
    /// says that it was a moment.
    pub(super) fn look(&mut self, has_expired: bool) -> PollEvents {
        let state = self.state();
        if state != self.seen.state {
            self.follow(state, has_expired);
        }
        let (received, events) = (self.received(), self.events());
        let mut news = events.difference(self.seen.events);
        if received > self.seen.received {
            news |= PollEvents::IN | PollEvents::RDNORM;
            self.unanswered = (self.unanswered + 1).min(2);
            if self.unanswered > 1 {
                self.socket().set_ack_delay(Some(ACK_DELAY));
            }
        }
        // Who lingers waits for this.
        let has_waited =
            matches!(self.seen.state, State::FinWait1 | State::Closing | State::LastAck);
        if has_waited && !self.awaits_end() {
            news |= PollEvents::OUT | PollEvents::WRNORM;
        }
        self.seen = Seen { state, received, events };
        news
    }

    /// Draws the consequences of a new state.
    fn follow(&mut self, state: State, has_expired: bool) {
        if state == State::Established {
            self.was_open = true;
            self.socket().set_timeout(None);
        }
        if state != State::Closed {
            return;
        }
        let error = match self.seen.state {
            State::SynSent | State::SynReceived | State::Established | State::CloseWait
                if has_expired =>
            {
                Some(Errno::ETIMEDOUT)
            }
            State::SynSent => Some(Errno::ECONNREFUSED),
            State::Established | State::FinWait1 | State::FinWait2 => Some(Errno::ECONNRESET),
            State::CloseWait => Some(Errno::EPIPE),
            _ => None,
        };
        self.error = self.error.or(error);
    }
}
