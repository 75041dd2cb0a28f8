//! Finding keys by type and description, and what a caller possesses: keyrings(7),
//! "Possession" and "Searching".

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::keys::KeyAccess;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::process::Credentials;

use super::key::{MAX_DEPTH, Possession};
use super::{Key, Kind, Serial};

/// A key, and how the caller came to it.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) key: Arc<Key>,
    pub(crate) possession: Possession,
}

impl Found {
    /// A key that the caller possesses.
    pub(crate) fn possessed(key: Arc<Key>) -> Self {
        Self { key, possession: Possession::Possessed }
    }

    /// Fails unless the caller may do that with it.
    ///
    /// # Errors
    /// `EACCES`.
    pub(crate) fn check(&self, cx: &Context<'_>, need: KeyAccess) -> Result<()> {
        match self.key.allows(&cx.credentials(), self.possession, need) {
            true => Ok(()),
            false => Err(Key::refused()),
        }
    }

    /// The key of this type and description that can be found from this keyring; what is
    /// nearest comes first.
    ///
    /// # Errors
    /// `EAGAIN` where there is none; `EACCES`, `EKEYREVOKED`, `EKEYEXPIRED`, `ENOKEY` where
    /// there is one that cannot be used.
    pub(crate) fn search(&self, cx: &Context<'_>, kind: Kind, description: &[u8]) -> Result<Self> {
        self.check(cx, KeyAccess::SEARCH)?;
        let who = &cx.credentials();
        let (possession, seen) = (self.possession, Visited::default());
        let mut wanted = Wanted { cx, who, kind, description, possession, seen };
        wanted.search(&self.key, 0).unwrap_or_else(|| Err(no_key()))
    }
}

/// The error that says that nothing is known of such a key.
pub(super) fn no_key() -> Error {
    Errno::EAGAIN.because("there is no such key in the keyring")
}

/// What is searched for.
struct Wanted<'a> {
    cx: &'a Context<'a>,
    who: &'a Credentials,
    kind: Kind,
    description: &'a [u8],
    possession: Possession,
    seen: Visited,
}

/// The keyrings that have been looked into, and how deep: many ways may lead to one.
#[derive(Default)]
pub(super) struct Visited(BTreeMap<Serial, usize>);

impl Visited {
    /// Whether to look into a keyring at this depth: not where that was done at the same one, or
    /// a lesser.
    pub(super) fn enter(&mut self, keyring: &Key, depth: usize) -> bool {
        let least = self.0.entry(keyring.serial()).or_insert(usize::MAX);
        let is_less = depth < *least;
        *least = depth.min(*least);
        is_less
    }

    /// Whether `key` is in `keyring`, as deep as `who` may search it.
    fn reach(
        &mut self,
        who: &Credentials,
        key: &Arc<Key>,
        keyring: &Arc<Key>,
        depth: usize,
    ) -> bool {
        if Arc::ptr_eq(key, keyring) {
            return true;
        }
        if depth > MAX_DEPTH
            || !keyring.allows(who, Possession::Possessed, KeyAccess::SEARCH)
            || !self.enter(keyring, depth)
        {
            return false;
        }
        keyring.links().iter().any(|link| {
            Arc::ptr_eq(key, link)
                || (link.kind() == Kind::Keyring && self.reach(who, key, link, depth + 1))
        })
    }
}

impl Wanted<'_> {
    fn search(&mut self, at: &Arc<Key>, depth: usize) -> Option<Result<Found>> {
        if at.kind() == self.kind && at.description() == self.description {
            return Some(self.take(at));
        }
        if at.check_usable(self.cx).is_err() || !self.seen.enter(at, depth) {
            return None;
        }
        let links: Vec<_> = at.links().into_iter().filter(|link| !link.is_invalidated()).collect();
        let is_wanted =
            |key: &&Arc<Key>| key.kind() == self.kind && key.description() == self.description;
        let direct = links.iter().find(is_wanted).map(|key| self.take(key));
        if depth >= MAX_DEPTH || matches!(direct, Some(Ok(_))) {
            return direct;
        }
        let keyrings = links.iter().filter(|link| link.kind() == Kind::Keyring);
        let (who, possession) = (self.who, self.possession);
        let searchable =
            keyrings.filter(|keyring| keyring.allows(who, possession, KeyAccess::SEARCH));
        let mut result = direct;
        for keyring in searchable {
            match self.search(keyring, depth + 1) {
                Some(Ok(found)) => return Some(Ok(found)),
                Some(Err(error)) => result = result.or(Some(Err(error))),
                None => {}
            }
        }
        result
    }

    /// A key that matches, if it can be used.
    fn take(&self, key: &Arc<Key>) -> Result<Found> {
        key.check_usable(self.cx)?;
        if !key.allows(self.who, self.possession, KeyAccess::SEARCH) {
            return Err(Key::refused());
        }
        key.check_positive()?;
        Ok(Found { key: key.clone(), possession: self.possession })
    }
}

impl Context<'_> {
    /// The keyrings from which the caller possesses what is in them.
    fn own_keyrings(&self) -> Result<Vec<Arc<Key>>> {
        let session = match self.session_keyring() {
            Some(session) => session,
            None => {
                let user = self.credentials().users.real;
                self.system.keys.of_user(self, user)?.session
            }
        };
        let first = self.thread_keyring().into_iter().chain(self.process_keyring());
        Ok(first.chain([session]).collect())
    }

    /// The key of this type and description in the caller's own keyrings.
    ///
    /// # Errors
    /// `EAGAIN` where there is none; the errors of [`Found::search`] where all there is cannot
    /// be used.
    pub(crate) fn search_keys(&self, kind: Kind, description: &[u8]) -> Result<Found> {
        let mut absent = None;
        let mut unusable = None;
        for keyring in self.own_keyrings()? {
            match Found::possessed(keyring).search(self, kind, description) {
                Ok(found) => return Ok(found),
                Err(error) if error.errno == Errno::ENOKEY => absent = Some(error),
                Err(error) if error.errno == Errno::EAGAIN => absent = absent.or(Some(error)),
                Err(error) => unusable = Some(error),
            }
        }
        Err(absent.or(unusable).unwrap_or_else(no_key))
    }

    /// Whether `key` can be reached from the caller's own keyrings.
    pub(crate) fn possession_of(&self, key: &Arc<Key>) -> Result<Possession> {
        let who = self.credentials();
        let keyrings = self.own_keyrings()?;
        let mut seen = Visited::default();
        let is_possessed = keyrings.iter().any(|keyring| seen.reach(&who, key, keyring, 0));
        Ok(if is_possessed { Possession::Possessed } else { Possession::Foreign })
    }
}
