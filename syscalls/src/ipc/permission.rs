//! Who may use an object.

use abi::Errno;
use abi::ipc::IpcPermission;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::{Capability, Credentials};

/// Mode bits that are permissions.
const MODE: u32 = 0o777;

/// What somebody wants to do with an object: permission bits, of which any class counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked(pub(crate) u32);

impl Asked {
    /// Only to know that it is there.
    pub(crate) const NOTHING: Self = Self(0);
    /// Read.
    pub(crate) const READ: Self = Self(0o444);
    /// Change.
    pub(crate) const WRITE: Self = Self(0o222);
    /// Read and change.
    pub(crate) const READ_WRITE: Self = Self(0o666);
}

/// Who may use an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    /// The key that leads to it.
    pub(crate) key: i32,
    owner: u32,
    group: u32,
    creator: u32,
    creator_group: u32,
    mode: u32,
}

impl Permission {
    /// Of an object that `who` makes.
    pub(crate) fn new(who: &Credentials, key: i32, mode: u32) -> Self {
        let (owner, group) = (who.users.effective, who.groups.effective);
        Self { key, owner, group, creator: owner, creator_group: group, mode: mode & MODE }
    }

    /// Fails unless `who` may do what is asked.
    ///
    /// # Errors
    /// `EACCES`.
    pub(crate) fn check(&self, who: &Credentials, asked: Asked) -> Result<()> {
        let wanted = (asked.0 >> 6 | asked.0 >> 3 | asked.0) & 7;
        let is_member = |group| who.groups.effective == group || who.is_in_group(group);
        let granted = if self.belongs_to(who) {
            self.mode >> 6
        } else if is_member(self.group) || is_member(self.creator_group) {
            self.mode >> 3
        } else {
            self.mode
        };
        if wanted & !granted != 0 && !who.has(Capability::IpcOwner) {
            return Err(Errno::EACCES.because("its mode does not allow that"));
        }
        Ok(())
    }

    /// Whether `who` owns or made it.
    pub(crate) fn belongs_to(&self, who: &Credentials) -> bool {
        [self.owner, self.creator].contains(&who.users.effective)
    }

    /// Fails unless `who` may change or remove it.
    ///
    /// # Errors
    /// `EPERM`.
    pub(crate) fn check_owner(&self, who: &Credentials) -> Result<()> {
        if self.belongs_to(who) || who.has(Capability::SysAdmin) {
            return Ok(());
        }
        Err(Errno::EPERM.because("neither owner nor creator"))
    }

    /// Takes over what `IPC_SET` can change.
    ///
    /// # Errors
    /// `EINVAL` for an ID that cannot be one.
    pub(crate) fn set(&mut self, cx: &Context<'_>, new: &IpcPermission) -> Result<()> {
        let here = cx.user_namespace();
        let (owner, group) = (here.user(new.uid)?, here.group(new.gid)?);
        (self.owner, self.group, self.mode) = (owner, group, new.mode & MODE);
        Ok(())
    }

    /// As the caller sees it; `number` is the object's.
    pub(crate) fn show(&self, cx: &Context<'_>, number: i32) -> IpcPermission {
        let here = cx.user_namespace();
        IpcPermission {
            key: self.key,
            uid: here.shown_user(self.owner),
            gid: here.shown_group(self.group),
            cuid: here.shown_user(self.creator),
            cgid: here.shown_group(self.creator_group),
            mode: self.mode,
            seq: (number >> super::registry::INDEX_BITS) as u16,
            ..IpcPermission::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::credentials::Ids;

    fn somebody(user: u32, group: u32) -> Credentials {
        let mut who = Credentials::root();
        who.groups = Ids::all(group);
        who.set_users(Ids::all(user));
        who
    }

    #[test]
    fn the_class_decides_and_the_superuser_may_all() {
        let owner = somebody(7, 70);
        let permission = Permission::new(&owner, 1, 0o640);
        let may = |who: &Credentials, asked| permission.check(who, asked).is_ok();
        assert!(may(&owner, Asked::READ_WRITE));
        assert!(may(&somebody(8, 70), Asked::READ));
        assert!(!may(&somebody(8, 70), Asked::READ_WRITE));
        assert!(!may(&somebody(8, 80), Asked::READ));
        assert!(may(&Credentials::root(), Asked::READ_WRITE));
        assert!(permission.check_owner(&somebody(8, 70)).is_err());
        assert!(permission.check_owner(&owner).is_ok());
    }
}
