//! Counted pages, and the check that none is freed while a page table still refers to it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::thread;

use abi::PAGE_SIZE;

use crate::machine::{OutOfMemory, Page};

/// Frames of the archive have numbers from here on, so that they never equal others.
const ARCHIVE_FRAMES: u64 = 1 << 52;

/// All frames of a machine.
pub(super) struct Frames {
    state: Mutex<State>,
}

struct State {
    next: u64,
    by_number: HashMap<u64, Arc<Frame>>,
    limit: usize,
    /// Pages and page tables that are allocated.
    used: usize,
    /// How many more allocations succeed; `None` for no such limit.
    left: Option<usize>,
}

/// One frame: its bytes and how often it is mapped.
pub(super) struct Frame {
    bytes: Mutex<Bytes>,
    mapped: AtomicUsize,
}

enum Bytes {
    Own(Box<[u8; PAGE_SIZE]>),
    Archive(&'static [u8]),
}

impl Frames {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let state = State { next: 1, by_number: HashMap::new(), limit, used: 0, left: None };
        Arc::new(Self { state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn allocate(self: &Arc<Self>) -> Result<Arc<FakePage>, OutOfMemory> {
        self.take()?;
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let frame = Frame::new(Bytes::Own(Box::new([0; PAGE_SIZE])));
        state.by_number.insert(number, frame.clone());
        Ok(Arc::new(FakePage { number, frame, frames: self.clone() }))
    }

    pub(super) fn archive_page(self: &Arc<Self>, bytes: &'static [u8]) -> Option<Arc<FakePage>> {
        let address = bytes.as_ptr().addr();
        if bytes.len() != PAGE_SIZE || !address.is_multiple_of(PAGE_SIZE) {
            return None;
        }
        let number = ARCHIVE_FRAMES + (address / PAGE_SIZE) as u64;
        let frame = self
            .state()
            .by_number
            .entry(number)
            .or_insert_with(|| Frame::new(Bytes::Archive(bytes)))
            .clone();
        Some(Arc::new(FakePage { number, frame, frames: self.clone() }))
    }

    /// Takes one page out of the free ones, for a page or a page table.
    pub(super) fn take(&self) -> Result<(), OutOfMemory> {
        let mut state = self.state();
        if state.used >= state.limit || state.left == Some(0) {
            return Err(OutOfMemory);
        }
        state.used += 1;
        state.left = state.left.map(|left| left - 1);
        Ok(())
    }

    pub(super) fn give_back(&self) {
        self.state().used -= 1;
    }

    pub(super) fn used(&self) -> usize {
        self.state().used
    }

    pub(super) fn limit(&self) -> usize {
        self.state().limit
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.state().limit = limit;
    }

    pub(super) fn fail_after(&self, left: Option<usize>) {
        self.state().left = left;
    }

    /// The frame with this number, which must live.
    pub(super) fn frame(&self, number: u64) -> Arc<Frame> {
        self.state().by_number.get(&number).expect("a page of this machine").clone()
    }
}

impl Frame {
    fn new(bytes: Bytes) -> Arc<Self> {
        Arc::new(Self { bytes: Mutex::new(bytes), mapped: AtomicUsize::new(0) })
    }

    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.bytes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn read(&self, offset: usize, to: &mut [u8]) {
        let bytes = self.bytes();
        let bytes: &[u8] = match &*bytes {
            Bytes::Own(bytes) => &bytes[..],
            Bytes::Archive(bytes) => bytes,
        };
        to.copy_from_slice(&bytes[offset..offset + to.len()]);
    }

    pub(super) fn write(&self, offset: usize, from: &[u8]) {
        match &mut *self.bytes() {
            Bytes::Own(bytes) => bytes[offset..offset + from.len()].copy_from_slice(from),
            Bytes::Archive(_) => panic!("a page of the archive is written to"),
        }
    }

    pub(super) fn add_mapping(&self) {
        self.mapped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_mapping(&self) {
        self.mapped.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A handle of a page.
pub(super) struct FakePage {
    number: u64,
    frame: Arc<Frame>,
    frames: Arc<Frames>,
}

impl Page for FakePage {
    fn frame(&self) -> u64 {
        self.number
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        self.frame.read(offset, to);
    }

    fn write(&self, offset: usize, from: &[u8]) {
        self.frame.write(offset, from);
    }
}

impl Drop for FakePage {
    fn drop(&mut self) {
        if self.number >= ARCHIVE_FRAMES {
            return;
        }
        self.frames.state().by_number.remove(&self.number);
        self.frames.give_back();
        let mapped = self.frame.mapped.load(Ordering::Relaxed);
        if mapped != 0 && !thread::panicking() {
            panic!("frame {} is freed while it is mapped {mapped} times", self.number);
        }
    }
}

/// `bytes` as a boot archive: page-aligned and for ever, padded with zeros to whole pages.
#[must_use]
pub fn aligned_archive(bytes: &[u8]) -> &'static [u8] {
    let len = bytes.len().next_multiple_of(PAGE_SIZE);
    let room = Box::leak(vec![0; len + PAGE_SIZE].into_boxed_slice());
    let start = room.as_ptr().align_offset(PAGE_SIZE);
    let aligned = &mut room[start..start + len];
    aligned[..bytes.len()].copy_from_slice(bytes);
    aligned
}
