//! Clocks and timers.
//!
//! - [`Clock`]: what clock_gettime(2) can ask
//! - [`Discipline`]: what adjtimex(2) keeps
//! - [`Timers`]: everything that waits for a moment, one deadline of the machine for all
//! - [`CpuTimers`]: everything that waits for CPU time of a process, and its limit
//! - [`Timer`]: one timer on any clock, behind all that follows
//! - [`IntervalTimers`] of alarm(2) and setitimer(2)
//! - [`PosixTimers`] of timer_create(2)
//!
//! Neighbour: [`crate::events`] has the files of timerfd_create(2).

mod clock;
mod cpu;
pub(crate) mod discipline;
mod interval;
mod posix;
#[cfg(test)]
mod tests;
mod timer;
mod timers;

pub(crate) use clock::Clock;
pub(crate) use cpu::{CpuClock, CpuTimers, Whose};
pub(crate) use discipline::Discipline;
pub(crate) use interval::{IntervalKind, IntervalTimers};
pub(crate) use posix::{Notify, PosixTimers};
pub(crate) use timer::{Again, Interval, Owner, Timer, TimerClock};
pub(crate) use timers::{Base, Expire, TimerId, Timers, WallClockWatcher};
