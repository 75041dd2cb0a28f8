//! Names in use: the part of the directory tree that somebody holds.
//!
//! A [`Dentry`] exists as long as an open file, a working directory or a mount needs it, and
//! there is one for each name in use, so that getcwd(2) and `..` see a rename. What is not in
//! use is only in the file system.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::fs::FileType;
use hashbrown::HashMap;
use spin::Mutex;

use super::inode::Inode;
use super::mount::Mount;

/// A name in use and the inode it leads to.
pub struct Dentry {
    inode: Arc<dyn Inode>,
    place: Mutex<Place>,
    children: Mutex<HashMap<Arc<[u8]>, Weak<Dentry>>>,
    /// What is mounted here, once for each mount through which the name is seen.
    mounted: Mutex<Vec<Arc<Mount>>>,
    has_mount: AtomicBool,
    /// Of what has no name: the directory it was made in.
    made_in: Option<Arc<Dentry>>,
}

/// Where a dentry is in the tree.
struct Place {
    /// The directory; `None` for a root, and for what has no path.
    parent: Option<Arc<Dentry>>,
    name: Arc<[u8]>,
    /// The name is gone: unlink(2), rmdir(2), or another file was renamed to it.
    removed: bool,
}

impl Dentry {
    /// The root of a file system.
    #[must_use]
    pub fn root(inode: Arc<dyn Inode>) -> Arc<Self> {
        Arc::new(Self::new(inode, None, Arc::from(&b""[..])))
    }

    /// What has no path, and is shown as `name`.
    #[must_use]
    pub fn without_path(inode: Arc<dyn Inode>, name: &[u8]) -> Arc<Self> {
        Arc::new(Self::new(inode, None, Arc::from(name)))
    }

    /// What was made in `directory` without a name, and is shown as `name`.
    pub(super) fn without_name(
        inode: Arc<dyn Inode>,
        name: &[u8],
        directory: &Arc<Self>,
    ) -> Arc<Self> {
        let mut new = Self::new(inode, None, Arc::from(name));
        new.made_in = Some(directory.clone());
        Arc::new(new)
    }

    fn new(inode: Arc<dyn Inode>, parent: Option<Arc<Self>>, name: Arc<[u8]>) -> Self {
        Self {
            inode,
            place: Mutex::new(Place { parent, name, removed: false }),
            children: Mutex::new(HashMap::new()),
            mounted: Mutex::new(Vec::new()),
            has_mount: AtomicBool::new(false),
            made_in: None,
        }
    }

    /// The inode.
    #[must_use]
    pub fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    /// The directory it is in; `None` at the root of a file system.
    #[must_use]
    pub fn parent(&self) -> Option<Arc<Self>> {
        self.place.lock().parent.clone()
    }

    /// The directory it is in, also where it has no name there.
    pub(crate) fn directory(&self) -> Option<Arc<Self>> {
        self.parent().or_else(|| self.made_in.clone())
    }

    /// Its name in that directory.
    #[must_use]
    pub fn name(&self) -> Arc<[u8]> {
        self.place.lock().name.clone()
    }

