//! Marks: what a group wants to hear of, and of what.

use alloc::sync::{Arc, Weak};

use abi::Errno;
use abi::fanotify::{FanotifyMarkFlags, FanotifyMask};
use abi::fs::Device;

use crate::error::{Because, Result};
use crate::fs::{Inode, Mount};

/// What a mark is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A file: its file system and its number there.
    Inode(Device, u64),
    /// A mount, by its unique number.
    Mount(u64),
    /// A file system.
    FileSystem(Device),
}

impl Target {
    /// The inode as a target.
    ///
    /// # Errors
    /// Those of [`Inode::metadata`].
    pub(crate) fn inode(inode: &Arc<dyn Inode>) -> Result<Self> {
        Ok(Self::Inode(inode.file_system().device(), inode.metadata()?.number))
    }

    /// Whether it is of the kind that these flags say.
    pub(super) fn is_of_kind(self, flags: FanotifyMarkFlags) -> bool {
        match self {
            Self::Mount(_) => flags.contains(FanotifyMarkFlags::MOUNT),
            Self::FileSystem(_) => flags.contains(FanotifyMarkFlags::FILESYSTEM),
            Self::Inode(..) => {
                !flags.intersects(FanotifyMarkFlags::MOUNT | FanotifyMarkFlags::FILESYSTEM)
            }
        }
    }
}

/// What is kept of the thing that has a mark.
pub(crate) enum Marked {
    /// The file, so that its number stays its own.
    Inode { _kept: Arc<dyn Inode> },
    /// The mount, while it is there.
    Mount(Weak<Mount>),
    /// Nothing.
    FileSystem,
}

impl Marked {
    /// Whether it is still there.
    pub(super) fn exists(&self) -> bool {
        !matches!(self, Self::Mount(mount) if mount.strong_count() == 0)
    }
}

/// How the ignored events of a mark are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignoring {
    /// `FAN_MARK_IGNORE`: the conditions of the ignored events are their own.
    pub(crate) has_conditions: bool,
    /// It holds also after the file was changed.
    pub(crate) survives: bool,
}

/// In which relation what has a mark is to what has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It happened to it, or to an entry of it.
    Itself,
    /// It happened to something in it.
    Parent,
    /// An entry moved into it.
    NewParent,
    /// It happened in this mount or file system.
    Whole,
}

/// A mark.
pub(super) struct Mark {
    pub(super) marked: Marked,
    /// What is wanted, with its conditions.
    pub(super) mask: FanotifyMask,
    /// What is not wanted all the same.
    pub(super) ignored: FanotifyMask,
    pub(super) ignoring: Ignoring,
    /// It does not keep the file in memory.
    pub(super) is_evictable: bool,
}

impl Mark {
    pub(super) fn new(marked: Marked, is_evictable: bool) -> Self {
        let (mask, ignored) = (FanotifyMask::empty(), FanotifyMask::empty());
        Self { marked, mask, ignored, ignoring: Ignoring::default(), is_evictable }
    }

    /// What of an event it wants, in this role.
    pub(super) fn wanted(&self, event: FanotifyMask, role: Role) -> FanotifyMask {
        let cares_for_directories = self.mask.contains(FanotifyMask::ONDIR);
        let cares_for_children = self.mask.contains(FanotifyMask::EVENT_ON_CHILD);
        if event.contains(FanotifyMask::ONDIR) && !cares_for_directories
            || role == Role::Parent && !cares_for_children
        {
            return FanotifyMask::empty();
        }
        self.mask & event
    }

    /// What of an event it does not want, whatever other marks say.
    pub(super) fn unwanted(&self, event: FanotifyMask, role: Role) -> FanotifyMask {
        let (conditions, old) = (self.ignored, self.mask);
        let [directories, children] = match self.ignoring.has_conditions {
            true => [conditions, conditions],
            // As it was meant before FAN_MARK_IGNORE.
            false => [FanotifyMask::ONDIR, old],
        };
        let is_right_kind =
            !event.contains(FanotifyMask::ONDIR) || directories.contains(FanotifyMask::ONDIR);
        let is_right_role = role != Role::Parent || children.contains(FanotifyMask::EVENT_ON_CHILD);
        let ignores = is_right_kind && is_right_role;
        if ignores {
            self.ignored.difference(FanotifyMask::CONDITIONS)
        } else {
            FanotifyMask::empty()
        }
    }

    /// What it ignored is of interest again after a change of the file.
    pub(super) fn was_modified(&mut self, role: Role) {
        let conditions = match self.ignoring.has_conditions {
            true => self.mask | self.ignored,
            false => self.mask,
        };
        let hears = role != Role::Parent || conditions.contains(FanotifyMask::EVENT_ON_CHILD);
        if hears && !self.ignoring.survives {
            self.ignored = FanotifyMask::empty();
        }
    }

    /// Whether it says nothing any more.
    pub(super) fn is_empty(&self) -> bool {
        self.mask.union(self.ignored).difference(FanotifyMask::CONDITIONS).is_empty()
    }

    /// Adds events that are not wanted.
    ///
    /// # Errors
    /// `EEXIST` where the mark ignores events in another way.
    pub(super) fn ignore(&mut self, events: FanotifyMask, how: Ignoring) -> Result<()> {
        let weakens = self.ignoring.survives && !how.survives && how.has_conditions;
        if self.ignoring.has_conditions && !how.has_conditions || weakens {
            return Err(Errno::EEXIST.because("the mark ignores events in another way"));
        }
        self.ignoring.has_conditions |= how.has_conditions;
        self.ignoring.survives |= how.survives;
        self.ignored |= events;
        Ok(())
    }
}
