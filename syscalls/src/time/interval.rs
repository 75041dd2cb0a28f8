//! Interval timers: alarm(2), setitimer(2).

use alloc::sync::{Arc, Weak};

use abi::signal::{SigInfo, Signal};
use spin::Mutex;

use crate::context::Context;
use crate::process::Process;
use crate::signal::info;
use crate::system::System;

use super::cpu::CpuClock;
use super::timer::{Again, Interval, Owner, Timer, TimerClock};

/// Which of the interval timers of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntervalKind {
    /// Counts time as it passes: `SIGALRM`.
    Real,
    /// Counts the process's time in the application: `SIGVTALRM`.
    Virtual,
    /// Counts all of its CPU time: `SIGPROF`.
    Profiling,
}

impl IntervalKind {
    const ALL: [Self; 3] = [Self::Real, Self::Virtual, Self::Profiling];

    fn signal(self) -> Signal {
        match self {
            Self::Real => Signal::SIGALRM,
            Self::Virtual => Signal::SIGVTALRM,
            Self::Profiling => Signal::SIGPROF,
        }
    }

    /// On Linux, too, only the first one waits until its signal has been taken.
    fn again(self) -> Again {
        match self {
            Self::Real => Again::WhenTold,
            Self::Virtual | Self::Profiling => Again::AtOnce,
        }
    }

    fn clock(self, process: &Arc<Process>) -> TimerClock {
        match self {
            Self::Real => TimerClock::MONOTONIC,
            Self::Virtual => TimerClock::Cpu(Arc::downgrade(process), CpuClock::USER),
            Self::Profiling => TimerClock::Cpu(Arc::downgrade(process), CpuClock::PROCESS),
        }
    }
}

/// The interval timers of a process, each from its first use on.
#[derive(Default)]
pub(crate) struct IntervalTimers {
    timers: [Mutex<Option<Arc<SignalTimer>>>; IntervalKind::ALL.len()],
}

/// One of them.
struct SignalTimer {
    process: Weak<Process>,
    signal: Signal,
    timer: Arc<Timer>,
}

impl IntervalTimers {
    /// How a timer stands.
    pub(crate) fn get(&self, kind: IntervalKind) -> Interval {
        let timer = self.timers[kind as usize].lock().clone();
        timer.map_or(Interval::default(), |one| one.stands())
    }

    /// Arms or disarms a timer; returns how it stood.
    pub(crate) fn set(&self, cx: &Context<'_>, kind: IntervalKind, new: Interval) -> Interval {
        let one = {
            let mut slot = self.timers[kind as usize].lock();
            slot.get_or_insert_with(|| SignalTimer::new(cx.system, cx.process, kind)).clone()
        };
        let stood = one.stands();
        one.timer.set(kind.clock(cx.process), new);
        stood
    }

    /// The signal of a timer has been taken: that one goes on.
    fn go_on(&self, signal: Signal) {
        let kind = IntervalKind::ALL.into_iter().find(|kind| kind.signal() == signal);
        let timer = kind.and_then(|kind| self.timers[kind as usize].lock().clone());
        if let Some(one) = timer {
            one.timer.go_on(0);
        }
    }

    /// Takes all timers back: the process ends.
    pub(crate) fn disarm_all(&self) {
        for timer in &self.timers {
            let timer = timer.lock().take();
            if let Some(one) = timer {
                one.timer.stop();
            }
        }
    }
}

impl Process {
    /// A thread has taken `signal`: a timer that sent it goes on, and `info` tells how often it
    /// has expired meanwhile. Called with no lock held.
    pub(crate) fn took_signal(&self, signal: Signal, info: &mut SigInfo) {
        self.timers.go_on(signal);
        self.posix_timers.deliver(info);
    }
}

impl SignalTimer {
    fn new(system: &Arc<System>, process: &Arc<Process>, kind: IntervalKind) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            process: Arc::downgrade(process),
            signal: kind.signal(),
            timer: Timer::new(system, this.clone(), kind.again()),
        })
    }

    /// How it stands. As on Linux, one whose signal nobody has taken yet is not armed.
    fn stands(&self) -> Interval {
        let stands = self.timer.stands();
        if self.timer.is_armed() { stands } else { Interval { value_ns: 0, ..stands } }
    }
}

impl Owner for SignalTimer {
    fn expired(&self, _: u64) {
        if let Some(process) = self.process.upgrade() {
            // Standard signals are never refused.
            let _ = process.send_signal(self.signal, info::kernel(self.signal));
        }
    }
}
