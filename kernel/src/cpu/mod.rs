//! The processor: descriptor tables, entries, per-CPU data, extended state.
//!
//! Application and kernel both run at ring 0, so "who was interrupted" is decided by
//! addresses, and every gate uses a stack of the interrupt stack table: without, an interrupt
//! would push its frame into the application's red zone.

pub(crate) mod debug;
pub(crate) mod entry;
pub(crate) mod extended_state;
pub(crate) mod local;
pub(crate) mod registers;
mod tables;
pub(crate) mod traps;

/// Sets the processor up: features, descriptor tables, per-CPU data, system call entry.
///
/// # Safety
/// Called once for each processor, with interrupts off.
pub(crate) unsafe fn init() {
    // SAFETY: by the caller.
    unsafe {
        registers::enable_features();
        tables::load();
        local::init();
        entry::init();
    }
}

/// The stack of an interrupt stack table entry, or of a thread: 16-byte aligned.
#[repr(C, align(16))]
pub(crate) struct Stack<const SIZE: usize>(pub [u8; SIZE]);
