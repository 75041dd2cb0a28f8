//! A thread of the application, and the entries of the personality that the machine calls.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::cell::Cell;

use abi::process::TASK_COMM_LEN;
use spin::{Mutex, Once};

use crate::context::Context;
use crate::error::{Error, Outcome, Result};
use crate::machine::{self, Flow, Registers, Trap};
use crate::process::Process;
use crate::system::System;
use crate::table;

/// A thread of the application.
pub struct Thread {
    this: Weak<Self>,
    id: u32,
    system: Arc<System>,
    process: Arc<Process>,
    /// The machine's side; set before the thread first waits.
    machine: Once<Arc<dyn machine::Thread>>,
    name: Mutex<[u8; TASK_COMM_LEN]>,
}

impl Thread {
    /// The first thread of `process`; it does not run yet ([`Thread::start`]).
    #[must_use]
    pub fn new(system: Arc<System>, process: Arc<Process>) -> Arc<Self> {
        let thread = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            id: process.id(),
            system,
            process,
            machine: Once::new(),
            name: Mutex::new([0; TASK_COMM_LEN]),
        });
        thread.process.add_thread(&thread);
        thread
    }

    /// Starts the thread at `registers` in the memory of its process.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn start(&self, registers: Registers) -> Result<()> {
        if let Some(this) = self.this.upgrade() {
            let space = self.process.memory().space().clone();
            let machine = self.system.machine.start_thread(this, space, registers)?;
            self.machine.call_once(|| machine);
        }
        Ok(())
    }

    /// Its number: gettid(2).
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Its name, without NULs: `PR_GET_NAME`.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        self.name.lock().iter().copied().take_while(|&byte| byte != 0).collect()
    }

    /// Sets its name, of which 15 bytes are kept: execve(2), `PR_SET_NAME`.
    pub fn set_name(&self, name: &[u8]) {
        let mut kept = [0; TASK_COMM_LEN];
        let len = name.len().min(TASK_COMM_LEN - 1);
        kept[..len].copy_from_slice(&name[..len]);
        *self.name.lock() = kept;
    }

    /// The machine's side of the thread, which is the one that runs now.
    pub(crate) fn machine(&self) -> &Arc<dyn machine::Thread> {
        self.machine.call_once(|| self.system.machine.current_thread())
    }

    /// A handle of this thread that does not keep it.
    pub(crate) fn downgrade(&self) -> Weak<Self> {
        self.this.clone()
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
        self.machine().park(deadline_ns);
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
        let number = registers.orig_rax;
        let cell = Cell::from_mut(registers);
        let cx = Context::new(&self.system, &self.process, self, cell);
        let rax = match self.dispatch(&cx, number) {
            Ok(Outcome::Value(value)) => value,
            Err(error) => error.errno.as_return_value(),
            Ok(Outcome::Replaced) => return Flow::Restore,
            Ok(Outcome::Ended) => return Flow::End,
        };
        registers.rax = rax;
        Flow::Return
    }

    fn trap(&self, _trap: Trap, _registers: &mut Registers) -> Flow {
        Flow::End
    }

    fn resume(&self, _registers: &mut Registers) -> Flow {
        Flow::Restore
    }
}
