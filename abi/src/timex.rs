//! Discipline of the clock: adjtimex(2), `linux/timex.h`.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags! {
    /// What adjtimex(2) changes: `modes`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AdjustModes: u32 {
        /// The offset that is still to be corrected.
        const OFFSET = 0x0001;
        /// The frequency.
        const FREQUENCY = 0x0002;
        /// The greatest error.
        const MAX_ERROR = 0x0004;
        /// The estimated error.
        const EST_ERROR = 0x0008;
        /// The status.
        const STATUS = 0x0010;
        /// The time constant.
        const TIME_CONSTANT = 0x0020;
        /// The offset of TAI.
        const TAI = 0x0080;
        /// Steps the clock at once.
        const SET_OFFSET = 0x0100;
        /// Offsets are in microseconds from now on.
        const MICRO = 0x1000;
        /// Offsets are in nanoseconds from now on.
        const NANO = 0x2000;
        /// With `OFFSET` and `ADJTIME`: only looks.
        const READ_ONLY = 0x2000;
        /// The length of a tick.
        const TICK = 0x4000;
        /// With `OFFSET`: as adjtime(3).
        const ADJTIME = 0x8000;
    }
}

/// Bits of the status.
pub mod status {
    /// The offset is corrected.
    pub const PLL: i32 = 0x0001;
    /// Nobody keeps the clock right.
    pub const UNSYNC: i32 = 0x0040;
    /// The clock failed.
    pub const CLOCK_ERROR: i32 = 0x1000;
    /// Offsets are in nanoseconds.
    pub const NANO: i32 = 0x2000;
    /// Bits that only the kernel sets (`STA_RONLY`).
    pub const READ_ONLY: i32 = 0xff00;
}

/// States of the clock: what adjtimex(2) returns.
pub mod state {
    /// It is right.
    pub const OK: u64 = 0;
    /// It is not known to be right.
    pub const ERROR: u64 = 5;
}

/// `struct timex`. Offsets and the fraction of `time` are in microseconds, or in nanoseconds
/// where the status says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Timex {
    /// [`AdjustModes`].
    pub modes: u32,
    /// Not used.
    pub padding1: u32,
    /// What is still to be corrected.
    pub offset: i64,
    /// Deviation of the frequency, in ppm times 2^16.
    pub frequency: i64,
    /// Greatest error, in microseconds.
    pub max_error: i64,
    /// Estimated error, in microseconds.
    pub estimated_error: i64,
    /// Bits of [`status`].
    pub status: i32,
    /// Not used.
    pub padding2: u32,
    /// Time constant of the correction.
    pub constant: i64,
    /// Precision, in microseconds.
    pub precision: i64,
    /// Greatest deviation of the frequency, in ppm times 2^16.
    pub tolerance: i64,
    /// The time of day, or by how much it is stepped.
    pub time: crate::time::Timeval,
    /// Microseconds of a tick of `USER_HZ`.
    pub tick: i64,
    /// Of a pulse each second, which nobody gives: frequency and jitter.
    pub pulse: [i64; 2],
    /// Of the same: length of the interval.
    pub pulse_shift: i32,
    /// Not used.
    pub padding3: u32,
    /// Of the same: stability and counts.
    pub pulse_counts: [i64; 5],
    /// TAI less UTC, in seconds.
    pub tai: i32,
    /// Not used.
    pub padding4: [u32; 11],
}

const _: () = assert!(size_of::<Timex>() == 208);
