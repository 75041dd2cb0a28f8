//! What a tracer sees and changes of a thread that is stopped, and how it lets it go on.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::core_dump::{UserRegisters, XCR0_OFFSET};
use abi::ptrace::{MESSAGE_CALL_ENTRY, MESSAGE_CALL_EXIT, SyscallInfo, TraceOptions, event};
use abi::signal::{FXSAVE_LEN, SigInfo, Signal};

use crate::buffer;
use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::machine::{self, DebugRegisters, Registers};
use crate::process::{Attention, Thread};
use crate::signal::SignalSet;

use super::registers::{self, user_registers};
use super::{Pace, Seizure};

/// Where an extended state says which of its components are used, in bytes.
const USED_COMPONENTS: usize = 512;
/// x87 and SSE among them.
const LEGACY_COMPONENTS: u8 = 3;

/// A thread that the caller traces.
pub(crate) struct Tracee {
    thread: Arc<Thread>,
}

fn not_stopped() -> Error {
    Errno::ESRCH.because("the thread is not the caller's to trace, or not stopped")
}

impl Context<'_> {
    /// The thread with this number, which the caller traces, and which is stopped.
    ///
    /// # Errors
    /// `ESRCH`.
    pub(crate) fn stopped_tracee(&self, thread: Arc<Thread>) -> Result<Tracee> {
        let is_stopped = {
            let state = thread.tracing.state.lock();
            state.tracer.as_ref().is_some_and(|tracer| tracer.is(self.thread))
                && state.stop.is_some_and(|stop| !stop.is_listening)
        };
        if is_stopped { Ok(Tracee { thread }) } else { Err(not_stopped()) }
    }

    /// The thread with this number, which the caller traces.
    ///
    /// # Errors
    /// `ESRCH`.
    pub(crate) fn tracee(&self, thread: Arc<Thread>) -> Result<Tracee> {
        let tracer = thread.tracing.state.lock().tracer.clone();
        let is_own = tracer.is_some_and(|tracer| tracer.is(self.thread));
        if is_own { Ok(Tracee { thread }) } else { Err(not_stopped()) }
    }
}

impl Tracee {
    /// The thread.
    pub(crate) fn thread(&self) -> &Thread {
        &self.thread
    }

    /// The machine's side of it, while it is stopped: it may have been killed since, while the
    /// caller waited for memory of its own.
    ///
    /// # Errors
    /// `ESRCH`.
    fn machine(&self) -> Result<Arc<dyn machine::Thread>> {
        let known = self.thread.machine_if_known();
        known.filter(|_| self.thread.is_in_trace_stop()).ok_or_else(not_stopped)
    }

    /// Lets it go on, with this signal.
    pub(crate) fn go_on(&self, pace: Pace, signal: Option<Signal>) {
        {
            let mut state = self.thread.tracing.state.lock();
            if state.stop.take().is_none() {
                return;
            }
            (state.pace, state.given) = (pace, signal);
        }
        self.thread.unpark();
    }

    /// Lets it go, with this signal.
    pub(crate) fn detach(&self, signal: Option<Signal>) {
        self.thread.be_untraced(signal);
    }

    /// Stops it, without a signal: `PTRACE_INTERRUPT`.
    ///
    /// # Errors
    /// `EIO` when it was not seized.
    pub(crate) fn interrupt(&self) -> Result<()> {
        let thread = &self.thread;
        let mut state = thread.tracing.state.lock();
        if state.tracer.as_ref().is_none_or(|tracer| tracer.seizure == Seizure::Attached) {
            return Err(Errno::EIO.because("the thread was not seized"));
        }
        thread.attention.set(Attention::TRAP);
        if state.stop.is_some_and(|stop| stop.is_listening) {
            state.stop = None;
        }
        drop(state);
        thread.unpark();
        thread.interrupt();
        Ok(())
    }

