//! A queue of messages, and who waits for one.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::ipc::message::MessageQueueStatus;

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::wait::WaitQueue;

use super::handover::Handover;
use super::permission::Permission;
use super::registry::Object;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its type, greater than 0.
    pub(crate) kind: i64,
    /// What it says.
    pub(crate) text: Vec<u8>,
}

/// Which message somebody wants: msgrcv(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// The first.
    Any,
    /// The first of this type.
    Kind(i64),
    /// The first that is not of this type.
    NotKind(i64),
    /// The first of the lowest type that is not greater than this.
    UpTo(i64),
}

impl Selector {
    fn takes(self, message: &Message) -> bool {
        match self {
            Self::Any => true,
            Self::Kind(kind) => message.kind == kind,
            Self::NotKind(kind) => message.kind != kind,
            Self::UpTo(kind) => message.kind <= kind,
        }
    }
}

/// Who waits for a message.
pub(super) struct Receiver {
    pub(super) selector: Selector,
    /// Most bytes it takes; a longer message is an error for it.
    pub(super) longest: usize,
    pub(super) process: u32,
    pub(super) handover: Handover<Result<Message>>,
}

/// A queue of messages.
pub(super) struct MessageQueue {
    pub(super) permission: Permission,
    messages: VecDeque<Message>,
    /// Bytes of all messages.
    bytes: u64,
    /// Most bytes of all messages, and most messages.
    max_bytes: u64,
    /// In the order in which they came.
    receivers: VecDeque<Arc<Receiver>>,
    /// Woken when there may be room again.
    room: Arc<WaitQueue>,
    /// Times in seconds since 1970 UTC.
    sent: i64,
    received: i64,
    changed: i64,
    last_sender: u32,
    last_receiver: u32,
}

impl Object for MessageQueue {
    fn permission(&self) -> &Permission {
        &self.permission
    }
}

impl MessageQueue {
    /// An empty queue.
    pub(super) fn new(permission: Permission, max_bytes: u64, now: i64) -> Self {
        Self {
            permission,
            messages: VecDeque::new(),
            bytes: 0,
            max_bytes,
            receivers: VecDeque::new(),
            room: Arc::new(WaitQueue::new()),
            sent: 0,
            received: 0,
            changed: now,
            last_sender: 0,
            last_receiver: 0,
        }
    }

    /// Number of messages, and their bytes.
    pub(super) fn usage(&self) -> (usize, u64) {
        (self.messages.len(), self.bytes)
    }

    /// Where who wants to send waits for room.
    pub(super) fn room(&self) -> Arc<WaitQueue> {
        self.room.clone()
    }

    /// Whether there is room for one more message, of `len` bytes.
    pub(super) fn has_room_for(&self, len: usize) -> bool {
        let messages = self.messages.len() as u64;
        self.bytes.saturating_add(len as u64) <= self.max_bytes && messages < self.max_bytes
    }

    /// Gives a message to the first who waits for it, or keeps it.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn put(&mut self, message: Message, process: u32, now: i64) -> Result<()> {
        self.messages.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        (self.sent, self.last_sender) = (now, process);
        while let Some(at) = self.receivers.iter().position(|one| one.selector.takes(&message)) {
            let Some(receiver) = self.receivers.remove(at) else { break };
            if message.text.len() <= receiver.longest {
                (self.received, self.last_receiver) = (now, receiver.process);
                receiver.handover.give(Ok(message));
                return Ok(());
            }
            receiver.handover.give(Err(too_long()));
        }
        self.bytes += message.text.len() as u64;
        self.messages.push_back(message);
        Ok(())
    }

    /// Takes a message of at most `longest` bytes, if one is there.
    ///
    /// # Errors
    /// `E2BIG` when it is longer; it stays then.
    pub(super) fn take(
        &mut self,
        selector: Selector,
        longest: usize,
        process: u32,
        now: i64,
    ) -> Result<Option<Message>> {
        let Some(at) = self.find(selector) else {
            return Ok(None);
        };
        if self.messages[at].text.len() > longest {
            return Err(too_long());
        }
        let message = self.messages.remove(at);
        self.bytes -= message.as_ref().map_or(0, |message| message.text.len() as u64);
        (self.received, self.last_receiver) = (now, process);
        Ok(message)
    }

    fn find(&self, selector: Selector) -> Option<usize> {
        let mut wanted =
            self.messages.iter().enumerate().filter(|(_, message)| selector.takes(message));
        let found = match selector {
            // Of several of one type, the first is the minimum.
            Selector::UpTo(_) => wanted.min_by_key(|(_, message)| message.kind),
            _ => wanted.next(),
        };
        found.map(|(at, _)| at)
    }

    /// A copy of the message at a place, of at most `longest` bytes.
    ///
    /// # Errors
    /// `ENOMSG` when there is none; `E2BIG` when it is longer; `ENOMEM`.
    pub(super) fn copy(&self, at: usize, longest: usize) -> Result<Message> {
        let message = self.messages.get(at);
        let message = message.ok_or_else(|| Errno::ENOMSG.because("no message at this place"))?;
        if message.text.len() > longest {
            return Err(too_long());
        }
        let text = buffer::copied(&message.text)?;
        Ok(Message { kind: message.kind, text })
    }

    /// Lets somebody wait for a message.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn add_receiver(&mut self, receiver: &Arc<Receiver>) -> Result<()> {
        self.receivers.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.receivers.push_back(receiver.clone());
        Ok(())
    }

    /// Somebody does not wait any more.
    pub(super) fn forget(&mut self, receiver: &Arc<Receiver>) {
        self.receivers.retain(|other| !Arc::ptr_eq(other, receiver));
    }

    /// Tells all who wait for messages that the queue is removed.
    pub(super) fn dismiss(&mut self) {
        for receiver in self.receivers.drain(..) {
            receiver.handover.give(Err(removed()));
        }
    }

    /// Takes over what `IPC_SET` can change.
    ///
    /// # Errors
    /// Those of [`Permission::set`].
    pub(super) fn set(
        &mut self,
        cx: &Context<'_>,
        new: &MessageQueueStatus,
        now: i64,
    ) -> Result<()> {
        self.permission.set(cx, &new.permission)?;
        self.max_bytes = new.max_bytes;
        self.changed = now;
        Ok(())
    }

    /// As the caller sees it.
    pub(super) fn show(&self, cx: &Context<'_>, number: i32) -> MessageQueueStatus {
        MessageQueueStatus {
            permission: self.permission.show(cx, number),
            sent: self.sent,
            received: self.received,
            changed: self.changed,
            bytes: self.bytes,
            messages: self.messages.len() as u64,
            max_bytes: self.max_bytes,
            last_sender: cx.shown_id(self.last_sender).cast_signed(),
            last_receiver: cx.shown_id(self.last_receiver).cast_signed(),
            ..MessageQueueStatus::default()
        }
    }
}

pub(super) fn removed() -> Error {
    Errno::EIDRM.because("the queue was removed")
}

fn too_long() -> Error {
    Errno::E2BIG.because("the message is longer than the room for it")
}
