//! Where the pages of a mapping come from that are not the mapping's own: files, anonymous
//! memory that several processes share, and the machine.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ops::Range;

use abi::Errno;
use abi::fs::FallocateFlags;
use spin::Mutex;

use crate::error::{Because, Result};
use crate::fs::{Inode, OpenFile};
use crate::machine::{Machine, Page};

use super::address_space::check_commit;
use super::area::{PAGE, Share};
use super::fault::Wanted;
use super::mappings::Mappings;

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
    /// Pages of the machine that are there for ever: the vDSO.
    Pages(Arc<[Arc<dyn Page>]>),
}

/// What memory that is shared has at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing yet: the page would be made when it is used.
    Hole,
    /// A page.
    Stored,
    /// Nothing, ever: it is beyond the end.
    Beyond,
}

impl Object {
    /// What is at byte `index * PAGE_SIZE`; `None` where that is not memory, but read from
    /// elsewhere.
    pub(super) fn presence(&self, index: u64) -> Option<Presence> {
        match self {
            Self::File { inode, .. } => inode.presence(index),
            Self::Memory(memory) => Some(memory.presence(index)),
            Self::Pages(_) => None,
        }
    }

    /// The page that begins at byte `index * PAGE_SIZE`, or `None` when it is beyond the end;
    /// `wanted` is what will be done with it. Called with no lock held.
    ///
    /// # Errors
    /// `ENOMEM`; `EIO` and others when a file cannot be read.
    pub(crate) fn page(
        &self,
        index: u64,
        share: Share,
        wanted: Wanted,
    ) -> Result<Option<Arc<dyn Page>>> {
        match (self, share, wanted) {
            (Self::File { inode, .. }, Share::Private, _) => inode.page(index),
            (Self::File { inode, .. }, Share::Shared, Wanted::Write) => {
                inode.shared_page_to_write(index)
            }
            (Self::File { inode, .. }, Share::Shared, _) => inode.shared_page(index),
            (Self::Memory(memory), ..) => memory.page(index),
            (Self::Pages(pages), ..) => {
                Ok(usize::try_from(index).ok().and_then(|index| pages.get(index)).cloned())
            }
        }
    }

    /// Whether it must be told before a shared page of it is written.
    pub(super) fn tracks_writes(&self) -> bool {
        matches!(self, Self::File { inode, .. } if inode.tracks_writes())
    }

    /// Who maps it, where it can lose pages.
    pub(super) fn mappings(&self) -> Option<&Mappings> {
        match self {
            Self::File { inode, .. } => inode.mappings(),
            Self::Memory(memory) => Some(&memory.mappings),
            Self::Pages(_) => None,
        }
    }

    /// Makes the bytes of `range`, whole pages, a hole. Called with no lock held.
    ///
    /// # Errors
    /// `EOPNOTSUPP` and others where a file cannot have holes.
    pub(super) fn punch(&self, range: &Range<u64>) -> Result<()> {
        match self {
            Self::File { inode, .. } => {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                inode.allocate(flags, range.start, range.end - range.start)
            }
            Self::Memory(memory) => {
                memory.punch(range);
                Ok(())
            }
            Self::Pages(_) => Err(Errno::EINVAL.because("not memory that can have holes")),
        }
    }

    /// Whether both are the same object, opened once.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { open: a, .. }, Self::File { open: b, .. }) => Arc::ptr_eq(a, b),
            (Self::Memory(a), Self::Memory(b)) => Arc::ptr_eq(a, b),
            (Self::Pages(a), Self::Pages(b)) => Arc::ptr_eq(a, b),
            (Self::File { .. } | Self::Memory(_) | Self::Pages(_), _) => false,
        }
    }
}

/// Memory of zeros that several processes may share. Its pages come when they are used.
pub struct SharedMemory {
    machine: Arc<dyn Machine>,
    /// Its length in pages, which does not change: beyond it is nothing.
    len: u64,
    pages: Mutex<BTreeMap<u64, Arc<dyn Page>>>,
    mappings: Mappings,
    /// Its number where it is a segment of System V.
    number: Option<i32>,
}

impl SharedMemory {
    /// Memory of `len` pages without a name.
    pub(super) fn new(machine: Arc<dyn Machine>, len: u64) -> Arc<Self> {
        Self::with(machine, len, None)
    }

    /// The memory of a segment of System V: `len` bytes, with this number.
    ///
    /// # Errors
    /// `ENOMEM` when there is not so much memory.
    pub(crate) fn segment(machine: &Arc<dyn Machine>, len: u64, number: i32) -> Result<Arc<Self>> {
        let pages = len.div_ceil(PAGE);
        check_commit(&**machine, pages)?;
        Ok(Self::with(machine.clone(), pages, Some(number)))
    }

    /// Memory of `len` bytes that the personality uses together with applications. All of it is
    /// there from the beginning.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn joint(machine: &Arc<dyn Machine>, len: u64) -> Result<Arc<Self>> {
        let pages = len.div_ceil(PAGE);
        check_commit(&**machine, pages)?;
        let memory = Self::with(machine.clone(), pages, None);
        (0..pages).try_for_each(|index| memory.page(index).map(drop))?;
        Ok(memory)
    }

    /// Copies out what begins at byte `offset` and lies in one page.
    ///
    /// # Errors
    /// `ENOMEM` where the page has been taken out and there is no other; `EINVAL` beyond the
    /// end.
    pub(crate) fn read(&self, offset: u64, to: &mut [u8]) -> Result<()> {
        let page = self.page(offset / PAGE)?.ok_or(Errno::EINVAL)?;
        page.read((offset % PAGE) as usize, to);
        Ok(())
    }

    /// Copies in at byte `offset`, into one page.
    ///
    /// # Errors
    /// As [`SharedMemory::read`].
    pub(crate) fn write(&self, offset: u64, from: &[u8]) -> Result<()> {
        let page = self.page(offset / PAGE)?.ok_or(Errno::EINVAL)?;
        page.write((offset % PAGE) as usize, from);
        Ok(())
    }

    fn with(machine: Arc<dyn Machine>, len: u64, number: Option<i32>) -> Arc<Self> {
        let (pages, mappings) = (Mutex::default(), Mappings::new());
        Arc::new(Self { machine, len, pages, mappings, number })
    }

    /// Its number where it is a segment of System V.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        self.number
    }

    /// Its length in pages.
    pub(super) fn pages(&self) -> u64 {
        self.len
    }

    /// How many of its pages are in memory.
    pub(crate) fn resident(&self) -> u64 {
        self.pages.lock().len() as u64
    }

    /// How many areas show it, in all address spaces. Called with no lock of one held.
    pub(crate) fn areas(&self) -> u64 {
        self.mappings.areas()
    }

    fn presence(&self, index: u64) -> Presence {
        match self.pages.lock().contains_key(&index) {
            _ if index >= self.len => Presence::Beyond,
            true => Presence::Stored,
            false => Presence::Hole,
        }
    }

    fn page(&self, index: u64) -> Result<Option<Arc<dyn Page>>> {
        if index >= self.len {
            return Ok(None);
        }
        let mut pages = self.pages.lock();
        if let Some(page) = pages.get(&index) {
            return Ok(Some(page.clone()));
        }
        let page = self.machine.allocate_page()?;
        pages.insert(index, page.clone());
        Ok(Some(page))
    }

    fn punch(&self, range: &Range<u64>) {
        let indices = range.start / PAGE..range.end / PAGE;
        self.pages.lock().extract_if(indices, |_, _| true).for_each(drop);
        self.mappings.punch(range);
    }
}
