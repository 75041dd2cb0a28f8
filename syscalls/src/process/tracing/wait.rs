//! What wait4(2) and waitid(2) tell a tracer: stops, and ends that the parent learns of later.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::process::WaitOptions;
use abi::signal::{SIG_IGN, Signal, sa};

use crate::context::Context;
use crate::machine::ExitStatus;
use crate::process::wait::{Report, Waited, Whom};
use crate::process::{Process, Thread};
use crate::signal::info;
use crate::system::System;

use super::Tracees;

/// A thread that was traced to its end, and of which its tracer has not been told yet.
pub(crate) struct Held {
    tracer: Weak<Thread>,
    told: Waited,
    group: u32,
    /// Its process, where that has ended with it: its parent is told after the tracer.
    process: Option<(Arc<Process>, ExitStatus)>,
}

impl Held {
    /// Lets the parent know what its tracer kept from it.
    pub(super) fn release(self, system: &System) {
        if let Some((process, status)) = self.process {
            process.set_held(false);
            process.report_end(system, status);
        }
    }

    fn is_meant(&self, cx: &Context<'_>, whom: Whom, options: WaitOptions) -> bool {
        whom.names(self.told.id, self.group)
            && (!options.contains(WaitOptions::NOTHREAD)
                || core::ptr::eq(self.tracer.as_ptr(), cx.thread))
    }
}

impl Tracees {
    /// Takes those that have ended and that `tracer` traced.
    pub(super) fn take_held(&mut self, tracer: &Thread) -> Vec<Held> {
        let is_own = |one: &mut Held| core::ptr::eq(one.tracer.as_ptr(), tracer);
        self.ended.extract_if(.., is_own).collect()
    }
}

impl Context<'_> {
    /// Looks for news of the threads that the caller's process traces. Says in `has_any`
    /// whether there are such threads.
    pub(in crate::process) fn look_for_tracee(
        &self,
        whom: Whom,
        options: WaitOptions,
        has_any: &mut bool,
    ) -> Option<Waited> {
        let mut tracees = self.process.tracees.lock();
        if tracees.living.is_empty() && tracees.ended.is_empty() {
            return None;
        }
        let at = tracees.ended.iter().position(|one| one.is_meant(self, whom, options));
        if let Some(at) = at {
            *has_any = true;
            if options.contains(WaitOptions::EXITED) {
                if options.contains(WaitOptions::NOWAIT) {
                    return Some(tracees.ended[at].told);
                }
                let held = tracees.ended.remove(at);
                drop(tracees);
                let told = held.told;
                held.release(self.system);
                return Some(told);
            }
        }
        let living = tracees.living();
        drop(tracees);
        living.iter().find_map(|one| {
            let is_own =
                || one.tracing.state.lock().tracer.as_ref().is_some_and(|it| it.is(self.thread));
            if !whom.names(one.id(), one.process().group())
                || (options.contains(WaitOptions::NOTHREAD) && !is_own())
            {
                return None;
            }
            *has_any = true;
            one.take_stop(self.process, options)
        })
    }
}

impl Thread {
    /// What there is to tell of its stop, which is told once.
    fn take_stop(&self, tracer: &Process, options: WaitOptions) -> Option<Waited> {
        let code = {
            let mut state = self.tracing.state.lock();
            let stop = state.stop.as_mut().filter(|stop| !stop.is_told && !stop.is_listening)?;
            stop.is_told = !options.contains(WaitOptions::NOWAIT);
            stop.code
        };
        Some(Waited::of_thread(self, tracer, Report::Trapped(code)))
    }

    /// At the end of a thread that is not the first of its process: its tracer is told, and
    /// nobody else.
    pub(in crate::process) fn tell_tracer_of_end(&self) {
        if let Some(tracer) = self.tracing_process() {
            let report = Report::Ended(
                self.process().exit.lock().unwrap_or(ExitStatus::Exited(self.exit_status())),
            );
            self.hold(&tracer, report, None);
        }
    }

    fn hold(
        &self,
        tracer: &Arc<Process>,
        report: Report,
        process: Option<(Arc<Process>, ExitStatus)>,
    ) {
        let of = self.process();
        let ignores = {
            let action = tracer.signal_action(Signal::SIGCHLD);
            action.handler == SIG_IGN || action.flags & sa::NOCLDWAIT != 0
        };
        let held = {
            let thread = self.tracing.state.lock().tracer.take().map(|one| one.thread);
            Held {
                tracer: thread.unwrap_or_default(),
                told: Waited::of_thread(self, tracer, report),
                group: of.group(),
                process,
            }
        };
        {
            let mut tracees = tracer.tracees.lock();
            tracees.remove(self);
            if !ignores {
                tracees.ended.push(held);
                drop(tracees);
                tracer.hear_of_child(of, self.id(), report);
                return;
            }
        }
        held.release(self.system());
    }
}

impl Process {
    /// At its end, tells the tracer of its first thread, where that is not the parent. Returns
    /// whether the parent is to wait until the tracer knows.
    pub(in crate::process) fn tell_tracer_of_end(self: &Arc<Self>, status: ExitStatus) -> bool {
        let Some(first) = self.remains() else {
            return false;
        };
        let Some(tracer) = first.tracing_process() else {
            return false;
        };
        if tracer.id() == self.parent() || tracer.has_ended() {
            tracer.tracees.lock().remove(&first);
            first.tracing.state.lock().tracer = None;
            return false;
        }
        self.set_held(true);
        first.hold(&tracer, self.end_report(status), Some((self.clone(), status)));
        true
    }

    /// Hears, as a tracer does, of thread `id` of `child`.
    pub(super) fn hear_of_child(&self, child: &Self, id: u32, report: Report) {
        let action = self.signal_action(Signal::SIGCHLD);
        let is_stop = matches!(report, Report::Trapped(_));
        if action.handler != SIG_IGN && !(is_stop && action.flags & sa::NOCLDSTOP != 0) {
            let mut told = info::child(Signal::SIGCHLD, child, self, report);
            told.fields[0] = told.fields[0] >> 32 << 32 | u64::from(self.pid_namespace.shown(id));
            if let Report::Trapped(code) = report {
                told.fields[1] = u64::from(code & 0x7f);
            }
            // Standard signals are never refused.
            let _ = self.send_signal(Signal::SIGCHLD, told);
        }
        self.children_changed.wake_all();
    }
}
