//! Types of keys.

use abi::Errno;

use crate::error::{Because, Result};

/// Longest payload of keys of the types `user` and `logon`, in bytes.
const USER_MAX: usize = 32767;

/// Longest payload of any key, in bytes.
pub(crate) const PAYLOAD_MAX: usize = (1 << 20) - 1;

/// The type of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Links to other keys.
    Keyring,
    /// Bytes that applications can read.
    User,
    /// Bytes that only the kernel can read.
    Logon,
    /// Many bytes that applications can read.
    BigKey,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Keyring, Self::User, Self::Logon, Self::BigKey];

    /// The type with this name.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::User => "user",
            Self::Logon => "logon",
            Self::BigKey => "big_key",
        }
    }

    /// Whether applications can read the payload.
    pub(crate) const fn is_readable(self) -> bool {
        !matches!(self, Self::Logon)
    }

    /// Whether a key can get another payload.
    pub(crate) const fn is_updatable(self) -> bool {
        !matches!(self, Self::Keyring)
    }

    /// Checks what a key of this type is to have.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(crate) fn check(self, description: &[u8], payload: &[u8]) -> Result<()> {
        if description.is_empty() {
            return Err(Errno::EINVAL.because("the description is empty"));
        }
        let has_service =
            description.iter().position(|&byte| byte == b':').is_some_and(|at| at > 0);
        if self == Self::Logon && !has_service {
            return Err(Errno::EINVAL.because("the description does not begin with a service"));
        }
        self.check_payload(payload)
    }

    /// Checks the payload only.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(crate) fn check_payload(self, payload: &[u8]) -> Result<()> {
        let allowed = match self {
            Self::Keyring => 0..=0,
            Self::User | Self::Logon => 1..=USER_MAX,
            Self::BigKey => 1..=PAYLOAD_MAX,
        };
        if allowed.contains(&payload.len()) {
            Ok(())
        } else {
            Err(Errno::EINVAL.because("the payload is too short or too long for the type"))
        }
    }
}
