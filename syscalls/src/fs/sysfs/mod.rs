//! The sys file system: sysfs(5), as far as there is something to tell: processors and
//! block devices.
//!
//! - `tree`: its fixed directories, and what is in the directory of a device
//! - `node`: its inodes

mod node;
#[cfg(test)]
mod tests;
mod tree;

use alloc::sync::Arc;

use abi::fs::{Device, magic, mount_flags};

use crate::error::Result;
use crate::machine::Machine;
use crate::system::System;

use super::{FileSystem, Inode, Location, Timestamp, Usage};

/// An instance of the sys file system.
pub struct SysFs {
    device: Device,
    machine: Arc<dyn Machine>,
}

impl SysFs {
    /// A new instance; returns its root directory.
    #[must_use]
    pub fn create(machine: &Arc<dyn Machine>, device: Device) -> Arc<dyn Inode> {
        node::root(Arc::new(Self { device, machine: machine.clone() }))
    }

    /// Mounts an instance on /sys.
    ///
    /// # Errors
    /// `ENOTDIR` when something else is there; `ENOSPC`.
    pub fn mount(system: &System) -> Result<Location> {
        let root = Self::create(&system.machine, system.vfs.new_device());
        let flags = mount_flags::ST_NOSUID | mount_flags::ST_NODEV | mount_flags::ST_NOEXEC;
        system.vfs.mount_in_root("sys", root, "sysfs", flags)
    }

    /// When the machine was booted, in whole seconds: the time of all files.
    fn booted(&self) -> Timestamp {
        let now = self.machine.wall_clock_ns();
        let booted = Timestamp::from_ns(now.saturating_sub(self.machine.monotonic_ns()));
        Timestamp { nanoseconds: 0, ..booted }
    }
}

impl FileSystem for SysFs {
    fn name(&self) -> &'static str {
        "sysfs"
    }

    fn device(&self) -> Device {
        self.device
    }

    fn usage(&self) -> Usage {
        Usage { magic: magic::SYSFS_MAGIC, ..Usage::default() }
    }
}
