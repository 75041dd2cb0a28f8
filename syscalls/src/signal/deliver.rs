//! Delivery: what happens to signals on the way back to the application.

use abi::Errno;
use abi::signal::{SIG_DFL, SIGNAL_COUNT, SigAction, SigInfo, Signal, sa};

use crate::error::{Outcome, Result};
use crate::machine::{ExitStatus, Flow, Registers};
use crate::process::tracing::Given;
use crate::process::{Attention, Thread};
use crate::report;

use super::restart::Restart;
use super::send::Target;
use super::state::{Job, Own, Shared};
use super::{Disposition, SignalSet, frame, info};

/// A signal to act upon.
struct Delivery {
    signal: Signal,
    info: SigInfo,
    disposition: Disposition,
}

impl Delivery {
    /// Whether the first process of a namespace goes on as if it had not come: whoever could
    /// send it must not end that. What the thread itself has caused does.
    fn is_spared(&self) -> bool {
        let is_own = SignalSet::SYNCHRONOUS.contains(self.signal) && self.info.code > 0;
        let is_handled = matches!(self.disposition, Disposition::Handle(_) | Disposition::Ignore);
        !is_own && !is_handled && !SignalSet::UNBLOCKABLE.contains(self.signal)
    }
}

impl Thread {
    /// The way back from a system call that came to `result`.
    pub(crate) fn leave_call(&self, registers: &mut Registers, result: Result<Outcome>) -> Flow {
        let is_replaced = matches!(result, Ok(Outcome::Replaced));
        let mut restart = match result {
            Ok(Outcome::Ended) => {
                self.stop_before_end(registers);
                return self.end();
            }
            Ok(Outcome::Replaced) => None,
            Ok(Outcome::Value(value)) => {
                registers.rax = value;
                None
            }
            Err(error) => {
                registers.rax = error.errno.as_return_value();
                Restart::of(error.errno)
            }
        };
        if is_replaced {
            self.tell_tracer_of_exit(registers, &mut restart);
            return self.leave(registers, None);
        }
        if restart.is_none() && !self.attention.is_needed() {
            return Flow::Return;
        }
        self.tell_tracer_of_exit(registers, &mut restart);
        let is_interrupted = registers.rax == Errno::EINTR.as_return_value();
        if restart.is_none() && !is_interrupted {
            self.restore_mask();
        }
        self.leave(registers, restart)
    }

    /// The way back to the application, also after a trap or an interrupt: acts upon the
    /// signals that wait, and goes on with an interrupted system call as `restart` says.
    pub(crate) fn leave(&self, registers: &mut Registers, mut restart: Option<Restart>) -> Flow {
        loop {
            self.run_requests_outside(registers);
            self.deliver_all(registers, &mut restart);
            self.stopping(registers, &mut restart, |registers| {
                self.stay_stopped(registers);
                self.stop_if_asked(registers);
            });
            if self.attention.has(Attention::EXIT) {
                self.join_dump(registers);
                self.stop_before_end(registers);
                return self.end();
            }
            if self.attention.has(Attention::SIGNAL) {
                // It came while the process was stopped: its handler decides how the call goes on.
                continue;
            }
            if let Some(restart) = restart.take() {
                restart.without_handler(registers);
            }
            // The mask of before may let through a signal that the call's own one blocked.
            self.restore_mask();
            if !self.attention.has(Attention::INTERRUPTIONS | Attention::REQUESTS) {
                if self.is_traced() {
                    self.set_step(registers);
                }
                if self.attention.has(Attention::REGISTERS) {
                    self.attention.clear(Attention::REGISTERS);
                }
                // A handler, a frame, a tracer or a program's file may have said any address.
                registers.keep_in_application();
                return Flow::Restore;
            }
        }
    }

    /// Stops at the exit of a system call, if a tracer wants that.
    fn tell_tracer_of_exit(&self, registers: &mut Registers, restart: &mut Option<Restart>) {
        if self.is_traced() {
            self.stopping(registers, restart, |registers| self.stop_after_call(registers));
        }
    }

    /// Does what may stop for a tracer. Where that changed what the system call has come to, it
    /// goes on as the new result says.
    fn stopping<T>(
        &self,
        registers: &mut Registers,
        restart: &mut Option<Restart>,
        stop: impl FnOnce(&mut Registers) -> T,
    ) -> T {
        let before = (registers.rax, registers.orig_rax);
        let value = stop(registers);
        if before != (registers.rax, registers.orig_rax) {
            let is_call = registers.orig_rax.cast_signed() >= 0;
            *restart = Restart::of_result(registers.rax).filter(|_| is_call);
        }
        value
    }

    fn deliver_all(&self, registers: &mut Registers, restart: &mut Option<Restart>) {
        while self.attention.has(Attention::SIGNAL) && !self.attention.has(Attention::EXIT) {
            let Some((signal, info)) = self.next_signal() else {
                return;
            };
            let asked = self.stopping(registers, restart, |registers| {
                self.stop_for_signal(registers, signal, info)
            });
            let Some(delivery) = self.decide(signal, info, asked) else {
                continue;
            };
            crate::trace::signal(self, &delivery.info);
            match delivery.disposition {
                Disposition::Ignore => {}
                Disposition::Stop => self.stop(delivery.signal),
                Disposition::Terminate => {
                    report::of_end(self, delivery.signal, &delivery.info);
                    self.die(delivery.signal);
                }
                Disposition::Core => {
                    report::of_death(self, delivery.signal, &delivery.info, registers);
                    self.die_with_core(delivery.signal, &delivery.info, registers);
                }
                Disposition::Handle(action) => {
                    if let Some(restart) = restart.take() {
                        restart.before_handler(&action, registers);
                    }
                    self.enter_handler(registers, delivery.signal, delivery.info, action);
                    self.stop_in_handler(registers);
                }
            }
        }
    }

