//! Who traces whom, and how that ends: `PTRACE_TRACEME`, `PTRACE_ATTACH`, `PTRACE_SEIZE`, the
//! children of who is traced, `PTRACE_DETACH`, the end of the tracer.

use alloc::sync::{Arc, Weak};

use abi::Errno;
use abi::process::CloneFlags;
use abi::ptrace::{TraceOptions, event};
use abi::signal::{Signal, si};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::process::{Attention, Capability, Credentials, Process, REAPER, Thread};
use crate::signal::{Target, info};
use crate::wait::Interruption;

use super::{Pace, State, Tracer};

/// How a thread came to be traced, which changes how it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seizure {
    /// By itself, or by `PTRACE_ATTACH`.
    Attached,
    /// By `PTRACE_SEIZE`.
    Seized,
}

/// How a thread is to be traced.
pub(super) struct Terms {
    pub(super) seizure: Seizure,
    pub(super) options: TraceOptions,
    /// Whose privileges count.
    pub(super) credentials: Arc<Credentials>,
}

impl Context<'_> {
    /// Lets the parent trace the calling thread: `PTRACE_TRACEME`.
    ///
    /// # Errors
    /// `EPERM` when it is traced already, or its parent is the kernel's own process.
    pub(crate) fn trace_me(&self) -> Result<()> {
        let parent = self.system.processes.get(self.process.parent());
        let parent = parent.filter(|one| one.id() != REAPER);
        let maker = self.process.made_by.get().and_then(Weak::upgrade);
        let tracer = parent.and_then(|parent| {
            let maker = maker.filter(|one| Arc::ptr_eq(one.process(), &parent));
            let mut others = parent.threads().into_iter();
            maker.filter(|one| !one.is_leaving()).or_else(|| others.find(|one| !one.is_leaving()))
        });
        let tracer = tracer.ok_or_else(|| Errno::EPERM.because("no parent could trace it"))?;
        tracer.credentials().domain.check_trace(&self.credentials().domain)?;
        let terms = Terms {
            seizure: Seizure::Attached,
            options: TraceOptions::empty(),
            // As on Linux, where it is who asks for being traced.
            credentials: self.credentials(),
        };
        self.thread.be_traced_by(&tracer, terms)
    }

    /// Lets the caller trace `thread`: `PTRACE_ATTACH`, `PTRACE_SEIZE`.
    ///
    /// # Errors
    /// `EPERM` when the caller may not, or somebody does already.
    pub(crate) fn attach_to(
        &self,
        thread: &Thread,
        seizure: Seizure,
        options: TraceOptions,
    ) -> Result<()> {
        let process = thread.process();
        if Arc::ptr_eq(process, self.process) {
            return Err(Errno::EPERM.because("a process does not trace itself"));
        }
        self.check_access(process)?;
        if process.id() == REAPER {
            return Err(Errno::EPERM.because("the kernel's own process is not traced"));
        }
        let terms = Terms { seizure, options, credentials: self.credentials() };
        thread.be_traced_by(self.thread, terms)?;
        if seizure == Seizure::Attached {
            let _ = Target::Thread(thread).send(Signal::SIGSTOP, info::kernel(Signal::SIGSTOP));
        }
        self.wait_for_stop(thread)
    }

    /// A thread that has stopped with its process stops for its tracer at once; that is waited
    /// for.
    fn wait_for_stop(&self, thread: &Thread) -> Result<()> {
        if !thread.has_stopped_with_process() {
            return Ok(());
        }
        thread.unpark();
        let queues = [&self.process.children_changed];
        let ends = || thread.has_ended() || thread.attention.has(Attention::EXIT);
        let is_there =
            || Ok((thread.is_in_trace_stop() || !thread.is_traced() || ends()).then_some(()));
        self.wait_until(&queues, None, Interruption::Never, is_there)?;
        Ok(())
    }

    /// Lets the tracer of the caller trace `child` too, which was made with these flags and
    /// does not run yet, where it wants to know of `event`, or the flags say so.
    pub(in crate::process) fn share_tracer(
        &self,
        child: &Thread,
        flags: CloneFlags,
        event: Option<u32>,
    ) {
        if flags.contains(CloneFlags::UNTRACED) {
            return;
        }
        let (tracer, options) = {
            let state = self.thread.tracing.state.lock();
            let is_wanted = event.is_some_and(|one| state.wants(one));
            match &state.tracer {
                Some(tracer) if is_wanted || flags.contains(CloneFlags::PTRACE) => {
                    (tracer.clone(), state.options)
                }
                _ => return,
            }
        };
        let Some(thread) = tracer.thread.upgrade() else {
            return;
        };
        let Tracer { seizure, credentials, .. } = tracer.clone();
        if child.be_traced_by(&thread, Terms { seizure, options, credentials }).is_err() {
            return;
        }
        match tracer.seizure {
            Seizure::Seized => child.attention.set(Attention::TRAP),
            Seizure::Attached => {
                let stop = info::user(Signal::SIGSTOP, si::USER, 0, 0);
                // Standard signals are never refused.
                let _ = Target::Thread(child).send(Signal::SIGSTOP, stop);
            }
        }
    }
}

