//! A queue that somebody has opened.

use alloc::sync::Arc;

use crate::context::Context;
use crate::error::Result;
use crate::fs::{File, Inode, OpenFile, PollEvents, Positions};
use crate::io::Sink;
use crate::wait::WaitQueue;

use super::PosixQueue;

/// An open queue: messages go by calls of their own, and a read tells how it stands.
pub(super) struct QueueFile {
    queue: Arc<PosixQueue>,
    inode: Arc<dyn Inode>,
}

impl QueueFile {
    pub(super) fn new(queue: Arc<PosixQueue>) -> Arc<Self> {
        Arc::new(Self { inode: queue.clone(), queue })
    }
}

impl File for QueueFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn read(&self, _: &Context<'_>, _: &OpenFile, offset: u64, to: &mut dyn Sink) -> Result<usize> {
        let text = self.queue.describe();
        match usize::try_from(offset).ok().and_then(|offset| text.as_bytes().get(offset..)) {
            Some(rest) if !rest.is_empty() => to.put(rest),
            _ => Ok(0),
        }
    }

    fn poll(&self) -> PollEvents {
        self.queue.poll()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue.changed)
    }
}