    /// Leaves it stopped, but tells what happens to it: `PTRACE_LISTEN`.
    ///
    /// # Errors
    /// `EIO` when it was not seized, or the stop is of another kind.
    pub(crate) fn listen(&self) -> Result<()> {
        let mut state = self.thread.tracing.state.lock();
        let is_seized =
            state.tracer.as_ref().is_some_and(|tracer| tracer.seizure == Seizure::Seized);
        match &mut state.stop {
            Some(stop) if is_seized && stop.code >> 8 == event::STOP => {
                stop.is_listening = true;
                if self.thread.attention.has(Attention::TRAP) {
                    // It has happened already.
                    state.stop = None;
                    drop(state);
                    self.thread.unpark();
                }
                Ok(())
            }
            _ => Err(Errno::EIO.because("the stop is not PTRACE_EVENT_STOP")),
        }
    }

    /// Sets which events it stops for.
    pub(crate) fn set_options(&self, options: TraceOptions) {
        self.thread.tracing.state.lock().options = options;
    }

    /// What there is to tell of the latest event.
    pub(crate) fn message(&self) -> u64 {
        self.thread.tracing.state.lock().message
    }

    /// What is told of the stop.
    ///
    /// # Errors
    /// `EINVAL` when the whole process has stopped.
    pub(crate) fn info(&self) -> Result<SigInfo> {
        let stop = self.thread.tracing.state.lock().stop;
        let info = stop.and_then(|stop| stop.info);
        info.ok_or_else(|| Errno::EINVAL.because("the whole process has stopped"))
    }

    /// Replaces what is told of the signal.
    ///
    /// # Errors
    /// `EINVAL` when the whole process has stopped; `ESRCH` when the thread is not stopped any
    /// more.
    pub(crate) fn set_info(&self, new: SigInfo) -> Result<()> {
        let mut state = self.thread.tracing.state.lock();
        match state.stop.as_mut().ok_or_else(not_stopped)?.info.as_mut() {
            Some(info) => {
                *info = new;
                Ok(())
            }
            None => Err(Errno::EINVAL.because("the whole process has stopped")),
        }
    }

    /// What it blocks.
    pub(crate) fn blocked(&self) -> SignalSet {
        self.thread.signals.mask_of_call()
    }

    /// Replaces what it blocks.
    ///
    /// # Errors
    /// `ESRCH` when the thread is not stopped any more.
    pub(crate) fn set_blocked(&self, blocked: SignalSet) -> Result<()> {
        self.machine()?;
        self.thread.signals.forget_mask_of_call();
        self.thread.attention.clear(Attention::MASK);
        self.thread.set_blocked(blocked);
        Ok(())
    }

    fn plain_registers(&self) -> Registers {
        self.thread.tracing.state.lock().registers
    }

    /// Its registers.
    ///
    /// # Errors
    /// `ESRCH` when the thread is not stopped any more.
    pub(crate) fn registers(&self) -> Result<UserRegisters> {
        Ok(user_registers(&self.plain_registers(), &*self.machine()?))
    }

    /// Replaces its registers.
    ///
    /// # Errors
    /// `EIO` for what a register cannot hold; `ESRCH` when the thread is not stopped any more;
    /// nothing changed.
    pub(crate) fn set_registers(&self, new: &UserRegisters) -> Result<()> {
        let machine = self.machine()?;
        let mut state = self.thread.tracing.state.lock();
        let plain = registers::checked(&state.registers, new)?;
        if new.rflags & registers::TRAP_FLAG != 0 {
            state.is_flag_forced = false;
        }
        state.registers = plain;
        drop(state);
        machine.set_fs_base(new.fs_base);
        machine.set_gs_base(new.gs_base);
        Ok(())
    }

    /// Its extended state, with the components that there may be where debuggers look for them.
    ///
    /// # Errors
    /// `ENOMEM`; `ESRCH` when the thread is not stopped any more.
    pub(crate) fn extended_state(&self) -> Result<Vec<u8>> {
        let processor = self.thread.system().machine.processor();
        let mut state = buffer::zeroed(processor.extended_state_len.max(FXSAVE_LEN))?;
        let machine = self.machine()?;
        machine.save_extended_state(&mut state[..processor.extended_state_len]);
        let components = processor.extended_state_components.to_le_bytes();
        state[XCR0_OFFSET..XCR0_OFFSET + components.len()].copy_from_slice(&components);
        Ok(state)
    }

