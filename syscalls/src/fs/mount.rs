//! Mounts, and places in the tree that they form.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use abi::Errno;
use abi::fs::{FileType, mount_flags as flag};
use spin::{Mutex, Once};

use crate::error::{Because, Error, Result};
use crate::namespaces::UserNamespace;
use crate::process::{Capability, Credentials};
use crate::system::System;

use super::dentry::Dentry;
use super::inode::{FileSystem, Inode};
use super::mount_locks::Locks;
use super::mount_table::MountTable;
use super::peers::{Part, PeerGroup, Propagation};

/// A file system that is mounted, once or more often.
pub struct SuperBlock {
    root: Arc<Dentry>,
    file_system: Arc<dyn FileSystem>,
    /// What is mounted, as the first column of /proc/mounts shows it.
    source: Vec<u8>,
    /// In which user namespace it was made: who is privileged there may change it.
    owner: UserNamespace,
    read_only: AtomicBool,
    /// Number of regular files that are open for writing.
    writers: AtomicUsize,
    /// Who hears of its end.
    system: Once<Weak<System>>,
}

impl SuperBlock {
    /// The file system of `inode`, its root directory.
    #[must_use]
    pub fn new(inode: Arc<dyn Inode>, source: &[u8]) -> Arc<Self> {
        Self::owned_by(UserNamespace::FIRST, inode, source)
    }

    /// As [`SuperBlock::new`], made in another user namespace than the first.
    #[must_use]
    pub(super) fn owned_by(
        owner: UserNamespace,
        inode: Arc<dyn Inode>,
        source: &[u8],
    ) -> Arc<Self> {
        let file_system = inode.file_system();
        Self::with_root(Dentry::root(inode), file_system, source, owner)
    }

    fn with_root(
        root: Arc<Dentry>,
        file_system: Arc<dyn FileSystem>,
        source: &[u8],
        owner: UserNamespace,
    ) -> Arc<Self> {
        let (read_only, writers) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (source, system) = (source.to_vec(), Once::new());
        Arc::new(Self { root, file_system, source, owner, read_only, writers, system })
    }

    /// Lets those who watch its files hear of its end.
    pub(super) fn tell_of_end(&self, system: &Arc<System>) {
        self.system.call_once(|| Arc::downgrade(system));
    }

    /// Fails unless `who` may change what all of its mounts have in common.
    ///
    /// # Errors
    /// `EPERM`.
    pub(crate) fn check_privilege(&self, who: &Credentials) -> Result<()> {
        if who.has_in(Capability::SysAdmin, &self.owner) {
            return Ok(());
        }
        Err(Errno::EPERM.because("the file system belongs to another user namespace"))
    }

    /// Its root directory.
    #[must_use]
    pub fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// The file system.
    #[must_use]
    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.file_system
    }

    /// Whether nothing may be written, through whatever mount.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::SeqCst)
    }

    /// Says whether something may be written.
    ///
    /// # Errors
    /// `EBUSY` when a file is open for writing; those of [`FileSystem::change_access`].
    pub fn set_access(&self, access: MountAccess) -> Result<()> {
        if access == MountAccess::ReadWrite {
            self.file_system.change_access(access)?;
        }
        let before = self.is_read_only();
        set_access(&self.read_only, &self.writers, access)?;
        if access == MountAccess::ReadOnly
            && let Err(error) = self.file_system.change_access(access)
        {
            self.read_only.store(before, Ordering::SeqCst);
            return Err(error);
        }
        Ok(())
    }
}

impl Drop for SuperBlock {
    fn drop(&mut self) {
        self.file_system.end();
        if let Some(system) = self.system.get().and_then(Weak::upgrade) {
            system.notifier.unmounted(self.file_system.device());
        }
    }
}

/// Whether something may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountAccess {
    /// Nothing.
    ReadOnly,
    /// What permissions allow.
    ReadWrite,
}

