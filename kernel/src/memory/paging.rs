//! The kernel's half of the page tables, shared by all address spaces.

use core::ptr::addr_of;

use abi::boot::{DIRECT_MAP, KERNEL_BASE};
use spin::Once;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::{PageTable, PageTableFlags as Flags, PhysFrame};
use x86_64::{PhysAddr, VirtAddr};

use super::{direct_map, heap, image};

/// Physical memory below this is mapped by the boot page tables.
pub(super) const BOOT_MAPPED: u64 = 1 << 30;

const GIB: u64 = 1 << 30;
/// Between 3 and 4 GiB lie the registers of devices; no VMM puts memory there.
const DEVICES: u64 = 3 * GIB;
const LARGE_PAGE: u64 = 2 << 20;

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
}

/// The root table of the kernel itself: its lower half is empty.
static KERNEL_ROOT: Once<PhysAddr> = Once::new();

/// Builds the kernel's half for memory up to physical address `top`, and switches to it.
///
/// # Safety
/// Called once, at boot; physical memory below [`BOOT_MAPPED`] is mapped.
pub(super) unsafe fn init(top: u64) {
    let root = new_table();
    // SAFETY: new tables are ours, and every address below is mapped as the boot tables do,
    // only with fewer rights.
    unsafe {
        map_direct(root, top.max(DEVICES + GIB));
        map_image(root);
        activate(root);
    }
    KERNEL_ROOT.call_once(|| root);
}

/// The root table whose lower half is empty: for threads without an application.
pub(crate) fn kernel_root() -> PhysAddr {
    *KERNEL_ROOT.get().expect("paging is initialised first")
}

/// Makes `root` the current root table.
///
/// # Safety
/// It maps the kernel's half as [`kernel_root`] does.
pub(crate) unsafe fn activate(root: PhysAddr) {
    // SAFETY: by the caller.
    unsafe { Cr3::write(PhysFrame::containing_address(root), Cr3Flags::empty()) };
}

/// The table at physical address `address`.
///
/// # Safety
/// It is a page table, and no other reference to it lives.
pub(super) unsafe fn table<'a>(address: PhysAddr) -> &'a mut PageTable {
    // SAFETY: by the caller; tables lie in the direct map.
    unsafe { &mut *direct_map(address).cast::<PageTable>() }
}

fn new_table() -> PhysAddr {
    heap::zeroed_frame().expect("the machine has memory for its first page tables")
}

/// The table that entry `index` of `parent` points to; made when there is none.
///
/// # Safety
/// As [`table`].
unsafe fn next<'a>(parent: PhysAddr, index: u64) -> (PhysAddr, &'a mut PageTable) {
    // SAFETY: by the caller.
    let entry = unsafe { &mut table(parent)[index as usize] };
    if entry.is_unused() {
        entry.set_addr(new_table(), Flags::PRESENT | Flags::WRITABLE);
    }
    // SAFETY: by the caller.
    (entry.addr(), unsafe { table(entry.addr()) })
}

const fn index(address: u64, level: u32) -> u64 {
    address >> (12 + 9 * (level - 1)) & 511
}

/// Maps all memory, and the devices' registers uncached, at [`DIRECT_MAP`].
///
/// # Safety
/// As [`init`].
unsafe fn map_direct(root: PhysAddr, top: u64) {
    let cpuid = core::arch::x86_64::__cpuid(0x8000_0001);
    let gigabyte_pages = cpuid.edx & (1 << 26) != 0;
    let mut at = 0;
    while at < top {
        let mut flags =
            Flags::PRESENT | Flags::WRITABLE | Flags::HUGE_PAGE | Flags::NO_EXECUTE | Flags::GLOBAL;
        if at == DEVICES {
            flags |= Flags::NO_CACHE | Flags::WRITE_THROUGH;
        }
        // SAFETY: by the caller.
        let (pointers, table) = unsafe { next(root, index(DIRECT_MAP + at, 4)) };
        if gigabyte_pages {
            table[index(DIRECT_MAP + at, 3) as usize].set_addr(PhysAddr::new(at), flags);
        } else {
            // SAFETY: by the caller.
            let (_, directory) = unsafe { next(pointers, index(DIRECT_MAP + at, 3)) };
            for (page, entry) in (0..).zip(directory.iter_mut()) {
                entry.set_addr(PhysAddr::new(at + page * LARGE_PAGE), flags);
            }
        }
        at += GIB;
    }
}

/// Maps the kernel's image: code read-only, constants read-only, data not executable.
///
/// # Safety
/// As [`init`].
unsafe fn map_image(root: PhysAddr) {
    let code = VirtAddr::from_ptr(addr_of!(__text_start))..VirtAddr::from_ptr(addr_of!(__text_end));
    let constants = code.end..VirtAddr::from_ptr(addr_of!(__rodata_end));
    let mut at = image().start.as_u64();
    while at < image().end.as_u64() {
        let address = VirtAddr::new(at);
        let access = if code.contains(&address) {
            Flags::empty()
        } else if constants.contains(&address) {
            Flags::NO_EXECUTE
        } else {
            Flags::NO_EXECUTE | Flags::WRITABLE
        };
        // SAFETY: by the caller.
        unsafe {
            let (pointers, _) = next(root, index(at, 4));
            let (directory, _) = next(pointers, index(at, 3));
            let (_, table) = next(directory, index(at, 2));
            table[index(at, 1) as usize]
                .set_addr(PhysAddr::new(at - KERNEL_BASE), Flags::PRESENT | Flags::GLOBAL | access);
        }
        at += 4096;
    }
}
