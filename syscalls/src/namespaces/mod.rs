//! Namespaces: what a process sees of things that there are once, namespaces(7).
//!
//! - [`Namespaces`]: those that a thread is in, but for users, which are part of its
//!   credentials, and mounts, which are part of its view of files
//! - [`Namespace`]: one of any kind, as a descriptor of /proc/PID/ns refers to it
//! - `user`, `pid`, `uts`, `ipc`, `time`, `net`, `cgroup`: the kinds
//! - `tally`: how many there may be
//! - `file`: what is behind /proc/PID/ns
//! - `enter`: unshare(2) and setns(2)

pub(crate) mod enter;
pub(crate) mod file;
pub(crate) mod pid;
mod plain;
pub(crate) mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod time;
pub(crate) mod user;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use abi::namespaces::first;
use abi::process::CloneFlags;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::MountTable;
use crate::ipc::Ipc;
use crate::process::Thread;

pub(crate) use pid::PidNamespace;
pub(crate) use plain::{CgroupNamespace, IpcNamespace, NetNamespace, UtsNamespace};
pub(crate) use tally::{Counted, Tally};
pub(crate) use time::TimeNamespace;
pub(crate) use user::UserNamespace;

/// What a namespace is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Cgroup,
    Ipc,
    Mounts,
    Net,
    Pid,
    Time,
    User,
    Uts,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Cgroup,
        Self::Ipc,
        Self::Mounts,
        Self::Net,
        Self::Pid,
        Self::Time,
        Self::User,
        Self::Uts,
    ];

    /// How the links of /proc/PID/ns show it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Ipc => "ipc",
            Self::Mounts => "mnt",
            Self::Net => "net",
            Self::Pid => "pid",
            Self::Time => "time",
            Self::User => "user",
            Self::Uts => "uts",
        }
    }

    /// The flag of clone(2) that asks for a new one.
    pub(crate) const fn flag(self) -> CloneFlags {
        match self {
            Self::Cgroup => CloneFlags::NEWCGROUP,
            Self::Ipc => CloneFlags::NEWIPC,
            Self::Mounts => CloneFlags::NEWNS,
            Self::Net => CloneFlags::NEWNET,
            Self::Pid => CloneFlags::NEWPID,
            Self::Time => CloneFlags::NEWTIME,
            Self::User => CloneFlags::NEWUSER,
            Self::Uts => CloneFlags::NEWUTS,
        }
    }
}

/// Gives numbers to the inodes of new namespaces.
#[derive(Default)]
pub(crate) struct NamespaceNumbers(AtomicU32);