    /// Replaces its extended state.
    ///
    /// # Errors
    /// `EINVAL` when the processor would refuse it; `ESRCH` when the thread is not stopped any
    /// more; nothing changed.
    pub(crate) fn set_extended_state(&self, state: &[u8]) -> Result<()> {
        let machine = self.machine()?;
        let invalid = |_| Errno::EINVAL.because("not a state of the processor");
        machine.restore_extended_state(state).map_err(invalid)
    }

    /// Replaces the part of its extended state that `FXSAVE` knows.
    ///
    /// # Errors
    /// As [`Tracee::set_extended_state`].
    pub(crate) fn set_legacy_state(&self, legacy: &[u8; FXSAVE_LEN]) -> Result<()> {
        let mut state = self.extended_state()?;
        // What lies behind is the kernel's to say.
        let own = XCR0_OFFSET..FXSAVE_LEN;
        state[..own.start].copy_from_slice(&legacy[..own.start]);
        if let Some(used) = state.get_mut(USED_COMPONENTS) {
            *used |= LEGACY_COMPONENTS;
        }
        self.set_extended_state(&state)
    }

    /// A debug register, 0 to 7.
    pub(crate) fn debug_register(&self, number: usize) -> u64 {
        let state = self.thread.tracing.state.lock();
        match number {
            0..4 => state.debug.addresses[number],
            6 => state.debug_status ^ registers::STATUS_FIXED,
            7 => state.debug.control,
            _ => 0,
        }
    }

    /// Sets a debug register, 0 to 7.
    ///
    /// # Errors
    /// `EINVAL` for what cannot be watched; `EIO` where there is no such register; `ESRCH` when
    /// the thread is not stopped any more.
    pub(crate) fn set_debug_register(&self, number: usize, value: u64) -> Result<()> {
        let machine = self.machine()?;
        let mut state = self.thread.tracing.state.lock();
        let mut new = state.debug;
        match number {
            0..4 => new.addresses[number] = value,
            6 => {
                state.debug_status = value ^ registers::STATUS_FIXED;
                return Ok(());
            }
            7 => new.control = value & !registers::CONTROL_RESERVED,
            _ => return Err(Errno::EIO.because("there is no such register")),
        }
        registers::check_watched(&new, (number < 4).then_some(number))?;
        state.debug = new;
        drop(state);
        machine.set_debug_registers(DebugRegisters {
            control: registers::effective_control(new.control),
            ..new
        });
        Ok(())
    }

    /// What `PTRACE_GET_SYSCALL_INFO` tells, and how many bytes of it there are.
    pub(crate) fn call_info(&self) -> (SyscallInfo, usize) {
        const AT_CALL: u32 = 0x80;
        let state = self.thread.tracing.state.lock();
        let r = &state.registers;
        let mut info = SyscallInfo {
            operation: SyscallInfo::NONE,
            architecture: abi::ptrace::AUDIT_ARCH,
            instruction_pointer: r.rip,
            stack_pointer: r.rsp,
            ..SyscallInfo::default()
        };
        let is_at_call = state.stop.is_some_and(|stop| stop.code & AT_CALL != 0 && stop.code < 256);
        match state.message {
            MESSAGE_CALL_ENTRY if is_at_call => {
                info.operation = SyscallInfo::ENTRY;
                info.data[0] = r.orig_rax;
                info.data[1..7].copy_from_slice(&r.arguments());
                (info, SyscallInfo::ENTRY_LEN)
            }
            MESSAGE_CALL_EXIT if is_at_call => {
                /// The highest number of an error.
                const MAX_ERRNO: u64 = 4095;
                info.operation = SyscallInfo::EXIT;
                info.data[0] = r.rax;
                info.data[1] = u64::from(r.rax > u64::MAX - MAX_ERRNO);
                (info, SyscallInfo::EXIT_LEN)
            }
            _ => (info, SyscallInfo::NONE_LEN),
        }
    }
}
