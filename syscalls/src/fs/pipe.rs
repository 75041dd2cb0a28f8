//! Pipes and FIFOs: pipe(7).

use alloc::sync::Arc;

use super::Inode;

/// What fstat(2) sees of a pipe.
pub(super) struct PipeInode {}

impl PipeInode {
    pub(super) fn anonymous() -> Arc<dyn Inode> {
        Arc::new(Self {})
    }
}

impl Inode for PipeInode {}
