//! Files: what descriptors, paths and mappings lead to.
//!
//! - [`Inode`]: an object in a file system (or outside of any: a pipe)
//! - [`File`]: what open(2) makes of it: where read, write, seek, ioctl and poll go
//! - [`OpenFile`]: POSIX's "open file description": a [`File`], a position, status flags
//! - [`FdTable`]: a process's descriptors
//! - [`Location`]: a place in the tree: a [`Dentry`] (a name in use) seen through a [`Mount`]
//! - [`FsContext`]: from where a process sees the tree
//! - `ext`: file systems on block devices
//! - [`ninep`]: directories of the host
//! - [`loops`], [`sysfs`]: files as block devices, and what /sys tells of them
//! - [`tmpfs`]: the file system in memory, whose files lie in the boot archive until written

use alloc::sync::Arc;

use abi::events::InotifyMask;

use crate::error::Result;
use crate::ipc::posix::queue_of;
use crate::process::Process;
use crate::system::System;

pub(crate) mod aio;
pub(crate) mod anonymous;
mod arguments;
pub(crate) mod change;
pub(crate) mod copy;
pub mod dentry;
pub mod device;
pub mod directory;
pub(crate) mod disks;
mod ext;
pub mod fd_table;
pub mod fifo;
pub mod file;
pub(crate) mod handle;
pub mod inode;
#[cfg(test)]
mod linux_tests;
pub mod lock;
#[cfg(test)]
mod lock_tests;
pub mod loops;
mod memory_device;
pub mod mount;
mod mount_locks;
pub(crate) mod mount_setup;
pub mod mount_table;
#[cfg(test)]
mod mount_tests;
mod mount_tree;
pub mod mount_type;
pub mod ninep;
pub mod open;
pub mod open_file;
pub mod path;
pub(crate) mod peers;
pub mod permission;
pub mod pipe;
pub(crate) mod pipe_inode;
#[cfg(test)]
mod pipe_tests;
pub mod procfs;
pub mod pseudo;
pub(crate) mod ready_signal;
pub(crate) mod seal;
pub(crate) mod sleep_lock;
pub(crate) mod splice;
#[cfg(test)]
mod splice_tests;
pub(crate) mod storage;
pub mod stream;
pub mod sysfs;
pub mod tmpfs;
pub(crate) mod tree;
pub(crate) mod turn;
pub mod unmount;
pub mod vfs;
pub(crate) mod watch;
pub mod working;
pub mod write_access;
pub mod xattr;

pub use dentry::Dentry;
pub use device::{DeviceTable, Driver};
pub use directory::Directory;
pub use fd_table::{Fd, FdTable, OnExec};
pub use file::{Extent, File, PollEvents, Positions};
pub use inode::{
    Change, DirectoryEntry, FileSystem, Inode, Link, Metadata, NewInode, NewKind, Stored,
    Timestamp, Usage,
};
pub use mount::{Location, Mount, SuperBlock};
pub use mount_table::MountTable;
pub use open_file::OpenFile;
pub use pseudo::PseudoFileSystem;
pub use vfs::Vfs;
pub use working::FsContext;
pub use write_access::Writers;

/// Ends the use of a descriptor of `process`, in `files`, that referred to `open`: close(2), exit,
/// execve(2).
/// Record locks of the process on the file go, whichever descriptor they were made with.
///
/// # Errors
/// Those of close(2); the descriptor is gone in any case.
pub fn close(
    system: &System,
    process: &Process,
    files: &FdTable,
    open: &Arc<OpenFile>,
) -> Result<()> {
    system.vfs.locks.release_files(files, open);
    system.notifier.directories.forget(system, files, open);
    if open.file.socket().is_some() && system.sockets.in_flight.has_sockets() {
        system.sockets.in_flight.collect(Some(open));
    }
    if let Ok(queue) = queue_of(open) {
        queue.forget(process);
    }
    // The caller has the last one.
    if Arc::strong_count(open) == 1 && open.is_watched() {
        let event = match open.access_mode().can_write() {
            true => InotifyMask::CLOSE_WRITE,
            false => InotifyMask::CLOSE_NOWRITE,
        };
        system.notifier.happened(process.into(), open.location(), event);
    }
    open.file.flush()
}
