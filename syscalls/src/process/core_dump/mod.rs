//! Core dumps: what is left of a process that a signal ended so, in a file. core(5).
//!
//! The thread that takes the signal writes the file: `file`, in the form of `notes` and
//! [`abi::core_dump`], under the name that `pattern` gives. The other threads say how they
//! stand before they end, and wait until their memory has been written.

mod file;
mod notes;
mod pattern;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::PAGE_SIZE;
use abi::process::Resource;
use abi::signal::{SigInfo, Signal};
use spin::Mutex;

use crate::context::Context;
use crate::error::Result;
use crate::machine::{ExitStatus, Registers};
use crate::wait::Interruption;

use super::{Process, Thread};

use notes::ThreadState;
pub(crate) use pattern::Settings;

/// A dump under way.
#[derive(Default)]
pub(crate) struct Dump {
    /// The other threads that have come to their end, and how they stood.
    arrived: Mutex<Vec<(Arc<Thread>, ThreadState)>>,
    is_done: AtomicBool,
}

/// A signal that ends a process, and how the thread stood that took it.
struct Death<'a> {
    signal: Signal,
    info: &'a SigInfo,
    state: ThreadState,
}

impl Process {
    /// Sets how it ends, unless that is clear already, and begins a dump.
    fn begin_dump(&self, status: ExitStatus) -> Option<Arc<Dump>> {
        let mut exit = self.exit.lock();
        if exit.is_some() {
            return None;
        }
        *exit = Some(status);
        Some(self.dump.lock().insert(Arc::default()).clone())
    }

    /// Whether it has left a core dump.
    #[must_use]
    pub(crate) fn has_core(&self) -> bool {
        self.has_core.load(Ordering::Relaxed)
    }
}

impl Thread {
    /// Ends the process by `signal`, with a core dump where one is wanted.
    pub(crate) fn die_with_core(&self, signal: Signal, info: &SigInfo, registers: &Registers) {
        let status = ExitStatus::Killed(signal.number());
        let process = self.process();
        if self.wants_core()
            && let Some(dump) = process.begin_dump(status)
        {
            let state = ThreadState::of(self, registers);
            let registers = Cell::new(*registers);
            let cx = Context::new(self.system(), process, self, &registers);
            // Who cannot write it ends all the same; core(5) says when that is.
            let _ = cx.dump_core(&dump, &Death { signal, info, state });
            dump.finish();
        }
        process.begin_exit(status);
    }

    /// Whether the process may leave a core dump, and the limit has room for one.
    fn wants_core(&self) -> bool {
        let process = self.process();
        process.limits().current(Resource::Core) >= PAGE_SIZE as u64
            && process.properties.lock().is_dumpable
    }

    /// Where another thread writes a core dump, tells how this one stands, and waits until
    /// that is done.
    pub(crate) fn join_dump(&self, registers: &Registers) {
        let Some(dump) = self.process().dump.lock().clone() else {
            return;
        };
        if let Some(this) = self.downgrade().upgrade() {
            dump.arrived.lock().push((this, ThreadState::of(self, registers)));
        }
        self.process().threads_changed.wake_all();
        while !dump.is_done.load(Ordering::SeqCst) {
            self.park(None);
        }
    }
}

impl Dump {
    /// Lets the other threads go on to their end.
    fn finish(&self) {
        self.is_done.store(true, Ordering::SeqCst);
        let arrived = core::mem::take(&mut *self.arrived.lock());
        for (thread, _) in arrived {
            thread.unpark();
        }
    }
}

impl Context<'_> {
    fn dump_core(&self, dump: &Dump, death: &Death<'_>) -> Result<()> {
        let process = self.process;
        for other in process.threads() {
            if !core::ptr::eq(&*other, self.thread) {
                other.end_soon();
            }
        }
        let others = || dump.arrived.lock().len() + 1;
        let are_here = || Ok((others() >= process.thread_count()).then_some(()));
        self.wait_until(&[&process.threads_changed], None, Interruption::Never, are_here)?;
        // Signals do not end the waits for a device any more.
        self.thread.begin_to_leave();
        let Some(open) = self.open_core(death)? else {
            return Ok(());
        };
        process.has_core.store(true, Ordering::Relaxed);
        self.write_core(&open, dump, death)
    }
}
