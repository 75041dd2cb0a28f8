//! Signals for files that become ready: fcntl(2), "Managing signals".

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::landlock::Scope;
use abi::signal::{SigInfo, Signal};
use spin::Mutex;

use crate::landlock::Domain;
use crate::process::{Process, Thread};
use crate::signal::{Target, info};
use crate::system::System;
use crate::wait::{Observer, Sharing, WaitQueue};

use super::file::PollEvents;

/// Whom the signals are for, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody.
    #[default]
    Nobody,
    /// A thread.
    Thread(u32),
    /// A process.
    Process(u32),
    /// A group of processes.
    Group(u32),
}

impl Owner {
    /// It, as far as it still exists.
    pub(crate) fn if_alive(self, system: &System) -> Self {
        let processes = &system.processes;
        let is_alive = match self {
            Self::Nobody => true,
            Self::Thread(id) => processes.thread(id).is_some(),
            Self::Process(id) => processes.of_task(id).is_some(),
            Self::Group(id) => !processes.group(id).is_empty(),
        };
        if is_alive { self } else { Self::Nobody }
    }
}

/// Who hears by a signal that an open file has become ready.
pub(crate) struct ReadySignal {
    this: Weak<Self>,
    system: Weak<System>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    owner: Owner,
    /// Real and effective user of the process that set the owner.
    users: (u32, u32),
    /// Its domain, where the signals are for others.
    domain: Domain,
    /// `F_SETSIG`; without it `SIGIO` comes, and does not say for what.
    signal: Option<Signal>,
    /// While signals are sent: the descriptor to name, and for what the file is open.
    watched: Option<(i32, PollEvents)>,
}

impl ReadySignal {
    /// Nobody hears of anything yet.
    pub(crate) fn new(system: &Arc<System>) -> Arc<Self> {
        let system = Arc::downgrade(system);
        Arc::new_cyclic(|this| Self { this: this.clone(), system, state: Mutex::default() })
    }

    /// For whom the signals are.
    pub(crate) fn owner(&self) -> Owner {
        self.state.lock().owner
    }

    /// Sets for whom the signals are; `setter` says so, and decides who may get them.
    pub(crate) fn set_owner(&self, owner: Owner, setter: &Process) {
        let who = setter.credentials();
        let is_own = match owner {
            Owner::Nobody | Owner::Group(_) => false,
            Owner::Process(id) => id == setter.id(),
            Owner::Thread(id) => setter.threads().iter().any(|thread| thread.id() == id),
        };
        let domain = if is_own { Domain::NONE } else { who.domain.clone() };
        let users = (who.users.real, who.users.effective);
        let old = {
            let mut state = self.state.lock();
            (state.owner, state.users) = (owner, users);
            core::mem::replace(&mut state.domain, domain)
        };
        drop(old);
    }

    /// Which signal was asked for.
    pub(crate) fn signal(&self) -> Option<Signal> {
        self.state.lock().signal
    }

    /// Sets which signal is sent.
    pub(crate) fn set_signal(&self, signal: Option<Signal>) {
        self.state.lock().signal = signal;
    }

    /// Sends signals from now on for what `queue` tells of `events`, naming `descriptor`.
    pub(crate) fn begin(&self, queue: &WaitQueue, descriptor: i32, events: PollEvents) {
        let before = self.state.lock().watched.replace((descriptor, events));
        if before.is_none() {
            let this: Weak<dyn Observer> = self.this.clone();
            queue.observe(this, Sharing::All);
        }
    }

    /// Sends no more.
    pub(crate) fn end(&self, queue: &WaitQueue) {
        if self.state.lock().watched.take().is_some() {
            let this: *const Self = self;
            queue.forget(this);
        }
    }

    /// Sends the signal now, because there is a message about `descriptor`.
    pub(crate) fn send_message(&self, descriptor: i32) {
        let state = self.state.lock().clone();
        if let Some(system) = self.system.upgrade() {
            let band = PollEvents::IN | PollEvents::RDNORM | PollEvents::MSG;
            let signal = state.signal.unwrap_or(Signal::SIGIO);
            let told = (state.signal, info::ready(signal, band, descriptor));
            self.send(&system, &state, told);
        }
    }

    fn send(&self, system: &System, state: &State, told: (Option<Signal>, SigInfo)) {
        match state.owner {
            Owner::Nobody => {}
            Owner::Thread(id) => {
                if let Some(thread) = system.processes.thread(id) {
                    state.send_to(&Target::Thread(&thread), told);
                }
            }
            Owner::Process(id) => {
                if let Some(process) = system.processes.of_task(id) {
                    state.send_to(&Target::Process(&process), told);
                }
            }
            Owner::Group(id) => {
                let members: Vec<_> = system.processes.group(id);
                members.iter().for_each(|one| state.send_to(&Target::Process(one), told));
            }
        }
    }
}

impl State {
    /// Sends the signal that was asked for, and `SIGIO` where there is none or no room for it.
    fn send_to(&self, target: &Target<'_>, (signal, info): (Option<Signal>, SigInfo)) {
        let process = match target {
            Target::Process(process) => *process,
            Target::Thread(thread) => Thread::process(thread),
        };
        let who = process.credentials();
        let theirs = who.users;
        let (real, effective) = self.users;
        let is_same = |mine| mine == theirs.saved || mine == theirs.real;
        if effective != 0 && !is_same(effective) && !is_same(real) {
            return;
        }
        if self.domain.check_reach(&who.domain, Scope::SIGNAL).is_err() {
            return;
        }
        if signal.is_none_or(|signal| target.send(signal, info).is_err()) {
            // Standard signals are never refused.
            let _ = target.send(Signal::SIGIO, info::kernel(Signal::SIGIO));
        }
    }
}

impl Observer for ReadySignal {
    fn notify(&self, events: PollEvents) -> bool {
        let state = self.state.lock().clone();
        let Some((descriptor, watched)) = state.watched else { return false };
        let (Some(system), true) = (self.system.upgrade(), events.intersects(watched)) else {
            return false;
        };
        let band = events.intersection(watched);
        let signal = state.signal.unwrap_or(Signal::SIGIO);
        let told = (state.signal, info::ready(signal, band, descriptor));
        self.send(&system, &state, told);
        false
    }
}
