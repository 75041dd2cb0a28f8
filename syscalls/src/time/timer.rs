//! A timer on any clock, which expires once or repeatedly: what is behind setitimer(2),
//! timer_create(2) and timerfd_create(2).

use alloc::sync::{Arc, Weak};

use spin::Mutex;

use crate::process::Process;
use crate::system::System;

use super::cpu::CpuClock;
use super::timers::Base;
use super::{Expire, TimerId};

/// When a timer expires next, and then how often; all in nanoseconds. `value_ns` is 0 when it
/// is not armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    /// Time to the next expiration.
    pub(crate) value_ns: u64,
    /// Time between expirations, 0 for a single one.
    pub(crate) interval_ns: u64,
}

/// A clock that a timer can wait on.
#[derive(Clone)]
pub(crate) enum TimerClock {
    /// Time as it passes.
    Moment(Base),
    /// CPU time of a process or one of its threads.
    Cpu(Weak<Process>, CpuClock),
}

impl TimerClock {
    /// Time since boot.
    pub(crate) const MONOTONIC: Self = Self::Moment(Base::Monotonic);

    /// What waits for some time of this clock waits on: setting the time of day makes that
    /// neither shorter nor longer.
    pub(crate) fn for_duration(&self) -> Self {
        match self {
            Self::Moment(Base::Wall) => Self::MONOTONIC,
            Self::Moment(Base::Monotonic) | Self::Cpu(..) => self.clone(),
        }
    }

    /// What it says, in nanoseconds; 0 where the process or thread has ended.
    pub(crate) fn now_ns(&self, system: &System) -> u64 {
        match self {
            Self::Moment(base) => base.now_ns(&*system.machine),
            Self::Cpu(process, clock) => {
                let process = process.upgrade();
                process.and_then(|process| process.cpu_clock_ns(*clock)).unwrap_or(0)
            }
        }
    }

    fn arm(&self, system: &System, deadline_ns: u64, what: Weak<dyn Expire>) -> Option<Ticket> {
        match self {
            Self::Moment(base) => {
                Some(Ticket::Moment(system.timers.arm(&*system.machine, *base, deadline_ns, what)))
            }
            Self::Cpu(process, clock) => {
                let process = process.upgrade()?;
                Some(Ticket::Cpu(process.cpu_timers.add(*clock, deadline_ns, what)))
            }
        }
    }

    fn disarm(&self, system: &System, ticket: Ticket) {
        match (self, ticket) {
            (_, Ticket::Moment(id)) => system.timers.disarm(&*system.machine, id),
            (Self::Cpu(process, _), Ticket::Cpu(serial)) => {
                if let Some(process) = process.upgrade() {
                    process.cpu_timers.remove(serial);
                }
            }
            (Self::Moment(_), Ticket::Cpu(_)) => {}
        }
    }

    /// Lets threads know of changes. Called with no lock held.
    fn tell(&self) {
        if let Self::Cpu(process, _) = self
            && let Some(process) = process.upgrade()
        {
            process.tell_cpu_deadlines();
        }
    }
}

/// An entry in the queue of a clock.
#[derive(Clone, Copy)]
enum Ticket {
    Moment(TimerId),
    Cpu(u64),
}

/// When a timer with an interval is armed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// As soon as it has expired.
    AtOnce,
    /// When its owner says so: [`Timer::go_on`].
    WhenTold,
    /// It never expires; it only tells how it stands.
    Silent,
}

/// Who has a timer.
pub(crate) trait Owner: Send + Sync {
    /// It has expired that often since it was armed or expired last. Called with no lock held.
    fn expired(&self, count: u64);
}

/// A timer.
pub(crate) struct Timer {
    this: Weak<Self>,
    system: Weak<System>,
    owner: Weak<dyn Owner>,
    again: Again,
    state: Mutex<State>,
}

struct State {
    clock: TimerClock,
    /// When it expires, or has expired while it is not armed again.
    deadline_ns: Option<u64>,
    interval_ns: u64,
    ticket: Option<Ticket>,
}

impl State {
    /// How it stands when the clock says `now_ns`.
    fn stands(&self, now_ns: u64) -> Interval {
        let interval_ns = self.interval_ns;
        let value_ns = match self.deadline_ns {
            None => 0,
            Some(deadline_ns) if deadline_ns > now_ns => deadline_ns - now_ns,
            // It is about to expire: that is not 0.
            Some(_) if self.ticket.is_some() => 1,
            Some(deadline_ns) => next_expiration(deadline_ns, interval_ns, now_ns)
                .map_or(0, |next_ns| next_ns.saturating_sub(now_ns)),
        };
        Interval { value_ns, interval_ns }
    }
}

