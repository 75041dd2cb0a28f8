//! The mounts that processes see: mount(2), umount2(2), mount_namespaces(7).

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::Errno;
use abi::fs::mount_flags;
use abi::namespaces::first;
use spin::{Mutex, Once};

use crate::error::{Because, Result};
use crate::namespaces::{Counted, UserNamespace};
use crate::wait::WaitQueue;

use super::dentry::Dentry;
use super::file::PollEvents;
use super::inode::Inode;
use super::mount::{Location, Mount, SuperBlock};
use super::mount_locks::{lock_tree, locked};
use super::mount_tree::{Kinship, Tree, dissolve, unhang};
use super::peers::{PeerGroup, Propagation};

/// The mounts of a namespace: a tree, or one that has not been attached to any yet.
pub struct MountTable {
    this: Weak<Self>,
    id: u64,
    mounts: Mutex<Vec<Arc<Mount>>>,
    /// How often mounts have come and gone.
    version: AtomicU64,
    /// Woken when mounts come and go.
    changed: WaitQueue,
    shared: Arc<Shared>,
    standing: Standing,
    /// To whom it belongs, where that is not the first user namespace.
    owner: Once<(UserNamespace, Counted)>,
}

/// What all namespaces have in common.
struct Shared {
    /// Held by whoever changes what is mounted where. No lock of a table is held when it is
    /// taken.
    tree: Mutex<()>,
    next_id: AtomicU32,
    next_unique_id: AtomicU64,
    next_group: AtomicU64,
    next_table: AtomicU64,
}

/// The numbers of mounts that none shares are above this one.
pub(crate) const UNIQUE_BASE: u64 = 1 << 31;

/// What a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Processes see it.
    Namespace,
    /// It waits for being attached: its descriptor is all that leads there.
    Anonymous,
}

/// How much a bind mount takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Only what is mounted at the source.
    One,
    /// Also what is mounted below it (`MS_REC`).
    All,
}

impl MountTable {
    /// A table in which `inode` is the root directory, mounted with these [`mount_flags`] and
    /// relative times of access; /proc/mounts shows it as `source`.
    #[must_use]
    pub fn new(inode: Arc<dyn Inode>, source: &[u8], flags: u64) -> Arc<Self> {
        let shared = Arc::new(Shared {
            tree: Mutex::new(()),
            next_id: AtomicU32::new(1),
            next_unique_id: AtomicU64::new(UNIQUE_BASE + 1),
            next_group: AtomicU64::new(1),
            next_table: AtomicU64::new(1),
        });
        let super_block = SuperBlock::new(inode, source);
        let dentry = super_block.root().clone();
        let flags = flags | mount_flags::ST_RELATIME;
        let mount = Mount::new(numbers(&shared), dentry, super_block, flags);
        Self::with(&shared, alloc::vec![mount], Standing::Namespace)
    }

