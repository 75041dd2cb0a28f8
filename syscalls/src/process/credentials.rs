//! Credentials: who a process is and what it may do. credentials(7), capabilities(7).

use alloc::vec::Vec;

use abi::Errno;
use abi::process::SecureBits;

use crate::error::{Because, Result};
use crate::landlock::Domain;
use crate::namespaces::{UserNamespace, user};

/// Most supplementary groups a process can have.
pub(crate) const NGROUPS_MAX: usize = 65_536;

/// A privilege that the superuser has by default: capabilities(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Capability {
    /// Change owners of files.
    Chown = 0,
    /// Bypass permission checks of files.
    DacOverride = 1,
    /// Bypass permission checks for reading files and searching directories.
    DacReadSearch = 2,
    /// Act as the owner of any file.
    FileOwner = 3,
    /// Keep set-user-ID and set-group-ID bits.
    FileSetId = 4,
    /// Send signals to anybody.
    Kill = 5,
    /// Set any group ID.
    SetGid = 6,
    /// Set any user ID.
    SetUid = 7,
    /// Change the bounding set and others' capabilities.
    SetPcap = 8,
    /// Make files immutable.
    LinuxImmutable = 9,
    /// Bind low ports.
    NetBindService = 10,
    /// Configure networks.
    NetAdmin = 12,
    /// Use raw sockets.
    NetRaw = 13,
    /// Lock memory.
    IpcLock = 14,
    /// Bypass permission checks of System V objects.
    IpcOwner = 15,
    /// Change the root directory.
    SysChroot = 18,
    /// Look into other processes.
    SysPtrace = 19,
    /// Switch accounting on and off.
    SysPacct = 20,
    /// Everything else of administration.
    SysAdmin = 21,
    /// Raise priorities.
    SysNice = 23,
    /// Raise limits.
    SysResource = 24,
    /// Set the clock.
    SysTime = 25,
    /// Hang terminals up.
    SysTtyConfig = 26,
    /// Create device files.
    Mknod = 27,
    /// Wake a suspended system.
    WakeAlarm = 35,
}

/// A set of capabilities, bit by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// All capabilities that there are.
    pub const ALL: Self = Self((1 << (abi::process::CAP_LAST + 1)) - 1);

    /// Whether `capability` is in the set.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// Whether all of this set is in `other`.
    #[must_use]
    pub const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Which IDs a process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Those it has, in one role or another.
    Own,
    /// Any.
    Any,
}

impl From<bool> for Choice {
    fn from(is_privileged: bool) -> Self {
        if is_privileged { Self::Any } else { Self::Own }
    }
}

/// The four user IDs or the four group IDs of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// Who started the process.
    pub real: u32,
    /// Who it acts as.
    pub effective: u32,
    /// Who it may become again.
    pub saved: u32,
    /// Who it acts as towards file systems.
    pub file_system: u32,
}

