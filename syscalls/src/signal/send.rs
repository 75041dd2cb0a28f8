//! Sending signals, and what threads say about which they want.

use alloc::sync::Arc;

use abi::Errno;
use abi::landlock::Scope;
use abi::process::Resource;
use abi::signal::{SIG_DFL, SigAction, SigInfo, Signal, StackT, si};

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::PollEvents;
use crate::machine::ExitStatus;
use crate::process::{Attention, Capability, Credentials, Process, REAPER, Thread};

use super::pending::{Pending, QueueFull};
use super::state::{Job, Own, Shared};
use super::{Disposition, RestartBlock, SignalSet, info, job};

/// Whom a signal is for.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// The process: any of its threads may take it.
    Process(&'a Process),
    /// This thread only.
    Thread(&'a Thread),
}

impl From<QueueFull> for Error {
    fn from(_: QueueFull) -> Self {
        Errno::EAGAIN.because("too many signals are queued")
    }
}

impl Target<'_> {
    fn process(&self) -> &Process {
        match self {
            Self::Process(process) => process,
            Self::Thread(thread) => thread.process(),
        }
    }

    fn credentials(&self) -> Arc<Credentials> {
        match self {
            Self::Process(process) => process.credentials(),
            Self::Thread(thread) => thread.credentials(),
        }
    }

    /// Whether the caller may send `signal`, or any if there is none: kill(2), "For a process
    /// to have permission".
    ///
    /// # Errors
    /// `EPERM` when it may not.
    pub(crate) fn permit(&self, cx: &Context<'_>, signal: Option<Signal>) -> Result<()> {
        let (from, to) = (cx.credentials(), self.credentials());
        let is_own = self.process().id() == cx.process.id();
        let is_same_user = [from.users.real, from.users.effective]
            .iter()
            .any(|&user| user == to.users.real || user == to.users.saved);
        let continues =
            signal == Some(Signal::SIGCONT) && self.process().session() == cx.process.session();
        if is_own {
            return Ok(());
        }
        if is_same_user || continues || from.has_in(Capability::Kill, &to.namespace) {
            return from.domain.check_reach(&to.domain, Scope::SIGNAL);
        }
        Err(Errno::EPERM.because("the process belongs to another user"))
    }

    /// `info`, which names the caller as the first namespaces do, as the target is to see it: a
    /// process that it cannot see is 0.
    pub(crate) fn translated(&self, mut info: SigInfo) -> SigInfo {
        let to = &self.process().pid_namespace;
        let users = &self.credentials().namespace;
        if !to.is_first() || !users.is_first() {
            let (sender, user) = (info.fields[0] as u32, (info.fields[0] >> 32) as u32);
            let shown = [to.shown(sender), users.shown_user(user)];
            info.fields[0] = u64::from(shown[0]) | u64::from(shown[1]) << 32;
        }
        info
    }

    /// `info` as the caller has made it, without its number where the target cannot see it.
    pub(crate) fn claimed(&self, cx: &Context<'_>, mut info: SigInfo) -> SigInfo {
        if self.process().pid_namespace.shown(cx.process.id()) == 0 {
            info.fields[0] &= !u64::from(u32::MAX);
        }
        info
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// [`QueueFull`] for a real-time signal that would exceed `RLIMIT_SIGPENDING`.
    pub(crate) fn send(&self, signal: Signal, info: SigInfo) -> Result<(), QueueFull> {
        let limit = self.process().limits().current(Resource::PendingSignals);
        self.queue(signal, info, limit).map(drop)
    }

    /// Sends a signal for which there is room however many are queued; returns whether it
    /// has an effect of its own: it is not ignored, and no standard one of its kind waits.
    pub(crate) fn send_reserved(&self, signal: Signal, info: SigInfo) -> bool {
        self.queue(signal, info, u64::MAX).unwrap_or(false)
    }

    fn queue(&self, signal: Signal, info: SigInfo, limit: u64) -> Result<bool, QueueFull> {
        let process = self.process();
        if process.id() == REAPER {
            return Ok(false);
        }
        let is_certain = SignalSet::UNBLOCKABLE.contains(signal) && is_from_outside(&info);
        let spares = !is_certain && process.pid_namespace.is_init(process);
        if signal == Signal::SIGKILL {
            if spares {
                return Ok(false);
            }
            {
                let mut shared = process.signals.state.lock();
                (shared.job, shared.untold) = (Job::Running, None);
            }
            process.begin_exit(ExitStatus::Killed(signal.number()));
            return Ok(true);
        }
        let threads = process.threads();
        let mut shared = process.signals.state.lock();
        if signal == Signal::SIGCONT || SignalSet::STOPS.contains(signal) {
            job::prepare(&mut shared, &threads, signal);
        }
        let thread = match self {
            Self::Thread(thread) => *thread,
            Self::Process(_) => match taker(&threads, signal) {
                Some(thread) => thread,
                None => return Ok(false),
            },
        };
        let mut own = thread.signals.state.lock();
        if spares && is_deadly(&shared, signal) && !own.blocks_or_waits(signal) {
            return Ok(false);
        }
        // A tracer is told of signals that are ignored, too.
        if is_dropped(&shared, &own, signal) && !thread.is_traced() {
            return Ok(false);
        }
        let pending = match self {
            Self::Thread(_) => &mut own.pending,
            Self::Process(_) => &mut shared.pending,
        };
        let is_new = pending.push(signal, info, limit)?;
        thread.refresh(&shared, &own);
        drop((own, shared));
        process.signals.changed.wake(PollEvents::IN);
        match self {
            Self::Thread(thread) => thread.look_for(signal),
            Self::Process(_) => {
                // All who wait for it look: one may take this one, another the next.
                let waits = |one: &Arc<Thread>| one.signals.state.lock().waited.contains(signal);
                threads.iter().filter(|one| waits(one)).for_each(|one| one.unpark());
                thread.look_for(signal);
            }
        }
        Ok(is_new)
    }
}

/// Which thread takes a signal for the process: one that waits for it or does not block it,
/// best one that has no other to deliver; otherwise the first.
fn taker(threads: &[Arc<Thread>], signal: Signal) -> Option<&Thread> {
    let wants = |thread: &&Arc<Thread>| {
        let own = thread.signals.state.lock();
        (own.waited.contains(signal) || !own.blocked.contains(signal))
            && !thread.attention.has(Attention::EXIT)
    };
    let is_free = |thread: &&Arc<Thread>| !thread.attention.has(Attention::SIGNAL);
    let free = threads.iter().filter(wants).find(is_free);
    free.or_else(|| threads.iter().find(wants)).or(threads.first()).map(|thread| &**thread)
}

/// Whether a signal would have no effect: its disposition is to ignore it, and no thread
/// blocks it in order to look at it later.
fn is_dropped(shared: &Shared, own: &Own, signal: Signal) -> bool {
    shared.disposition(signal) == Disposition::Ignore && !own.blocks_or_waits(signal)
}

/// Whether a signal comes from the kernel, or from a process that its target cannot see:
/// pid_namespaces(7), "The namespace init process".
fn is_from_outside(info: &SigInfo) -> bool {
    info.code == si::KERNEL || info::sender(info) == Some(0)
}

/// Whether a signal would end or stop a process that does not handle it.
fn is_deadly(shared: &Shared, signal: Signal) -> bool {
    !matches!(shared.disposition(signal), Disposition::Handle(_) | Disposition::Ignore)
}

impl Process {
    /// Sends a signal to the process: kill(2).
    ///
    /// # Errors
    /// [`QueueFull`] for a real-time signal that would exceed `RLIMIT_SIGPENDING`.
    pub(crate) fn send_signal(&self, signal: Signal, info: SigInfo) -> Result<(), QueueFull> {
        Target::Process(self).send(signal, info)
    }

    /// The action for `signal`: rt_sigaction(2).
    pub(crate) fn signal_action(&self, signal: Signal) -> SigAction {
        self.signals.state.lock().action(signal)
    }

    /// Replaces the action for `signal` and returns the old one. Signals that wait and are
    /// ignored now are dropped.
    pub(crate) fn set_signal_action(&self, signal: Signal, action: SigAction) -> SigAction {
        let threads = self.threads();
        let mut shared = self.signals.state.lock();
        let old = shared.action(signal);
        shared.set_action(signal, action);
        let is_ignored = shared.disposition(signal) == Disposition::Ignore;
        if is_ignored {
            let one = SignalSet::of(&[signal]);
            shared.pending.discard(one);
            for thread in &threads {
                let mut own = thread.signals.state.lock();
                own.pending.discard(one);
                thread.refresh(&shared, &own);
            }
        }
        drop(shared);
        if is_ignored {
            self.posix_timers.signals_were_dropped(signal);
        }
        old
    }
}

impl Thread {
    /// Sends `signal` to this thread as the consequence of its own system call: `SIGPIPE`,
    /// `SIGXFSZ`, `SIGTTOU` …
    pub fn raise(&self, signal: Signal) {
        let who = self.credentials();
        let pid = self.process().pid_namespace.shown(self.process().id());
        let uid = who.namespace.shown_user(who.users.real);
        // Standard signals are never refused.
        let _ = Target::Thread(self).send(signal, info::user(signal, si::USER, pid, uid));
    }

    /// Sends a signal that the thread cannot block or ignore, because it cannot go on: a
    /// blocked or ignored one ends the process.
    pub(crate) fn force_signal(&self, signal: Signal, info: SigInfo) {
        let mut shared = self.process().signals.state.lock();
        let mut own = self.signals.state.lock();
        let ignored = shared.disposition(signal) == Disposition::Ignore;
        if own.blocked.contains(signal) || ignored {
            own.blocked.remove(signal);
            shared.set_action(signal, SigAction { handler: SIG_DFL, ..SigAction::default() });
        }
        own.pending.force(signal, info);
        self.refresh(&shared, &own);
    }

    /// Lets the thread notice a signal that was sent to it.
    fn look_for(&self, signal: Signal) {
        let waited = self.signals.state.lock().waited.contains(signal);
        if waited || self.has_deliverable_signal() {
            self.unpark();
            self.interrupt();
        }
    }

    /// Replaces what the thread blocks and returns what it blocked.
    pub(crate) fn set_blocked(&self, blocked: SignalSet) -> SignalSet {
        let shared = self.process().signals.state.lock();
        let mut own = self.signals.state.lock();
        let old = core::mem::replace(&mut own.blocked, blocked.without(SignalSet::UNBLOCKABLE));
        self.refresh(&shared, &own);
        let left = shared.pending.set().and(own.blocked).without(old);
        drop((own, shared));
        if !left.is_empty() {
            self.leave_to_others(left);
        }
        old
    }

    /// Leaves signals for the process that this thread was to take, and does not any more, to
    /// the other threads.
    fn leave_to_others(&self, left: SignalSet) {
        let threads = self.process().threads();
        for other in threads.iter().filter(|other| !core::ptr::eq(&***other, self)) {
            let shared = self.process().signals.state.lock();
            let own = other.signals.state.lock();
            let is_for_other = !left.and(shared.pending.set()).without(own.blocked).is_empty();
            other.refresh(&shared, &own);
            drop((own, shared));
            if is_for_other {
                other.unpark();
                other.interrupt();
            }
        }
    }

    /// The end of a thread that is not the last one of its process: others take the signals
    /// that it would have taken, and a stop waits for it no longer.
    pub(crate) fn leave_signals(&self) {
        let waiting = self.process().signals.pending();
        if !waiting.is_empty() {
            self.leave_to_others(waiting);
        }
        self.process().tell_of_stop(self.system());
    }

    /// Blocks `blocked` until the present system call is over, and what was blocked before
    /// from then on: rt_sigsuspend(2), ppoll(2), pselect6(2).
    pub(crate) fn block_during_call(&self, blocked: SignalSet) {
        let shared = self.process().signals.state.lock();
        let mut own = self.signals.state.lock();
        let old = core::mem::replace(&mut own.blocked, blocked.without(SignalSet::UNBLOCKABLE));
        own.saved_mask = Some(old);
        self.attention.set(Attention::MASK);
        self.refresh(&shared, &own);
        let left = shared.pending.set().and(own.blocked).without(old);
        drop((own, shared));
        if !left.is_empty() {
            self.leave_to_others(left);
        }
    }

    /// Takes the first signal of `set` that waits: rt_sigtimedwait(2).
    pub(crate) fn take_signal(&self, set: SignalSet) -> Option<SigInfo> {
        let mut shared = self.process().signals.state.lock();
        let mut own = self.signals.state.lock();
        let take = |pending: &mut Pending| pending.take(pending.set().and(set).lowest()?);
        let mut info = take(&mut own.pending).or_else(|| take(&mut shared.pending));
        self.refresh(&shared, &own);
        drop((own, shared));
        if let Some(info) = &mut info
            && let Some(signal) = u8::try_from(info.signo).ok().and_then(Signal::new)
        {
            self.process().took_signal(signal, info);
        }
        info
    }

    /// Says which signals the thread waits for although it may block them.
    pub(crate) fn set_waited(&self, set: SignalSet) {
        self.signals.state.lock().waited = set;
    }

    /// The alternate signal stack, which `new` replaces: sigaltstack(2).
    ///
    /// # Errors
    /// `EPERM` while it is in use, `EINVAL` for unknown flags, `ENOMEM` when it is too small.
    pub(crate) fn change_alternate_stack(&self, new: Option<StackT>, rsp: u64) -> Result<StackT> {
        let mut own = self.signals.state.lock();
        let before = own.stack.describe(rsp);
        if let Some(new) = new {
            own.stack.set(new, rsp)?;
        }
        Ok(before)
    }

    /// What restart_syscall(2) will call.
    pub(crate) fn set_restart_block(&self, block: RestartBlock) {
        *self.restart.lock() = Some(block);
    }

    /// Takes what restart_syscall(2) is to call.
    pub(crate) fn take_restart_block(&self) -> Option<RestartBlock> {
        self.restart.lock().take()
    }

    /// Notes whether there is a signal to deliver, after one of the sets has changed.
    pub(super) fn refresh(&self, shared: &Shared, own: &Own) {
        let waiting = own.pending.set().or(shared.pending.set());
        if waiting.without(own.blocked).is_empty() {
            self.attention.clear(Attention::SIGNAL);
        } else {
            self.attention.set(Attention::SIGNAL);
        }
    }
}
