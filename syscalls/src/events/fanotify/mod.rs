//! Notification and interception of file events: fanotify(7).
//!
//! A [`Group`] has marks on files, mounts and file systems, and a queue of the events that the
//! marks are for. The [`Notifier`](super::notifier::Notifier) tells [`Groups`] what has happened;
//! while there are no marks, that costs one load. Who is about to open or read something that a
//! group wants to decide about waits for its answer ([`Groups::ask`]).

mod event;
mod group;
mod identity;
mod mark;
mod queue;
#[cfg(test)]
mod tests;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::Errno;
use abi::fanotify::FanotifyMask;
use abi::fs::FileType;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Inode, Location};
use crate::process::Process;

pub(crate) use group::{Group, Wish};
pub(crate) use mark::{Ignoring, Marked, Target};

/// Most groups that there can be (/proc/sys/fs/fanotify/max_user_groups).
pub(crate) const MAX_GROUPS: usize = 128;

/// Most marks that there can be (/proc/sys/fs/fanotify/max_user_marks).
pub(crate) const MAX_MARKS: usize = 8192;

/// Most events that a group keeps (/proc/sys/fs/fanotify/max_queued_events).
pub(crate) const MAX_EVENTS: usize = 16_384;

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    /// The number of the process.
    pub(crate) process: u32,
    /// The number of the thread.
    pub(crate) thread: u32,
}

impl From<&Context<'_>> for Actor {
    fn from(cx: &Context<'_>) -> Self {
        Self { process: cx.process.id(), thread: cx.thread.id() }
    }
}

impl From<&Process> for Actor {
    fn from(process: &Process) -> Self {
        Self { process: process.id(), thread: process.id() }
    }
}

/// A name in a directory.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) directory: &'a Arc<dyn Inode>,
    pub(crate) name: &'a [u8],
}

/// Something that has happened, or is about to.
#[derive(Clone, Copy)]
pub(crate) struct Happening<'a> {
    pub(crate) actor: Actor,
    /// One event, and whether it is about a directory.
    pub(crate) event: FanotifyMask,
    /// Where it happened, if that is known.
    pub(crate) at: Option<&'a Location>,
    /// What it happened to: of an entry, what the entry leads to.
    pub(crate) inode: &'a Arc<dyn Inode>,
    /// The directory in which that is, if that is known.
    pub(crate) entry: Option<Entry<'a>>,
    /// The entry that it becomes.
    pub(crate) to: Option<Entry<'a>>,
}

impl<'a> Happening<'a> {
    /// An event of `inode`, without any place.
    pub(crate) fn to(actor: Actor, event: FanotifyMask, inode: &'a Arc<dyn Inode>) -> Self {
        let mut event = event;
        event.set(FanotifyMask::ONDIR, inode.kind() == FileType::Directory);
        Self { actor, event, at: None, inode, entry: None, to: None }
    }

    /// Whether it is about an entry of a directory, and not about what that leads to.
    fn is_of_entry(&self) -> bool {
        self.event.intersects(FanotifyMask::ENTRIES)
    }
}

/// The groups that there are.
#[derive(Default)]
pub(crate) struct Groups {
    groups: Mutex<Vec<Weak<Group>>>,
    /// How many marks there are.
    marks: AtomicUsize,
}

impl Groups {
    /// Whether nobody listens.
    pub(crate) fn is_idle(&self) -> bool {
        self.marks.load(Ordering::Relaxed) == 0
    }

    fn all(&self) -> Vec<Arc<Group>> {
        self.groups.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Adds a group.
    ///
    /// # Errors
    /// `EMFILE` when there are too many.
    fn add(&self, group: &Arc<Group>) -> Result<()> {
        let mut groups = self.groups.lock();
        groups.retain(|group| group.strong_count() > 0);
        if groups.len() >= MAX_GROUPS {
            return Err(Errno::EMFILE.because("too many groups"));
        }
        groups.push(Arc::downgrade(group));
        Ok(())
    }

    /// Tells the groups that something has happened.
    pub(crate) fn tell(&self, happening: &Happening<'_>) {
        if self.is_idle() {
            return;
        }
        for group in self.all() {
            group.tell(happening);
        }
    }

    /// Tells the groups that an inode is gone: so are the marks on it.
    pub(crate) fn gone(&self, inode: &Arc<dyn Inode>) {
        if self.is_idle() {
            return;
        }
        for group in self.all() {
            group.forget(inode);
        }
    }

    /// Asks the groups whether the caller may do something at a place.
    ///
    /// # Errors
    /// `EPERM` when one says that it may not.
    pub(crate) fn ask(
        &self,
        cx: &Context<'_>,
        at: &Location,
        question: FanotifyMask,
    ) -> Result<()> {
        if self.is_idle() {
            return Ok(());
        }
        let inode = at.inode();
        let (parent, name) = (at.dentry.parent(), at.dentry.name());
        let happening = Happening {
            at: Some(at),
            entry: parent.as_ref().map(|parent| Entry { directory: parent.inode(), name: &name }),
            ..Happening::to(cx.into(), question, inode)
        };
        for group in self.all() {
            group.ask(cx, &happening)?;
        }
        Ok(())
    }
}
