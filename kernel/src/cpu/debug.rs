//! Debug registers: what the processor watches (SDM volume 3, 18.2).

use core::arch::asm;

use syscalls::machine::DebugRegisters;

/// Vector of the debug exception.
pub(crate) const VECTOR: u64 = 1;

/// DR6 when nothing has happened.
const NOTHING: u64 = 0xffff_0ff0;
/// The bit of DR7 that is always set.
const FIXED: u64 = 0x400;
/// RF of the flags: the instruction is executed although it is watched.
const RESUME_FLAG: u64 = 1 << 16;

/// Lets the processor watch these places.
pub(crate) fn load(registers: &DebugRegisters) {
    let [a, b, c, d] = registers.addresses;
    // SAFETY: the addresses are the application's, which the kernel does not execute, and its
    // own accesses to them go on after the exception (`traps`).
    unsafe {
        if registers.control != 0 {
            asm!("mov dr0, {}", in(reg) a, options(nostack, nomem, preserves_flags));
            asm!("mov dr1, {}", in(reg) b, options(nostack, nomem, preserves_flags));
            asm!("mov dr2, {}", in(reg) c, options(nostack, nomem, preserves_flags));
            asm!("mov dr3, {}", in(reg) d, options(nostack, nomem, preserves_flags));
        }
        let control = registers.control | FIXED;
        asm!("mov dr7, {}", in(reg) control, options(nostack, nomem, preserves_flags));
    }
}

/// Takes what the debug exception is about (DR6), and lets an instruction that was stopped
/// because it is watched go on once: `flags` are those it is executed with next.
pub(crate) fn take_causes(flags: &mut u64) -> u64 {
    let (causes, control): (u64, u64);
    // SAFETY: reading them, and clearing DR6, has no other effect.
    unsafe {
        asm!("mov {}, dr6", out(reg) causes, options(nostack, nomem, preserves_flags));
        asm!("mov {}, dr7", out(reg) control, options(nostack, nomem, preserves_flags));
        asm!("mov dr6, {}", in(reg) NOTHING, options(nostack, nomem, preserves_flags));
    }
    let is_execution = |place: &u32| control >> (16 + 4 * place) & 3 == 0;
    if (0..4).filter(|place| causes >> place & 1 != 0).any(|place| is_execution(&place)) {
        *flags |= RESUME_FLAG;
    }
    causes
}
