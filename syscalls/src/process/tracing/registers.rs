//! The registers as debuggers see them: `struct user_regs_struct`, debug registers.

use abi::core_dump::UserRegisters;
use abi::signal::{USER_CS, USER_DS};
use abi::{Errno, TASK_SIZE};

use crate::error::{Because, Result};
use crate::machine::{DebugRegisters, Registers, Thread};

/// TF of the flags.
pub(super) const TRAP_FLAG: u64 = 0x100;
/// Flags that a tracer can set: CF, PF, AF, ZF, SF, TF, DF, OF, NT, RF, AC.
const SETTABLE_FLAGS: u64 = 0x5_4dd5;

/// What of DR6 is always set.
pub(super) const STATUS_FIXED: u64 = 0xffff_0ff0;
/// What of DR7 cannot be set; GD among it, which guards the registers from the kernel.
pub(super) const CONTROL_RESERVED: u64 = 0xffff_ffff_0000_fc00;
/// DR7: two bits for each place that say whether it counts.
const PLACES: u64 = 0xff;

/// The registers of a thread, as debuggers see them. The segments are those of an application
/// on Linux, for debuggers tell by them which kind of program it is.
pub(crate) fn user_registers(r: &Registers, machine: &dyn Thread) -> UserRegisters {
    UserRegisters {
        r15: r.r15,
        r14: r.r14,
        r13: r.r13,
        r12: r.r12,
        rbp: r.rbp,
        rbx: r.rbx,
        r11: r.r11,
        r10: r.r10,
        r9: r.r9,
        r8: r.r8,
        rax: r.rax,
        rcx: r.rcx,
        rdx: r.rdx,
        rsi: r.rsi,
        rdi: r.rdi,
        orig_rax: r.orig_rax,
        rip: r.rip,
        cs: u64::from(USER_CS),
        rflags: r.rflags,
        rsp: r.rsp,
        ss: u64::from(USER_DS),
        fs_base: machine.fs_base(),
        gs_base: machine.gs_base(),
        ..UserRegisters::default()
    }
}

/// The registers that a tracer wants in place of `old`.
///
/// # Errors
/// `EIO` for segments and bases that cannot be.
pub(super) fn checked(old: &Registers, new: &UserRegisters) -> Result<Registers> {
    let segments = [new.cs, new.ss, new.ds, new.es, new.fs, new.gs];
    let data = u64::from(USER_DS);
    let are_own = segments[..2] == [u64::from(USER_CS), data]
        && segments[2..].iter().all(|&one| one == 0 || one == data);
    if !are_own || new.fs_base >= TASK_SIZE || new.gs_base >= TASK_SIZE {
        return Err(Errno::EIO.because("no such segment"));
    }
    Ok(Registers {
        r15: new.r15,
        r14: new.r14,
        r13: new.r13,
        r12: new.r12,
        rbp: new.rbp,
        rbx: new.rbx,
        r11: new.r11,
        r10: new.r10,
        r9: new.r9,
        r8: new.r8,
        rax: new.rax,
        rcx: new.rcx,
        rdx: new.rdx,
        rsi: new.rsi,
        rdi: new.rdi,
        orig_rax: new.orig_rax,
        rip: new.rip,
        rflags: old.rflags & !SETTABLE_FLAGS | new.rflags & SETTABLE_FLAGS,
        rsp: new.rsp,
    })
}

/// The kind of accesses to place `number` that count, and how many bytes it has.
fn kind_and_len(control: u64, number: usize) -> (u64, u64) {
    let bits = control >> (16 + 4 * number);
    let len = match bits >> 2 & 3 {
        0 => 1,
        1 => 2,
        2 => 8,
        _ => 4,
    };
    (bits & 3, len)
}

/// Whether place `number` counts.
fn is_enabled(control: u64, number: usize) -> bool {
    control >> (2 * number) & 3 != 0
}

/// Fails where one of the places that count, or `changed`, cannot be watched.
///
/// # Errors
/// `EINVAL`.
pub(super) fn check_watched(registers: &DebugRegisters, changed: Option<usize>) -> Result<()> {
    const EXECUTION: u64 = 0;
    const PORTS: u64 = 2;
    for (number, &address) in registers.addresses.iter().enumerate() {
        let counts = is_enabled(registers.control, number);
        let (kind, len) = kind_and_len(registers.control, number);
        let end = address.checked_add(len - 1);
        if (counts || changed == Some(number)) && end.is_none_or(|end| end >= TASK_SIZE) {
            return Err(Errno::EINVAL.because("not an address of the application"));
        }
        if !counts {
            continue;
        }
        if kind == PORTS || (kind == EXECUTION && len != 1) {
            return Err(Errno::EINVAL.because("no such kind of access"));
        }
        if address & (len - 1) != 0 {
            return Err(Errno::EINVAL.because("the address is not aligned"));
        }
    }
    Ok(())
}

/// What the processor is told: nothing at all where no place counts.
pub(super) fn effective_control(control: u64) -> u64 {
    if control & PLACES == 0 { 0 } else { control }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(address: u64, control: u64) -> Result<()> {
        check_watched(&DebugRegisters { addresses: [address, 0, 0, 0], control }, Some(0))
    }

    #[test]
    fn only_what_the_processor_can_watch_is_watched() {
        assert!(watched(0x1001, 0x1).is_ok());
        assert!(watched(0x1000, 0xd_0001).is_ok());
        assert!(watched(0x1002, 0xd_0001).is_err());
        assert!(watched(0x1000, 0xc_0001).is_err());
        assert!(watched(0x1000, 0x2_0001).is_err());
        assert!(watched(TASK_SIZE, 0).is_err());
        assert!(watched(TASK_SIZE - 2, 0xd_0001).is_err());
        assert!(watched(u64::MAX, 0x1).is_err());
    }

    #[test]
    fn a_tracer_changes_no_segment_and_no_flag_of_the_system() {
        let old = Registers { rflags: 0x202, ..Registers::default() };
        let seen = UserRegisters { cs: 0x33, ss: 0x2b, rflags: u64::MAX, ..Default::default() };
        assert_eq!(checked(&old, &seen).unwrap().rflags, 0x5_4fd7);
        assert!(checked(&old, &UserRegisters { cs: 8, ..seen }).is_err());
        assert!(checked(&old, &UserRegisters { fs_base: TASK_SIZE, ..seen }).is_err());
    }
}
