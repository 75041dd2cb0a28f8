//! The mounts of a system: mount(2), umount2(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::mount_flags;
use spin::Mutex;

use crate::error::{Because, Result};

use super::dentry::Dentry;
use super::inode::Inode;
use super::mount::{Location, Mount, SuperBlock};

/// All mounts of a system.
pub struct MountTable {
    root: Location,
    mounts: Mutex<Vec<Arc<Mount>>>,
}

/// How much a bind mount takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Only what is mounted at the source.
    One,
    /// Also what is mounted below it (`MS_REC`).
    All,
}

/// How something is unmounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmount {
    /// If nobody uses it.
    Unused,
    /// If nobody uses it and nobody has since the last time (`MNT_EXPIRE`).
    Expired,
    /// With what is mounted below; who uses it keeps it (`MNT_DETACH`).
    Detached,
}

impl MountTable {
    /// A table in which `inode` is the root directory, mounted with these [`mount_flags`] and
    /// relative times of access; /proc/mounts shows it as `source`.
    #[must_use]
    pub fn new(inode: Arc<dyn Inode>, source: &[u8], flags: u64) -> Self {
        let super_block = SuperBlock::new(inode, source);
        let dentry = super_block.root().clone();
        let flags = flags | mount_flags::ST_RELATIME;
        let mount = Mount::new(1, dentry.clone(), super_block, flags);
        let root = Location { mount: mount.clone(), dentry };
        Self { root, mounts: Mutex::new(alloc::vec![mount]) }
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Location {
        &self.root
    }

    /// All mounts, in the order in which they were made: /proc/self/mounts.
    #[must_use]
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        self.mounts.lock().clone()
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
        let mut mounts = self.mounts.lock();
        let point = check_point(point, root)?;
        if point.is_mount_root() && Arc::ptr_eq(point.mount.super_block(), super_block) {
            return Err(Errno::EBUSY.because("it is already mounted there"));
        }
        let mount = Mount::new(next_id(&mounts), root.clone(), super_block.clone(), flags);
        attach(&mut mounts, mount.clone(), point)?;
        Ok(Location { dentry: root.clone(), mount })
    }

    /// Mounts what is at `source` also on `point`.
    ///
    /// # Errors
    /// `EINVAL` when the source is unbindable; `ENOTDIR` when only one of both is a directory;
    /// `ENOENT` when `point` has been removed; `ENOMEM`.
    pub fn bind(&self, source: &Location, point: Location, depth: Depth) -> Result<()> {
        if source.mount.is_unbindable() {
            return Err(Errno::EINVAL.because("the mount is unbindable"));
        }
        let mut mounts = self.mounts.lock();
        if !mounts.iter().any(|mount| Arc::ptr_eq(mount, &source.mount)) {
            return Err(Errno::EINVAL.because("the source is mounted nowhere"));
        }
        let point = check_point(point, &source.dentry)?;
        // Only what is there now: the new mounts may come to lie below the source.
        let old = if depth == Depth::All { mounts.clone() } else { Vec::new() };
        let top = clone_of(&source.mount, source.dentry.clone(), next_id(&mounts));
        attach(&mut mounts, top.clone(), point)?;
        let mut pairs = alloc::vec![(source.mount.clone(), top)];
        let mut next = 0;
        while let Some((from, to)) = pairs.get(next).cloned() {
            for child in &old {
                let Some(at) = child.point().filter(|at| Arc::ptr_eq(&at.mount, &from)) else {
                    continue;
                };
                if child.is_unbindable() || !to.root().contains(&at.dentry) {
                    continue;
                }
                let copy = clone_of(child, child.root().clone(), next_id(&mounts));
                let at = Location { mount: to.clone(), dentry: at.dentry };
                attach(&mut mounts, copy.clone(), at)?;
                pairs.push((child.clone(), copy));
            }
            next += 1;
        }
        Ok(())
    }

