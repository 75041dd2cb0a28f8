//! When a test has had its time: by what its machine did, not by what the host was busy with.
//!
//! A machine has taken too long when
//! - it ran for longer than the limit, not counted the time that it waited for a processor of
//!   the host because others had it, or
//! - it did nothing at all for longer than a test that still goes on would.
//!
//! The kernel says how long a thread ran and how long it waited to run
//! (`/proc/PID/task/TID/schedstat`). Where it does not, only the clock counts.

use crate::host::Limit;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A machine that uses less than this part of the time does nothing.
const IDLE: f64 = 0.04;

/// How long the use is averaged over.
const SAMPLE: Duration = Duration::from_secs(1);

/// At most so many times the limit may be lost by waiting for a processor.
const MOST_WAITING: u32 = 5;

/// From this part of the time on a machine that waits for a processor counts as disturbed.
const DISTURBED: f64 = 0.1;

/// What a test may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How long it may run.
    pub limit: Duration,
    /// How long it may do nothing.
    pub idle: Duration,
}

/// How long a process ran, and how long it waited to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Use {
    ran: Duration,
    waited: Duration,
}

/// Watches the process of a machine.
#[derive(Debug)]
pub struct Watch {
    tasks: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    allowance: Allowance,
    start: Instant,
    at_start: Use,
    /// When the use was looked at last, and what it was.
    sample: (Instant, Use),
    /// When it last did something.
    active: Instant,
}

impl Watch {
    /// Watches a process from now on.
    #[must_use]
    pub fn new(process: u32, allowance: Allowance) -> Self {
        let tasks = PathBuf::from(format!("/proc/{process}/task"));
        let state = Mutex::new(State::new(allowance, Instant::now(), used(&tasks)));
        Self { tasks, state }
    }

    /// Begins anew, for the next test in the same machine.
    pub fn restart(&self, allowance: Allowance) {
        *self.state() = State::new(allowance, Instant::now(), used(&self.tasks));
    }

    /// Whether others of the host took a good part of the machine's time.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        let state = self.state();
        let waited = used(&self.tasks).waited.saturating_sub(state.at_start.waited);
        waited.as_secs_f64() > DISTURBED * state.start.elapsed().as_secs_f64()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limit for Watch {
    fn is_over(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        // Asked after each of the guest's words: reading the use is not that cheap.
        state.is_due(now) && state.is_over(now, used(&self.tasks))
    }
}

impl State {
    fn new(allowance: Allowance, now: Instant, used: Use) -> Self {
        Self { allowance, start: now, at_start: used, sample: (now, used), active: now }
    }

    fn is_due(&self, now: Instant) -> bool {
        now - self.sample.0 >= SAMPLE.min(self.allowance.limit)
    }

    fn is_over(&mut self, now: Instant, used: Use) -> bool {
        let (before, known) = self.sample;
        self.sample = (now, used);
        // Waiting for a processor is what only those do that have something to do.
        let wanted = (used.ran + used.waited).saturating_sub(known.ran + known.waited);
        if wanted.as_secs_f64() >= IDLE * (now - before).as_secs_f64() {
            self.active = now;
        }
        let Allowance { limit, idle } = self.allowance;
        let waited = used.waited.saturating_sub(self.at_start.waited).min(limit * MOST_WAITING);
        // Where the use is not known it is all zeros.
        let is_idle = used != Use::default() && now - self.active > idle;
        is_idle || (now - self.start).saturating_sub(waited) >= limit
    }
}

/// What the threads of a process used: together how long they ran, and how long the one that
/// waited longest did.
fn used(tasks: &PathBuf) -> Use {
    let Ok(entries) = fs::read_dir(tasks) else { return Use::default() };
    entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| schedule(&text))
        .fold(Use::default(), |all, one| Use {
            ran: all.ran.saturating_add(one.ran),
            waited: all.waited.max(one.waited),
        })
}

/// Reads `schedstat`: nanoseconds of running, nanoseconds of waiting, number of turns.
fn schedule(text: &str) -> Option<Use> {
    let mut numbers = text.split_whitespace().map(|word| word.parse().map(Duration::from_nanos));
    Some(Use { ran: numbers.next()?.ok()?, waited: numbers.next()?.ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const ALLOWANCE: Allowance = Allowance { limit: s(60), idle: s(10) };

    #[test]
    fn time_that_the_machine_waits_for_a_processor_does_not_count() {
        let start = Instant::now();
        let mut state = State::new(ALLOWANCE, start, Use::default());
        let half = |at: u64| {
            let half = Duration::from_millis(500 * at);
            Use { ran: half, waited: half }
        };
        assert!((1..120).all(|at| !state.is_over(start + s(at), half(at))));
        assert!(state.is_over(start + s(120), half(120)));
        let mut alone = State::new(ALLOWANCE, start, Use::default());
        let all = |at| Use { ran: s(at), waited: s(0) };
        assert!((1..60).all(|at| !alone.is_over(start + s(at), all(at))));
        assert!(alone.is_over(start + s(60), all(60)));
    }

    #[test]
    fn waiting_for_ever_is_no_way_out() {
        let start = Instant::now();
        let mut state = State::new(ALLOWANCE, start, Use::default());
        let nothing_else = |at| Use { ran: s(1), waited: s(at) };
        assert!(!state.is_over(start + s(300), nothing_else(300)));
        assert!(state.is_over(start + s(361), nothing_else(361)));
    }

    #[test]
    fn a_machine_that_does_nothing_is_given_up_early() {
        let start = Instant::now();
        let mut state = State::new(ALLOWANCE, start, Use { ran: s(1), waited: s(0) });
        let used = |at: u64| Use { ran: s(1 + at.min(3)), waited: s(0) };
        assert!((1..14).all(|at| !state.is_over(start + s(at), used(at))));
        assert!(state.is_over(start + s(14), used(14)));
        // Where nothing is known, nothing is concluded.
        let mut unknown = State::new(ALLOWANCE, start, Use::default());
        assert!((1..60).all(|at| !unknown.is_over(start + s(at), Use::default())));
    }

    #[test]
    fn the_kernel_tells_what_a_process_used() {
        let parsed = schedule("1500000000 250000000 12\n");
        let expected = Use { ran: Duration::from_millis(1500), waited: Duration::from_millis(250) };
        assert_eq!(parsed, Some(expected));
        assert_eq!(schedule("0"), None);
        assert_eq!(schedule(""), None);
        let nobody = Watch::new(u32::MAX, ALLOWANCE);
        assert!(!nobody.is_over() && !nobody.is_disturbed());
    }
}