impl Thread {
    /// Becomes traced by `tracer`.
    ///
    /// # Errors
    /// `EPERM` when somebody traces it already, or one of both ends.
    pub(super) fn be_traced_by(&self, tracer: &Self, terms: Terms) -> Result<()> {
        if self.has_ended() || self.attention.has(Attention::EXIT) {
            return Err(Errno::EPERM.because("the thread ends"));
        }
        let process = tracer.process();
        let mut tracees = process.tracees.lock();
        if tracer.is_leaving() {
            // It has let go of what it traced, or is about to.
            return Err(Errno::EPERM.because("the tracer ends"));
        }
        let mut state = self.tracing.state.lock();
        if state.tracer.is_some() {
            return Err(Errno::EPERM.because("the thread is traced already"));
        }
        state.tracer = Some(Tracer {
            thread: tracer.downgrade(),
            process: Arc::downgrade(process),
            id: tracer.id(),
            seizure: terms.seizure,
            credentials: terms.credentials,
        });
        state.options = terms.options;
        (state.pace, state.message, state.given) = (Pace::Free, 0, None);
        self.attention.set(Attention::TRACED);
        tracees.add(self);
        drop((state, tracees));
        // From now on each of its calls may be of interest.
        self.publish_answers();
        self.interrupt();
        Ok(())
    }

    /// Whether somebody traces it.
    #[must_use]
    pub(crate) fn is_traced(&self) -> bool {
        self.attention.has(Attention::TRACED)
    }

    /// The number of who traces it; 0 for nobody.
    #[must_use]
    pub(crate) fn tracer_id(&self) -> u32 {
        self.tracing.state.lock().tracer.as_ref().map_or(0, |tracer| tracer.id)
    }

    /// Whether its tracer may not trace whom it likes where it is: programs give it no other IDs
    /// then. What counts is who that was when it began.
    #[must_use]
    pub(in crate::process) fn is_traced_without_privilege(&self) -> bool {
        let tracer = self.tracing.state.lock().tracer.clone();
        let here = self.credentials();
        tracer.is_some_and(|one| !one.credentials.has_in(Capability::SysPtrace, &here.namespace))
    }

    /// Whether a thread of `process` traces it.
    #[must_use]
    pub(crate) fn is_traced_by(&self, process: &Process) -> bool {
        let state = self.tracing.state.lock();
        state.tracer.as_ref().is_some_and(|tracer| tracer.is_of(process))
    }

    /// The process that traces it.
    pub(super) fn tracing_process(&self) -> Option<Arc<Process>> {
        self.tracing.state.lock().tracer.as_ref().and_then(|tracer| tracer.process.upgrade())
    }

    /// Ends that it is traced, and lets it go on with this signal if it is stopped.
    pub(super) fn be_untraced(&self, given: Option<Signal>) {
        if let Some(process) = self.tracing_process() {
            process.tracees.lock().remove(self);
        }
        {
            let mut state = self.tracing.state.lock();
            state.tracer = None;
            state.options = TraceOptions::empty();
            state.pace = Pace::Free;
            if state.stop.take().is_some() {
                state.given = given;
            }
            self.attention.clear(Attention::TRACED | Attention::TRAP);
        }
        // What waits is ignored again, or is to stop the process again.
        self.attention.set(Attention::STOP);
        self.publish_answers();
        self.unpark();
        self.interrupt();
    }

    /// At the end of a thread, all that it traces is traced no longer.
    pub(in crate::process) fn leave_tracees(&self) {
        let process = self.process();
        let (living, held) = {
            let mut tracees = process.tracees.lock();
            if tracees.living.is_empty() && tracees.ended.is_empty() {
                return;
            }
            let held = tracees.take_held(self);
            (tracees.living(), held)
        };
        for tracee in living {
            let (is_own, kills) = {
                let state = tracee.tracing.state.lock();
                let is_own = state.tracer.as_ref().is_some_and(|tracer| tracer.is(self));
                (is_own, state.options.contains(TraceOptions::EXITKILL))
            };
            if !is_own {
                continue;
            }
            if kills {
                let kill = info::kernel(Signal::SIGKILL);
                // It is never refused.
                let _ = Target::Process(tracee.process()).send(Signal::SIGKILL, kill);
            }
            tracee.be_untraced(None);
        }
        for one in held {
            one.release(self.system());
        }
    }
}

impl State {
    /// Whether the tracer wants to know of this event.
    pub(super) fn wants(&self, one: u32) -> bool {
        let option = match one {
            event::FORK => TraceOptions::FORK,
            event::VFORK => TraceOptions::VFORK,
            event::CLONE => TraceOptions::CLONE,
            event::EXEC => TraceOptions::EXEC,
            event::VFORK_DONE => TraceOptions::VFORK_DONE,
            event::EXIT => TraceOptions::EXIT,
            _ => return false,
        };
        self.tracer.is_some() && self.options.contains(option)
    }
}