    /// Moves what is mounted at `source` to `point`.
    ///
    /// # Errors
    /// `EINVAL` when nothing is mounted at `source`, or it is the root; `ELOOP` when `point`
    /// lies in it; as [`MountTable::bind`].
    pub fn move_to(&self, source: &Location, point: Location) -> Result<()> {
        let mounts = self.mounts.lock();
        let moved = &source.mount;
        let Some(old) = moved.point().filter(|_| source.is_mount_root()) else {
            return Err(Errno::EINVAL.because("nothing is mounted there that can be moved"));
        };
        let point = check_point(point, moved.root())?;
        let mut above = Some(point.clone());
        while let Some(at) = above {
            if Arc::ptr_eq(&at.mount, moved) {
                return Err(Errno::ELOOP.because("the new place lies in what is moved"));
            }
            above = at.mount.point();
        }
        old.dentry.remove_mount(moved);
        moved.set_point(Some(point.clone()));
        point.dentry.add_mount(moved.clone());
        drop(mounts);
        Ok(())
    }

    /// Unmounts what is mounted at `at`.
    ///
    /// # Errors
    /// `EINVAL` when nothing is mounted there; `EBUSY` when it is in use, or is the root;
    /// `EAGAIN` when it was not marked, and now is.
    pub fn unmount(&self, at: Location, how: Unmount) -> Result<()> {
        if !at.is_mount_root() {
            return Err(Errno::EINVAL.because("nothing is mounted there"));
        }
        let Location { mount, dentry } = at;
        drop(dentry);
        let mut mounts = self.mounts.lock();
        if !mounts.iter().any(|other| Arc::ptr_eq(other, &mount)) {
            return Err(Errno::EINVAL.because("it is not mounted any more"));
        }
        if mount.point().is_none() {
            return Err(Errno::EBUSY.because("the root file system"));
        }
        // The table, the mount point, and `mount` itself; a mount below holds it, too.
        const UNUSED: usize = 3;
        if how != Unmount::Detached && Arc::strong_count(&mount) > UNUSED {
            return Err(Errno::EBUSY.because("it is in use"));
        }
        if how == Unmount::Expired {
            mount.expire()?;
        }
        let mut gone = alloc::vec![mount];
        let mut next = 0;
        while let Some(mount) = gone.get(next).cloned() {
            let is_below = |other: &Arc<Mount>| {
                other.point().is_some_and(|point| Arc::ptr_eq(&point.mount, &mount))
            };
            gone.extend(mounts.iter().filter(|other| is_below(other)).cloned());
            mounts.retain(|other| !Arc::ptr_eq(other, &mount));
            next += 1;
        }
        drop(mounts);
        gone.iter().for_each(detach);
        Ok(())
    }
}

impl Drop for MountTable {
    // A mount point and what is mounted on it hold each other.
    fn drop(&mut self) {
        self.mounts.get_mut().iter().for_each(detach);
    }
}

fn detach(mount: &Arc<Mount>) {
    if let Some(point) = mount.point() {
        point.dentry.remove_mount(mount);
        mount.set_point(None);
    }
}

fn next_id(mounts: &[Arc<Mount>]) -> u32 {
    mounts.iter().map(|mount| mount.id()).max().unwrap_or(0) + 1
}

/// Where something whose root is `root` is mounted when it is mounted on `point`: on top of
/// what is already there.
fn check_point(point: Location, root: &Arc<Dentry>) -> Result<Location> {
    let point = point.enter_mounts();
    if point.dentry.is_removed() {
        return Err(Errno::ENOENT.because("the mount point has been removed"));
    }
    if point.is_directory() != root.is_directory() {
        return Err(Errno::ENOTDIR.because("only one of both is a directory"));
    }
    Ok(point)
}

/// A mount of `root`, with the flags of `mount`.
fn clone_of(mount: &Mount, root: Arc<Dentry>, id: u32) -> Arc<Mount> {
    Mount::new(id, root, mount.super_block().clone(), mount.own_flags())
}

fn attach(mounts: &mut Vec<Arc<Mount>>, mount: Arc<Mount>, point: Location) -> Result<()> {
    /// Most mounts, as Linux has it (/proc/sys/fs/mount-max).
    const MOUNTS_MAX: usize = 100_000;
    if mounts.len() >= MOUNTS_MAX {
        return Err(Errno::ENOSPC.because("too many mounts"));
    }
    mounts.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    mounts.push(mount.clone());
    mount.set_point(Some(point.clone()));
    point.dentry.add_mount(mount);
    Ok(())
}
