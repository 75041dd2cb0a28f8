//! The keyrings that threads and processes have of their own: thread-keyring(7),
//! process-keyring(7), session-keyring(7).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::keys::{KeyAccess, destination};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Process;

use super::key::Possession;
use super::{Content, Key, Kind, NewKey, permissions};

/// What a process has.
#[derive(Default)]
pub(crate) struct Keyrings {
    process: Option<Arc<Key>>,
    session: Option<Arc<Key>>,
    /// Where keys go that are asked for without a place ([`destination`]).
    pub(crate) destination: i32,
}

impl Keyrings {
    /// Those of a child: the session's.
    pub(crate) fn of_child(&self) -> Self {
        Self { process: None, session: self.session.clone(), destination: destination::DEFAULT }
    }

    /// The process becomes another program: its own keyring goes.
    pub(crate) fn become_program(&mut self) -> Option<Arc<Key>> {
        self.destination = destination::DEFAULT;
        self.process.take()
    }
}

/// Makes a keyring of the caller.
fn keyring(cx: &Context<'_>, description: &[u8], permissions: u32) -> Result<Arc<Key>> {
    let content = Content::Links(Vec::new());
    let new = NewKey::of_caller(cx, Kind::Keyring, description.to_vec(), content);
    cx.system.keys.make(cx, NewKey { permissions, ..new })
}

impl Context<'_> {
    /// The keyring of the thread, if it has one.
    pub(super) fn thread_keyring(&self) -> Option<Arc<Key>> {
        self.thread.keyring.lock().clone()
    }

    /// The keyring of the thread, which is made where there is none.
    ///
    /// # Errors
    /// `EDQUOT`.
    pub(crate) fn make_thread_keyring(&self) -> Result<Arc<Key>> {
        if let Some(known) = self.thread_keyring() {
            return Ok(known);
        }
        let made = keyring(self, b"_tid", permissions::OF_OWN_KEYRING)?;
        *self.thread.keyring.lock() = Some(made.clone());
        Ok(made)
    }

    /// The keyring of the process, if it has one.
    pub(super) fn process_keyring(&self) -> Option<Arc<Key>> {
        self.process.keyrings.lock().process.clone()
    }

    /// The keyring of the process, which is made where there is none.
    ///
    /// # Errors
    /// `EDQUOT`.
    pub(crate) fn make_process_keyring(&self) -> Result<Arc<Key>> {
        if let Some(known) = self.process_keyring() {
            return Ok(known);
        }
        let made = keyring(self, b"_pid", permissions::OF_OWN_KEYRING)?;
        self.process.keyrings.lock().process = Some(made.clone());
        Ok(made)
    }

    /// The keyring of the session, if it has one.
    pub(super) fn session_keyring(&self) -> Option<Arc<Key>> {
        self.process.keyrings.lock().session.clone()
    }

    /// Gives the process another keyring of the session.
    pub(super) fn set_session_keyring(&self, keyring: Arc<Key>) {
        let old = self.process.keyrings.lock().session.replace(keyring);
        drop(old);
    }

    /// Begins a session with a keyring of its own, or joins that with this name.
    ///
    /// # Errors
    /// `EDQUOT`.
    pub(crate) fn join_session(&self, name: Option<&[u8]>) -> Result<Arc<Key>> {
        let joined = match name {
            None => keyring(self, b"_ses", permissions::OF_SESSION_KEYRING)?,
            Some(name) => match self.keyring_named(name) {
                Some(found) => found,
                None => keyring(self, name, permissions::OF_NAMED_KEYRING)?,
            },
        };
        self.set_session_keyring(joined.clone());
        Ok(joined)
    }

    /// A keyring with this name that the caller may search.
    fn keyring_named(&self, name: &[u8]) -> Option<Arc<Key>> {
        let who = self.credentials();
        self.system.keys.all().into_iter().find(|key| {
            key.kind() == Kind::Keyring
                && key.description() == name
                && !key.is_revoked()
                && key.check_usable(self).is_ok()
                && key.allows(&who, Possession::Foreign, KeyAccess::SEARCH)
        })
    }

    /// `KEYCTL_SESSION_TO_PARENT`: the parent gets the keyring of the caller's session.
    ///
    /// # Errors
    /// `EPERM` where the parent is another user's, or has threads.
    pub(crate) fn give_session_to(&self, parent: &Process) -> Result<()> {
        let (own, other) = (self.credentials(), parent.credentials());
        let is_alone = parent.id() > 1 && parent.threads().len() == 1;
        if !is_alone || own.users != other.users || own.groups != other.groups {
            return Err(Errno::EPERM.because("the parent is init, another user's, or has threads"));
        }
        let session = self.session_keyring();
        let old = match session {
            Some(session) => parent.keyrings.lock().session.replace(session),
            None => None,
        };
        drop(old);
        Ok(())
    }
}
