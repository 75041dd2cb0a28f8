//! Trees of mounts: copying them, and attaching them wherever they are to be seen.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;

use crate::error::{Because, Result};

use super::dentry::Dentry;
use super::mount::{Location, Mount};
use super::mount_locks::{lock_tree, locked};
use super::mount_table::{Depth, MountTable};
use super::peers::PeerGroup;

/// Most mounts, as Linux has it (/proc/sys/fs/mount-max).
const MOUNTS_MAX: usize = 100_000;

/// What the copy of a mount has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinship {
    /// It takes part in propagation as the mount does.
    Peer,
    /// It follows the group of the mount.
    Slave,
    /// As a slave, in a new group of its own.
    SharedSlave,
}

/// Mounts that hang together: the first is the top, and parents come before children.
pub(super) type Tree = Vec<Arc<Mount>>;

impl MountTable {
    /// `top` with what is mounted below `root`, a directory in it; unbindable mounts are left
    /// out where `keep_unbindable` does not want them.
    pub(super) fn tree_below(
        &self,
        top: &Arc<Mount>,
        root: &Arc<Dentry>,
        wanted: impl Fn(&Arc<Mount>) -> bool,
    ) -> Tree {
        let all = self.mounts();
        let mut tree = alloc::vec![top.clone()];
        let mut next = 0;
        while let Some(parent) = tree.get(next).cloned() {
            let below = if next == 0 { root } else { parent.root() };
            for child in &all {
                let on = child.point().filter(|at| Arc::ptr_eq(&at.mount, &parent));
                if on.is_some_and(|at| below.contains(&at.dentry)) && wanted(child) {
                    tree.push(child.clone());
                }
            }
            next += 1;
        }
        tree
    }

    /// A copy of `tree`, attached nowhere, whose top shows `root`.
    pub(super) fn copy_tree(&self, tree: &Tree, root: Arc<Dentry>, kin: Kinship) -> Result<Tree> {
        let mut copies: Tree = Vec::new();
        copies.try_reserve_exact(tree.len()).map_err(|_| Errno::ENOMEM)?;
        for (index, old) in tree.iter().enumerate() {
            let root = if index == 0 { root.clone() } else { old.root().clone() };
            let flags = old.own_flags();
            let copy = Mount::new(self.numbers(), root, old.super_block().clone(), flags);
            copy.be_locked_as(old);
            match (kin, old.peer_group()) {
                (Kinship::Peer, _) | (_, None) => copy.take_part_as(old),
                (Kinship::Slave, Some(group)) => copy.follow(&group),
                (Kinship::SharedSlave, Some(group)) => {
                    copy.follow(&group);
                    copy.join(&self.new_group());
                }
            }
            let parent = old.point().and_then(|at| {
                let parent = tree[..index].iter().position(|other| Arc::ptr_eq(other, &at.mount));
                Some((parent?, at.dentry))
            });
            if let Some((parent, dentry)) = parent.filter(|_| index > 0) {
                hang(&copy, Location { mount: copies[parent].clone(), dentry });
            }
            copies.push(copy);
        }
        Ok(copies)
    }

    /// Copies of what is at `source`, as a bind mount has them: whoever makes it may take it
    /// away.
    pub(super) fn copy_of_place(&self, source: &Location, depth: Depth) -> Result<Tree> {
        if source.mount.is_unbindable() {
            return Err(Errno::EINVAL.because("the mount is unbindable"));
        }
        let bindable = |mount: &Arc<Mount>| !mount.is_unbindable();
        let home = source.mount.table();
        let home = home.ok_or_else(|| Errno::EINVAL.because("the source is mounted nowhere"))?;
        let all = home.tree_below(&source.mount, &source.dentry, |_| true);
        let tree = match depth {
            Depth::All if all[1..].iter().any(|one| one.is_unbindable() && one.is_locked()) => {
                return Err(Errno::EPERM.because("a locked mount would not be copied"));
            }
            Depth::All => home.tree_below(&source.mount, &source.dentry, bindable),
            Depth::One if all[1..].iter().any(|one| is_on(one, source) && one.is_locked()) => {
                return Err(locked());
            }
            Depth::One => alloc::vec![source.mount.clone()],
        };
        let copy = self.copy_tree(&tree, source.dentry.clone(), Kinship::Peer)?;
        copy[0].unlock_place();
        Ok(copy)
    }

