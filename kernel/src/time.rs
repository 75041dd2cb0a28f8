//! Time: the TSC, calibrated against the local APIC's timer, and that timer's deadlines.
//!
//! At boot the timer counts freely from its largest value, one count per nanosecond. Until
//! enough of it has passed to know the TSC's speed, the count itself is the time; nothing
//! waits for that. The count goes on until the first deadline needs the timer, and then the
//! whole time since boot gives the final speed.

use core::arch::x86_64::_rdtsc;

use spin::Mutex;

use crate::drivers::interrupts::{set_timer_count, timer_count};
use crate::drivers::rtc;

/// Time after which the TSC's speed is known well enough to be used.
const CALIBRATION_NS: u64 = 1_000_000;
/// The same, when the timer is wanted for a deadline and its count ends.
const SHORTEST_CALIBRATION_NS: u64 = 200_000;
/// Shortest distance of a deadline.
const MIN_TIMER_NS: u64 = 1_000;
/// Longest distance the timer is set to; a later deadline takes several turns.
const MAX_TIMER_NS: u64 = 0xf000_0000;

static CLOCK: Mutex<Clock> = Mutex::new(Clock {
    start: Sample { tsc: 0, count: 0 },
    base_tsc: 0,
    base_ns: 0,
    scale: 0,
    wall_base_ns: 0,
    free_running: true,
    programmed: None,
});

struct Clock {
    start: Sample,
    /// At this TSC value it was `base_ns`.
    base_tsc: u64,
    base_ns: u64,
    /// Nanoseconds per TSC tick, times 2^32; 0 until it is known.
    scale: u64,
    /// Nanoseconds since 1970 UTC at boot.
    wall_base_ns: u64,
    /// Whether the timer still counts from boot.
    free_running: bool,
    /// The deadline the timer is set to.
    programmed: Option<u64>,
}

/// TSC and timer at one moment.
#[derive(Clone, Copy)]
struct Sample {
    tsc: u64,
    count: u32,
}

fn tsc() -> u64 {
    // SAFETY: every x86-64 processor has it.
    unsafe { _rdtsc() }
}

impl Sample {
    /// The best of some attempts: the one that took the least time.
    fn take() -> Self {
        const ATTEMPTS: usize = 5;
        let attempt = || {
            let before = tsc();
            let count = timer_count();
            let after = tsc();
            (after - before, Self { tsc: before + (after - before) / 2, count })
        };
        let first = attempt();
        let best = (1..ATTEMPTS)
            .map(|_| attempt())
            .fold(first, |best, next| if next.0 < best.0 { next } else { best });
        best.1
    }
}

impl Clock {
    fn now_ns(&mut self) -> u64 {
        if self.scale == 0 {
            let elapsed_ns = self.elapsed_ns();
            if elapsed_ns < CALIBRATION_NS {
                return elapsed_ns;
            }
            self.calibrate();
        }
        let ticks = tsc().saturating_sub(self.base_tsc);
        self.base_ns + ((u128::from(ticks) * u128::from(self.scale)) >> 32) as u64
    }

    /// Nanoseconds since boot by the timer's count, while it runs freely.
    fn elapsed_ns(&self) -> u64 {
        u64::from(self.start.count - timer_count())
    }

    /// Derives the TSC's speed from all the time since boot; the time goes on without a step.
    fn calibrate(&mut self) {
        let now_ns = if self.scale == 0 { None } else { Some(self.now_ns()) };
        let sample = Sample::take();
        let elapsed_ns = u64::from(self.start.count - sample.count);
        let ticks = (sample.tsc - self.start.tsc).max(1);
        self.scale = ((u128::from(elapsed_ns) << 32) / u128::from(ticks)) as u64;
        (self.base_ns, self.base_tsc) = match now_ns {
            Some(now_ns) => (now_ns, tsc()),
            None => (elapsed_ns, sample.tsc),
        };
    }

    /// Ends the timer's free count, because a deadline needs the timer.
    fn end_free_count(&mut self) {
        while self.elapsed_ns() < SHORTEST_CALIBRATION_NS {
            core::hint::spin_loop();
        }
        self.calibrate();
        self.free_running = false;
    }
}

/// Starts the clock: monotonic time begins here.
pub(crate) fn init() {
    CLOCK.lock().start = Sample::take();
}

/// Nanoseconds since boot; never goes back.
pub(crate) fn now_ns() -> u64 {
    CLOCK.lock().now_ns()
}

/// Nanoseconds since 1970 UTC.
pub(crate) fn wall_clock_ns() -> u64 {
    let mut clock = CLOCK.lock();
    clock.wall_base_ns + clock.now_ns()
}

/// Learns the time of day at boot: `told_ns` nanoseconds since 1970 UTC, or what the machine's
/// own clock says.
pub(crate) fn learn_wall_clock(told_ns: Option<u64>) {
    const SECOND: u64 = 1_000_000_000;
    let own_ns = || rtc::seconds_since_1970().map(|seconds| seconds * SECOND);
    if let Some(wall_ns) = told_ns.or_else(own_ns) {
        set_wall_clock(wall_ns);
    }
}

/// Learns the time of day: `wall_ns` nanoseconds since 1970 UTC.
pub(crate) fn set_wall_clock(wall_ns: u64) {
    let mut clock = CLOCK.lock();
    clock.wall_base_ns = wall_ns.saturating_sub(clock.now_ns());
}

/// Lets an interrupt come at that time, or none.
pub(crate) fn set_timer(deadline_ns: Option<u64>) {
    let mut clock = CLOCK.lock();
    if clock.programmed == deadline_ns {
        return;
    }
    if clock.free_running {
        clock.end_free_count();
    }
    clock.programmed = deadline_ns;
    let count = deadline_ns.map_or(0, |deadline| {
        deadline.saturating_sub(clock.now_ns()).clamp(MIN_TIMER_NS, MAX_TIMER_NS) as u32
    });
    set_timer_count(count);
}

/// The timer's interrupt: the deadline has come, or the free count has ended unused.
pub(crate) fn timer_fired() {
    let mut clock = CLOCK.lock();
    if clock.free_running {
        clock.end_free_count();
    }
    clock.programmed = None;
}
