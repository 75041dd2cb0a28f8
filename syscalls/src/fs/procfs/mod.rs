//! The proc file system: proc(5).
//!
//! It is a static tree of [`entry::Entry`]s: a name, a mode, and what is behind it, mostly a
//! function that writes the text of the file when it is read. [`node::Node`] makes inodes of
//! entries. What is told is true: where nothing is counted there is a 0, and where a value is
//! not known, no line.
//!
//! - `root`: what concerns the system; `sys`: its settings; `sysvipc`: objects of System V
//! - `process`, `stat`, `maps`, `mounts`, `descriptors`: what concerns a process

mod area_query;
mod descriptors;
mod entry;
mod file;
mod keys;
mod maps;
mod memory;
mod mounts;
mod namespaces;
mod net;
mod node;
mod page_map;
mod process;
mod root;
mod sockets;
mod stat;
mod status;
mod sys;
mod sysvipc;
#[cfg(test)]
mod tests;
mod text;

use alloc::sync::{Arc, Weak};
use core::any::Any;

use abi::fs::{Device, magic, mount_flags};

use crate::error::Result;
use crate::machine::Machine;
use crate::namespaces::PidNamespace;
use crate::process::Process;
use crate::system::System;

use super::{FileSystem, Inode, Location, Timestamp, Usage};
use node::Node;

/// An instance of the proc file system.
pub struct ProcFs {
    device: Device,
    machine: Arc<dyn Machine>,
    /// Whose numbers of processes it shows.
    pids: PidNamespace,
    /// /proc/sys/kernel/random/boot_id.
    boot_id: [u8; 16],
}

impl ProcFs {
    /// A new instance that shows the processes of `pids`; returns its root directory.
    #[must_use]
    pub(crate) fn create(
        machine: &Arc<dyn Machine>,
        device: Device,
        pids: PidNamespace,
    ) -> Arc<dyn Inode> {
        let mut boot_id = [0; 16];
        machine.fill_random(&mut boot_id);
        Node::root(Arc::new(Self { device, machine: machine.clone(), pids, boot_id }))
    }

    /// When the machine was booted, in whole seconds: the time of all files. The time of day
    /// may become known only after that.
    fn booted(&self) -> Timestamp {
        let now = self.machine.wall_clock_ns();
        let booted = Timestamp::from_ns(now.saturating_sub(self.machine.monotonic_ns()));
        Timestamp { nanoseconds: 0, ..booted }
    }

    /// Mounts an instance on /proc.
    ///
    /// # Errors
    /// `ENOTDIR` when something else is there; `ENOSPC`.
    pub fn mount(system: &System) -> Result<Location> {
        let root = Self::create(&system.machine, system.vfs.new_device(), PidNamespace::FIRST);
        let flags = mount_flags::ST_NOSUID | mount_flags::ST_NODEV | mount_flags::ST_NOEXEC;
        system.vfs.mount_in_root("proc", root, "proc", flags)
    }
}

/// The process whose directory in /proc `inode` is.
pub(crate) fn process_of(inode: &dyn Inode) -> Option<Weak<Process>> {
    let inode: &dyn Any = inode;
    inode.downcast_ref::<Node>().and_then(Node::process)
}

impl FileSystem for ProcFs {
    fn name(&self) -> &'static str {
        "proc"
    }

    fn device(&self) -> Device {
        self.device
    }

    fn usage(&self) -> Usage {
        Usage { magic: magic::PROC_SUPER_MAGIC, ..Usage::default() }
    }
}
