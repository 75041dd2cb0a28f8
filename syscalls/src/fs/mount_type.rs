//! The types of file systems that mount(2) knows.

use alloc::sync::Arc;

use abi::Errno;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::terminal::pty::devpts;

use super::inode::Inode;
use super::mount::SuperBlock;
use super::procfs::ProcFs;
use super::sysfs::SysFs;
use super::tmpfs::{Options, Tmpfs};

/// The types by their names in /proc/filesystems.
pub(crate) const NAMES: [&str; 6] = ["sysfs", "proc", "tmpfs", "ramfs", "devtmpfs", "devpts"];

/// A file system of this type, with what mount(2) was told of it.
///
/// # Errors
/// `ENODEV` for a type that is not known; `EINVAL` for options that are not.
pub(crate) fn create(
    cx: &Context<'_>,
    name: &[u8],
    source: &[u8],
    options: &[u8],
) -> Result<Arc<SuperBlock>> {
    let (machine, vfs) = (&cx.system.machine, &cx.system.vfs);
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
        b"proc" | b"sysfs" | b"devtmpfs" => {
            return Err(Errno::EINVAL.because("the file system has no options"));
        }
        _ => return Err(Errno::ENODEV.because("the type of file system is not known")),
    };
    Ok(SuperBlock::new(root, source))
}