impl Ids {
    /// All four the same.
    #[must_use]
    pub const fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id, file_system: id }
    }

    /// Each as `translate` has it.
    #[must_use]
    pub fn map(&self, translate: impl Fn(u32) -> u32) -> Self {
        Self {
            real: translate(self.real),
            effective: translate(self.effective),
            saved: translate(self.saved),
            file_system: translate(self.file_system),
        }
    }

    /// Whether `id` is the real, effective or saved one.
    #[must_use]
    pub const fn include(&self, id: u32) -> bool {
        self.real == id || self.effective == id || self.saved == id
    }

    /// What setuid(2) makes of them.
    ///
    /// # Errors
    /// `EINVAL` for -1; `EPERM` without the choice of it.
    pub(crate) fn set(self, id: u32, choice: Choice) -> Result<Self> {
        if id == NO_CHANGE {
            return Err(Errno::EINVAL.because("-1 is not an ID"));
        }
        match choice {
            Choice::Any => Ok(Self::all(id)),
            Choice::Own if id == self.real || id == self.saved => {
                Ok(Self { effective: id, file_system: id, ..self })
            }
            Choice::Own => Err(not_permitted()),
        }
    }

    /// What setreuid(2) makes of them; -1 leaves one as it is.
    ///
    /// # Errors
    /// `EPERM` without the choice of one.
    pub(crate) fn set_two(self, real: u32, effective: u32, choice: Choice) -> Result<Self> {
        let may_be_real = real == NO_CHANGE || real == self.real || real == self.effective;
        let may_be_effective = effective == NO_CHANGE || self.include(effective);
        if choice == Choice::Own && !(may_be_real && may_be_effective) {
            return Err(not_permitted());
        }
        let mut new = self;
        new.real = or_else(real, self.real);
        new.effective = or_else(effective, self.effective);
        if real != NO_CHANGE || (effective != NO_CHANGE && effective != self.real) {
            new.saved = new.effective;
        }
        new.file_system = new.effective;
        Ok(new)
    }

    /// What setresuid(2) makes of them: real, effective, saved; -1 leaves one as it is.
    ///
    /// # Errors
    /// `EPERM` without the choice of one.
    pub(crate) fn set_three(self, ids: [u32; 3], choice: Choice) -> Result<Self> {
        if choice == Choice::Own && ids.iter().any(|&id| id != NO_CHANGE && !self.include(id)) {
            return Err(not_permitted());
        }
        let effective = or_else(ids[1], self.effective);
        Ok(Self {
            real: or_else(ids[0], self.real),
            effective,
            saved: or_else(ids[2], self.saved),
            file_system: effective,
        })
    }
}

/// The ID that means "leave it as it is".
const NO_CHANGE: u32 = u32::MAX;

fn or_else(id: u32, old: u32) -> u32 {
    if id == NO_CHANGE { old } else { id }
}

fn not_permitted() -> crate::Error {
    Errno::EPERM.because("without privilege, only the process's own IDs")
}

/// The IDs that a file gives to who executes it: set-user-ID and set-group-ID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SetIds {
    /// The effective user ID.
    pub(crate) user: Option<u32>,
    /// The effective group ID.
    pub(crate) group: Option<u32>,
}

/// Who a process is and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Within which its users and privileges count.
    pub namespace: UserNamespace,
    /// User IDs.
    pub users: Ids,
    /// Group IDs.
    pub groups: Ids,
    /// Supplementary group IDs.
    pub supplementary: Vec<u32>,
    /// Capabilities that hold.
    pub effective: CapabilitySet,
    /// Capabilities that may be made to hold.
    pub permitted: CapabilitySet,
    /// Capabilities kept across execve(2), as far as the file agrees.
    pub inheritable: CapabilitySet,
    /// Capabilities that execve(2) can ever give.
    pub bounding: CapabilitySet,
    /// Capabilities kept across execve(2) of an ordinary file.
    pub ambient: CapabilitySet,
    /// What the superuser's number does not mean to the process.
    pub secure_bits: SecureBits,
    /// execve(2) gives no new privileges (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privileges: bool,
    /// By which rulesets it has restricted itself.
    pub domain: Domain,
}

impl Credentials {
    /// The superuser with all privileges: what the first program has.
    #[must_use]
    pub const fn root() -> Self {
        Self {
            namespace: UserNamespace::FIRST,
            users: Ids::all(0),
            groups: Ids::all(0),
            supplementary: Vec::new(),
            effective: CapabilitySet::ALL,
            permitted: CapabilitySet::ALL,
            inheritable: CapabilitySet::EMPTY,
            bounding: CapabilitySet::ALL,
            ambient: CapabilitySet::EMPTY,
            secure_bits: SecureBits::empty(),
            no_new_privileges: false,
            domain: Domain::NONE,
        }
    }

