//! Entries that move within a directory or from one to another.
//!
//! Nobody else holds the entries of two directories at once: the file system's tree lock is
//! held all the while.

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::RenameFlags;

use crate::error::{Because, Result};

use super::entries::{List, no_entry};
use super::node::Node;

impl Node {
    /// Fails unless `old`, found at the new name of a rename, may give way to `node`.
    fn check_replaceable(node: &Self, old: &Self) -> Result<()> {
        match (node.is_directory(), old.is_directory()) {
            (true, false) => Err(Errno::ENOTDIR.because("the new name is not a directory")),
            (false, true) => Err(Errno::EISDIR.because("the new name is a directory")),
            (false, false) => Ok(()),
            (true, true) => old.entries()?.lock().close(),
        }
    }

    fn rename_locked(
        &self,
        from: &mut List,
        name: &[u8],
        to: Option<(&Self, &mut List)>,
        new_name: &[u8],
    ) -> Result<()> {
        let node = from.get(name).cloned().ok_or_else(no_entry)?;
        let is_directory = i64::from(node.is_directory());
        let (target, replaced) = match to {
            None => {
                from.remove(name);
                (self, from.insert(new_name, node.clone()))
            }
            Some((target, list)) => {
                from.remove(name);
                (target, list.insert(new_name, node.clone()))
            }
        };
        self.entries_changed(-is_directory);
        let replaced_directory = replaced.as_ref().is_some_and(|old| old.is_directory());
        target.entries_changed(is_directory - i64::from(replaced_directory));
        node.renamed();
        if let Some(old) = replaced {
            old.name_removed();
        }
        Ok(())
    }

    /// Moves `name` to `new_name` of `to`; nothing is at the new name, or it may be replaced.
    pub(super) fn move_entry(
        &self,
        name: &[u8],
        to: &Self,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        let _tree = self.fs.tree.lock();
        let mut from = self.entries()?.lock();
        let node = from.get(name).cloned().ok_or_else(no_entry)?;
        let same = core::ptr::eq(self, to);
        let mut other = if same { None } else { Some(to.entries()?.lock()) };
        let old = other.as_deref().unwrap_or(&from).get(new_name).cloned();
        match old {
            Some(_) if flags.contains(RenameFlags::NOREPLACE) => {
                return Err(Errno::EEXIST.because("the new name exists"));
            }
            Some(old) if Arc::ptr_eq(&old, &node) => return Ok(()),
            Some(old) => Self::check_replaceable(&node, &old)?,
            None => other.as_deref().unwrap_or(&from).check_new(new_name)?,
        }
        other.as_deref_mut().unwrap_or(&mut from).reserve()?;
        let target = other.as_deref_mut().map(|list| (to, list));
        self.rename_locked(&mut from, name, target, new_name)
    }

    /// Lets `name` and `new_name` of `to` change places.
    pub(super) fn exchange(&self, name: &[u8], to: &Self, new_name: &[u8]) -> Result<()> {
        let _tree = self.fs.tree.lock();
        let mut from = self.entries()?.lock();
        let same = core::ptr::eq(self, to);
        let mut other = if same { None } else { Some(to.entries()?.lock()) };
        let one = from.get(name).cloned().ok_or_else(no_entry)?;
        let list = other.as_deref_mut().unwrap_or(&mut from);
        let two = list.get(new_name).cloned().ok_or_else(no_entry)?;
        list.replace(new_name, one.clone());
        from.replace(name, two.clone());
        drop((from, other));
        let moved = i64::from(one.is_directory()) - i64::from(two.is_directory());
        self.entries_changed(-moved);
        to.entries_changed(moved);
        one.renamed();
        two.renamed();
        Ok(())
    }
}
