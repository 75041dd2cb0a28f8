//! How many keys a user may have: keyrings(7), "/proc files".

use alloc::collections::BTreeMap;

use abi::Errno;

use crate::error::{Because, Result};

/// What one user has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// How many keys.
    pub(crate) keys: u64,
    /// Bytes of descriptions, payloads and links.
    pub(crate) bytes: u64,
}

/// What users have, and the limits of that.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    /// What each user has.
    pub(crate) usage: BTreeMap<u32, Usage>,
    /// Limits of ordinary users.
    pub(crate) user_max: Usage,
    /// Limits of the superuser.
    pub(crate) root_max: Usage,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            usage: BTreeMap::new(),
            user_max: Usage { keys: 200, bytes: 20_000 },
            root_max: Usage { keys: 1_000_000, bytes: 25_000_000 },
        }
    }
}

impl Quota {
    /// The limits of a user.
    pub(crate) fn max(&self, user: u32) -> Usage {
        if user == 0 { self.root_max } else { self.user_max }
    }

    /// One more key of so many bytes.
    ///
    /// # Errors
    /// `EDQUOT`.
    pub(super) fn add_key(&mut self, user: u32, bytes: u64) -> Result<()> {
        let max = self.max(user);
        let usage = self.usage.entry(user).or_default();
        if usage.keys >= max.keys || usage.bytes.saturating_add(bytes) > max.bytes {
            return Err(Errno::EDQUOT.because("the user has too many keys"));
        }
        usage.keys += 1;
        usage.bytes += bytes;
        Ok(())
    }

    /// One key less.
    pub(super) fn remove_key(&mut self, user: u32, bytes: u64) {
        if let Some(usage) = self.usage.get_mut(&user) {
            usage.keys = usage.keys.saturating_sub(1);
            usage.bytes = usage.bytes.saturating_sub(bytes);
            if usage.keys == 0 {
                self.usage.remove(&user);
            }
        }
    }

    /// A key of a user has other bytes than before.
    ///
    /// # Errors
    /// `EDQUOT`.
    pub(super) fn resize(&mut self, user: u32, old: u64, new: u64) -> Result<()> {
        let max = self.max(user).bytes;
        let usage = self.usage.entry(user).or_default();
        let bytes = usage.bytes.saturating_sub(old).saturating_add(new);
        if new > old && bytes > max {
            return Err(Errno::EDQUOT.because("the keys of the user have too many bytes"));
        }
        usage.bytes = bytes;
        Ok(())
    }
}
