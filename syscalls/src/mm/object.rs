//! Where the pages of a mapping come from that are not the mapping's own: files, and
//! anonymous memory that several processes share.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use spin::Mutex;

use crate::error::Result;
use crate::fs::{Inode, OpenFile};
use crate::machine::{Machine, Page};

use super::area::Share;

/// What is mapped.
#[derive(Clone)]
pub enum Object {
    /// A file.
    File {
        /// Its content.
        inode: Arc<dyn Inode>,
        /// How it was opened, for its path; the mapping keeps it open.
        open: Arc<OpenFile>,
    },
    /// Anonymous memory that is shared.
    Memory(Arc<SharedMemory>),
}

impl Object {
    /// The page that begins at byte `index * PAGE_SIZE`, or `None` when it is beyond the end.
    /// Called with no lock held.
    ///
    /// # Errors
    /// `ENOMEM`; `EIO` and others when a file cannot be read.
    pub(super) fn page(&self, index: u64, share: Share) -> Result<Option<Arc<dyn Page>>> {
        match (self, share) {
            (Self::File { inode, .. }, Share::Private) => inode.page(index),
            (Self::File { inode, .. }, Share::Shared) => inode.shared_page(index),
            (Self::Memory(memory), _) => memory.page(index).map(Some),
        }
    }

    /// Whether both are the same object, opened once.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { open: a, .. }, Self::File { open: b, .. }) => Arc::ptr_eq(a, b),
            (Self::Memory(a), Self::Memory(b)) => Arc::ptr_eq(a, b),
            (Self::File { .. }, Self::Memory(_)) | (Self::Memory(_), Self::File { .. }) => false,
        }
    }
}

/// Memory of zeros that several processes may share. Its pages come when they are used.
pub struct SharedMemory {
    machine: Arc<dyn Machine>,
    pages: Mutex<BTreeMap<u64, Arc<dyn Page>>>,
}

impl SharedMemory {
    pub(super) fn new(machine: Arc<dyn Machine>) -> Arc<Self> {
        Arc::new(Self { machine, pages: Mutex::new(BTreeMap::new()) })
    }

    fn page(&self, index: u64) -> Result<Arc<dyn Page>> {
        let mut pages = self.pages.lock();
        if let Some(page) = pages.get(&index) {
            return Ok(page.clone());
        }
        let page = self.machine.allocate_page()?;
        pages.insert(index, page.clone());
        Ok(page)
    }
}
