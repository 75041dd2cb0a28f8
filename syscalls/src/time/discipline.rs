//! What adjtimex(2) keeps of the clock: what time daemons say and ask. Nothing here changes
//! the clock's rate.

use abi::Errno;
use abi::time::{NS_PER_SECOND, Timeval};
use abi::timex::{AdjustModes, Timex, state, status};
use spin::Mutex;

use crate::error::{Because, Result};

/// Greatest deviation of the frequency: 500 ppm, times 2^16.
const MAX_FREQUENCY: i64 = 500 << 16;
/// The factor between a deviation in ppm times 2^16 and Linux's own unit (`PPM_SCALE`).
const FREQUENCY_SCALE: i64 = 281_474_977;
/// Greatest offset to correct: half a second, in nanoseconds.
const MAX_OFFSET_NS: i64 = 500_000_000;
/// Greatest error, in microseconds (`NTP_PHASE_LIMIT`).
const MAX_ERROR_US: i64 = 16_000_000;
/// Greatest time constant.
const MAX_CONSTANT: i64 = 10;
/// Lengths that a tick may have, in microseconds.
const TICKS: core::ops::RangeInclusive<i64> = 9_000..=11_000;

/// How the clock is kept right, as far as it was told.
pub(crate) struct Discipline {
    kept: Mutex<Kept>,
}

struct Kept {
    offset_ns: i64,
    frequency: i64,
    max_error: i64,
    estimated_error: i64,
    status: i32,
    constant: i64,
    tick: i64,
    tai: i32,
    /// What adjtime(3) asked for, in microseconds.
    single_us: i64,
}

impl Default for Discipline {
    fn default() -> Self {
        let kept = Kept {
            offset_ns: 0,
            frequency: 0,
            max_error: MAX_ERROR_US,
            estimated_error: MAX_ERROR_US,
            status: status::UNSYNC,
            constant: 2,
            tick: 10_000,
            tai: 0,
            single_us: 0,
        };
        Self { kept: Mutex::new(kept) }
    }
}

/// Whether something is changed, for which the caller needs a privilege.
pub(crate) fn changes(modes: AdjustModes) -> bool {
    let is_single = modes.contains(AdjustModes::ADJTIME);
    if is_single { !modes.contains(AdjustModes::READ_ONLY) } else { !modes.is_empty() }
}

/// By how many nanoseconds the clock is to be stepped, if it is.
///
/// # Errors
/// `EINVAL` for what no field may be.
pub(crate) fn check(asked: &Timex) -> Result<Option<i64>> {
    let modes = AdjustModes::from_bits_retain(asked.modes);
    let has = |mode| modes.contains(mode);
    if has(AdjustModes::ADJTIME) {
        return match has(AdjustModes::OFFSET) {
            true => Ok(None),
            false => Err(Errno::EINVAL.because("adjtime(3) corrects an offset")),
        };
    }
    if has(AdjustModes::TICK) && !TICKS.contains(&asked.tick) {
        return Err(Errno::EINVAL.because("a tick has 9,000 to 11,000 microseconds"));
    }
    let is_frequency = |one: i64| one.checked_mul(FREQUENCY_SCALE).is_some();
    if has(AdjustModes::FREQUENCY) && !is_frequency(asked.frequency) {
        return Err(Errno::EINVAL.because("the frequency is out of range"));
    }
    if !has(AdjustModes::SET_OFFSET) {
        return Ok(None);
    }
    let unit_ns = if has(AdjustModes::NANO) { 1 } else { 1000 };
    let Timeval { seconds, microseconds: fraction } = asked.time;
    let second = NS_PER_SECOND.cast_signed();
    if !(0..second / unit_ns).contains(&fraction) {
        return Err(Errno::EINVAL.because("the fraction is negative or a second or more"));
    }
    let step_ns = seconds.checked_mul(second).and_then(|ns| ns.checked_add(fraction * unit_ns));
    step_ns.map(Some).ok_or_else(|| Errno::EINVAL.because("a step too far"))
}

