//! Traps: what the processor reports becomes a signal (SDM volume 3, 6.15; signal numbers and
//! codes as in Linux's `arch/x86/kernel/traps.c`).

use abi::PAGE_SIZE;
use abi::signal::{FXSAVE_LEN, SigInfo, Signal, si};

use crate::buffer;
use crate::machine::{Registers, Trap};
use crate::mm::{Accessor, FaultSignal, Wanted};
use crate::process::Thread;

use super::info;

/// Exception vectors (SDM volume 3, table 6-1).
mod vector {
    pub(super) const DIVIDE: u8 = 0;
    pub(super) const DEBUG: u8 = 1;
    pub(super) const BREAKPOINT: u8 = 3;
    pub(super) const INVALID_OPCODE: u8 = 6;
    pub(super) const COPROCESSOR_OVERRUN: u8 = 9;
    pub(super) const SEGMENT_NOT_PRESENT: u8 = 11;
    pub(super) const STACK_SEGMENT: u8 = 12;
    pub(super) const PAGE_FAULT: u8 = 14;
    pub(super) const X87: u8 = 16;
    pub(super) const ALIGNMENT: u8 = 17;
    pub(super) const SIMD: u8 = 19;
}

/// Bit of a page fault's error code that says that the application caused it. The processor
/// leaves it clear, because the application runs at privilege level 0; applications expect
/// it.
const FROM_APPLICATION: u64 = 4;

/// Bits of a page fault's error code: the access was a store, or fetched an instruction.
const STORE: u64 = 2;
const FETCH: u64 = 16;

/// Where the x87 control and status words and MXCSR are in the extended state.
const X87_CONTROL: usize = 0;
const X87_STATUS: usize = 2;
const MXCSR: usize = 24;

impl Thread {
    /// Turns a trap into a filled page or a signal for this thread.
    pub(crate) fn take_trap(&self, trap: Trap, registers: &Registers) {
        let info = match trap.vector {
            vector::PAGE_FAULT => self.page_fault(trap),
            vector::X87 | vector::SIMD => self.arithmetic(trap.vector, registers.rip),
            vector::DEBUG => Some(self.debug_exception(trap, registers.rip)),
            _ => Some(of_trap(trap.vector, registers.rip)),
        };
        if let Some(info) = info {
            self.record(trap);
            if let Some(signal) = info::signal(&info) {
                self.force_signal(signal, info);
            }
        }
    }

    /// Keeps what signal frames tell of the latest trap.
    fn record(&self, trap: Trap) {
        let is_page_fault = trap.vector == vector::PAGE_FAULT;
        let from = if is_page_fault { FROM_APPLICATION } else { 0 };
        let mut own = self.signals.state.lock();
        own.trap.vector = u64::from(trap.vector);
        own.trap.error_code = trap.error_code | from;
        if is_page_fault {
            own.trap.address = trap.address;
        }
    }

    /// Fills the page, or says which signal the access means.
    fn page_fault(&self, trap: Trap) -> Option<SigInfo> {
        let wanted = match trap.error_code {
            code if code & FETCH != 0 => Wanted::Execute,
            code if code & STORE != 0 => Wanted::Write,
            _ => Wanted::Read,
        };
        let memory = self.process().memory();
        let accessor = Accessor::Application(self);
        let (signal, code) = match memory.fault(trap.address, wanted, accessor) {
            Ok(()) => {
                self.count_fault();
                return None;
            }
            // Whoever is to end does so on the way back; a handler runs there.
            Err(FaultSignal::Interrupted) => return None,
            Err(FaultSignal::NotMapped) => (Signal::SIGSEGV, si::SEGV_MAPERR),
            Err(FaultSignal::NotAllowed) => (Signal::SIGSEGV, si::SEGV_ACCERR),
            Err(FaultSignal::NoPage) => (Signal::SIGBUS, si::BUS_ADRERR),
            Err(FaultSignal::Poisoned) => {
                let page = trap.address & !(PAGE_SIZE as u64 - 1);
                return Some(info::damage(page));
            }
            Err(FaultSignal::OutOfMemory) => {
                self.relieve_memory();
                return None;
            }
        };
        Some(info::fault(signal, code, trap.address))
    }

