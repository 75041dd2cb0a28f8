//! Taking mounts away: umount2(2), pivot_root(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;

use crate::error::{Because, Error, Result};

use super::mount::{Location, Mount};
use super::mount_locks::locked;
use super::mount_table::MountTable;
use super::mount_tree::{Tree, audience, hang, unhang};

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

/// Who holds a mount that nobody uses: the table, the mount point, and whoever looks. A mount
/// below holds it, too.
const UNUSED: usize = 3;

impl MountTable {
    /// Unmounts what is mounted at `at`, and what was passed on to others when it was mounted.
    ///
    /// # Errors
    /// `EINVAL` when nothing is mounted there, or it is locked; `EBUSY` when it is in use, or is the root;
    /// `EAGAIN` when it was not marked, and now is.
    pub fn unmount(&self, at: Location, how: Unmount) -> Result<()> {
        if !at.is_mount_root() {
            return Err(Errno::EINVAL.because("nothing is mounted there"));
        }
        let Location { mount, dentry } = at;
        drop(dentry);
        let gone = self.changing(|| self.take_away(mount, how))?;
        // With nothing locked: the last use of a file system may end here.
        drop(gone);
        Ok(())
    }

    fn take_away(&self, mount: Arc<Mount>, how: Unmount) -> Result<Tree> {
        if !self.has(&mount) {
            return Err(Errno::EINVAL.because("it is not mounted any more"));
        }
        let Some(point) = mount.point() else {
            return Err(Errno::EBUSY.because("the root file system"));
        };
        if mount.is_locked() {
            return Err(locked());
        }
        if how != Unmount::Detached && Arc::strong_count(&mount) > UNUSED {
            return Err(in_use());
        }
        if how == Unmount::Expired {
            mount.expire()?;
        }
        let mut gone = match how {
            Unmount::Detached => self.tree_below(&mount, mount.root(), |_| true),
            _ => alloc::vec![mount],
        };
        if let Some(group) = point.mount.peer_group() {
            let copies: Tree = {
                let audience = audience(&group, &point);
                audience.iter().filter_map(|other| point.dentry.mounted_in(other)).collect()
            };
            for copy in copies {
                let unused = Arc::strong_count(&copy) <= UNUSED;
                if how != Unmount::Detached && !unused && children(&copy).is_empty() {
                    return Err(in_use());
                }
                gone.push(copy);
            }
        }
        let gone = keep_parents(gone);
        for mount in &gone {
            uncover(mount);
            if let Some(home) = mount.table() {
                home.forget(mount);
            }
            unhang(mount);
            mount.propagate_no_more();
        }
        Ok(gone)
    }

    /// Makes `new` the root in place of `root`, which moves to `old`: pivot_root(2).
    ///
    /// # Errors
    /// Those of pivot_root(2).
    pub(crate) fn pivot(&self, root: &Location, new: &Location, old: &Location) -> Result<()> {
        let invalid = |why| Errno::EINVAL.because(why);
        self.changing(|| {
            let shared = |mount: &Arc<Mount>| mount.peer_group().is_some();
            let points = (root.mount.point(), new.mount.point());
            let is_shared =
                |point: &Option<Location>| point.as_ref().is_some_and(|point| shared(&point.mount));
            if shared(&old.mount) || is_shared(&points.0) || is_shared(&points.1) {
                return Err(invalid("a mount is shared"));
            }
            if [&root.mount, &new.mount, &old.mount].iter().any(|mount| !self.has(mount)) {
                return Err(invalid("not mounted here"));
            }
            if new.dentry.is_removed() {
                return Err(Errno::ENOENT.because("the new root has been removed"));
            }
            if Arc::ptr_eq(&new.mount, &root.mount) || Arc::ptr_eq(&old.mount, &root.mount) {
                return Err(Errno::EBUSY.because("on the root that there is"));
            }
            let (Some(root_point), Some(_)) = points else {
                return Err(invalid("the root cannot be replaced"));
            };
            if new.mount.is_locked() {
                return Err(locked());
            }
            if !root.is_mount_root() || !new.is_mount_root() {
                return Err(invalid("nothing is mounted there"));
            }
            if old.path_below(new).is_none() || new.path_below(root).is_none() {
                return Err(invalid("the old root does not lie below the new one"));
            }
            if root.mount.is_locked() {
                // What it covers is covered by the new one from now on.
                root.mount.unlock_place();
                new.mount.lock_place();
            }
            unhang(&new.mount);
            unhang(&root.mount);
            hang(&root.mount, old.clone());
            hang(&new.mount, root_point);
            Ok(())
        })
    }
}

fn in_use() -> Error {
    Errno::EBUSY.because("it is in use")
}

/// What is mounted on `mount`.
fn children(mount: &Arc<Mount>) -> Tree {
    let all = mount.table().map_or_else(Vec::new, |home| home.mounts());
    let on = |child: &Arc<Mount>| child.point().is_some_and(|at| Arc::ptr_eq(&at.mount, mount));
    all.into_iter().filter(on).collect()
}

fn covers(mount: &Arc<Mount>, child: &Arc<Mount>) -> bool {
    child.point().is_some_and(|at| Arc::ptr_eq(&at.dentry, mount.root()))
}

/// Those of `gone` on which nothing stays mounted, except where that covers them whole.
fn keep_parents(mut gone: Tree) -> Tree {
    loop {
        let stays = |mount: &Arc<Mount>| {
            children(mount).iter().any(|child| {
                let goes = gone.iter().any(|other| Arc::ptr_eq(other, child));
                !goes && !covers(mount, child)
            })
        };
        match gone.iter().position(stays) {
            Some(index) => drop(gone.remove(index)),
            None => return gone,
        }
    }
}

/// What covers `mount` whole comes to lie on what is below it.
fn uncover(mount: &Arc<Mount>) {
    let Some(point) = mount.point() else {
        return;
    };
    for child in children(mount) {
        if covers(mount, &child) {
            unhang(&child);
            hang(&child, point.clone());
        }
    }
}
