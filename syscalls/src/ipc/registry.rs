//! Objects by number and by key.
//!
//! A number is an index and, above it, a sequence number, so that the number of an object
//! that is gone does not soon lead to another one.

use alloc::collections::BTreeMap;

use abi::Errno;
use abi::ipc::{GetFlags, IPC_PRIVATE};

use crate::context::Context;
use crate::error::{Because, Result};

use super::permission::{Asked, Permission};

/// Bits of a number that are the index (`IPCMNI_SHIFT`).
pub(super) const INDEX_BITS: u32 = 15;
/// Number of sequence numbers.
const SEQUENCES: i32 = 1 << (31 - INDEX_BITS);
/// Most objects of a kind (`SHMMNI` and others are less or the same).
const INDICES: i32 = 1 << INDEX_BITS;

/// What has a permission.
pub(super) trait Object {
    /// It.
    fn permission(&self) -> &Permission;
}

/// All objects of a kind.
pub(super) struct Registry<T> {
    /// By index, with the sequence number.
    entries: BTreeMap<i32, (i32, T)>,
    /// Indices by key. A key may be here that leads to nothing any more, or to another.
    keys: BTreeMap<i32, i32>,
    next: i32,
    sequence: i32,
    /// Which number the next object gets, if somebody has asked for one.
    wanted: Option<i32>,
}

impl<T: Object> Registry<T> {
    /// None.
    pub(super) const fn new() -> Self {
        Self { entries: BTreeMap::new(), keys: BTreeMap::new(), next: 0, sequence: 0, wanted: None }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The highest index in use, or 0.
    pub(super) fn highest(&self) -> i32 {
        self.entries.last_key_value().map_or(0, |(&index, _)| index)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.values().map(|(_, object)| object)
    }

    /// All of them, to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.values_mut().map(|(_, object)| object)
    }

    /// All of them with their numbers, in the order of their indices.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (i32, &T)> {
        self.entries.iter().map(|(&index, (sequence, object))| (number(index, *sequence), object))
    }

    /// Keeps those that `keeps` is true for.
    pub(super) fn retain(&mut self, mut keeps: impl FnMut(&T) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|_, (_, object)| keeps(object));
        if self.entries.len() < before {
            self.keys.retain(|_, index| self.entries.contains_key(index));
        }
    }

    /// Removes the object with this number.
    ///
    /// # Errors
    /// Those of [`Registry::get`].
    pub(super) fn remove(&mut self, number: i32) -> Result<T> {
        let key = self.get(number)?.permission().key;
        let index = number % INDICES;
        if self.keys.get(&key) == Some(&index) {
            self.keys.remove(&key);
        }
        let removed = self.entries.remove(&index);
        removed.map(|(_, object)| object).ok_or_else(|| missing(number, false))
    }

    /// Which number the next object gets, if somebody has asked for one.
    pub(super) fn wanted(&self) -> Option<i32> {
        self.wanted
    }

    /// Asks for a number for the next object.
    pub(super) fn set_wanted(&mut self, number: Option<i32>) {
        self.wanted = number;
    }

    /// The number of the object with `key`, if `flags` and its mode allow that.
    ///
    /// # Errors
    /// `EEXIST` when it must not exist; `ENOENT` when it must.
    pub(super) fn find(&self, key: i32, flags: GetFlags) -> Result<Option<i32>> {
        let index = self.keys.get(&key).filter(|_| key != IPC_PRIVATE);
        let found = index.and_then(|index| Some((*index, self.entries.get(index)?)));
        match found.filter(|(_, (_, object))| object.permission().key == key) {
            Some(_) if flags.contains(GetFlags::CREAT | GetFlags::EXCL) => {
                Err(Errno::EEXIST.because("there is an object with this key"))
            }
            Some((index, (sequence, _))) => Ok(Some(number(index, *sequence))),
            None if key == IPC_PRIVATE || flags.contains(GetFlags::CREAT) => Ok(None),
            None => Err(Errno::ENOENT.because("there is no object with this key")),
        }
    }

    /// Fails unless the caller may use the object as `flags` of a get call ask.
    ///
    /// # Errors
    /// `EACCES`.
    pub(super) fn check(&self, cx: &Context<'_>, number: i32, flags: GetFlags) -> Result<()> {
        self.get(number)?.permission().check(cx, Asked(flags.bits() & 0o777))
    }

    /// Adds an object, if there are not `limit` yet; returns its number, which `make` learns.
    ///
    /// # Errors
    /// `ENOSPC` when there are too many; that of `make`.
    pub(super) fn insert(
        &mut self,
        limit: u64,
        make: impl FnOnce(i32) -> Result<T>,
    ) -> Result<i32> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if self.entries.len() >= limit.min(INDICES as usize) {
            return Err(Errno::ENOSPC.because("too many objects"));
        }
        if let Some(wanted) = self.wanted.take() {
            (self.next, self.sequence) = (wanted % INDICES, wanted / INDICES);
        }
        while self.entries.contains_key(&self.next) {
            self.advance();
        }
        let (index, sequence) = (self.next, self.sequence);
        let object = make(number(index, sequence))?;
        let key = object.permission().key;
        if key != IPC_PRIVATE {
            self.keys.insert(key, index);
        }
        self.entries.insert(index, (sequence, object));
        self.advance();
        Ok(number(index, sequence))
    }

    fn advance(&mut self) {
        self.next += 1;
        if self.next == INDICES {
            self.next = 0;
            self.sequence = (self.sequence + 1) % SEQUENCES;
        }
    }

    /// The number of the object with this index.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(super) fn at(&self, index: i32) -> Result<i32> {
        match self.entries.get(&index) {
            Some((sequence, _)) => Ok(number(index, *sequence)),
            None => Err(Errno::EINVAL.because("there is no object with this index")),
        }
    }

    /// The object with this number.
    ///
    /// # Errors
    /// `EINVAL` when there is none; `EIDRM` when it was another's that is gone.
    pub(super) fn get(&self, number: i32) -> Result<&T> {
        match self.entries.get(&(number % INDICES)) {
            Some((sequence, object)) if number >= 0 && number / INDICES == *sequence => Ok(object),
            found => Err(missing(number, found.is_some())),
        }
    }

    /// As [`Registry::get`], to change it.
    ///
    /// # Errors
    /// Those of [`Registry::get`].
    pub(super) fn get_mut(&mut self, number: i32) -> Result<&mut T> {
        self.get(number)?;
        let entry = self.entries.get_mut(&(number % INDICES));
        entry.map(|(_, object)| object).ok_or_else(|| missing(number, false))
    }
}

