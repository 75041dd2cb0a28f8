//! Copies from and to application memory that survive a page fault.
//!
//! Each instruction that may fault has an entry in the table of fixups: the address of the
//! instruction and where to go on. The page fault handler looks there ([`fixup`]) before it
//! calls a fault of the kernel a bug. String instructions leave `rsi`, `rdi` and `rcx` at the
//! element that faulted, so the routine knows exactly how far it came: words are tried first,
//! and after a fault the rest byte by byte up to the first bad one.

use core::arch::{asm, global_asm};
use core::ptr::addr_of;

use x86_64::VirtAddr;

#[repr(C)]
struct Fixup {
    instruction: u64,
    go_on: u64,
}

unsafe extern "C" {
    static __fixups_start: Fixup;
    static __fixups_end: Fixup;

    /// Copies `len` bytes; returns how many could not be copied.
    fn copy_with_fixup(to: *mut u8, from: *const u8, len: usize) -> usize;
    /// Loads a word into `*value`; returns 0, or 1 after a fault.
    fn load_with_fixup(address: *const u32, value: *mut u32) -> usize;
    /// `cmpxchg`: `*current` becomes what was there; returns 0, or 1 after a fault.
    fn exchange_with_fixup(address: *mut u32, current: *mut u32, new: u32) -> usize;
}

global_asm!(
    r#"
    .macro fixup at, to
    .pushsection .fixups, "a"
    .quad \at, \to
    .popsection
    .endm

    .section .text.copy_with_fixup, "ax"
    .global copy_with_fixup
copy_with_fixup:
    mov rcx, rdx
    and edx, 7
    shr rcx, 3
20: rep movsq
    mov ecx, edx
21: rep movsb
    xor eax, eax
    ret
22: // A word faulted: what is left, byte by byte.
    lea rcx, [rdx + rcx * 8]
23: rep movsb
24: mov rax, rcx
    ret
    fixup 20b, 22b
    fixup 21b, 24b
    fixup 23b, 24b

    .global load_with_fixup
load_with_fixup:
20: mov eax, [rdi]
    mov [rsi], eax
    xor eax, eax
    ret
21: mov eax, 1
    ret
    fixup 20b, 21b

    .global exchange_with_fixup
exchange_with_fixup:
    mov eax, [rsi]
20: lock cmpxchg [rdi], edx
    mov [rsi], eax
    xor eax, eax
    ret
21: mov eax, 1
    ret
    fixup 20b, 21b
    "#
);

/// Where the kernel goes on after a page fault at `instruction`, if it was expected.
pub(crate) fn fixup(instruction: VirtAddr) -> Option<VirtAddr> {
    let mut entry = addr_of!(__fixups_start);
    let end = addr_of!(__fixups_end);
    while entry < end {
        // SAFETY: the linker script puts whole entries between the two symbols.
        let fixup = unsafe { &*entry };
        if fixup.instruction == instruction.as_u64() {
            return Some(VirtAddr::new_truncate(fixup.go_on));
        }
        // SAFETY: as above.
        entry = unsafe { entry.add(1) };
    }
    None
}

/// Copies memory that may fault on either side; returns how many bytes could not be copied.
///
/// # Safety
/// Where the memory is mapped, reading and writing it must be harmless.
pub(crate) unsafe fn faulting(to: *mut u8, from: *const u8, len: usize) -> usize {
    // SAFETY: by the caller.
    unsafe { copy_with_fixup(to, from, len) }
}

/// Loads a word that may fault; `None` when it did.
///
/// # Safety
/// As [`faulting`].
pub(crate) unsafe fn load(address: *const u32) -> Option<u32> {
    let mut value = 0;
    // SAFETY: by the caller.
    (unsafe { load_with_fixup(address, &raw mut value) } == 0).then_some(value)
}

/// Compares and exchanges a word that may fault: what it was, or `None` when it faulted.
///
/// # Safety
/// As [`faulting`].
pub(crate) unsafe fn compare_exchange(address: *mut u32, current: u32, new: u32) -> Option<u32> {
    let mut value = current;
    // SAFETY: by the caller.
    (unsafe { exchange_with_fixup(address, &raw mut value, new) } == 0).then_some(value)
}

/// Copies memory that the application may change at the same time.
///
/// # Safety
/// Both sides are mapped kernel memory of that length, and do not overlap.
pub(crate) unsafe fn plain(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: by the caller; the instructions have no opinion about races.
    unsafe {
        asm!(
            "mov rcx, {len}",
            "shr rcx, 3",
            "rep movsq",
            "mov ecx, {len:e}",
            "and ecx, 7",
            "rep movsb",
            len = in(reg) len,
            inout("rdi") to => _,
            inout("rsi") from => _,
            out("rcx") _,
            options(nostack),
        );
    }
}
