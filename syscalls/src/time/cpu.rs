//! What waits for CPU time: timers of the clocks of processes and threads, and `RLIMIT_CPU`.
//!
//! The machine tells a thread when its own CPU time reaches a mark. A process with several
//! threads reaches its mark when their sum does: each gets its share of what is left, and
//! whoever has used it up looks at the sum.

use alloc::sync::Weak;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::process::{RLIM_INFINITY, Resource};
use abi::signal::Signal;
use abi::time::NS_PER_SECOND;
use spin::Mutex;

use crate::machine::CpuTime;
use crate::process::{Process, Thread};
use crate::signal::info;

use super::Expire;

/// Least time between two looks at the sum of several threads, in nanoseconds.
const SHORTEST_SHARE_NS: u64 = 1_000_000;

/// How often a thread looks at most at what waits for its CPU time, in nanoseconds of that: as
/// on Linux at a tick, so that no interval is too short for the thread to come any further.
const TICK_NS: u64 = 1_000_000;

/// Whose CPU time is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// That of all threads together.
    Process,
    /// That of the thread with this number.
    Thread(u32),
}

/// Which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    All,
    /// The application's own.
    User,
}

/// A clock of CPU time of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuClock {
    /// Whose time.
    pub(crate) whose: Whose,
    /// Which part.
    pub(crate) part: Part,
}

impl CpuClock {
    /// All CPU time of the process.
    pub(crate) const PROCESS: Self = Self { whose: Whose::Process, part: Part::All };
    /// The time of the process in the application.
    pub(crate) const USER: Self = Self { whose: Whose::Process, part: Part::User };

    fn read(self, time: CpuTime) -> u64 {
        match self.part {
            Part::All => time.total_ns,
            Part::User => time.user_ns(),
        }
    }
}

/// What waits for the CPU time of a process.
#[derive(Default)]
pub(crate) struct CpuTimers {
    queue: Mutex<Queue>,
    /// Whether the threads have been told of deadlines.
    is_told: AtomicBool,
}

#[derive(Default)]
struct Queue {
    entries: Vec<Entry>,
    next_serial: u64,
}

struct Entry {
    clock: CpuClock,
    deadline_ns: u64,
    serial: u64,
    what: Weak<dyn Expire>,
}

impl CpuTimers {
    /// Lets `what` expire when `clock` is at `deadline_ns`; the threads are not told yet.
    /// Returns a number that no other entry ever has.
    pub(super) fn add(&self, clock: CpuClock, deadline_ns: u64, what: Weak<dyn Expire>) -> u64 {
        let mut queue = self.queue.lock();
        let serial = queue.next_serial;
        queue.next_serial += 1;
        queue.entries.push(Entry { clock, deadline_ns, serial, what });
        serial
    }

    /// Takes an entry back, if it has not expired.
    pub(super) fn remove(&self, serial: u64) {
        self.queue.lock().entries.retain(|entry| entry.serial != serial);
    }

    /// What waits and for how much longer, where `left` says how much that is, in nanoseconds.
    fn least(&self, left: impl Fn(&Entry) -> Option<u64>) -> Option<u64> {
        self.queue.lock().entries.iter().filter_map(left).min()
    }
}

impl Process {
    /// What a clock of its CPU time says, in nanoseconds; `None` where the thread has ended.
    pub(crate) fn cpu_clock_ns(&self, clock: CpuClock) -> Option<u64> {
        let time = match clock.whose {
            Whose::Process => self.cpu_time(),
            Whose::Thread(id) => self.threads().iter().find(|thread| thread.id() == id)?.cpu_time(),
        };
        Some(clock.read(time))
    }

    /// Lets everything expire whose CPU time has come. Called by the thread that runs, on its
    /// way back to the application.
    pub(crate) fn run_cpu_timers(&self) {
        if !self.cpu_timers.is_told.load(Ordering::Relaxed) {
            return;
        }
        let clocks: Vec<CpuClock> =
            self.cpu_timers.queue.lock().entries.iter().map(|entry| entry.clock).collect();
        let times: Vec<(CpuClock, u64)> = clocks
            .into_iter()
            .filter_map(|clock| Some((clock, self.cpu_clock_ns(clock)?)))
            .collect();
        let now_of = |wanted| times.iter().find(|(clock, _)| *clock == wanted).map(|time| time.1);
        let is_due = |entry: &mut Entry| now_of(entry.clock) >= Some(entry.deadline_ns);
        let due: Vec<Entry> = {
            let mut queue = self.cpu_timers.queue.lock();
            queue.entries.extract_if(.., is_due).collect()
        };
        for entry in due {
            if let (Some(what), Some(now_ns)) = (entry.what.upgrade(), now_of(entry.clock)) {
                what.expire(entry.deadline_ns, now_ns);
            }
        }
        self.enforce_cpu_limit();
        self.tell_cpu_deadlines();
    }

