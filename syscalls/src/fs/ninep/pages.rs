//! Pages of a file of the host that are mapped, or were.
//!
//! Only mappings use them: read(2) always asks the server. A write drops the pages it
//! changes, here and in all mappings, which then fault them in again, so that both agree; an
//! open drops all when the host has changed the file since (close-to-open).
//!
//! A shared page that is written is noted first, for it is mapped without that right. What
//! was noted is written to the server before anybody reads or writes the file by other means,
//! by msync(2) and fsync(2), when the memory is unmapped, and at the end of the machine; until
//! then only mappings here see it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::{Errno, PAGE_SIZE};
use spin::Mutex;

use crate::error::{Because, Result};
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
pub(super) type Pages = Vec<(u64, Arc<dyn Page>)>;

/// The pages of one file.
#[derive(Default)]
pub(super) struct PageCache {
    state: Mutex<State>,
    pub(super) mappings: Mappings,
}

#[derive(Default)]
struct State {
    pages: BTreeMap<u64, Arc<dyn Page>>,
    /// Those that mappings have written to since the server was told.
    written: BTreeMap<u64, Arc<dyn Page>>,
    /// How many threads tell the server now.
    telling: usize,
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

    /// As [`PageCache::page`], for a mapping that is about to write to it.
    ///
    /// # Errors
    /// As [`PageCache::page`].
    pub(super) fn page_to_write(
        &self,
        machine: &dyn Machine,
        fid: &Fid,
        index: u64,
    ) -> Result<Option<Arc<dyn Page>>> {
        while let Some(page) = self.page(machine, fid, index)? {
            let mut state = self.state.lock();
            // It may have been dropped meanwhile.
            if state.pages.get(&index).is_some_and(|known| Arc::ptr_eq(known, &page)) {
                state.written.insert(index, page.clone());
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// Whether the server may not know all that mappings have written.
    pub(super) fn is_ahead(&self) -> bool {
        let state = self.state.lock();
        state.telling > 0 || !state.written.is_empty()
    }

    /// Whether others tell the server what mappings have written.
    pub(super) fn is_being_told(&self) -> bool {
        self.state.lock().telling > 0
    }

    /// Tells the server, through `fid`, what mappings have written, up to the end of the file
    /// at `size`.
    ///
    /// # Errors
    /// Those of writing; what could not be written is kept.
    pub(super) fn tell(&self, fid: &Fid, size: u64) -> Result<()> {
        let run_len = fid.transfer_len() / PAGE_SIZE;
        let mut next = 0;
        loop {
            let run = self.state.lock().take_run(next, run_len);
            let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else {
                return Ok(());
            };
            let range = first * PAGE..(last + 1) * PAGE;
            next = last + 1;
            // Who writes now is noted again.
            self.mappings.punch(&range);
            let result = write_run(fid, &range, &run, size);
            let mut state = self.state.lock();
            state.telling -= 1;
            if result.is_err() {
                for (index, page) in run {
                    state.written.entry(index).or_insert(page);
                }
                return result;
            }
        }
    }

    /// The bytes of `range` have changed. Returns the pages of it that mappings have written
    /// to and the server does not know yet: they lack the change.
    pub(super) fn changed(&self, range: &Range<u64>) -> Pages {
        let pages = range.start / PAGE..range.end.div_ceil(PAGE);
        let mut state = self.state.lock();
        state.generation += 1;
        if state.pages.is_empty() {
            return Pages::new();
        }
        let State { pages: known, written, .. } = &mut *state;
        let dropped: Vec<_> =
            known.extract_if(pages.clone(), |index, _| !written.contains_key(index)).collect();
        let ahead = written.range(pages).map(|(&index, page)| (index, page.clone())).collect();
        drop(state);
        if !dropped.is_empty() {
            self.mappings.punch(range);
        }
        ahead
    }

    /// The file now ends at `len`.
    pub(super) fn cut(&self, len: u64) {
        let mut state = self.state.lock();
        state.generation += 1;
        let dropped = state.pages.split_off(&(len / PAGE));
        let beyond = state.written.split_off(&(len / PAGE));
        if let Some((&index, page)) = beyond.first_key_value()
            && index * PAGE < len
        {
            let rest = (len - index * PAGE) as usize;
            page.write(rest, &[0; PAGE_SIZE][rest..]);
            state.pages.insert(index, page.clone());
            state.written.insert(index, page.clone());
        }
        drop(state);
        drop((dropped, beyond));
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
        let State { pages, written, .. } = &mut *state;
        let dropped: Vec<_> =
            pages.extract_if(.., |index, _| !written.contains_key(index)).collect();
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

impl State {
    /// Takes the first pages from `index` on that were written and follow each other, `len` at
    /// most. Where there are any, somebody tells the server.
    fn take_run(&mut self, index: u64, len: usize) -> Pages {
        let mut run = Pages::new();
        for (&at, page) in self.written.range(index..).take(len) {
            if run.last().is_some_and(|(last, _)| last + 1 != at) {
                break;
            }
            run.push((at, page.clone()));
        }
        for (at, _) in &run {
            self.written.remove(at);
        }
        self.telling += usize::from(!run.is_empty());
        run
    }
}

/// Writes the pages of `run`, which are the bytes of `range`, up to `size`.
fn write_run(fid: &Fid, range: &Range<u64>, run: &Pages, size: u64) -> Result<()> {
    let end = range.end.min(size);
    let mut at = range.start;
    while at < end {
        let len = (end - at) as usize;
        let (_, taken) = fid.write(at, len, |bytes| {
            let mut done = 0;
            while done < len {
                let offset = (at - range.start) as usize + done;
                let (page, inside) = (&run[offset / PAGE_SIZE].1, offset % PAGE_SIZE);
                let part = (len - done).min(PAGE_SIZE - inside);
                page.read(inside, &mut bytes[done..done + part]);
                done += part;
            }
            Ok(len)
        })?;
        if taken == 0 {
            return Err(Errno::EIO.because("the host takes no bytes"));
        }
        at += taken as u64;
    }
    Ok(())
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
