//! The stops of a thread that is traced: ptrace(2), "Stopped states".

use abi::Errno;
use abi::ptrace::{MESSAGE_CALL_ENTRY, MESSAGE_CALL_EXIT, TraceOptions, event};
use abi::signal::{SigInfo, Signal, si};

use crate::context::Context;
use crate::machine::{ExitStatus, Registers};
use crate::process::wait::Report;
use crate::process::{Attention, Thread};
use crate::signal::info;

use super::{Pace, Seizure, State, Stop};

/// TF of the flags: a trap after the next instruction (SDM volume 3, 18.3.1.4).
const TRAP_FLAG: u64 = 0x100;

/// The signal of stops that are not for a signal.
const TRAP: u32 = Signal::SIGTRAP.number() as u32;
/// What `PTRACE_O_TRACESYSGOOD` adds to it.
const CALL: u32 = 0x80;

/// What ends a stop beside the tracer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// That the thread is to end.
    AnyEnd,
    /// `SIGKILL` only: it is about to end.
    Kill,
}

/// What a tracer gave a thread to go on with after a stop for a signal.
pub(crate) struct Given {
    /// The signal; `None` for none.
    pub(crate) signal: Option<Signal>,
    /// What is told of it.
    pub(crate) info: SigInfo,
}

impl Thread {
    /// Waits in a stop until the tracer lets the thread go on; `registers` are then what the
    /// tracer left. Returns the signal it gave and what was told of the stop's, or `None` where
    /// there was no stop, for the thread is not traced or ends.
    fn stop_for_tracer(
        &self,
        registers: &mut Registers,
        code: u32,
        info: Option<SigInfo>,
        ending: Ending,
    ) -> Option<(Option<Signal>, Option<SigInfo>)> {
        {
            let mut state = self.tracing.state.lock();
            if state.tracer.is_none() || self.is_past(ending) {
                return None;
            }
            state.registers = *registers;
            (state.given, state.pace) = (None, Pace::Free);
            state.stop = Some(Stop { code, info, is_told: false, is_listening: false });
        }
        self.tell_tracer();
        let mut left = info;
        loop {
            let mut state = self.tracing.state.lock();
            match &state.stop {
                Some(stop) if !self.is_past(ending) => left = stop.info,
                _ => {
                    state.stop = None;
                    *registers = state.registers;
                    self.attention.set(Attention::REGISTERS);
                    return Some((state.given.take(), left));
                }
            }
            drop(state);
            self.park(None);
        }
    }

    fn is_past(&self, ending: Ending) -> bool {
        match ending {
            Ending::AnyEnd => self.attention.has(Attention::EXIT),
            Ending::Kill => self.process().is_killed(),
        }
    }

    /// Tells the tracer that the thread has stopped.
    fn tell_tracer(&self) {
        let Some(tracer) = self.tracing_process() else {
            return;
        };
        let Some(code) = self.tracing.state.lock().stop.map(|stop| stop.code) else {
            return;
        };
        tracer.hear_of_child(self.process(), self.id(), Report::Trapped(code));
    }

    /// Whether it is in a stop.
    #[must_use]
    pub(crate) fn is_in_trace_stop(&self) -> bool {
        self.tracing.state.lock().stop.is_some()
    }

    /// What `PTRACE_GETSIGINFO` tells in a stop that is not for a signal.
    fn info_of_stop(&self, code: u32) -> SigInfo {
        let (process, user) = (self.id(), self.credentials().users.real);
        info::user(Signal::SIGTRAP, code.cast_signed(), process, user)
    }

    /// Stops for an event, where the tracer wants to know of it.
    fn stop_for_event(&self, registers: &mut Registers, event: u32, message: u64, ending: Ending) {
        {
            let mut state = self.tracing.state.lock();
            if !state.wants(event) {
                return;
            }
            state.message = message;
        }
        let code = TRAP | event << 8;
        let info = self.info_of_stop(code);
        // A signal that is given here does not count.
        let _ = self.stop_for_tracer(registers, code, Some(info), ending);
    }

