//! What is behind the links of /proc/PID/ns: namespaces(7), ioctl_nsfs(2).

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use abi::Errno;
use abi::fs::{FileType, Mode, OpenFlags};
use abi::namespaces::ioctl;

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::{
    Fd, File, FileSystem, Inode, Location, Metadata, OnExec, OpenFile, PseudoFileSystem,
};
use crate::process::Capability;
use crate::user::UserPtr;

use super::{Kind, Namespace, PidNamespace, UserNamespace};

/// An inode that stands for a namespace, and keeps it.
pub(crate) struct NamespaceInode {
    namespace: Namespace,
}

impl NamespaceInode {
    /// Where the link in /proc leads.
    pub(crate) fn location(namespace: Namespace) -> Location {
        Location::without_path(Arc::new(Self { namespace }))
    }
}

/// The namespace that an inode stands for.
pub(crate) fn namespace_of(inode: &dyn Inode) -> Option<&Namespace> {
    let inode: &dyn Any = inode;
    inode.downcast_ref::<NamespaceInode>().map(|inode| &inode.namespace)
}

/// The namespace that a descriptor of the caller refers to.
///
/// # Errors
/// `EBADF`; `EINVAL` when it refers to something else.
pub(crate) fn namespace_at(cx: &Context<'_>, fd: Fd) -> Result<Namespace> {
    let open = cx.files().get(fd)?;
    if open.is_path() {
        return Err(Errno::EBADF.because("the descriptor is only a path"));
    }
    let found = namespace_of(&**open.file.inode()).cloned();
    found.ok_or_else(|| Errno::EINVAL.because("not a descriptor of a namespace"))
}

impl Inode for NamespaceInode {
    fn kind(&self) -> FileType {
        FileType::Regular
    }

    fn metadata(&self) -> Result<Metadata> {
        let mode = Mode::OWNER_READ | Mode::GROUP_READ | Mode::OTHERS_READ;
        Ok(Metadata::new(u64::from(self.namespace.number()), FileType::Regular, mode))
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(PseudoFileSystem::NAMESPACES)
    }

    fn name_without_path(&self) -> Vec<u8> {
        format!("{}:[{}]", self.namespace.kind().name(), self.namespace.number()).into_bytes()
    }

    fn open(self: Arc<Self>, _: &Context<'_>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        if flags.access_mode().can_write() {
            return Err(Errno::EPERM.because("namespaces are not written"));
        }
        Ok(Arc::new(NamespaceFile { inode: self.clone(), own: self }))
    }
}

/// The open file.
struct NamespaceFile {
    inode: Arc<dyn Inode>,
    own: Arc<NamespaceInode>,
}

impl File for NamespaceFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        let namespace = &self.own.namespace;
        match request {
            ioctl::GET_USERNS => open_owner(cx, namespace),
            ioctl::GET_PARENT => open_parent(cx, namespace),
            ioctl::GET_NSTYPE => Ok(namespace.kind().flag().bits().into()),
            ioctl::GET_OWNER_UID => {
                let Namespace::User(users) = namespace else {
                    return Err(Errno::EINVAL.because("not a namespace of users"));
                };
                let shown = cx.user_namespace().shown_user(users.maker());
                UserPtr::<u32>::new(argument).write(cx, &shown)?;
                Ok(().into())
            }
            ioctl::GET_MNTNS_ID => {
                let Namespace::Mounts(mounts) = namespace else {
                    return Err(Errno::EINVAL.because("not a namespace of mounts"));
                };
                UserPtr::<u64>::new(argument).write(cx, &mounts.id())?;
                Ok(().into())
            }
            ioctl::GET_PID_FROM_PIDNS
            | ioctl::GET_TGID_FROM_PIDNS
            | ioctl::GET_PID_IN_PIDNS
            | ioctl::GET_TGID_IN_PIDNS => {
                let Namespace::Pid(there) = namespace else {
                    return Err(Errno::EINVAL.because("not a namespace of processes"));
                };
                translate(cx, there, request, argument).map(Into::into)
            }
            _ => Err(Errno::ENOTTY.because("the file does not know this request")),
        }
    }
}

