//! The types of file systems that mount(2) knows.

use alloc::sync::Arc;

use abi::Errno;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::namespaces::UserNamespace;
use crate::process::Capability;
use crate::terminal::pty::devpts;

use super::disks;
use super::ext;
use super::inode::Inode;
use super::mount::{MountAccess, SuperBlock};
use super::procfs::ProcFs;
use super::sysfs::SysFs;
use super::tmpfs::{Options, Tmpfs};

/// The types that need no device.
pub(crate) const NAMES: [&str; 6] = ["sysfs", "proc", "tmpfs", "ramfs", "devtmpfs", "devpts"];

/// All types by their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(ext::NAMES)
}

/// What is mounted where nobody says what: nothing, where that has to be a device.
pub(crate) fn default_source(name: &[u8]) -> &'static [u8] {
    match ext::NAMES.iter().any(|known| known.as_bytes() == name) {
        true => b"",
        false => b"none",
    }
}

/// A file system of this type, with what mount(2) was told of it.
///
/// # Errors
/// `ENODEV` for a type that is not known; `EINVAL` for options that are not; `EPERM` without
/// `CAP_SYS_ADMIN` where that needs it; where it is on a device, those of mount(2).
pub(crate) fn create(
    cx: &Context<'_>,
    name: &[u8],
    source: &[u8],
    (access, options): (MountAccess, &[u8]),
) -> Result<Arc<SuperBlock>> {
    let (machine, vfs) = (&cx.system.machine, &cx.system.vfs);
    let owner = owner_of_new(cx, name);
    let is_known = names().any(|known| known.as_bytes() == name);
    if is_known && !cx.credentials().has_in(Capability::SysAdmin, &owner) {
        return Err(Errno::EPERM.because("the type needs CAP_SYS_ADMIN in another user namespace"));
    }
    let in_memory = |name: &'static str| -> Result<Arc<dyn Inode>> {
        let options = Options::parse(options, machine.memory().total_pages)?;
        Ok(Tmpfs::with_options(machine, name, vfs.new_device(), options))
    };
    let root = match name {
        b"tmpfs" => in_memory("tmpfs")?,
        b"ramfs" => in_memory("ramfs")?,
        b"proc" if options.is_empty() => {
            ProcFs::create(machine, vfs.new_device(), cx.pid_namespace().clone())
        }
        b"sysfs" if options.is_empty() => SysFs::create(machine, vfs.new_device()),
        // Its options say what the slaves of a new instance are like: there is only one.
        b"devpts" => devpts::create(cx.system),
        b"devtmpfs" if options.is_empty() => return Ok(vfs.dev().clone()),
        b"ext2" | b"ext3" | b"ext4" => return disks::mount(cx, name, source, (access, options)),
        b"proc" | b"sysfs" | b"devtmpfs" => {
            return Err(Errno::EINVAL.because("the file system has no options"));
        }
        _ => return Err(Errno::ENODEV.because("the type of file system is not known")),
    };
    let super_block = SuperBlock::owned_by(owner, root, source);
    super_block.tell_of_end(cx.system);
    super_block.set_access(access)?;
    Ok(super_block)
}

/// To which user namespace a new file system of this type belongs: whoever may mount there may
/// make it. What is not meant for everybody belongs to the first one.
fn owner_of_new(cx: &Context<'_>, name: &[u8]) -> UserNamespace {
    match name {
        b"tmpfs" | b"ramfs" | b"devpts" => cx.user_namespace(),
        b"proc" => cx.pid_namespace().owner(),
        b"sysfs" => cx.thread.namespaces().net.owner().clone(),
        _ => UserNamespace::FIRST,
    }
}
