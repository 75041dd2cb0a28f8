//! Physical frames.
//!
//! A buddy heap owns all free memory. In front of it stand a run, a block that is given out
//! frame by frame without being touched, and a list of freed frames: taking and freeing one
//! frame is a handful of instructions, however fragmented memory is. (The buddy heap's own
//! free searches a list.) When a block of several frames is wanted and none is left, the
//! list goes back to the buddy heap, sorted, so that neighbours merge at once.

use core::alloc::Layout;
use core::ptr::NonNull;

use abi::PAGE_SIZE;
use buddy_system_allocator::Heap;
use spin::Mutex;
use x86_64::PhysAddr;

use super::{direct_map, physical};

/// Frames that applications never get, so that the kernel's own small allocations succeed
/// where an application's fails: 1 MiB, or 1/32 of a small memory.
const MAX_RESERVE: u64 = 256;
const RESERVE_SHARE: u64 = 32;

/// Frames taken from the buddy heap at once.
const RUN_FRAMES: usize = 16;

static FRAMES: Mutex<Frames> =
    Mutex::new(Frames { buddy: Heap::new(), run: 0..0, freed: None, total: 0, free: 0 });

struct Frames {
    buddy: Heap<32>,
    /// Virtual addresses in the direct map.
    run: core::ops::Range<usize>,
    freed: Option<NonNull<FreedFrame>>,
    total: u64,
    free: u64,
}

/// The first bytes of a frame in the list of freed frames.
struct FreedFrame {
    next: Option<NonNull<FreedFrame>>,
}

// SAFETY: the list's frames belong to it alone.
unsafe impl Send for Frames {}

/// Adds free memory, physical addresses `start` to `end`.
///
/// # Safety
/// It is memory inside the direct map that nothing uses.
pub(crate) unsafe fn add(start: u64, end: u64) {
    let page = PAGE_SIZE as u64;
    let (start, end) = (start.next_multiple_of(page), end / page * page);
    if start >= end {
        return;
    }
    let mut frames = FRAMES.lock();
    frames.total += (end - start) / page;
    frames.free += (end - start) / page;
    let base = direct_map(PhysAddr::new_truncate(start)) as usize;
    // SAFETY: by the caller.
    unsafe { frames.buddy.add_to_heap(base, base + (end - start) as usize) };
}

/// All frames, and those that applications could still get.
pub(crate) fn count() -> (u64, u64) {
    let frames = FRAMES.lock();
    (frames.total, frames.free.saturating_sub(frames.reserve()))
}

/// Whether the kernel's own reserve runs out: the application must end before the kernel's
/// next small allocation fails.
pub(crate) fn are_critical() -> bool {
    let frames = FRAMES.lock();
    frames.free < frames.reserve() / 2
}

/// A frame for the kernel; its content is whatever it was.
pub(crate) fn allocate() -> Option<PhysAddr> {
    FRAMES.lock().allocate()
}

/// A frame for an application, or `None` when only the kernel's reserve is left.
pub(crate) fn allocate_for_application() -> Option<PhysAddr> {
    let mut frames = FRAMES.lock();
    if frames.free <= frames.reserve() {
        return None;
    }
    frames.allocate()
}

/// Gives a frame back.
///
/// # Safety
/// It came from one of the allocating functions and nobody uses it any more.
pub(crate) unsafe fn free(frame: PhysAddr) {
    let mut frames = FRAMES.lock();
    // SAFETY: the direct map never contains address 0.
    let freed = unsafe { NonNull::new_unchecked(direct_map(frame)) }.cast::<FreedFrame>();
    // SAFETY: the frame belongs to us now, and is aligned.
    unsafe { freed.write(FreedFrame { next: frames.freed }) };
    frames.freed = Some(freed);
    frames.free += 1;
}

/// A physically contiguous block for the kernel, a power of two of frames large.
pub(crate) fn allocate_block(layout: Layout) -> Option<NonNull<u8>> {
    let layout = block_layout(layout)?;
    let mut frames = FRAMES.lock();
    let block = match frames.buddy.alloc(layout) {
        Ok(block) => block,
        Err(()) => {
            frames.return_freed();
            frames.buddy.alloc(layout).ok()?
        }
    };
    frames.free -= (layout.size() / PAGE_SIZE) as u64;
    Some(block)
}