    /// A single step, or an access to what is watched.
    fn debug_exception(&self, trap: Trap, rip: u64) -> SigInfo {
        /// DR6: hits of the four places that are watched, and the single step.
        const HITS: u64 = 0xf;
        const STEP: u64 = 1 << 14;
        let causes = trap.address & (HITS | STEP);
        self.note_debug_status(causes);
        let code = match causes {
            causes if causes & STEP != 0 => si::TRAP_TRACE,
            0 => si::TRAP_BRKPT,
            _ => si::TRAP_HWBKPT,
        };
        info::fault(Signal::SIGTRAP, code, rip)
    }

    /// An x87 or SSE exception; `None` where no unmasked exception is noted, so that the
    /// instruction is tried again, as Linux does.
    fn arithmetic(&self, vector: u8, rip: u64) -> Option<SigInfo> {
        let len = self.system().machine.processor().extended_state_len;
        let Ok(mut state) = buffer::zeroed(len.max(FXSAVE_LEN)) else {
            return Some(info::kernel(Signal::SIGFPE));
        };
        self.machine().save_extended_state(&mut state[..len]);
        let half = |at: usize| u32::from(state[at]) | u32::from(state[at + 1]) << 8;
        let unmasked = if vector == vector::X87 {
            half(X87_STATUS) & !half(X87_CONTROL)
        } else {
            let mxcsr = half(MXCSR);
            mxcsr & !(mxcsr >> 7)
        };
        arithmetic_code(unmasked).map(|code| info::fault(Signal::SIGFPE, code, rip))
    }
}

/// The code of unmasked exceptions, of which the lowest counts: invalid, denormal, division,
/// overflow, underflow, precision (SDM volume 1, 8.1.3).
fn arithmetic_code(unmasked: u32) -> Option<i32> {
    Some(match unmasked {
        bits if bits & 0x01 != 0 => si::FPE_FLTINV,
        bits if bits & 0x04 != 0 => si::FPE_FLTDIV,
        bits if bits & 0x08 != 0 => si::FPE_FLTOVF,
        bits if bits & 0x12 != 0 => si::FPE_FLTUND,
        bits if bits & 0x20 != 0 => si::FPE_FLTRES,
        _ => return None,
    })
}

fn of_trap(vector: u8, rip: u64) -> SigInfo {
    match vector {
        vector::DIVIDE => info::fault(Signal::SIGFPE, si::FPE_INTDIV, rip),
        vector::BREAKPOINT => info::kernel(Signal::SIGTRAP),
        vector::INVALID_OPCODE => info::fault(Signal::SIGILL, si::ILL_ILLOPN, rip),
        vector::COPROCESSOR_OVERRUN => info::kernel(Signal::SIGFPE),
        vector::SEGMENT_NOT_PRESENT | vector::STACK_SEGMENT => info::kernel(Signal::SIGBUS),
        vector::ALIGNMENT => info::fault(Signal::SIGBUS, si::BUS_ADRALN, 0),
        _ => info::kernel(Signal::SIGSEGV),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_have_the_signals_and_codes_of_linux() {
        let of = |vector| {
            let info = of_trap(vector, 0x1234);
            (info::signal(&info).unwrap(), info.code)
        };
        assert_eq!(of(0), (Signal::SIGFPE, si::FPE_INTDIV));
        assert_eq!(of(3), (Signal::SIGTRAP, si::KERNEL));
        assert_eq!(of(6), (Signal::SIGILL, si::ILL_ILLOPN));
        assert_eq!(of(13), (Signal::SIGSEGV, si::KERNEL));
        assert_eq!(of(17), (Signal::SIGBUS, si::BUS_ADRALN));
    }

    #[test]
    fn the_first_arithmetic_exception_gives_the_code() {
        assert_eq!(arithmetic_code(0x05), Some(si::FPE_FLTINV));
        assert_eq!(arithmetic_code(0x24), Some(si::FPE_FLTDIV));
        assert_eq!(arithmetic_code(0x10), Some(si::FPE_FLTUND));
        assert_eq!(arithmetic_code(0), None);
    }
}
