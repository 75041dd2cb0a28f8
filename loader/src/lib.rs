//! Linux program files turned into plans: what to map where, what to put on the stack.
//!
//! Nothing here touches memory, page tables or files: bytes go in, descriptions come out.
//! The kernel's personality carries the plans out, the launcher uses the same code to refuse
//! a bad program before it boots anything.
//!
//! - [`elf`]: an ELF file as a list of mappings, with entry point and interpreter
//! - [`stack`]: the bytes of a new process's stack: arguments, environment, auxiliary vector
//! - [`script`]: the first line of a script
//! - [`symbols`] and [`unwind`]: function names and callers, for reports of dead programs
//! - [`archive`]: the cpio archive that carries the root file system, read and written
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod archive;
pub mod elf;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod script;
pub mod stack;
pub mod symbols;
pub mod unwind;

/// Longest path name, in bytes, with its terminating NUL (`PATH_MAX` of limits.h).
pub const PATH_MAX: usize = 4096;

/// Lowest address an application may map (`vm.mmap_min_addr`, see proc_sys_vm(5)), so that
/// a null pointer with a small offset always faults.
pub const MMAP_MIN_ADDR: u64 = 0x1_0000;

const PAGE: u64 = abi::PAGE_SIZE as u64;

const fn page_down(address: u64) -> u64 {
    address & !(PAGE - 1)
}

/// Rounds up to a page; `None` on overflow.
const fn page_up(address: u64) -> Option<u64> {
    match address.checked_add(PAGE - 1) {
        Some(end) => Some(page_down(end)),
        None => None,
    }
}
