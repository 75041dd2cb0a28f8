//! The file system in memory: tmpfs(5). It is the root, whose files lie in the boot archive
//! until they are written, and /dev.
//!
//! - [`Tmpfs`]: an instance: how full it is, and the clock of its timestamps
//! - `Node`: any inode of it; its `Entries` where it is a directory, its `Content` where it is
//!   a regular file
//! - [`unpack`]: makes the tree of the boot archive, without copying what is in the files

mod content;
mod entries;
mod file;
mod node;
mod rename;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::fs::{Device, Mode, magic};

use crate::error::{Because, Result};
use crate::machine::{Machine, Page};

use super::inode::{FileSystem, Inode, NewInode, NewKind, Timestamp, Usage};

use node::Node;
pub use unpack::{UnpackError, Unpacked, unpack};

/// An instance of the file system.
pub struct Tmpfs {
    machine: Arc<dyn Machine>,
    name: &'static str,
    device: Device,
    /// Most pages and most inodes there may be: each is half of the pages of memory.
    limit: u64,
    pages: AtomicU64,
    inodes: AtomicU64,
    next_number: AtomicU64,
    /// Held by whoever changes the entries of two directories.
    tree: spin::Mutex<()>,
}

impl Tmpfs {
    /// Makes an instance that shows itself as `name` and `device`; returns its root directory.
    #[must_use]
    pub fn create(
        machine: &Arc<dyn Machine>,
        name: &'static str,
        device: Device,
    ) -> Arc<dyn Inode> {
        Self::root(machine, name, device)
    }

    fn root(machine: &Arc<dyn Machine>, name: &'static str, device: Device) -> Arc<Node> {
        let fs = Arc::new(Self {
            machine: machine.clone(),
            name,
            device,
            limit: machine.memory().total_pages / 2,
            pages: AtomicU64::new(0),
            inodes: AtomicU64::new(0),
            next_number: AtomicU64::new(1),
            tree: spin::Mutex::new(()),
        });
        let mode = Mode::from_bits_retain(0o755);
        Node::root(&fs, &NewInode { kind: NewKind::Directory, mode, owner: 0, group: 0 })
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.machine.wall_clock_ns())
    }

    /// Takes one of the inodes; returns its number.
    fn charge_inode(&self) -> Result<u64> {
        if self.inodes.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.inodes.fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::ENOSPC.because("the file system has no inodes left"));
        }
        Ok(self.next_number.fetch_add(1, Ordering::Relaxed))
    }

    fn return_inode(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
    }

    /// A new page of zeros that counts.
    fn charge_page(&self) -> Result<Arc<dyn Page>> {
        if self.pages.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.return_pages(1);
            return Err(no_space());
        }
        self.machine.allocate_page().map_err(|error| {
            self.return_pages(1);
            error.into()
        })
    }

    fn return_pages(&self, count: u64) {
        self.pages.fetch_sub(count, Ordering::Relaxed);
    }

    fn free_pages(&self) -> u64 {
        self.limit.saturating_sub(self.pages.load(Ordering::Relaxed))
    }
}

impl FileSystem for Tmpfs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn device(&self) -> Device {
        self.device
    }

    fn usage(&self) -> Usage {
        Usage {
            magic: magic::TMPFS_MAGIC,
            pages: self.limit,
            free_pages: self.free_pages(),
            inodes: self.limit,
            free_inodes: self.limit.saturating_sub(self.inodes.load(Ordering::Relaxed)),
        }
    }
}

/// The entry `name` of `directory`, where that is a directory of such a file system.
pub(super) fn entry(directory: &Arc<dyn Inode>, name: &[u8]) -> Result<Arc<dyn Inode>> {
    Ok(node::node_of(directory)?.entries()?.get(name)?)
}

fn no_space() -> crate::error::Error {
    Errno::ENOSPC.because("the file system is full")
}