    /// Whether the name is gone.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.place.lock().removed
    }

    /// The entry `name` of this directory, if it is in use.
    pub(super) fn child_in_use(&self, name: &[u8]) -> Option<Arc<Self>> {
        self.children.lock().get(name).and_then(Weak::upgrade)
    }

    /// The entry `name` of this directory, which the file system says is `inode`.
    pub(crate) fn child(self: &Arc<Self>, name: &[u8], inode: Arc<dyn Inode>) -> Arc<Self> {
        let mut children = self.children.lock();
        if let Some(child) = children.get(name).and_then(Weak::upgrade) {
            drop(children);
            return child;
        }
        let name: Arc<[u8]> = Arc::from(name);
        let child = Arc::new(Self::new(inode, Some(self.clone()), name.clone()));
        children.insert(name, Arc::downgrade(&child));
        child
    }

    /// The entry `name` of this directory is gone.
    pub(super) fn remove_child(&self, name: &[u8]) {
        let child = self.children.lock().remove(name);
        if let Some(child) = child.and_then(|child| child.upgrade()) {
            child.place.lock().removed = true;
        }
    }

    /// The entry `name` of `from` is now `new_name` of `to`, and what was there is gone.
    pub(super) fn move_child(from: &Arc<Self>, name: &[u8], to: &Arc<Self>, new_name: &[u8]) {
        let same = Arc::ptr_eq(from, to) && name == new_name;
        let moved = from.child_in_use(name);
        if same {
            return;
        }
        to.remove_child(new_name);
        from.children.lock().remove(name);
        if let Some(moved) = moved {
            moved.set_place(to, new_name);
        }
    }

    /// The entries `name` of `from` and `new_name` of `to` have changed places.
    pub(super) fn exchange_children(
        from: &Arc<Self>,
        name: &[u8],
        to: &Arc<Self>,
        new_name: &[u8],
    ) {
        let (one, other) = (from.child_in_use(name), to.child_in_use(new_name));
        from.children.lock().remove(name);
        to.children.lock().remove(new_name);
        if let Some(one) = one {
            one.set_place(to, new_name);
        }
        if let Some(other) = other {
            other.set_place(from, name);
        }
    }

    fn set_place(self: &Arc<Self>, parent: &Arc<Self>, name: &[u8]) {
        let name: Arc<[u8]> = Arc::from(name);
        parent.children.lock().insert(name.clone(), Arc::downgrade(self));
        let place = Place { parent: Some(parent.clone()), name, removed: false };
        let old = core::mem::replace(&mut *self.place.lock(), place);
        drop(old);
    }

    /// Whether `other` is this directory or lies in it.
    #[must_use]
    pub fn contains(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = Some(other.clone());
        while let Some(dentry) = at {
            if Arc::ptr_eq(self, &dentry) {
                return true;
            }
            at = dentry.parent();
        }
        false
    }

    /// Whether a directory is there.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.inode.kind() == FileType::Directory
    }

    /// Whether something is mounted here, seen through whatever mount.
    #[must_use]
    pub fn is_mount_point(&self) -> bool {
        self.has_mount.load(Ordering::Acquire)
    }

    /// What is mounted here, seen through `mount`.
    #[must_use]
    pub fn mounted_in(self: &Arc<Self>, mount: &Arc<Mount>) -> Option<Arc<Mount>> {
        if !self.is_mount_point() {
            return None;
        }
        self.mounted.lock().iter().find(|other| other.is_on(mount, self)).cloned()
    }

    /// Adds what is mounted here.
    pub(super) fn add_mount(&self, mount: Arc<Mount>) {
        let mut mounted = self.mounted.lock();
        mounted.push(mount);
        self.has_mount.store(true, Ordering::Release);
    }

    /// Takes away what is mounted here.
    pub(super) fn remove_mount(&self, mount: &Arc<Mount>) {
        let mut mounted = self.mounted.lock();
        let at = mounted.iter().position(|other| Arc::ptr_eq(other, mount));
        let removed = at.map(|at| mounted.swap_remove(at));
        self.has_mount.store(!mounted.is_empty(), Ordering::Release);
        drop(mounted);
        drop(removed);
    }

    /// The path from the root of its file system.
    #[must_use]
    pub fn path(self: &Arc<Self>) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = self.clone();
        while let Some(parent) = at.parent() {
            names.push(at.name());
            at = parent;
        }
        if names.is_empty() {
            return b"/".to_vec();
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }

    /// Leaves the tree, which nobody uses this name of any more, and returns the directory it
    /// was in.
    fn leave(&mut self) -> Option<Arc<Self>> {
        let place = self.place.get_mut();
        let parent = place.parent.take()?;
        let mut children = parent.children.lock();
        // Another may have the name by now; that one is in use. Addresses say nothing here: who
        // is dropped may have been moved.
        if children.get(&place.name).is_some_and(|child| child.strong_count() == 0) {
            children.remove(&place.name);
        }
        drop(children);
        Some(parent)
    }
}

impl Drop for Dentry {
    // Not by recursion: an application can build a tree that is deeper than a kernel stack.
    fn drop(&mut self) {
        let mut parent = self.leave();
        while let Some(mut last) = parent.and_then(Arc::into_inner) {
            parent = last.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit;

    #[test]
    fn names_that_nobody_uses_are_forgotten_with_the_directories_they_were_in() {
        let kit = kit::process();
        let inode = kit.system.vfs.root().inode().clone();
        let root = Dentry::root(inode.clone());
        let file = root.child(b"directory", inode.clone()).child(b"file", inode.clone());
        assert_eq!(file.path(), b"/directory/file");
        drop(file);
        assert!(root.children.lock().is_empty());
        let (old, new) = (root.child(b"name", inode.clone()), root.child(b"other", inode));
        Dentry::move_child(&root, b"other", &root, b"name");
        drop(old);
        assert!(Arc::ptr_eq(&root.child_in_use(b"name").unwrap(), &new));
    }
}