    /// Stops at the entry of a system call, if the tracer wants that. Returns whether the call
    /// is to be made.
    pub(in crate::process) fn enter_call(&self, registers: &mut Registers) -> bool {
        let pace = self.tracing.state.lock().pace;
        if !pace.stops_at_entry() {
            return true;
        }
        registers.rax = Errno::ENOSYS.as_return_value();
        self.stop_at_call(registers, MESSAGE_CALL_ENTRY);
        let is_skipped = registers.orig_rax as u32 == u32::MAX;
        !pace.emulates() && !is_skipped && !self.attention.has(Attention::EXIT)
    }

    /// Stops at the exit of a system call, if the tracer wants that.
    pub(crate) fn stop_after_call(&self, registers: &mut Registers) {
        let pace = self.tracing.state.lock().pace;
        match pace {
            Pace::ToCall => self.stop_at_call(registers, MESSAGE_CALL_EXIT),
            // The processor does not trap after the instruction that makes the call.
            Pace::Step | Pace::EmulateStep => {
                let step = info::fault(Signal::SIGTRAP, si::TRAP_BRKPT, registers.rip);
                self.force_signal(Signal::SIGTRAP, step);
            }
            Pace::Free | Pace::Emulate => {}
        }
    }

    fn stop_at_call(&self, registers: &mut Registers, message: u64) {
        let code = {
            let mut state = self.tracing.state.lock();
            state.message = message;
            if state.options.contains(TraceOptions::SYSGOOD) { TRAP | CALL } else { TRAP }
        };
        let info = self.info_of_stop(code);
        let given = self.stop_for_tracer(registers, code, Some(info), Ending::AnyEnd);
        if let Some((Some(signal), _)) = given {
            self.raise_from_tracer(signal);
        }
    }

    /// Stops at the first instruction of a handler, where the tracer wants single steps.
    pub(crate) fn stop_in_handler(&self, registers: &mut Registers) {
        if self.is_traced() && self.tracing.state.lock().pace.steps() {
            let info = self.info_of_stop(TRAP);
            let _ = self.stop_for_tracer(registers, TRAP, Some(info), Ending::AnyEnd);
        }
    }

    /// Sends the thread a signal that its tracer gave it outside of a stop for a signal.
    fn raise_from_tracer(&self, signal: Signal) {
        let sent = info::kernel(signal);
        // Standard signals are never refused; a real-time one may be too many.
        let _ = crate::signal::Target::Thread(self).send(signal, sent);
    }

    /// Stops for a signal that is to be delivered. Returns what the tracer makes of it;
    /// `None` where it was not asked.
    pub(crate) fn stop_for_signal(
        &self,
        registers: &mut Registers,
        signal: Signal,
        told: SigInfo,
    ) -> Option<Given> {
        let code = u32::from(signal.number());
        let tracer = self.tracer_id();
        let (given, left) = self.stop_for_tracer(registers, code, Some(told), Ending::AnyEnd)?;
        let info = match (given, left) {
            (Some(given), Some(left)) if info::signal(&left) == Some(given) => left,
            (Some(given), _) if given == signal => told,
            (Some(given), _) => {
                let user = self.credentials().users.real;
                info::user(given, si::USER, tracer, user)
            }
            (None, _) => told,
        };
        Some(Given { signal: given, info })
    }

    /// Stops because the tracer has asked for it, or something has happened to a thread that
    /// was seized: `PTRACE_EVENT_STOP`.
    pub(crate) fn stop_if_asked(&self, registers: &mut Registers) {
        if !self.attention.has(Attention::TRAP) {
            return;
        }
        self.attention.clear(Attention::TRAP);
        let signal = self.process().signals.stopped_by().unwrap_or(Signal::SIGTRAP);
        self.stop_seized(registers, signal);
    }

    fn stop_seized(&self, registers: &mut Registers, signal: Signal) {
        let code = u32::from(signal.number()) | event::STOP << 8;
        let mut info = self.info_of_stop(code);
        info.signo = i32::from(signal.number());
        self.tracing.state.lock().message = 0;
        let _ = self.stop_for_tracer(registers, code, Some(info), Ending::AnyEnd);
    }