impl Discipline {
    /// Keeps what `asked`, which was checked, changes, and tells how it is then, at the time
    /// of day `now_ns`; returns the state of the clock.
    pub(crate) fn adjust(&self, asked: &mut Timex, now_ns: u64) -> u64 {
        let modes = AdjustModes::from_bits_retain(asked.modes);
        let mut kept = self.kept.lock();
        if modes.contains(AdjustModes::ADJTIME) {
            let before = kept.single_us;
            if !modes.contains(AdjustModes::READ_ONLY) {
                kept.single_us = asked.offset;
            }
            kept.describe(asked, now_ns);
            asked.offset = before;
        } else {
            kept.change(modes, asked);
            kept.describe(asked, now_ns);
        }
        let is_wrong = kept.status & (status::UNSYNC | status::CLOCK_ERROR) != 0;
        if is_wrong { state::ERROR } else { state::OK }
    }
}

impl Kept {
    fn change(&mut self, modes: AdjustModes, asked: &Timex) {
        let has = |mode| modes.contains(mode);
        if has(AdjustModes::STATUS) {
            let own = self.status & status::READ_ONLY;
            self.status = asked.status & !status::READ_ONLY | own;
        }
        if has(AdjustModes::NANO) {
            self.status |= status::NANO;
        }
        if has(AdjustModes::MICRO) {
            self.status &= !status::NANO;
        }
        if has(AdjustModes::FREQUENCY) {
            self.frequency = asked.frequency.clamp(-MAX_FREQUENCY, MAX_FREQUENCY);
        }
        if has(AdjustModes::MAX_ERROR) {
            self.max_error = asked.max_error.clamp(0, MAX_ERROR_US);
        }
        if has(AdjustModes::EST_ERROR) {
            self.estimated_error = asked.estimated_error.clamp(0, MAX_ERROR_US);
        }
        if has(AdjustModes::TIME_CONSTANT) {
            // The constant of offsets in nanoseconds is 4 more.
            let more = if self.status & status::NANO == 0 { 4 } else { 0 };
            self.constant = asked.constant.clamp(0, MAX_CONSTANT).saturating_add(more);
            self.constant = self.constant.min(MAX_CONSTANT);
        }
        if has(AdjustModes::TAI)
            && let Ok(tai @ 0..) = i32::try_from(asked.constant)
        {
            self.tai = tai;
        }
        if has(AdjustModes::OFFSET) && self.status & status::PLL != 0 {
            let ns = asked.offset.saturating_mul(self.unit_ns());
            self.offset_ns = ns.clamp(-MAX_OFFSET_NS, MAX_OFFSET_NS);
        }
        if has(AdjustModes::TICK) {
            self.tick = asked.tick;
        }
    }

    /// Nanoseconds of the unit that offsets are in.
    fn unit_ns(&self) -> i64 {
        if self.status & status::NANO == 0 { 1000 } else { 1 }
    }

    fn describe(&self, to: &mut Timex, now_ns: u64) {
        let unit_ns = self.unit_ns();
        let fraction = (now_ns % NS_PER_SECOND).cast_signed() / unit_ns;
        *to = Timex {
            modes: to.modes,
            padding1: 0,
            offset: self.offset_ns / unit_ns,
            frequency: self.frequency,
            max_error: self.max_error,
            estimated_error: self.estimated_error,
            status: self.status,
            padding2: 0,
            constant: self.constant,
            precision: 1,
            tolerance: MAX_FREQUENCY,
            time: Timeval {
                seconds: (now_ns / NS_PER_SECOND).cast_signed(),
                microseconds: fraction,
            },
            tick: self.tick,
            pulse: [0; 2],
            pulse_shift: 0,
            padding3: 0,
            pulse_counts: [0; 5],
            tai: self.tai,
            padding4: [0; 11],
        };
    }
}
