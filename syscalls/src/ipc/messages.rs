//! Messages of System V: msgget(2), msgop(2), msgctl(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::ipc::GetFlags;
use abi::ipc::message::{MessageInfo, MessageQueueStatus};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::lock::Patience;
use crate::process::Capability;
use crate::wait::{Interruption, WaitQueue};

use super::handover::Handover;
use super::permission::{Asked, Permission};
use super::queue::{Message, MessageQueue, Receiver, Selector, removed};
use super::registry::Registry;
use super::{Limits, now};

/// What Linux tells of things that it does not have: `MSGSSZ`, `MSGSEG`.
const SEGMENT_SIZE: i32 = 16;
const SEGMENTS: u16 = u16::MAX;

/// All queues.
pub(crate) struct MessageQueues {
    registry: Mutex<Registry<MessageQueue>>,
}

/// How somebody receives a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reception {
    /// Which one.
    pub(crate) selector: Selector,
    /// Most bytes it may have.
    pub(crate) longest: usize,
    /// Whether to wait for it.
    pub(crate) patience: Patience,
}

impl Default for MessageQueues {
    fn default() -> Self {
        Self { registry: Mutex::new(Registry::new()) }
    }
}

impl MessageQueues {
    /// The number of the queue with `key`, which is made where `flags` say so.
    ///
    /// # Errors
    /// Those of msgget(2).
    pub(crate) fn get(&self, cx: &Context<'_>, key: i32, flags: GetFlags) -> Result<i32> {
        let who = cx.credentials();
        let limits = cx.ipc().limits();
        let mut registry = self.registry.lock();
        if let Some(number) = registry.find(key, flags)? {
            registry.check(cx, number, flags)?;
            return Ok(number);
        }
        let permission = Permission::new(&who, key, flags.bits());
        registry.insert(limits.queues, |_| {
            Ok(MessageQueue::new(permission, limits.queue_bytes, now(cx)))
        })
    }

    /// Sends a message, and waits for room for it.
    ///
    /// # Errors
    /// Those of msgsnd(2).
    pub(crate) fn send(
        &self,
        cx: &Context<'_>,
        number: i32,
        message: Message,
        patience: Patience,
    ) -> Result<()> {
        let mut message = Some(message);
        let Some(room) = self.try_send(cx, number, &mut message)? else {
            return Ok(());
        };
        if patience == Patience::None {
            return Err(Errno::EAGAIN.because("the queue is full"));
        }
        cx.wait_until(&[&room], None, Interruption::NoRestart, || {
            match self.try_send(cx, number, &mut message) {
                Ok(None) => Ok(Some(())),
                Ok(Some(_)) => Ok(None),
                // The number led to a queue before.
                Err(error) if error.errno == Errno::EINVAL => Err(removed()),
                Err(error) => Err(error),
            }
        })?;
        Ok(())
    }

    /// Sends the message, or returns where to wait for room.
    fn try_send(
        &self,
        cx: &Context<'_>,
        number: i32,
        message: &mut Option<Message>,
    ) -> Result<Option<Arc<WaitQueue>>> {
        let mut registry = self.registry.lock();
        let queue = registry.get_mut(number)?;
        queue.permission.check(cx, Asked::WRITE)?;
        let len = message.as_ref().map_or(0, |message| message.text.len());
        if !queue.has_room_for(len) {
            return Ok(Some(queue.room()));
        }
        message.take().map_or(Ok(()), |message| queue.put(message, cx.process.id(), now(cx)))?;
        Ok(None)
    }

    /// Receives a message.
    ///
    /// # Errors
    /// Those of msgrcv(2).
    pub(crate) fn receive(
        &self,
        cx: &Context<'_>,
        number: i32,
        reception: Reception,
    ) -> Result<Message> {
        let Reception { selector, longest, patience } = reception;
        let process = cx.process.id();
        let receiver = {
            let mut registry = self.registry.lock();
            let queue = registry.get_mut(number)?;
            queue.permission.check(cx, Asked::READ)?;
            if let Some(message) = queue.take(selector, longest, process, now(cx))? {
                let room = queue.room();
                drop(registry);
                room.wake_all();
                return Ok(message);
            }
            if patience == Patience::None {
                return Err(Errno::ENOMSG.because("there is no such message"));
            }
            let handover = Handover::new(cx);
            let receiver = Arc::new(Receiver { selector, longest, process, handover });
            queue.add_receiver(&receiver)?;
            receiver
        };
        let result = receiver.handover.wait(cx, None);
        if let Ok(Some(answer)) = result {
            return answer;
        }
        if let Ok(queue) = self.registry.lock().get_mut(number) {
            queue.forget(&receiver);
        }
        // It may have come in the last moment. Without a deadline only a signal ends the wait.
        receiver.handover.take().unwrap_or_else(|| Err(result.err().unwrap_or_else(removed)))
    }