    /// What setrlimit(2) says of `RLIMIT_CPU`: `SIGXCPU` at the soft limit and each second
    /// from then on, `SIGKILL` at the hard one.
    fn enforce_cpu_limit(&self) {
        let limit = self.limits().get(Resource::Cpu);
        let total_ns = self.cpu_time().total_ns;
        let is_reached =
            |seconds| cpu_limit_ns(seconds).is_some_and(|limit_ns| total_ns >= limit_ns);
        let signal = if is_reached(limit.maximum) {
            Signal::SIGKILL
        } else if is_reached(limit.current) {
            // As on Linux, where getrlimit(2) shows it.
            self.limits().raise_current(Resource::Cpu, limit.current + 1);
            Signal::SIGXCPU
        } else {
            return;
        };
        // Standard signals are never refused.
        let _ = self.send_signal(signal, info::kernel(signal));
    }

    /// Tells its threads when to look at what waits for CPU time, after that has changed.
    pub(crate) fn tell_cpu_deadlines(&self) {
        let limit = self.limits().get(Resource::Cpu);
        let limit_ns = cpu_limit_ns(limit.current.min(limit.maximum));
        let is_empty = self.cpu_timers.queue.lock().entries.is_empty();
        let something_waits = limit_ns.is_some() || !is_empty;
        // Nothing waits, and nobody believes otherwise: the usual case.
        if !self.cpu_timers.is_told.swap(something_waits, Ordering::Relaxed) && !something_waits {
            return;
        }
        let total = self.cpu_time();
        let of_process = self.cpu_timers.least(|entry| match entry.clock.whose {
            Whose::Process => Some(entry.deadline_ns.saturating_sub(entry.clock.read(total))),
            Whose::Thread(_) => None,
        });
        let of_limit = limit_ns.map(|limit_ns| limit_ns.saturating_sub(total.total_ns));
        let threads = self.threads();
        let together = of_process.into_iter().chain(of_limit).min();
        let share = together.map(|left_ns| share(left_ns, threads.len() as u64));
        for thread in threads {
            self.tell_cpu_deadline(&thread, share);
        }
    }

    fn tell_cpu_deadline(&self, thread: &Thread, share_ns: Option<u64>) {
        let time = thread.cpu_time();
        let own = self.cpu_timers.least(|entry| match entry.clock.whose {
            Whose::Thread(id) if id == thread.id() => {
                Some(entry.deadline_ns.saturating_sub(entry.clock.read(time)))
            }
            Whose::Thread(_) | Whose::Process => None,
        });
        let left = own.into_iter().chain(share_ns).min();
        thread.set_cpu_deadline(left.map(|left_ns| tick_after(time.total_ns, left_ns)));
    }
}

/// A limit of so many seconds, in nanoseconds; `None` when there is none.
fn cpu_limit_ns(seconds: u64) -> Option<u64> {
    (seconds != RLIM_INFINITY).then(|| seconds.saturating_mul(NS_PER_SECOND))
}

/// How long each of `threads` threads may run before one of them must look, when all of them
/// together have `left_ns`.
fn share(left_ns: u64, threads: u64) -> u64 {
    (left_ns / threads.max(1)).max(SHORTEST_SHARE_NS).min(left_ns)
}

/// The first tick that is `left_ns` or more after `now_ns`. Asking again at a later time before
/// that does not put it off.
fn tick_after(now_ns: u64, left_ns: u64) -> u64 {
    now_ns.saturating_add(left_ns).checked_next_multiple_of(TICK_NS).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_a_tick_apart() {
        assert_eq!(tick_after(10_000_001, 1), 11_000_000);
        assert_eq!(tick_after(10_999_999, 1), 11_000_000);
        assert_eq!(tick_after(5, u64::MAX), u64::MAX);
    }

    #[test]
    fn threads_share_what_is_left_down_to_a_millisecond() {
        assert_eq!(share(9_000_000, 1), 9_000_000);
        assert_eq!(share(9_000_000, 3), 3_000_000);
        assert_eq!(share(2_000_000, 3), 1_000_000);
        assert_eq!(share(5, 3), 5);
        assert_eq!(share(0, 0), 0);
    }
}
