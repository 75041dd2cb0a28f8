//! Changes of files and directories, as events to read: inotify(7).
//!
//! An [`Instance`] has the watches of one descriptor, to which the
//! [`Notifier`](super::notifier::Notifier) speaks, and the queue of their events.

mod instance;
mod queue;
#[cfg(test)]
mod tests;

pub(crate) use instance::{Instance, Presence};

/// Most instances that there can be, unless /proc/sys/fs/inotify/max_user_instances says
/// otherwise.
pub(super) const MAX_INSTANCES: usize = 128;

/// Most watches that there can be, unless /proc/sys/fs/inotify/max_user_watches says otherwise.
pub(super) const MAX_WATCHES: usize = 65_536;

/// Most events that an instance keeps (/proc/sys/fs/inotify/max_queued_events).
pub(crate) const MAX_EVENTS: usize = 16_384;
