//! What a process owns alone, until clone(2) lets a child share it: its descriptors, its
//! view of the tree of files, its signal actions.

use alloc::sync::Arc;

use spin::Mutex;

/// A value with one owner or several. One owner pays for one lock; several for two.
pub(crate) struct Joint<T> {
    owned: Mutex<Owned<T>>,
}

enum Owned<T> {
    Alone(T),
    Together(Arc<Mutex<T>>),
}

impl<T> Joint<T> {
    /// A value with one owner.
    pub(crate) const fn new(value: T) -> Self {
        Self { owned: Mutex::new(Owned::Alone(value)) }
    }

    /// Calls `work` with the value; the locks are held meanwhile.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        match &mut *self.owned.lock() {
            Owned::Alone(value) => work(value),
            Owned::Together(value) => work(&mut value.lock()),
        }
    }

    /// Whether both own the same value.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
            || self.identity().is_some_and(|own| other.identity() == Some(own))
    }

    /// Whether it has several owners.
    pub(crate) fn is_shared(&self) -> bool {
        match &*self.owned.lock() {
            Owned::Alone(_) => false,
            Owned::Together(value) => Arc::strong_count(value) > 1,
        }
    }

    /// What tells a value with several owners from all others.
    pub(crate) fn identity(&self) -> Option<usize> {
        match &*self.owned.lock() {
            Owned::Alone(_) => None,
            Owned::Together(value) => Some(Arc::as_ptr(value).addr()),
        }
    }

    /// Gives this owner `new` instead; returns the old value, unless others own it still.
    pub(crate) fn leave(&self, new: T) -> Option<T> {
        match core::mem::replace(&mut *self.owned.lock(), Owned::Alone(new)) {
            Owned::Alone(value) => Some(value),
            Owned::Together(value) => Arc::into_inner(value).map(Mutex::into_inner),
        }
    }
}

impl<T: Clone> Joint<T> {
    /// The same value with one more owner.
    pub(crate) fn share(&self) -> Self {
        let mut owned = self.owned.lock();
        let value = match &*owned {
            Owned::Alone(value) => Arc::new(Mutex::new(value.clone())),
            Owned::Together(value) => value.clone(),
        };
        let old = core::mem::replace(&mut *owned, Owned::Together(value.clone()));
        drop(owned);
        drop(old);
        Self { owned: Mutex::new(Owned::Together(value)) }
    }

    /// A copy that has one owner.
    pub(crate) fn copy(&self) -> Self {
        Self::new(self.with(|value| value.clone()))
    }

    /// Makes the value this owner's alone: a copy, where there are others.
    pub(crate) fn separate(&self) {
        let mut owned = self.owned.lock();
        if let Owned::Together(value) = &*owned {
            let copy = value.lock().clone();
            let shared = core::mem::replace(&mut *owned, Owned::Alone(copy));
            drop(owned);
            drop(shared);
        }
    }
}

impl<T: Default> Default for Joint<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_of_one_value_see_each_others_changes_until_they_part() {
        let parent = Joint::new(1);
        let child = parent.share();
        child.with(|value| *value = 2);
        assert_eq!(parent.with(|value| *value), 2);
        assert!(parent.is_shared_with(&child) && parent.is_shared_with(&parent));
        child.separate();
        assert!(!parent.is_shared_with(&child));
        child.with(|value| *value = 3);
        assert_eq!(parent.with(|value| *value), 2);
    }

    #[test]
    fn the_last_owner_takes_the_value_along() {
        let parent = Joint::new(1);
        let child = parent.share();
        assert_eq!(parent.leave(0), None);
        assert_eq!(child.leave(0), Some(1));
        assert_eq!(Joint::new(7).leave(0), Some(7));
    }

    #[test]
    fn a_copy_is_independent() {
        let parent = Joint::new(1);
        parent.copy().with(|value| *value = 2);
        assert_eq!(parent.with(|value| *value), 1);
    }
}
