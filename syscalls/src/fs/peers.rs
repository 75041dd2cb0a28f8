//! Who sees the mounts that are made on a mount: mount_namespaces(7).
//!
//! What is mounted on a member of a [`PeerGroup`] is mounted on all other members, too, and on
//! the mounts whose master the group is.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use spin::Mutex;

use super::mount::Mount;

/// Mounts that pass on to each other what is mounted on one of them.
pub struct PeerGroup {
    id: u64,
    members: Mutex<Vec<Weak<Mount>>>,
    slaves: Mutex<Vec<Weak<Mount>>>,
}

impl PeerGroup {
    /// A group without members.
    pub(super) fn new(id: u64) -> Arc<Self> {
        Arc::new(Self { id, members: Mutex::default(), slaves: Mutex::default() })
    }

    /// Its number, as in /proc/self/mountinfo.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its members.
    pub(super) fn members(&self) -> Vec<Arc<Mount>> {
        alive(&self.members)
    }

    /// The mounts to which it only passes on.
    pub(super) fn slaves(&self) -> Vec<Arc<Mount>> {
        alive(&self.slaves)
    }
}

fn alive(list: &Mutex<Vec<Weak<Mount>>>) -> Vec<Arc<Mount>> {
    list.lock().iter().filter_map(Weak::upgrade).collect()
}

fn remove(list: &Mutex<Vec<Weak<Mount>>>, mount: &Arc<Mount>) {
    list.lock().retain(|other| !core::ptr::eq(other.as_ptr(), Arc::as_ptr(mount)));
}

/// What becomes of mounts on a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They are seen nowhere else.
    Private,
    /// As private, and the mount cannot be the source of a bind mount.
    Unbindable,
    /// They are seen nowhere else, but those of its master here.
    Slave,
    /// They are seen in all of its group.
    Shared,
}

/// How a mount takes part.
#[derive(Default)]
pub(super) struct Part {
    group: Option<Arc<PeerGroup>>,
    master: Option<Arc<PeerGroup>>,
    is_unbindable: bool,
}

impl Mount {
    /// The group it belongs to, where it is shared.
    #[must_use]
    pub fn peer_group(&self) -> Option<Arc<PeerGroup>> {
        self.part().lock().group.clone()
    }

    /// The group it is a slave of.
    #[must_use]
    pub fn master(&self) -> Option<Arc<PeerGroup>> {
        let master = self.part().lock().master.clone();
        master.filter(|group| !group.members().is_empty())
    }

    /// Whether it cannot be the source of a bind mount.
    #[must_use]
    pub fn is_unbindable(&self) -> bool {
        self.part().lock().is_unbindable
    }

    /// Makes it a member of `group`, where it is in none.
    pub(super) fn join(self: &Arc<Self>, group: &Arc<PeerGroup>) {
        let mut part = self.part().lock();
        if part.group.is_none() {
            part.group = Some(group.clone());
            group.members.lock().push(Arc::downgrade(self));
        }
    }

    /// Makes it a slave of `group`.
    pub(super) fn follow(self: &Arc<Self>, group: &Arc<PeerGroup>) {
        self.part().lock().master = Some(group.clone());
        group.slaves.lock().push(Arc::downgrade(self));
    }

    fn leave_group(self: &Arc<Self>) -> Option<Arc<PeerGroup>> {
        let group = self.part().lock().group.take()?;
        remove(&group.members, self);
        Some(group)
    }

    fn leave_master(self: &Arc<Self>) {
        let master = self.part().lock().master.take();
        if let Some(group) = master {
            remove(&group.slaves, self);
        }
    }

    /// Says what becomes of mounts on it; `new_group` is for one that becomes shared.
    pub(super) fn propagate(
        self: &Arc<Self>,
        kind: Propagation,
        new_group: impl FnOnce() -> Arc<PeerGroup>,
    ) {
        match kind {
            Propagation::Shared => {
                if self.peer_group().is_none() {
                    self.join(&new_group());
                }
            }
            Propagation::Slave => {
                // One that has no peers has nobody to follow but whom it followed.
                if let Some(group) = self.leave_group()
                    && !group.members().is_empty()
                {
                    self.leave_master();
                    self.follow(&group);
                }
            }
            Propagation::Private | Propagation::Unbindable => {
                drop(self.leave_group());
                self.leave_master();
            }
        }
        self.part().lock().is_unbindable = kind == Propagation::Unbindable;
    }

    /// Takes part as `other` does: what a bind mount does.
    pub(super) fn take_part_as(self: &Arc<Self>, other: &Arc<Self>) {
        if let Some(group) = other.peer_group() {
            self.join(&group);
        }
        if let Some(group) = other.master() {
            self.follow(&group);
        }
    }
}
