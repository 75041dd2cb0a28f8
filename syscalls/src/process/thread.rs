//! A thread of the application, and the entries of the personality that the machine calls.

use alloc::sync::{Arc, Weak};

use spin::Once;

use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::machine::{self, Flow, Registers, Trap};
use crate::process::Process;
use crate::system::System;
use crate::table;

/// A thread of the application.
pub struct Thread {
    this: Weak<Self>,
    system: Arc<System>,
    process: Arc<Process>,
    /// The machine's side; set before the thread first runs.
    machine: Once<Arc<dyn machine::Thread>>,
}

impl Thread {
    /// A thread of `process` that does not run yet.
    #[must_use]
    pub fn new(system: Arc<System>, process: Arc<Process>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self { this: this.clone(), system, process, machine: Once::new() })
    }

    /// Connects the thread to the machine's side of it, once, before it first runs.
    pub fn attach(&self, machine: Arc<dyn machine::Thread>) {
        self.machine.call_once(|| machine);
    }

    /// Whether a signal waits that the thread does not block.
    #[must_use]
    pub fn has_deliverable_signal(&self) -> bool {
        false
    }

    /// Waits for [`Thread::unpark`]; see [`machine::Thread::park`].
    pub(crate) fn park(&self, deadline_ns: Option<u64>) {
        if let Some(machine) = self.machine.get() {
            machine.park(deadline_ns);
        }
    }

    /// Ends the thread's wait; see [`machine::Thread::unpark`].
    pub(crate) fn unpark(&self) {
        if let Some(machine) = self.machine.get() {
            machine.unpark();
        }
    }

    fn dispatch(&self, cx: &Context<'_>, number: u64) -> Result<Outcome, Error> {
        match table::row(number) {
            Some(row) => row.handler.call(cx, &cx.registers().arguments()),
            None => Err(self.system.unknown_call(number)),
        }
    }
}

impl machine::Task for Thread {
    fn syscall(&self, registers: &mut Registers) -> Flow {
        let Some(this) = self.this.upgrade() else {
            return Flow::End;
        };
        let cx = Context::new(&self.system, &self.process, &this, *registers);
        match self.dispatch(&cx, registers.orig_rax) {
            Ok(Outcome::Value(value)) => registers.rax = value,
            Err(error) => registers.rax = error.errno.as_return_value(),
            Ok(Outcome::Replaced) => {
                *registers = cx.registers();
                return Flow::Restore;
            }
            Ok(Outcome::Ended) => return Flow::End,
        }
        Flow::Return
    }

    fn trap(&self, _trap: Trap, _registers: &mut Registers) -> Flow {
        Flow::End
    }

    fn resume(&self, _registers: &mut Registers) -> Flow {
        Flow::Restore
    }
}
