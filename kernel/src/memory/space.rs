//! The application's address spaces: the lower half of the page tables.

use alloc::sync::Arc;
use core::ops::{Range, RangeInclusive};

use abi::{PAGE_SIZE, TASK_SIZE};
use spin::Mutex;
use syscalls::machine::{Access, Fault, OutOfMemory, Page, Space};
use x86_64::instructions::tlb;
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::page_table::PageTableEntry;
use x86_64::structures::paging::{PageTable, PageTableFlags as Flags};
use x86_64::{PhysAddr, VirtAddr};

use super::paging::{activate, kernel_root, table};
use super::{copy, direct_map, frames, heap};

/// Above this many pages a change flushes the whole translation cache at once.
const FLUSH_ALL_ABOVE: u64 = 32;

/// Level of a root table; the entries of level 1 map pages.
const ROOT_LEVEL: u32 = 4;

/// Entries of a root table that belong to the application.
const LOWER_HALF: usize = 256;

/// An address space of the application.
pub(crate) struct PageTables {
    /// Physical address of the root table; the lock guards all tables below it.
    root: Mutex<PhysAddr>,
    root_address: PhysAddr,
}

impl PageTables {
    /// An address space whose lower half is empty.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        let root = heap::zeroed_frame().ok_or(OutOfMemory)?;
        // SAFETY: the new table is ours; the kernel's root table is only read, and its upper
        // half never changes after boot.
        unsafe {
            let kernel = direct_map(kernel_root()).cast::<PageTable>();
            let (new, kernel) = (table(root), &*kernel);
            for index in LOWER_HALF..512 {
                new[index] = kernel[index].clone();
            }
        }
        Ok(Self { root: Mutex::new(root), root_address: root })
    }

    /// Physical address of the root table.
    pub(crate) fn root(&self) -> PhysAddr {
        self.root_address
    }

    fn is_active(&self) -> bool {
        Cr3::read().0.start_address() == self.root_address
    }

    /// Forgets cached translations of `range`.
    fn flush(&self, range: &Range<u64>) {
        if !self.is_active() {
            return;
        }
        if (range.end - range.start) / PAGE_SIZE as u64 > FLUSH_ALL_ABOVE {
            tlb::flush_all();
            return;
        }
        for address in range.clone().step_by(PAGE_SIZE) {
            tlb::flush(VirtAddr::new_truncate(address));
        }
    }

    /// Calls `change` with every entry in use that maps a page of `range`.
    fn each(&self, range: &Range<u64>, mut change: impl FnMut(&mut PageTableEntry)) {
        let root = self.root.lock();
        // SAFETY: the lock makes the tables ours.
        unsafe { each_in(*root, ROOT_LEVEL, range, &mut change) };
    }

    /// Copies piecewise by the tables: for an address space that is not the current one.
    fn copy_by_tables(
        &self,
        address: u64,
        len: usize,
        need: Flags,
        mut copy: impl FnMut(*mut u8, usize, usize),
    ) -> Result<(), Fault> {
        let mut done = 0;
        while done < len {
            let at = address + done as u64;
            let part = (PAGE_SIZE - at as usize % PAGE_SIZE).min(len - done);
            let mut found = None;
            let page = at / PAGE_SIZE as u64 * PAGE_SIZE as u64;
            self.each(&(page..page + PAGE_SIZE as u64), |entry| {
                if entry.flags().contains(need) {
                    found = Some(entry.addr());
                }
            });
            let frame = found.ok_or(Fault { address: at })?;
            copy((direct_map(frame) as usize + at as usize % PAGE_SIZE) as *mut u8, done, part);
            done += part;
        }
        Ok(())
    }

    /// Copies from kernel memory to the application.
    fn copy_out(&self, address: u64, from: *const u8, len: usize) -> Result<(), Fault> {
        let len_in_range = in_range(address, len);
        if self.is_active() {
            // SAFETY: the target is below TASK_SIZE, so it is application memory or faults.
            let left = unsafe { copy::faulting(address as *mut u8, from, len_in_range) };
            fault_unless_done(address, len, len_in_range - left)
        } else {
            let need = Flags::PRESENT | Flags::WRITABLE;
            self.copy_by_tables(address, len_in_range, need, |to, done, part| {
                // SAFETY: `to` is `part` bytes of a mapped frame, `from` holds `len` bytes.
                unsafe { copy::plain(to, from.add(done), part) };
            })?;
            fault_unless_done(address, len, len_in_range)
        }
    }

    /// Copies from the application to kernel memory.
    fn copy_in(&self, address: u64, to: *mut u8, len: usize) -> Result<(), Fault> {
        let len_in_range = in_range(address, len);
        if self.is_active() {
            // SAFETY: as in `copy_out`.
            let left = unsafe { copy::faulting(to, address as *const u8, len_in_range) };
            fault_unless_done(address, len, len_in_range - left)
        } else {
            self.copy_by_tables(address, len_in_range, Flags::PRESENT, |from, done, part| {
                // SAFETY: as in `copy_out`.
                unsafe { copy::plain(to.add(done), from, part) };
            })?;
            fault_unless_done(address, len, len_in_range)
        }
    }
}