    /// Who executes a file that gives these IDs: execve(2), and capabilities(7),
    /// "Transformation of capabilities during execve()".
    #[must_use]
    pub(crate) fn of_program(&self, file: SetIds) -> Self {
        let mut new = self.clone();
        new.users.effective = file.user.unwrap_or(self.users.effective);
        new.groups.effective = file.group.unwrap_or(self.groups.effective);
        for ids in [&mut new.users, &mut new.groups] {
            ids.saved = ids.effective;
            ids.file_system = ids.effective;
        }
        new.secure_bits.remove(SecureBits::KEEP_CAPS);
        if new.users.effective != self.users.effective
            || new.groups.effective != self.groups.effective
        {
            new.ambient = CapabilitySet::EMPTY;
        }
        let root = self.root_user();
        let is_root = [new.users.effective, new.users.real].map(Some).contains(&root);
        let is_root = is_root && !self.secure_bits.contains(SecureBits::NOROOT);
        new.permitted = match is_root {
            true => CapabilitySet(self.inheritable.0 | self.bounding.0),
            false => new.ambient,
        };
        let acts_as_root = is_root && Some(new.users.effective) == root;
        new.effective = if acts_as_root { new.permitted } else { new.ambient };
        new
    }

    /// Whether these credentials of a new program have what the caller, `old`, did not have
    /// (`AT_SECURE`).
    #[must_use]
    pub(crate) fn is_secure_after(&self, old: &Self) -> bool {
        let gets_ids =
            self.users.effective != old.users.real || self.groups.effective != old.groups.real;
        let root = self.root_user();
        let is_real_root = Some(self.users.real) == root;
        let gets_more = !self.permitted.is_subset_of(self.ambient);
        gets_ids || (!is_real_root && (Some(self.users.effective) == root || gets_more))
    }

    /// Whether a process that had `old` ones may still be looked into by others, and dump core:
    /// it acts as the same user and group, with no more privileges (prctl(2),
    /// `PR_SET_DUMPABLE`).
    #[must_use]
    pub(crate) fn is_as_visible_as(&self, old: &Self) -> bool {
        let acts_as = |one: &Self| {
            let (users, groups) = (one.users, one.groups);
            [users.effective, users.file_system, groups.effective, groups.file_system]
        };
        let has_no_more = match self.namespace == old.namespace {
            true => self.permitted.is_subset_of(old.permitted),
            // Whoever has made a user namespace had all privileges in it before.
            false => self.namespace.is_within_own(&old.namespace, old.users.effective),
        };
        acts_as(self) == acts_as(old) && has_no_more
    }

    /// Whether `capability` holds for what belongs to the machine: in the first user namespace.
    #[must_use]
    pub const fn has(&self, capability: Capability) -> bool {
        self.namespace.is_first() && self.effective.contains(capability)
    }

    /// Whether `capability` holds for a file of this owner and group: the own user namespace has
    /// to know both.
    #[must_use]
    pub(crate) fn has_over(&self, capability: Capability, owner: u32, group: u32) -> bool {
        self.effective.contains(capability)
            && (self.namespace.is_first()
                || self.namespace.to_inside(user::Ids::Users, owner).is_some()
                    && self.namespace.to_inside(user::Ids::Groups, group).is_some())
    }

    /// The superuser of the own user namespace, if it has one.
    #[must_use]
    pub(crate) fn root_user(&self) -> Option<u32> {
        self.namespace.to_outside(user::Ids::Users, 0)
    }

    /// Whether `capability` holds in the own user namespace.
    #[must_use]
    pub const fn has_within(&self, capability: Capability) -> bool {
        self.effective.contains(capability)
    }

    /// Whether `group` is the file system group or a supplementary one.
    #[must_use]
    pub fn is_in_group(&self, group: u32) -> bool {
        self.groups.file_system == group || self.supplementary.contains(&group)
    }

