//! Tracing: one thread stops another and looks at it. ptrace(2).
//!
//! - [`Tracing`]: what a thread has of its tracer: whether it stops, and how it goes on
//! - [`Tracees`]: what a process has of the threads that its own threads trace
//! - `attach`: who traces whom, and how that ends
//! - `stop`: the side of who is traced: its stops
//! - `control`: the side of the tracer: what it sees and changes while the other is stopped
//! - `registers`: the registers as debuggers see them
//! - `wait`: what wait4(2) tells a tracer
//!
//! A thread that is stopped waits inside the kernel, with its registers in [`Tracing`]: there
//! the tracer reads and changes them. Whoever is traced leaves every system call by the long
//! way ([`Attention::TRACED`](super::Attention::TRACED)); who is not pays nothing.
//!
//! # Locks
//! The lock of a thread's [`Tracing`] is taken last, that of a process's [`Tracees`] before it
//! and after the process table.

mod attach;
mod control;
mod registers;
mod stop;
#[cfg(test)]
mod tests;
mod wait;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::ptrace::TraceOptions;
use abi::signal::{SigInfo, Signal};
use spin::Mutex;

use crate::machine::{DebugRegisters, Registers};

use super::{Credentials, Process, Thread};

pub(crate) use attach::Seizure;
pub(crate) use control::Tracee;
pub(crate) use registers::user_registers;
pub(crate) use stop::Given;
use wait::Held;

/// What a thread has of its tracer.
#[derive(Default)]
pub(crate) struct Tracing {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tracer: Option<Tracer>,
    options: TraceOptions,
    /// The stop in which it is.
    stop: Option<Stop>,
    /// How it goes on after that.
    pace: Pace,
    /// Which signal the tracer gave it to go on with.
    given: Option<Signal>,
    /// What `PTRACE_GETEVENTMSG` tells.
    message: u64,
    /// Its registers while it is stopped.
    registers: Registers,
    /// Whether the trap flag is there for the tracer only.
    is_flag_forced: bool,
    /// What the processor watches for it.
    debug: DebugRegisters,
    /// Which debug exceptions it has had, as the tracer sees them (DR6, without fixed bits).
    debug_status: u64,
}

/// Who traces.
#[derive(Clone)]
struct Tracer {
    thread: Weak<Thread>,
    process: Weak<Process>,
    /// Its number in /proc.
    id: u32,
    /// Whether it began with `PTRACE_SEIZE`.
    seizure: Seizure,
    /// Who that was when it began.
    credentials: Arc<Credentials>,
}

impl Tracer {
    fn is(&self, thread: &Thread) -> bool {
        core::ptr::eq(self.thread.as_ptr(), thread)
    }

    fn is_of(&self, process: &Process) -> bool {
        core::ptr::eq(self.process.as_ptr(), process)
    }
}

/// A stop of a thread that is traced.
#[derive(Clone, Copy)]
struct Stop {
    /// The signal, and what kind of stop it is, as the upper bytes of a status have it.
    code: u32,
    /// What `PTRACE_GETSIGINFO` tells; `None` in a stop of the whole process.
    info: Option<SigInfo>,
    /// Whether a wait has told of it.
    is_told: bool,
    /// Whether it goes on being stopped for the tracer's sake no longer: `PTRACE_LISTEN`.
    is_listening: bool,
}

/// How a thread goes on after a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Until something happens.
    #[default]
    Free,
    /// To the next entry or exit of a system call: `PTRACE_SYSCALL`.
    ToCall,
    /// For one instruction: `PTRACE_SINGLESTEP`.
    Step,
    /// To the next entry of a system call, which is then not made: `PTRACE_SYSEMU`.
    Emulate,
    /// As both: `PTRACE_SYSEMU_SINGLESTEP`.
    EmulateStep,
}

impl Pace {
    const fn stops_at_entry(self) -> bool {
        matches!(self, Self::ToCall | Self::Emulate | Self::EmulateStep)
    }

    const fn steps(self) -> bool {
        matches!(self, Self::Step | Self::EmulateStep)
    }

    const fn emulates(self) -> bool {
        matches!(self, Self::Emulate | Self::EmulateStep)
    }
}

/// What a process has of the threads that its threads trace.
#[derive(Default)]
pub(crate) struct Tracees {
    /// Those that live.
    living: Vec<Weak<Thread>>,
    /// Those that have ended, and that nobody has waited for yet.
    ended: Vec<Held>,
}

impl Tracees {
    /// Adds a thread that is traced from now on.
    fn add(&mut self, thread: &Thread) {
        self.living.retain(|one| one.strong_count() > 0);
        self.living.push(thread.downgrade());
    }

    /// Removes a thread that is not traced any more.
    fn remove(&mut self, thread: &Thread) {
        self.living.retain(|one| !core::ptr::eq(one.as_ptr(), thread));
    }

    fn living(&self) -> Vec<Arc<Thread>> {
        self.living.iter().filter_map(Weak::upgrade).collect()
    }
}