fn number(index: i32, sequence: i32) -> i32 {
    sequence * INDICES + index
}

fn missing(number: i32, replaced: bool) -> crate::error::Error {
    if replaced && number >= 0 {
        Errno::EIDRM.because("the object was removed")
    } else {
        Errno::EINVAL.because("there is no object with this number")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Credentials;

    impl Object for Permission {
        fn permission(&self) -> &Permission {
            self
        }
    }

    #[test]
    fn numbers_are_not_soon_used_again() {
        let who = Credentials::root();
        let mut registry = Registry::new();
        let add = |registry: &mut Registry<Permission>, key| {
            registry.insert(2, |_| Ok(Permission::new(&who, key, 0o600)))
        };
        assert_eq!((add(&mut registry, 5), add(&mut registry, 6)), (Ok(0), Ok(1)));
        assert!(add(&mut registry, 7).is_err());
        for _ in 0..INDICES {
            registry.retain(|object| object.key == 5);
            add(&mut registry, 6).unwrap();
        }
        // The index 0 is taken, so that the sequence begins again with 1.
        assert_eq!(registry.highest(), 2);
        assert_eq!(registry.at(2), Ok(INDICES + 2));
        assert_eq!(registry.get(2).map(drop).unwrap_err().errno, Errno::EIDRM);
        assert!(registry.get(-1).is_err());
        assert_eq!(registry.get(INDICES).map(drop).unwrap_err().errno, Errno::EIDRM);
        assert_eq!(
            registry.find(6, GetFlags::CREAT | GetFlags::EXCL).unwrap_err().errno,
            Errno::EEXIST
        );
        assert_eq!(registry.find(8, GetFlags::empty()).unwrap_err().errno, Errno::ENOENT);
        assert_eq!(registry.find(IPC_PRIVATE, GetFlags::empty()), Ok(None));
        assert_eq!(registry.remove(INDICES + 2).map(|object| object.key), Ok(6));
        assert_eq!(registry.find(6, GetFlags::CREAT), Ok(None));
        assert_eq!(registry.find(5, GetFlags::empty()), Ok(Some(0)));
        registry.set_wanted(Some(3 * INDICES));
        // The index of the wanted number is taken, its sequence is not.
        assert_eq!(add(&mut registry, 6), Ok(3 * INDICES + 1));
    }
}
