//! What of a mount must not be changed by whoever got it with a namespace of its own:
//! mount_namespaces(7), "Restrictions on mount namespaces".
//!
//! A namespace of mounts that belongs to another user namespace than the one it was copied from
//! is owned by somebody who may not mount there. So its mounts keep what restricts them, and
//! what they cover stays covered: only as a whole tree they can be taken away.

use abi::Errno;
use abi::fs::mount_flags as flag;

use crate::error::{Because, Error, Result};

use super::mount::Mount;
use super::mount_tree::Tree;

/// Flags that are not cleared once they are locked.
const RESTRICTIONS: u64 = flag::ST_RDONLY | flag::ST_NODEV | flag::ST_NOSUID | flag::ST_NOEXEC;
/// Flags that are not changed once they are locked.
const TIMES: u64 = flag::ST_NOATIME | flag::ST_NODIRATIME | flag::ST_RELATIME;

/// What of a mount is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Locks {
    /// Flags that have to stay set.
    restrictions: u64,
    /// When times of access are updated.
    times: bool,
    /// Where it is.
    place: bool,
}

impl Mount {
    /// Locks its flags as they are.
    fn lock_flags(&self) {
        let mut locks = self.locks().lock();
        locks.restrictions |= self.own_flags() & RESTRICTIONS;
        locks.times = true;
    }

    /// Lets it stay where it is.
    pub(super) fn lock_place(&self) {
        self.locks().lock().place = true;
    }

    /// Lets it be taken away.
    pub(super) fn unlock_place(&self) {
        self.locks().lock().place = false;
    }

    /// Whether it has to stay where it is.
    pub(super) fn is_locked(&self) -> bool {
        self.locks().lock().place
    }

    /// Has the locks of the mount that it is a copy of.
    pub(super) fn be_locked_as(&self, other: &Self) {
        let locks = *other.locks().lock();
        *self.locks().lock() = locks;
    }

    /// Fails where its flags cannot become these.
    ///
    /// # Errors
    /// `EPERM`.
    pub(crate) fn check_flags(&self, new: u64) -> Result<()> {
        let locks = *self.locks().lock();
        let clears = locks.restrictions & !new != 0;
        if clears || (locks.times && (self.own_flags() ^ new) & TIMES != 0) {
            return Err(Errno::EPERM.because("flags of the mount are locked"));
        }
        Ok(())
    }
}

/// Locks a tree that somebody gets who may not mount where it is from. Its top can be taken
/// away.
pub(super) fn lock_tree(tree: &Tree) {
    for mount in tree {
        mount.lock_flags();
        mount.lock_place();
    }
    if let Some(top) = tree.first() {
        top.unlock_place();
    }
}

/// The error that says that a mount has to stay where it is.
pub(super) fn locked() -> Error {
    Errno::EINVAL.because("the mount is locked")
}
