//! System V interprocess communication: objects that processes find by a key.
//!
//! - `registry`: objects by number and by key
//! - `permission`: who may use an object
//! - `segments`: shared memory
//! - `semaphores`: sets of semaphores; `set`: one of them and who waits for it
//! - `messages`: queues of messages; `queue`: one of them
//! - `handover`: how a waiter gets what somebody else does for it
//! - `limits`: how much there may be of all that
//!
//! Beside them, [`posix`] has the message queues of POSIX, which have names.

mod handover;
mod limits;
mod messages;
#[cfg(test)]
mod messages_tests;
mod permission;
pub(crate) mod posix;
mod queue;
mod registry;
mod segments;
#[cfg(test)]
mod segments_tests;
mod semaphores;
#[cfg(test)]
mod semaphores_tests;
mod set;
mod undo;

use spin::Mutex;

use crate::context::Context;

pub(crate) use limits::Limits;
pub(crate) use messages::{MessageQueues, Reception};
pub(crate) use permission::{Asked, Permission, is_privileged};
pub(crate) use posix::PosixQueues;
pub(crate) use queue::{Message, Selector};
pub(crate) use segments::Segments;
pub(crate) use semaphores::{Query, SemaphoreSets};
pub(crate) use undo::UndoOwner;

/// All objects of System V, and the queues of POSIX.
#[derive(Default)]
pub(crate) struct Ipc {
    limits: Mutex<Limits>,
    /// Shared memory.
    pub(crate) segments: Segments,
    /// Semaphores.
    pub(crate) semaphores: SemaphoreSets,
    /// Messages.
    pub(crate) messages: MessageQueues,
    /// Message queues of POSIX.
    pub(crate) posix: PosixQueues,
}

impl Ipc {
    /// The limits.
    pub(crate) fn limits(&self) -> Limits {
        *self.limits.lock()
    }

    /// Changes the limits.
    pub(crate) fn change_limits(&self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.limits.lock());
    }
}

/// Seconds since 1970 UTC.
fn now(cx: &Context<'_>) -> i64 {
    cx.system.wall_clock_seconds()
}
