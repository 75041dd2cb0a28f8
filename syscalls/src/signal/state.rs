//! The state of signals: what a process has, and what each of its threads has.

use abi::process::CloneFlags;
use abi::signal::{SIG_DFL, SIG_IGN, SIGNAL_COUNT, SigAction, SigInfo, Signal};
use spin::Mutex;

use crate::joint::Joint;
use crate::process::wait::Report;
use crate::wait::WaitQueue;

use super::pending::Pending;
use super::{AlternateStack, Disposition, SignalSet};

/// What the threads of a process share of its signals.
pub struct ProcessSignals {
    pub(super) state: Mutex<Shared>,
    /// Woken when a signal waits for the process or one of its threads.
    pub(crate) changed: WaitQueue,
}

pub(super) struct Shared {
    actions: Joint<Actions>,
    /// Signals for the process, which any of its threads may take.
    pub(super) pending: Pending,
    /// Whether the process is stopped.
    pub(super) job: Job,
    /// The signal that has stopped it, while it is stopped.
    pub(super) stopped_by: Option<Signal>,
    /// What of it the parent has not been told of.
    pub(super) untold: Option<Report>,
}

/// What a process does on each signal.
type Actions = [SigAction; SIGNAL_COUNT];

/// Whether a process runs, as far as job control is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// It does.
    Running,
    /// A signal is about to stop it.
    Stopping,
    /// It is stopped, until `SIGCONT`; its threads stop as they come by.
    Stopped,
}

impl Default for ProcessSignals {
    fn default() -> Self {
        let state = Shared {
            actions: Joint::new([SigAction::default(); SIGNAL_COUNT]),
            pending: Pending::default(),
            job: Job::Running,
            stopped_by: None,
            untold: None,
        };
        Self { state: Mutex::new(state), changed: WaitQueue::new() }
    }
}

/// Lets every signal that has a handler have its default action again.
fn reset_handlers(actions: &mut Actions) {
    for action in actions.iter_mut() {
        let handler = if action.handler == SIG_IGN { SIG_IGN } else { SIG_DFL };
        *action = SigAction { handler, ..SigAction::default() };
    }
}

impl Own {
    /// Whether the thread blocks `signal`, in order to look at it later, or waits for it.
    pub(super) fn blocks_or_waits(&self, signal: Signal) -> bool {
        self.blocked.contains(signal) || self.waited.contains(signal)
    }
}

impl Shared {
    pub(super) fn action(&self, signal: Signal) -> SigAction {
        self.actions.with(|actions| actions[signal.index()])
    }

    pub(super) fn disposition(&self, signal: Signal) -> Disposition {
        Disposition::of(signal, self.action(signal))
    }

    pub(super) fn set_action(&mut self, signal: Signal, action: SigAction) {
        self.actions.with(|actions| actions[signal.index()] = action);
    }
}

impl ProcessSignals {
    /// Whether both processes have the same actions.
    pub(crate) fn shares_actions(&self, other: &Self) -> bool {
        if core::ptr::eq(self, other) {
            return true;
        }
        let own = self.state.lock().actions.identity();
        own.is_some() && own == other.state.lock().actions.identity()
    }

    /// What a child has of them, as clone(2) says: the actions, or the same actions.
    #[must_use]
    pub(crate) fn of_child(&self, flags: CloneFlags) -> Self {
        let child = Self::default();
        {
            let (state, mut new) = (self.state.lock(), child.state.lock());
            new.actions = match flags.contains(CloneFlags::SIGHAND) {
                true => state.actions.share(),
                false => state.actions.copy(),
            };
        }
        if flags.contains(CloneFlags::CLEAR_SIGHAND) {
            child.reset_handlers();
        }
        child
    }

    /// What execve(2) does: the actions are this process's alone, and the handlers are gone.
    pub(crate) fn reset_handlers(&self) {
        let state = self.state.lock();
        state.actions.separate();
        state.actions.with(reset_handlers);
    }

