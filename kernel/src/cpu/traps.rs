//! What the entry code calls: system calls, traps and interrupts.

use syscalls::machine::{Flow, Registers, Trap};
use x86_64::VirtAddr;
use x86_64::registers::control::Cr2;
use x86_64::registers::rflags::RFlags;

use super::debug;
use super::entry::{Frame, LEAVE_FAST, LEAVE_RESTORING};
use crate::drivers::interrupts;
use crate::memory::{copy, frames};
use crate::sched;

const PAGE_FAULT: u64 = 14;
const GENERAL_PROTECTION: u8 = 13;
/// Vectors from here on are interrupts.
const FIRST_INTERRUPT: u64 = 32;
/// Set by the entry code when `int n` raised a vector that has an error code.
const SOFTWARE: u64 = 0x100;
/// Length of the instruction `int n`.
const INT_LEN: u64 = 2;

/// A system call of the application.
///
/// # Safety
/// Called by the entry code only, with the frame at the top of the current thread's stack.
#[unsafe(no_mangle)]
unsafe extern "sysv64" fn application_syscall(frame: *mut Frame) -> u64 {
    // SAFETY: by the caller; nothing else refers to the frame meanwhile.
    let registers = unsafe { &mut (*frame).registers };
    let task = sched::current_task();
    let sample = sched::begin_sample();
    let flow = if frames::are_critical() {
        task.out_of_memory(registers)
    } else {
        task.syscall(registers)
    };
    sched::end_sample(sample);
    match flow {
        Flow::Return => {
            if sched::attend(registers) {
                LEAVE_RESTORING
            } else {
                LEAVE_FAST
            }
        }
        Flow::Restore => {
            sched::attend(registers);
            LEAVE_RESTORING
        }
        Flow::End => sched::exit(),
    }
}

/// A trap or an interrupt while the application ran.
///
/// # Safety
/// As [`application_syscall`].
#[unsafe(no_mangle)]
unsafe extern "sysv64" fn application_trap(frame: *mut Frame, vector: u64, error_code: u64) {
    let address = Cr2::read_raw();
    // SAFETY: by the caller; nothing else refers to the frame meanwhile.
    let registers = unsafe { &mut (*frame).registers };
    if interrupts::handle(vector) {
        sched::interrupted();
        sched::attend(registers);
        return;
    }
    let number = (vector & 0xff) as u8;
    let trap = if vector >= FIRST_INTERRUPT {
        // `int n`: Linux's gates refuse it, at the instruction itself.
        registers.rip = registers.rip.wrapping_sub(INT_LEN);
        let selector = u64::from(number) * 8 + 2;
        Trap { vector: GENERAL_PROTECTION, error_code: selector, address: 0 }
    } else {
        let address = match vector {
            PAGE_FAULT => address,
            debug::VECTOR => debug::take_causes(&mut registers.rflags),
            _ => 0,
        };
        Trap { vector: number, error_code, address }
    };
    let sample = sched::begin_sample();
    let flow = sched::current_task().trap(trap, registers);
    sched::end_sample(sample);
    match flow {
        Flow::Return | Flow::Restore => {
            sched::attend(registers);
        }
        Flow::End => sched::exit(),
    }
}

/// A trap or an interrupt while the kernel ran: an expected fault of a copy, an interrupt of
/// the idle loop, or a bug.
///
/// # Safety
/// Called by the entry code only.
#[unsafe(no_mangle)]
unsafe extern "sysv64" fn kernel_trap(registers: *mut Registers, vector: u64, error_code: u64) {
    let address = Cr2::read_raw();
    // SAFETY: by the caller; nothing else refers to the registers meanwhile.
    let registers = unsafe { &mut *registers };
    if RFlags::from_bits_retain(registers.rflags).contains(RFlags::INTERRUPT_FLAG) {
        if interrupts::handle(vector) {
            return;
        }
    } else if interrupts::is_ours(vector) {
        // The kernel allows none but in its idle loop. QEMU 7.2's nested virtualisation was seen
        // to deliver one a second time nevertheless: the first delivery goes on below this, and
        // acknowledges it.
        return;
    }
    if vector == debug::VECTOR {
        // The kernel has touched what is watched for the application: that is not meant.
        debug::take_causes(&mut registers.rflags);
        return;
    }
    if vector == PAGE_FAULT
        && let Some(go_on) = copy::fixup(VirtAddr::new_truncate(registers.rip))
    {
        registers.rip = go_on.as_u64();
        return;
    }
    panic!(
        "trap {} in the kernel, error code {error_code:#x}, address {address:#x}\n{}",
        vector & !SOFTWARE,
        Dump(registers)
    );
}

/// Registers for a human.
struct Dump<'a>(&'a Registers);

impl core::fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let r = self.0;
        writeln!(f, "rip {:016x} rsp {:016x} rflags {:08x}", r.rip, r.rsp, r.rflags)?;
        writeln!(f, "rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}", r.rax, r.rbx, r.rcx, r.rdx)?;
        writeln!(f, "rsi {:016x} rdi {:016x} rbp {:016x} r8  {:016x}", r.rsi, r.rdi, r.rbp, r.r8)?;
        writeln!(f, "r9  {:016x} r10 {:016x} r11 {:016x} r12 {:016x}", r.r9, r.r10, r.r11, r.r12)?;
        write!(f, "r13 {:016x} r14 {:016x} r15 {:016x}", r.r13, r.r14, r.r15)
    }
}
