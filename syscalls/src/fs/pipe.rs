//! Pipes and FIFOs: pipe(7).

use alloc::sync::Arc;

use abi::fs::{FileType, Mode};

use crate::error::Result;

use super::{FileSystem, Inode, Metadata, PseudoFileSystem};

/// What fstat(2) sees of a pipe.
pub(super) struct PipeInode {}

impl PipeInode {
    pub(super) fn anonymous() -> Arc<dyn Inode> {
        Arc::new(Self {})
    }
}

impl Inode for PipeInode {
    fn kind(&self) -> FileType {
        FileType::Fifo
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(Metadata::new(1, self.kind(), Mode::OWNER_READ | Mode::OWNER_WRITE))
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(PseudoFileSystem::PIPES)
    }
}
