//! Time: the TSC, calibrated against the local APIC's timer, and that timer's deadlines.
//!
//! At boot the timer counts freely from its largest value, one count per nanosecond. Until
//! enough of it has passed to know the TSC's speed, the count itself is the time; nothing
//! waits for that. The count goes on until the first deadline needs the timer, and then the
//! whole time since boot gives the final speed.
//!
//! What makes the TSC a time is also published in the time page, which the vDSO reads in
//! applications; both compute the same from it, so that they always agree.

use core::arch::x86_64::{_mm_lfence, _rdtsc};

use abi::time_page::{TimePage, Timebase};
use spin::{Mutex, Once};

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
    base: Timebase { ticks: 0, ns: 0, scale: 0, wall_offset_ns: 0 },
    told_wall_offset_ns: 0,
    free_running: true,
    programmed: None,
});

/// Where applications read the time.
static TIME_PAGE: Once<&TimePage> = Once::new();

struct Clock {
    start: Sample,
    /// What makes the TSC a time, and that a time of day; its scale is 0 until it is known.
    base: Timebase,
    /// The offset of the time of day as the host told it, before anybody set the clock.
    told_wall_offset_ns: u64,
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
    // SAFETY: every x86-64 processor has both. Without the fence, the counter could be read
    // before an earlier instruction of the application, and the time seem to go back.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
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
        if self.base.scale == 0 {
            let elapsed_ns = self.elapsed_ns();
            if elapsed_ns < CALIBRATION_NS {
                return elapsed_ns;
            }
            self.calibrate();
        }
        self.base.monotonic_ns(tsc())
    }

    /// Nanoseconds since boot by the timer's count, while it runs freely.
    fn elapsed_ns(&self) -> u64 {
        u64::from(self.start.count - timer_count())
    }

    /// Derives the TSC's speed from all the time since boot; the time goes on without a step.
    fn calibrate(&mut self) {
        let now_ns = if self.base.scale == 0 { None } else { Some(self.now_ns()) };
        let sample = Sample::take();
        let elapsed_ns = u64::from(self.start.count - sample.count);
        let ticks = (sample.tsc - self.start.tsc).max(1);
        self.base.scale = ((u128::from(elapsed_ns) << 32) / u128::from(ticks)) as u64;
        (self.base.ns, self.base.ticks) = match now_ns {
            Some(now_ns) => (now_ns, tsc()),
            None => (elapsed_ns, sample.tsc),
        };
        self.publish();
    }

    /// Lets applications know what has changed.
    fn publish(&self) {
        if let Some(page) = TIME_PAGE.get() {
            page.publish(&self.base);
        }
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
    clock.now_ns().wrapping_add(clock.base.wall_offset_ns)
}

/// Keeps `page`, of zeros so far, up to date from now on.
pub(crate) fn publish_to(page: &'static TimePage) {
    let clock = CLOCK.lock();
    TIME_PAGE.call_once(|| page);
    clock.publish();
}

/// Learns the time of day at boot: `told_ns` nanoseconds since 1970 UTC, or what the machine's
/// own clock says.
pub(crate) fn learn_wall_clock(told_ns: Option<u64>) {
    const SECOND: u64 = 1_000_000_000;
    let own_ns = || rtc::seconds_since_1970().map(|seconds| seconds * SECOND);
    if let Some(wall_ns) = told_ns.or_else(own_ns) {
        learn_wall_clock_again(wall_ns);
    }
}

/// Learns the time of day from the host: `wall_ns` nanoseconds since 1970 UTC. By how much
/// somebody has set the clock ahead or back stays as it is.
pub(crate) fn learn_wall_clock_again(wall_ns: u64) {
    let mut clock = CLOCK.lock();
    let told = wall_ns.saturating_sub(clock.now_ns());
    let change = told.wrapping_sub(clock.told_wall_offset_ns);
    clock.told_wall_offset_ns = told;
    clock.base.wall_offset_ns = clock.base.wall_offset_ns.wrapping_add(change);
    clock.publish();
}

/// Sets the time of day: `wall_ns` nanoseconds since 1970 UTC.
pub(crate) fn set_wall_clock(wall_ns: u64) {
    let mut clock = CLOCK.lock();
    clock.base.wall_offset_ns = wall_ns.wrapping_sub(clock.now_ns());
    clock.publish();
}

/// Lets an interrupt come at that time, or none.
pub(crate) fn set_timer(deadline_ns: Option<u64>) {
    let mut clock = CLOCK.lock();
    // An earlier interrupt does no harm: after each, the timer is set anew. So most switches
    // between threads leave it alone.
    let is_early = clock.programmed.is_some_and(|at| deadline_ns.is_none_or(|wanted| at <= wanted));
    if is_early || clock.programmed == deadline_ns {
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
