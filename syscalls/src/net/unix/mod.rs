//! Sockets between processes of this machine: unix(7).
//!
//! A [`UnixSocket`] has a queue of messages that others have sent it. A connection is two
//! sockets that know each other weakly, so that each ends with its last descriptor; the other
//! one is told then. What is sent counts against the sender's buffer until it is received.
//!
//! - `address`: names, and who has them
//! - `connection`: listen, connect, accept
//! - `stream`, `datagram`: sending and receiving
//! - `message`: what lies in a queue; `passing`: open files in messages
//!
//! No two locks of sockets are held at once, and no socket or message is dropped while one is.

mod address;
mod connection;
mod datagram;
mod message;
mod passing;
mod stream;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use abi::Errno;
use abi::landlock::Scope;
use abi::net::{MessageFlags, Ucred, family, state};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::turn::Turn;
use crate::fs::{OpenFile, PollEvents};
use crate::io::{Sink, Source};
use crate::landlock::Domain;
use crate::wait::WaitQueue;

use super::{Directions, Incoming, Kind, Options, Outgoing, Socket, Status, Timeout};

use address::{Address, Bound};
use message::{Message, Queue};

pub(crate) use address::Names;
pub(crate) use passing::InFlight;

/// What poll(2) finds where something can be received.
const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);

/// What poll(2) finds where something can be sent.
const WRITABLE: PollEvents = PollEvents::OUT.union(PollEvents::WRNORM).union(PollEvents::WRBAND);

/// A socket of unix(7).
pub struct UnixSocket {
    this: Weak<Self>,
    kind: Kind,
    options: Options,
    names: Arc<Names>,
    in_flight: Arc<InFlight>,
    /// The domain of who made it.
    domain: Domain,
    state: Mutex<State>,
    /// What of the buffer for sending is taken.
    charged: AtomicUsize,
    /// Whether it is a connection that nobody has accepted yet.
    is_pending: AtomicBool,
    /// Taken by whoever receives from a stream, so that no lock is held during a copy.
    receiving: Turn,
    /// Woken when [`State`] or the room for sending has changed.
    changed: WaitQueue,
}

struct State {
    /// Its address; that of the listening socket, where it comes from one.
    name: Option<Address>,
    /// Keeps the address as long as the socket.
    bound: Option<Bound>,
    phase: Phase,
    queue: Queue,
    has_receive_ended: bool,
    has_send_ended: bool,
    error: Option<Errno>,
    peer_credentials: Ucred,
}

/// How far a socket has come.
enum Phase {
    /// Nowhere.
    Idle,
    /// Connections that wait to be accepted, and how many more than that may.
    Listening { pending: VecDeque<Arc<UnixSocket>>, backlog: usize },
    /// The peer; its address stays when it is gone.
    Connected { peer: Weak<UnixSocket>, name: Option<Address> },
}

impl UnixSocket {
    /// A new socket.
    pub(crate) fn new(cx: &Context<'_>, kind: Kind) -> Arc<Self> {
        let sockets = &cx.system.sockets;
        let shared = (sockets.unix_names.clone(), sockets.in_flight.clone());
        Self::with(shared, cx.credentials().domain.clone(), kind)
    }

