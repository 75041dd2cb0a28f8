//! What fstat(2) sees of a pipe.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::fs::{FileType, Mode};
use spin::Mutex;

use crate::error::Result;
use crate::process::Credentials;
use crate::system::System;

use super::{Change, FileSystem, Inode, Metadata, PseudoFileSystem, Timestamp};

/// The numbers that inodes of pipes have.
pub(crate) struct PipeNumbers(AtomicU64);

impl Default for PipeNumbers {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

/// The inode of a pipe without a path.
pub(super) struct PipeInode {
    metadata: Mutex<Metadata>,
}

impl PipeInode {
    /// A new inode that belongs to `user`.
    pub(super) fn new(system: &System, user: &Credentials) -> Arc<Self> {
        let number = system.pipe_numbers.0.fetch_add(1, Ordering::Relaxed);
        let now = Timestamp::from_ns(system.machine.wall_clock_ns());
        let mode = Mode::OWNER_READ | Mode::OWNER_WRITE;
        let metadata = Metadata {
            owner: user.users.file_system,
            group: user.groups.file_system,
            accessed: now,
            modified: now,
            changed: now,
            created: now,
            ..Metadata::new(number, FileType::Fifo, mode)
        };
        Arc::new(Self { metadata: Mutex::new(metadata) })
    }
}

impl Inode for PipeInode {
    fn kind(&self) -> FileType {
        FileType::Fifo
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(*self.metadata.lock())
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(PseudoFileSystem::PIPES)
    }

    fn name_without_path(&self) -> Vec<u8> {
        format!("pipe:[{}]", self.metadata.lock().number).into_bytes()
    }

    fn change(&self, change: &Change) -> Result<()> {
        let mut metadata = self.metadata.lock();
        metadata.mode = change.mode.unwrap_or(metadata.mode);
        metadata.owner = change.owner.unwrap_or(metadata.owner);
        metadata.group = change.group.unwrap_or(metadata.group);
        metadata.accessed = change.accessed.unwrap_or(metadata.accessed);
        metadata.modified = change.modified.unwrap_or(metadata.modified);
        Ok(())
    }
}