    /// Whether the process is stopped.
    #[must_use]
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().job == Job::Stopped
    }

    /// The signal that has stopped the process, while it is stopped.
    #[must_use]
    pub(crate) fn stopped_by(&self) -> Option<Signal> {
        let state = self.state.lock();
        state.stopped_by.filter(|_| state.job == Job::Stopped)
    }

    /// The information about signals that wait for the process, from the `from`th on.
    pub(crate) fn peek(&self, from: u64, each: impl FnMut(&SigInfo) -> bool) {
        self.state.lock().pending.peek(from, each);
    }

    /// Which signals wait for the process as a whole.
    #[must_use]
    pub fn pending(&self) -> SignalSet {
        self.state.lock().pending.set()
    }

    /// Which signals are ignored, and which have a handler.
    #[must_use]
    pub fn ignored_and_handled(&self) -> (SignalSet, SignalSet) {
        let state = self.state.lock();
        let mut sets = (SignalSet::EMPTY, SignalSet::EMPTY);
        for signal in (1..=SIGNAL_COUNT as u8).filter_map(Signal::new) {
            match state.action(signal).handler {
                abi::signal::SIG_DFL => {}
                abi::signal::SIG_IGN => sets.0.insert(signal),
                _ => sets.1.insert(signal),
            }
        }
        sets
    }
}

/// What one thread has of signals.
#[derive(Default)]
pub struct ThreadSignals {
    pub(super) state: Mutex<Own>,
}

#[derive(Default)]
pub(super) struct Own {
    pub(super) blocked: SignalSet,
    /// Signals for this thread only.
    pub(super) pending: Pending,
    /// What to block again after a call that waits with a mask of its own.
    pub(super) saved_mask: Option<SignalSet>,
    /// What rt_sigtimedwait(2) waits for.
    pub(super) waited: SignalSet,
    /// Whether the thread has stopped with its process.
    pub(super) has_stopped: bool,
    pub(super) stack: AlternateStack,
    /// The latest trap, for signal frames.
    pub(super) trap: TrapRecord,
}

/// What a signal frame tells of the latest trap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TrapRecord {
    pub(super) vector: u64,
    pub(super) error_code: u64,
    pub(super) address: u64,
}

impl ThreadSignals {
    /// Takes over what a child has of the thread that made it: the mask, and the alternate
    /// stack where it has memory of its own or borrows it.
    pub(crate) fn inherit(&self, parent: &Self, flags: CloneFlags) {
        let (parent, mut own) = (parent.state.lock(), self.state.lock());
        own.blocked = parent.blocked;
        let runs_beside = flags.contains(CloneFlags::VM) && !flags.contains(CloneFlags::VFORK);
        if !runs_beside {
            own.stack = parent.stack;
        }
    }

    /// Which signals the thread blocks.
    #[must_use]
    pub fn blocked(&self) -> SignalSet {
        self.state.lock().blocked
    }

    /// Which signals the thread blocks once the present system call is over.
    #[must_use]
    pub(crate) fn mask_of_call(&self) -> SignalSet {
        let state = self.state.lock();
        state.saved_mask.unwrap_or(state.blocked)
    }

    /// Lets the thread block no others after the present system call than now.
    pub(crate) fn forget_mask_of_call(&self) {
        self.state.lock().saved_mask = None;
    }

    /// The information about signals that wait for the thread, from the `from`th on.
    pub(crate) fn peek(&self, from: u64, each: impl FnMut(&SigInfo) -> bool) {
        self.state.lock().pending.peek(from, each);
    }

    /// Which signals wait for this thread alone.
    #[must_use]
    pub fn pending(&self) -> SignalSet {
        self.state.lock().pending.set()
    }

    /// What execve(2) does: the alternate stack is gone.
    pub fn reset_stack(&self) {
        self.state.lock().stack = AlternateStack::default();
    }
}
