//! The timers of timer_create(2), which send signals.
//!
//! Of each timer at most one signal waits. A timer with an interval goes on when its signal is
//! delivered: expirations meanwhile are its overrun.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;
use abi::process::Resource;
use abi::signal::{SigInfo, Signal, si};
use spin::Mutex;

use crate::error::{Because, Result};
use crate::process::{Process, Thread};
use crate::signal::{Target, info};
use crate::system::System;

use super::timer::{Again, Interval, Owner, Timer, TimerClock};

/// How long a timer waits at least whose signal is ignored, in nanoseconds: a tick of Linux.
const IGNORED_DISTANCE_NS: u64 = 4_000_000;

/// Whom a timer tells.
#[derive(Clone)]
pub(crate) enum Notify {
    /// Nobody: `SIGEV_NONE`.
    Nobody,
    /// The process, by this signal: `SIGEV_SIGNAL`.
    Process(Signal),
    /// One thread: `SIGEV_THREAD_ID`.
    Thread(Weak<Thread>, Signal),
}

impl Notify {
    fn signal(&self) -> Option<Signal> {
        match self {
            Self::Nobody => None,
            Self::Process(signal) | Self::Thread(_, signal) => Some(*signal),
        }
    }
}

/// The timers of a process, by number.
#[derive(Default)]
pub(crate) struct PosixTimers {
    timers: Mutex<Numbered>,
}

#[derive(Default)]
struct Numbered {
    timers: BTreeMap<i32, Arc<PosixTimer>>,
    next: i32,
}

/// One timer.
pub(crate) struct PosixTimer {
    id: i32,
    process: Weak<Process>,
    clock_number: i32,
    clock: TimerClock,
    notify: Notify,
    /// What the application gave along.
    value: u64,
    timer: Arc<Timer>,
    delivery: Mutex<Delivery>,
}

#[derive(Default)]
struct Delivery {
    /// Its signal waits.
    is_waiting: bool,
    /// With the signal's delivery, the timer goes on.
    goes_on: bool,
    /// Expirations that the latest delivered signal also stands for.
    overrun: i32,
}

impl PosixTimers {
    /// Adds a timer; `value` is what its signals carry, its number where that is `None`.
    /// Returns its number.
    ///
    /// # Errors
    /// `EAGAIN` when there are as many as signals may be queued.
    pub(crate) fn add(
        &self,
        system: &Arc<System>,
        process: &Arc<Process>,
        (clock_number, clock): (i32, TimerClock),
        notify: Notify,
        value: Option<u64>,
    ) -> Result<i32> {
        let limit = process.limits().current(Resource::PendingSignals);
        let mut numbered = self.timers.lock();
        if numbered.timers.len() as u64 >= limit {
            return Err(Errno::EAGAIN.because("RLIMIT_SIGPENDING is reached"));
        }
        let id = numbered.free_number();
        let again = if notify.signal().is_none() { Again::Silent } else { Again::WhenTold };
        let timer = Arc::new_cyclic(|this: &Weak<PosixTimer>| PosixTimer {
            id,
            process: Arc::downgrade(process),
            clock_number,
            clock,
            notify,
            // As on Linux, in the union's `int`.
            value: value.unwrap_or(u64::from(id.cast_unsigned())),
            timer: Timer::new(system, this.clone(), again),
            delivery: Mutex::default(),
        });
        numbered.timers.insert(id, timer);
        Ok(id)
    }

