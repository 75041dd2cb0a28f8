//! Keys by the numbers that applications use, of which some mean the caller's own keyrings.

use abi::Errno;
use abi::keys::{KeyAccess, special};

use crate::context::Context;
use crate::error::{Because, Result};

use super::{Found, Serial};

/// Whether a keyring of the caller's own is made where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    Create,
    Existing,
}

impl Context<'_> {
    /// The key with this number, for a use of it.
    ///
    /// # Errors
    /// `EINVAL` for a number that no key can have; `ENOKEY`, `EKEYREVOKED`, `EKEYEXPIRED`;
    /// `EACCES` when the caller may not use it so.
    pub(crate) fn key(&self, serial: Serial, creation: Creation, need: KeyAccess) -> Result<Found> {
        let found = self.any_key(serial, creation)?;
        found.key.check_usable(self)?;
        found.check(self, need)?;
        Ok(found)
    }

    /// The key with this number, whatever it is good for.
    ///
    /// # Errors
    /// `EINVAL`, `ENOKEY`.
    pub(crate) fn any_key(&self, serial: Serial, creation: Creation) -> Result<Found> {
        let creates = creation == Creation::Create;
        let none = || Errno::ENOKEY.because("the caller has no such keyring");
        let key = match serial {
            special::THREAD if creates => self.make_thread_keyring()?,
            special::THREAD => self.thread_keyring().ok_or_else(none)?,
            special::PROCESS if creates => self.make_process_keyring()?,
            special::PROCESS => self.process_keyring().ok_or_else(none)?,
            special::SESSION => return self.session_key(creates),
            special::USER => self.keys_of_user()?.user,
            special::USER_SESSION => self.keys_of_user()?.session,
            special::AUTHORITY | special::REQUESTOR => return Err(none()),
            serial if serial >= 1 => {
                let key = self.system.keys.get(serial)?;
                let possession = self.possession_of(&key)?;
                return Ok(Found { key, possession });
            }
            _ => return Err(Errno::EINVAL.because("no key can have this number")),
        };
        Ok(Found::possessed(key))
    }

    /// The keyring of the session. A session without one uses that of the user, until it needs
    /// one to write to.
    fn session_key(&self, creates: bool) -> Result<Found> {
        let shared = self.keys_of_user()?.session;
        let session = match self.session_keyring() {
            Some(own) if !(creates && own.serial() == shared.serial()) => own,
            _ if creates => self.join_session(None)?,
            _ => {
                self.set_session_keyring(shared.clone());
                shared
            }
        };
        Ok(Found::possessed(session))
    }

    fn keys_of_user(&self) -> Result<super::UserKeyrings> {
        self.system.keys.of_user(self, self.credentials().users.real)
    }
}