/// Gives a block back.
///
/// # Safety
/// It came from [`allocate_block`] with this layout and nobody uses it any more.
pub(crate) unsafe fn free_block(block: NonNull<u8>, layout: Layout) {
    let Some(layout) = block_layout(layout) else { return };
    let mut frames = FRAMES.lock();
    frames.free += (layout.size() / PAGE_SIZE) as u64;
    // SAFETY: by the caller.
    unsafe { frames.buddy.dealloc(block, layout) };
}

fn block_layout(layout: Layout) -> Option<Layout> {
    let size = layout.size().max(layout.align()).max(PAGE_SIZE).checked_next_power_of_two()?;
    Layout::from_size_align(size, size).ok()
}

const fn run_layout(frames: usize) -> Layout {
    match Layout::from_size_align(frames * PAGE_SIZE, PAGE_SIZE) {
        Ok(layout) => layout,
        Err(_) => unreachable!(),
    }
}

impl Frames {
    fn reserve(&self) -> u64 {
        MAX_RESERVE.min(self.total / RESERVE_SHARE)
    }

    fn allocate(&mut self) -> Option<PhysAddr> {
        let address = if let Some(freed) = self.freed {
            // SAFETY: frames in the list are valid and belong to it.
            self.freed = unsafe { freed.read() }.next;
            freed.cast::<u8>()
        } else {
            if self.run.is_empty() {
                self.refill()?;
            }
            let address = self.run.start;
            self.run.start += PAGE_SIZE;
            NonNull::new(address as *mut u8)?
        };
        self.free -= 1;
        Some(physical(address))
    }

    fn refill(&mut self) -> Option<()> {
        let mut frames = RUN_FRAMES;
        let block = loop {
            match self.buddy.alloc(run_layout(frames)) {
                Ok(block) => break block,
                Err(()) if frames > 1 => frames /= 2,
                Err(()) => return None,
            }
        };
        let start = block.as_ptr() as usize;
        self.run = start..start + frames * PAGE_SIZE;
        Some(())
    }

    /// Gives the freed frames back to the buddy heap.
    fn return_freed(&mut self) {
        let mut next = sort(self.freed.take());
        while let Some(frame) = next {
            // SAFETY: frames in the list are valid and belong to it.
            next = unsafe { frame.read() }.next;
            // SAFETY: the frame came from the buddy heap, as part of a larger block, which the
            // heap does not mind: it merges by address.
            unsafe { self.buddy.dealloc(frame.cast(), run_layout(1)) };
        }
    }
}

type List = Option<NonNull<FreedFrame>>;

/// Sorts a list of frames by address, in place (bottom-up merge sort).
fn sort(mut list: List) -> List {
    // `sorted[i]` is a sorted list of 2^i frames, or nothing.
    let mut sorted: [List; 48] = [None; 48];
    while let Some(mut frame) = list {
        // SAFETY: the frames of the list belong to the caller.
        let head = unsafe { frame.as_mut() };
        list = head.next.take();
        let mut run = Some(frame);
        for place in &mut sorted {
            let Some(other) = place.take() else {
                *place = run;
                run = None;
                break;
            };
            run = merge(Some(other), run);
        }
        debug_assert!(run.is_none());
    }
    sorted.into_iter().fold(None, merge)
}

fn merge(mut one: List, mut other: List) -> List {
    let mut head: List = None;
    let mut tail: *mut List = &raw mut head;
    loop {
        let from = match (one, other) {
            (Some(a), Some(b)) if a < b => &mut one,
            (_, Some(_)) => &mut other,
            _ => &mut one,
        };
        let Some(mut frame) = *from else { return head };
        // SAFETY: the frames of both lists belong to the caller; `tail` points into the last
        // frame of the result, or to `head`.
        unsafe {
            *from = frame.as_ref().next;
            *tail = Some(frame);
            frame.as_mut().next = None;
            tail = &raw mut frame.as_mut().next;
        }
    }
}
