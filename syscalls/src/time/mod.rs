//! Clocks and timers.
//!
//! - [`Clock`]: what clock_gettime(2) can ask
//! - [`Timers`]: everything that waits for a moment, one deadline of the machine for all
//! - [`IntervalTimers`]: alarm(2), setitimer(2)

mod clock;
mod interval;
mod timers;

pub(crate) use clock::Clock;
pub(crate) use interval::{Interval, IntervalTimers};
pub(crate) use timers::{Expire, TimerId, Timers};