fn set_access(read_only: &AtomicBool, writers: &AtomicUsize, access: MountAccess) -> Result<()> {
    let before = read_only.swap(access == MountAccess::ReadOnly, Ordering::SeqCst);
    // In this order: whoever begins to write counts first and then looks.
    if access == MountAccess::ReadOnly && !before && writers.load(Ordering::SeqCst) > 0 {
        read_only.store(false, Ordering::SeqCst);
        return Err(Errno::EBUSY.because("a file is open for writing"));
    }
    Ok(())
}

/// When times of access are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessTimes {
    /// Never.
    Kept,
    /// Where the file has changed since, and once a day.
    Relative,
    /// Always.
    Strict,
}

/// A file system, or a part of it, at a place in the tree.
pub struct Mount {
    /// Its number, as in /proc/self/mountinfo.
    id: u32,
    unique_id: u64,
    root: Arc<Dentry>,
    /// Where it is; `None` for the root, for what has no path, and for what was unmounted.
    point: Mutex<Option<Location>>,
    super_block: Arc<SuperBlock>,
    read_only: AtomicBool,
    /// [`abi::fs::mount_flags`] beside `ST_RDONLY`.
    flags: AtomicU64,
    /// What of it cannot be changed.
    locks: Mutex<Locks>,
    /// What becomes of mounts on it.
    part: Mutex<Part>,
    /// Where it is mounted: in a namespace, or in a tree of its own.
    table: Mutex<Weak<MountTable>>,
    writers: AtomicUsize,
    /// 0, or 1 and how often it was entered since umount2(2) marked it (`MNT_EXPIRE`).
    mark: AtomicU32,
}

