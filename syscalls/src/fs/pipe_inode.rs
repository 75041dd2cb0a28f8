//! What fstat(2) sees of a pipe.

use alloc::format;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::fs::{AccessMode, FileType, Mode, OpenFlags};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::Credentials;
use crate::system::System;

use super::{Change, File, FileSystem, Inode, Metadata, PseudoFileSystem, Timestamp};

/// The numbers that inodes of pipes have.
pub(crate) struct PipeNumbers(AtomicU64);

impl Default for PipeNumbers {
    fn default() -> Self {
        Self(AtomicU64::new(1))
    }
}

/// What is behind a [`PipeInode`].
pub(super) trait Conduit: Send + Sync {
    /// Opens it once more: open(2) of /proc/self/fd/N.
    ///
    /// # Errors
    /// `EACCES` where it does not lead in that direction.
    fn reopen(self: Arc<Self>, inode: Arc<dyn Inode>, access: AccessMode) -> Result<Arc<dyn File>>;
}

/// The inode of a pipe without a path.
pub(super) struct PipeInode {
    metadata: Mutex<Metadata>,
    /// Kept by the open files.
    conduit: Weak<dyn Conduit>,
}

impl PipeInode {
    /// A new inode that belongs to `user`, of `conduit`.
    pub(super) fn new(
        system: &System,
        user: &Credentials,
        conduit: Weak<dyn Conduit>,
    ) -> Arc<Self> {
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
        Arc::new(Self { metadata: Mutex::new(metadata), conduit })
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

    /// Unlike a FIFO, it waits for nobody at the other end.
    fn open(self: Arc<Self>, _: &Context<'_>, flags: OpenFlags) -> Result<Arc<dyn File>> {
        let access = flags.access_mode();
        if access == AccessMode::Neither {
            return Err(Errno::EINVAL.because("a pipe is opened for reading or writing"));
        }
        let conduit = self.conduit.upgrade();
        conduit.ok_or_else(|| Errno::ENXIO.because("the pipe is gone"))?.reopen(self, access)
    }

    fn change(&self, change: &Change) -> Result<()> {
        self.metadata.lock().apply(change);
        Ok(())
    }
}
