//! Who makes a system call: the first parameter of every handler.

use alloc::sync::Arc;
use core::cell::{Cell, OnceCell};

use crate::fs::MountTable;
use crate::machine::Registers;
use crate::mm::AddressSpace;
use crate::process::{Process, Thread};
use crate::system::System;

/// The caller of a system call.
pub struct Context<'a> {
    /// The personality as a whole.
    pub system: &'a Arc<System>,
    /// The calling process.
    pub process: &'a Arc<Process>,
    /// The calling thread.
    pub thread: &'a Thread,
    registers: &'a Cell<Registers>,
    waits: Cell<Waits>,
    /// The process's memory, once it has been needed: one lock for all accesses of a call.
    memory: OnceCell<Arc<AddressSpace>>,
}

/// Whether calls wait for what they want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    AsAsked,
    NotAtAll,
}

impl<'a> Context<'a> {
    /// A context for one system call of `thread`, which was made with `registers`.
    #[must_use]
    pub fn new(
        system: &'a Arc<System>,
        process: &'a Arc<Process>,
        thread: &'a Thread,
        registers: &'a Cell<Registers>,
    ) -> Self {
        Self {
            system,
            process,
            thread,
            registers,
            waits: Cell::new(Waits::AsAsked),
            memory: OnceCell::new(),
        }
    }

    /// The caller's registers.
    #[must_use]
    pub fn registers(&self) -> Registers {
        self.registers.get()
    }

    /// Replaces the caller's registers; the handler then returns
    /// [`crate::Outcome::Replaced`].
    pub fn set_registers(&self, registers: Registers) {
        self.registers.set(registers);
    }

    /// Does `work` that does not wait: where it would have to, it gets `EAGAIN`.
    pub(crate) fn without_waiting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.doing(Waits::NotAtAll, work)
    }

    /// Does `work` that waits only for what comes by itself and soon, also where nothing else
    /// waits.
    pub(crate) fn with_waiting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.doing(Waits::AsAsked, work)
    }

    fn doing<T>(&self, waits: Waits, work: impl FnOnce() -> T) -> T {
        let before = self.waits.replace(waits);
        let done = work();
        self.waits.set(before);
        done
    }

    /// Whether calls wait.
    pub(crate) fn may_wait(&self) -> bool {
        self.waits.get() == Waits::AsAsked
    }

    /// The mounts that the process sees.
    #[must_use]
    pub fn mounts(&self) -> Arc<MountTable> {
        let mounts = self.paths().mounts();
        mounts.unwrap_or_else(|| self.system.vfs.mounts.clone())
    }

    /// The caller's memory; the one of before, after an execve(2).
    #[must_use]
    pub fn memory(&self) -> &Arc<AddressSpace> {
        self.memory.get_or_init(|| self.process.memory())
    }
}
