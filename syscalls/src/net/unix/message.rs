//! What lies in the queue of a socket of unix(7).

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::net::Ucred;

use crate::buffer;
use crate::error::Result;
use crate::io::Source;

use super::UnixSocket;
use super::passing::Passed;

/// What a message takes of the sender's buffer beside its bytes, as on Linux.
const OVERHEAD: usize = 768;

/// Bytes on their way, and what goes with them.
pub(super) struct Message {
    pub(super) bytes: Arc<Vec<u8>>,
    /// How many of them have been received.
    pub(super) start: usize,
    pub(super) files: Vec<Passed>,
    pub(super) credentials: Ucred,
    /// The sender's address as applications see it; empty where that means nothing.
    pub(super) from: Vec<u8>,
    _charge: Charge,
}

/// What a message takes of its sender's buffer, until it is received.
pub(super) struct Charge {
    sender: Weak<UnixSocket>,
    amount: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.upgrade() {
            sender.discharge(self.amount);
        }
    }
}

impl Charge {
    /// Takes room for `len` bytes of the sender's buffer.
    pub(super) fn new(sender: &UnixSocket, len: usize) -> Self {
        let amount = len.saturating_add(OVERHEAD);
        sender.charge(amount);
        Self { sender: sender.this(), amount }
    }
}

impl Message {
    pub(super) fn new(
        bytes: Vec<u8>,
        files: Vec<Passed>,
        credentials: Ucred,
        from: Vec<u8>,
        charge: Charge,
    ) -> Self {
        Self { bytes: Arc::new(bytes), start: 0, files, credentials, from, _charge: charge }
    }

    /// The same message for one who only looks at it: that takes no room.
    pub(super) fn copy(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            start: self.start,
            files: self.files.iter().map(Passed::again).collect(),
            credentials: self.credentials,
            from: self.from.clone(),
            _charge: Charge { sender: Weak::new(), amount: 0 },
        }
    }

    /// How many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }
}

/// Takes up to `len` bytes of `from`.
///
/// # Errors
/// `EFAULT` when there are none because of a bad address; `ENOMEM`.
pub(super) fn take(from: &mut dyn Source, len: usize) -> Result<Vec<u8>> {
    let mut bytes = buffer::zeroed(len)?;
    let taken = from.take(&mut bytes)?;
    bytes.truncate(taken);
    Ok(bytes)
}

/// The messages that a socket has not received yet, and who waits to send it more.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) messages: VecDeque<Message>,
    /// Sockets that were told that there is no room.
    pub(super) blocked: Vec<Weak<UnixSocket>>,
}

impl Queue {
    /// How many bytes there are.
    pub(super) fn bytes(&self) -> usize {
        self.messages.iter().map(Message::len).sum()
    }

    /// Removes `len` bytes from the first message, and that when it is empty then.
    pub(super) fn consume(&mut self, len: usize) -> Option<Message> {
        let first = self.messages.front_mut()?;
        first.start += len.min(first.len());
        if first.len() == 0 { self.messages.pop_front() } else { None }
    }
}