    /// A copy of the message at a place of the queue, of at most `longest` bytes.
    ///
    /// # Errors
    /// Those of msgrcv(2) with `MSG_COPY`.
    pub(crate) fn copy(
        &self,
        cx: &Context<'_>,
        number: i32,
        at: usize,
        longest: usize,
    ) -> Result<Message> {
        self.with(cx, number, Asked::READ, |queue| queue.copy(at, longest))
    }

    /// The number of the queue with this index.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(crate) fn at(&self, index: i32) -> Result<i32> {
        self.registry.lock().at(index)
    }

    /// Tells of a queue.
    ///
    /// # Errors
    /// `EACCES`; `EINVAL` and `EIDRM` for a number that leads to none.
    pub(crate) fn status(
        &self,
        cx: &Context<'_>,
        number: i32,
        asked: Asked,
    ) -> Result<MessageQueueStatus> {
        self.with(cx, number, asked, |queue| Ok(queue.show(cx, number)))
    }

    /// All queues with their numbers.
    pub(crate) fn all(&self, cx: &Context<'_>) -> Vec<(i32, MessageQueueStatus)> {
        let registry = self.registry.lock();
        registry.numbered().map(|(number, queue)| (number, queue.show(cx, number))).collect()
    }

    /// Changes owner, mode and size.
    ///
    /// # Errors
    /// `EPERM`; as [`MessageQueues::status`].
    pub(crate) fn set(
        &self,
        cx: &Context<'_>,
        number: i32,
        new: &MessageQueueStatus,
    ) -> Result<()> {
        let who = cx.credentials();
        let limit = cx.ipc().limits().queue_bytes;
        let room = self.with(cx, number, Asked::NOTHING, |queue| {
            queue.permission.check_owner(cx)?;
            if new.max_bytes > limit && !who.has(Capability::SysResource) {
                return Err(Errno::EPERM.because("a queue so large needs CAP_SYS_RESOURCE"));
            }
            queue.set(cx, new, now(cx))?;
            Ok(queue.room())
        })?;
        room.wake_all();
        Ok(())
    }

    /// Removes a queue; whoever waits for it learns of that.
    ///
    /// # Errors
    /// As [`MessageQueues::set`].
    pub(crate) fn remove(&self, cx: &Context<'_>, number: i32) -> Result<()> {
        let mut registry = self.registry.lock();
        registry.get(number)?.permission.check_owner(cx)?;
        let mut queue = registry.remove(number)?;
        drop(registry);
        queue.dismiss();
        queue.room().wake_all();
        Ok(())
    }

    fn with<T>(
        &self,
        cx: &Context<'_>,
        number: i32,
        asked: Asked,
        work: impl FnOnce(&mut MessageQueue) -> Result<T>,
    ) -> Result<T> {
        let mut registry = self.registry.lock();
        let queue = registry.get_mut(number)?;
        queue.permission.check(cx, asked)?;
        work(queue)
    }

    /// The limits, and the highest index in use.
    pub(crate) fn limits(&self, limits: &Limits) -> (MessageInfo, i32) {
        let pool = limits.queues.saturating_mul(limits.queue_bytes) / 1024;
        let info = MessageInfo {
            pool_or_queues: small(pool),
            map_or_messages: small(limits.queue_bytes),
            message_max: small(limits.message_len),
            queue_bytes_max: small(limits.queue_bytes),
            queues: small(limits.queues),
            segment_size: SEGMENT_SIZE,
            headers_or_bytes: small(limits.queue_bytes),
            segments: SEGMENTS,
            padding: 0,
        };
        (info, self.registry.lock().highest())
    }

    /// How much is used, and the highest index in use.
    pub(crate) fn usage(&self, limits: &Limits) -> (MessageInfo, i32) {
        let (info, highest) = self.limits(limits);
        let registry = self.registry.lock();
        let (messages, bytes) = registry.iter().map(MessageQueue::usage).fold(
            (0, 0),
            |(messages, bytes), (more_messages, more_bytes)| {
                (messages + more_messages as u64, bytes + more_bytes)
            },
        );
        let usage = MessageInfo {
            pool_or_queues: small(registry.len() as u64),
            map_or_messages: small(messages),
            headers_or_bytes: small(bytes),
            ..info
        };
        (usage, highest)
    }

    /// Which number the next queue gets, if somebody has asked for one.
    pub(crate) fn wanted(&self) -> Option<i32> {
        self.registry.lock().wanted()
    }

    /// Asks for a number for the next queue.
    pub(crate) fn set_wanted(&self, number: Option<i32>) {
        self.registry.lock().set_wanted(number);
    }
}

fn small(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
