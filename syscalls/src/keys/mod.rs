//! Keys that the kernel keeps for applications: keyrings(7).
//!
//! A [`Key`] has a type, a description, owners and permissions, and a payload; that of a
//! keyring is links to other keys. What nobody links to and no process has as a keyring of its
//! own is gone. [`Keys`] finds keys by their numbers, has the keyrings of users, and counts
//! what each user has. Which keys a caller can reach from the keyrings of its thread, process
//! and session is what it *possesses* ([`search`]).

mod key;
mod kind;
mod lookup;
mod own;
mod quota;
mod search;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::time::NS_PER_SECOND;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::machine::Machine;

pub(crate) use key::{Content, Key, NewKey, Possession, permissions};
pub(crate) use kind::{Kind, PAYLOAD_MAX};
pub(crate) use lookup::Creation;
pub(crate) use own::Keyrings;
pub(crate) use quota::Quota;
pub(crate) use search::Found;

/// A number that tells a key from all others: positive.
pub(crate) type Serial = i32;

/// Numbers below this are never given.
const FIRST_SERIAL: Serial = 3;

/// All keys of the machine.
#[derive(Default)]
pub(crate) struct Keys {
    registry: Arc<Mutex<Registry>>,
}

/// What is known of all keys.
#[derive(Default)]
pub(crate) struct Registry {
    by_serial: BTreeMap<Serial, Weak<Key>>,
    users: BTreeMap<u32, UserKeyrings>,
    pub(super) quota: Quota,
}

/// The keyrings that a user has in any process.
#[derive(Clone)]
pub(crate) struct UserKeyrings {
    /// `_uid.N`.
    pub(crate) user: Arc<Key>,
    /// `_uid_ses.N`.
    pub(crate) session: Arc<Key>,
}

impl Registry {
    /// Forgets a key that is gone.
    fn forget(&mut self, serial: Serial) {
        self.by_serial.remove(&serial);
    }

    fn free_serial(&self, machine: &dyn Machine) -> Serial {
        loop {
            let mut bytes = [0; 4];
            machine.fill_random(&mut bytes);
            let serial = Serial::from_ne_bytes(bytes) & Serial::MAX;
            if serial >= FIRST_SERIAL && !self.by_serial.contains_key(&serial) {
                return serial;
            }
        }
    }
}

impl Keys {
    /// Makes a key that nothing links to yet.
    ///
    /// # Errors
    /// `EDQUOT` when its owner has too many.
    pub(crate) fn make(&self, cx: &Context<'_>, new: NewKey) -> Result<Arc<Key>> {
        let mut registry = self.registry.lock();
        registry.quota.add_key(new.owner, new.cost())?;
        let serial = registry.free_serial(&*cx.system.machine);
        let key = Arc::new(Key::new(serial, new, &self.registry));
        registry.by_serial.insert(serial, Arc::downgrade(&key));
        Ok(key)
    }

    /// The key with this number.
    ///
    /// # Errors
    /// `ENOKEY`.
    pub(crate) fn get(&self, serial: Serial) -> Result<Arc<Key>> {
        let found = self.registry.lock().by_serial.get(&serial).and_then(Weak::upgrade);
        found
            .filter(|key| !key.is_invalidated())
            .ok_or_else(|| Errno::ENOKEY.because("there is no key with this number"))
    }

    /// All keys, by their numbers.
    pub(crate) fn all(&self) -> Vec<Arc<Key>> {
        self.registry.lock().by_serial.values().filter_map(Weak::upgrade).collect()
    }

    /// What users have, and may have.
    pub(crate) fn quota(&self) -> Quota {
        self.registry.lock().quota.clone()
    }

    /// Changes what users may have.
    pub(crate) fn change_quota(&self, change: impl FnOnce(&mut Quota)) {
        change(&mut self.registry.lock().quota);
    }

    /// The keyrings of a user, which are there from when they are first asked for.
    ///
    /// # Errors
    /// `EDQUOT`.
    pub(crate) fn of_user(&self, cx: &Context<'_>, user: u32) -> Result<UserKeyrings> {
        if let Some(known) = self.registry.lock().users.get(&user) {
            return Ok(known.clone());
        }
        let keyring = |description: Vec<u8>| {
            let content = Content::Links(Vec::new());
            let permissions = permissions::OF_USER_KEYRING;
            let (owner, group) = (user, u32::MAX);
            let kind = Kind::Keyring;
            self.make(cx, NewKey { kind, description, owner, group, permissions, content })
        };
        let made = UserKeyrings {
            user: keyring(alloc::format!("_uid.{user}").into_bytes())?,
            session: keyring(alloc::format!("_uid_ses.{user}").into_bytes())?,
        };
        made.session.link(&made.user)?;
        // Another processor may have been here since.
        let known = self.registry.lock().users.entry(user).or_insert_with(|| made.clone()).clone();
        Ok(known)
    }
}

/// Seconds since 1970 UTC, in which keys expire.
pub(crate) fn now(cx: &Context<'_>) -> u64 {
    cx.system.machine.wall_clock_ns() / NS_PER_SECOND
}
