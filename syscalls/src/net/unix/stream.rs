//! Streams of bytes: `SOCK_STREAM`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::net::{MessageFlags, Ucred};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::OpenFile;
use crate::io::{Sink, Source};

use super::message::{self, Charge, Message};
use super::passing::Passed;
use super::{
    Address, Incoming, Outgoing, Phase, READABLE, UnixSocket, broken, not_connected, sender,
};

/// Longest piece that is sent at once, in bytes.
const PIECE: usize = 32 * 1024;

/// A piece that is about to be received.
struct Front {
    bytes: Arc<Vec<u8>>,
    start: usize,
    files: Vec<Arc<OpenFile>>,
    credentials: Ucred,
    from: Vec<u8>,
}

impl UnixSocket {
    /// sendmsg(2).
    pub(super) fn send_stream(
        &self,
        cx: &Context<'_>,
        from: &mut dyn Source,
        how: Outgoing,
    ) -> Result<usize> {
        let is_connected = matches!(self.state.lock().phase, Phase::Connected { .. });
        match (how.address, is_connected) {
            (Some(_), true) => return Err(Errno::EISCONN.because("the socket is connected")),
            (Some(_), false) => return Err(super::super::not_supported()),
            (None, true) => {}
            (None, false) => return Err(not_connected()),
        }
        let mut files = self.in_flight.pass(cx, how.files)?;
        let credentials = how.credentials.unwrap_or_else(|| sender(cx));
        let mut done = 0;
        while from.remaining() > 0 {
            let taken = core::mem::take(&mut files);
            match self.send_piece(cx, from, how.flags, taken, credentials) {
                Ok(0) => break,
                Ok(sent) => done += sent,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        if done == 0 && self.state.lock().has_send_ended {
            return Err(broken());
        }
        Ok(done)
    }

    fn send_piece(
        &self,
        cx: &Context<'_>,
        from: &mut dyn Source,
        flags: MessageFlags,
        files: Vec<Passed>,
        credentials: Ucred,
    ) -> Result<usize> {
        self.wait(cx, flags, self.options.send_timeout(), || {
            self.check_receiver()?;
            Ok(self.has_room().then_some(()))
        })?;
        let len = from.remaining().min(PIECE);
        let bytes = message::take(from, len)?;
        let len = bytes.len();
        if len == 0 {
            return Ok(0);
        }
        let name = self.state.lock().name.clone();
        let name = name.map_or_else(Vec::new, |name| Address::encode(Some(&name)));
        let charge = Charge::new(self, len);
        let message = Message::new(bytes, files, credentials, name, charge);
        let peer = self.peer().ok_or_else(broken)?;
        if let Some(refused) = peer.deliver(message) {
            drop(refused);
            return Err(broken());
        }
        Ok(len)
    }

    /// Whether somebody will receive what is sent.
    fn check_receiver(&self) -> Result<()> {
        if self.state.lock().has_send_ended {
            return Err(broken());
        }
        let peer = self.peer().ok_or_else(broken)?;
        let has_ended = peer.state.lock().has_receive_ended;
        if has_ended { Err(broken()) } else { Ok(()) }
    }

    /// Queues a message to be received; gives it back where nobody will.
    pub(super) fn deliver(&self, message: Message) -> Option<Message> {
        let mut state = self.state.lock();
        if state.has_receive_ended {
            return Some(message);
        }
        state.queue.messages.push_back(message);
        drop(state);
        self.changed.wake(READABLE);
        None
    }

    /// recvmsg(2).
    pub(super) fn receive_stream(
        &self,
        cx: &Context<'_>,
        to: &mut dyn Sink,
        flags: MessageFlags,
    ) -> Result<Incoming> {
        if !matches!(self.state.lock().phase, Phase::Connected { .. }) {
            return Err(Errno::EINVAL.because("the socket is not connected"));
        }
        let mut incoming = Incoming::default();
        if to.remaining() == 0 {
            // As on Linux, also who takes nothing waits until there is something.
            self.wait_for_bytes(cx, flags)?;
        }
        let waits_for_all = flags.contains(MessageFlags::WAITALL);
        while to.remaining() > 0 {
            match self.wait_for_bytes(cx, flags) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if incoming.len > 0 => break,
                Err(error) => return Err(error),
            }
            let before = incoming.len;
            let result = self.receive_pieces(cx, to, flags, &mut incoming);
            match result {
                Err(error) if incoming.len == 0 => return Err(error),
                Err(_) => break,
                // Somebody else was faster.
                Ok(()) if incoming.len == 0 => continue,
                Ok(()) => {}
            }
            let is_done = !incoming.files.is_empty() || flags.contains(MessageFlags::PEEK);
            if !waits_for_all || is_done || incoming.len == before {
                break;
            }
        }
        Ok(incoming)
    }

    /// Waits until there are bytes; false at the end.
    fn wait_for_bytes(&self, cx: &Context<'_>, flags: MessageFlags) -> Result<bool> {
        self.wait(cx, flags, self.options.receive_timeout(), || {
            let mut state = self.state.lock();
            if !state.queue.messages.is_empty() {
                return Ok(Some(true));
            }
            if let Some(error) = state.error.take() {
                return Err(error.because("the connection was reset"));
            }
            Ok(state.has_receive_ended.then_some(false))
        })
    }

    /// Receives what there is, up to a piece that has files, or that comes from somebody else
    /// where that is told.
    fn receive_pieces(
        &self,
        cx: &Context<'_>,
        to: &mut dyn Sink,
        flags: MessageFlags,
        incoming: &mut Incoming,
    ) -> Result<()> {
        let is_peek = flags.contains(MessageFlags::PEEK);
        let tells_sender = self.options.passes_credentials();
        let _turn = self.receiving.take(cx)?;
        let mut index = 0;
        while to.remaining() > 0
            && let Some(front) = self.front(index, is_peek)
        {
            let is_other = incoming.credentials.is_some_and(|first| first != front.credentials);
            if is_other && tells_sender {
                break;
            }
            let put = to.put(&front.bytes[front.start..])?;
            incoming.len += put;
            if tells_sender {
                incoming.credentials = Some(front.credentials);
            }
            incoming.address.get_or_insert(front.from);
            if is_peek {
                index += 1;
            } else {
                let spent = self.state.lock().queue.consume(put);
                drop(spent);
            }
            if !front.files.is_empty() {
                incoming.files = front.files;
                break;
            }
        }
        Ok(())
    }

    /// What is to be received next; the files are taken from it, unless it is only looked at.
    fn front(&self, index: usize, is_peek: bool) -> Option<Front> {
        let mut state = self.state.lock();
        let message = state.queue.messages.get_mut(index)?;
        let passed = if is_peek { Vec::new() } else { core::mem::take(&mut message.files) };
        let files = if is_peek { &message.files } else { &passed };
        let files = files.iter().map(Passed::open).collect();
        let front = Front {
            bytes: message.bytes.clone(),
            start: message.start,
            files,
            credentials: message.credentials,
            from: message.from.clone(),
        };
        drop(state);
        drop(passed);
        Some(front)
    }
}