    /// The timer with this number.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(crate) fn get(&self, id: i32) -> Result<Arc<PosixTimer>> {
        let timer = self.timers.lock().timers.get(&id).cloned();
        timer.ok_or_else(|| Errno::EINVAL.because("no such timer"))
    }

    /// Removes a timer. A signal of it that waits stays.
    ///
    /// # Errors
    /// `EINVAL` when there is none.
    pub(crate) fn remove(&self, id: i32) -> Result<()> {
        let timer = self.timers.lock().timers.remove(&id);
        let timer = timer.ok_or_else(|| Errno::EINVAL.because("no such timer"))?;
        timer.timer.stop();
        Ok(())
    }

    /// Removes all timers: execve(2), the end of the process.
    pub(crate) fn clear(&self) {
        let timers = core::mem::take(&mut self.timers.lock().timers);
        for timer in timers.into_values() {
            timer.timer.stop();
        }
    }

    /// `info` is delivered: where it comes from a timer, that goes on, and `info` tells the
    /// overrun. Called with no lock held.
    pub(crate) fn deliver(&self, info: &mut SigInfo) {
        if info.code != si::TIMER {
            return;
        }
        let id = (info.fields[0] as u32).cast_signed();
        // One that was deleted, or a signal that only looks so.
        let Ok(timer) = self.get(id) else {
            return;
        };
        if let Some(overrun) = timer.delivered() {
            info.fields[0] |= u64::from(overrun.cast_unsigned()) << 32;
        }
    }

    /// Signals that waited were dropped, because they are ignored now.
    pub(crate) fn signals_were_dropped(&self, signal: Signal) {
        let timers: Vec<_> = self.timers.lock().timers.values().cloned().collect();
        for timer in timers.iter().filter(|timer| timer.notify.signal() == Some(signal)) {
            timer.was_dropped();
        }
    }
}

impl Numbered {
    fn free_number(&mut self) -> i32 {
        while self.timers.contains_key(&self.next) {
            self.next = self.next.checked_add(1).unwrap_or(0);
        }
        let id = self.next;
        self.next = id.checked_add(1).unwrap_or(0);
        id
    }
}

impl PosixTimer {
    /// The number of the clock it was made for.
    pub(crate) fn clock_number(&self) -> i32 {
        self.clock_number
    }

    /// The clock it was made for.
    pub(crate) fn clock(&self) -> &TimerClock {
        &self.clock
    }

    /// How it stands.
    pub(crate) fn stands(&self) -> Interval {
        self.timer.stands()
    }

    /// Lets `set` arm or disarm the timer; a signal that waits no longer lets it go on.
    pub(crate) fn set(&self, set: impl FnOnce(&Timer) -> Interval) -> Interval {
        {
            let mut delivery = self.delivery.lock();
            (delivery.goes_on, delivery.overrun) = (false, 0);
        }
        set(&self.timer)
    }

    /// Expirations that the latest delivered signal also stands for.
    pub(crate) fn overrun(&self) -> i32 {
        self.delivery.lock().overrun
    }

    /// Its signal is delivered; returns the overrun, `None` when no signal of it waited.
    fn delivered(&self) -> Option<i32> {
        let goes_on = {
            let mut delivery = self.delivery.lock();
            if !core::mem::take(&mut delivery.is_waiting) {
                return None;
            }
            core::mem::take(&mut delivery.goes_on)
        };
        let passed = if goes_on { self.timer.go_on(0) } else { 0 };
        let overrun = i32::try_from(passed).unwrap_or(i32::MAX);
        self.delivery.lock().overrun = overrun;
        Some(overrun)
    }

    fn was_dropped(&self) {
        let goes_on = {
            let mut delivery = self.delivery.lock();
            core::mem::take(&mut delivery.is_waiting) && core::mem::take(&mut delivery.goes_on)
        };
        if goes_on {
            self.timer.go_on(IGNORED_DISTANCE_NS);
        }
    }

    /// Sends its signal; `false` when that has no effect.
    fn send(&self) -> bool {
        let Some(process) = self.process.upgrade() else {
            return false;
        };
        match &self.notify {
            Notify::Nobody => false,
            Notify::Process(signal) => {
                let info = info::timer(*signal, self.id, self.value);
                Target::Process(&process).send_reserved(*signal, info)
            }
            Notify::Thread(thread, signal) => thread.upgrade().is_some_and(|thread| {
                let info = info::timer(*signal, self.id, self.value);
                Target::Thread(&thread).send_reserved(*signal, info)
            }),
        }
    }
}

impl Owner for PosixTimer {
    fn expired(&self, _: u64) {
        {
            let mut delivery = self.delivery.lock();
            delivery.goes_on = true;
            // One from before the timer was set again.
            if core::mem::replace(&mut delivery.is_waiting, true) {
                return;
            }
        }
        if !self.send() {
            self.was_dropped();
        }
    }
}
