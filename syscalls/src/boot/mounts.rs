//! Directories of the host in the tree.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{AT_FDCWD, Device, Mode, mount_flags};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::mount::MountAccess;
use crate::fs::ninep::{Owner, Share};
use crate::fs::path::{Follow, resolve};
use crate::fs::{Fd, Inode, Location, NewInode, NewKind, Vfs};
use crate::machine::Machine;

use super::NotStarted;

/// A directory of the host and its place in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostMount {
    /// Name of the channel to its server.
    pub(super) tag: Vec<u8>,
    /// [`abi::fs::mount_flags`].
    pub(super) flags: u64,
    /// Where it is mounted, absolute.
    pub(super) path: Vec<u8>,
}

impl HostMount {
    fn connect(
        &self,
        machine: &Arc<dyn Machine>,
        device: Device,
        owner: Owner,
    ) -> Result<(Arc<Share>, Arc<dyn Inode>)> {
        let mut channels = machine.message_channels().into_iter();
        let channel = channels
            .find(|channel| channel.name() == self.tag)
            .ok_or_else(|| Errno::ENODEV.because("the machine has no device of that name"))?;
        let read_only = self.flags & mount_flags::ST_RDONLY != 0;
        let access = if read_only { MountAccess::ReadOnly } else { MountAccess::ReadWrite };
        Share::connect(machine, channel, device, owner, access)
    }

    fn failed(&self, error: Error) -> NotStarted {
        let (tag, path) = (self.tag.escape_ascii(), self.path.escape_ascii());
        let reason = match (error.errno.name(), error.reason) {
            (name, "") => String::from(name),
            (name, reason) => alloc::format!("{reason} ({name})"),
        };
        let reason = alloc::format!("cannot mount {tag} at {path}: {reason}");
        NotStarted { errno: error.errno, reason }
    }
}

/// The tree of the host's directory that is the root.
pub(super) fn root(
    machine: &Arc<dyn Machine>,
    mount: &HostMount,
    owner: Owner,
) -> Result<Vfs, NotStarted> {
    let connected = mount.connect(machine, Vfs::ROOT_DEVICE, owner);
    let vfs = connected
        .and_then(|(share, root)| Vfs::on_share(machine, (share, root), &mount.tag, mount.flags));
    vfs.map_err(|error| mount.failed(error))
}

/// Mounts a directory of the host.
pub(super) fn mount(cx: &Context<'_>, mount: &HostMount, owner: Owner) -> Result<(), NotStarted> {
    let vfs = &cx.system.vfs;
    let mounted = (|| {
        let point = mount_point(cx, &mount.path)?;
        let (share, root) = mount.connect(&cx.system.machine, vfs.new_device(), owner)?;
        vfs.shares.add(share);
        vfs.mounts.mount(point, root, &mount.tag, mount.flags)
    })();
    mounted.map(drop).map_err(|error| mount.failed(error))
}

/// The directory at `path`; it, and those on the way to it, are made where they are not there.
fn mount_point(cx: &Context<'_>, path: &[u8]) -> Result<Location> {
    let mut at = cx.paths().root();
    let mut way = Vec::new();
    for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
        way.push(b'/');
        way.extend_from_slice(name);
        at = match resolve(cx, Fd(AT_FDCWD), way.clone(), Follow::Last) {
            Err(error) if error.errno == Errno::ENOENT => make(cx, &at, name)?,
            found => found?,
        };
        if !at.is_directory() {
            return Err(Errno::ENOTDIR.because("a part of the path is not a directory"));
        }
    }
    Ok(at)
}

/// Makes the directory `name`. Directories of the host stay as they are: there it is only a
/// place in the tree.
fn make(cx: &Context<'_>, parent: &Location, name: &[u8]) -> Result<Location> {
    let directory = parent.inode();
    let inode = if directory.is_shared() || parent.mount.check_writable().is_err() {
        cx.system.vfs.mount_point()?
    } else {
        let mode = Mode::from_bits_retain(0o755);
        directory.create(name, &NewInode { kind: NewKind::Directory, mode, owner: 0, group: 0 })?
    };
    Ok(parent.with(parent.dentry.child(name, inode)))
}