    /// Sets the user IDs, with what that does to the capabilities (capabilities(7), "Effect of
    /// user ID changes on capabilities").
    pub fn set_users(&mut self, users: Ids) {
        let old = core::mem::replace(&mut self.users, users);
        if self.secure_bits.contains(SecureBits::NO_SETUID_FIXUP) {
            return;
        }
        let root = self.root_user();
        let includes = |ids: &Ids| root.is_some_and(|root| ids.include(root));
        let acts = |ids: &Ids| Some(ids.effective) == root;
        if includes(&old) && !includes(&users) {
            if !self.secure_bits.contains(SecureBits::KEEP_CAPS) {
                self.permitted = CapabilitySet::EMPTY;
                self.effective = CapabilitySet::EMPTY;
            }
            self.ambient = CapabilitySet::EMPTY;
        }
        if acts(&old) && !acts(&users) {
            self.effective = CapabilitySet::EMPTY;
        }
        if !acts(&old) && acts(&users) {
            self.effective = self.permitted;
        }
        self.follow_file_system_user(old.file_system);
    }

    /// Sets only the file system user ID: setfsuid(2).
    pub fn set_file_system_user(&mut self, user: u32) {
        let old = core::mem::replace(&mut self.users.file_system, user);
        self.follow_file_system_user(old);
    }

    /// Takes or gives the capabilities of files after the file system user ID was `old`.
    fn follow_file_system_user(&mut self, old: u32) {
        /// `CAP_CHOWN` to `CAP_FSETID`, `CAP_LINUX_IMMUTABLE`, `CAP_MKNOD`, `CAP_MAC_OVERRIDE`.
        const OF_FILES: CapabilitySet = CapabilitySet(0x1f | 1 << 9 | 1 << 27 | 1 << 32);
        let new = self.users.file_system;
        if self.secure_bits.contains(SecureBits::NO_SETUID_FIXUP) {
            return;
        }
        let root = self.root_user();
        let (was_root, is_root) = (Some(old) == root, Some(new) == root);
        if was_root && !is_root {
            self.effective.0 &= !OF_FILES.0;
        }
        if !was_root && is_root {
            self.effective.0 |= self.permitted.and(OF_FILES).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_root_for_good_drops_all_capabilities() {
        let mut credentials = Credentials::root();
        credentials.set_users(Ids::all(1000));
        assert_eq!(credentials.permitted, CapabilitySet::EMPTY);
        assert!(!credentials.has(Capability::Kill));
    }

    #[test]
    fn set_user_id_programs_get_their_owner_and_its_privileges() {
        let mut user = Credentials::root();
        user.set_users(Ids::all(1000));
        let file = SetIds { user: Some(0), group: None };
        let new = user.of_program(file);
        assert_eq!((new.users.real, new.users.effective, new.users.saved), (1000, 0, 0));
        assert!(new.has(Capability::Chown) && new.is_secure_after(&user));
        let plain = user.of_program(SetIds::default());
        assert!(!plain.has(Capability::Chown) && !plain.is_secure_after(&user));
        let root = Credentials::root();
        let new = root.of_program(SetIds::default());
        assert!(new.has(Capability::Chown) && !new.is_secure_after(&root));
    }

    #[test]
    fn leaving_root_for_a_while_drops_the_effective_ones_only() {
        let mut credentials = Credentials::root();
        let away = Ids { effective: 1000, file_system: 1000, ..Ids::all(0) };
        credentials.set_users(away);
        assert!(!credentials.has(Capability::Chown));
        assert_eq!(credentials.permitted, CapabilitySet::ALL);
        credentials.set_users(Ids::all(0));
        assert!(credentials.has(Capability::Chown));
    }

    #[test]
    fn the_file_system_user_carries_the_capabilities_of_files_only() {
        let mut credentials = Credentials::root();
        credentials.set_file_system_user(1000);
        assert!(!credentials.has(Capability::DacOverride));
        assert!(credentials.has(Capability::Kill));
        credentials.set_file_system_user(0);
        assert!(credentials.has(Capability::DacOverride));
    }
}
