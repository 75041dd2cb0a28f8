//! Messages: `SOCK_DGRAM` and `SOCK_SEQPACKET`.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::net::MessageFlags;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::io::{Sink, Source};

use super::message::{self, Charge, Message};
use super::passing::Passed;
use super::{Address, Incoming, Kind, Outgoing, Phase, UnixSocket, broken, not_connected, sender};

/// How many messages a socket keeps of others than its peer
/// (/proc/sys/net/unix/max_dgram_qlen).
const QUEUE_LEN: usize = 10;

/// What of the buffer no message can use, in bytes.
const RESERVED: usize = 32;

impl UnixSocket {
    /// sendmsg(2).
    pub(super) fn send_message(
        &self,
        cx: &Context<'_>,
        from: &mut dyn Source,
        how: Outgoing,
    ) -> Result<usize> {
        self.bind_if_known(cx)?;
        let to = self.receiver(cx, how.address)?;
        let len = from.remaining();
        if len > self.options.send_buffer().saturating_sub(RESERVED) {
            return Err(Errno::EMSGSIZE.because("the message is longer than the buffer"));
        }
        let files = self.in_flight.pass(cx, how.files)?;
        let credentials = how.credentials.unwrap_or_else(|| sender(cx));
        let bytes = message::take(from, len)?;
        if bytes.len() < len {
            return Err(Errno::EFAULT.because("bad address"));
        }
        self.wait(cx, how.flags, self.options.send_timeout(), || self.look_for_room(&to))?;
        let name = self.state.lock().name.clone();
        let name = name.map_or_else(Vec::new, |name| Address::encode(Some(&name)));
        let message = Message::new(bytes, files, credentials, name, Charge::new(self, len));
        let receiver = to.upgrade().ok_or_else(|| self.gone(&to))?;
        match receiver.deliver(message) {
            None => Ok(len),
            Some(refused) => {
                drop(refused);
                Err(broken())
            }
        }
    }

    /// To whom a message goes.
    fn receiver(&self, cx: &Context<'_>, address: Option<Vec<u8>>) -> Result<Weak<Self>> {
        let address = address.filter(|_| self.kind == Kind::Datagram);
        match address {
            Some(address) => {
                let address = Address::decode(&address)?;
                let invalid = || Errno::EINVAL.because("the address is empty");
                let found = self.names.find(cx, &address.ok_or_else(invalid)?)?;
                self.check_may_send(cx, &found)?;
                Ok(Arc::downgrade(&found))
            }
            None => match &self.state.lock().phase {
                Phase::Connected { peer, .. } => Ok(peer.clone()),
                _ => Err(not_connected()),
            },
        }
    }

    /// Whether it may send to `other`: not where that receives from another peer only, or
    /// cannot be reached.
    pub(super) fn check_may_send(&self, cx: &Context<'_>, other: &Self) -> Result<()> {
        if other.kind != self.kind {
            return Err(Errno::EPROTOTYPE.because("a socket of another type"));
        }
        let has_peer = matches!(other.state.lock().phase, Phase::Connected { .. });
        if has_peer && !other.is_peer_of(self) {
            return Err(Errno::EPERM.because("the other socket has another peer"));
        }
        if self.is_peer_of(other) {
            return Ok(());
        }
        Self::check_reach(cx, other)
    }

    /// Whether there is room for one more message, here and there. Where there is none, it
    /// will be told.
    fn look_for_room(&self, to: &Weak<Self>) -> Result<Option<()>> {
        if self.state.lock().has_send_ended {
            return Err(broken());
        }
        let receiver = to.upgrade().ok_or_else(|| self.gone(to))?;
        if receiver.state.lock().has_receive_ended {
            return Err(broken());
        }
        Ok((self.has_room() && !self.is_full(&receiver)).then_some(()))
    }

    /// Whether `receiver` takes no more messages of this socket now; it will be told.
    fn is_full(&self, receiver: &Self) -> bool {
        if receiver.is_peer_of(self) {
            return false;
        }
        let mut state = receiver.state.lock();
        if state.queue.messages.len() <= QUEUE_LEN {
            return false;
        }
        let is_known = state.queue.blocked.iter().any(|one| one.ptr_eq(&self.this));
        if !is_known {
            state.queue.blocked.push(self.this());
        }
        true
    }

    /// Whether the peer of a datagram socket takes no more messages now.
    pub(super) fn is_peer_full(&self) -> bool {
        self.kind == Kind::Datagram && self.peer().is_some_and(|peer| self.is_full(&peer))
    }

    /// The error when the receiver is gone; it is not the peer any more then.
    fn gone(&self, receiver: &Weak<Self>) -> crate::error::Error {
        if self.kind == Kind::SeqPacket {
            return broken();
        }
        let mut state = self.state.lock();
        if matches!(&state.phase, Phase::Connected { peer, .. } if peer.ptr_eq(receiver)) {
            state.phase = Phase::Idle;
        }
        Errno::ECONNREFUSED.because("the receiver is gone")
    }

    /// recvmsg(2).
    pub(super) fn receive_message(
        &self,
        cx: &Context<'_>,
        to: &mut dyn Sink,
        flags: MessageFlags,
    ) -> Result<Incoming> {
        let is_connected = matches!(self.state.lock().phase, Phase::Connected { .. });
        if self.kind == Kind::SeqPacket && !is_connected {
            return Err(not_connected());
        }
        let is_peek = flags.contains(MessageFlags::PEEK);
        let taken = self.wait(cx, flags, self.options.receive_timeout(), || {
            self.take_message(is_peek, flags.contains(MessageFlags::DONTWAIT))
        })?;
        let Some(message) = taken else {
            return Ok(Incoming::default());
        };
        if !is_peek {
            self.wake_blocked();
        }
        let put = to.put(&message.bytes)?;
        let is_cut = put < message.bytes.len();
        let whole = flags.contains(MessageFlags::TRUNC);
        let tells_sender = self.options.passes_credentials();
        Ok(Incoming {
            len: if whole { message.bytes.len() } else { put },
            address: Some(message.from),
            flags: if is_cut { MessageFlags::TRUNC } else { MessageFlags::empty() },
            files: message.files.iter().map(Passed::open).collect(),
            credentials: tells_sender.then_some(message.credentials),
            ..Incoming::default()
        })
    }

    /// The next message, or that there will be none; `None` while there is none.
    #[allow(clippy::option_option)]
    fn take_message(&self, is_peek: bool, never_waits: bool) -> Result<Option<Option<Message>>> {
        let mut state = self.state.lock();
        let message = match is_peek {
            true => state.queue.messages.front().map(Message::copy),
            false => state.queue.messages.pop_front(),
        };
        if message.is_some() {
            return Ok(Some(message));
        }
        if let Some(error) = state.error.take() {
            return Err(error.because("the connection was reset"));
        }
        let is_end = state.has_receive_ended && (self.kind == Kind::SeqPacket || !never_waits);
        Ok(is_end.then_some(None))
    }
}
