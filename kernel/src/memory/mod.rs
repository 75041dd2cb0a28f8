//! Physical memory, the kernel's heap and page tables.
//!
//! - [`frames`]: who owns which 4 KiB frame
//! - [`heap`]: the kernel's own allocations
//! - [`page`]: the counted pages that the personality holds
//! - [`paging`]: page tables; [`space`]: the application's address spaces
//! - [`copy`]: copies that survive a fault
//!
//! All physical memory is readable at [`direct_map`].

pub(crate) mod copy;
pub(crate) mod frames;
mod heap;
pub(crate) mod page;
pub(crate) mod paging;
pub(crate) mod space;

use core::ptr::{NonNull, addr_of};

use abi::boot::{DIRECT_MAP, KERNEL_BASE};
use x86_64::{PhysAddr, VirtAddr};

use crate::boot::{MemoryRegion, StartInfo};

/// Memory below this belongs to firmware and loader data; the kernel never allocates it.
const LOW_MEMORY: u64 = 0x10_0000;

unsafe extern "C" {
    static __image_start: u8;
    static __image_end: u8;
}

/// Where physical memory is readable and, except the kernel's own code, writable.
pub(crate) fn direct_map(address: PhysAddr) -> *mut u8 {
    (DIRECT_MAP + address.as_u64()) as *mut u8
}

/// The physical address behind a pointer into the direct map or the kernel's image.
pub(crate) fn physical<T: ?Sized>(pointer: NonNull<T>) -> PhysAddr {
    let address = pointer.as_ptr().cast::<u8>() as u64;
    let base = if address >= KERNEL_BASE { KERNEL_BASE } else { DIRECT_MAP };
    PhysAddr::new_truncate(address - base)
}

/// The kernel's image in virtual memory.
fn image() -> core::ops::Range<VirtAddr> {
    VirtAddr::from_ptr(addr_of!(__image_start))..VirtAddr::from_ptr(addr_of!(__image_end))
}

/// Hands the free memory to the allocators and replaces the boot page tables.
///
/// # Safety
/// Called once, at boot, before anything is allocated.
pub(crate) unsafe fn init(info: &StartInfo) {
    let top = info.memory().map(|region| region.end).max().unwrap_or(0);
    let image_end = image().end.as_u64() - KERNEL_BASE;
    let kernel = MemoryRegion { start: abi::boot::KERNEL_LOAD_ADDRESS, end: image_end };
    let reserved = [kernel, info.module(), info.reserved()];
    // Memory that the boot tables map comes first: the final tables are built from it.
    for region in info.memory() {
        let mapped = MemoryRegion { end: region.end.min(paging::BOOT_MAPPED), ..region };
        // SAFETY: the loader says that this is memory, and nothing else uses it.
        unsafe { release(mapped, &reserved) };
    }
    // SAFETY: once, at boot, and `top` is where memory ends.
    unsafe { paging::init(top) };
    for region in info.memory() {
        let rest = MemoryRegion { start: region.start.max(paging::BOOT_MAPPED), ..region };
        // SAFETY: as above, and now the direct map reaches it.
        unsafe { release(rest, &reserved) };
    }
}

/// Gives `region` without what is `reserved` to the frame allocator.
///
/// # Safety
/// The rest of the region is memory that nothing uses, inside the direct map.
unsafe fn release(region: MemoryRegion, reserved: &[MemoryRegion]) {
    let start = region.start.max(LOW_MEMORY);
    let Some((hole, others)) = reserved.split_first() else {
        if start < region.end {
            // SAFETY: by the caller.
            unsafe { frames::add(start, region.end) };
        }
        return;
    };
    if hole.start >= hole.end {
        // SAFETY: by the caller.
        return unsafe { release(region, others) };
    }
    let before = MemoryRegion { start, end: region.end.min(hole.start) };
    let after = MemoryRegion { start: start.max(hole.end), end: region.end };
    for part in [before, after] {
        if part.start < part.end {
            // SAFETY: by the caller.
            unsafe { release(part, others) };
        }
    }
}
