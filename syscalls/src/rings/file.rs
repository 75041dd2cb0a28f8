//! The descriptor of a ring.

use alloc::sync::Arc;

use abi::fs::OpenFlags;

use crate::error::Result;
use crate::fs::{File, Inode, OpenFile, PollEvents, anonymous};
use crate::mm::SharedMemory;
use crate::wait::WaitQueue;

use super::ring::Ring;

/// What a descriptor of a ring refers to.
pub(crate) struct RingFile {
    ring: Arc<Ring>,
    inode: Arc<dyn Inode>,
}

impl RingFile {
    /// Opens a new descriptor of `ring`.
    pub(crate) fn open(ring: Arc<Ring>) -> Arc<OpenFile> {
        let file = Arc::new(Self { ring, inode: anonymous::inode("[io_uring]") });
        Arc::new(OpenFile::new(file, OpenFlags::RDWR))
    }
}

impl File for RingFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn memory(&self, offset: u64) -> Option<Result<Arc<SharedMemory>>> {
        Some(self.ring.region(offset))
    }

    fn poll(&self) -> PollEvents {
        let ring = &self.ring;
        let mut events = PollEvents::empty();
        let has_results = ring.results.count(&ring.memory) > 0 || ring.results.has_backlog();
        events.set(PollEvents::IN | PollEvents::RDNORM, has_results);
        events.set(PollEvents::OUT | PollEvents::WRNORM, ring.has_room());
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.ring.changed)
    }

    fn ring(&self) -> Option<&Arc<Ring>> {
        Some(&self.ring)
    }
}
