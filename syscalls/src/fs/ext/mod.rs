//! File systems on block devices: ext2, ext3 and ext4 (ext4(5), and the kernel's
//! `Documentation/filesystems/ext4`).
//!
//! - [`Ext`]: a file system that is mounted; one lock guards all that is known of it
//! - `Volume`: what that lock guards: blocks, groups, inodes and pages in memory
//! - `Node`: an inode in use; [`Ext`] finds it by its number as long as somebody has it
//! - `map`, `extents`, `indirect`: which blocks are those of a file
//! - `content`, `file`: pages of regular files, which reads, writes and mappings share
//! - `directory`, `names`: entries, and files that come and go
//! - `journal`: brings what a journal still has to its place; nothing is written to it
//!
//! What is written stays in memory until it is synchronized or there is much of it. The
//! superblock says meanwhile that the file system is in use, and e2fsck(8) checks one that was
//! not unmounted.

mod allocate;
mod attributes;
mod blocks;
mod bytes;
mod checksum;
mod content;
mod directory;
mod extents;
mod file;
mod groups;
mod indirect;
mod journal;
mod map;
mod names;
mod node;
mod record;
mod shape;
#[cfg(test)]
mod tests;
mod volume;

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{Device, FileType, magic};
use spin::Mutex;

use crate::error::{Because, Error, Result};
use crate::machine::Machine;

use super::inode::{FileSystem, Inode, Usage};
use super::mount::MountAccess;
use super::sleep_lock::{Held, SleepLock};
use super::storage::Storage;

use groups::Count;
use node::Node;
use volume::{Volume, Writing};

/// The types that are known, as mount(2) calls them.
pub(super) const NAMES: [&str; 3] = ["ext2", "ext3", "ext4"];

/// The root directory.
const ROOT: u32 = 2;

/// Options that change nothing here, with or without values.
const IGNORED: [&[u8]; 24] = [
    b"acl",
    b"noacl",
    b"user_xattr",
    b"nouser_xattr",
    b"barrier",
    b"nobarrier",
    b"delalloc",
    b"nodelalloc",
    b"discard",
    b"nodiscard",
    b"errors",
    b"data",
    b"commit",
    b"bsddf",
    b"minixdf",
    b"nogrpid",
    b"sysvgroups",
    b"journal_checksum",
    b"auto_da_alloc",
    b"noauto_da_alloc",
    b"init_itable",
    b"noinit_itable",
    b"lazytime",
    b"block_validity",
];

/// A file system that is mounted.
pub(super) struct Ext {
    name: &'static str,
    device: Device,
    storage: Arc<dyn Storage>,
    volume: SleepLock<Volume>,
    /// The inodes that somebody uses.
    nodes: Mutex<BTreeMap<u32, Weak<Node>>>,
    /// Inodes that somebody used, or that lost a name: some may have to be freed.
    left: Mutex<Vec<u32>>,
}

impl Ext {
    /// Mounts what is on `storage` as `kind`; returns its root directory.
    ///
    /// # Errors
    /// `EINVAL` where there is no such file system, or it or an option is not known; `EACCES`
    /// where it cannot be written; `EUCLEAN` where it is damaged.
    pub(super) fn mount(
        machine: &Arc<dyn Machine>,
        kind: &[u8],
        device: Device,
        storage: Arc<dyn Storage>,
        (access, options): (MountAccess, &[u8]),
    ) -> Result<Arc<dyn Inode>> {
        check_options(options)?;
        let name = NAMES.into_iter().find(|name| name.as_bytes() == kind);
        let name = name.ok_or_else(|| Errno::ENODEV.because("the type is not known"))?;
        let writing = writing(access, &storage)?;
        let volume = Volume::open(machine, storage.clone())?;
        volume.check_kind(name)?;
        let fs = Arc::new(Self {
            name,
            device,
            storage,
            volume: SleepLock::new(machine.clone(), volume),
            nodes: Mutex::default(),
            left: Mutex::default(),
        });
        let mut volume = fs.volume();
        let root = fs.node(&mut volume, ROOT)?;
        if root.kind() != FileType::Directory {
            return Err(damaged());
        }
        volume.set_writing(writing)?;
        drop(volume);
        Ok(root)
    }