    /// Attaches `tree` at `point`, and copies of it wherever what is mounted there is passed
    /// on to. What is mounted at `point` comes to lie on top of it.
    ///
    /// # Errors
    /// `ENOSPC` when there are too many mounts; `ENOMEM`.
    pub(super) fn graft(&self, tree: Tree, point: Location) -> Result<()> {
        let mut grafts = Vec::new();
        if let Some(group) = point.mount.peer_group() {
            for mount in &tree {
                if mount.peer_group().is_none() {
                    mount.join(&self.new_group());
                }
            }
            self.spread(&group, &point, &tree, &mut grafts)?;
        }
        let count: usize = grafts.iter().map(|(tree, _)| tree.len()).sum();
        if self.mounts().len() + tree.len() + count > MOUNTS_MAX {
            grafts.iter().for_each(|(tree, _)| dissolve(tree));
            return Err(Errno::ENOSPC.because("too many mounts"));
        }
        grafts.push((tree, point));
        for (tree, point) in grafts {
            let top = &tree[0];
            if let Some(home) = point.mount.table() {
                if home.owner() != self.owner() {
                    lock_tree(&tree);
                }
                home.adopt(&tree);
            }
            let over = point.dentry.mounted_in(&point.mount);
            hang(top, point.clone());
            if let Some(over) = over {
                point.dentry.remove_mount(&over);
                hang(&over, Location { mount: top.clone(), dentry: top.root().clone() });
            }
        }
        Ok(())
    }

    /// Copies of `tree` for whoever `group` passes on to what is mounted at `point`.
    fn spread(
        &self,
        group: &Arc<PeerGroup>,
        point: &Location,
        tree: &Tree,
        grafts: &mut Vec<(Tree, Location)>,
    ) -> Result<()> {
        for member in group.members() {
            if !Arc::ptr_eq(&member, &point.mount) && sees(&member, point) {
                let copy = self.copy_tree(tree, tree[0].root().clone(), Kinship::Peer)?;
                grafts.push((copy, Location { mount: member, dentry: point.dentry.clone() }));
            }
        }
        for slave in group.slaves().into_iter().filter(|slave| sees(slave, point)) {
            let at = Location { mount: slave.clone(), dentry: point.dentry.clone() };
            let own = slave.peer_group();
            let kin = if own.is_some() { Kinship::SharedSlave } else { Kinship::Slave };
            let copy = self.copy_tree(tree, tree[0].root().clone(), kin)?;
            if let Some(own) = own {
                self.spread(&own, &at, &copy, grafts)?;
            }
            grafts.push((copy, at));
        }
        Ok(())
    }
}

/// Whether `mount` is mounted on the mount that `source` is in.
fn is_on(mount: &Arc<Mount>, source: &Location) -> bool {
    mount.point().is_some_and(|at| Arc::ptr_eq(&at.mount, &source.mount))
}

/// Whether `mount` is attached and shows the place.
fn sees(mount: &Arc<Mount>, point: &Location) -> bool {
    mount.table().is_some() && mount.root().contains(&point.dentry)
}

/// Where else what is mounted at `point` has been passed on to.
pub(super) fn audience(group: &Arc<PeerGroup>, point: &Location) -> Vec<Arc<Mount>> {
    let mut found: Vec<Arc<Mount>> = Vec::new();
    let mut groups = alloc::vec![group.clone()];
    let mut next = 0;
    while let Some(group) = groups.get(next).cloned() {
        for mount in group.members().into_iter().chain(group.slaves()) {
            let known = found.iter().any(|other| Arc::ptr_eq(other, &mount));
            if known || Arc::ptr_eq(&mount, &point.mount) {
                continue;
            }
            if let Some(own) = mount.peer_group()
                && !groups.iter().any(|other| Arc::ptr_eq(other, &own))
            {
                groups.push(own);
            }
            if sees(&mount, point) {
                found.push(mount);
            }
        }
        next += 1;
    }
    found
}

/// Puts `mount` on `point`.
pub(super) fn hang(mount: &Arc<Mount>, point: Location) {
    mount.set_point(Some(point.clone()));
    point.dentry.add_mount(mount.clone());
}

/// Takes `mount` off where it is.
pub(super) fn unhang(mount: &Arc<Mount>) {
    if let Some(point) = mount.point() {
        point.dentry.remove_mount(mount);
        mount.set_point(None);
    }
}

/// Takes a tree that is attached nowhere apart.
pub(super) fn dissolve(tree: &[Arc<Mount>]) {
    for mount in tree {
        unhang(mount);
        mount.propagate_no_more();
    }
}
