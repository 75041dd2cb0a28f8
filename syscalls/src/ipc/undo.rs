//! Whose adjustments of semaphores are undone together: semop(2), `SEM_UNDO`.

use alloc::sync::Arc;

use spin::{Mutex, Once};

/// What a process, or several that share it (`CLONE_SYSVSEM`), have to undo at their end. What
/// that is, the sets know.
#[derive(Default)]
pub(crate) struct UndoOwner {
    /// The name, from the moment when there is something to undo.
    key: Mutex<Arc<Once<UndoKey>>>,
}

/// The name of an owner. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UndoKey(pub(super) u64);

impl UndoOwner {
    /// The same, for a child that shares it.
    pub(crate) fn share(&self) -> Self {
        Self { key: Mutex::new(self.key.lock().clone()) }
    }

    /// Whether both are the same.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        let identity = |owner: &Self| Arc::as_ptr(&owner.key.lock()).addr();
        identity(self) == identity(other)
    }

    /// Its name, for something that is to be undone; `new` makes one.
    pub(super) fn name(&self, new: impl FnOnce() -> UndoKey) -> UndoKey {
        *self.key.lock().call_once(new)
    }

    /// Begins anew. Returns the name if there is something to undo and nobody else shares it.
    pub(super) fn leave(&self) -> Option<UndoKey> {
        let old = core::mem::take(&mut *self.key.lock());
        // Of several who leave at once, one is the last.
        Arc::into_inner(old)?.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_those_who_share_undoes() {
        let parent = UndoOwner::default();
        assert_eq!(parent.leave(), None);
        let child = parent.share();
        assert_eq!(parent.name(|| UndoKey(7)), UndoKey(7));
        assert_eq!(child.name(|| UndoKey(8)), UndoKey(7));
        assert_eq!(parent.leave(), None);
        assert_eq!(child.leave(), Some(UndoKey(7)));
        assert_eq!(child.leave(), None);
    }
}
