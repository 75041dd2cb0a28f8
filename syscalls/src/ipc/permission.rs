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

    /// Fails unless the caller may do what is asked.
    ///
    /// # Errors
    /// `EACCES`.
    pub(crate) fn check(&self, cx: &Context<'_>, asked: Asked) -> Result<()> {
        if self.allows(&cx.credentials(), asked) || is_privileged(cx, Capability::IpcOwner) {
            return Ok(());
        }
        Err(Errno::EACCES.because("its mode does not allow that"))
    }

    /// Whether its mode allows `who` what is asked.
    fn allows(&self, who: &Credentials, asked: Asked) -> bool {
        let wanted = (asked.0 >> 6 | asked.0 >> 3 | asked.0) & 7;
        let is_member = |group| who.groups.effective == group || who.is_in_group(group);
        let granted = if self.belongs_to(who) {
            self.mode >> 6
        } else if is_member(self.group) || is_member(self.creator_group) {
            self.mode >> 3
        } else {
            self.mode
        };
        wanted & !granted == 0
    }

    /// Whether `who` owns or made it.
    pub(crate) fn belongs_to(&self, who: &Credentials) -> bool {
        [self.owner, self.creator].contains(&who.users.effective)
    }

    /// Fails unless the caller may change or remove it.
    ///
    /// # Errors
    /// `EPERM`.
    pub(crate) fn check_owner(&self, cx: &Context<'_>) -> Result<()> {
        if self.belongs_to(&cx.credentials()) || is_privileged(cx, Capability::SysAdmin) {
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

/// Whether the caller has `capability` for the objects that it sees: in the user namespace that
/// owns its IPC namespace.
pub(crate) fn is_privileged(cx: &Context<'_>, capability: Capability) -> bool {
    cx.credentials().has_in(capability, &cx.thread.namespaces().ipc.common.owner)
}

#[cfg(test)]
mod tests {
    use abi::process::CloneFlags;

    use super::*;
    use crate::fake::kit;
    use crate::namespaces::user::{Extent, Ids as Kind};
    use crate::process::credentials::Ids;

    fn somebody(user: u32, group: u32) -> Credentials {
        let mut who = Credentials::root();
        who.groups = Ids::all(group);
        who.set_users(Ids::all(user));
        who
    }

    #[test]
    fn the_class_decides() {
        let owner = somebody(7, 70);
        let permission = Permission::new(&owner, 1, 0o640);
        let may = |who: &Credentials, asked| permission.allows(who, asked);
        assert!(may(&owner, Asked::READ_WRITE));
        assert!(may(&somebody(8, 70), Asked::READ));
        assert!(!may(&somebody(8, 70), Asked::READ_WRITE));
        assert!(!may(&somebody(8, 80), Asked::READ));
        assert!(!permission.belongs_to(&somebody(8, 70)));
        assert!(permission.belongs_to(&owner));
    }

    #[test]
    fn who_owns_the_ipc_namespace_may_all_there() {
        let kit = kit::process();
        let cx = kit.context();
        let outer = kit.thread.credentials();
        let permission = Permission::new(&somebody(7, 70), 1, 0);
        let may = || (permission.check(&cx, Asked::READ_WRITE), permission.check_owner(&cx));
        assert_eq!(may(), (Ok(()), Ok(())));
        let unshare = |flags: CloneFlags| kit.call("unshare", [flags.bits(), 0, 0, 0, 0, 0]);
        assert_eq!(unshare(CloneFlags::NEWUSER), Ok(0));
        let map = alloc::vec![Extent { inside: 0, outside: 0, count: 10 }];
        let namespace = cx.user_namespace();
        namespace.set_map(Kind::Users, map, &outer).unwrap();
        // The objects of the first namespace belong to others.
        let (read, owner) = may();
        assert_eq!(read.unwrap_err().errno, Errno::EACCES);
        assert_eq!(owner.unwrap_err().errno, Errno::EPERM);
        assert_eq!(unshare(CloneFlags::NEWIPC), Ok(0));
        assert_eq!(may(), (Ok(()), Ok(())));
    }
}
