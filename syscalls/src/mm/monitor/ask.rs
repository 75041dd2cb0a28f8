//! Faults that wait for a monitor.

use alloc::sync::Arc;

use abi::userfault::{FaultFlags, Features, Message, RegisterModes, event};

use crate::mm::address_space::AddressSpace;
use crate::mm::area::{Area, Backing, PAGE, page_start};
use crate::mm::fault::{Accessor, FaultSignal, Next, Wanted};
use crate::mm::object::Presence;
use crate::process::{Attention, Thread};

use super::{Monitor, Scope};

/// A fault that a monitor is to resolve.
pub(in crate::mm) struct Ask {
    monitor: Arc<Monitor>,
    flags: FaultFlags,
}

impl Area {
    /// Asks whether a guarded page may be written.
    pub(in crate::mm) fn ask_to_write(&self) -> Result<Next, FaultSignal> {
        // Only monitored areas have guarded pages.
        let monitored = self.monitored.as_ref().ok_or(FaultSignal::NotAllowed)?;
        let flags = FaultFlags::WRITE | FaultFlags::WP;
        Ok(Next::Ask(Ask { monitor: monitored.monitor.clone(), flags }))
    }

    /// Asks for the page at `at`, which is not mapped, where somebody wants to be asked.
    pub(in crate::mm) fn ask_for_page(&self, at: u64, wanted: Wanted) -> Option<Ask> {
        let monitored = self.monitored.as_ref()?;
        let presence = match &self.backing {
            Backing::Anonymous => Presence::Hole,
            Backing::Object(object, _) => object.presence(self.object_offset(at) / PAGE)?,
        };
        let (mode, mut flags) = match presence {
            Presence::Hole => (RegisterModes::MISSING, FaultFlags::empty()),
            Presence::Stored => (RegisterModes::MINOR, FaultFlags::MINOR),
            Presence::Beyond => return None,
        };
        flags.set(FaultFlags::WRITE, wanted == Wanted::Write);
        let is_wanted = monitored.modes.contains(mode);
        is_wanted.then(|| Ask { monitor: monitored.monitor.clone(), flags })
    }
}

impl AddressSpace {
    /// Waits until the monitor has resolved a fault, or might have.
    #[cold]
    pub(in crate::mm) fn ask(
        &self,
        ask: &Ask,
        address: u64,
        wanted: Wanted,
        accessor: Accessor<'_>,
    ) -> Result<(), FaultSignal> {
        let monitor = &ask.monitor;
        let thread = monitor.admit(accessor).ok_or(FaultSignal::NoPage)?;
        let ticket = {
            // Between the look at the page and the wait for it nobody must be able to fill it.
            let mut state = self.state.lock();
            let next = state.try_fault(self, address, wanted)?;
            match next {
                Next::Ask(again) if Arc::ptr_eq(&again.monitor, monitor) => {
                    let message = monitor.message(again.flags, address, &thread);
                    monitor.queue.lock().add_fault(page_start(address), message, &thread)
                }
                _ => None,
            }
        };
        let Some(ticket) = ticket else {
            return Ok(());
        };
        let is_interrupted = || match accessor {
            Accessor::Application(thread) => thread.attention.has(Attention::INTERRUPTIONS),
            _ => thread.machine().is_to_end(),
        };
        match monitor.wait(ticket, &thread, is_interrupted) {
            true => Ok(()),
            false => Err(FaultSignal::Interrupted),
        }
    }
}

impl Monitor {
    /// The thread that will wait, where somebody may.
    fn admit(&self, accessor: Accessor<'_>) -> Option<Arc<Thread>> {
        if self.has(Features::SIGBUS) {
            return None;
        }
        match accessor {
            Accessor::Application(thread) => thread.downgrade().upgrade(),
            Accessor::Call if self.scope == Scope::All => {
                // What a thread still writes at its end is not worth waiting for.
                self.system.running_thread().filter(|thread| !thread.is_leaving())
            }
            Accessor::Call | Accessor::Debugger => None,
        }
    }

    fn message(&self, flags: FaultFlags, address: u64, thread: &Thread) -> Message {
        let is_exact = self.has(Features::EXACT_ADDRESS);
        let address = if is_exact { address } else { page_start(address) };
        let id = match self.has(Features::THREAD_ID) {
            true => thread.process().pid_namespace.shown(thread.id()),
            false => 0,
        };
        let arguments = [flags.bits(), address, u64::from(id)];
        Message { event: event::PAGEFAULT, arguments, ..Message::default() }
    }

    /// Waits in `thread`, the one that runs, until what has this ticket has been dealt with;
    /// returns whether it has.
    pub(super) fn wait(
        &self,
        ticket: u64,
        thread: &Thread,
        is_interrupted: impl Fn() -> bool,
    ) -> bool {
        self.news.wake(crate::fs::PollEvents::IN);
        loop {
            if !self.queue.lock().waits(ticket) {
                return true;
            }
            if is_interrupted() {
                let withdrawn = self.queue.lock().remove(ticket);
                return withdrawn.is_none();
            }
            thread.park(None);
        }
    }
}