    fn with(
        (names, in_flight): (Arc<Names>, Arc<InFlight>),
        domain: Domain,
        kind: Kind,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            kind,
            options: Options::new(),
            names,
            in_flight,
            domain,
            state: Mutex::new(State {
                name: None,
                bound: None,
                phase: Phase::Idle,
                queue: Queue::default(),
                has_receive_ended: false,
                has_send_ended: false,
                error: None,
                peer_credentials: Ucred::NOBODY,
            }),
            charged: AtomicUsize::new(0),
            is_pending: AtomicBool::new(false),
            receiving: Turn::new(),
            changed: WaitQueue::new(),
        })
    }

    /// Two new sockets that are connected with each other.
    pub(crate) fn pair(cx: &Context<'_>, kind: Kind) -> [Arc<Self>; 2] {
        let pair = [Self::new(cx, kind), Self::new(cx, kind)];
        for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let mut state = one.state.lock();
            state.phase = Phase::Connected { peer: Arc::downgrade(other), name: None };
            state.peer_credentials = credentials(cx);
        }
        pair
    }

    fn this(&self) -> Weak<Self> {
        self.this.clone()
    }

    /// Takes room of the buffer for sending.
    fn charge(&self, amount: usize) {
        self.charged.fetch_add(amount, Ordering::SeqCst);
    }

    /// Gives back room of the buffer for sending.
    fn discharge(&self, amount: usize) {
        self.charged.fetch_sub(amount, Ordering::SeqCst);
        if self.is_writable() {
            self.changed.wake(WRITABLE);
        }
    }

    /// Whether there is so much room that who waits to send should hear of it.
    fn is_writable(&self) -> bool {
        self.charged.load(Ordering::SeqCst).saturating_mul(4) <= self.options.send_buffer()
    }

    /// Whether one more message may be sent.
    fn has_room(&self) -> bool {
        self.charged.load(Ordering::SeqCst) < self.options.send_buffer()
    }

    /// The peer, while it lives.
    fn peer(&self) -> Option<Arc<Self>> {
        match &self.state.lock().phase {
            Phase::Connected { peer, .. } => peer.upgrade(),
            _ => None,
        }
    }

    /// Whether it sends to `other` only.
    fn is_peer_of(&self, other: &Self) -> bool {
        match &self.state.lock().phase {
            Phase::Connected { peer, .. } => core::ptr::eq(peer.as_ptr(), other),
            _ => false,
        }
    }

    /// Fails where the caller's domain keeps it from reaching `other`, which has a name that is
    /// no path.
    fn check_reach(cx: &Context<'_>, other: &Self) -> Result<()> {
        let is_abstract = matches!(other.state.lock().name, Some(Address::Abstract(_)));
        if !is_abstract {
            return Ok(());
        }
        cx.credentials().domain.check_reach(&other.domain, Scope::ABSTRACT_UNIX_SOCKET)
    }

    /// Gives it a free name, where it has none and wants to be known.
    fn bind_if_known(&self, cx: &Context<'_>) -> Result<()> {
        if self.options.passes_credentials() && self.state.lock().name.is_none() {
            self.bind_to(cx, None)?;
        }
        Ok(())
    }

    fn bind_to(&self, cx: &Context<'_>, address: Option<Address>) -> Result<()> {
        if self.state.lock().bound.is_some() {
            return match address {
                None => Ok(()),
                Some(_) => Err(Errno::EINVAL.because("the socket has an address")),
            };
        }
        let bound = self.names.bind(cx, &self.this, address)?;
        let mut state = self.state.lock();
        state.name = Some(bound.address.clone());
        state.bound = Some(bound);
        Ok(())
    }

    /// Lets those look again who were told that there is no room.
    fn wake_blocked(&self) {
        let blocked = core::mem::take(&mut self.state.lock().queue.blocked);
        for sender in blocked.iter().filter_map(Weak::upgrade) {
            sender.changed.wake(WRITABLE);
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
        cx.block_on(&[&self.changed], timeout.patience(cx, flags), ready)
    }

    /// The peer is gone, or has ended both directions.
    fn end(&self, error: Option<Errno>) {
        let mut state = self.state.lock();
        state.has_receive_ended = true;
        state.has_send_ended = true;
        state.error = error.or(state.error);
        drop(state);
        self.changed.wake_all();
    }

    /// The sockets in messages that can be received from this one, or from connections that
    /// wait for it to accept them.
    fn passed_sockets(&self) -> Vec<Arc<OpenFile>> {
        let state = self.state.lock();
        let files = state.queue.messages.iter().flat_map(|message| &message.files);
        let mut sockets: Vec<_> = files.map(passing::Passed::open).collect();
        let pending: Vec<_> = match &state.phase {
            Phase::Listening { pending, .. } => pending.iter().cloned().collect(),
            _ => Vec::new(),
        };
        drop(state);
        sockets.retain(|open| open.file.socket().is_some());
        for one in &pending {
            sockets.extend(one.passed_sockets());
        }
        sockets
    }

    /// Takes all that could be received from it.
    fn purge(&self) -> Vec<Message> {
        let mut state = self.state.lock();
        let mut messages: Vec<_> = state.queue.messages.drain(..).collect();
        let pending: Vec<_> = match &mut state.phase {
            Phase::Listening { pending, .. } => pending.drain(..).collect(),
            _ => Vec::new(),
        };
        drop(state);
        for one in &pending {
            messages.append(&mut one.purge());
        }
        messages
    }
}

/// Who calls, as a peer sees it.
fn credentials(cx: &Context<'_>) -> Ucred {
    let who = cx.credentials();
    Ucred { process: cx.process.id(), user: who.users.effective, group: who.groups.effective }
}

/// Who calls, as a receiver of a message sees it.
fn sender(cx: &Context<'_>) -> Ucred {
    let who = cx.credentials();
    Ucred { process: cx.process.id(), user: who.users.real, group: who.groups.real }
}

fn not_connected() -> Error {
    Errno::ENOTCONN.because("the socket is not connected")
}

fn broken() -> Error {
    Errno::EPIPE.because("nobody receives at the other end")
}