impl NamespaceNumbers {
    /// Whether somebody has got one.
    fn are_used(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    fn next(&self) -> u32 {
        first::DYNAMIC + self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// What all kinds that are not nested have.
pub(crate) struct Common {
    /// The number of its inode.
    pub(crate) number: u32,
    /// The user namespace in which it was made: who is privileged there may change it.
    pub(crate) owner: UserNamespace,
    _counted: Option<Counted>,
}

impl Common {
    const fn first(number: u32) -> Self {
        Self { number, owner: UserNamespace::FIRST, _counted: None }
    }

    /// Of a new one, which `owner` will own.
    ///
    /// # Errors
    /// `ENOSPC` when there are too many of this kind.
    fn new(cx: &Context<'_>, kind: Kind, owner: &UserNamespace) -> Result<Self> {
        let counted = Counted::new(cx, kind, owner)?;
        let number = cx.system.namespace_numbers.next();
        Ok(Self { number, owner: owner.clone(), _counted: Some(counted) })
    }
}

/// The namespaces of a thread.
#[derive(Clone)]
pub(crate) struct Namespaces {
    /// Of host names.
    pub(crate) uts: Arc<UtsNamespace>,
    /// Of System V objects and message queues.
    pub(crate) ipc: Arc<IpcNamespace>,
    /// Of control groups.
    pub(crate) cgroup: Arc<CgroupNamespace>,
    /// Of networks.
    pub(crate) net: Arc<NetNamespace>,
    /// Of clocks.
    pub(crate) time: Arc<TimeNamespace>,
    /// Of clocks, for children and the next program.
    pub(crate) time_for_children: Arc<TimeNamespace>,
    /// Of numbers of processes, for children.
    pub(crate) pid_for_children: PidNamespace,
}

impl Namespaces {
    /// Those that the first process is in.
    pub(crate) fn first() -> Arc<Self> {
        let time = Arc::new(TimeNamespace::first());
        Arc::new(Self {
            uts: Arc::new(UtsNamespace::first()),
            ipc: Arc::new(IpcNamespace::first()),
            cgroup: Arc::new(CgroupNamespace(Common::first(first::CGROUP))),
            net: Arc::new(NetNamespace(Common::first(first::NET))),
            time: time.clone(),
            time_for_children: time,
            pid_for_children: PidNamespace::FIRST,
        })
    }

    /// These, with new ones where `flags` ask for them: they belong to `owner`. Mounts and
    /// users are not among them.
    ///
    /// # Errors
    /// `ENOSPC` when there are too many; `EINVAL` where children go elsewhere already, and
    /// for a network.
    pub(crate) fn renewed(
        &self,
        cx: &Context<'_>,
        flags: CloneFlags,
        owner: &UserNamespace,
    ) -> Result<Self> {
        let mut new = self.clone();
        if flags.contains(CloneFlags::NEWUTS) {
            new.uts = Arc::new(UtsNamespace::copy(cx, &self.uts, owner)?);
        }
        if flags.contains(CloneFlags::NEWIPC) {
            new.ipc = Arc::new(IpcNamespace::new(cx, owner)?);
        }
        if flags.contains(CloneFlags::NEWCGROUP) {
            new.cgroup = Arc::new(CgroupNamespace(Common::new(cx, Kind::Cgroup, owner)?));
        }
        if flags.contains(CloneFlags::NEWNET) {
            // As a Linux without CONFIG_NET_NS, rather than one that is none.
            return Err(Errno::EINVAL.because("there is one network for all"));
        }
        if flags.contains(CloneFlags::NEWTIME) {
            let parent = &self.time_for_children;
            new.time_for_children = Arc::new(TimeNamespace::within(cx, parent, owner)?);
        }
        if flags.contains(CloneFlags::NEWPID) {
            new.pid_for_children = PidNamespace::within(cx, &self.pid_for_children, owner)?;
        }
        Ok(new)
    }
}

/// Any namespace.
#[derive(Clone)]
pub(crate) enum Namespace {
    Cgroup(Arc<CgroupNamespace>),
    Ipc(Arc<IpcNamespace>),
    Mounts(Arc<MountTable>),
    Net(Arc<NetNamespace>),
    Pid(PidNamespace),
    Time(Arc<TimeNamespace>),
    User(UserNamespace),
    Uts(Arc<UtsNamespace>),
}

impl Namespace {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Cgroup(_) => Kind::Cgroup,
            Self::Ipc(_) => Kind::Ipc,
            Self::Mounts(_) => Kind::Mounts,
            Self::Net(_) => Kind::Net,
            Self::Pid(_) => Kind::Pid,
            Self::Time(_) => Kind::Time,
            Self::User(_) => Kind::User,
            Self::Uts(_) => Kind::Uts,
        }
    }

    /// The number of its inode.
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Cgroup(one) => one.0.number,
            Self::Ipc(one) => one.common.number,
            Self::Mounts(one) => one.namespace_number(),
            Self::Net(one) => one.0.number,
            Self::Pid(one) => one.number(),
            Self::Time(one) => one.common.number,
            Self::User(one) => one.number(),
            Self::Uts(one) => one.common.number,
        }
    }

    /// The user namespace that owns it: the parent, of one of users. `None` where the first
    /// of users has none.
    pub(crate) fn owner(&self) -> Option<UserNamespace> {
        Some(match self {
            Self::Cgroup(one) => one.0.owner.clone(),
            Self::Ipc(one) => one.common.owner.clone(),
            Self::Mounts(one) => one.owner(),
            Self::Net(one) => one.0.owner.clone(),
            Self::Pid(one) => one.owner(),
            Self::Time(one) => one.common.owner.clone(),
            Self::User(one) => return one.parent().cloned(),
            Self::Uts(one) => one.common.owner.clone(),
        })
    }
}

impl Thread {
    /// The namespaces it is in.
    pub(crate) fn namespaces(&self) -> Arc<Namespaces> {
        self.namespaces.lock().clone()
    }

    /// Goes over to other namespaces.
    pub(crate) fn set_namespaces(&self, new: Arc<Namespaces>) {
        let old = core::mem::replace(&mut *self.namespaces.lock(), new);
        drop(old);
    }

    /// System V objects as it sees them.
    pub(crate) fn ipc(&self) -> Arc<Ipc> {
        self.namespaces.lock().ipc.objects.clone()
    }
}

impl Context<'_> {
    /// System V objects as the caller sees them.
    pub(crate) fn ipc(&self) -> Arc<Ipc> {
        self.thread.ipc()
    }

    /// Owner and group of a file as the caller sees them.
    pub(crate) fn shown_owner(&self, owner: u32, group: u32) -> (u32, u32) {
        // Most machines have one user namespace, and then this costs nothing.
        if !self.system.namespace_numbers.are_used() {
            return (owner, group);
        }
        let here = self.user_namespace();
        (here.shown_user(owner), here.shown_group(group))
    }

    /// The user namespace that the caller is in.
    pub(crate) fn user_namespace(&self) -> UserNamespace {
        self.credentials().namespace.clone()
    }
}
