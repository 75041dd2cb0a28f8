//! The file system in memory: tmpfs(5). It is the root, whose files lie in the boot archive
//! until they are written, and /dev.
//!
//! - [`Tmpfs`]: an instance: how full it is, and the clock of its timestamps
//! - `Node`: any inode of it; its `Entries` where it is a directory, its `Content` where it is
//!   a regular file
//! - [`unpack`]: makes the tree of the boot archive, without copying what is in the files

mod bytes;
mod content;
mod entries;
mod file;
mod node;
mod options;
mod rename;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::fs::{Device, Mode, magic};

use crate::error::{Because, Result};
use crate::machine::{Machine, Page};

use super::inode::{FileSystem, Inode, NewInode, NewKind, Timestamp, Usage};

use node::Node;
pub use options::Options;
pub use unpack::{UnpackError, Unpacked, unpack};

/// An instance of the file system.
pub struct Tmpfs {
    machine: Arc<dyn Machine>,
    name: &'static str,
    device: Device,
    /// What it was mounted with.
    options: spin::Mutex<Options>,
    /// Most pages there may be.
    page_limit: AtomicU64,
    /// Most inodes there may be.
    inode_limit: AtomicU64,
    pages: AtomicU64,
    inodes: AtomicU64,
    next_number: AtomicU64,
    /// Inodes of which somebody has a handle, by number.
    handles: spin::Mutex<BTreeMap<u64, Weak<Node>>>,
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

    /// As [`Tmpfs::create`], as mount(2) was told.
    #[must_use]
    pub fn with_options(
        machine: &Arc<dyn Machine>,
        name: &'static str,
        device: Device,
        options: Options,
    ) -> Arc<dyn Inode> {
        Self::root_with(machine, name, device, options)
    }

    fn root(machine: &Arc<dyn Machine>, name: &'static str, device: Device) -> Arc<Node> {
        let mode = Some(Mode::from_bits_retain(0o755));
        Self::root_with(machine, name, device, Options { mode, ..Options::default() })
    }

    fn root_with(
        machine: &Arc<dyn Machine>,
        name: &'static str,
        device: Device,
        options: Options,
    ) -> Arc<Node> {
        // Where nothing is said, each is half of the pages of memory.
        let half = machine.memory().total_pages / 2;
        let fs = Arc::new(Self {
            machine: machine.clone(),
            name,
            device,
            page_limit: AtomicU64::new(options.pages.unwrap_or(half)),
            inode_limit: AtomicU64::new(options.inodes.unwrap_or(half)),
            options: spin::Mutex::new(options),
            pages: AtomicU64::new(0),
            inodes: AtomicU64::new(0),
            next_number: AtomicU64::new(1),
            handles: spin::Mutex::default(),
            tree: spin::Mutex::new(()),
        });
        let mode = options.mode.unwrap_or(Options::DEFAULT_MODE);
        let (owner, group) = (options.owner.unwrap_or(0), options.group.unwrap_or(0));
        Node::root(&fs, &NewInode { kind: NewKind::Directory, mode, owner, group })
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.machine.wall_clock_ns())
    }

    /// Takes one of the inodes; returns its number.
    fn charge_inode(&self) -> Result<u64> {
        if self.inodes.fetch_add(1, Ordering::Relaxed) >= self.inode_limit() {
            self.inodes.fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::ENOSPC.because("the file system has no inodes left"));
        }
        Ok(self.next_number.fetch_add(1, Ordering::Relaxed))
    }

    /// Notes an inode, so that it is found by its number. Those that are gone by then are
    /// forgotten now and then.
    fn remember(&self, node: &Arc<Node>) {
        let mut handles = self.handles.lock();
        if handles.len().is_power_of_two() {
            handles.retain(|_, node| node.strong_count() > 0);
        }
        handles.insert(node.number(), Arc::downgrade(node));
    }

    fn return_inode(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
    }

    /// A new page of zeros that counts.
    fn charge_page(&self) -> Result<Arc<dyn Page>> {
        if self.pages.fetch_add(1, Ordering::Relaxed) >= self.page_limit() {
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
        self.page_limit().saturating_sub(self.pages.load(Ordering::Relaxed))
    }

    fn page_limit(&self) -> u64 {
        self.page_limit.load(Ordering::Relaxed)
    }

    fn inode_limit(&self) -> u64 {
        self.inode_limit.load(Ordering::Relaxed)
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
            magic: if self.name == "ramfs" { magic::RAMFS_MAGIC } else { magic::TMPFS_MAGIC },
            pages: self.page_limit(),
            free_pages: self.free_pages(),
            inodes: self.inode_limit(),
            free_inodes: self.inode_limit().saturating_sub(self.inodes.load(Ordering::Relaxed)),
            ..Usage::default()
        }
    }

    fn options(&self) -> String {
        self.options.lock().show()
    }

    fn by_handle(self: Arc<Self>, handle: u64) -> Option<Arc<dyn Inode>> {
        let node = self.handles.lock().get(&handle)?.upgrade()?;
        Some(node)
    }

    /// Only the limits can change, and not to less than there is.
    fn remount(&self, options: &[u8]) -> Result<()> {
        let new = Options::parse(options, self.machine.memory().total_pages)?;
        let (pages, inodes) = (&self.pages, &self.inodes);
        for (limit, used) in [(new.pages, pages), (new.inodes, inodes)] {
            if limit.is_some_and(|limit| limit < used.load(Ordering::Relaxed)) {
                return Err(Errno::EINVAL.because("the file system holds more than that"));
            }
        }
        let mut options = self.options.lock();
        if let Some(pages) = new.pages {
            options.pages = new.pages;
            self.page_limit.store(pages, Ordering::Relaxed);
        }
        if let Some(inodes) = new.inodes {
            options.inodes = new.inodes;
            self.inode_limit.store(inodes, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The entry `name` of `directory`, where that is a directory of such a file system.
pub(super) fn entry(directory: &Arc<dyn Inode>, name: &[u8]) -> Result<Arc<dyn Inode>> {
    Ok(node::node_of(directory)?.entries()?.get(name)?)
}

fn no_space() -> crate::error::Error {
    Errno::ENOSPC.because("the file system is full")
}