    /// Takes the signal to deliver next: those that the thread itself caused come first.
    fn next_signal(&self) -> Option<(Signal, SigInfo)> {
        let mut shared = self.process().signals.state.lock();
        let mut own = self.signals.state.lock();
        let next = choose(&mut shared, &mut own);
        self.refresh(&shared, &own);
        let may_stop = |signal| SignalSet::STOPS.contains(signal) || self.is_traced();
        if shared.job == Job::Running && next.is_some_and(|(signal, _)| may_stop(signal)) {
            // With the lock held: a continuation that comes later undoes it.
            shared.job = Job::Stopping;
        }
        drop((own, shared));
        let (signal, mut info) = next?;
        self.process().took_signal(signal, &mut info);
        Some((signal, info))
    }

    /// What is done about a signal, of which a tracer may have made something else.
    fn decide(&self, signal: Signal, info: SigInfo, asked: Option<Given>) -> Option<Delivery> {
        let (signal, info) = match asked {
            None => (signal, info),
            Some(Given { signal: Some(given), info }) if !self.is_blocked(given) => (given, info),
            Some(Given { signal, info }) => {
                if let Some(given) = signal {
                    // Standard signals are never refused; a real-time one may be too many.
                    let _ = Target::Thread(self).send(given, info);
                }
                return None;
            }
        };
        let mut shared = self.process().signals.state.lock();
        let disposition = shared.disposition(signal);
        if let Disposition::Handle(action) = disposition
            && action.flags & sa::RESETHAND != 0
        {
            shared.set_action(signal, SigAction { handler: SIG_DFL, ..action });
        }
        drop(shared);
        let mut delivery = Delivery { signal, info, disposition };
        let is_init = self.process().pid_namespace.is_init(self.process());
        if is_init && delivery.is_spared() {
            delivery.disposition = Disposition::Ignore;
        }
        Some(delivery)
    }

    fn is_blocked(&self, signal: Signal) -> bool {
        self.signals.blocked().contains(signal)
    }

    /// Runs a handler: puts a frame on the stack, and blocks what the action says.
    fn enter_handler(
        &self,
        registers: &mut Registers,
        signal: Signal,
        info: SigInfo,
        action: SigAction,
    ) {
        let pushed = self
            .leave_critical_section(registers)
            .and_then(|()| frame::push(self, registers, signal, info, action));
        if pushed.is_err() {
            let was_segv = signal == Signal::SIGSEGV;
            self.force_segv(was_segv);
            return;
        }
        let mut blocked = self.signals.blocked().or(SignalSet::from_bits(action.mask));
        if action.flags & sa::NODEFER == 0 {
            blocked.insert(signal);
        }
        self.set_blocked(blocked);
        self.attention.clear(Attention::MASK);
    }

    /// What happens when a frame cannot be written or read: `SIGSEGV`, fatal when it was the
    /// handler of `SIGSEGV` that could not run.
    pub(crate) fn force_segv(&self, fatal: bool) {
        if fatal {
            self.process().set_signal_action(Signal::SIGSEGV, SigAction::default());
        }
        self.force_signal(Signal::SIGSEGV, info::kernel(Signal::SIGSEGV));
    }

    /// Blocks again what was blocked before the call, if that had a mask of its own.
    fn restore_mask(&self) {
        if self.attention.has(Attention::MASK) {
            self.attention.clear(Attention::MASK);
            let saved = self.signals.state.lock().saved_mask.take();
            if let Some(mask) = saved {
                self.set_blocked(mask);
            }
        }
    }

    fn die(&self, signal: Signal) {
        self.process().begin_exit(ExitStatus::Killed(signal.number()));
    }

    /// Whether a signal waits that will end the process.
    pub(crate) fn has_fatal_signal(&self) -> bool {
        if !self.attention.has(Attention::SIGNAL) {
            return false;
        }
        let shared = self.process().signals.state.lock();
        let own = self.signals.state.lock();
        let deliverable = own.pending.set().or(shared.pending.set()).without(own.blocked);
        let all = (1..=SIGNAL_COUNT as u8).filter_map(Signal::new);
        all.filter(|&signal| deliverable.contains(signal)).any(|signal| {
            matches!(shared.disposition(signal), Disposition::Terminate | Disposition::Core)
        })
    }
}

fn choose(shared: &mut Shared, own: &mut Own) -> Option<(Signal, SigInfo)> {
    let mine = own.pending.set().without(own.blocked);
    let signal = mine.and(SignalSet::SYNCHRONOUS).lowest().or(mine.lowest());
    match signal {
        Some(signal) => Some((signal, own.pending.take(signal)?)),
        None => {
            let signal = shared.pending.set().without(own.blocked).lowest()?;
            Some((signal, shared.pending.take(signal)?))
        }
    }
}
