//! The kernel's heap: size classes for small objects, blocks of frames for large ones.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};

use abi::PAGE_SIZE;
use spin::Mutex;
use x86_64::PhysAddr;

use super::{direct_map, frames};

/// Object sizes, in bytes. All are multiples of 16; powers of two are naturally aligned.
const CLASSES: [usize; 14] =
    [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, LARGEST];
const LARGEST: usize = 2048;
const GRANULE: usize = 16;

/// Index into [`CLASSES`] by size in granules, rounded up.
static CLASS_OF: [u8; LARGEST / GRANULE + 1] = {
    let mut table = [0; LARGEST / GRANULE + 1];
    let (mut granules, mut class) = (0, 0);
    while granules < table.len() {
        if granules * GRANULE > CLASSES[class] {
            class += 1;
        }
        table[granules] = class as u8;
        granules += 1;
    }
    table
};

#[global_allocator]
static HEAP: KernelHeap =
    KernelHeap { classes: Mutex::new([const { Class::new() }; CLASSES.len()]) };

struct KernelHeap {
    classes: Mutex<[Class; CLASSES.len()]>,
}

/// The free objects of one size.
struct Class {
    freed: Option<NonNull<FreedObject>>,
    /// What is left of the frame that was last taken: addresses in the direct map.
    fresh: core::ops::Range<usize>,
}

struct FreedObject {
    next: Option<NonNull<FreedObject>>,
}

// SAFETY: free objects belong to their class alone.
unsafe impl Send for Class {}

impl Class {
    const fn new() -> Self {
        Self { freed: None, fresh: 0..0 }
    }

    fn allocate(&mut self, size: usize) -> *mut u8 {
        if let Some(object) = self.freed {
            // SAFETY: objects in the list are valid and belong to it.
            self.freed = unsafe { object.read() }.next;
            return object.as_ptr().cast();
        }
        if self.fresh.len() < size {
            let Some(frame) = frames::allocate() else {
                return null_mut();
            };
            let start = direct_map(frame) as usize;
            self.fresh = start..start + PAGE_SIZE;
        }
        let object = self.fresh.start;
        self.fresh.start += size;
        object as *mut u8
    }
}

/// The class for `layout`, or `None` when it is too large for any.
fn class_of(layout: Layout) -> Option<usize> {
    let size = if layout.align() > GRANULE {
        layout.size().max(layout.align()).checked_next_power_of_two()?
    } else {
        layout.size()
    };
    CLASS_OF.get(size.div_ceil(GRANULE)).map(|&class| usize::from(class))
}

// SAFETY: objects of a class are disjoint pieces of frames that belong to it, as large as the
// class and aligned to 16, or to their size where that is a power of two; larger ones are
// blocks of the frame allocator, aligned to their size.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_of(layout) {
            Some(class) => self.classes.lock()[class].allocate(CLASSES[class]),
            None => frames::allocate_block(layout).map_or(null_mut(), NonNull::as_ptr),
        }
    }

    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        let Some(object) = NonNull::new(object) else { return };
        match class_of(layout) {
            Some(class) => {
                let mut classes = self.classes.lock();
                let object = object.cast::<FreedObject>();
                // SAFETY: the object belongs to us now; every class has room for a link.
                unsafe { object.write(FreedObject { next: classes[class].freed }) };
                classes[class].freed = Some(object);
            }
            // SAFETY: by the caller of `dealloc`.
            None => unsafe { frames::free_block(object, layout) },
        }
    }
}

/// A zeroed frame for a page table, or `None`.
pub(super) fn zeroed_frame() -> Option<PhysAddr> {
    let frame = frames::allocate()?;
    // SAFETY: the frame is ours and inside the direct map.
    unsafe { direct_map(frame).write_bytes(0, PAGE_SIZE) };
    Some(frame)
}
