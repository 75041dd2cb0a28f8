//! The entries of a directory.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use hashbrown::HashMap;
use spin::Mutex;

use crate::error::{Because, Error, Result};
use crate::fs::inode::DirectoryEntry;

use super::node::Node;

/// The entries of a directory.
#[derive(Default)]
pub(super) struct Entries {
    list: Mutex<List>,
}

/// Entries by name, and by the order in which they came: a position stays valid for
/// getdents64(2) whatever comes and goes.
#[derive(Default)]
pub(super) struct List {
    by_name: HashMap<Arc<[u8]>, (u64, Arc<Node>)>,
    by_position: BTreeMap<u64, (Arc<[u8]>, Arc<Node>)>,
    next_position: u64,
    /// The directory has been removed and takes no entries.
    removed: bool,
}

impl Entries {
    pub(super) fn lock(&self) -> spin::MutexGuard<'_, List> {
        self.list.lock()
    }

    /// The entry `name`.
    pub(super) fn get(&self, name: &[u8]) -> Result<Arc<Node>> {
        self.lock().get(name).cloned().ok_or_else(no_entry)
    }

    /// Takes all entries out.
    pub(super) fn drain(&mut self) -> Vec<Arc<Node>> {
        let list = self.list.get_mut();
        list.by_position.clear();
        list.by_name.drain().map(|(_, (_, node))| node).collect()
    }

    pub(super) fn show(&self, from: u64, each: &mut dyn FnMut(DirectoryEntry<'_>) -> bool) {
        for (&position, (name, node)) in self.lock().by_position.range(from..) {
            let entry = DirectoryEntry {
                name,
                number: node.number(),
                kind: node.file_type(),
                next: position + 1,
            };
            if !each(entry) {
                break;
            }
        }
    }
}

impl List {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Node>> {
        self.by_name.get(name).map(|(_, node)| node)
    }

    /// Fails where `name` cannot be added.
    pub(super) fn check_new(&self, name: &[u8]) -> Result<()> {
        if self.by_name.contains_key(name) {
            return Err(Errno::EEXIST.because("the file exists"));
        }
        if self.removed {
            return Err(Errno::ENOENT.because("the directory has been removed"));
        }
        Ok(())
    }

    /// Makes sure that the next [`List::insert`] has room for its name.
    pub(super) fn reserve(&mut self) -> Result<()> {
        self.by_name
            .try_reserve(1)
            .map_err(|_| Errno::ENOMEM.because("no memory for the directory entry"))
    }

    /// Adds `name`, in place of what was there, which is returned.
    pub(super) fn insert(&mut self, name: &[u8], node: Arc<Node>) -> Option<Arc<Node>> {
        let old = self.remove(name);
        let name: Arc<[u8]> = Arc::from(name);
        let position = self.next_position;
        self.next_position += 1;
        self.by_position.insert(position, (name.clone(), node.clone()));
        self.by_name.insert(name, (position, node));
        old
    }

    /// Puts another node under a name that is there.
    pub(super) fn replace(&mut self, name: &[u8], node: Arc<Node>) {
        if let Some((position, old)) = self.by_name.get_mut(name) {
            *old = node.clone();
            if let Some(entry) = self.by_position.get_mut(position) {
                entry.1 = node;
            }
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Arc<Node>> {
        let (position, node) = self.by_name.remove(name)?;
        self.by_position.remove(&position);
        Some(node)
    }

    /// Lets the directory take no more entries.
    ///
    /// # Errors
    /// `ENOTEMPTY` when it has some.
    pub(super) fn close(&mut self) -> Result<()> {
        if !self.by_name.is_empty() {
            return Err(Errno::ENOTEMPTY.because("the directory is not empty"));
        }
        self.removed = true;
        Ok(())
    }
}

pub(super) fn no_entry() -> Error {
    Errno::ENOENT.because("no such file or directory")
}
