//! A file of the proc file system that has been opened.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::{Errno, PAGE_SIZE};
use spin::Mutex;

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::{File, Inode, MountTable, OpenFile, PollEvents, Positions};
use crate::io::{Sink, Source};
use crate::wait::WaitQueue;

use super::entry::{Ask, Show, Store, Subject};
use super::node::Node;
use super::text::Text;

/// Writes are at most this long, in bytes.
const LONGEST_WRITE: usize = PAGE_SIZE;

/// A file that has been opened. Its text is made when it is read from the start, so that all
/// that is read after that fits together.
pub(super) struct ProcFile {
    node: Arc<Node>,
    inode: Arc<dyn Inode>,
    show: Show,
    store: Option<Store>,
    ask: Option<Ask>,
    text: Mutex<Option<Arc<Vec<u8>>>>,
    /// The mounts that it shows, and their version when it was last read from the start.
    mounts: Option<(Arc<MountTable>, AtomicU64)>,
}

impl ProcFile {
    pub(super) fn new(node: Arc<Node>, show: Show, store: Option<Store>) -> Arc<Self> {
        let (inode, text, mounts) = (node.clone(), Mutex::new(None), None);
        Arc::new(Self { inode, node, show, store, ask: None, text, mounts })
    }

    /// A file that answers requests.
    pub(super) fn asked(node: Arc<Node>, show: Show, ask: Ask) -> Arc<Self> {
        let (inode, text, mounts) = (node.clone(), Mutex::new(None), None);
        Arc::new(Self { inode, node, show, store: None, ask: Some(ask), text, mounts })
    }

    /// A file of these mounts, if there are any any more.
    pub(super) fn of_mounts(
        node: Arc<Node>,
        show: Show,
        mounts: Option<Arc<MountTable>>,
    ) -> Arc<Self> {
        let (inode, text, store) = (node.clone(), Mutex::new(None), None);
        let mounts = mounts.map(|mounts| {
            let version = AtomicU64::new(mounts.version());
            (mounts, version)
        });
        Arc::new(Self { inode, node, show, store, ask: None, text, mounts })
    }

    fn text(&self, cx: &Context<'_>, offset: u64) -> Result<Arc<Vec<u8>>> {
        let kept = self.text.lock().clone();
        if let Some(text) = kept.filter(|_| offset > 0) {
            return Ok(text);
        }
        if let Some((mounts, seen)) = &self.mounts {
            seen.store(mounts.version(), Ordering::Relaxed);
        }
        let mut text = Text::default();
        (self.show)(&self.subject(cx)?, &mut text)?;
        let text = Arc::new(text.finish()?);
        *self.text.lock() = Some(text.clone());
        Ok(text)
    }

    fn subject<'a>(&'a self, cx: &'a Context<'a>) -> Result<Subject<'a>> {
        Subject::find(cx, self.node.proc_fs(), self.node.owner())
    }
}

impl File for ProcFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn read(
        &self,
        cx: &Context<'_>,
        _open: &OpenFile,
        offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        let text = self.text(cx, offset)?;
        match usize::try_from(offset).ok().and_then(|offset| text.get(offset..)) {
            Some(rest) if !rest.is_empty() => to.put(rest),
            _ => Ok(0),
        }
    }

    fn write(
        &self,
        cx: &Context<'_>,
        _open: &OpenFile,
        _offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let store = self.store.ok_or_else(|| Errno::EIO.because("the file cannot be written"))?;
        let len = from.remaining();
        if len > LONGEST_WRITE {
            return Err(Errno::EINVAL.because("more than a page is written"));
        }
        let mut bytes = buffer::zeroed(len)?;
        let taken = from.take(&mut bytes)?;
        store(&self.subject(cx)?, &bytes[..taken])?;
        Ok(taken)
    }

    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        let ask = self.ask.ok_or_else(|| Errno::ENOTTY.because("the file answers no requests"))?;
        ask(&self.subject(cx)?, request, argument)
    }

    /// A file of mounts tells that they have changed until it is read again.
    fn poll(&self) -> PollEvents {
        match &self.mounts {
            Some((mounts, seen)) if seen.load(Ordering::Relaxed) != mounts.version() => {
                PollEvents::ALWAYS | PollEvents::PRI | PollEvents::ERR
            }
            _ => PollEvents::ALWAYS,
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        self.mounts.as_ref().map(|(mounts, _)| mounts.changed())
    }
}
