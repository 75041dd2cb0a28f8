//! Per-CPU data, reached through GS while the kernel runs.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ptr::null;

use x86_64::VirtAddr;
use x86_64::registers::model_specific::{GsBase, KernelGsBase};

use crate::sched::Thread;

/// Data of one processor. The entry code knows the offsets of the first fields.
#[repr(C)]
pub(crate) struct Local {
    /// Address of this structure.
    this: *const Local,
    /// Top of the current thread's kernel stack.
    pub kernel_stack: u64,
    /// The application's stack pointer while an entry saves registers.
    user_stack: u64,
    /// The current thread's published answers ([`super::entry::ANSWERS`] of them).
    pub answers: *const u64,
    /// `rcx` while the lean path looks an answer up.
    scratch: u64,
    /// The current thread.
    pub thread: *const Thread,
    /// The thread whose extended state is in the registers.
    pub extended_state_owner: *const Thread,
    /// Whether [`crate::sched::attend`] has something to do: a thread became runnable, or the
    /// current thread must pass through the personality.
    pub attend: bool,
    /// How many more entries into the kernel go by unmeasured.
    pub until_sample: u32,
}

/// Offset of [`Local::kernel_stack`].
pub(crate) const KERNEL_STACK: usize = offset_of!(Local, kernel_stack);
/// Offset of the saved application stack pointer.
pub(crate) const USER_STACK: usize = offset_of!(Local, user_stack);
/// Offset of [`Local::answers`].
pub(crate) const ANSWERS: usize = offset_of!(Local, answers);
/// Offset of the scratch word.
pub(crate) const SCRATCH: usize = offset_of!(Local, scratch);

struct BootLocal(UnsafeCell<Local>);

// SAFETY: only its own processor touches it, through `current`.
unsafe impl Sync for BootLocal {}

static BOOT: BootLocal = BootLocal(UnsafeCell::new(Local {
    this: null(),
    kernel_stack: 0,
    user_stack: 0,
    answers: null(),
    scratch: 0,
    thread: null(),
    extended_state_owner: null(),
    attend: false,
    until_sample: 0,
}));

/// Points GS to this processor's data.
///
/// # Safety
/// Called once, on the boot processor.
pub(crate) unsafe fn init() {
    let local = BOOT.0.get();
    // SAFETY: nothing else uses it yet.
    unsafe { (*local).this = local };
    GsBase::write(VirtAddr::from_ptr(local));
    KernelGsBase::write(VirtAddr::zero());
}

/// This processor's data.
pub(crate) fn current() -> *mut Local {
    let this: *mut Local;
    // SAFETY: in the kernel, GS points to the structure, whose first field is its address.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) this, options(nostack, pure, readonly, preserves_flags))
    };
    this
}