impl Timer {
    /// A timer of `owner`, not armed.
    pub(crate) fn new(system: &Arc<System>, owner: Weak<dyn Owner>, again: Again) -> Arc<Self> {
        let clock = TimerClock::MONOTONIC;
        let state = State { clock, deadline_ns: None, interval_ns: 0, ticket: None };
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            system: Arc::downgrade(system),
            owner,
            again,
            state: Mutex::new(state),
        })
    }

    /// How it stands.
    pub(crate) fn stands(&self) -> Interval {
        let Some(system) = self.system.upgrade() else {
            return Interval::default();
        };
        let clock = self.state.lock().clock.clone();
        let now_ns = clock.now_ns(&system);
        self.state.lock().stands(now_ns)
    }

    /// Whether it waits to expire, and not only to be told to go on.
    pub(crate) fn is_armed(&self) -> bool {
        self.state.lock().ticket.is_some()
    }

    /// Arms it on `clock`, to expire after `interval.value_ns` and then at intervals, or
    /// disarms it when that is 0; returns how it stood.
    pub(crate) fn set(&self, clock: TimerClock, interval: Interval) -> Interval {
        let Some(system) = self.system.upgrade() else {
            return Interval::default();
        };
        let deadline_ns = clock.now_ns(&system).saturating_add(interval.value_ns);
        let deadline_ns = (interval.value_ns != 0).then_some(deadline_ns);
        self.replace(&system, clock, deadline_ns, interval.interval_ns)
    }

    /// Arms it on `clock`, to expire when that is at `deadline_ns` and then at intervals;
    /// returns how it stood.
    pub(crate) fn set_to(&self, clock: TimerClock, deadline_ns: u64, interval_ns: u64) -> Interval {
        let Some(system) = self.system.upgrade() else {
            return Interval::default();
        };
        self.replace(&system, clock, Some(deadline_ns), interval_ns)
    }

    fn replace(
        &self,
        system: &System,
        clock: TimerClock,
        deadline_ns: Option<u64>,
        interval_ns: u64,
    ) -> Interval {
        let stood = self.stands();
        let old = {
            let mut state = self.state.lock();
            if let Some(ticket) = state.ticket.take() {
                state.clock.disarm(system, ticket);
            }
            state.deadline_ns = deadline_ns;
            state.interval_ns = if deadline_ns.is_some() { interval_ns } else { 0 };
            let old = core::mem::replace(&mut state.clock, clock);
            self.arm(system, &mut state);
            old
        };
        old.tell();
        let new = self.state.lock().clock.clone();
        new.tell();
        stood
    }

    /// Disarms it for good.
    pub(crate) fn stop(&self) {
        self.set(TimerClock::MONOTONIC, Interval::default());
    }

    /// Arms a timer again that has expired and has an interval, for the next expiration at
    /// least `distance_ns` from now; returns how many have passed meanwhile.
    pub(crate) fn go_on(&self, distance_ns: u64) -> u64 {
        let Some(system) = self.system.upgrade() else {
            return 0;
        };
        let clock = self.state.lock().clock.clone();
        let now_ns = clock.now_ns(&system).saturating_add(distance_ns);
        let passed = {
            let mut state = self.state.lock();
            // It may have been set to something else meanwhile.
            if state.ticket.is_some() {
                return 0;
            }
            let passed = state.forward(now_ns);
            self.arm(&system, &mut state);
            passed
        };
        clock.tell();
        passed
    }

    /// Enters the deadline into the clock's queue. With the state locked, for it may expire
    /// at once.
    fn arm(&self, system: &System, state: &mut State) {
        if self.again == Again::Silent {
            return;
        }
        let this: Weak<dyn Expire> = self.this.clone();
        state.ticket =
            state.deadline_ns.and_then(|deadline_ns| state.clock.arm(system, deadline_ns, this));
    }
}

impl State {
    /// Moves the deadline behind `now_ns`, where there is an interval, or takes it away;
    /// returns how many expirations that leaves out.
    fn forward(&mut self, now_ns: u64) -> u64 {
        let Some(deadline_ns) = self.deadline_ns else {
            return 0;
        };
        self.deadline_ns = next_expiration(deadline_ns, self.interval_ns, now_ns);
        now_ns.saturating_sub(deadline_ns).checked_div(self.interval_ns).unwrap_or(0)
    }
}

impl Expire for Timer {
    fn expire(&self, deadline_ns: u64, now_ns: u64) {
        let Some(system) = self.system.upgrade() else {
            return;
        };
        let (count, clock) = {
            let mut state = self.state.lock();
            // What was set meanwhile counts.
            if state.ticket.is_none() || state.deadline_ns != Some(deadline_ns) {
                return;
            }
            state.ticket = None;
            let mut count = 1;
            if self.again == Again::AtOnce {
                count += state.forward(now_ns);
                self.arm(&system, &mut state);
            }
            (count, state.clock.clone())
        };
        clock.tell();
        if let Some(owner) = self.owner.upgrade() {
            owner.expired(count);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let (Some(ticket), Some(system)) = (state.ticket.take(), self.system.upgrade()) {
            state.clock.disarm(&system, ticket);
        }
    }
}

/// When a timer expires after `now_ns`, which expired at `deadline_ns`; `None` for a single
/// expiration.
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