    /// All that is known of it, when inodes that nobody needs any more have been freed.
    fn volume(&self) -> Held<'_, Volume> {
        let mut volume = self.volume.lock();
        let left = core::mem::take(&mut *self.left.lock());
        for number in left {
            if self.known(number).is_none()
                && let Err(error) = volume.end_use(number)
            {
                log::warn!("ext: inode {number} could not be freed: {}", error.reason);
            }
        }
        volume
    }

    /// The inode with this number, where somebody uses it.
    fn known(&self, number: u32) -> Option<Arc<Node>> {
        self.nodes.lock().get(&number).and_then(Weak::upgrade)
    }

    /// The inode with this number.
    ///
    /// # Errors
    /// `EUCLEAN` where nothing like that can be; those of the device.
    fn node(self: &Arc<Self>, volume: &mut Volume, number: u32) -> Result<Arc<Node>> {
        let kind = volume.inode(number)?.record.kind().ok_or_else(damaged)?;
        let mut nodes = self.nodes.lock();
        if let Some(node) = nodes.get(&number).and_then(Weak::upgrade) {
            return Ok(node);
        }
        let node = Node::new(self.clone(), number, kind);
        nodes.insert(number, Arc::downgrade(&node));
        Ok(node)
    }

    /// Nobody uses a node any more, or an inode has lost a name.
    fn leave(&self, number: u32) {
        let mut nodes = self.nodes.lock();
        if nodes.get(&number).is_some_and(|node| node.strong_count() == 0) {
            nodes.remove(&number);
        }
        drop(nodes);
        self.left.lock().push(number);
    }

    /// Writes the pages of a file that have to be.
    fn write_back(&self, volume: &mut Volume, number: u32) -> Result<()> {
        if let Some(node) = self.known(number) {
            // Who writes to it from now on says so again.
            node.forbid_writing();
        }
        volume.write_back(number)
    }

    /// The inodes in use that have no name any more, and are to be freed after that.
    fn nameless(&self, volume: &Volume) -> Vec<u32> {
        let all = volume.nameless();
        all.into_iter().filter(|&number| self.known(number).is_some()).collect()
    }

    /// Stores all that was written, for good.
    fn store(&self, volume: &mut Volume) -> Result<()> {
        // Metadata is stored as a whole, and must not name blocks that hold something else yet.
        self.write_all(volume)?;
        volume.flush()?;
        volume.limit_inodes(|number| self.known(number).is_some());
        self.storage.sync()
    }

    fn write_all(&self, volume: &mut Volume) -> Result<()> {
        let files = volume.changed_files();
        files.into_iter().try_for_each(|number| self.write_back(volume, number))
    }
}

impl FileSystem for Ext {
    fn name(&self) -> &'static str {
        self.name
    }

    fn device(&self) -> Device {
        self.device
    }

    fn sync(&self) -> Result<()> {
        self.store(&mut self.volume())
    }

    fn usage(&self) -> Usage {
        let volume = self.volume();
        let free = volume.groups.total(&volume.shape, Count::FreeBlocks);
        Usage {
            magic: magic::EXT4_SUPER_MAGIC,
            block_size: volume.shape.block_size as u32,
            pages: volume.shape.usable_blocks(),
            free_pages: free,
            reserved_pages: volume.shape.reserved.min(free),
            inodes: volume.shape.inodes().into(),
            free_inodes: volume.groups.total(&volume.shape, Count::FreeInodes),
        }
    }

    fn by_handle(self: Arc<Self>, handle: u64) -> Option<Arc<dyn Inode>> {
        let (number, generation) = (handle as u32, (handle >> 32) as u32);
        let mut volume = self.volume();
        volume.check_named(number).ok()?;
        if volume.inode(number).ok()?.record.generation() != generation {
            return None;
        }
        let node = self.node(&mut volume, number).ok()?;
        Some(node)
    }

    fn remount(&self, options: &[u8]) -> Result<()> {
        check_options(options)
    }

    fn change_access(&self, access: MountAccess) -> Result<()> {
        let writing = writing(access, &self.storage)?;
        let mut volume = self.volume();
        if writing == Writing::Never && !self.nameless(&volume).is_empty() {
            return Err(Errno::EBUSY.because("a file that has lost its name is in use"));
        }
        self.write_all(&mut volume)?;
        volume.set_writing(writing)
    }

    fn end(&self) {
        let mut volume = self.volume();
        for number in self.nameless(&volume) {
            // Nobody can reach it any more, whoever still has it open.
            if let Err(error) = volume.remove_inode(number) {
                log::warn!("ext: inode {number} could not be freed: {}", error.reason);
                volume.found_damage();
            }
        }
        let ended = self.write_all(&mut volume);
        if let Err(error) = ended.and_then(|()| volume.set_writing(Writing::Never)) {
            log::warn!("ext: what was written is lost: {}", error.reason);
        }
        drop(volume);
        self.storage.release();
    }
}

fn writing(access: MountAccess, storage: &Arc<dyn Storage>) -> Result<Writing> {
    match access {
        MountAccess::ReadOnly => Ok(Writing::Never),
        MountAccess::ReadWrite if storage.is_read_only() => {
            Err(Errno::EACCES.because("nothing can be written to the device"))
        }
        MountAccess::ReadWrite => Ok(Writing::Allowed),
    }
}

fn check_options(options: &[u8]) -> Result<()> {
    for option in options.split(|&byte| byte == b',').filter(|option| !option.is_empty()) {
        let key = option.split(|&byte| byte == b'=').next().unwrap_or_default();
        if !IGNORED.contains(&key) {
            return Err(Errno::EINVAL.because("the file system does not know this option"));
        }
    }
    Ok(())
}

/// What is on the device contradicts itself.
fn damaged() -> Error {
    Errno::EUCLEAN.because("the file system is damaged")
}