    /// Stops together with the process, which `signal` has stopped.
    pub(crate) fn stop_with_process(&self, registers: &mut Registers, signal: Signal) {
        self.attention.clear(Attention::TRAP);
        let seizure = self.tracing.state.lock().tracer.as_ref().map(|tracer| tracer.seizure);
        match seizure {
            Some(Seizure::Seized) => self.stop_seized(registers, signal),
            Some(Seizure::Attached) => {
                let code = u32::from(signal.number());
                let _ = self.stop_for_tracer(registers, code, None, Ending::AnyEnd);
            }
            None => {}
        }
    }

    /// A thread that was seized tells its tracer of a continuation of its process, also where
    /// it listens for one.
    pub(crate) fn notice_continuation(&self) {
        let mut state = self.tracing.state.lock();
        let is_seized =
            state.tracer.as_ref().is_some_and(|tracer| tracer.seizure == Seizure::Seized);
        if !is_seized {
            return;
        }
        self.attention.set(Attention::TRAP);
        if state.stop.is_some_and(|stop| stop.is_listening) {
            state.stop = None;
        }
        drop(state);
        self.unpark();
        self.interrupt();
    }

    /// Tells the tracer, where it wants that, that the thread ends.
    pub(crate) fn stop_before_end(&self, registers: &mut Registers) {
        if !self.is_traced() {
            return;
        }
        let process = self.process();
        let own = ExitStatus::Exited(self.exit_status());
        let status = process.exit.lock().unwrap_or(own);
        let status = process.end_report(status).wait_status();
        self.stop_for_event(registers, event::EXIT, u64::from(status), Ending::Kill);
    }

    /// Takes the trap flag away that is there for the tracer only: at every entry.
    pub(in crate::process) fn hide_step(&self, registers: &mut Registers) {
        let mut state = self.tracing.state.lock();
        if core::mem::take(&mut state.is_flag_forced) {
            registers.rflags &= !TRAP_FLAG;
        }
    }

    /// Lets the processor trap after the next instruction, where the tracer wants that: before
    /// the return to the application.
    pub(crate) fn set_step(&self, registers: &mut Registers) {
        let mut state = self.tracing.state.lock();
        if state.pace.steps() && registers.rflags & TRAP_FLAG == 0 {
            registers.rflags |= TRAP_FLAG;
            state.is_flag_forced = true;
        }
    }

    /// Notes a debug exception, for the tracer to see.
    pub(crate) fn note_debug_status(&self, causes: u64) {
        self.tracing.state.lock().debug_status |= causes;
    }

    /// What execve(2) does: nothing is watched any more.
    pub(in crate::process) fn forget_watched(&self) {
        let mut state = self.tracing.state.lock();
        if state.debug != Default::default() {
            (state.debug, state.debug_status) = Default::default();
            drop(state);
            self.machine().set_debug_registers(Default::default());
        }
    }
}

impl Context<'_> {
    fn stop_for_event(&self, event: u32, message: u64) {
        if self.thread.is_traced() {
            let mut registers = self.registers();
            self.thread.stop_for_event(&mut registers, event, message, Ending::AnyEnd);
            self.set_registers(registers);
        }
    }

    /// Tells the tracer of the caller that it executes another program; before that it had
    /// the number `old`.
    pub(crate) fn tell_tracer_of_program(&self, old: u32) {
        if !self.thread.is_traced() {
            return;
        }
        let is_plain = {
            let state: &State = &self.thread.tracing.state.lock();
            let attached = |one: &super::Tracer| one.seizure == Seizure::Attached;
            !state.wants(event::EXEC) && state.tracer.as_ref().is_some_and(attached)
        };
        if is_plain {
            let (process, user) = (self.process.id(), self.credentials().users.real);
            let trap = info::user(Signal::SIGTRAP, si::USER, process, user);
            // Standard signals are never refused.
            let _ = crate::signal::Target::Thread(self.thread).send(Signal::SIGTRAP, trap);
        }
        self.stop_for_event(event::EXEC, u64::from(old));
    }

    /// Tells the tracer of the caller of its new child `id`.
    pub(in crate::process) fn tell_tracer_of_child(&self, event: Option<u32>, id: u32) {
        if let Some(event) = event {
            self.stop_for_event(event, u64::from(id));
        }
    }
}
