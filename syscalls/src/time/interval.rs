//! Interval timers: alarm(2), setitimer(2).

use alloc::sync::{Arc, Weak};

use abi::signal::Signal;
use spin::Mutex;

use crate::context::Context;
use crate::process::Process;
use crate::signal::info;
use crate::system::System;

use super::{Expire, TimerId};

/// The interval timers of a process: `ITIMER_REAL`.
#[derive(Default)]
pub(crate) struct IntervalTimers {
    real: Mutex<Option<Arc<RealTimer>>>,
}

/// When a timer expires next, and then how often; all in nanoseconds. `value_ns` is 0 when it
/// is not armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    /// Time to the next expiration.
    pub(crate) value_ns: u64,
    /// Time between expirations, 0 for a single one.
    pub(crate) interval_ns: u64,
}

/// An armed `ITIMER_REAL`: sends `SIGALRM`.
struct RealTimer {
    this: Weak<Self>,
    system: Weak<System>,
    process: Weak<Process>,
    interval_ns: u64,
    /// Its entry in the queue; `None` once it has expired for good or was taken back.
    armed: Mutex<Armed>,
}

#[derive(Clone, Copy)]
enum Armed {
    At(TimerId),
    Over,
}

impl IntervalTimers {
    /// How the real timer stands.
    pub(crate) fn real(&self, now_ns: u64) -> Interval {
        self.real.lock().as_ref().map_or(Interval::default(), |timer| timer.remaining(now_ns))
    }

    /// Replaces the real timer; returns how it stood.
    pub(crate) fn set_real(&self, cx: &Context<'_>, new: Interval) -> Interval {
        let machine = &*cx.system.machine;
        let now_ns = machine.monotonic_ns();
        let timer = (new.value_ns != 0).then(|| {
            RealTimer::start(cx.system, cx.process, now_ns.saturating_add(new.value_ns), new)
        });
        let old = core::mem::replace(&mut *self.real.lock(), timer);
        old.map_or(Interval::default(), |old| {
            let stood = old.remaining(now_ns);
            old.stop(cx.system);
            stood
        })
    }

    /// Takes all timers back: the process ends.
    pub(crate) fn disarm_all(&self, system: &System) {
        let old = self.real.lock().take();
        if let Some(old) = old {
            old.stop(system);
        }
    }
}

impl RealTimer {
    fn start(
        system: &Arc<System>,
        process: &Arc<Process>,
        deadline_ns: u64,
        interval: Interval,
    ) -> Arc<Self> {
        let timer = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            system: Arc::downgrade(system),
            process: Arc::downgrade(process),
            interval_ns: interval.interval_ns,
            armed: Mutex::new(Armed::Over),
        });
        {
            // Locked until it is armed: it may expire at once.
            let mut armed = timer.armed.lock();
            let this: Weak<dyn Expire> = timer.this.clone();
            *armed = Armed::At(system.timers.arm(&*system.machine, deadline_ns, this));
        }
        timer
    }

    fn remaining(&self, now_ns: u64) -> Interval {
        match *self.armed.lock() {
            // A timer that is about to expire has something left, as on Linux.
            Armed::At(id) => Interval {
                value_ns: id.deadline_ns().saturating_sub(now_ns).max(1000),
                interval_ns: self.interval_ns,
            },
            Armed::Over => Interval { value_ns: 0, interval_ns: self.interval_ns },
        }
    }

    fn stop(&self, system: &System) {
        let armed = core::mem::replace(&mut *self.armed.lock(), Armed::Over);
        if let Armed::At(id) = armed {
            system.timers.disarm(&*system.machine, id);
        }
    }
}

impl Expire for RealTimer {
    fn expire(&self, deadline_ns: u64, now_ns: u64) {
        let (Some(system), Some(process)) = (self.system.upgrade(), self.process.upgrade()) else {
            return;
        };
        {
            let mut armed = self.armed.lock();
            if matches!(*armed, Armed::Over) {
                return;
            }
            *armed = match next_expiration(deadline_ns, self.interval_ns, now_ns) {
                Some(next_ns) => {
                    let this: Weak<dyn Expire> = self.this.clone();
                    Armed::At(system.timers.arm(&*system.machine, next_ns, this))
                }
                None => Armed::Over,
            };
        }
        // Standard signals are never refused.
        let _ = process.send_signal(Signal::SIGALRM, info::kernel(Signal::SIGALRM));
    }
}

/// When a timer expires after `now_ns`, which expired at `deadline_ns`: intervals that have
/// passed altogether count once.
fn next_expiration(deadline_ns: u64, interval_ns: u64, now_ns: u64) -> Option<u64> {
    let passed = now_ns.saturating_sub(deadline_ns).checked_div(interval_ns)?;
    Some(deadline_ns.saturating_add(interval_ns.saturating_mul(passed.saturating_add(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_were_missed_count_once() {
        assert_eq!(next_expiration(100, 10, 100), Some(110));
        assert_eq!(next_expiration(100, 10, 135), Some(140));
        assert_eq!(next_expiration(100, 0, 135), None);
        assert_eq!(next_expiration(100, u64::MAX, 135), Some(u64::MAX));
    }
}
