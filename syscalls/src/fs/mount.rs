//! Mounts, and places in the tree that they form.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{FileType, mount_flags};
use spin::Mutex;

use crate::error::{Because, Result};

use super::dentry::Dentry;
use super::inode::{FileSystem, Inode};

/// A file system at a place in the tree.
pub struct Mount {
    /// Its number, as in /proc/self/mountinfo.
    id: u32,
    root: Arc<Dentry>,
    /// Where it is; `None` for the root, and for what has no path.
    point: Option<Location>,
    file_system: Arc<dyn FileSystem>,
    /// What is mounted, as the first column of /proc/mounts shows it.
    source: &'static str,
    /// [`mount_flags`].
    flags: u64,
}

impl Mount {
    /// Its number, as in /proc/self/mountinfo.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The root directory of what is mounted.
    #[must_use]
    pub fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// Where it is mounted; `None` for the root.
    #[must_use]
    pub fn point(&self) -> Option<&Location> {
        self.point.as_ref()
    }

    /// The file system that is mounted.
    #[must_use]
    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.file_system
    }

    /// What is mounted, as the first column of /proc/mounts shows it.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Its [`mount_flags`].
    #[must_use]
    pub fn flags(&self) -> u64 {
        self.flags
    }

    /// Whether nothing may be written through it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.flags & mount_flags::ST_RDONLY != 0
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
        let source = file_system.name();
        let mount =
            Mount { id: 0, root: dentry.clone(), point: None, file_system, source, flags: 0 };
        Self { mount: Arc::new(mount), dentry }
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
    pub(super) fn with(&self, dentry: Arc<Dentry>) -> Self {
        Self { mount: self.mount.clone(), dentry }
    }

    /// A file without a name in the file system of this place, which is shown as `name`.
    pub(super) fn without_name(&self, inode: Arc<dyn Inode>, name: &[u8]) -> Self {
        self.with(Dentry::without_path(inode, name))
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
        while let Some(mount) = at.dentry.mounted() {
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
            match &at.mount.point {
                Some(point) => at = point.clone(),
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
                at = at.mount.point.clone()?;
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
                let is_top = |at: &Self| at.is_mount_root() && at.mount.point.is_none();
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

/// All mounts of a system.
pub struct MountTable {
    root: Location,
    mounts: Mutex<Vec<Arc<Mount>>>,
}

impl MountTable {
    /// A table in which `inode` is the root directory.
    #[must_use]
    pub fn new(inode: Arc<dyn Inode>) -> Self {
        let file_system = inode.file_system();
        let dentry = Dentry::root(inode);
        let mount = Arc::new(Mount {
            id: 1,
            root: dentry.clone(),
            point: None,
            file_system,
            source: "rootfs",
            flags: mount_flags::ST_RELATIME,
        });
        let root = Location { mount: mount.clone(), dentry };
        Self { root, mounts: Mutex::new(alloc::vec![mount]) }
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Location {
        &self.root
    }

    /// Mounts the file system of `inode`, its root directory, on the directory `point`, with
    /// these [`mount_flags`].
    ///
    /// # Errors
    /// `ENOTDIR` when `point` is not a directory.
    pub fn mount(
        &self,
        point: Location,
        inode: Arc<dyn Inode>,
        source: &'static str,
        flags: u64,
    ) -> Result<Location> {
        if !point.is_directory() {
            return Err(Errno::ENOTDIR.because("the mount point is not a directory"));
        }
        let point = point.enter_mounts();
        let file_system = inode.file_system();
        let dentry = Dentry::root(inode);
        let mut mounts = self.mounts.lock();
        let id = mounts.iter().map(|mount| mount.id).max().unwrap_or(0) + 1;
        let mount = Arc::new(Mount {
            id,
            root: dentry.clone(),
            point: Some(point.clone()),
            file_system,
            source,
            flags: flags | mount_flags::ST_RELATIME,
        });
        mounts.push(mount.clone());
        drop(mounts);
        point.dentry.set_mounted(Some(mount.clone()));
        Ok(Location { mount, dentry })
    }

    /// All mounts, in the order in which they were made: /proc/self/mounts.
    #[must_use]
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        self.mounts.lock().clone()
    }
}

impl Drop for MountTable {
    // A mount point and what is mounted on it hold each other.
    fn drop(&mut self) {
        for mount in self.mounts.get_mut().drain(..) {
            if let Some(point) = &mount.point {
                point.dentry.set_mounted(None);
            }
        }
    }
}
