//! The state of signals: what a process has, and what each of its threads has.

use abi::signal::{SIGNAL_COUNT, SigAction, Signal};
use spin::Mutex;

use super::pending::Pending;
use super::{AlternateStack, Disposition, SignalSet};

/// What the threads of a process share of its signals.
pub struct ProcessSignals {
    pub(super) state: Mutex<Shared>,
}

pub(super) struct Shared {
    actions: [SigAction; SIGNAL_COUNT],
    /// Signals for the process, which any of its threads may take.
    pub(super) pending: Pending,
    /// Whether the process is stopped, until `SIGCONT`.
    pub(super) stopped: bool,
}

impl Default for ProcessSignals {
    fn default() -> Self {
        let state = Shared {
            actions: [SigAction::default(); SIGNAL_COUNT],
            pending: Pending::default(),
            stopped: false,
        };
        Self { state: Mutex::new(state) }
    }
}

impl Shared {
    pub(super) fn action(&self, signal: Signal) -> SigAction {
        self.actions[signal.index()]
    }

    pub(super) fn disposition(&self, signal: Signal) -> Disposition {
        Disposition::of(signal, self.action(signal))
    }

    pub(super) fn set_action(&mut self, signal: Signal, action: SigAction) {
        self.actions[signal.index()] = action;
    }
}

impl ProcessSignals {
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

    /// What execve(2) does: handled signals get their default action, ignored ones stay so.
    pub fn reset_handlers(&self) {
        for action in &mut self.state.lock().actions {
            if action.handler != abi::signal::SIG_IGN {
                *action = SigAction::default();
            }
        }
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
    /// Which signals the thread blocks.
    #[must_use]
    pub fn blocked(&self) -> SignalSet {
        self.state.lock().blocked
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