    /// A table that consists of `tree`.
    fn with(shared: &Arc<Shared>, tree: Tree, standing: Standing) -> Arc<Self> {
        let id = shared.next_table.fetch_add(1, Ordering::Relaxed);
        let table = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            id,
            mounts: Mutex::default(),
            version: AtomicU64::new(0),
            changed: WaitQueue::new(),
            shared: shared.clone(),
            standing,
            owner: Once::new(),
        });
        table.adopt(&tree);
        table
    }

    /// Its root directory; `None` when all has been attached elsewhere.
    #[must_use]
    pub fn root(&self) -> Option<Location> {
        let mount = self.mounts().into_iter().find(|mount| mount.point().is_none())?;
        Some(Location { dentry: mount.root().clone(), mount })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The number of the inode that stands for it in /proc/PID/ns.
    #[must_use]
    pub(crate) fn namespace_number(&self) -> u32 {
        /// Above those of all other namespaces.
        const DYNAMIC: u64 = 0xf800_0000;
        if self.id == 1 { first::MOUNTS } else { (DYNAMIC + self.id) as u32 }
    }

    /// The user namespace that owns it.
    #[must_use]
    pub(crate) fn owner(&self) -> UserNamespace {
        self.owner.get().map_or(UserNamespace::FIRST, |(owner, _)| owner.clone())
    }

    /// Says once who owns it, and that it is counted.
    pub(crate) fn belong_to(&self, owner: UserNamespace, counted: Counted) {
        self.owner.call_once(|| (owner, counted));
    }

    /// All mounts, in the order in which they were made: /proc/self/mounts.
    #[must_use]
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        self.mounts.lock().clone()
    }

    /// Makes all of `tree` its own.
    pub(super) fn adopt(&self, tree: &Tree) {
        for mount in tree {
            mount.set_table(self.this.clone());
        }
        self.mounts.lock().extend(tree.iter().cloned());
        self.note_change();
    }

    /// How often mounts have come and gone.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Woken when mounts come and go.
    pub(crate) fn changed(&self) -> &WaitQueue {
        &self.changed
    }

    fn note_change(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
        self.changed.wake(PollEvents::PRI | PollEvents::ERR);
    }

    /// Forgets `mount`, which is its own.
    pub(super) fn forget(&self, mount: &Arc<Mount>) {
        mount.set_table(Weak::new());
        self.mounts.lock().retain(|other| !Arc::ptr_eq(other, mount));
        self.note_change();
    }

    /// Numbers for a new mount.
    pub(super) fn numbers(&self) -> (u32, u64) {
        numbers(&self.shared)
    }

    /// A new group.
    pub(super) fn new_group(&self) -> Arc<PeerGroup> {
        PeerGroup::new(self.shared.next_group.fetch_add(1, Ordering::Relaxed))
    }

    /// Calls `change` while nobody else changes what is mounted where.
    pub(super) fn changing<T>(&self, change: impl FnOnce() -> T) -> T {
        let _tree = self.shared.tree.lock();
        change()
    }

    /// Mounts the file system of `inode`, its root directory, on the directory `point`, with
    /// these [`mount_flags`] and relative times of access.
    ///
    /// # Errors
    /// `ENOTDIR` when `point` is not a directory; `ENOENT` when it has been removed.
    pub fn mount(
        &self,
        point: Location,
        inode: Arc<dyn Inode>,
        source: impl AsRef<[u8]>,
        flags: u64,
    ) -> Result<Location> {
        let super_block = SuperBlock::new(inode, source.as_ref());
        self.add(point, &super_block, flags | mount_flags::ST_RELATIME)
    }

    /// Mounts what `super_block` is, perhaps not for the first time, on the directory
    /// `point`, with these [`mount_flags`].
    ///
    /// # Errors
    /// As [`MountTable::mount`]; `EBUSY` when it is already mounted there.
    pub fn add(
        &self,
        point: Location,
        super_block: &Arc<SuperBlock>,
        flags: u64,
    ) -> Result<Location> {
        let root = super_block.root();
        self.changing(|| {
            let point = self.check_point(point, root)?;
            if point.is_mount_root() && Arc::ptr_eq(point.mount.super_block(), super_block) {
                return Err(Errno::EBUSY.because("it is already mounted there"));
            }
            let mount = Mount::new(self.numbers(), root.clone(), super_block.clone(), flags);
            self.graft(alloc::vec![mount.clone()], point)?;
            Ok(Location { dentry: root.clone(), mount })
        })
    }

    /// What `super_block` is as a tree of its own, attached nowhere: fsmount(2).
    #[must_use]
    pub fn detached(&self, super_block: &Arc<SuperBlock>, flags: u64) -> Arc<Self> {
        let root = super_block.root().clone();
        let mount = Mount::new(self.numbers(), root, super_block.clone(), flags);
        Self::with(&self.shared, alloc::vec![mount], Standing::Anonymous)
    }

    /// A copy of what is at `source` as a tree of its own, attached nowhere: open_tree(2).
    ///
    /// # Errors
    /// `EINVAL` when the source is unbindable, in another namespace or mounted nowhere, or its
    /// copy would show what is covered; `EPERM`; `ENOMEM`.
    pub fn detached_copy(&self, source: &Location, depth: Depth) -> Result<Arc<Self>> {
        self.check_own_or_anonymous(&source.mount)?;
        self.changing(|| {
            let copy = self.copy_of_place(source, depth)?;
            Ok(Self::with(&self.shared, copy, Standing::Anonymous))
        })
    }

    /// Mounts what is at `source` also on `point`.
    ///
    /// # Errors
    /// `EINVAL` when the source is unbindable or not mounted here, or its copy would show what
    /// is covered; `ENOTDIR` when only one of both is a directory; `ENOENT` when `point` has
    /// been removed; `EPERM`; `ENOMEM`.
    pub fn bind(&self, source: &Location, point: Location, depth: Depth) -> Result<()> {
        if !self.has(&source.mount) {
            return Err(Errno::EINVAL.because("the source is not mounted here"));
        }
        self.changing(|| {
            let point = self.check_point(point, &source.dentry)?;
            self.graft(self.copy_of_place(source, depth)?, point)
        })
    }

    /// Moves what is mounted at `source` to `point`. It may have been attached nowhere.
    ///
    /// # Errors
    /// `EINVAL` when nothing is mounted at `source`, it is the root, or its parent is shared;
    /// `ELOOP` when `point` lies in it; as [`MountTable::bind`].
    pub fn move_to(&self, source: &Location, point: Location) -> Result<()> {
        self.changing(|| {
            let point = self.check_point(point, source.mount.root())?;
            self.move_tree(source, point)
        })
    }

    /// As [`MountTable::move_to`], below what is mounted at `point`, its root.
    ///
    /// # Errors
    /// As [`MountTable::move_to`]; `EINVAL` when nothing is mounted at `point`.
    pub fn move_beneath(&self, source: &Location, point: &Location) -> Result<()> {
        let nothing = || Errno::EINVAL.because("nothing is mounted there that could be above");
        self.changing(|| {
            let over = point.clone().enter_mounts();
            if !over.is_mount_root() {
                return Err(nothing());
            }
            let point = over.mount.point().ok_or_else(nothing)?;
            if !self.has(&point.mount) || source.is_directory() != over.is_directory() {
                return Err(nothing());
            }
            if over.mount.is_locked() {
                return Err(locked());
            }
            self.move_tree(source, point)
        })
    }

    fn move_tree(&self, source: &Location, point: Location) -> Result<()> {
        let immovable = || Errno::EINVAL.because("nothing is mounted there that can be moved");
        let moved = &source.mount;
        let home = moved.table().filter(|_| source.is_mount_root()).ok_or_else(immovable)?;
        let old = moved.point();
        let is_here = core::ptr::eq(&*home, self);
        if moved.is_locked() {
            return Err(locked());
        }
        if is_here == old.is_none()
            || !is_here && home.standing != Standing::Anonymous
            || old.as_ref().is_some_and(|at| at.mount.peer_group().is_some())
        {
            return Err(immovable());
        }
        let mut above = Some(point.clone());
        while let Some(at) = above {
            if Arc::ptr_eq(&at.mount, moved) {
                return Err(Errno::ELOOP.because("the new place lies in what is moved"));
            }
            above = at.mount.point();
        }
        let tree = home.tree_below(moved, moved.root(), |_| true);
        if point.mount.peer_group().is_some() && tree.iter().any(|mount| mount.is_unbindable()) {
            return Err(Errno::EINVAL.because("an unbindable mount cannot be passed on"));
        }
        unhang(moved);
        tree.iter().for_each(|mount| home.forget(mount));
        self.graft(tree, point)
    }

    /// Whether `mount` is one of its own.
    pub(crate) fn has(&self, mount: &Arc<Mount>) -> bool {
        mount.table().is_some_and(|home| core::ptr::eq(&*home, self))
    }

    /// Fails unless `mount` is one of its own, or in a tree that waits for being attached.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(crate) fn check_own_or_anonymous(&self, mount: &Arc<Mount>) -> Result<()> {
        let home = mount.table();
        let may_change =
            |home: &Arc<Self>| core::ptr::eq(&**home, self) || home.standing == Standing::Anonymous;
        match home.filter(may_change) {
            Some(_) => Ok(()),
            None => Err(Errno::EINVAL.because("it is not mounted here")),
        }
    }

    /// Says what becomes of mounts on `mount`.
    pub(crate) fn set_propagation(&self, mount: &Arc<Mount>, kind: Propagation) {
        self.changing(|| mount.propagate(kind, || self.new_group()));
    }

    /// `top` and all mounts below it, parents first.
    pub(crate) fn all_below(&self, top: &Arc<Mount>) -> Vec<Arc<Mount>> {
        self.changing(|| self.tree_below(top, top.root(), |_| true))
    }

    /// A namespace that will belong to `owner`, with a copy of each mount, and `places` in it:
    /// `CLONE_NEWNS`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn duplicate<const N: usize>(
        &self,
        owner: &UserNamespace,
        places: [Location; N],
    ) -> Result<(Arc<Self>, [Location; N])> {
        let is_foreign = *owner != self.owner();
        let kin = if is_foreign { Kinship::Slave } else { Kinship::Peer };
        self.changing(|| {
            let root = self.root().ok_or_else(|| Errno::EINVAL.because("there is no root"))?;
            let tree = self.tree_below(&root.mount, &root.dentry, |_| true);
            let copies = self.copy_tree(&tree, root.dentry, kin)?;
            if is_foreign {
                lock_tree(&copies);
            }
            let places = places.map(|place| {
                let at = tree.iter().position(|mount| Arc::ptr_eq(mount, &place.mount));
                let mount = at.map_or(place.mount, |at| copies[at].clone());
                Location { mount, dentry: place.dentry }
            });
            Ok((Self::with(&self.shared, copies, Standing::Namespace), places))
        })
    }

    /// Where something whose root is `root` is mounted when it is mounted on `point`: on top
    /// of what is already there.
    fn check_point(&self, point: Location, root: &Arc<Dentry>) -> Result<Location> {
        let point = point.enter_mounts();
        if point.dentry.is_removed() || !point.inode().can_be_mounted_on() {
            return Err(Errno::ENOENT.because("the mount point has been removed, or is none"));
        }
        if !self.has(&point.mount) {
            return Err(Errno::EINVAL.because("the mount point is not mounted here"));
        }
        if point.is_directory() != root.is_directory() {
            return Err(Errno::ENOTDIR.because("only one of both is a directory"));
        }
        Ok(point)
    }
}

impl Drop for MountTable {
    // A mount point and what is mounted on it hold each other.
    fn drop(&mut self) {
        dissolve(self.mounts.get_mut());
    }
}

fn numbers(shared: &Shared) -> (u32, u64) {
    let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
    (id, shared.next_unique_id.fetch_add(1, Ordering::Relaxed))
}