impl Mount {
    pub(super) fn new(
        (id, unique_id): (u32, u64),
        root: Arc<Dentry>,
        super_block: Arc<SuperBlock>,
        flags: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            unique_id,
            root,
            point: Mutex::new(None),
            super_block,
            read_only: AtomicBool::new(flags & flag::ST_RDONLY != 0),
            flags: AtomicU64::new(flags & !flag::ST_RDONLY),
            locks: Mutex::default(),
            part: Mutex::default(),
            table: Mutex::new(Weak::new()),
            writers: AtomicUsize::new(0),
            mark: AtomicU32::new(0),
        })
    }

    /// Its number, as in /proc/self/mountinfo.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its number that no other mount has had or will have: statmount(2).
    #[must_use]
    pub fn unique_id(&self) -> u64 {
        self.unique_id
    }

    /// Whether it is only there for what has no path.
    pub(crate) fn is_internal(&self) -> bool {
        self.unique_id == 0
    }

    /// The root directory, or file, of what is mounted.
    #[must_use]
    pub fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// Where it is mounted; `None` for the root.
    #[must_use]
    pub fn point(&self) -> Option<Location> {
        self.point.lock().clone()
    }

    /// Whether it is mounted exactly there.
    pub(super) fn is_on(&self, mount: &Arc<Self>, dentry: &Arc<Dentry>) -> bool {
        let point = self.point.lock();
        let point = point.as_ref();
        point.is_some_and(|at| Arc::ptr_eq(&at.mount, mount) && Arc::ptr_eq(&at.dentry, dentry))
    }

    pub(super) fn set_point(&self, point: Option<Location>) {
        let old = core::mem::replace(&mut *self.point.lock(), point);
        drop(old);
    }

    /// What is mounted, of which this may be a part.
    #[must_use]
    pub fn super_block(&self) -> &Arc<SuperBlock> {
        &self.super_block
    }

    /// The file system that is mounted.
    #[must_use]
    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.super_block.file_system
    }

    /// What is mounted, as the first column of /proc/mounts shows it.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.super_block.source
    }

    /// Its [`abi::fs::mount_flags`]; `ST_RDONLY` also where the file system cannot be
    /// written.
    #[must_use]
    pub fn flags(&self) -> u64 {
        let read_only = if self.is_read_only() { flag::ST_RDONLY } else { 0 };
        self.flags.load(Ordering::Relaxed) | read_only
    }

    /// Its own [`abi::fs::mount_flags`], whatever the file system allows.
    #[must_use]
    pub fn own_flags(&self) -> u64 {
        let read_only = self.read_only.load(Ordering::SeqCst);
        self.flags.load(Ordering::Relaxed) | if read_only { flag::ST_RDONLY } else { 0 }
    }

    /// Replaces its own flags.
    ///
    /// # Errors
    /// `EPERM` where they are locked; `EBUSY` when it becomes read-only and a file is open for
    /// writing.
    pub fn set_flags(&self, flags: u64) -> Result<()> {
        self.check_flags(flags)?;
        let read_only = flags & flag::ST_RDONLY != 0;
        let access = if read_only { MountAccess::ReadOnly } else { MountAccess::ReadWrite };
        set_access(&self.read_only, &self.writers, access)?;
        self.flags.store(flags & !flag::ST_RDONLY, Ordering::Relaxed);
        Ok(())
    }

    /// Whether all of these flags are set.
    #[must_use]
    pub fn has(&self, flags: u64) -> bool {
        self.flags() & flags == flags
    }

    /// What of it cannot be changed.
    pub(super) fn locks(&self) -> &Mutex<Locks> {
        &self.locks
    }

    /// What becomes of mounts on it.
    pub(super) fn part(&self) -> &Mutex<Part> {
        &self.part
    }

    /// Ends its part in propagation.
    pub(super) fn propagate_no_more(self: &Arc<Self>) {
        self.propagate(Propagation::Private, || PeerGroup::new(0));
    }

    /// Where it is mounted: in a namespace, or in a tree of its own.
    #[must_use]
    pub fn table(&self) -> Option<Arc<MountTable>> {
        self.table.lock().upgrade()
    }

    pub(super) fn set_table(&self, table: Weak<MountTable>) {
        let old = core::mem::replace(&mut *self.table.lock(), table);
        drop(old);
    }

    /// Whether nothing may be written through it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::SeqCst) || self.super_block.is_read_only()
    }

    /// Fails where nothing may be written.
    ///
    /// # Errors
    /// `EROFS`.
    pub fn check_writable(&self) -> Result<()> {
        if self.is_read_only() {
            return Err(Errno::EROFS.because("the file system is mounted read-only"));
        }
        Ok(())
    }

    /// Counts a file that is open for writing, until [`Mount::end_write`].
    ///
    /// # Errors
    /// `EROFS`.
    pub(super) fn begin_write(&self) -> Result<()> {
        self.writers.fetch_add(1, Ordering::SeqCst);
        self.super_block.writers.fetch_add(1, Ordering::SeqCst);
        self.check_writable().inspect_err(|_| self.end_write())
    }

    /// Ends [`Mount::begin_write`].
    pub(super) fn end_write(&self) {
        self.writers.fetch_sub(1, Ordering::SeqCst);
        self.super_block.writers.fetch_sub(1, Ordering::SeqCst);
    }

    /// When times of access are updated through it.
    #[must_use]
    pub fn access_times(&self) -> AccessTimes {
        let flags = self.flags();
        if flags & (flag::ST_NOATIME | flag::ST_RDONLY) != 0 {
            AccessTimes::Kept
        } else if flags & flag::ST_RELATIME != 0 {
            AccessTimes::Relative
        } else {
            AccessTimes::Strict
        }
    }

    /// A path has led into it.
    fn enter(&self) {
        if self.mark.load(Ordering::Relaxed) != 0 {
            self.mark.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Marks it, unless it is marked and only the path to here has led into it since.
    ///
    /// # Errors
    /// `EAGAIN` when it is marked now.
    pub(super) fn expire(&self) -> Result<(), Error> {
        if self.mark.swap(1, Ordering::Relaxed) == 2 {
            return Ok(());
        }
        Err(Errno::EAGAIN.because("the mount is marked now"))
    }
}

/// A place in the tree: a name in use, seen through a mount.
#[derive(Clone)]
pub struct Location {
    /// Through which mount.
    pub mount: Arc<Mount>,
    /// Which name.
    pub dentry: Arc<Dentry>,
}

impl Location {
    /// The place of what has no path: a pipe, a socket, a stream.
    #[must_use]
    pub fn without_path(inode: Arc<dyn Inode>) -> Self {
        let name = inode.name_without_path();
        let file_system = inode.file_system();
        let dentry = Dentry::without_path(inode, &name);
        let source = file_system.name().as_bytes();
        let owner = UserNamespace::FIRST;
        let super_block = SuperBlock::with_root(dentry.clone(), file_system, source, owner);
        let mount = Mount::new((0, 0), dentry.clone(), super_block, flag::ST_RELATIME);
        Self { mount, dentry }
    }

    /// The inode there.
    #[must_use]
    pub fn inode(&self) -> &Arc<dyn Inode> {
        self.dentry.inode()
    }

    /// Whether a directory is there.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.inode().kind() == FileType::Directory
    }

    /// The same name through the same mount, with another inode's dentry.
    pub(crate) fn with(&self, dentry: Arc<Dentry>) -> Self {
        Self { mount: self.mount.clone(), dentry }
    }

    /// A file without a name that was made in this directory, and is shown as `name`.
    pub(super) fn without_name(&self, inode: Arc<dyn Inode>, name: &[u8]) -> Self {
        self.with(Dentry::without_name(inode, name, &self.dentry))
    }

    /// What a handle led to: a place without a name in what is mounted.
    pub(crate) fn by_handle(mount: &Arc<Mount>, inode: Arc<dyn Inode>) -> Self {
        let is_root = Arc::ptr_eq(mount.root.inode(), &inode);
        let dentry = if is_root { mount.root.clone() } else { Dentry::without_path(inode, b"/") };
        Self { mount: mount.clone(), dentry }
    }

    /// Whether both are the same place.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dentry, &other.dentry) && Arc::ptr_eq(&self.mount, &other.mount)
    }

    /// Whether the root of what is mounted is there.
    #[must_use]
    pub fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(&self.dentry, &self.mount.root)
    }

    /// What is mounted on top of this place, or the place itself.
    #[must_use]
    pub fn enter_mounts(self) -> Self {
        let mut at = self;
        while let Some(mount) = at.dentry.mounted_in(&at.mount) {
            mount.enter();
            at = Self { dentry: mount.root.clone(), mount };
        }
        at
    }

    /// The place `..`, without going above `root`.
    #[must_use]
    pub fn parent(&self, root: &Self) -> Self {
        let mut at = self.clone();
        loop {
            if at.is(root) {
                return at;
            }
            if !at.is_mount_root() {
                let parent = at.dentry.parent();
                return parent.map_or(at.clone(), |parent| at.with(parent).enter_mounts());
            }
            match at.mount.point() {
                Some(point) => at = point,
                None => return at,
            }
        }
    }

    /// The absolute path of this place, seen from `root`; `None` when it is not below it.
    #[must_use]
    pub fn path_below(&self, root: &Self) -> Option<Vec<u8>> {
        self.path_up_to(|at| at.is(root))
    }

    /// The absolute path of this place, seen from the first place above it, or itself, that
    /// is a root; `None` when there is none.
    fn path_up_to(&self, is_root: impl Fn(&Self) -> bool) -> Option<Vec<u8>> {
        let mut names = Vec::new();
        let mut at = self.clone();
        while !is_root(&at) {
            if at.is_mount_root() {
                at = at.mount.point()?;
                continue;
            }
            names.push(at.dentry.name());
            let parent = at.dentry.parent()?;
            at = at.with(parent);
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        Some(path)
    }

    /// The path as /proc/self/fd shows it: with ` (deleted)` where the name is gone, and
    /// without a leading slash where there is no path below `root`.
    #[must_use]
    pub fn shown_path(&self, root: &Self) -> Vec<u8> {
        let name = self.dentry.name();
        let mut path = match self.path_below(root) {
            Some(path) => path,
            None if self.dentry.parent().is_none() && !name.is_empty() => return name.to_vec(),
            None => {
                let is_top = |at: &Self| at.is_mount_root() && at.mount.point().is_none();
                let path = self.path_up_to(is_top).unwrap_or_default();
                [&b"(unreachable)"[..], &path].concat()
            }
        };
        if self.dentry.is_removed() {
            path.extend_from_slice(b" (deleted)");
        }
        path
    }
}