/// Opens what `namespace` is for the caller; returns its descriptor.
fn open(cx: &Context<'_>, namespace: Namespace) -> Result<Outcome> {
    let inode = Arc::new(NamespaceInode { namespace });
    let file = NamespaceFile { inode: inode.clone(), own: inode };
    let open = Arc::new(OpenFile::new(Arc::new(file), OpenFlags::empty()));
    let limit = cx.process.limits().current(abi::process::Resource::OpenFiles);
    Ok(cx.files().add(open, 0, OnExec::Close, limit)?.0.into())
}

fn open_owner(cx: &Context<'_>, namespace: &Namespace) -> Result<Outcome> {
    let out_of_sight = || Errno::EPERM.because("the owner is out of the caller's sight");
    let owner = namespace.owner().ok_or_else(out_of_sight)?;
    if !cx.user_namespace().surrounds(&owner) {
        return Err(out_of_sight());
    }
    open(cx, Namespace::User(owner))
}

fn open_parent(cx: &Context<'_>, namespace: &Namespace) -> Result<Outcome> {
    let out_of_sight = || Errno::EPERM.because("the parent is out of the caller's sight");
    match namespace {
        Namespace::User(users) => {
            let parent: &UserNamespace = users.parent().ok_or_else(out_of_sight)?;
            if !cx.user_namespace().surrounds(parent) {
                return Err(out_of_sight());
            }
            open(cx, Namespace::User(parent.clone()))
        }
        Namespace::Pid(numbers) => {
            let parent: &PidNamespace = numbers.parent().ok_or_else(out_of_sight)?;
            if !cx.pid_namespace().surrounds(parent) {
                return Err(out_of_sight());
            }
            open(cx, Namespace::Pid(parent.clone()))
        }
        _ => Err(Errno::EINVAL.because("such namespaces do not lie in each other")),
    }
}

/// The number of a thread or its process, from one namespace to the other.
fn translate(cx: &Context<'_>, there: &PidNamespace, request: u32, id: u64) -> Result<u32> {
    let from_there = matches!(request, ioctl::GET_PID_FROM_PIDNS | ioctl::GET_TGID_FROM_PIDNS);
    let of_process = matches!(request, ioctl::GET_TGID_FROM_PIDNS | ioctl::GET_TGID_IN_PIDNS);
    let here = cx.pid_namespace();
    let (from, to) = if from_there { (there, here) } else { (here, there) };
    let no_such = || Errno::ESRCH.because("there is no such thread in both");
    // The argument is an int.
    let id = from.outside(id as u32).ok_or_else(no_such)?;
    let thread = cx.system.thread(id).ok_or_else(no_such)?;
    let id = if of_process { thread.process().id() } else { thread.id() };
    Some(to.shown(id)).filter(|&shown| shown != 0).ok_or_else(no_such)
}

/// The namespaces of a process as the links of /proc/PID/ns show them.
pub(crate) fn of_thread(
    thread: &crate::process::Thread,
    kind: Kind,
    children: bool,
) -> Option<Namespace> {
    let all = thread.namespaces();
    Some(match kind {
        Kind::Cgroup => Namespace::Cgroup(all.cgroup.clone()),
        Kind::Ipc => Namespace::Ipc(all.ipc.clone()),
        Kind::Mounts => Namespace::Mounts(thread.paths().mounts()?),
        Kind::Net => Namespace::Net(all.net.clone()),
        Kind::Pid if children => Namespace::Pid(all.pid_for_children.clone()),
        Kind::Pid => Namespace::Pid(thread.process().pid_namespace.clone()),
        Kind::Time if children => Namespace::Time(all.time_for_children.clone()),
        Kind::Time => Namespace::Time(all.time.clone()),
        Kind::User => Namespace::User(thread.credentials().namespace.clone()),
        Kind::Uts => Namespace::Uts(all.uts.clone()),
    })
}

/// Fails unless `capability` holds for what belongs to `owner`.
///
/// # Errors
/// `EPERM`.
pub(crate) fn check_privilege(
    cx: &Context<'_>,
    capability: Capability,
    owner: &UserNamespace,
) -> Result<()> {
    if cx.credentials().has_in(capability, owner) {
        return Ok(());
    }
    Err(Errno::EPERM.because("that needs a privilege in the namespace's user namespace"))
}