/// How many of `len` bytes at `address` lie below the end of the application's half.
fn in_range(address: u64, len: usize) -> usize {
    usize::try_from(TASK_SIZE.saturating_sub(address)).map_or(len, |room| room.min(len))
}

fn fault_unless_done(address: u64, len: usize, done: usize) -> Result<(), Fault> {
    if done == len { Ok(()) } else { Err(Fault { address: address.wrapping_add(done as u64) }) }
}

/// The bytes `offset..offset + len` of a page.
fn page_bytes(page: &dyn Page, offset: usize, len: usize) -> *mut u8 {
    assert!(offset <= PAGE_SIZE && len <= PAGE_SIZE - offset, "copy beyond a page");
    (direct_map(PhysAddr::new_truncate(page.frame() * PAGE_SIZE as u64)) as usize + offset)
        as *mut u8
}

fn flags_of(access: Access) -> Flags {
    Flags::PRESENT
        | match access {
            Access::Read => Flags::NO_EXECUTE,
            Access::ReadWrite => Flags::NO_EXECUTE | Flags::WRITABLE,
            Access::ReadExecute => Flags::empty(),
            Access::ReadWriteExecute => Flags::WRITABLE,
        }
}

const fn span(level: u32) -> u64 {
    1 << (12 + 9 * (level - 1))
}

/// Calls `visit` with the numbers and the entries in use among `numbers` of a table. Most of a
/// table is empty: eight empty entries are passed over at once.
fn each_used(
    entries: &mut PageTable,
    numbers: RangeInclusive<u64>,
    mut visit: impl FnMut(u64, &mut PageTableEntry),
) {
    const STRIDE: u64 = 8;
    let (mut number, last) = numbers.into_inner();
    while number <= last {
        let index = (number & 511) as usize;
        if number.is_multiple_of(STRIDE) && last - number >= STRIDE - 1 {
            let next = (0..STRIDE as usize).map(|offset| &entries[index + offset]);
            if next.fold(0, |bits, entry| bits | entry.addr().as_u64() | entry.flags().bits()) == 0
            {
                number += STRIDE;
                continue;
            }
        }
        if !entries[index].is_unused() {
            visit(number, &mut entries[index]);
        }
        number += 1;
    }
}

/// The numbers of the entries of level `level`, counted from address 0, that `range` touches.
fn numbers_in(range: &Range<u64>, level: u32) -> RangeInclusive<u64> {
    range.start / span(level)..=(range.end - 1) / span(level)
}

/// What entry `number` of level `level` spans of `range`.
fn part_of(range: &Range<u64>, number: u64, level: u32) -> Range<u64> {
    (number * span(level)).max(range.start)..((number + 1) * span(level)).min(range.end)
}

/// Calls `change` with the entries in use of the table at `at` that map pages of `range`.
///
/// # Safety
/// `at` is a table of that level, and the caller has it to itself.
unsafe fn each_in(
    at: PhysAddr,
    level: u32,
    range: &Range<u64>,
    change: &mut impl FnMut(&mut PageTableEntry),
) {
    // SAFETY: by the caller.
    let entries = unsafe { table(at) };
    each_used(entries, numbers_in(range, level), |number, entry| {
        if level == 1 {
            change(entry);
        } else {
            // SAFETY: a used entry above the last level points to a table.
            unsafe { each_in(entry.addr(), level - 1, &part_of(range, number, level), change) };
        }
    });
}

/// Unmaps the pages of `range`, and frees the tables that map nothing else. Returns whether
/// anything was mapped.
///
/// # Safety
/// As [`each_in`]; the caller flushes the translation cache before a freed frame is used.
unsafe fn unmap_in(at: PhysAddr, level: u32, range: &Range<u64>) -> bool {
    let mut changed = false;
    // SAFETY: by the caller.
    let entries = unsafe { table(at) };
    each_used(entries, numbers_in(range, level), |number, entry| {
        let part = part_of(range, number, level);
        if level == 1 || part.end - part.start == span(level) {
            // SAFETY: a used entry above the last level points to a table.
            unsafe { free_below(entry, level) };
            entry.set_unused();
            changed = true;
        } else {
            // SAFETY: as above.
            changed |= unsafe { unmap_in(entry.addr(), level - 1, &part) };
        }
    });
    changed
}