impl Socket for UnixSocket {
    fn family(&self) -> u16 {
        family::UNIX
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn bind(&self, cx: &Context<'_>, address: &[u8]) -> Result<()> {
        self.bind_to(cx, Address::decode(address)?)
    }

    fn listen(&self, cx: &Context<'_>, backlog: u32) -> Result<()> {
        self.begin_listening(cx, backlog)
    }

    fn accept(&self, cx: &Context<'_>, flags: MessageFlags) -> Result<Arc<dyn Socket>> {
        let accepted: Arc<dyn Socket> = self.take_connection(cx, flags)?;
        Ok(accepted)
    }

    fn connect(&self, cx: &Context<'_>, address: &[u8], flags: MessageFlags) -> Result<()> {
        match self.kind {
            Kind::Datagram | Kind::Raw => self.connect_datagram(cx, address),
            Kind::Stream | Kind::SeqPacket => self.connect_stream(cx, address, flags),
        }
    }

    fn shutdown(&self, _: &Context<'_>, directions: Directions) -> Result<()> {
        let mut state = self.state.lock();
        state.has_receive_ended |= directions.receive;
        state.has_send_ended |= directions.send;
        drop(state);
        self.changed.wake_all();
        if self.kind != Kind::Datagram
            && let Some(peer) = self.peer()
        {
            let mut state = peer.state.lock();
            state.has_receive_ended |= directions.send;
            state.has_send_ended |= directions.receive;
            drop(state);
            peer.changed.wake_all();
        }
        Ok(())
    }

    fn name(&self) -> Vec<u8> {
        Address::encode(self.state.lock().name.as_ref())
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        if let Some(peer) = self.peer() {
            return Ok(peer.name());
        }
        match &self.state.lock().phase {
            Phase::Connected { name, .. } => Ok(Address::encode(name.as_ref())),
            _ => Err(not_connected()),
        }
    }

    fn send(&self, cx: &Context<'_>, from: &mut dyn Source, how: Outgoing) -> Result<usize> {
        if how.flags.contains(MessageFlags::OOB) {
            return Err(Errno::EOPNOTSUPP.because("no out-of-band data"));
        }
        match self.kind {
            Kind::Stream => self.send_stream(cx, from, how),
            Kind::Datagram | Kind::SeqPacket | Kind::Raw => self.send_message(cx, from, how),
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
        match self.kind {
            _ if flags.contains(MessageFlags::OOB) => {
                Err(Errno::EINVAL.because("no out-of-band data"))
            }
            Kind::Stream => self.receive_stream(cx, to, flags),
            Kind::Datagram | Kind::SeqPacket | Kind::Raw => self.receive_message(cx, to, flags),
        }
    }

    fn status(&self) -> Status {
        let is_connected = matches!(self.state.lock().phase, Phase::Connected { .. });
        let state = if is_connected { state::UNIX_CONNECTED } else { state::UNIX_UNCONNECTED };
        Status { state, ..Status::default() }
    }

    fn take_error(&self) -> Option<Errno> {
        self.state.lock().error.take()
    }

    fn is_listening(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Listening { .. })
    }

    fn peer_credentials(&self) -> Ucred {
        self.state.lock().peer_credentials
    }

    fn receivable_bytes(&self) -> Result<usize> {
        let state = self.state.lock();
        match (&state.phase, self.kind) {
            (Phase::Listening { .. }, _) => {
                Err(Errno::EINVAL.because("a listening socket receives nothing"))
            }
            (_, Kind::Datagram) => Ok(state.queue.messages.front().map_or(0, Message::len)),
            _ => Ok(state.queue.bytes()),
        }
    }

    fn unreceived_bytes(&self) -> Result<usize> {
        Ok(self.charged.load(Ordering::SeqCst))
    }

    fn poll(&self) -> PollEvents {
        let full_peer = self.is_peer_full();
        let state = self.state.lock();
        let mut events = PollEvents::empty();
        events.set(PollEvents::ERR, state.error.is_some());
        events.set(PollEvents::HUP, state.has_receive_ended && state.has_send_ended);
        events.set(PollEvents::RDHUP | READABLE, state.has_receive_ended);
        let (has_connection, is_listening) = match &state.phase {
            Phase::Listening { pending, .. } => (!pending.is_empty(), true),
            _ => (false, false),
        };
        if has_connection || !state.queue.messages.is_empty() {
            events |= READABLE;
        }
        if self.kind != Kind::Datagram && matches!(state.phase, Phase::Idle) {
            events |= PollEvents::HUP;
        }
        if !is_listening && !full_peer && self.is_writable() {
            events |= WRITABLE;
        }
        events
    }

    fn wait_queue(&self) -> &WaitQueue {
        &self.changed
    }

    fn unix(&self) -> Option<&UnixSocket> {
        Some(self)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Some(bound) = state.bound.take() {
            bound.release(&self.names);
        }
        let loses_messages = !state.queue.messages.is_empty();
        let blocked = core::mem::take(&mut state.queue.blocked);
        let peer = match &state.phase {
            Phase::Connected { peer, .. } if self.kind != Kind::Datagram => peer.upgrade(),
            _ => None,
        };
        if let Some(peer) = peer {
            let is_reset = loses_messages || self.is_pending.load(Ordering::SeqCst);
            peer.end(is_reset.then_some(Errno::ECONNRESET));
        }
        for sender in blocked.iter().filter_map(Weak::upgrade) {
            sender.changed.wake_all();
        }
    }
}
