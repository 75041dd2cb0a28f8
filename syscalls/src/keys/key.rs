//! A key: what it is, whose it is, and what it holds.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::keys::KeyAccess;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::namespaces::UserNamespace;
use crate::process::{Capability, Credentials};

use super::search::Visited;
use super::{Kind, Registry, Serial, now};

/// Bytes of the quota that a link takes.
const LINK_BYTES: u64 = 4;

/// How deep keyrings may be in keyrings.
pub(super) const MAX_DEPTH: usize = 6;

/// Permissions that keys begin with: [`KeyAccess`] in the bytes of a word, from the highest for
/// who possesses it, its user, its group, and others.
pub(crate) mod permissions {
    /// All bits that have a meaning.
    pub(crate) const ALL: u32 = 0x3f3f_3f3f;
    /// A keyring of a thread or a process.
    pub(crate) const OF_OWN_KEYRING: u32 = 0x3f01_0000;
    /// A keyring of a session.
    pub(crate) const OF_SESSION_KEYRING: u32 = 0x3f03_0000;
    /// A keyring of a session with a name.
    pub(crate) const OF_NAMED_KEYRING: u32 = 0x3f13_0000;
    /// The keyrings of users.
    pub(crate) const OF_USER_KEYRING: u32 = 0x1f3f_0000;
}

/// What a key holds.
#[derive(Clone)]
pub(crate) enum Content {
    /// Bytes.
    Payload(Arc<Vec<u8>>),
    /// Links, in the order in which they were made.
    Links(Vec<Arc<Key>>),
    /// Nothing: who asked for it gets this error.
    Rejected(Errno),
}

impl Content {
    fn cost(&self) -> u64 {
        match self {
            Self::Payload(bytes) => bytes.len() as u64,
            Self::Links(links) => links.len() as u64 * LINK_BYTES,
            Self::Rejected(_) => 0,
        }
    }
}

/// What a new key is to be.
pub(crate) struct NewKey {
    pub(crate) kind: Kind,
    pub(crate) description: Vec<u8>,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) permissions: u32,
    pub(crate) content: Content,
}

impl NewKey {
    /// A key of the caller, with the permissions that keys of its type begin with.
    pub(crate) fn of_caller(
        cx: &Context<'_>,
        kind: Kind,
        description: Vec<u8>,
        content: Content,
    ) -> Self {
        use KeyAccess as A;
        let mut possessor = A::VIEW | A::SEARCH | A::LINK | A::SET_ATTRIBUTES;
        possessor.set(A::READ, kind.is_readable());
        possessor.set(A::WRITE, kind.is_updatable() || kind == Kind::Keyring);
        let permissions = possessor.bits() << 24 | A::VIEW.bits() << 16;
        let who = cx.credentials();
        let (owner, group) = (who.users.file_system, who.groups.file_system);
        Self { kind, description, owner, group, permissions, content }
    }

    pub(super) fn cost(&self) -> u64 {
        self.description.len() as u64 + 1 + self.content.cost()
    }
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Usable,
    Revoked,
    Invalidated,
}

/// A key.
pub(crate) struct Key {
    serial: Serial,
    kind: Kind,
    description: Vec<u8>,
    state: Mutex<State>,
    registry: Weak<Mutex<Registry>>,
}

struct State {
    owner: u32,
    group: u32,
    permissions: u32,
    /// When it expires, in seconds since 1970.
    expires: Option<u64>,
    status: Status,
    content: Content,
}

/// Owners and permissions of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) permissions: u32,
    pub(crate) expires: Option<u64>,
}

impl Attributes {
    /// Owner and group as they are shown in a user namespace; -1 for a group that there is not.
    pub(crate) fn shown(&self, here: &UserNamespace) -> (i32, i32) {
        let group = match self.group {
            u32::MAX => u32::MAX,
            group => here.shown_group(group),
        };
        (here.shown_user(self.owner).cast_signed(), group.cast_signed())
    }
}