/// Frees the table that `entry`, of level `level`, points to, and those below it.
///
/// # Safety
/// Nobody uses them any more.
unsafe fn free_below(entry: &PageTableEntry, level: u32) {
    if level == 1 {
        return;
    }
    if level > 2 {
        // SAFETY: by the caller; a used entry above the last level points to a table.
        let entries = unsafe { table(entry.addr()) };
        // SAFETY: by the caller.
        each_used(entries, 0..=511, |_, below| unsafe { free_below(below, level - 1) });
    }
    // SAFETY: by the caller; tables come from the frame allocator.
    unsafe { frames::free(entry.addr()) };
}

/// The last-level entry for `address`, its tables made where they are missing.
///
/// # Safety
/// As [`each_in`], for the root table.
unsafe fn entry_for<'a>(
    root: PhysAddr,
    address: u64,
) -> Result<&'a mut PageTableEntry, OutOfMemory> {
    let mut at = root;
    for level in [4, 3, 2] {
        let index = (address / span(level)) & 511;
        // SAFETY: by the caller.
        let entry = unsafe { &mut table(at)[index as usize] };
        if entry.is_unused() {
            let new = heap::zeroed_frame().ok_or(OutOfMemory)?;
            entry.set_addr(new, Flags::PRESENT | Flags::WRITABLE);
        }
        at = entry.addr();
    }
    // SAFETY: by the caller.
    Ok(unsafe { &mut table(at)[((address / span(1)) & 511) as usize] })
}

impl Space for PageTables {
    fn map(&self, address: u64, page: &dyn Page, access: Access) -> Result<(), OutOfMemory> {
        debug_assert!(address < TASK_SIZE && address.is_multiple_of(PAGE_SIZE as u64));
        let root = self.root.lock();
        // SAFETY: the lock makes the tables ours.
        let entry = unsafe { entry_for(*root, address)? };
        let replaces = !entry.is_unused();
        let frame = PhysAddr::new_truncate(page.frame() * PAGE_SIZE as u64);
        entry.set_addr(frame, flags_of(access));
        if replaces {
            self.flush(&(address..address + PAGE_SIZE as u64));
        }
        Ok(())
    }

    fn protect(&self, range: Range<u64>, access: Access) {
        if range.is_empty() {
            return;
        }
        let mut changed = false;
        self.each(&range, |entry| {
            entry.set_flags(flags_of(access));
            changed = true;
        });
        if changed {
            self.flush(&range);
        }
    }

    fn unmap(&self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let root = self.root.lock();
        // SAFETY: the lock makes the tables ours, and the cache is flushed below.
        if unsafe { unmap_in(*root, ROOT_LEVEL, &range) } {
            self.flush(&range);
        }
    }

    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Fault> {
        self.copy_in(address, to.as_mut_ptr(), to.len())
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Fault> {
        self.copy_out(address, from.as_ptr(), from.len())
    }

    fn read_to_page(
        &self,
        address: u64,
        page: &dyn Page,
        offset: usize,
        len: usize,
    ) -> Result<(), Fault> {
        self.copy_in(address, page_bytes(page, offset, len), len)
    }

    fn write_from_page(
        &self,
        address: u64,
        page: &dyn Page,
        offset: usize,
        len: usize,
    ) -> Result<(), Fault> {
        self.copy_out(address, page_bytes(page, offset, len), len)
    }

    fn load_u32(&self, address: u64) -> Result<u32, Fault> {
        let mut bytes = [0; 4];
        if !self.is_active() || in_range(address, 4) < 4 {
            self.read(address, &mut bytes)?;
            return Ok(u32::from_ne_bytes(bytes));
        }
        // SAFETY: below TASK_SIZE: application memory or a fault.
        unsafe { copy::load(address as *const u32) }.ok_or(Fault { address })
    }

    fn compare_exchange_u32(&self, address: u64, current: u32, new: u32) -> Result<u32, Fault> {
        if in_range(address, 4) < 4 || !self.is_active() {
            // Only the thread that runs in an address space changes its words.
            return Err(Fault { address });
        }
        // SAFETY: below TASK_SIZE: application memory or a fault.
        unsafe { copy::compare_exchange(address as *mut u32, current, new) }
            .ok_or(Fault { address })
    }
}

impl Drop for PageTables {
    fn drop(&mut self) {
        let root = *self.root.lock();
        // The service thread may be running on them: it needs none of its own.
        let is_active = self.is_active();
        // SAFETY: the last handle: no other thread uses these tables, and then none does.
        unsafe {
            if is_active {
                activate(kernel_root());
            }
            unmap_in(root, ROOT_LEVEL, &(0..LOWER_HALF as u64 * span(ROOT_LEVEL)));
            frames::free(root);
        }
    }
}

/// The root table of an address space of this machine.
pub(crate) fn root_of(space: &Arc<dyn Space>) -> PhysAddr {
    // SAFETY: `PageTables` is the only implementation of `Space` in the kernel.
    unsafe { (*Arc::as_ptr(space).cast::<PageTables>()).root() }
}
