//! New namespaces, and going over to others: unshare(2), setns(2), execve(2).

use alloc::sync::Arc;

use abi::Errno;
use abi::process::CloneFlags;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::Location;
use crate::mm::AddressSpace;
use crate::process::{Capability, Credentials, Process, Thread};

use super::{Kind, Namespace, Namespaces, UserNamespace, file, tally};

/// Those that are kept in [`Namespaces`].
const KEPT: CloneFlags =
    CloneFlags::NAMESPACES.difference(CloneFlags::NEWNS).difference(CloneFlags::NEWUSER);

/// What a thread goes over to, before it does.
pub(crate) struct Renewed {
    /// New credentials, where they change.
    pub(crate) credentials: Option<Credentials>,
    /// New namespaces, where they change.
    pub(crate) namespaces: Option<Namespaces>,
    /// To whom new namespaces belong.
    pub(crate) owner: UserNamespace,
}

impl Context<'_> {
    /// Makes the new namespaces that `flags` ask for; nobody is in them yet.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`, unless one of users is made with them; those of the
    /// kinds of namespaces.
    pub(crate) fn renew(&self, flags: CloneFlags) -> Result<Renewed> {
        let who = self.credentials();
        let mut credentials = None;
        let mut owner = who.namespace.clone();
        if flags.contains(CloneFlags::NEWUSER) {
            owner = UserNamespace::within(self, &who)?;
            let mut new = (*who).clone();
            new.enter(owner.clone());
            credentials = Some(new);
        }
        let others = flags.intersection(CloneFlags::NAMESPACES).difference(CloneFlags::NEWUSER);
        let may = credentials.as_ref().unwrap_or(&who).has_in(Capability::SysAdmin, &owner);
        if !others.is_empty() && !may {
            return Err(Errno::EPERM.because("a namespace needs CAP_SYS_ADMIN"));
        }
        let mut namespaces = None;
        if flags.intersects(KEPT) {
            let own = self.thread.namespaces();
            if flags.contains(CloneFlags::NEWPID) && own.pid_for_children != *self.pid_namespace() {
                return Err(Errno::EINVAL.because("children are in another namespace already"));
            }
            namespaces = Some(own.renewed(self, flags, &owner)?);
        }
        Ok(Renewed { credentials, namespaces, owner })
    }

    /// Whether the root directory is not the one of the mounts: chroot(2).
    pub(crate) fn is_in_other_root(&self) -> bool {
        let root = self.paths().root();
        let top = self.mounts().root().map(Location::enter_mounts);
        top.is_none_or(|top| !top.is(&root) && !root.is_mount_root())
    }

    /// Lets the caller see a copy of its mounts, which `owner` owns.
    ///
    /// # Errors
    /// `ENOSPC` when there are too many such namespaces; `ENOMEM`.
    pub(crate) fn separate_mounts(&self, thread: &Thread, owner: &UserNamespace) -> Result<()> {
        let counted = tally::Counted::new(self, Kind::Mounts, owner)?;
        thread.paths().separate_mounts()?;
        if let Some(mounts) = thread.paths().mounts() {
            mounts.belong_to(owner.clone(), counted);
        }
        Ok(())
    }

    /// Goes over to a namespace: setns(2).
    ///
    /// # Errors
    /// `EPERM`; `EINVAL` and `EUSERS` where the kind of namespace does not allow it.
    pub(crate) fn enter(&self, to: &Namespace) -> Result<()> {
        match to {
            Namespace::User(users) => return self.enter_users(users),
            Namespace::Mounts(_) => return self.enter_mounts(to),
            _ => {}
        }
        self.check_may_enter(to)?;
        let mut new = (*self.thread.namespaces()).clone();
        match to {
            Namespace::Uts(uts) => new.uts = uts.clone(),
            Namespace::Cgroup(cgroup) => new.cgroup = cgroup.clone(),
            Namespace::Net(net) => new.net = net.clone(),
            Namespace::Ipc(ipc) => {
                self.leave_semaphores();
                new.ipc = ipc.clone();
            }
            Namespace::Pid(numbers) => {
                if !self.pid_namespace().surrounds(numbers) {
                    return Err(Errno::EINVAL.because("not a namespace within the caller's"));
                }
                new.pid_for_children = numbers.clone();
            }
            Namespace::Time(time) => {
                if self.process.threads().len() > 1 {
                    return Err(Errno::EUSERS.because("the process has several threads"));
                }
                (new.time, new.time_for_children) = (time.clone(), time.clone());
                self.enter_time(&new)?;
            }
            Namespace::User(_) | Namespace::Mounts(_) => {}
        }
        self.thread.set_namespaces(Arc::new(new));
        Ok(())
    }

    /// Whoever goes over to a namespace needs privileges there and where it is.
    fn check_may_enter(&self, to: &Namespace) -> Result<()> {
        let owner = to.owner().unwrap_or(UserNamespace::FIRST);
        file::check_privilege(self, Capability::SysAdmin, &owner)?;
        file::check_privilege(self, Capability::SysAdmin, &self.user_namespace())
    }

    fn enter_users(&self, users: &UserNamespace) -> Result<()> {
        if *users == self.user_namespace() {
            return Err(Errno::EINVAL.because("the caller is there already"));
        }
        if self.process.threads().len() > 1 || self.paths().is_shared() {
            return Err(Errno::EINVAL.because("the caller shares memory or its view of files"));
        }
        file::check_privilege(self, Capability::SysAdmin, users)?;
        self.change_credentials(|credentials| {
            credentials.enter(users.clone());
            Ok(())
        })?;
        self.thread.publish_answers();
        Ok(())
    }

    fn enter_mounts(&self, to: &Namespace) -> Result<()> {
        let Namespace::Mounts(mounts) = to else { return Ok(()) };
        self.check_may_enter(to)?;
        file::check_privilege(self, Capability::SysChroot, &self.user_namespace())?;
        if self.paths().is_shared() {
            return Err(Errno::EINVAL.because("the caller shares its view of files"));
        }
        let root = mounts.root().ok_or_else(|| Errno::EINVAL.because("nothing is mounted"))?;
        self.paths().see(mounts.clone(), root.enter_mounts());
        Ok(())
    }

    /// What the caller would have to undo of semaphores is undone: it will not see them again.
    pub(crate) fn leave_semaphores(&self) {
        self.ipc().semaphores.leave(self.process, self.system.wall_clock_seconds());
    }

    /// Lets the clocks of the caller's process be those of `new`.
    ///
    /// # Errors
    /// `ENOMEM`.
    fn enter_time(&self, new: &Namespaces) -> Result<()> {
        new.time.enter(self.process);
        self.process.hide_time(self.memory())
    }

    /// A program that is executed is in the time namespace that was for children; `memory` will
    /// be its.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn enter_time_of_children(&self, memory: &AddressSpace) -> Result<()> {
        let own = self.thread.namespaces();
        if !Arc::ptr_eq(&own.time, &own.time_for_children) {
            let new = Namespaces { time: own.time_for_children.clone(), ..(*own).clone() };
            new.time.enter(self.process);
            self.thread.set_namespaces(Arc::new(new));
        }
        self.process.hide_time(memory)
    }
}

impl Namespaces {
    /// Lets `child`, which does not run yet, be in the time namespace that is for children.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn enter_time_of_children(&mut self, child: &Process) -> Result<()> {
        if Arc::ptr_eq(&self.time, &self.time_for_children) {
            return Ok(());
        }
        self.time = self.time_for_children.clone();
        self.time.enter(child);
        child.hide_time(&child.memory())
    }
}

impl Process {
    /// Hides the machine's time in `memory` where the clocks of the process are others.
    fn hide_time(&self, memory: &AddressSpace) -> Result<()> {
        if self.clock_offsets.are_none() { Ok(()) } else { memory.hide_time() }
    }
}