impl Key {
    pub(super) fn new(serial: Serial, new: NewKey, registry: &Arc<Mutex<Registry>>) -> Self {
        let NewKey { kind, description, owner, group, permissions, content } = new;
        let (expires, status) = (None, Status::Usable);
        let state = Mutex::new(State { owner, group, permissions, expires, status, content });
        Self { serial, kind, description, state, registry: Arc::downgrade(registry) }
    }

    pub(crate) fn serial(&self) -> Serial {
        self.serial
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn description(&self) -> &[u8] {
        &self.description
    }

    /// Owners, permissions and expiry.
    pub(crate) fn attributes(&self) -> Attributes {
        let State { owner, group, permissions, expires, .. } = *self.state.lock();
        Attributes { owner, group, permissions, expires }
    }

    /// Whether `who` may do that with it.
    pub(crate) fn allows(
        &self,
        who: &Credentials,
        possession: Possession,
        need: KeyAccess,
    ) -> bool {
        let Attributes { owner, group, permissions, .. } = self.attributes();
        let group_bits = permissions >> 8 & KeyAccess::all().bits();
        let mut bits = match () {
            () if who.users.file_system == owner => permissions >> 16,
            () if group != u32::MAX && group_bits != 0 && who.is_in_group(group) => group_bits,
            () => permissions,
        };
        if possession == Possession::Possessed {
            bits |= permissions >> 24;
        }
        KeyAccess::from_bits_truncate(bits).contains(need)
    }

    /// Fails where it is not there to be used.
    ///
    /// # Errors
    /// `ENOKEY`, `EKEYREVOKED`, `EKEYEXPIRED`.
    pub(crate) fn check_usable(&self, cx: &Context<'_>) -> Result<()> {
        let state = self.state.lock();
        match state.status {
            Status::Invalidated => Err(Errno::ENOKEY.because("the key was invalidated")),
            Status::Revoked => Err(Errno::EKEYREVOKED.because("the key was revoked")),
            Status::Usable if state.expires.is_some_and(|at| at <= now(cx)) => {
                Err(Errno::EKEYEXPIRED.because("the key has expired"))
            }
            Status::Usable => Ok(()),
        }
    }

    /// The error of a key that there is not, where it is known that there is none.
    pub(crate) fn check_positive(&self) -> Result<()> {
        match self.state.lock().content {
            Content::Rejected(errno) => Err(errno.because("it is known that there is no such key")),
            _ => Ok(()),
        }
    }

    pub(super) fn is_invalidated(&self) -> bool {
        self.state.lock().status == Status::Invalidated
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.state.lock().status == Status::Revoked
    }

    /// The payload: of a keyring, the numbers of what it links to.
    ///
    /// # Errors
    /// The error of a key that there is not.
    pub(crate) fn payload(&self) -> Result<Arc<Vec<u8>>> {
        self.check_positive()?;
        let links = match &self.state.lock().content {
            Content::Payload(bytes) => return Ok(bytes.clone()),
            Content::Links(links) => links.clone(),
            Content::Rejected(_) => Vec::new(),
        };
        let linked = links.iter().filter(|link| !link.is_invalidated());
        Ok(Arc::new(linked.flat_map(|link| link.serial.to_ne_bytes()).collect()))
    }

    /// What a keyring links to; nothing for another key.
    pub(crate) fn links(&self) -> Vec<Arc<Key>> {
        match &self.state.lock().content {
            Content::Links(links) => links.clone(),
            _ => Vec::new(),
        }
    }

    /// Gives it another payload.
    ///
    /// # Errors
    /// `EDQUOT`.
    pub(crate) fn update(&self, payload: Vec<u8>) -> Result<()> {
        self.set_content(Content::Payload(Arc::new(payload)))?;
        self.state.lock().expires = None;
        Ok(())
    }

    fn set_content(&self, new: Content) -> Result<()> {
        let mut state = self.state.lock();
        self.charge(state.owner, state.content.cost(), new.cost())?;
        let old = core::mem::replace(&mut state.content, new);
        // What goes with it may take locks of its own.
        drop(state);
        drop(old);
        Ok(())
    }

    fn charge(&self, owner: u32, old: u64, new: u64) -> Result<()> {
        match self.registry.upgrade() {
            Some(registry) => registry.lock().quota.resize(owner, old, new),
            None => Ok(()),
        }
    }

    /// Links a keyring to `key`, in the place of a key of the same type and description.
    ///
    /// # Errors
    /// `ENOTDIR` for what is no keyring; `EDEADLK`, `ELOOP` where keyrings would link in a
    /// circle or too deep; `EDQUOT`.
    pub(crate) fn link(self: &Arc<Self>, key: &Arc<Key>) -> Result<()> {
        self.check_keyring()?;
        if key.kind == Kind::Keyring {
            key.check_holds_not(self, 0, &mut Visited::default())?;
        }
        self.change_links(|links| {
            links.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            links.retain(|link| {
                let is_same = link.kind == key.kind && link.description == key.description;
                !is_same && !link.is_invalidated()
            });
            links.push(key.clone());
            Ok(())
        })
    }

    /// Changes the links of a keyring. As links go from a keyring only to what is not in a circle
    /// with it, the lock of what is linked to may be taken under that of the keyring.
    fn change_links(&self, change: impl FnOnce(&mut Vec<Arc<Self>>) -> Result<()>) -> Result<()> {
        let mut state = self.state.lock();
        let Content::Links(old) = &state.content else {
            return Err(Errno::ENOTDIR.because("the key is not a keyring"));
        };
        let mut links = old.clone();
        change(&mut links)?;
        let new = Content::Links(links);
        self.charge(state.owner, state.content.cost(), new.cost())?;
        let old = core::mem::replace(&mut state.content, new);
        // What goes with it may take locks of its own.
        drop(state);
        drop(old);
        Ok(())
    }

    /// Fails unless it is a keyring.
    ///
    /// # Errors
    /// `ENOTDIR`.
    pub(crate) fn check_keyring(&self) -> Result<()> {
        if self.kind == Kind::Keyring {
            Ok(())
        } else {
            Err(Errno::ENOTDIR.because("the key is not a keyring"))
        }
    }

    /// Fails where `other` is this keyring or in it.
    fn check_holds_not(
        self: &Arc<Self>,
        other: &Arc<Self>,
        depth: usize,
        seen: &mut Visited,
    ) -> Result<()> {
        if Arc::ptr_eq(self, other) {
            return Err(Errno::EDEADLK.because("the keyring would be in itself"));
        }
        if depth >= MAX_DEPTH {
            return Err(Errno::ELOOP.because("keyrings would be too deep in each other"));
        }
        // The deeper it is, the more is too deep.
        if !seen.enter(self, MAX_DEPTH - depth) {
            return Ok(());
        }
        let links = self.links();
        let mut keyrings = links.iter().filter(|link| link.kind == Kind::Keyring);
        keyrings.try_for_each(|link| link.check_holds_not(other, depth + 1, seen))
    }

    /// Removes a link.
    ///
    /// # Errors
    /// `ENOTDIR`; `ENOENT` where there is none.
    pub(crate) fn unlink(&self, key: &Arc<Key>) -> Result<()> {
        self.change_links(|links| {
            let before = links.len();
            links.retain(|link| !Arc::ptr_eq(link, key));
            if links.len() == before {
                return Err(Errno::ENOENT.because("the keyring does not link to the key"));
            }
            Ok(())
        })
    }

    /// Removes all links.
    ///
    /// # Errors
    /// `ENOTDIR`.
    pub(crate) fn clear(&self) -> Result<()> {
        self.change_links(|links| {
            links.clear();
            Ok(())
        })
    }

    /// Makes it unusable, but for finding out that it is.
    ///
    /// # Errors
    /// None in fact: what it holds only becomes less.
    pub(crate) fn revoke(&self) -> Result<()> {
        self.state.lock().status = Status::Revoked;
        self.set_content(match self.kind {
            Kind::Keyring => Content::Links(Vec::new()),
            _ => Content::Payload(Arc::default()),
        })
    }

    /// Makes it as if it were nowhere.
    pub(crate) fn invalidate(&self) {
        self.state.lock().status = Status::Invalidated;
    }

    /// Says when it expires, in seconds since 1970.
    pub(crate) fn set_expiry(&self, at: Option<u64>) {
        self.state.lock().expires = at;
    }

    /// Changes its permissions.
    ///
    /// # Errors
    /// `EACCES` unless the caller owns it or has `CAP_SYS_ADMIN`.
    pub(crate) fn set_permissions(&self, cx: &Context<'_>, permissions: u32) -> Result<()> {
        let who = cx.credentials();
        let mut state = self.state.lock();
        if state.owner != who.users.file_system && !who.has(Capability::SysAdmin) {
            return Err(Errno::EACCES.because("the key is another user's"));
        }
        state.permissions = permissions;
        Ok(())
    }

    /// Changes its owners, as far as they are given.
    ///
    /// # Errors
    /// `EACCES` without the privilege for that; `EDQUOT` when the new owner has too many.
    pub(crate) fn set_owners(
        &self,
        cx: &Context<'_>,
        owner: Option<u32>,
        group: Option<u32>,
    ) -> Result<()> {
        let who = cx.credentials();
        let old = self.attributes();
        let changes_owner = owner.is_some_and(|owner| owner != old.owner);
        let is_foreign = |group: u32| group != old.group && !who.is_in_group(group);
        if (changes_owner || group.is_some_and(is_foreign)) && !who.has(Capability::SysAdmin) {
            return Err(Errno::EACCES.because("without privilege, only the caller's own groups"));
        }
        let mut state = self.state.lock();
        if let (Some(new), Some(registry)) = (owner, self.registry.upgrade()) {
            let cost = self.cost(&state);
            let quota = &mut registry.lock().quota;
            quota.remove_key(state.owner, cost);
            if let Err(error) = quota.add_key(new, cost) {
                // It was counted before, so there is room for it.
                let _ = quota.add_key(state.owner, cost);
                return Err(error);
            }
            state.owner = new;
        }
        state.group = group.unwrap_or(state.group);
        Ok(())
    }

    fn cost(&self, state: &State) -> u64 {
        self.description.len() as u64 + 1 + state.content.cost()
    }

    /// The error that says that the caller may not.
    pub(crate) fn refused() -> Error {
        Errno::EACCES.because("the key's permissions do not allow it")
    }
}

impl Key {
    /// At its end: counts it no longer, and parts it from what it links to.
    fn leave(&mut self) -> Vec<Arc<Self>> {
        let cost = self.cost(&self.state.lock());
        let state = self.state.get_mut();
        if let Some(registry) = self.registry.upgrade() {
            let mut registry = registry.lock();
            registry.forget(self.serial);
            registry.quota.remove_key(state.owner, cost);
        }
        self.registry = Weak::new();
        match &mut state.content {
            Content::Links(links) => core::mem::take(links),
            Content::Payload(_) | Content::Rejected(_) => Vec::new(),
        }
    }
}

impl Drop for Key {
    // Not by recursion: an application can build a chain that is deeper than a kernel stack.
    fn drop(&mut self) {
        let mut links = self.leave();
        while let Some(link) = links.pop() {
            if let Some(mut last) = Arc::into_inner(link) {
                links.append(&mut last.leave());
            }
        }
    }
}

/// Whether a key can be reached from the caller's own keyrings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Possession {
    Possessed,
    Foreign,
}
