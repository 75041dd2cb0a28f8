//! New namespaces, and going over to others: unshare(2), setns(2), execve(2).

use alloc::sync::Arc;

use abi::Errno;
use abi::process::CloneFlags;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Location, MountTable};
use crate::mm::AddressSpace;
use crate::process::{Capability, Credentials, Process, Thread};

use super::{Counted, Kind, Namespace, Namespaces, UserNamespace, file};

/// Those that are kept in [`Namespaces`].
const KEPT: CloneFlags =
    CloneFlags::NAMESPACES.difference(CloneFlags::NEWNS).difference(CloneFlags::NEWUSER);

/// What a thread goes over to, before it does.
pub(crate) struct Renewed {
    /// New credentials, where they change.
    pub(crate) credentials: Option<Credentials>,
    /// New namespaces, where they change.
    pub(crate) namespaces: Option<Namespaces>,
    /// What a copy of the mounts will have, where there is to be one.
    pub(crate) mounts: Option<NewMounts>,
}

/// A namespace of mounts that is to be made.
pub(crate) struct NewMounts {
    /// To whom it will belong.
    owner: UserNamespace,
    counted: Counted,
}

/// Where a thread goes over to.
struct Passage {
    users: UserNamespace,
    /// Mounts, and the root directory there.
    mounts: Option<(Arc<MountTable>, Location)>,
    kept: Namespaces,
}

impl Context<'_> {
    /// Makes the new namespaces that `flags` ask for; nobody is in them yet.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`, unless one of users is made with them; `ENOSPC` when
    /// there are too many; those of the kinds of namespaces.
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
        let mounts = match flags.contains(CloneFlags::NEWNS) {
            true => {
                let counted = Counted::new(self, Kind::Mounts, &owner)?;
                Some(NewMounts { owner, counted })
            }
            false => None,
        };
        Ok(Renewed { credentials, namespaces, mounts })
    }

    /// Whether the root directory is not the one of the mounts: chroot(2).
    pub(crate) fn is_in_other_root(&self) -> bool {
        let root = self.paths().root();
        let top = self.mounts().root().map(Location::enter_mounts);
        top.is_none_or(|top| !top.is(&root) && !root.is_mount_root())
    }

    /// Lets `thread` see a copy of its mounts.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn separate_mounts(&self, thread: &Thread, new: NewMounts) -> Result<()> {
        thread.paths().separate_mounts(&new.owner)?;
        if let Some(mounts) = thread.paths().mounts() {
            mounts.belong_to(new.owner, new.counted);
        }
        Ok(())
    }

    /// Goes over to namespaces, to all of them or to none: setns(2). Where one of users is among
    /// them, it is the first.
    ///
    /// # Errors
    /// `EPERM`; `EINVAL` and `EUSERS` where the kind of namespace does not allow it; `ENOMEM`.
    pub(crate) fn enter(&self, namespaces: &[Namespace]) -> Result<()> {
        let mut passage = Passage {
            users: self.user_namespace(),
            mounts: None,
            kept: (*self.thread.namespaces()).clone(),
        };
        for to in namespaces {
            self.prepare_to_enter(to, &mut passage)?;
        }
        // What can fail is the first to be done, and is undone then.
        let old = self.thread.namespaces();
        if !Arc::ptr_eq(&passage.kept.time, &old.time) {
            self.enter_time(&passage.kept).inspect_err(|_| old.time.enter(self.process))?;
        }
        if namespaces.iter().any(|to| to.kind() == Kind::Ipc) {
            self.leave_semaphores();
        }
        self.pass(passage)
    }

    /// Fails where the caller may not go over to this one; notes that it does.
    fn prepare_to_enter(&self, to: &Namespace, passage: &mut Passage) -> Result<()> {
        if let Namespace::User(users) = to {
            self.check_may_enter_users(users)?;
            passage.users = users.clone();
            return Ok(());
        }
        // Whoever goes over to a namespace needs privileges there and where it is.
        let owner = to.owner().unwrap_or(UserNamespace::FIRST);
        file::check_privilege(self, Capability::SysAdmin, &owner)?;
        file::check_privilege(self, Capability::SysAdmin, &passage.users)?;
        let new = &mut passage.kept;
        match to {
            Namespace::Uts(uts) => new.uts = uts.clone(),
            Namespace::Cgroup(cgroup) => new.cgroup = cgroup.clone(),
            Namespace::Net(net) => new.net = net.clone(),
            Namespace::Ipc(ipc) => new.ipc = ipc.clone(),
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
            }
            Namespace::Mounts(mounts) => {
                file::check_privilege(self, Capability::SysChroot, &passage.users)?;
                if self.paths().is_shared() {
                    return Err(Errno::EINVAL.because("the caller shares its view of files"));
                }
                let root = mounts.root();
                let root = root.ok_or_else(|| Errno::EINVAL.because("nothing is mounted"))?;
                passage.mounts = Some((mounts.clone(), root.enter_mounts()));
            }
            Namespace::User(_) => {}
        }
        Ok(())
    }

    fn check_may_enter_users(&self, users: &UserNamespace) -> Result<()> {
        if *users == self.user_namespace() {
            return Err(Errno::EINVAL.because("the caller is there already"));
        }
        if self.process.threads().len() > 1 || self.paths().is_shared() {
            return Err(Errno::EINVAL.because("the caller shares memory or its view of files"));
        }
        file::check_privilege(self, Capability::SysAdmin, users)
    }

    fn pass(&self, passage: Passage) -> Result<()> {
        if let Some((mounts, root)) = passage.mounts {
            self.paths().see(mounts, root);
        }
        self.thread.set_namespaces(Arc::new(passage.kept));
        if passage.users != self.user_namespace() {
            self.change_credentials(|credentials| {
                credentials.enter(passage.users);
                Ok(())
            })?;
            self.thread.publish_answers();
        }
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
