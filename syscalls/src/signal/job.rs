//! Job control: a stop of the process stops all its threads, and `SIGCONT` lets all go on.

use alloc::sync::Arc;

use abi::signal::Signal;

use crate::machine::Registers;
use crate::process::wait::Report;
use crate::process::{Attention, Process, Thread};
use crate::system::System;

use super::SignalSet;
use super::state::{Job, Shared};

/// A stop undoes a continuation that waits, and the other way round.
pub(super) fn prepare(shared: &mut Shared, threads: &[Arc<Thread>], signal: Signal) {
    let undone = if signal == Signal::SIGCONT {
        SignalSet::STOPS
    } else {
        SignalSet::of(&[Signal::SIGCONT])
    };
    shared.pending.discard(undone);
    for thread in threads {
        thread.signals.state.lock().pending.discard(undone);
    }
    if signal == Signal::SIGCONT {
        if shared.job == Job::Stopped {
            // A stop that was not complete has not happened for the parent.
            let was_told = shared.untold.is_none();
            shared.untold = was_told.then_some(Report::Continued);
        }
        shared.job = Job::Running;
        for thread in threads {
            if thread.is_traced() {
                // A tracer may have let it run meanwhile: whoever comes by first tells.
                thread.attention.set(Attention::STOP);
                thread.notice_continuation();
                thread.interrupt();
            }
            thread.unpark();
        }
    }
}

impl Thread {
    /// Stops the process until `SIGCONT`, unless that has come already.
    ///
    /// In an orphaned group, which nobody could continue, of the signals that stop only
    /// `SIGSTOP` does (POSIX, 2.4.3).
    pub(super) fn stop(&self, signal: Signal) {
        let (process, system) = (self.process(), self.system());
        let can_stop = signal == Signal::SIGSTOP || !system.processes.is_orphaned(process.group());
        let threads = process.threads();
        let mut shared = process.signals.state.lock();
        if shared.job == Job::Stopped {
            // A tracer had let this thread run.
            self.attention.set(Attention::STOP);
        }
        if shared.job != Job::Stopping {
            return;
        }
        shared.job = if can_stop { Job::Stopped } else { Job::Running };
        if can_stop {
            shared.untold = Some(Report::Stopped(signal));
            shared.stopped_by = Some(signal);
            for thread in threads {
                thread.attention.set(Attention::STOP);
                thread.unpark();
                thread.interrupt();
            }
        }
    }

    /// Waits while the process is stopped. Who stops last tells the parent, and so does who
    /// goes on first. A thread that is traced goes on when its tracer wants it.
    pub(super) fn stay_stopped(&self, registers: &mut Registers) {
        if !self.attention.has(Attention::STOP) {
            return;
        }
        let (process, system) = (self.process(), self.system());
        let mut was_let_go = false;
        while !was_let_go
            && !self.attention.has(Attention::EXIT)
            && let Some(signal) = process.signals.stopped_by()
        {
            self.signals.state.lock().has_stopped = true;
            process.tell_of_stop(system);
            if self.is_traced() {
                self.stop_with_process(registers, signal);
                was_let_go = self.is_traced();
            } else {
                self.park(None);
            }
        }
        let mut shared = process.signals.state.lock();
        self.signals.state.lock().has_stopped = false;
        // Under the lock, so that a stop that comes now is not lost.
        if shared.job != Job::Stopped || was_let_go {
            self.attention.clear(Attention::STOP);
        }
        let untold = shared.untold.take_if(|report| *report == Report::Continued);
        drop(shared);
        if let Some(report) = untold.filter(|_| !self.attention.has(Attention::EXIT)) {
            process.report(system, report);
        }
    }

    /// Whether it has stopped with its process, and waits.
    pub(crate) fn has_stopped_with_process(&self) -> bool {
        self.process().signals.is_stopped() && self.signals.state.lock().has_stopped
    }
}

impl Process {
    /// Tells the parent that the process has stopped, once all of its threads have.
    pub(super) fn tell_of_stop(&self, system: &System) {
        if !self.signals.is_stopped() {
            return;
        }
        let threads = self.threads();
        let untold = {
            let mut shared = self.signals.state.lock();
            let has_stopped = |thread: &Arc<Thread>| thread.signals.state.lock().has_stopped;
            let is_complete = shared.job == Job::Stopped && threads.iter().all(has_stopped);
            shared.untold.take_if(|report| is_complete && matches!(report, Report::Stopped(_)))
        };
        if let Some(report) = untold {
            self.report(system, report);
        }
    }
}
