//! Pages of a file of the host that are mapped, or were.
//!
//! Only mappings use them: read(2) always asks the server. A write drops the pages it
//! changes, here and in all mappings, which then fault them in again, so that both agree; an
//! open drops all when the host has changed the file since (close-to-open).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::PAGE_SIZE;
use spin::Mutex;

use crate::error::Result;
use crate::fs::inode::Timestamp;
use crate::machine::{Machine, Page};
use crate::mm::Mappings;

use super::fid::{Attributes, Fid};

const PAGE: u64 = PAGE_SIZE as u64;

/// How many pages are read where one is needed.
const WINDOW: u64 = 16;

/// What tells that the content of a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    version: u32,
    size: u64,
    modified: Timestamp,
}

/// Pages with their indices.
type Pages = Vec<(u64, Arc<dyn Page>)>;

/// The pages of one file.
#[derive(Default)]
pub(super) struct PageCache {
    state: Mutex<State>,
    pub(super) mappings: Mappings,
}

#[derive(Default)]
struct State {
    pages: BTreeMap<u64, Arc<dyn Page>>,
    /// Grows whenever pages are dropped because they are not right any more.
    generation: u64,
    /// What the file was when the pages were right.
    stamp: Option<Stamp>,
}

impl PageCache {
    /// The page with this index, read through `fid` where it is not there yet; `None` beyond
    /// the end.
    ///
    /// # Errors
    /// `ENOMEM`; those of reading.
    pub(super) fn page(
        &self,
        machine: &dyn Machine,
        fid: &Fid,
        index: u64,
    ) -> Result<Option<Arc<dyn Page>>> {
        loop {
            let generation = {
                let state = self.state.lock();
                if let Some(page) = state.pages.get(&index) {
                    return Ok(Some(page.clone()));
                }
                state.generation
            };
            let Some(found) = read_window(machine, fid, index)? else { return Ok(None) };
            let mut state = self.state.lock();
            // What was read may be older than a write that has ended meanwhile.
            if state.generation != generation {
                continue;
            }
            for (index, page) in found {
                state.pages.entry(index).or_insert(page);
            }
            if let Some(page) = state.pages.get(&index) {
                return Ok(Some(page.clone()));
            }
        }
    }

    /// The bytes of `range` have changed.
    pub(super) fn changed(&self, range: &Range<u64>) {
        let pages = range.start / PAGE..range.end.div_ceil(PAGE);
        let mut state = self.state.lock();
        state.generation += 1;
        if state.pages.is_empty() {
            return;
        }
        let dropped: Vec<_> = state.pages.extract_if(pages, |_, _| true).collect();
        drop(state);
        if !dropped.is_empty() {
            self.mappings.punch(range);
        }
    }

    /// The file now ends at `len`.
    pub(super) fn cut(&self, len: u64) {
        let mut state = self.state.lock();
        state.generation += 1;
        let dropped = state.pages.split_off(&(len / PAGE));
        drop(state);
        drop(dropped);
        self.mappings.cut(len);
    }

    /// Drops all pages if the file is not what it was.
    pub(super) fn revalidate(&self, now: &Attributes) {
        let stamp = Stamp { version: now.qid.version, size: now.size, modified: now.modified };
        let mut state = self.state.lock();
        if state.stamp.replace(stamp).is_some_and(|before| before == stamp) {
            return;
        }
        state.generation += 1;
        let dropped = core::mem::take(&mut state.pages);
        drop(state);
        if !dropped.is_empty() {
            self.mappings.punch(&(0..u64::MAX));
        }
    }

    /// Drops the pages that nobody maps; returns how many stay.
    pub(super) fn shrink(&self) -> usize {
        let mut state = self.state.lock();
        let dropped: Vec<_> =
            state.pages.extract_if(.., |_, page| Arc::strong_count(page) == 1).collect();
        let left = state.pages.len();
        drop(state);
        drop(dropped);
        left
    }

    /// How many pages there are.
    pub(super) fn len(&self) -> usize {
        self.state.lock().pages.len()
    }
}

/// Reads the pages around `index`; `None` where it lies beyond the end of the file.
fn read_window(machine: &dyn Machine, fid: &Fid, index: u64) -> Result<Option<Pages>> {
    let window = WINDOW.min((fid.transfer_len() / PAGE_SIZE) as u64);
    let first = index - index % window;
    let mut found = read_pages(machine, fid, first, window)?;
    if !found.iter().any(|(at, _)| *at == index) {
        // Only what was read last tells where the file ends, or what memory is left.
        found = read_pages(machine, fid, index, 1)?;
    }
    Ok((!found.is_empty()).then_some(found))
}

/// Reads `count` pages from `first` on; fewer at the end of the file, and fewer but one where
/// there is not enough memory.
fn read_pages(machine: &dyn Machine, fid: &Fid, first: u64, count: u64) -> Result<Pages> {
    let Some(offset) = first.checked_mul(PAGE).filter(|&offset| offset <= i64::MAX as u64) else {
        return Ok(Vec::new());
    };
    fid.read(offset, (count * PAGE) as usize, |bytes| {
        let mut pages = Pages::new();
        for (index, bytes) in (first..).zip(bytes.chunks(PAGE_SIZE)) {
            let page = match machine.allocate_page() {
                Ok(page) => page,
                Err(_) if count > 1 => break,
                Err(error) => return Err(error.into()),
            };
            page.write(0, bytes);
            pages.push((index, page));
        }
        Ok(pages)
    })
}
